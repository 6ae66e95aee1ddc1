"""Situations as they arrive at Slack and in the mail, whole, as a person reads them.

The files in `told/` are what was looked at; ids, times and prices' moments are made the same before
they are compared. Slack's message and the mail's text say the same words.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from datetime import timedelta
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest

from tests.stories.conftest import POLICIES
from tests.stories.test_alerts_delivery import odd_failure
from tests.stories.test_alerts_slack import HOPELESS
from tests.stories.test_kinds import refused
from tests.stories.test_loop import HEAVY, batch_job, custom_job, failure_line
from twin import faults
from twin.clock import rfc3339
from twin.stories import STORIES

TOLD = Path(__file__).parent / "told"
ASKING = POLICIES.replace("mode: enforce", "mode: approve")


def recovery(open_house: Callable[..., Any], cloud: Any, later: Any) -> None:
    del later
    house = open_house()
    job = cloud.past_job(
        "customJobs", custom_job(), HEAVY, route=False, ended_ago=timedelta(hours=4)
    )
    assert house.hear(failure_line(cloud, job)) == 200
    cloud.clock.advance(3 * 3600)
    house.reconcile()


def give_up(open_house: Callable[..., Any], cloud: Any, later: Any) -> None:
    del later
    house = open_house(REMEDIATOR_LOOKBACK="48h")
    job = cloud.past_job("customJobs", custom_job(), HOPELESS, route=False)
    assert house.hear(failure_line(cloud, job)) == 200
    for _ in range(3):
        cloud.clock.advance(3 * 3600)
        house.reconcile()


def approval(open_house: Callable[..., Any], cloud: Any, later: Any) -> None:
    del later
    job = cloud.past_job("customJobs", custom_job(), HEAVY, route=False)
    assert open_house(ASKING).hear(failure_line(cloud, job)) == 200


def abstention(open_house: Callable[..., Any], cloud: Any, later: Any) -> None:
    del later
    assert open_house().hear(odd_failure(cloud, 1)) == 200


def partial_failure(open_house: Callable[..., Any], cloud: Any, later: Any) -> None:
    del later
    house = open_house()
    ended = cloud.clock.now() - timedelta(hours=1)
    cloud.add_job(
        {
            **batch_job(cloud, "rows"),
            "name": cloud.name("batchPredictionJobs", "4712471247"),
            "state": "JOB_STATE_PARTIALLY_SUCCEEDED",
            "createTime": rfc3339(ended - timedelta(hours=1)),
            "startTime": rfc3339(ended - timedelta(hours=1)),
            "endTime": rfc3339(ended),
            "completionStats": {"successfulCount": "900", "failedCount": "100"},
        }
    )
    house.reconcile()
    for entry in cloud.logs.find('logName:"vertex-remediator-job-failures"'):
        assert house.hear(entry) == 200


def storm(open_house: Callable[..., Any], cloud: Any, later: Any) -> None:
    house = open_house()
    for number in range(23):
        assert house.hear(odd_failure(cloud, number)) == 200
    later(seconds=70)
    house.reconcile()


def permission(open_house: Callable[..., Any], cloud: Any, later: Any) -> None:
    del later
    house = open_house()
    words = "Permission 'aiplatform.customJobs.get' denied on resource 'x' (or it may not exist)."
    cloud.fail("JobService.GetCustomJob", faults.status("PERMISSION_DENIED", words))
    assert house.hear(odd_failure(cloud, 1)) == 503


def refused_creation(open_house: Callable[..., Any], cloud: Any, later: Any) -> None:
    del later
    words = (
        "The following quota metrics exceed quota limits: "
        "aiplatform.googleapis.com/custom_model_training_nvidia_l4_gpus"
    )
    entry = refused(cloud, "JobService.CreateCustomJob", 8, words)
    assert open_house().hear(entry) == 200


def lived(story: str, house: Any, cloud: Any, later: Any) -> None:
    """A story of the twin's own, until its job would have recovered."""
    next(one for one in STORIES if story in one.title).tell(cloud, "score")
    house.reconcile()
    for entry in cloud.logs.find("severity>=ERROR"):
        house.hear(entry)
    cloud.clock.advance(3 * 3600)
    later(minutes=10)
    house.reconcile()


