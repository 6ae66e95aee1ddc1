"""The page of examples is what the alerts are."""

from __future__ import annotations

from pathlib import Path

from tests.alert_examples import EXAMPLES, page
from tests.alert_situations import SITUATIONS

DOCS = Path(__file__).resolve().parents[1] / "docs"


def test_the_page_of_examples_is_what_alerts_are() -> None:
    """`python -m tests.alert_examples > docs/alert-examples.md` writes it anew."""
    assert (DOCS / "alert-examples.md").read_text() == page()


def test_every_kind_of_alert_has_an_example() -> None:
    assert {SITUATIONS[name].kind for name in EXAMPLES} == {f.kind for f in SITUATIONS.values()}
