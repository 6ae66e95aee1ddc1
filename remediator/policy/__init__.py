"""The policy language: a file's text in, policies or every mistake out. Pure: a text, never a file.

`load` reads a policy file with every mistake at once; `compile_policies` writes down what it read, and `reread`
takes that, where it is of the same text and the same code. `planning` decides by what they return.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from remediator.policy.compiled import compile_policies, compiled_beside, reread
from remediator.policy.loaded import Loaded
from remediator.policy.model import Policies, Policy, bound

if TYPE_CHECKING:
    from remediator.policy.draft import Machines

__all__ = [
    "Loaded",
    "Policies",
    "Policy",
    "bound",
    "compile_policies",
    "compiled_beside",
    "load",
    "reread",
]


def load(
    text: str | bytes,
    filename: str = "policies.yaml",
    *,
    catalog: Machines | None = None,
    served: Sequence[str] = (),
) -> Loaded:
    """The policies in a file's text, or every mistake in it with its place; never raises.

    Names of machines and accelerators are held against the catalogue where one is given, and so are
    the prices of the regions that are served.
    """
    # A start with a compiled file needs no more than the values, not pydantic and YAML.
    from remediator.policy import language  # noqa: PLC0415  # cold start

    return language.load(text, filename, catalog=catalog, served=served)
