"""Stories go through `main.py` and the twin, by real sockets and Google's real clients.

`house` serves the product in this process by functions-framework's own test client (the same WSGI
app that is deployed); what crosses to the cloud crosses a real socket.
"""

from __future__ import annotations

import base64
import importlib
import json
import os
import re
import sqlite3
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import functions_framework
import grpc
import pytest
import stamina
import time_machine
from google.cloud.firestore_v1.services.firestore import FirestoreClient
from google.cloud.firestore_v1.services.firestore.transports import FirestoreGrpcTransport

from twin.cloud import Cloud

ROOT = Path(__file__).resolve().parents[2]

POLICIES = """\
version: 1
mode: enforce
rerun_safe: [batch_prediction, custom]
limits: {attempts: 3, retries: 5, usd_per_job: 1000, usd_per_day: 10000}
channels:
  oncall: {slack: {webhook: "env:SLACK_WEBHOOK_URL"}}
  owners: {email: {smtp: "env:SMTP_URL", from: "vertex@example.com", to: ["ml@example.com"]}}
policies:
  - name: starved-of-cpu
    when: {cause: [cpu_saturation]}
    do: [{resubmit: {machine_type: bigger}, times: 2}]
    alert: [oncall, owners]
  - name: wants-a-gpu
    when: {cause: accelerator_missing, job: batch_prediction}
    do: [{resubmit: {accelerator: {type: NVIDIA_TESLA_T4, count: 1}}}]
    alert: [oncall, owners]
  - name: too-much-at-once
    when: {cause: [request_too_large, gpu_memory]}
    do: [{resubmit: {batch_size: halve}, times: 3}]
    alert: [oncall, owners]
  - name: out-of-memory
    when: {cause: memory_pressure}
    do: [{resubmit: {machine_type: more_memory}}]
    alert: [oncall, owners]
  - name: passing
    when: {cause: [transient_backend, preemption]}
    do: [{resubmit: {}, times: 5}]
    alert: [oncall, owners]
  - name: scarce
    when: {cause: [capacity_stockout, quota]}
    do: [{resubmit: {wait: 10m}, times: 5}]
    alert: [oncall, owners]
  - name: everything-else
    when: {}
    do: []
    alert: [oncall, owners]
"""


_TARGETS = ("remediate", "reconcile", "approve")


class Doors(Mapping[str, Any]):
    """The functions' test clients, each an instance of `main.py`, started when first asked for.

    Starting one takes a fifth of the processor time of many a story, which goes through one or two.
    Each starts under the environment of the moment at which `Doors` was made, and from the policy
    file as it was then: a story that writes another one first goes through the door, or restarts.
    """

    def __init__(self) -> None:
        self._environment = dict(os.environ)
        self._policies = self._policy_file()
        self._lock = threading.Lock()
        self._started: dict[str, Any] = {}
        self["remediate"]  # settings that stop the start stop it now

    def __getitem__(self, target: str) -> Any:
        with self._lock:
            if target not in self._started:
                assert self._policy_file() == self._policies, f"{target} starts too late"
                with pytest.MonkeyPatch.context() as patch:
                    for name in os.environ.keys() - self._environment.keys():
                        patch.delenv(name)
                    for name, value in self._environment.items():
                        if os.environ.get(name) != value:
                            patch.setenv(name, value)
                    application = functions_framework.create_app(target, str(ROOT / "main.py"))
                self._started[target] = application.test_client()
            return self._started[target]

    def __iter__(self) -> Iterator[str]:
        return iter(_TARGETS)

    def __len__(self) -> int:
        return len(_TARGETS)

    def _policy_file(self) -> bytes:
        file = Path(self._environment["REMEDIATOR_POLICIES"])  # or an object, read when first used
        return file.read_bytes() if file.is_file() else b""


