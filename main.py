"""Entry points for functions-framework: `remediate` (CloudEvent), `reconcile` and `approve` (HTTP).

Settings and the policy file are read when this module is imported, so that a mistake stops the start
with one line; Google clients are opened when first used. Nothing but plain functions lives here.
"""

import contextlib
import ctypes
import gc
import os
import sys
from functools import cache
from http import HTTPStatus
from pathlib import Path

import flask
import functions_framework
from cloudevents.http import CloudEvent

from remediator.app import App
from remediator.domain import InvalidInput
from remediator.handlers import Handlers, HttpAnswer

_USUAL_LOOKS = gc.get_threshold()
# Modules stay, so Python's collector need not look through them again and again while they are loaded:
# a twentieth of a cold start's processor time (measured). A first event makes some 60,000 objects that stay.
gc.set_threshold(100_000, *_USUAL_LOOKS[1:])

_M_TRIM_THRESHOLD, _M_ARENA_MAX = -1, -8  # documented: mallopt(3)
_HEAPS, _FREE_BYTES = 2, 128 << 10  # chosen; the latter is where glibc begins
# glibc gives threads heaps of their own, and keeps ever more of what was freed: 5 of 91 MiB after some
# events, at no more processor time (measured). Other C libraries have no such function.
with contextlib.suppress(AttributeError, OSError, TypeError):
    _set = ctypes.CDLL(None).mallopt
    _set(_M_ARENA_MAX, _HEAPS)
    _set(_M_TRIM_THRESHOLD, _FREE_BYTES)

try:
    _handlers = Handlers(App.from_environment(os.environ, here=Path(__file__).resolve().parent))
except InvalidInput as err:
    sys.exit(f"vertex-remediator does not start: {err}")


@functions_framework.cloud_event  # type: ignore[untyped-decorator]  # the framework is untyped
def remediate(event: CloudEvent) -> None:
    """Diagnose the failed job that one log entry announces, apply the policies, alert."""
    attributes = event.get_attributes()
    answer = _handlers.on_event(
        attributes, event.data, trace=str(attributes.get("traceparent") or "")
    )
    _collect_as_usual()
    if answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        flask.abort(answer.status, answer.text)


@functions_framework.http  # type: ignore[untyped-decorator]  # the framework is untyped
def reconcile(request: flask.Request) -> flask.Response:
    """Let time pass: sweep for silent failures, go on with what is due, deliver what is in the outbox."""
    answer = _handlers.on_schedule(trace=_trace(request))
    _collect_as_usual()
    return _response(answer)


@functions_framework.http  # type: ignore[untyped-decorator]  # the framework is untyped
def approve(request: flask.Request) -> flask.Response:
    """Take a click on Approve or Decline in Slack; write the answer to the ledger, nothing else."""
    from remediator.alerts.approval import MOST_BYTES  # noqa: PLC0415  # cold start: for clicks only

    body = request.stream.read(MOST_BYTES + 1)  # anybody may post here: no more is read than may be
    answer = _handlers.on_click(body, dict(request.headers), trace=_trace(request))
    _collect_as_usual()
    return _response(answer)


@cache
def _collect_as_usual() -> None:
    """After the first answer: what is loaded is passed over from now on, the rest looked at as usual.

    Passing it over is a tenth of a warm event's processor time (measured).
    """
    gc.freeze()
    gc.set_threshold(*_USUAL_LOOKS)


def _trace(request: flask.Request) -> str:
    headers = request.headers
    return headers.get("traceparent") or headers.get("X-Cloud-Trace-Context") or ""


def _response(answer: HttpAnswer) -> flask.Response:
    return flask.Response(answer.text, answer.status, mimetype="application/json")
