"""Policies compiled ahead are the policies of the text, or the text is read: nothing between."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from remediator import policy
from remediator.domain import InvalidInput, Mode
from remediator.policy import Loaded
from remediator.policy.compiled import code_version
from remediator.settings import Settings
from remediator.workflow import policy_source
from tests.policy.language_cases import CALM, EVERYTHING, HEAD, ROOT, only_policy, read

FILES = {
    "shipped": ROOT / "policies.yaml",
    **{path.stem: path for path in sorted((ROOT / "docs/examples/policies").glob("*.yaml"))},
}
TEXTS = {
    **{name: path.read_text(encoding="utf-8") for name, path in FILES.items()},
    "everything": EVERYTHING,
    "nothing": HEAD,
    "one": only_policy("{min_confidence: 0.5}", alert="[]"),
    "default": only_policy("{min_confidence: 0}"),
    "watch": (
        f"{HEAD}watch:\n"
        "  - {name: hung, when: {running: [stalled], for: 30m, machine: n1-*},\n"
        "     log: {pattern: 'loss[ =:]+[0-9]', stop_pattern: done, for: 20m},\n"
        "     do: {cancel_resubmit: {checkpoint: not_needed}}, mode: observe}\n"
        "  - {name: late, when: {running: waiting_for_capacity}, do: cancel}\n"
    ),
    "warned": HEAD.replace("policies: []", "mode: enforce\npolicies: []"),
}


def compiled(text: str, filename: str = "policies.yaml") -> tuple[Loaded, bytes]:
    reading = policy.load(text, filename)
    assert reading.policies is not None, reading.render()
    return reading, policy.compile_policies(text.encode(), reading)


@pytest.mark.parametrize("name", sorted(TEXTS))
def test_what_is_reread_is_what_was_read(name: str) -> None:
    text = TEXTS[name]
    reading, form = compiled(text)
    again = policy.reread(text.encode(), form, "policies.yaml")
    assert again == reading
    assert repr(again) == repr(reading)  # the types too: 1 is no 1.0


def _less(draw: st.DrawFn, data: Any, *, depth: int = 0) -> Any:
    """Some of the keys and items of the data, in places that are drawn."""
    if isinstance(data, dict):
        kept = {k: v for k, v in data.items() if depth == 0 or draw(st.integers(0, 3))}
        return {key: _less(draw, value, depth=depth + 1) for key, value in kept.items()}
    if isinstance(data, list):
        return [_less(draw, one, depth=depth + 1) for one in data if draw(st.integers(0, 4))]
    return data


@CALM
@given(st.data())
def test_any_part_of_a_file_with_every_key_is_reread_as_it_was_read(data: st.DataObject) -> None:
    whole = yaml.load(data.draw(st.sampled_from(sorted(TEXTS.values()))), yaml.BaseLoader)
    text = json.dumps(_less(data.draw, whole))
    # BaseLoader makes texts of all; without quotes numbers and booleans are themselves again.
    for word in ("true", "false", "1"):
        text = text.replace(f'"{word}"', word)
    reading = policy.load(text)
    if reading.policies is None:
        return
    form = policy.compile_policies(text.encode(), reading)
    assert policy.reread(text.encode(), form, "policies.yaml") == reading


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param(EVERYTHING + "\n", id="a-line-more"),
        pytest.param(EVERYTHING.replace("usd_per_job: 100", "usd_per_job: 101"), id="a-value"),
        pytest.param(EVERYTHING.replace("mode: enforce", "mode: observe"), id="the-mode"),
        pytest.param("", id="empty"),
    ],
)
def test_of_another_text_nothing_is_taken(changed: str) -> None:
    _, form = compiled(EVERYTHING)
    assert policy.reread(changed.encode(), form, "policies.yaml") is None


@CALM
@given(st.data())
def test_of_a_form_with_another_byte_nothing_is_taken_that_was_not_read(
    data: st.DataObject,
) -> None:
    reading, form = compiled(TEXTS["watch"])
    at = data.draw(st.integers(0, len(form) - 1))
    byte = data.draw(st.integers(0, 255))
    torn = form[:at] + bytes([byte]) + form[at + 1 :]
    again = policy.reread(TEXTS["watch"].encode(), torn, "policies.yaml")
    assert again is None or again == reading


@pytest.mark.parametrize("part", [0, 1, 40, 200, 300, -2])
def test_of_half_a_form_nothing_is_taken(part: int) -> None:
    _, form = compiled(EVERYTHING)
    assert policy.reread(EVERYTHING.encode(), form[:part], "policies.yaml") is None


@pytest.mark.parametrize(
    "form", [b"\xff\n{}", b"[]\n[]", b"{}\n" + b"[" * 100_000, b"null\nnull", b'"x"\n"y"\n']
)
def test_of_what_is_no_form_nothing_is_taken(form: bytes) -> None:
    assert policy.reread(HEAD.encode(), form, "policies.yaml") is None


def test_of_another_version_of_the_code_nothing_is_taken(tmp_path: Path) -> None:
    """The version is the digest of what makes a value of a text: each byte of it."""
    _, form = compiled(HEAD)
    first, _, body = form.partition(b"\n")
    head = json.loads(first)
    other = json.dumps({**head, "code": "0" * 64}).encode()
    assert policy.reread(HEAD.encode(), other + b"\n" + body, "policies.yaml") is None
    assert head["code"] == code_version()
    same, newer = tmp_path / "same", tmp_path / "newer"
    for room in ("policy", "domain"):
        for house in (same, newer):
            shutil.copytree(ROOT / "remediator" / room, house / room)
    with (newer / "domain" / "names.py").open("a") as file:
        file.write("\n")
    assert code_version(same) == head["code"]
    assert code_version(newer) not in {"", head["code"]}
    assert code_version(tmp_path / "nowhere") == ""


# --- in a deployment -----------------------------------------------------------------------------


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "policies.yaml"
    path.write_text(EVERYTHING)
    form = policy.compile_policies(EVERYTHING.encode(), read(EVERYTHING))
    policy.compiled_beside(path).write_bytes(form)
    return path


def deployed(path: Path, **more: Any) -> policy.Policies:
    found, text = policy_source.read_deployed(Settings(policies=str(path), **more))
    assert found is not None
    assert text == path.read_bytes()
    return found


def test_a_deployment_decides_alike_with_and_without(file: Path) -> None:
    more = {"max_mode": Mode.APPROVE, "max_usd_per_day": 7.0, "channel_hosts": ("a.example",)}
    fast = deployed(file, **more)
    policy.compiled_beside(file).unlink()
    slow = deployed(file, **more)
    assert fast == slow
    assert fast.place_of(None, "attempts") == slow.place_of(None, "attempts") == "policies.yaml:5"


def test_an_edited_file_decides_at_once_whatever_lies_beside_it(file: Path) -> None:
    file.write_text(EVERYTHING.replace("usd_per_job: 100", "usd_per_job: 5"))
    assert deployed(file).limits.usd_per_job == 5.0
    file.write_text("version: 2\n")
    with pytest.raises(InvalidInput, match=r"REMEDIATOR_POLICIES: .*version 1"):
        deployed(file)


def test_what_cannot_be_read_beside_the_file_is_in_nobodys_way(file: Path) -> None:
    form = policy.compiled_beside(file)
    form.unlink()
    form.mkdir()
    assert deployed(file) == read(EVERYTHING).require().changed(lines=deployed(file).lines)


def test_warnings_are_told_at_every_start(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "policies.yaml"
    path.write_text(TEXTS["warned"])
    deployed(path)
    slow = capsys.readouterr()
    reading = read(TEXTS["warned"])
    assert reading.mistakes
    form = policy.compile_policies(TEXTS["warned"].encode(), reading)
    policy.compiled_beside(path).write_bytes(form)
    deployed(path)
    fast = capsys.readouterr()
    said = [
        [json.loads(line)["message"] for line in (one.out + one.err).splitlines()]
        for one in (slow, fast)
    ]
    assert said[0] == said[1]
    assert len(said[0]) == len(reading.mistakes)


def test_the_command_writes_it_and_plan_takes_it(tmp_path: Path) -> None:
    path = tmp_path / "policies.yaml"
    path.write_text((ROOT / "policies.yaml").read_text())

    def run(*words: str) -> str:
        command = [sys.executable, "-m", "remediator", *words]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
        return done.stdout

    ask = ("plan", "docs/examples/case.json", "--policies", str(path), "--json", "--explain")
    slow = run(*ask)
    run("validate", str(path), "--compile")
    assert policy.reread(path.read_bytes(), policy.compiled_beside(path).read_bytes(), str(path))
    assert run(*ask) == slow
