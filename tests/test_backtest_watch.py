"""`backtest` over jobs that ran: what the entries of `watch` would have told, when, and what it would have saved."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.running import GPU, at, line, running, series, stalled, steps

HEAD = """\
version: 1
mode: enforce
rerun_safe: [custom]
limits: {attempts: 3, usd_per_job: 50, usd_per_day: 500}
channels: {ml: {email: {smtp: "env:SMTP_URL", from: "v@example.com", to: ["ml@example.com"]}}}
policies:
  - {name: the-rest, when: {}, alert: [ml]}
"""
TELL = HEAD + "watch:\n  - {name: hung, when: {running: [stalled, spinning]}, alert: [ml]}\n"
CANCEL = TELL.replace("}, alert: [ml]}\n", "}, do: cancel, alert: [ml]}\n").replace(
    "when: {}, do: cancel", "when: {}"
)
RESUBMIT = TELL.replace("spinning]}", "spinning]}, do: {cancel_resubmit: {checkpoint: not_needed}}")


def life(name: str, until: int, body: dict[str, Any], state: str = "FAILED") -> dict[str, Any]:
    """The case of a job that ended at that minute."""
    number = str(sum(map(ord, name)))
    body["job"]["name"] = f"{body['job']['name'].rpartition('/')[0]}/{number}"
    ended = {"state": f"JOB_STATE_{state}", "endTime": at(until), "displayName": name}
    error = {"error": {"code": 4, "message": "The job timed out."}} if state == "FAILED" else {}
    body["job"] |= {**ended, **error}
    return {**body, "now": at(until + 7)}


def hung(name: str = "hung", state: str = "FAILED") -> dict[str, Any]:
    """An A100 that worked for 90 minutes and was paid for five hours."""
    return life(name, 300, stalled(300, 90, machine=GPU), state)


def steady() -> dict[str, Any]:
    metrics = (
        series("cpu/utilization", lambda _: 0.4, 300),
        series("accelerator/utilization", lambda _: 0.9, 300),
    )
    return life(
        "steady", 300, running(300, machine=GPU, metrics=metrics, lines=steps(300)), "SUCCEEDED"
    )


def pause() -> dict[str, Any]:
    """It stood still from minute 90 to 180 and then went on by itself."""

    def works(minute: int) -> bool:
        return not 90 <= minute < 180

    metrics = (
        series("cpu/utilization", lambda m: 0.4 if works(m) else 0.001, 300),
        series("accelerator/utilization", lambda m: 0.9 if works(m) else 0.0, 300),
    )
    lines = tuple(one for m, one in enumerate(steps(300), 1) if works(m))
    return life("pause", 300, running(300, machine=GPU, metrics=metrics, lines=lines), "SUCCEEDED")


def queued() -> dict[str, Any]:
    body = running(0)
    body["job"] |= {"state": "JOB_STATE_QUEUED", "createTime": at(0), "displayName": "queued"}
    del body["job"]["startTime"]
    return {**body, "now": at(100)}


@pytest.fixture
def told(tmp_path: Path, run: Callable[..., tuple[int, str, str]]) -> Callable[..., dict[str, Any]]:
    """What the JSON says of some cases under a file, and of another file where there is one."""
    return partial(_told, tmp_path, run)


def _told(
    folder: Path,
    run: Callable[..., tuple[int, str, str]],
    policies: str,
    *cases: dict[str, Any],
    against: str = "",
    text: bool = False,
) -> Any:
    (folder / "cases").mkdir()
    for number, case in enumerate(cases):
        (folder / "cases" / f"{number}.json").write_text(json.dumps(case))
    (folder / "policies.yaml").write_text(policies)
    more = []
    if against:
        (folder / "other.yaml").write_text(against)
        more = ["--against", str(folder / "other.yaml")]
    asked = ("--cases", str(folder / "cases"), "--policies", str(folder / "policies.yaml"), *more)
    code, out, err = run("backtest", *asked, *(() if text else ("--json",)))
    assert (code, err) == (0, "")
    return out if text else json.loads(out)["watch"]


def test_a_job_that_stood_still_is_told_and_what_it_cost_since(told: Any) -> None:
    found = told(TELL, hung(), steady())
    (spell,) = found["spells"]
    assert (spell["verdict"], spell["policy"], spell["action"]) == ("stalled", "hung", "alert")
    assert (spell["since"], spell["alerted"]) == (at(89), at(130))
    assert (spell["went_on"], spell["saved_usd"], spell["ended"]) == (False, 0.0, None)
    assert spell["usd_after"] == pytest.approx(spell["usd_per_hour"] * 170 / 60, abs=0.01)
    assert found["policies"]["open_usd"] == spell["usd_after"]
    assert (found["jobs"], found["policies"]["spells"]) == (2, 1)


def test_a_cancel_saves_what_the_job_cost_from_then_on(told: Any) -> None:
    found = told(CANCEL, hung())
    (spell,) = found["spells"]
    assert (spell["action"], spell["alerted"]) == ("cancel", at(130))
    assert spell["saved_usd"] == spell["usd_after"] == found["policies"]["saved_usd"]
    assert found["policies"] | {"cancel": 1, "open_usd": 0.0} == found["policies"]


@pytest.mark.parametrize(
    ("policies", "action", "saved"), [(TELL, "alert", False), (CANCEL, "cancel", False)]
)
def test_a_job_that_went_on_by_itself_is_said_to_and_saves_nothing(
    told: Any, policies: str, action: str, saved: bool
) -> None:
    (spell,) = told(policies, pause())["spells"]
    assert (spell["action"], spell["went_on"]) == (action, True)
    assert bool(spell["saved_usd"]) is saved
    assert (spell["ended"] is None) is (action == "cancel")  # it was over before it went on


def test_a_running_job_is_judged_up_to_now(told: Any) -> None:
    """At its `now` everything has arrived: what `plan` says of the case is told then."""
    found = told(TELL, stalled(133, 95, machine=GPU), queued())
    assert [(one["verdict"], one["alerted"]) for one in found["spells"]] == [("stalled", at(133))]
    assert found["jobs"] == 2


def test_a_job_that_waits_is_told_where_an_entry_is_for_that(told: Any) -> None:
    file = TELL.replace("[stalled, spinning]", "waiting_for_quota")
    (spell,) = told(file, queued())["spells"]
    assert (spell["verdict"], spell["usd_after"]) == ("waiting_for_quota", 0.0)
    assert (spell["since"], spell["alerted"]) == (at(0), at(64))


def test_a_time_out_is_foretold_at_two_looks_in_a_row(told: Any) -> None:
    """The log is read for its progress every half hour, and again while it is suspected."""
    metrics = (series("cpu/utilization", lambda _: 0.4, 200),)
    lines = tuple(line(m, f"epoch {m}/600") for m in range(1, 200))
    body = running(200, metrics=metrics, lines=lines)
    body["job"]["jobSpec"]["scheduling"]["timeout"] = "14400s"
    file = TELL.replace("[stalled, spinning]", "will_time_out")
    (spell,) = told(file, body)["spells"]
    assert spell["verdict"] == "will_time_out"
    assert spell["alerted"] < at(120)


def test_budgets_fill_up_in_the_order_of_time(told: Any) -> None:
    file = RESUBMIT.replace("usd_per_day: 500", "usd_per_day: 500, resubmissions_per_hour: 1")
    found = told(file, hung("first"), hung("second"), hung("third"))
    assert [one["refused_by"] for one in found["spells"]] == [[], ["rate"], ["rate"]]
    assert found["policies"]["cancel_resubmit"] == 1
    assert found["spells"][0]["resubmission_usd"] > 0


def test_two_files_are_compared_job_by_job_though_their_names_are_the_same(told: Any) -> None:
    found = told(TELL.replace("spinning]", "spinning], for: 2h"), hung(), hung(), against=TELL)
    assert len(found["differences"]) == 2
    for one in found["differences"]:
        assert [len(one["before"]), len(one["after"])] == [1, 1]
        assert (one["before"][0]["alerted"], one["after"][0]["alerted"]) == (at(130), at(218))


def test_without_entries_nothing_is_watched(told: Any) -> None:
    assert told(HEAD, hung()) is None


def test_a_long_job_is_told_as_soon_as_a_short_one(told: Any) -> None:
    """What is older than some hours is read by its means, as live."""
    minutes = 30 * 60
    body = life(
        "long",
        minutes,
        stalled(minutes, minutes - 200, machine=GPU, lines=steps(minutes - 200, 30)),
    )
    (spell,) = told(TELL, body)["spells"]
    assert spell["since"] == at(minutes - 201)
    assert spell["alerted"] <= at(minutes - 200 + 42)


def test_the_text_says_it_whole(told: Any, tmp_path: Path) -> None:
    out = told(TELL, hung(), pause(), against=CANCEL, text=True).replace(str(tmp_path), "DIR")
    start = out.index("## 2 jobs watched")
    assert out[start:] == WATCHED


WATCHED = """\
## 2 jobs watched, 10.1 hours in all

