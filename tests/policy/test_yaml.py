"""Text that is no policy file: whatever it holds, it is told and nothing raises."""

from __future__ import annotations

import re
import string
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from remediator.domain import Cause
from remediator.policy.language import (
    load,
)
from tests.effort import calls_made
from tests.policy.language_cases import CALM, EVERYTHING, HEAD, only_policy, read

# --- YAML ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("off", "off"),
        ("yes", "yes"),
        ("22:00", "22:00"),
        ("2026-11-23", "2026-11-23"),
        ("1_000", "1_000"),
        ("'1'", "1"),
        ('"true"', "true"),
        ("!!str 1", "1"),
        ("0b11", "0b11"),
    ],
)
def test_text_is_text_as_in_yaml_1_2(written: str, meant: str) -> None:
    loaded = read(only_policy(f"{{labels: {{key: {written}}}}}"))
    assert loaded.require().policies[0].when.labels == {"key": (meant,)}


@pytest.mark.parametrize(
    ("written", "meant"), [("010", 10), ("0o10", 8), ("0x10", 16), ("+7", 7), ("0", 0)]
)
def test_numbers_are_numbers_as_in_yaml_1_2(written: str, meant: int) -> None:
    text = f"version: 1\nlimits: {{resubmissions_per_hour: {written}}}\npolicies: []\n"
    assert read(text).require().limits.resubmissions_per_hour == meant


def test_the_pure_and_the_compiled_parser_would_be_the_same_to_us() -> None:
    """The compiled one is used; where it is missing, `yaml.SafeLoader` gives the same events."""
    assert [type(e).__name__ for e in yaml.parse(EVERYTHING, Loader=yaml.SafeLoader)] == [
        type(e).__name__ for e in yaml.parse(EVERYTHING, Loader=yaml.CSafeLoader)
    ]


BOMB = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{new}: &{new} [{', '.join([f'*{old}'] * 10)}]\n"
    for old, new in zip(string.ascii_lowercase, string.ascii_lowercase[1:10], strict=False)
)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        pytest.param("", "1:1: error: the file is empty", id="empty"),
        pytest.param("# only a comment\n", "1:1: error: the file is empty", id="comment"),
        pytest.param("- a\n", "1:1: error: the file must be a mapping", id="list"),
        pytest.param("hello\n", "1:1: error: the file must be a mapping", id="text"),
        pytest.param("0\n\n0", "(version, mode, policies, …), not `0 0`", id="lines"),
        pytest.param("version: 1\n", "1:1: error: `policies` is missing", id="no policies"),
        pytest.param("policies: []\n", "1:1: error: `version` is missing", id="no version"),
        pytest.param(HEAD + "--- \n" + HEAD, "3:1: error: a second document", id="two documents"),
        pytest.param(
            "%YAML 3.0\n---\n" + HEAD, "1:1: error: not YAML: this YAML version", id="3.0"
        ),
        pytest.param("version: !!python/object:x {}\n", "1:10: error: the tag", id="unsafe tag"),
        pytest.param("version: !mine 1\n", "1:10: error: the tag `!mine` is refused", id="tag"),
        pytest.param(HEAD + "version: 1\n", "3:1: error: duplicate key `version`", id="twice"),
        pytest.param(BOMB, "error: more than 100000 values, aliases written out", id="bomb"),
        pytest.param("a: &a [*a]\n", "1:8: error: the alias `*a` contains itself", id="cycle"),
        pytest.param("a: *b\n", "1:4: error: no anchor `&b` stands before", id="no anchor"),
        pytest.param("a: &b x\nc:\n  <<: *b\n", "3:3: error: `<<` is not known", id="merge key"),
        pytest.param("[" * 500_000, "error: nested more than 24 deep", id="brackets"),
        pytest.param("? " * 100_000, "error: nested more than 24 deep", id="keys of keys"),
        pytest.param("? [a]\n: b\n", "1:3: error: a key must be one word", id="list as key"),
        pytest.param(
            "1: b\n", "1:1: error: a key must be text: put `1` in quotes", id="number key"
        ),
        pytest.param("version: 1\n\tmode: x\n", "2:1: error: not YAML: a tab stands", id="tab"),
        pytest.param("a: b: c\n", "1:5: error: not YAML: a second `:`", id="two colons"),
        pytest.param("a: [1, 2\nb: c\n", "error: not YAML: a list's `]`", id="open list"),
        pytest.param("a: 'x\n", "error: not YAML: the closing quote is missing", id="open quote"),
        pytest.param("a: @x\n", "1:4: error: not YAML: `@` cannot begin a value", id="at sign"),
        pytest.param("a: b\0\n", "1:5: error: the character U+0000 is not allowed", id="NUL"),
        pytest.param("a: \ud800\n", "1:4: error: the character U+D800", id="half a character"),
        pytest.param(b"a: b\n\xff\n", "2:1: error: byte 0xff is not UTF-8 text", id="not UTF-8"),
        pytest.param(HEAD.encode("utf-16"), "error: byte 0xff is not UTF-8 text", id="UTF-16"),
        pytest.param("#" * 4_000_001, "1:1: error: the file is larger than 4 MB", id="huge"),
        pytest.param("a: " + "9" * 5000, "unknown key `a`", id="a number of 5000 digits"),
        pytest.param("version: 1\npolicies:\n", "2:10: error: policies: is empty", id="null"),
        pytest.param(
            "version: 1\npolicies: [3]\n", "2:12: error: policies: expected a map", id="3"
        ),
        pytest.param(
            "version: 1\npolicies: {}\n", "2:11: error: policies: expected a list", id="{}"
        ),
    ],
)
def test_bytes_that_are_no_policy_file_are_told_in_a_sentence(text: str | bytes, told: str) -> None:
    loaded = read(text)
    assert loaded.policies is None
    assert told in loaded.render()


