"""The JSON Schema of case files describes what is read, and every case here is one."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

from remediator.case import CASE_KEYS

ROOT = Path(__file__).resolve().parents[1]
SCHEMA = json.loads((ROOT / "docs" / "cases.schema.json").read_text())
CASES = [
    *sorted((ROOT / "tests" / "cases").glob("*.json")),
    ROOT / "docs" / "examples" / "case.json",
]


def test_the_schema_is_one_and_names_every_key_that_is_read() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert set(SCHEMA["properties"]) == CASE_KEYS


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.name)
def test_every_case_fits_it(path: Path) -> None:
    jsonschema.validate(json.loads(path.read_text()), SCHEMA)


def test_a_case_with_a_misspelt_key_or_no_job_does_not() -> None:
    good = json.loads((ROOT / "docs" / "examples" / "case.json").read_text())
    for bad in ({**good, "logentries": []}, {**good, "job": {"name": "x"}}, {"logEntries": []}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(bad, SCHEMA)


def test_the_page_names_every_key() -> None:
    page = (ROOT / "docs" / "cases.md").read_text()
    assert [key for key in CASE_KEYS if f"`{key}`" not in page] == []
