"""The cost preview: what it counts with is what a deployment uses, counted again on the twin."""

from __future__ import annotations

import base64
import importlib.util
import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from remediator.app import App
from remediator.handlers import Handlers
from remediator.ledger import Ledger
from remediator.ledger.sqlite import SqliteStore
from tests.deploy.terraform import ROOT, variable_defaults
from tests.stories.conftest import POLICIES
from tests.stories.test_loop import HEAVY, custom_job, failure_line
from twin.cloud import Cloud

SCRIPT = ROOT / "deploy" / "cost.py"
SPREAD = 0.25  # chosen: how far the counts may move before the preview has to be written anew


@pytest.fixture(scope="module")
def cost() -> ModuleType:
    spec = importlib.util.spec_from_file_location("cost", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["cost"] = module
    spec.loader.exec_module(module)
    return module


class CountingTransaction:
    """Counts what passes, as Firestore bills it: a document read, written, deleted."""

    def __init__(self, inner: Any, counts: Counter[str]) -> None:
        self._inner, self._counts = inner, counts

    def get(self, collection: str, key: str) -> Any:
        self._counts["reads"] += 1
        return self._inner.get(collection, key)

    def get_many(self, collection: str, keys: tuple[str, ...]) -> Any:
        self._counts["reads"] += len(keys)
        return self._inner.get_many(collection, keys)

    def put(self, collection: str, key: str, body: Any, **more: Any) -> None:
        self._counts["writes"] += 1
        self._inner.put(collection, key, body, **more)

    def delete(self, collection: str, key: str) -> None:
        self._counts["deletes"] += 1
        self._inner.delete(collection, key)


class CountingStore:
    """A store that counts; a query that finds nothing is billed as one read."""

    def __init__(self, inner: SqliteStore) -> None:
        self._inner = inner
        self.counts: Counter[str] = Counter()

    def run(self, work: Callable[[Any], Any]) -> Any:
        return self._inner.run(lambda tx: work(CountingTransaction(tx, self.counts)))

    def get(self, collection: str, key: str) -> Any:
        self.counts["reads"] += 1
        return self._inner.get(collection, key)

    def get_many(self, collection: str, keys: tuple[str, ...]) -> Mapping[str, Any]:
        self.counts["reads"] += len(keys)
        return self._inner.get_many(collection, keys)

    def prefetch(self, every: Iterable[tuple[str, str]]) -> None:
        self._inner.prefetch(every)

    def expect_new(self, every: Iterable[tuple[str, str]]) -> None:
        self._inner.expect_new(every)

    def due(self, collection: str, now: datetime, limit: int) -> Any:
        found = self._inner.due(collection, now, limit)
        self.counts["reads"] += max(1, len(found))
        return found

    def all(self, collection: str, limit: int) -> Any:
        found = self._inner.all(collection, limit)
        self.counts["reads"] += max(1, len(found))
        return found

    def expire(self, now: datetime) -> int:
        return self._inner.expire(now)

    def close(self) -> None:
        self._inner.close()


@pytest.fixture(scope="module")
def used(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Counter[str]]:
    """Documents for a round with nothing to do, and for a failed job until it has recovered."""
    folder = tmp_path_factory.mktemp("cost")
    (folder / "policies.yaml").write_text(POLICIES)
    store = CountingStore(SqliteStore(folder / "ledger.sqlite3"))
    with Cloud(frozen=True) as cloud, pytest.MonkeyPatch.context() as patch:
        environ = cloud.env(REMEDIATOR_POLICIES=str(folder / "policies.yaml"))
        for name, value in environ.items():  # Google's clients read it themselves
            patch.setenv(name, value)
        opened = App.from_environment(environ, here=folder)
        opened.__dict__["ledger"] = Ledger(store)  # what the property would keep
        app = Handlers(opened)
        assert app.on_schedule().status == 200
        store.counts.clear()
        assert app.on_schedule().status == 200
        idle = Counter(store.counts)
        job = cloud.past_job(
            "customJobs", custom_job(), HEAVY, route=False, ended_ago=timedelta(hours=4)
        )
        store.counts.clear()
        assert app.on_event(*event_of(cloud, failure_line(cloud, job))).status == 200
        begun = Counter(store.counts)
        assert app.on_schedule().status == 200  # its attempt still runs
        looked = Counter(store.counts)
        looked.subtract(begun)
        looked.subtract(idle)
        store.counts = Counter(begun)
        cloud.clock.advance(3 * 3600)
        rounds = 0
        while not any("recovered" in str(mail["Subject"]) for mail in cloud.mail.messages):
            assert rounds < 5  # on a busy machine a round may leave the mail to the next
            assert app.on_schedule().status == 200
            rounds += 1
        failure = Counter(store.counts)
        for _ in range(rounds):
            failure.subtract(idle)
    store.close()
    return {"round": idle, "look": looked, "failure": failure}


def event_of(cloud: Cloud, entry: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    data = base64.b64encode(json.dumps(entry).encode()).decode()
    published = cloud.clock.now().isoformat().replace("+00:00", "Z")
    attributes = {
        "id": "1",
        "type": "google.cloud.pubsub.topic.v1.messagePublished",
        "source": "//pubsub.googleapis.com/projects/genomics-lab/topics/failures",
    }
    message = {"data": data, "messageId": "1", "publishTime": published}
    return attributes, {"message": message, "subscription": "s"}


@pytest.mark.parametrize(
    ("part", "name"), [("round", "ROUND"), ("look", "LOOK"), ("failure", "FAILURE")]
)
@pytest.mark.parametrize("kind", ["reads", "writes"])
def test_the_ledgers_documents_are_those_counted_here(
    part: str, name: str, kind: str, used: dict[str, Counter[str]], cost: ModuleType
) -> None:
    stated = getattr(getattr(cost, name), kind)
    assert stated == pytest.approx(used[part][kind], rel=SPREAD, abs=1)


def test_what_is_free_comes_off_and_more_failures_cost_more(cost: ModuleType) -> None:
    for few, many in zip(cost.monthly(0), cost.monthly(100_000), strict=True):
        assert few[1] <= few[2]
        assert few[2] <= many[2]
    assert sum(row[1] for row in cost.monthly(0)) < sum(row[1] for row in cost.monthly(100_000))
    assert float(re.sub(r"[A-Za-z]+", "", variable_defaults()["memory"])) / 1024 == cost.MEMORY_GIB


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-S", "-E", str(SCRIPT), *arguments],
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_preview_says_what_it_assumes_and_what_it_leaves_out() -> None:
    done = run("1000")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("A month with 1,000 failed jobs, in US dollars:\n")
    for words in ("List prices of November 2026", "Assumed:", "Left out", "Firestore", "together"):
        assert words in done.stdout
    script = [str(ROOT / "deploy" / "deploy.sh"), "my-project", "us-central1", "--cost", "1000"]
    asked = subprocess.run(["bash", *script], capture_output=True, text=True, check=False)
    assert (asked.returncode, asked.stdout) == (0, done.stdout)


@pytest.mark.parametrize("arguments", [(), ("many",), ("-5",), ("1", "2"), ("²",)])
def test_a_number_that_is_none_is_told(arguments: tuple[str, ...]) -> None:
    done = run(*arguments)
    assert done.returncode == 2
    assert done.stderr.startswith("usage: cost.py JOBS")


def test_the_page_shows_the_preview() -> None:
    page = (Path(ROOT) / "docs" / "README.md").read_text()
    shown = re.findall(r"^```text\n(A month with .*?)^```", page, re.DOTALL | re.MULTILINE)
    assert shown == [run("1000").stdout]
