"""What the tests of the life cycle start from; a file that needs another policy or job says so itself."""

from __future__ import annotations

import pytest

from remediator.job import Job
from tests.jobs import CUSTOM
from tests.workflow.workbench import Bench


@pytest.fixture
def bench() -> Bench:
    return Bench()


@pytest.fixture
def job(bench: Bench) -> Job:
    return bench.vertex.add(CUSTOM)