@dataclass
class House:
    """The product in this process, with the environment it was started with."""

    clients: Mapping[str, Any]
    cloud: Cloud

    def hear(self, entry: Mapping[str, Any], *, published: str | None = None) -> int:
        """One log entry, as Eventarc would bring it; the HTTP status."""
        return self.deliver(base64.b64encode(json.dumps(entry).encode()).decode(), published)

    def deliver(self, data: Any, published: str | None = None, **message: Any) -> int:
        """A Pub/Sub message with this `data`, whatever it is."""
        body = {
            "message": {
                "data": data,
                "messageId": uuid.uuid4().hex,
                "publishTime": published or self.cloud.now_text(),
                **message,
            },
            "subscription": "projects/genomics-lab/subscriptions/failures",
        }
        headers = {
            "ce-id": uuid.uuid4().hex,
            "ce-source": "//pubsub.googleapis.com/projects/genomics-lab/topics/failures",
            "ce-specversion": "1.0",
            "ce-type": "google.cloud.pubsub.topic.v1.messagePublished",
        }
        return self.clients["remediate"].post("/", json=body, headers=headers).status_code

    def push(self, entry: Mapping[str, Any]) -> int:
        """One log entry in the legacy Pub/Sub push body, which the framework converts."""
        body = {
            "message": {
                "data": base64.b64encode(json.dumps(entry).encode()).decode(),
                "messageId": uuid.uuid4().hex,
                "publishTime": self.cloud.now_text(),
            },
            "subscription": "projects/genomics-lab/subscriptions/failures",
        }
        path = "/projects/genomics-lab/topics/failures"
        return self.clients["remediate"].post(path, json=body).status_code

    def reconcile(self) -> dict[str, Any]:
        """One round; its JSON answer."""
        answer = self.clients["reconcile"].post("/")
        assert answer.status_code == 200, answer.text
        return json.loads(answer.text)


class TestCloud(Cloud):
    """The twin with a few words that stories use."""

    __test__ = False

    def now_text(self) -> str:
        return self.clock.now().isoformat().replace("+00:00", "Z")

    def creates(self) -> list[Any]:
        """Every create call that reached Vertex."""
        return self.calls("*.Create*Job", outcome="OK")


@pytest.fixture(autouse=True)
def no_backoff() -> Iterator[None]:
    """A call that is tried again is tried at once, twenty times at most.

    How long is waited between two tries is the matter of `tests/cloud` and `tests/ledger`.
    """
    with stamina.set_testing(True, attempts=20, cap=True):
        yield


@pytest.fixture
def cloud(request: pytest.FixtureRequest) -> Iterator[TestCloud]:
    """The twin with its clock stopped; a parameter says how many hours behind the world."""
    lag = timedelta(hours=getattr(request, "param", 0))
    with TestCloud(frozen=True, lag=lag) as started:
        yield started


@pytest.fixture
def noon(cloud: TestCloud) -> Iterator[None]:
    """It is the next noon (UTC), for the product and for the twin; time goes on from there.

    For stories about what a day costs: half a day of it has passed, whatever the hour of the run.
    It lies ahead, never behind, so that no deadline of a call is over before the call begins; and
    the twin's servers stand already, since gRPC's do not start under another clock.
    """
    now = datetime.now(UTC)
    ahead = (timedelta(hours=36) - (now - now.replace(hour=0, minute=0))) % timedelta(days=1)
    cloud.clock.advance(ahead.total_seconds())
    with time_machine.travel(now + ahead):
        yield


on_both_ledgers = pytest.mark.parametrize(
    "kept_in",
    ["sqlite", pytest.param("firestore", marks=pytest.mark.emulator)],
    indirect=True,
)
"""A story that is told with the ledger in SQLite, and in Firestore on Google's emulator."""


@dataclass(frozen=True)
class KeptIn:
    """Where a story's ledger is: its setting, what the product needs beside it, how time passes for it."""

    url: str
    environment: Mapping[str, str]
    let_pass: Callable[[timedelta], None]


@pytest.fixture
def kept_in(request: pytest.FixtureRequest, tmp_path: Path) -> KeptIn:
    """SQLite, unless the story is `on_both_ledgers`."""
    if getattr(request, "param", "sqlite") == "sqlite":
        file = tmp_path / "ledger.sqlite3"
        return KeptIn(f"sqlite:///{file}", {}, lambda step: let_pass(file, step))
    address = request.getfixturevalue("firestore_emulator")
    collection = f"story-{uuid.uuid4().hex[:8]}"
    return KeptIn(
        f"firestore://(default)/{collection}",
        {"FIRESTORE_EMULATOR_HOST": address},
        lambda step: _let_pass_in_firestore(address, collection, step),
    )


