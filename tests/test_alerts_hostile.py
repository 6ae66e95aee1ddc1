"""Whatever text comes from outside, an alert hides nothing, holds no secret and is cut."""

from __future__ import annotations

import functools
import json

import pytest
from msgspec.structs import replace

from remediator.alerts.compose import compose
from remediator.alerts.facts import AlertFacts, QuestionEnd
from remediator.alerts.message import AlertKind, Message
from remediator.case import Gap
from remediator.domain import (
    Cause,
    Change,
    Evidence,
    RankedCause,
    Section,
    Source,
)
from tests.alert_situations import FAILED_ATTEMPT, PLAN, SITUATIONS, UNKNOWN

HOSTILE = (
    "<!channel> <@U123> [x](https://evil.example) &amp; \x1b[31mred\x07 \u202egnp.exe\u2066 "
    "\u200bzero\ud800 \r\nBcc: all@example.com password=hunter2hunter2"
)


def together(text: str) -> tuple[Message, ...]:
    return tuple(composed(kind, text) for kind in AlertKind if kind is not AlertKind.GROUPED)


@functools.cache
def composed(kind: AlertKind, text: str) -> Message:
    """The message of this kind in which the text stands wherever a text may: of megabytes, once."""
    return compose(hostile(kind, text))


def hostile(kind: AlertKind, text: str = HOSTILE) -> AlertFacts:
    # Of a text of megabytes a few field names of its own will do: each is a copy of it.
    many = 200 if len(text) < 10_000 else 2
    names = [f"{text}.{n}" for n in range(many)] * (200 // many)
    return replace(
        SITUATIONS["next_attempt"],
        kind=kind,
        display_name=text,
        root=text,
        error=text,
        machine=text,
        created=text,
        approval_id=text,
        question_end=QuestionEnd.DECLINED,
        declined_by=text,
        cancelled_why=text,
        extra=(text,) * 30,
        count=30,
        together=together(text) if kind is AlertKind.GROUPED else (),
        gaps=(Gap(Source.LOG, text),) * 9,
        diagnosis=replace(
            UNKNOWN,
            causes=(
                RankedCause(
                    Cause.SLOW_CODE,
                    0.3,
                    (Evidence(Source.LOG, text, text),) * 40,
                    (Evidence(Source.LOG, text, text),) * 40,
                    advice=text,
                    advice_url="javascript:alert(1)",
                ),
            ),
            missing=(text,) * 9,
            sections=(Section(text, 0.5, 1.0),),
        ),
        plan=replace(
            PLAN,
            policy=text,
            because=text,
            changes=tuple(Change(name, text, text) for name in names),
        ),
        attempts=tuple(
            replace(FAILED_ATTEMPT, name=text, verdict=text, changes=(Change(text, text, text),))
            for _ in range(50)
        ),
    )


def every_text(message: Message) -> str:
    return json.dumps(message.to_json(), ensure_ascii=False)


@pytest.mark.parametrize("kind", AlertKind)
def test_nothing_hidden_and_no_secret_gets_into_an_alert(kind: AlertKind) -> None:
    told = every_text(compose(hostile(kind)))
    assert not {c for c in told if c < " " or c in "\u202e\u2066\u200b\x7f"}
    told.encode()  # no lone surrogate is left
    assert "hunter2" not in told
    assert "javascript:" not in told


@pytest.mark.parametrize("kind", AlertKind)
def test_megabytes_are_cut_with_a_mark(kind: AlertKind) -> None:
    message = composed(kind, "wide load " * 300_000)
    assert len(every_text(message)) < 20_000
    assert len(message.title) <= 150
    assert "…" in every_text(message)