Looked at 152 times; 6 of the looks saw nothing.

### DIR/policies.yaml: 2 alerts, $0.00 saved by cancels, $12.05 open to whoever read the alerts

| entry | alerts | cancel | cancel_resubmit | approve | went on | saved USD | open USD |
| ----- | -----: | -----: | --------------: | ------: | ------: | --------: | -------: |
| hung  |      2 |      0 |               0 |       0 |       1 |      0.00 |    12.05 |

- `hung` projects/123456789012/locations/us-central1/customJobs/434: stood still since 2026-11-28 09:29 UTC; told 2026-11-28 10:10 UTC (41 min later), alert; $12.05 until its end
- `pause` projects/123456789012/locations/us-central1/customJobs/542: stood still since 2026-11-28 09:29 UTC; told 2026-11-28 10:10 UTC (41 min later), alert; it went on after 52 min

### DIR/other.yaml: 2 alerts, $12.05 saved by cancels, $0.00 open to whoever read the alerts

| entry | alerts | cancel | cancel_resubmit | approve | went on | saved USD | open USD |
| ----- | -----: | -----: | --------------: | ------: | ------: | --------: | -------: |
| hung  |      2 |      2 |               0 |       0 |       1 |     12.05 |     0.00 |

### 2 differences in what is watched

- `hung` projects/123456789012/locations/us-central1/customJobs/434
  - DIR/other.yaml: stood still since 2026-11-28 09:29 UTC; told 2026-11-28 10:10 UTC (41 min later), cancelled: $12.05 saved
  - DIR/policies.yaml: stood still since 2026-11-28 09:29 UTC; told 2026-11-28 10:10 UTC (41 min later), alert; $12.05 until its end

- `pause` projects/123456789012/locations/us-central1/customJobs/542
  - DIR/other.yaml: stood still since 2026-11-28 09:29 UTC; told 2026-11-28 10:10 UTC (41 min later), cancelled, though it succeeded in the end
  - DIR/policies.yaml: stood still since 2026-11-28 09:29 UTC; told 2026-11-28 10:10 UTC (41 min later), alert; it went on after 52 min
"""
