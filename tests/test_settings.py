"""Settings: read once, every mistake at once and by its name."""

from __future__ import annotations

import re
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from remediator.domain import InvalidInput, Mode
from remediator.settings import Settings, duration, read

HERE = Path("/srv/app")


def test_nothing_set_gives_the_contracts_defaults() -> None:
    assert read({}, here=HERE) == Settings(policies="/srv/app/policies.yaml")
    found = read({}, here=HERE)
    assert (found.lookback, found.settle) == (timedelta(hours=6), timedelta(minutes=7))
    assert (found.lease, found.consistency_wait) == (timedelta(minutes=10), timedelta(minutes=2))


def test_everything_set_is_read() -> None:
    found = read(
        {
            "GOOGLE_CLOUD_PROJECT": "lab",
            "REMEDIATOR_LOCATIONS": "us-central1, europe-west4,us-central1",
            "REMEDIATOR_LOOKBACK": "1d",
            "REMEDIATOR_CONSISTENCY_WAIT": "0s",
            "REMEDIATOR_STOP": "1",
            "REMEDIATOR_MAX_MODE": "approve",
            "REMEDIATOR_VERTEX_ENDPOINT": "127.0.0.1:4711",
            "REMEDIATOR_LEDGER": "firestore://(default)/remediator",
            "K_SERVICE": "remediate",
        },
        here=HERE,
    )
    assert found.locations == ("us-central1", "europe-west4")
    assert found.consistency_wait == timedelta(0)
    assert found.max_mode is Mode.APPROVE
    assert found.stop
    assert found.is_local


@pytest.mark.parametrize(
    ("environment", "says"),
    [
        pytest.param(
            {"REMEDIATOR_LEASE": "soon"}, "REMEDIATOR_LEASE='soon': not a duration", id="duration"
        ),
        pytest.param(
            {"REMEDIATOR_VERTEX_ENDPOINT": "10.0.0.1:80"}, "loopback", id="endpoint-elsewhere"
        ),
        pytest.param({"REMEDIATOR_LEDGER": "mysql://x"}, "REMEDIATOR_LEDGER", id="ledger"),
        pytest.param({"REMEDIATOR_LOCATIONS": "mars"}, "not a region: mars", id="region"),
        pytest.param({"REMEDIATOR_MAX_USD_PER_DAY": "nan"}, "US dollars", id="money"),
        pytest.param(
            {"K_SERVICE": "x"}, "SQLite would forget every claim", id="sqlite-in-the-cloud"
        ),
        pytest.param(
            {"REMEDIATOR_POLICIES": "gs://b/p.yaml"}, "required as a ceiling", id="no-ceilings"
        ),
        pytest.param({"REMEDIATOR_STOP": "yes"}, "not 0 or 1", id="switch"),
        pytest.param(
            {"REMEDIATOR_VERTEX_ENDPOINT": "http://localhost:80"}, "gRPC server", id="rest-endpoint"
        ),
        pytest.param(
            {"REMEDIATOR_LOGGING_ENDPOINT": "localhost:0"}, "REMEDIATOR_LOGGING", id="no-port"
        ),
        pytest.param(
            {"FIRESTORE_EMULATOR_HOST": "example.com:80"}, "FIRESTORE_EMULATOR_HOST", id="firestore"
        ),
        pytest.param(
            {"STORAGE_EMULATOR_HOST": "http://10.0.0.1:80"}, "STORAGE_EMULATOR_HOST", id="storage"
        ),
        pytest.param({"PUBSUB_EMULATOR_HOST": "8085"}, "PUBSUB_EMULATOR_HOST", id="pubsub"),
        pytest.param({"REMEDIATOR_OUTCOMES_TOPIC": "a b"}, "not a topic", id="topic"),
        pytest.param(
            {"REMEDIATOR_OUTCOMES_TOPIC": "projects/p/subscriptions/s"}, "not a topic", id="sub"
        ),
        pytest.param({"REMEDIATOR_SERVICE_ACCOUNTS": " , "}, "service account", id="no-account"),
        pytest.param({"REMEDIATOR_CHANNEL_HOSTS": "https://x/y"}, "a host", id="channel-host"),
        pytest.param({"REMEDIATOR_LOOKBACK": "99999999999d"}, "longer than", id="aeons"),
    ],
)
def test_a_bad_setting_is_named(environment: dict[str, str], says: str) -> None:
    with pytest.raises(InvalidInput, match=says):
        read(environment, here=HERE)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("REMEDIATOR_VERTEX_ENDPOINT", "localhost:4711"),
        ("REMEDIATOR_MONITORING_ENDPOINT", "127.0.0.2:4711"),
        ("REMEDIATOR_LOGGING_ENDPOINT", "[::1]:4711"),
        ("STORAGE_EMULATOR_HOST", "http://127.0.0.1:4443/"),
        ("STORAGE_EMULATOR_HOST", "https://storage.example.com"),
        ("FIRESTORE_EMULATOR_HOST", "localhost:8080"),
        ("PUBSUB_EMULATOR_HOST", "[::1]:8085"),
        ("REMEDIATOR_OUTCOMES_TOPIC", "projects/lab/topics/outcomes"),
        ("REMEDIATOR_CHANNEL_HOSTS", "hooks.slack.com, *.example.com"),
        ("REMEDIATOR_SERVICE_ACCOUNTS", "*@lab.iam.gserviceaccount.com"),
    ],
)
def test_a_good_setting_is_taken(name: str, value: str) -> None:
    read({name: value}, here=HERE)


