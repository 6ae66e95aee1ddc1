"""The page of thirty time-outs is what the product says of them."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.rule_cases import FAMILIES, ROOT, SHOWN, Shown, page, verdict


@pytest.mark.parametrize("shown", SHOWN, ids=lambda one: f"{one.family}: {one.title}"[:50])
def test_each_shown_case_is_told_apart(shown: Shown) -> None:
    assert shown.cause in FAMILIES[shown.family]
    assert verdict(shown) is shown.cause


def test_ten_of_each_family_in_both_kinds_with_and_without_telemetry() -> None:
    assert Counter(one.family for one in SHOWN) == dict.fromkeys(FAMILIES, 10)
    kinds = {(one.family, "batchPrediction" in one.body["job"]["name"], "telemetry" in one.seen_by) for one in SHOWN}  # fmt: skip
    assert len(kinds) == len(FAMILIES) * 4


def test_the_page_is_what_the_alerts_are() -> None:
    """`python -m tests.rule_cases > docs/time-outs.md` writes it anew."""
    assert (ROOT / "docs" / "time-outs.md").read_text() == page()
