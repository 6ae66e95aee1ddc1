"""The same failure delivered many times at once, by threads and by processes: one job comes of it."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tests.reliability.conftest import event
from tests.stories.test_loop import HEAVY, custom_job, failure_line, made_jobs

DUPLICATES = 50
PROCESSES = 4


def test_of_fifty_deliveries_at_once_one_creates(house: Any, cloud: Any) -> None:
    job = cloud.past_job("customJobs", custom_job(), HEAVY, route=False)
    body, headers = event(cloud, failure_line(cloud, job))
    application = house.clients["remediate"].application

    def deliver(_: int) -> int:
        return application.test_client().post("/", json=body, headers=headers).status_code

    with ThreadPoolExecutor(DUPLICATES) as pool:
        statuses = list(pool.map(deliver, range(DUPLICATES)))

    assert set(statuses) <= {200, 503}
    assert 200 in statuses
    assert deliver(0) == 200
    house.reconcile()
    assert len(cloud.creates()) == 1
    assert len(made_jobs(cloud, job)) == 1
    assert len(cloud.slack.messages) == 1
    assert len(cloud.mail.messages) == 1


def test_of_four_processes_with_twelve_deliveries_each_one_creates(
    cloud: Any, serve: Callable[..., Any]
) -> None:
    job = cloud.past_job("customJobs", custom_job(), HEAVY, route=False)
    body, headers = event(cloud, failure_line(cloud, job))
    with ThreadPoolExecutor(PROCESSES) as pool:
        served = list(pool.map(lambda _: serve(), range(PROCESSES)))
    with ThreadPoolExecutor(12 * PROCESSES) as pool:
        answers = list(
            pool.map(
                lambda n: served[n % PROCESSES].post(body, headers=headers)[0],
                range(12 * PROCESSES),
            )
        )
    assert set(answers) <= {200, 503}
    assert served[0].post(body, headers=headers)[0] == 200
    assert len(cloud.creates()) == 1
    assert len(made_jobs(cloud, job)) == 1
    assert len(cloud.slack.messages) == 1
    assert len(cloud.mail.messages) == 1
    assert all("Traceback" not in one.output() for one in served)
