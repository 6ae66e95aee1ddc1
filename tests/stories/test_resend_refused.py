"""`REMEDIATOR_RESEND_REFUSED`: a refused Create is sent once again, where the audit log itself says all."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from tests.stories.conftest import POLICIES
from tests.stories.test_kinds import refused, told
from tests.stories.test_loop import custom_job
from twin import faults

CREATE = "JobService.CreateCustomJob"
AUTHOR = "airflow@genomics-lab.iam.gserviceaccount.com"
OTHER = "owner@genomics-lab.iam.gserviceaccount.com"
MAY_CREATE = {"permission": "aiplatform.customJobs.create", "granted": True}
MAY_ACT_AS = {"permission": "iam.serviceAccounts.actAs", "granted": True}
UNAVAILABLE = (14, "The service is currently unavailable.")


def asked(cloud: Any, **more: Any) -> dict[str, Any]:
    """The audit entry of a whole request that was refused for a while."""
    grants = more.pop("grants", [MAY_CREATE])
    code, message = more.pop("status", UNAVAILABLE)
    job = custom_job()
    job["jobSpec"]["serviceAccount"] = more.pop("account", AUTHOR)
    entry = refused(cloud, CREATE, code, message, authorizationInfo=grants)
    entry["protoPayload"]["request"]["customJob"] = job
    return {**entry, **more}


@pytest.fixture
def open_resending(open_house: Callable[..., Any]) -> Callable[..., Any]:
    return lambda policies=POLICIES: open_house(policies, REMEDIATOR_RESEND_REFUSED="1")


def test_a_refusal_that_passes_is_sent_again_once(open_resending: Any, cloud: Any) -> None:
    house = open_resending()
    entry = asked(cloud)
    cloud.logs.add(entry)
    assert [house.hear(entry), house.hear(entry)] == [200, 200]
    (made,) = cloud.jobs.all()
    assert made["jobSpec"]["workerPoolSpecs"][0]["containerSpec"]["imageUri"] == (
        "us-docker.pkg.dev/lab/align:3"
    )
    assert made["labels"]["remediator-attempt"] == "1"
    text = told(cloud).replace("\n", " ")
    assert "it is asked for once again" in text
    assert "hunter2" not in text


def test_refusals_of_the_same_work_within_the_hour_are_one(open_resending: Any, cloud: Any) -> None:
    house = open_resending()
    for number in range(3):
        entry = asked(cloud, insertId=f"retry-{number}")
        cloud.logs.add(entry)
        assert house.hear(entry) == 200
    assert len(cloud.jobs.all()) == 1


def test_an_answer_that_is_lost_makes_no_second_job(open_resending: Any, cloud: Any) -> None:
    house = open_resending()
    entry = asked(cloud)
    cloud.logs.add(entry)
    cloud.fail(CREATE, faults.lost_answer())
    answers = [house.hear(entry), house.hear(entry)]
    assert answers[-1] == 200
    assert len(cloud.jobs.all()) == 1


def test_a_service_that_is_still_down_lets_the_event_come_again(
    open_resending: Any, cloud: Any
) -> None:
    house = open_resending()
    entry = asked(cloud)
    cloud.logs.add(entry)
    cloud.fail(CREATE, faults.status("UNAVAILABLE", "Still down."), times=9)
    assert house.hear(entry) == 503
    assert len(cloud.jobs.all()) == 0


def test_what_is_sent_is_what_the_audit_log_holds(open_resending: Any, cloud: Any) -> None:
    house = open_resending()
    entry = asked(cloud)
    cloud.logs.add(copy.deepcopy(entry))
    pool = entry["protoPayload"]["request"]["customJob"]["jobSpec"]["workerPoolSpecs"][0]
    pool["containerSpec"]["imageUri"] = "evil.example/miner:1"
    assert house.hear(entry) == 200
    (made,) = cloud.jobs.all()
    assert "evil" not in str(made)


def entries(cloud: Any) -> dict[str, tuple[dict[str, Any] | None, dict[str, Any], str]]:
    """(what the audit log holds, the event, why nothing is sent) by name."""
    whole = asked(cloud)
    cut = asked(cloud)
    del cut["protoPayload"]["request"]["customJob"]["jobSpec"]["workerPoolSpecs"][0][
        "containerSpec"
    ]
    other = copy.deepcopy(whole)
    other["protoPayload"]["authenticationInfo"]["principalEmail"] = OTHER
    acts = asked(cloud, account=OTHER)
    denied = asked(cloud, grants=[MAY_CREATE, {**MAY_ACT_AS, "granted": False}], account=OTHER)
    bare = asked(cloud, grants=[])
    far = asked(cloud)
    far["protoPayload"]["request"]["parent"] = f"projects/{cloud.project}/locations/asia-east1"
    return {
        "forged": (None, whole, "the audit log holds no such entry"),
        "altered": (other, whole, "says something else than the event"),
        "cut": (cut, cut, "does not hold the whole request"),
        "acts as another": (acts, acts, "may act as owner@genomics-lab"),
        "may not act": (denied, denied, "was not allowed all that it takes"),
        "no rights told": (bare, bare, "may create such a job"),
        "far": (far, far, "asia-east1 is not served"),
    }


@pytest.mark.parametrize(
    "name", ["forged", "altered", "cut", "acts as another", "may not act", "no rights told", "far"]
)
def test_nothing_is_sent_where_the_audit_log_does_not_say_all(
    open_resending: Any, cloud: Any, name: str
) -> None:
    kept, heard, why = entries(cloud)[name]
    house = open_resending()
    if kept is not None:
        cloud.logs.add(kept)
    assert house.hear(heard) == 200
    assert cloud.creates() == []
    text = told(cloud).replace("\n", " ")
    assert "It was not sent again" in text
    assert why in text


@pytest.mark.parametrize("grants", [[MAY_CREATE, MAY_ACT_AS], [MAY_CREATE]])
def test_its_author_may_run_it_as_an_account_that_they_may_act_as(
    open_resending: Any, cloud: Any, grants: list[dict[str, Any]]
) -> None:
    house = open_resending()
    account = OTHER if MAY_ACT_AS in grants else AUTHOR
    entry = asked(cloud, grants=grants, account=account)
    cloud.logs.add(entry)
    assert house.hear(entry) == 200
    assert len(cloud.jobs.all()) == 1


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("mode: enforce", "mode: observe"),
        ("mode: enforce", "mode: approve"),
        ("rerun_safe: [batch_prediction, custom]", "rerun_safe: [batch_prediction]"),
        ("do: [{resubmit: {}, times: 5}]", "do: []"),
    ],
)
def test_the_policies_decide_whether_it_is_sent_again(
    open_resending: Any, cloud: Any, old: str, new: str
) -> None:
    assert old in POLICIES
    house = open_resending(POLICIES.replace(old, new))
    entry = asked(cloud)
    cloud.logs.add(entry)
    assert house.hear(entry) == 200
    assert cloud.creates() == []
    assert "the policies do not run it again" in told(cloud).replace("\n", " ")


@pytest.mark.parametrize(
    "status", [(8, "The following quota metrics exceed quota limits: x_cpus"), (3, "Bad field.")]
)
def test_what_does_not_pass_is_not_sent_again(
    open_resending: Any, cloud: Any, status: tuple[int, str]
) -> None:
    house = open_resending()
    entry = asked(cloud, status=status)
    cloud.logs.add(entry)
    assert house.hear(entry) == 200
    assert cloud.creates() == []


def test_without_the_setting_nothing_is_sent_again(house: Any, cloud: Any) -> None:
    entry = asked(cloud)
    cloud.logs.add(entry)
    assert house.hear(entry) == 200
    assert cloud.creates() == []
