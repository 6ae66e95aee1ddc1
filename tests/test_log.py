"""Log lines: one JSON object on one line each, without secrets and without tracebacks."""

from __future__ import annotations

import io
import json
import logging
import re
from pathlib import Path
from typing import Any

import pytest

from remediator import log

SECRET = "AIzaSyA1234567890abcdefghijklmnopqrstuv"


def said(message: str, **fields: Any) -> tuple[str, dict[str, Any]]:
    stream = io.StringIO()
    log.say("ERROR", log.LogEvent.EVENT_REFUSED, message, to=stream, **fields)
    text = stream.getvalue()
    return text, json.loads(text)


def fall(words: str) -> None:
    raise RuntimeError(words)


@pytest.mark.parametrize(
    "message",
    [
        pytest.param(f"403 for https://x.example/?key={SECRET}", id="key-in-an-address"),
        pytest.param("smtp://user:hunter2-hunter2@mail.example:587 refused", id="password-in-url"),
        pytest.param("Authorization: Bearer hunter2-hunter2.abc", id="header"),
        pytest.param("API_TOKEN=hunter2-hunter2", id="variable"),
        pytest.param(
            "https://hooks.slack.com/services/T0/B0/hunter2-hunter2 answered 500", id="webhook"
        ),
    ],
)
def test_a_secret_in_words_or_fields_is_never_written(message: str) -> None:
    text, line = said(message, where=message, more=[message])
    assert "hunter2" not in text
    assert SECRET not in text
    assert "[redacted]" in line["message"]
    assert "[redacted]" in line["where"]


def test_whatever_is_said_is_one_line() -> None:
    text, line = said('a\nb\r\nc\u2028d\x00e {"severity": "EMERGENCY"}', job="x\ny")
    assert text.count("\n") == 1
    assert len(text.splitlines()) == 1
    assert line["severity"] == "ERROR"


def test_what_others_wrote_is_not_taken_for_a_fault_of_ours() -> None:
    """The word is what monitoring looks for; a job's error or a forged entry may hold it."""
    text, line = said(
        "job_id is not a number: 'Traceback (most recent call last)'", job="Traceback"
    )
    assert "Traceback" not in text
    assert "traceback (most recent call last)" in line["message"]


def test_a_fault_names_its_place_and_hides_its_secrets(capfd: pytest.CaptureFixture[str]) -> None:
    try:
        fall("connect failed: postgres://u:hunter2-hunter2@db/x")
    except RuntimeError as err:
        log.fault("unhandled exception", err)
    line = json.loads(capfd.readouterr().err)
    assert line["message"].startswith(
        "unhandled exception: RuntimeError: connect failed: postgres:"
    )
    assert "hunter2" not in line["message"]
    assert line["at"].startswith("test_log.py:")


@pytest.mark.parametrize("library", ["stamina", "google.auth", "grpc._plugin_wrapping", "urllib3"])
def test_what_a_library_warns_of_is_one_redacted_line_without_its_traceback(
    library: str, capfd: pytest.CaptureFixture[str]
) -> None:
    log.hear_libraries()
    log.hear_libraries()
    msg = "token=hunter2-hunter2\nsecond line"
    try:
        fall(msg)
    except RuntimeError as err:
        extra = {"stamina.caused_by": repr(err), "stamina.args": (msg,)}
        logging.getLogger(library).warning("scheduled %s", msg, extra=extra, exc_info=True)
    text = capfd.readouterr().err
    assert len(text.splitlines()) == 1
    assert "hunter2" not in text
    assert "Traceback" not in text
    assert json.loads(text)["logger"] == library


def test_every_line_names_its_event() -> None:
    stream = io.StringIO()
    log.say("NOTICE", log.LogEvent.JOB_RESUBMITTED, "resubmitted as 7", to=stream)
    assert json.loads(stream.getvalue())["event"] == "job_resubmitted"


def test_the_page_lists_every_event() -> None:
    page = (Path(__file__).resolve().parents[1] / "docs" / "logs.md").read_text()
    listed = re.findall(r"^\| `(\w+)` \| (?!when)", page, re.MULTILINE)
    assert listed == sorted(event.value for event in log.LogEvent)