def test_a_byte_order_mark_and_windows_line_ends_do_no_harm() -> None:
    assert read("\ufeff" + EVERYTHING.replace("\n", "\r\n")).render() == ""
    assert read(b"\xef\xbb\xbf" + EVERYTHING.encode()).policies is not None


def test_aliases_may_share_what_is_written_once() -> None:
    text = (
        "version: 1\npolicies:\n- {name: a, when: {cause: quota}, do: &later [resubmit: {wait: 5m}]}"
        "\n- {name: b, when: {cause: preemption}, do: *later}\n"
    )
    policies = read(text).require().policies
    assert policies[0].do == policies[1].do


# --- nothing raises, nothing is silent -------------------------------------------------------------


def holds_together(text: str | bytes) -> None:
    loaded = read(text)
    assert (loaded.policies is None) is bool(loaded.errors)
    assert list(loaded.mistakes) == sorted(loaded.mistakes)
    for mistake in loaded.mistakes:
        assert mistake.line >= 1
        assert mistake.column >= 1
        assert "\n" not in mistake.message
        assert "Traceback" not in mistake.message


@CALM
@given(st.binary(max_size=400))
def test_no_bytes_make_it_raise(data: bytes) -> None:
    holds_together(data)


@CALM
@given(
    st.text(alphabet=st.sampled_from("aif:-[]{}&*!|>'\"#%@,? \n\t~.019versionpolces"), max_size=200)
)
def test_no_yaml_like_text_makes_it_raise(text: str) -> None:
    holds_together(text)


_KEYS = sorted(
    set(re.findall(r"[a-z_]+(?=:)", EVERYTHING))
    | {"mode", "smtp", "if", "polices", "attemps", "Owner", "<<", ""}
)


_WORDS = sorted(
    set(re.findall(r"[\w.*-]+", EVERYTHING)) | {"n1-standard-8", "NVIDIA_L4", "job.spot", "owner"}
)


_scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 2000),
    st.floats(),
    st.sampled_from(_WORDS),
    st.text(max_size=8),
)


_trees = st.recursive(
    _scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.sampled_from(_KEYS), inner, max_size=6)
    ),
    max_leaves=25,
)


@CALM
@given(st.dictionaries(st.sampled_from(_KEYS), _trees, max_size=8))
def test_no_tree_of_the_languages_own_words_makes_it_raise(tree: dict[str, Any]) -> None:
    holds_together(yaml.safe_dump({"version": 1, "policies": [], **tree}, allow_unicode=True))


@CALM
@given(st.data())
def test_one_change_to_a_good_file_is_found_or_harmless(data: st.DataObject) -> None:
    """A line lost, doubled, or with one character changed never raises, and never half loads."""
    lines = EVERYTHING.splitlines()
    at = data.draw(st.integers(0, len(lines) - 1))
    place = data.draw(st.integers(0, max(len(lines[at]) - 1, 0)))
    char = data.draw(st.sampled_from("x:-[]{} '\"#&*1\t"))
    kinds = {
        "lost": [*lines[:at], *lines[at + 1 :]],
        "doubled": [*lines[: at + 1], *lines[at:]],
        "changed": [
            *lines[:at],
            lines[at][:place] + char + lines[at][place + 1 :],
            *lines[at + 1 :],
        ],
    }
    holds_together("\n".join(kinds[data.draw(st.sampled_from(sorted(kinds)))]))


def test_loading_a_policy_more_costs_as_much_however_many_there_are() -> None:
    causes = [cause.value for cause in Cause]

    def calls_for(number: int) -> int:
        text = "version: 1\npolicies:\n" + "".join(
            f"- name: p-{i}\n  when: {{cause: {causes[i % 17]}, labels: {{team: team-{i}}},"
            f' location: us-*, if: "job.machine.vcpus < {i} && job.run_seconds > 600"}}\n'
            "  do: [{resubmit: {machine_type: bigger}, times: 2}, {resubmit: {batch_size: halve}}]\n"
            for i in range(number)
        )
        return calls_made(lambda: len(load(text).require().policies))

    calls_for(1)  # what is loaded once is loaded
    few, many = calls_for(50), calls_for(200)
    assert many < 5 * few
