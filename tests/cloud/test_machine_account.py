"""The machine's own account: its token asked directly, Google's way where that gets no answer."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from remediator.cloud import metadata
from remediator.cloud.connection import SCOPES
from remediator.cloud.machine_account import MachineAccount
from remediator.domain import TransientError
from twin.cloud import Cloud

_OPENS_A_CHANNEL = """
import sys
from remediator.cloud.connection import open_channel
open_channel("us-central1-aiplatform.googleapis.com", None).close()
print([name for name in ("requests", "cryptography", "google.oauth2") if name in sys.modules])
"""


class _Server(ThreadingHTTPServer):
    """A metadata server that gives this for a token; `flavour` says what it is, where it does."""

    token = '{"access_token": "second-way", "expires_in": 60}'
    flavour = ""


class _Door(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        known = {
            "/computeMetadata/v1/instance/service-accounts/default/": '{"email": "a@b", "scopes": []}',
            "/computeMetadata/v1/instance/service-accounts/default/token": self.server.token,
            "/computeMetadata/v1/instance/service-accounts/a@b/token": self.server.token,
        }
        body = known.get(path, "").encode()
        self.send_response(200 if body else 404)
        if self.server.flavour:
            self.send_header("Metadata-Flavor", self.server.flavour)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Not into the tests' output."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[_Server]:
    with _Server(("127.0.0.1", 0), _Door) as made:
        Thread(target=made.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        monkeypatch.setenv("GCE_METADATA_HOST", f"127.0.0.1:{made.server_address[1]}")
        yield made
        made.shutdown()


def test_a_token_is_asked_for_and_kept_as_long_as_it_is_good(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GCE_METADATA_HOST", cloud.metadata.host)
    account = MachineAccount(SCOPES)
    assert not account.valid
    headers: dict[str, str] = {}
    account.before_request(None, "GET", "https://x.googleapis.com", headers)
    assert headers["authorization"] == f"Bearer {account.token}"
    assert account.valid
    left = account.expiry - datetime.now(UTC).replace(tzinfo=None)
    assert timedelta(seconds=3500) < left < timedelta(seconds=3600)
    assert cloud.desk.iam.tokens[str(account.token)] == cloud.account


@pytest.mark.usefixtures("server")
def test_googles_own_way_is_gone_where_ours_gets_no_answer() -> None:
    code = (
        "from remediator.cloud.machine_account import MachineAccount\n"
        "account = MachineAccount(('s',)); account.refresh(None); print(account.token, account.valid)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=dict(os.environ),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    # Good for less than google-auth wants to be left: asked for anew at the next call.
    assert done.stdout.split() == ["second-way", "False"]


@pytest.mark.usefixtures("server")
def test_a_server_that_does_not_say_what_it_is_is_not_believed() -> None:
    with pytest.raises(
        TransientError, match="answered 200 to instance/service-accounts/default/token"
    ):
        metadata.access_token(SCOPES)


@pytest.mark.parametrize(
    "text", ['"hunter2"', "hunter2", "[]", '{"access_token": "hunter2"}', '{"expires_in": 1}']
)
def test_a_malformed_token_is_transient_and_not_repeated(server: _Server, text: str) -> None:
    server.token, server.flavour = text, "Google"
    with pytest.raises(TransientError, match="something else for a token") as told:
        metadata.access_token(SCOPES)
    assert "hunter2" not in str(told.value)


# Google's own way tries five times and waits for fifteen seconds in between: not in this process.
_REFRESHES = """
import time
time.sleep = lambda seconds: None
from google.auth import exceptions
from remediator.cloud.machine_account import MachineAccount
try:
    MachineAccount(("s",)).refresh(None)
except exceptions.GoogleAuthError:
    print("google-auth's own")
"""


def test_with_no_metadata_server_the_error_is_google_auths_own() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _REFRESHES],
        env={**os.environ, "GCE_METADATA_HOST": "127.0.0.1:1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "google-auth's own\n"), done.stderr


@pytest.mark.parametrize("named", ["GCE_METADATA_HOST", "K_SERVICE"])
def test_a_channel_on_googles_machines_loads_no_http_library(named: str) -> None:
    dropped = ("GOOGLE_APPLICATION_CREDENTIALS", "GCE_METADATA_HOST", "K_SERVICE")
    kept = {name: value for name, value in os.environ.items() if name not in dropped}
    done = subprocess.run(
        [sys.executable, "-c", _OPENS_A_CHANNEL],
        env={**kept, named: "127.0.0.1:1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.replace("'", '"')) == []
