"""The stories' fixtures, and a house in processes of its own that can be killed."""

from __future__ import annotations

import base64
import json
import threading
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.stories import conftest as stories
from tests.stories.conftest import POLICIES, ROOT
from twin.serving import Served

cloud, house, later, open_house = stories.cloud, stories.house, stories.later, stories.open_house
kept_in, no_backoff, noon = stories.kept_in, stories.no_backoff, stories.noon


def event(cloud: Any, entry: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """One log entry as Eventarc brings it: body and headers."""
    body = {
        "message": {
            "data": base64.b64encode(json.dumps(entry).encode()).decode(),
            "messageId": uuid.uuid4().hex,
            "publishTime": cloud.now_text(),
        },
        "subscription": "projects/genomics-lab/subscriptions/failures",
    }
    headers = {
        "Content-Type": "application/json",
        "ce-id": uuid.uuid4().hex,
        "ce-source": "//pubsub.googleapis.com/projects/genomics-lab/topics/failures",
        "ce-specversion": "1.0",
        "ce-type": "google.cloud.pubsub.topic.v1.messagePublished",
    }
    return body, headers


@pytest.fixture
def serve(cloud: Any, tmp_path: Path) -> Callable[..., Served]:
    """The deployed function in a process of its own, on the ledger that `open_house` uses."""

    def start(target: str = "remediate", policies: str = POLICIES, **settings: str) -> Served:
        file = tmp_path / "policies.yaml"
        file.write_text(policies)
        environment = {
            "REMEDIATOR_POLICIES": str(file),
            "REMEDIATOR_LEDGER": f"sqlite:///{tmp_path}/ledger.sqlite3",
            **settings,
        }
        return cloud.serve(ROOT, target, cloud.env(**environment))

    return start


def post_in_background(served: Served, body: Any, headers: Mapping[str, str]) -> threading.Thread:
    """Delivers and forgets: the receiver may be killed before it answers."""

    def deliver() -> None:
        try:
            served.post(body, headers=headers)
        except OSError:
            return

    thread = threading.Thread(target=deliver, daemon=True)
    thread.start()
    return thread
