"""The pages that lead: their links lead somewhere, and what needs no account runs as it stands."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from pathlib import Path

import pytest

from remediator.cli.main import main
from remediator.domain import Guard

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", ROOT / "deploy" / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
CODE = ("remediator", "twin", "bench", "tests")
FILE_ENDINGS = {"tsv", "toml", "json", "txt"}
OFFLINE = ("init", "validate", "plan", "test", "diagnose", "rows")


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", one.lower()).replace(" ", "-") for one in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_to_a_file_and_a_heading(page: Path) -> None:
    broken = []
    prose = re.sub(r"`[^`\n]*`", "", page.read_text())  # code shows patterns that look like links
    for link in re.findall(r"\]\((?!https?:)([^)\s]+)\)", prose):
        file, _, anchor = link.partition("#")
        target = (page.parent / file).resolve() if file else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert broken == []


def test_decisions_are_numbered_one_by_one() -> None:
    """Markdown counts by itself: of a number that stands twice a reader sees all later ones shifted."""
    text = (ROOT / "docs" / "decisions.md").read_text()
    numbers = [int(one) for one in re.findall(r"^(\d+)\. ", text, re.MULTILINE)]
    assert numbers == list(range(1, len(numbers) + 1))


def test_every_guard_and_every_key_of_a_plan_is_explained(
    capsys: pytest.CaptureFixture[str],
) -> None:
    page = (ROOT / "docs" / "cases.md").read_text()
    section = page.partition("### What `plan --json` prints")[2].partition("\n## ")[0]
    named = set(re.findall(r"`(\w+)`", section))
    main(["plan", str(ROOT / "docs" / "examples" / "case.json"), "--json"])
    keys = set(json.loads(capsys.readouterr().out)) - {
        "job",
        "watch",
    }  # as `diagnose --json` has them
    assert {*Guard, *keys} <= named


def shown(page: str) -> list[list[str]]:
    """The commands of a page's shell blocks that need neither an account nor standard input."""
    blocks = re.findall(r"^```sh\n(.*?)^```", (ROOT / page).read_text(), re.DOTALL | re.MULTILINE)
    lines = [line.partition(" #")[0] for block in blocks for line in block.splitlines()]
    words = [shlex.split(line) for line in lines]
    found = []
    for line in words:
        if line[:1] == ["vertex-remediator"]:
            line = ["python", "-m", "remediator", *line[1:]]  # noqa: PLW2901
        offline = line[1:3] == ["-m", "remediator"] and line[3] in OFFLINE
        named = line[3:4] == ["rows"]  # its files stand behind options
        if offline and not any(
            word.startswith(("https:", "-")) and word != "-o" and not named for word in line[4:5]
        ):
            found.append(line[3:])
    return found


def write_batches(folder: Path) -> None:
    """The batches of `docs/rows.md`: one of Gemini, one of a custom model."""
    rows = [{"custom_id": f"r{n}", "request": {"contents": [n]}} for n in range(6)]
    statuses = {
        1: "",
        4: "",
        2: '{"code": 4, "message": "Deadline exceeded"}',
        0: 'Bad Request: {"error": {"code": 400, "message": "no such role"}}',
    }
    came = [{"status": status, "response": {}, **rows[n]} for n, status in statuses.items()]
    custom = [{"id": n, "x": 1} for n in range(4)]
    for name, lines in (
        ("input.jsonl", rows),
        ("predictions.jsonl-00000-of-00002", came[:3]),
        ("predictions.jsonl-00001-of-00002", came[3:]),
        ("instances.jsonl", custom),
        ("prediction.results-00000-of-00001", [{"key": 2, "prediction": 1}]),
    ):
        (folder / name).write_text("".join(json.dumps(line) + "\n" for line in lines))
    message = "Non-OK result 504 (upstream request timeout) from server"
    (folder / "prediction.errors_stats-00000-of-00001").write_text(f"('{message}', 2)\n")


def test_the_page_of_rows_shows_what_is_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_batches(tmp_path)
    monkeypatch.chdir(tmp_path)
    (words,) = [line for line in shown("docs/rows.md") if "-o" in line and "--input" in line]
    assert main(words) == 0
    assert f"```\n{capsys.readouterr().out}```" in (ROOT / "docs" / "rows.md").read_text()


@pytest.mark.parametrize("page", ["README.md", "docs/README.md", "docs/cases.md", "docs/rows.md"])
def test_what_a_page_shows_runs_without_an_account(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = json.loads((ROOT / "docs" / "examples" / "case.json").read_text())
    (tmp_path / "train.log").write_text("Traceback (most recent call last):\nKeyError: 'label'\n")
    (tmp_path / "job.json").write_text(json.dumps(case["job"]))
    (tmp_path / "entries.json").write_text(json.dumps(case["logEntries"]))
    (tmp_path / "case.json").write_text(json.dumps(case))
    (tmp_path / "one-more.json").write_text(json.dumps(case))
    (tmp_path / "cases").mkdir()
    (tmp_path / "cases" / "a.json").write_text(json.dumps(case))
    shutil.copy(ROOT / "policies.yaml", tmp_path)
    write_batches(tmp_path)
    monkeypatch.chdir(tmp_path)
    commands = shown(page)
    assert len(commands) >= 3
    assert {" ".join(words): main(words) for words in commands} == {
        " ".join(words): 0 for words in commands
    }


@pytest.mark.parametrize("page", ["architecture.md", "reliability.md", "security.md"])
def test_every_name_that_a_page_explains_is_in_the_code(page: str) -> None:
    """A renamed function or file leaves its old name in the prose, where nothing else notices it."""
    files = [ROOT / "main.py", *(f for top in CODE for f in (ROOT / top).rglob("*.py"))]
    known = set(re.findall(r"\w+", "\n".join(file.read_text() for file in files)))
    known |= {file.stem for file in files}
    quoted = re.findall(r"`([A-Za-z_][\w.]*)(?:\([^`]*\))?`", (ROOT / "docs" / page).read_text())
    parts = {part for name in quoted for part in name.split(".")} - FILE_ENDINGS
    assert sorted(parts - known) == []
