"""The house's own rules, where no linter knows them."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tokenize
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from remediator import policy
from remediator.catalog import catalog
from remediator.domain import COLLECTIONS, JobName, JobState, label_value
from remediator.job import Job
from remediator.policy.reference import reference, schema

ROOT = Path(__file__).resolve().parents[1]
SOURCES = sorted((ROOT / "remediator").rglob("*.py"))
DOCUMENTS = sorted((ROOT / "docs").glob("*.md"))
_MOST_AT_THE_ROOT = 14
_VAGUE = {"utils", "helpers", "common", "base", "manager", "core", "misc", "types"}


def test_no_file_has_a_name_that_says_nothing() -> None:
    assert [path.name for path in SOURCES if path.stem in _VAGUE] == []


def test_no_class_is_a_manager_or_helper() -> None:
    pattern = re.compile(r"^class \w*(Manager|Handler|Helper|Impl)\b", re.MULTILINE)
    assert [path.name for path in SOURCES if pattern.search(path.read_text())] == []


def test_rooms_that_think_read_no_clock() -> None:
    alerts = (
        "compose",
        "actions",
        "costs",
        "next_step",
        "facts",
        "titles",
        "explanation",
        "grouping",
        "wording",
        "message",
        "render",
    )
    pure = [
        "domain",
        "case",
        "intake",
        "redaction",
        "diagnosis",
        "policy",
        "planning",
        "job",
        "catalog",
    ]
    pure += [f"alerts/{room}" for room in alerts]
    pattern = re.compile(
        r"datetime\.now|\btime\.time\(|\brandom\.(?:random|choice|sample|randint|randrange)\(|os\.environ|uuid4"
    )
    found = [
        str(path.relative_to(ROOT))
        for path in SOURCES
        for room in pure
        if str(path.relative_to(ROOT / "remediator")).startswith(room)
        and pattern.search(path.read_text())
    ]
    assert found == []


def test_tests_replace_nothing_of_our_own() -> None:
    pattern = re.compile(r"monkeypatch\.setattr|mock\.patch|unittest\.mock")
    me = Path(__file__)
    tests = (path for path in (ROOT / "tests").rglob("*.py") if path != me)
    assert [path.name for path in tests if pattern.search(path.read_text())] == []


def test_no_test_judges_by_the_clock_of_the_wall_and_no_property_has_a_deadline() -> None:
    clock = r"time\.(?:monotonic|perf_counter|time)\(\)"
    pattern = re.compile(rf"assert [^\n]*{clock}|settings\([^)]*deadline=(?!None)")
    allowed = {Path(__file__), ROOT / "tests" / "waiting.py"}  # the latter ends what would hang
    tests = (path for path in (ROOT / "tests").rglob("*.py") if path not in allowed)
    assert [path.name for path in tests if pattern.search(path.read_text())] == []


@pytest.mark.parametrize(
    "document",
    [
        pytest.param(path, id=path.name)
        for path in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    ],
)
def test_every_policy_file_in_the_docs_is_without_mistakes(document: Path) -> None:
    blocks = re.findall(r"```yaml\n(.*?)```", document.read_text(), re.DOTALL)
    for block in blocks:
        if block.startswith("version:"):
            loaded = policy.load(block, document.name, catalog=catalog.Catalog.built_in())
            assert [mistake.render(document.name) for mistake in loaded.mistakes] == []


@pytest.mark.parametrize("name", ["policies.yaml", "twin/demo-policies.yaml"])
def test_the_shipped_policy_files_are_without_mistakes(name: str) -> None:
    text = (ROOT / name).read_text()
    loaded = policy.load(text, name, catalog=catalog.Catalog.built_in())
    assert [mistake.render(name) for mistake in loaded.mistakes] == []


def test_the_shipped_file_observes() -> None:
    loaded = policy.load((ROOT / "policies.yaml").read_text())
    assert loaded.policies is not None
    assert loaded.policies.mode == "observe"


def test_the_reference_page_is_what_the_model_says() -> None:
    assert (ROOT / "docs" / "policies.md").read_text() == reference()


def test_the_schema_file_is_what_the_model_says() -> None:
    import json

    assert json.loads((ROOT / "docs" / "policies.schema.json").read_text()) == schema()


def test_links_in_the_readme_lead_somewhere() -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)", (ROOT / "README.md").read_text())
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_nothing_of_the_twin_is_deployed_and_nothing_of_the_product_is_in_it() -> None:
    lines = (ROOT / ".gcloudignore").read_text().splitlines()
    kept = {line.lstrip("!/").rstrip("/*") for line in lines if line.startswith("!")}
    assert "*" in {line.lstrip("/") for line in lines}  # everything, but for what runs
    assert {"main.py", "remediator", "policies.yaml", "requirements.txt"} <= kept
    assert not kept & {"twin", "tests", "docs", "bench", "telemetry", ".venv"}
    twin = (path for path in (ROOT / "twin").glob("*.py"))
    pattern = re.compile(r"^\s*(?:from|import) (?:remediator|main)\b", re.MULTILINE)
    assert [path.name for path in twin if pattern.search(path.read_text())] == []


def test_cli_help_of_every_command_works_without_settings() -> None:
    listed = subprocess.run(
        [sys.executable, "-m", "remediator", "--help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert "validate" in listed
    assert "follow" in listed


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("Starved-Of.CPU", "starved-of-cpu"),
        ("a" * 63, "a" * 63),
        ("b" * 64, "b" * 54 + "-b8b75b0e"),
    ],
)
def test_label_values_fit(text: str, value: str) -> None:
    found = label_value(text)
    assert re.fullmatch(r"[a-z0-9_-]{0,63}", found)
    assert found[:55] == value[:55]


def test_a_jobs_name_survives_being_taken_apart() -> None:
    for collection, kind in COLLECTIONS.items():
        text = f"projects/42/locations/us-central1/{collection}/7"
        name = JobName.parse(text)
        assert (str(name), name.kind, name.key) == (text, kind, f"us-central1/{collection}/7")


def test_a_changed_document_leaves_the_original_alone() -> None:
    body = {
        "name": "projects/p/locations/l/customJobs/1",
        "jobSpec": {"workerPoolSpecs": [{"a": 1}]},
    }
    job = Job.parse(body)
    changed = job.changed("jobSpec.workerPoolSpecs[0].machineSpec.machineType", "n1-standard-16")
    assert changed.read("jobSpec.workerPoolSpecs[0].machineSpec.machineType") == "n1-standard-16"
    assert changed.read("jobSpec.workerPoolSpecs[1].x") is None
    assert body["jobSpec"] == {"workerPoolSpecs": [{"a": 1}]}
    assert JobState.parse("JOB_STATE_EXPIRED").is_terminal


# --- words and sizes -------------------------------------------------------------------------------

_OLD_NAMES = re.compile(
    r"(?:^|_)(?:hands?|tale|told|owed?|owes|debts?|mend(?:s|ed|ing|able)?|belongings?|glance|patience|ward"
    r"|lints?|notices|somebody|retake|speakers?|begun_by)(?:_|$)",
    re.IGNORECASE,
)
"""Words of a private vocabulary: what each stood for has its name in the field (docs/architecture.md)."""
_OLD_PROSE = re.compile(
    r"\b(?:[Oo]we[ds]?|[Dd]ebts?|[Mm]end(?:s|ed|ing|ings)?|[Tt]ales?|[Bb]elongings?|[Gg]lance|[Pp]atience"
    r"|(?:an?other|second|later|contending) hands?|a fault of our own|[Nn]o way on)\b"
)
_KEPT_NAMES = {"still_owed"}  # a key of what `reconcile` answers
_KEPT_TEXTS = {"owed", "mend", "debts"}  # keys of JSON answers, a collection of the ledger


def _identifiers(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name) | ast.Name(id=name):
                yield name
            case ast.Attribute(attr=name) | ast.arg(arg=name) | ast.alias(asname=str(name)):
                yield name
            case ast.keyword(arg=str(name)):
                yield name


def _prose(path: Path) -> Iterator[str]:
    with tokenize.open(path) as text:
        for token in tokenize.generate_tokens(text.readline):
            if token.type == tokenize.COMMENT:
                yield token.string
            elif token.type == tokenize.STRING and token.string.strip("frbu'\"") not in _KEPT_TEXTS:
                yield re.sub(r"`(?:mend|damaged:)`|\{[^{}]*\}|\['?owed'?\]", "", token.string)


def test_no_name_in_the_package_is_of_the_old_vocabulary() -> None:
    found = {
        f"{path.relative_to(ROOT)}: {name}"
        for path in SOURCES
        for name in _identifiers(ast.parse(path.read_text()))
        if _OLD_NAMES.search(name) and name not in _KEPT_NAMES
    }
    assert sorted(found) == []


def test_no_sentence_in_the_package_is_of_the_old_vocabulary() -> None:
    found = [
        f"{path.relative_to(ROOT)}: {match[0]}"
        for path in [*SOURCES, ROOT / "main.py"]
        for text in _prose(path)
        for match in _OLD_PROSE.finditer(text)
    ]
    assert found == []


@pytest.mark.parametrize(
    "document", [pytest.param(path, id=path.name) for path in [ROOT / "README.md", *DOCUMENTS]]
)
def test_no_sentence_in_the_docs_is_of_the_old_vocabulary(document: Path) -> None:
    text = re.sub(r"`[^`\n]*`|::\w+", "", document.read_text())  # names are their files' business
    assert [match[0] for match in _OLD_PROSE.finditer(text)] == []


def test_no_class_has_the_name_of_another() -> None:
    names = Counter(
        node.name
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ClassDef)
    )
    assert [name for name, count in names.items() if count > 1] == []


def test_every_value_is_a_struct() -> None:
    """Made in a fortieth of a dataclass's time, and `msgspec.structs.replace` knows structs alone."""
    users = [
        path.relative_to(ROOT).as_posix()
        for path in (*SOURCES, ROOT / "main.py")
        if re.search(r"^\s*(from|import) dataclasses\b", path.read_text(), re.MULTILINE)
    ]
    assert users == []


def test_few_modules_stand_at_the_root() -> None:
    found = sorted(path.name for path in (ROOT / "remediator").glob("*.py"))
    assert len(found) <= _MOST_AT_THE_ROOT, found


def test_no_file_grows_beyond_500_lines() -> None:
    package = ROOT / "remediator"
    found = {
        str(path.relative_to(package))
        for path in SOURCES
        if len(path.read_text().splitlines()) > 500
    }
    assert found == set()
