"""The pages of docs/ that are generated: `python -m tests.pages` writes each anew; `make pages` does, too.

`docs/causes.md` is written by `bench/diagnosis/signature_files.py`, beside the compiled signatures.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from remediator.planning.remedies import matrix
from remediator.policy.reference import reference, schema
from tests import alert_examples, rule_cases

DOCS = Path(__file__).resolve().parents[1] / "docs"
PAGES: Mapping[str, Callable[[], str]] = {
    "policies.md": reference,
    "policies.schema.json": lambda: json.dumps(schema(), indent=2) + "\n",
    "matrix.md": matrix,
    "alert-examples.md": alert_examples.page,
    "time-outs.md": rule_cases.page,
}

if __name__ == "__main__":
    for name, page in PAGES.items():
        (DOCS / name).write_text(page(), encoding="utf-8")
        sys.stdout.write(f"docs/{name}\n")
