"""A log alone that ends in SIGTERM, in the service's word that it cancels the job, or in probes of a server: what it is read as."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from remediator.cli.subject import diagnose_inputs
from remediator.domain import Cause, rfc3339
from remediator.inputs import assemble
from remediator.inputs.documents import read_document

START = datetime(2026, 11, 29, 1, 0, tzinfo=UTC)
Line = tuple[float, str, str]
FETCHES: list[Line] = [
    (58 * i + 60, "INFO", f"GET https://feeds.partner.example/p/{i} 200 in 57.1s")
    for i in range(60)
]


def _at(seconds: float) -> str:
    return rfc3339(START + timedelta(seconds=seconds))


def _plain(lines: list[Line]) -> str:
    return "\n".join(f"{_at(s)} {level} {said}" for s, level, said in lines)


def _objects(lines: list[Line]) -> str:
    return "\n".join(
        json.dumps({"timestamp": _at(s), "severity": level, "message": said})
        for s, level, said in lines
    )


def _of_zap(lines: list[Line]) -> str:
    return "\n".join(
        json.dumps({"ts": _at(s), "level": level.lower(), "msg": said, "logger": "train"})
        for s, level, said in lines
    )


def _entries(payload: Callable[[str, str], dict]) -> Callable[[list[Line]], str]:
    def written(lines: list[Line]) -> str:
        return json.dumps(
            [
                {
                    "insertId": f"a{i}",
                    "timestamp": _at(s),
                    "severity": level,
                    "resource": {"type": "ml_job", "labels": {"task_name": "workerpool0-0"}},
                    **payload(level, said),
                }
                for i, (s, level, said) in enumerate(lines)
            ]
        )

    return written


def _inner(level: str, said: str) -> str:
    return json.dumps({"level": level.lower(), "msg": said})


FORMS = {
    "plain": _plain,
    "objects": _objects,
    "zap": _of_zap,
    "textPayload": _entries(lambda _, said: {"textPayload": said}),
    "jsonPayload": _entries(lambda _, said: {"jsonPayload": {"message": said}}),
    "object in textPayload": _entries(lambda level, said: {"textPayload": _inner(level, said)}),
    "object in message": _entries(
        lambda level, said: {"jsonPayload": {"message": _inner(level, said)}}
    ),
}


def verdict(text: str) -> Cause:
    return diagnose_inputs(assemble([read_document(text.encode(), "job.log")])).verdict


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize(
    "end",
    [
        (3601, "ERROR", "Received SIGTERM, shutting down"),
        (3601, "WARNING", "signal 15 received, terminating gracefully"),
        (3601, "INFO", "SIGTERM received: stopping workers"),
        (3601, "NOTICE", "Job is being cancelled."),
    ],
    ids=["sigterm", "signal-15", "info", "cancelled"],
)
def test_a_log_that_ends_in_a_stop_is_read_as_a_time_out(
    form: Callable[[list[Line]], str], end: Line
) -> None:
    assert verdict(form([*FETCHES, end])) is Cause.NETWORK_LATENCY


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_a_stop_that_explains_nothing_is_unknown(form: Callable[[list[Line]], str]) -> None:
    """An error's level on the line that tells of the signal is no error of the program's."""
    quick: list[Line] = [(i, "INFO", f"step {i} of 90 done") for i in range(60)]
    stopped = (61.0, "ERROR", "Received SIGTERM, shutting down")
    assert verdict(form([*quick, stopped])) is Cause.UNKNOWN


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_an_error_behind_the_stop_is_the_programs_own(form: Callable[[list[Line]], str]) -> None:
    """What is asked to end early, and goes on to its own end, was not ended by it."""
    early = (100.0, "INFO", "Received SIGTERM, saving a checkpoint")
    later: list[Line] = [(200.0 + i, "INFO", f"step {i} of 90 done") for i in range(20)]
    died = (300.0, "ERROR", "MemoryError: Unable to allocate 26.8 GiB for an array")
    assert verdict(form([early, *later, died])) is Cause.MEMORY_PRESSURE


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_a_healthy_log_has_no_cause(form: Callable[[list[Line]], str]) -> None:
    """The handler is named at the start, and its end is in order."""
    lines: list[Line] = [
        (0, "INFO", "will save a checkpoint on SIGTERM"),
        *FETCHES,
        (3700, "INFO", "all pages fetched, done"),
    ]
    assert verdict(form(lines)) is Cause.UNKNOWN


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_time_after_a_fetch_that_told_its_end_is_no_waiting(
    form: Callable[[list[Line]], str],
) -> None:
    """What was printed at one go with the fetch's last line is what went on."""
    lines: list[Line] = [
        (0, "INFO", "query done: 4,812,330 rows, 14.2 s"),
        (72.4, "INFO", "to_dataframe: 4812330 rows x 31 columns in 72.4 s (BigQuery Storage API)"),
        (72.401, "INFO", "building features row by row (df.iterrows)"),
        *(
            (72.4 + 600 * i, "INFO", f"{160 * i},000/4,812,330 rows, 266.1 rows/s")
            for i in range(1, 6)
        ),
        (3600.0, "INFO", "received SIGTERM, shutting down"),
    ]
    assert verdict(form(lines)) is not Cause.NETWORK_LATENCY


def _of_server(listens: int, probed: int) -> str:
    probe = f'Startup probe failed: Get "http://10.4.0.12:{probed}/health": dial tcp 10.4.0.12:{probed}: connect: connection refused'
    lines = [
        f"INFO 12-01 05:01:41 [api_server.py:1090] Starting vLLM API server on http://0.0.0.0:{listens}",
        "INFO:     Application startup complete.",
        probe,
        probe,
        probe,
        "Container failed to become ready within 1800s",
    ]
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("listens", "probed", "cause"),
    [
        (8000, 8080, Cause.INVALID_CONFIG),
        (8080, 8000, Cause.INVALID_CONFIG),
        (8080, 8080, Cause.SLOW_STARTUP),
        (8080, 15021, Cause.SLOW_STARTUP),
    ],
    ids=["elsewhere", "probed-elsewhere", "the-same", "sidecar"],
)
def test_a_log_alone_tells_where_a_server_listens_and_is_probed(
    listens: int, probed: int, cause: Cause
) -> None:
    """A bigger machine does not open a port."""
    assert verdict(_of_server(listens, probed)) is cause