@pytest.fixture
def open_house(
    cloud: TestCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kept_in: KeptIn
) -> Callable[..., House]:
    """Start the product with a policy file and settings; as often as a story restarts it."""

    def start(
        policies: str = POLICIES,
        *,
        proxied: bool = False,
        web_proxied: bool = False,
        **settings: str,
    ) -> House:
        file = tmp_path / "policies.yaml"
        file.write_text(policies)
        environment = {
            "REMEDIATOR_POLICIES": str(file),
            "REMEDIATOR_LEDGER": kept_in.url,
            **kept_in.environment,
            **settings,
        }
        if web_proxied:
            environment |= cloud.web_proxy_env()
        known = cloud.proxied_env(**environment) if proxied else cloud.env(**environment)
        for name, value in known.items():
            monkeypatch.setenv(name, value)
        if (
            "GCE_METADATA_HOST" in known
        ):  # google-auth reads where the metadata server is when it is imported
            importlib.reload(importlib.import_module("google.auth.compute_engine._metadata"))
        return House(Doors(), cloud)

    return start


def let_pass(ledger: Path, step: timedelta) -> None:
    """Let time pass for a ledger: everything due is moved that much nearer.

    The product reads the world's clock, so a story moves what waits instead of the clock.
    """
    database = sqlite3.connect(ledger)
    with database:
        rows = database.execute("SELECT collection, key, body, due FROM documents").fetchall()
        for collection, key, body, due in rows:
            moved = _marks_moved(body, step) if collection == "counters" else body
            database.execute(
                "UPDATE documents SET body = ?, due = ? WHERE collection = ? AND key = ?",
                (_earlier(moved, step), due and _earlier(due, step), collection, key),
            )
    database.close()


def _let_pass_in_firestore(address: str, collection: str, step: timedelta) -> None:
    """The same for the documents of a collection on Google's emulator, by Google's own client."""
    channel = grpc.insecure_channel(address)
    client = FirestoreClient(transport=FirestoreGrpcTransport(channel=channel))
    parent = f"projects/{_PROJECT}/databases/(default)/documents"
    for document in client.list_documents({"parent": parent, "collection_id": collection}):
        fields = document.fields
        is_counter = document.name.rpartition("/")[2].startswith("counters:")
        body = fields["body"].string_value
        fields["body"] = {
            "string_value": _earlier(_marks_moved(body, step) if is_counter else body, step)
        }
        for name in [one for one in fields if one.startswith("due_")]:
            fields[name] = {"timestamp_value": fields[name].timestamp_value - step}
        client.update_document({"document": document})
    channel.close()


_PROJECT = "genomics-lab"  # the twin's


@pytest.fixture
def later(kept_in: KeptIn) -> Callable[..., None]:
    """Let time pass for the story's ledger."""
    return lambda **by: kept_in.let_pass(timedelta(**by))


_MARK = re.compile(r"\b1\d{15}\b")  # a sliding window's marks are microseconds since 1970
# A run is told from a later one of its name by when it was created: that moment is the job's, not ours.
_ANY_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z")
_TIME = re.compile(rf"(?<!\"created\": \")(?<!\"created\":\"){_ANY_TIME.pattern}")


def _marks_moved(text: str, step: timedelta) -> str:
    micros = round(step.total_seconds() * 1e6)
    return _MARK.sub(lambda found: str(int(found[0]) - micros), text)


def _earlier(text: str, step: timedelta) -> str:
    """The text with every time in it moved back; job times stay, since Vertex holds those."""

    def moved(found: re.Match[str]) -> str:
        moment = datetime.fromisoformat(found[0]) - step
        return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")

    owed = '"lost_because"' in text  # a message's own moment, which is the ledger's
    return (_ANY_TIME if owed else _TIME).sub(moved, text)


@pytest.fixture
def house(open_house: Callable[..., House]) -> House:
    return open_house()