def mended_batch(open_house: Callable[..., Any], cloud: Any, later: Any) -> None:
    lived("GPU model", open_house(), cloud, later)


def far_data(open_house: Callable[..., Any], cloud: Any, later: Any) -> None:
    lived("data far away", open_house(), cloud, later)


def slow_code(open_house: Callable[..., Any], cloud: Any, later: Any) -> None:
    lived("loop is slow", open_house(), cloud, later)


def find_external_rerun(open_house: Callable[..., Any], cloud: Any, later: Any) -> None:
    lived("already run again", open_house(), cloud, later)


SITUATIONS = (
    *(recovery, give_up, approval, abstention, partial_failure, storm),
    *(permission, refused_creation, mended_batch, far_data, slow_code, find_external_rerun),
)


def same_each_time(text: str) -> str:
    """Without what differs from run to run: ids, moments, tokens."""
    text = re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d UTC", "TIME", text)
    text = re.sub(r"\d{4}_\d\d_\d\dT[\d_.]+Z", "TIME", text)
    text = re.sub(r"sqlite:///\S+", "LEDGER", text)
    text = re.sub(r"\b[0-9a-hj-km-np-tv-z]{4}-[0-9a-hj-km-np-tv-z]{4}\b(?=[\s`),]|$)", "ID", text)
    text = re.sub(r"\b[0-9a-f]{32}\b|\b[0-9a-f]{16}\b|\b\d{10,}\b", "ID", text)
    return re.sub(r"(?m)^ +$", "", text)


def as_read(body: dict[str, Any]) -> str:
    """A Slack message as lines of text: header, sections, buttons; links by their names."""
    lines: list[str] = []
    for block in body["blocks"]:
        if block["type"] == "rich_text":
            items = [item["elements"] for part in block["elements"] for item in part["elements"]]
            lines += ["".join(piece["text"] for piece in item) for item in items]
            continue
        nodes = [block["text"]] if "text" in block else block["elements"]
        for node in nodes:
            found = node["text"]["text"] if node["type"] == "button" else node["text"]
            lines.append(f"[{found}]" if node["type"] == "button" else found)
    return re.sub(r"<https://[^|>]*\|([^>]*)>", r"<\1>", "\n".join(lines)) + "\n"


def plain(mail: EmailMessage) -> str:
    body = mail.get_body(("plain",))
    assert body is not None
    return str(body.get_content())


def words(text: str) -> list[str]:
    return re.findall(r"[A-Za-z0-9$_.%-]*[A-Za-z0-9%]", text)


@pytest.mark.parametrize("cloud", [20], indirect=True, ids=["the-twin-is-20-hours-behind"])
@pytest.mark.parametrize("situation", SITUATIONS, ids=lambda one: one.__name__)
def test_what_people_are_told_last(
    open_house: Callable[..., Any],
    cloud: Any,
    later: Any,
    monkeypatch: pytest.MonkeyPatch,
    situation: Callable[..., None],
) -> None:
    monkeypatch.setenv("REMEDIATOR_LOOKBACK", "48h")
    situation(open_house, cloud, later)
    slack, mail = cloud.slack.messages[-1], cloud.mail.messages[-1]
    told = same_each_time(as_read(slack.body))
    file = TOLD / f"{situation.__name__}.txt"
    if os.environ.get("WRITE_TOLD"):  # to read the difference as a person would, and keep it
        file.write_text(told, encoding="utf-8")
    assert told == file.read_text(encoding="utf-8")
    until_links = plain(mail).partition("\n\nLinks\n")[0]
    until_links = re.sub(r"(?m)^  https://\S+\n?", "", until_links)  # pages are links in Slack
    shown = re.sub(r"^• |Job$", "", told.rpartition("\n<")[0] or told, flags=re.MULTILINE)
    assert words(same_each_time(until_links)) == words(shown)
