"""A file that says everything is read as it stands; limits and ceilings bind whatever it says."""

from __future__ import annotations

from datetime import timedelta
from fnmatch import fnmatchcase
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remediator.domain import Cause, JobKind, Mode
from remediator.policy.checks import covers
from remediator.policy.language import (
    Accelerator,
    Breaker,
    Limits,
    Per,
    Tighter,
    When,
    bound,
)
from remediator.policy.model import tightened
from remediator.policy.steps import MemoryMove, MoreMemory
from tests.policy.language_cases import CALM, EVERYTHING, HEAD, ROOT, only_policy, read

# --- a file that says everything -------------------------------------------------------------------


def test_a_file_with_every_key_loads_without_a_word() -> None:
    loaded = read(EVERYTHING)
    assert loaded.render() == ""
    policies = loaded.require()
    assert policies.mode is Mode.ENFORCE
    assert policies.rerun_safe == (JobKind.BATCH_PREDICTION, JobKind.CUSTOM)
    assert policies.probes.threshold == timedelta(milliseconds=250)
    assert policies.limits.max_run == 3.0
    first = policies.policies[0]
    assert first.when.labels == {"env": ("prod",), "switch": ("off",)}
    assert first.when.condition == "job.machine.vcpus < 64 && job.run_seconds > 600"
    steps = [step.resubmit for step in first.do]
    assert (steps[0].machine_type, steps[0].batch_size, steps[0].replicas) == ("bigger", "halve", 4)
    assert steps[0].wait == timedelta(minutes=10)
    assert steps[1].accelerator == Accelerator(type="NVIDIA_TESLA_T4", stated_count=1)
    assert [step.asks_for_change for step in steps] == [True, True, False, True, True]
    assert steps[4].machine_type == MemoryMove(more_memory=MoreMemory(factor=1.5, at_most=256.0))
    assert (first.mode, first.enabled) == (Mode.APPROVE, True)
    assert first.description == "batches that the CPU holds up"
    second = policies.policies[1]
    assert second.retry_exit_codes == (75, 143)
    leaves = second.do[0].resubmit
    assert second.do[0].times == 4  # once for each way
    assert (leaves.max_usd, leaves.wait) == (40.0, timedelta(hours=2, minutes=30))
    assert [sorted(way.named()) for way in leaves.fallback or ()] == [
        ["location"],
        ["accelerator", "machine_type"],
        ["max_wait", "strategy"],
        ["spot"],
    ]
    assert second.do[1].resubmit.disk == "double"
    less = policies.policies[2].do[0].resubmit
    assert (less.env, less.args) == ({"BATCH_SIZE": "halve"}, {"--batch_size": "halve"})
    assert less.disk == 200


def test_what_is_left_out_takes_the_careful_default() -> None:
    policies = read(only_policy()).require()
    assert (policies.mode, policies.rerun_safe) == (Mode.OBSERVE, (JobKind.BATCH_PREDICTION,))
    assert (policies.limits.attempts, policies.limits.retries) == (3, 5)
    assert policies.limits.usd_per_day is None
    assert policies.probes.hosts == ()
    assert policies.policies[0].when.least_confidence == 0.5


def test_the_shipped_file_has_a_policy_and_a_limit_for_everything() -> None:
    text = (ROOT / "policies.yaml").read_text()
    assert text.startswith("# yaml-language-server: $schema=docs/policies.schema.json\n")
    policies = read(text).require()
    named = {cause for policy in policies.policies for cause in policy.when.cause or ()}
    assert named == set(Cause)
    assert policies.policies[-1].when == When()
    assert policies.lines is not None
    assert {f"limits.{key}" for key in Limits.__struct_fields__} == set(policies.lines.by_keys)
    # Enforcing is one word: nothing else has to change for the file to be without mistakes.
    assert read(text.replace("\nmode: observe\n", "\nmode: enforce\n")).render() == ""


# --- limits and ceilings ---------------------------------------------------------------------------


_some = st.one_of(st.none(), st.integers(0, 20))
_numbers = {
    "usd_per_job": _some,
    "usd_per_day": _some,
    "resubmissions_per_hour": _some,
}


