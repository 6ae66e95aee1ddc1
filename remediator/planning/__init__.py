"""Plans: policies, a diagnosed case and its history in; exactly what would be done, out. Pure.

`plan` decides about one diagnosed case. The workflow and the command line call it; `job` knows where
a job keeps what, `catalog` what machines are and cost, `policy` what a policy file says.
"""

from remediator.planning.planner import plan

__all__ = ["plan"]