def test_every_bad_setting_is_told_at_once() -> None:
    with pytest.raises(InvalidInput) as told:
        read({"REMEDIATOR_LEASE": "x", "REMEDIATOR_SETTLE": "y"}, here=HERE)
    assert "REMEDIATOR_LEASE" in str(told.value)
    assert "REMEDIATOR_SETTLE" in str(told.value)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("10m", 600), ("6h", 21600), ("1.5d", 129600), ("250ms", 0.25)],
)
def test_durations(text: str, seconds: float) -> None:
    assert duration(text).total_seconds() == seconds


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("REMEDIATOR_LEASE", "soon", "REMEDIATOR_LEASE"),
        ("REMEDIATOR_POLICIES", "nowhere.yaml", "REMEDIATOR_POLICIES: nowhere.yaml: "),
        ("REMEDIATOR_POLICIES", "README.md", "REMEDIATOR_POLICIES: README.md:"),
    ],
)
def test_a_mistake_stops_the_start_with_one_line(name: str, value: str, says: str) -> None:
    root = Path(__file__).resolve().parents[1]
    found = subprocess.run(
        [sys.executable, "-c", "import main"],
        cwd=root,
        env={"PATH": "/usr/bin:/bin", name: value},
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 1
    (line,) = found.stderr.splitlines()
    assert line.startswith("vertex-remediator does not start: ")
    assert says in line


def test_the_page_of_settings_names_what_is_read_with_its_default() -> None:
    root = Path(__file__).resolve().parents[1]
    page = (root / "docs" / "settings.md").read_text()
    told = set(re.findall(r"`((?:REMEDIATOR|GOOGLE_CLOUD)_[A-Z_]+)`", page))
    source = (root / "remediator" / "settings.py").read_text()
    assert told == set(re.findall(r'"((?:REMEDIATOR|GOOGLE_CLOUD)_[A-Z_]+)"', source))
    durations = dict(
        re.findall(r"^\| `(REMEDIATOR_\w+)` .*\| `(\d+[smh])` \|$", page, re.MULTILINE)
    )
    held = Settings()
    assert {name: duration(text) for name, text in durations.items()} == {
        "REMEDIATOR_LOOKBACK": held.lookback,
        "REMEDIATOR_SETTLE": held.settle,
        "REMEDIATOR_LEASE": held.lease,
        "REMEDIATOR_CONSISTENCY_WAIT": held.consistency_wait,
    }
