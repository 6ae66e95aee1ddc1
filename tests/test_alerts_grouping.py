"""Many alerts in one message: nobody who is needed is lost, and equal questions are one line."""

from __future__ import annotations

import json
import re

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from remediator.alerts import wording
from remediator.alerts.compose import compose
from remediator.alerts.facts import AlertFacts
from remediator.alerts.grouping import split
from remediator.alerts.message import AlertKind, Message, Severity, as_text
from remediator.alerts.render import render_slack
from remediator.domain import (
    Action,
    Change,
)
from tests.alert_situations import BIGGER, FACTS, JOB, PLAN, SITUATIONS


def question(number: int, name: str, change: Change = BIGGER) -> Message:
    plan = replace(PLAN, action=Action.APPROVE, changes=(change,))
    return compose(
        replace(
            SITUATIONS["approval"],
            job=replace(JOB, id=str(number)),
            root=str(replace(JOB, id=str(number))),
            display_name=name,
            approval_id=f"id-{number}",
            plan=plan,
        )
    )


@given(st.lists(st.sampled_from(["asks", "asks otherwise", "needs", "fine"]), max_size=400))
def test_whatever_needs_a_person_stands_in_some_message_with_its_command(sorts: list[str]) -> None:
    """For any number of jobs: none is cut, none is in two, and a second message is made instead."""
    other = replace(BIGGER, after="n1-standard-32")
    made = {
        "asks": lambda n: question(n, f"job-{n}"),
        "asks otherwise": lambda n: question(n, f"job-{n}", other),
        "needs": lambda n: compose(
            replace(SITUATIONS["alert-limit"], job=replace(JOB, id=str(n)), display_name=f"job-{n}")
        ),
        "fine": lambda n: compose(replace(FACTS, display_name=f"job-{n}")),
    }
    messages = [made[sort](number) for number, sort in enumerate(sorts)]
    groups = split(messages)
    assert sorted(map(id, (one for group in groups for one in group))) == sorted(map(id, messages))
    for group in groups:
        sent = compose(AlertFacts(AlertKind.GROUPED, together=group))
        body = json.dumps(render_slack(sent))
        assert len(render_slack(sent)["blocks"]) <= 50
        text = as_text(sent, width=10_000)
        for one in group:
            if one.severity is not Severity.LOUD:
                continue
            name = one.topic.removeprefix("[vertex] ").partition(" (")[0]
            assert re.search(rf"\b{name}\b", text)
            assert re.search(rf"\b{name}\b", body)
            if one.buttons:
                alone = one.commands[0] in text
                alike = f"({one.buttons[0].value})" in text and "approve --like" in text
                assert alone or alike


def test_questions_that_ask_the_same_are_one_line_with_one_command() -> None:
    messages = [question(number, f"align-{number}") for number in range(3)]
    (group,) = split(messages)
    message = compose(AlertFacts(AlertKind.GROUPED, together=group))
    assert message.title == "3 alerts grouped into one: 3 need a person"
    (item,) = message.items
    assert item.text == (
        "3 custom jobs like this: resubmit on n1-standard-16? Approve all, or one by its id: "
        "align-0 (id-0), align-1 (id-1), align-2 (id-2)"
    )
    assert item.command == "python -m remediator approve --like id-0"
    assert item.link is not None


def test_a_list_is_cut_between_lines_and_says_how_many_are_left_out() -> None:
    told = wording.listed([f"{n} {'x' * 200}" for n in range(30)])
    assert (told[0][:2], told[-1]) == ("0 ", "and 18 more")
    assert sum(map(len, told)) < 2600
