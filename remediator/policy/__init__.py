"""The policies: a file's text in, plans out. Pure: a text, never a file; a case, never a clock.

`load` reads a policy file with every mistake at once, `plan` decides about one diagnosed case.
The workflow and the command line call them; `job` knows where a job keeps what, `catalog`
what machines are and cost.
"""

from remediator.catalog.catalog import Catalogue
from remediator.job.differences import difference_is_legal, illegal_differences
from remediator.policy.language import load
from remediator.policy.model import Policies, Policy, bound
from remediator.policy.planner import plan
from remediator.policy.request import with_claim

__all__ = [
    "Catalogue",
    "Policies",
    "Policy",
    "bound",
    "difference_is_legal",
    "illegal_differences",
    "load",
    "plan",
    "with_claim",
]
