"""The policy language: a file's text in, policies or every mistake out. Pure: a text, never a file.

`load` reads a policy file with every mistake at once. `planning` decides by what it returns.
"""

from remediator.policy.language import load
from remediator.policy.model import Policies, Policy, bound

__all__ = ["Policies", "Policy", "bound", "load"]