@CALM
@given(
    st.fixed_dictionaries(
        {**_numbers, "attempts": st.integers(0, 9), "retries": st.integers(0, 9)}
    ),
    st.fixed_dictionaries({**_numbers, "attempts": _some, "retries": _some}),
    st.sampled_from(["alert", "cancel"]),
    st.sampled_from([None, "alert", "cancel"]),
)
def test_merged_limits_are_never_looser_than_either(
    general: dict[str, Any], own: dict[str, Any], overrun: str, own_overrun: str | None
) -> None:
    merged = tightened(
        Limits(**general, on_overrun=overrun), Tighter(**own, on_overrun=own_overrun)
    )
    for name, most in general.items():
        bounds = [v for v in (most, own[name]) if v is not None]
        assert getattr(merged, name) == min(bounds, default=None)
    assert (merged.on_overrun == "cancel") is ("cancel" in {overrun, own_overrun})


def test_a_policys_own_lists_and_groups_join_the_general_ones() -> None:
    breaker = Breaker(failed_share=0.2, of_last=5, pause=timedelta(hours=1))
    general = Limits(machine_types=("n1-*",), per=(Per(by="model", usd_per_day=5),))
    own = Tighter(machine_types=("n1-standard-*",), per=(Per(by="location"),), breaker=breaker)
    merged = tightened(general, own)
    assert merged.machine_types == ("n1-standard-*",)
    assert [group.by for group in merged.per] == ["model", "location"]
    assert merged.breaker == breaker
    assert tightened(general, Tighter()) == general


@pytest.mark.parametrize(
    ("ceiling", "mode", "usd_per_day"),
    [
        ({}, Mode.ENFORCE, 1000.5),
        ({"max_mode": Mode.OBSERVE}, Mode.OBSERVE, 1000.5),
        ({"max_mode": Mode.APPROVE}, Mode.APPROVE, 1000.5),
        ({"max_usd_per_day": 7.0}, Mode.ENFORCE, 7.0),
        ({"max_usd_per_day": 7000.0}, Mode.ENFORCE, 1000.5),
    ],
)
def test_ceilings_bind_whatever_the_file_says(
    ceiling: dict[str, Any], mode: Mode, usd_per_day: float
) -> None:
    policies = bound(read(EVERYTHING).require(), **ceiling, channel_hosts=["hooks.slack.com"])
    assert (policies.mode, policies.limits.usd_per_day) == (mode, usd_per_day)
    assert policies.channel_hosts == ("hooks.slack.com",)
    assert policies.limits_for(policies.policies[0]).usd_per_day == usd_per_day


def test_a_ceiling_is_no_reason_to_raise_a_mode() -> None:
    observing = read(HEAD).require()
    bounded = bound(observing, max_mode=Mode.ENFORCE, max_usd_per_job=5.0)
    assert (bounded.mode, bounded.limits.usd_per_job) == (Mode.OBSERVE, 5.0)
    assert bounded.channel_hosts is None


_globs = st.text(alphabet="ab*?-", min_size=1, max_size=6)


@CALM
@given(_globs, _globs, st.data())
def test_a_glob_is_said_to_cover_another_only_if_it_does(
    wider: str, narrower: str, data: st.DataObject
) -> None:
    fills = st.text(alphabet="abc-", max_size=3)
    text = "".join(
        data.draw(fills) if c == "*" else data.draw(st.sampled_from("abc-")) if c == "?" else c
        for c in narrower
    )
    assert fnmatchcase(text, narrower)
    assert not covers(wider, narrower) or fnmatchcase(text, wider)


@pytest.mark.parametrize(
    ("wider", "narrower", "expected"),
    [
        ("*", "anything-*", True),
        ("us-*", "us-east?", True),
        ("us-*", "us-", True),
        ("us-?*", "us-*", False),
        ("*@x", "a*@x", True),
        ("a?c", "abc", True),
        ("a?c", "a*c", False),
        ("[ab]*", "a*", False),
        ("[ab]*", "abc", True),
        ("a**b", "a*b", True),
        ("n1-*", "n2-*", False),
    ],
)
def test_which_globs_cover_which(wider: str, narrower: str, expected: bool) -> None:
    assert covers(wider, narrower) is expected


def test_unknown_where_it_is_named_needs_no_confidence() -> None:
    assert When(cause=(Cause.UNKNOWN,)).accepts(Cause.UNKNOWN, 0.0)
    assert When().accepts(Cause.UNKNOWN, 0.0)
    assert not When(min_confidence=0.5).accepts(Cause.UNKNOWN, 0.0)
    assert not When(cause=(Cause.QUOTA,)).accepts(Cause.QUOTA, 0.49)
    assert not When(cause=(Cause.QUOTA,)).accepts(Cause.PREEMPTION, 0.9)
