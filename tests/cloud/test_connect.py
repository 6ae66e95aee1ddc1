"""What every client shares: where plaintext is allowed, the retry rule, and the words of errors."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from google.api_core import exceptions as api
from google.auth import exceptions as auth
from google.rpc import error_details_pb2

from remediator.cloud.connection import (
    answered,
    google_errors,
    loopback_target,
    open_channel,
    private_roots,
)
from remediator.cloud.proto_json import to_json
from remediator.cloud.vertex import Vertex
from remediator.domain import (
    InvalidInput,
    JobName,
    NotFound,
    NotServed,
    OutcomeUnknown,
    PermanentError,
    PermissionDenied,
    RemediatorError,
    TransientError,
)


@pytest.mark.parametrize(
    "endpoint", ["127.0.0.1:8080", "localhost:1", "[::1]:65535", "127.9.9.9:80"]
)
def test_plaintext_is_spoken_on_loopback(endpoint: str) -> None:
    assert loopback_target(endpoint) == endpoint


@pytest.mark.parametrize(
    "endpoint",
    [
        "10.0.0.1:80",
        "0.0.0.0:80",
        "169.254.169.254:80",
        "vertex.example:443",
        "localhost.example:80",
        "127.0.0.1.example:80",
        "127.0.0.1",
        "127.0.0.1:",
        "127.0.0.1:http",
        "127.0.0.1:0",
        "127.0.0.1:70000",
        "http://127.0.0.1:80",
        "[::2]:80",
        ":80",
        "",
    ],
)
def test_plaintext_is_spoken_nowhere_else(endpoint: str) -> None:
    with pytest.raises(InvalidInput):
        loopback_target(endpoint)


def test_a_client_for_another_host_in_plaintext_is_never_opened() -> None:
    vertex = Vertex("10.0.0.1:80")
    with pytest.raises(InvalidInput, match="loopback"):
        vertex.get(JobName.parse("projects/p/locations/us-central1/customJobs/1"))


def test_a_loopback_endpoint_is_not_asked_through_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """gRPC's core would send even this through the proxy, which knows another loopback."""
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_server(("127.0.0.1", 0)) as proxy:  # fmt: skip
        for name in ("https_proxy", "http_proxy", "grpc_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.getsockname()[1]}")
        for name in ("no_proxy", "NO_PROXY", "no_grpc_proxy"):
            monkeypatch.delenv(name, raising=False)
        channel = open_channel("x.googleapis.com", f"127.0.0.1:{server.getsockname()[1]}")
        try:
            channel.subscribe(lambda _: None, try_to_connect=True)
            server.settimeout(5)
            server.accept()[0].close()
            proxy.settimeout(0.05)
            with pytest.raises(TimeoutError):
                proxy.accept()
        finally:
            channel.close()


# --- authorities -------------------------------------------------------------------------------

VARIABLES = (
    "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH",
    "REQUESTS_CA_BUNDLE",
    "SSL_CERT_FILE",
    "CURL_CA_BUNDLE",
)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, None),
        ({"SSL_CERT_FILE": "a"}, b"A"),
        ({"REQUESTS_CA_BUNDLE": "a"}, b"A"),
        ({"SSL_CERT_FILE": "a", "REQUESTS_CA_BUNDLE": "a"}, b"A"),
        ({"SSL_CERT_FILE": "a", "REQUESTS_CA_BUNDLE": "b"}, b"B\nA"),
        ({"SSL_CERT_FILE": "missing"}, None),
        ({"SSL_CERT_FILE": "a", "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH": "b"}, None),
    ],
    ids=["none", "ssl", "requests", "same", "both", "missing", "grpc's own"],
)
def test_public_authorities_are_replaced_only_by_whom_the_user_names(
    given: dict[str, str],
    expected: bytes | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "a").write_bytes(b"A")
    (tmp_path / "b").write_bytes(b"B")
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    for name, file in given.items():
        monkeypatch.setenv(name, str(tmp_path / file))
    assert private_roots() == expected


# --- retries -----------------------------------------------------------------------------------


class Flaky:
    """Fails in order with these errors, then answers; remembers how long each try was given."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.given: list[float] = []

    def __call__(self, seconds: float) -> str:
        self.given.append(seconds)
        if self.errors:
            raise self.errors.pop(0)
        return "answer"


def test_a_try_is_given_half_of_what_is_left_so_that_another_fits() -> None:
    flaky = Flaky(api.ServiceUnavailable("x"))
    assert answered("asking", flaky, timeout_seconds=1000) == "answer"
    first, second = flaky.given
    assert 300.0 < first <= 500.0
    assert second < first  # each half of what was left when it was made


def test_a_create_is_given_all_of_it() -> None:
    flaky = Flaky()
    answered("creating", flaky, timeout_seconds=1000, creating=True)
    (given,) = flaky.given
    assert 500.0 < given <= 1000.0


def test_the_time_is_never_exceeded_by_waiting() -> None:
    flaky = Flaky(*[api.ServiceUnavailable("x")] * 100)
    with pytest.raises(TransientError):
        answered("asking", flaky, timeout_seconds=1.0)
    assert flaky.errors  # it gave up long before the service would have answered
    assert max(flaky.given) <= 1.0
    assert flaky.given == sorted(flaky.given, reverse=True)


def test_a_fault_of_our_own_is_not_tried_again_and_not_renamed() -> None:
    flaky = Flaky(KeyError("ours"))
    with pytest.raises(KeyError):
        answered("asking", flaky)
    assert len(flaky.given) == 1


# --- words -------------------------------------------------------------------------------------


def info(**told: str) -> error_details_pb2.ErrorInfo:
    return error_details_pb2.ErrorInfo(reason="IAM_PERMISSION_DENIED", metadata=told)


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (api.NotFound("no job"), NotFound, "asking: no job"),
        (
            api.PermissionDenied("denied", details=[info(permission="a.b.get", resource="projects/p")]),
            PermissionDenied,
            "asking: denied (permission a.b.get) (resource projects/p)",
        ),
        (
            api.PermissionDenied("a.b.get denied", details=[info(permission="a.b.get")]),
            PermissionDenied,
            "asking: a.b.get denied",
        ),
        (auth.DefaultCredentialsError("none"), PermissionDenied, "asking: no Google credentials were found (on your own machine: gcloud auth application-default login): none"),
        (auth.TransportError("proxy"), TransientError, "asking: proxy"),
        (
            api.ServiceUnavailable("Getting metadata from plugin failed with error: ('invalid_grant: x')"),
            PermissionDenied,
            "asking: Getting metadata from plugin failed with error: ('invalid_grant: x')",
        ),
        (ConnectionResetError(104, "reset"), TransientError, "asking: [Errno 104] reset"),
        (api.InvalidArgument("x" * 9000), PermanentError, f"asking: {'x' * 4000}"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)  # fmt: skip
def test_an_error_says_what_was_attempted_and_what_the_service_said(
    error: Exception, kind: type[RemediatorError], words: str
) -> None:
    with pytest.raises(kind) as caught, google_errors("asking"):
        raise error
    assert type(caught.value) is kind
    assert str(caught.value) == words
    assert caught.value.__cause__ is error


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (api.ServiceUnavailable("Getting metadata from plugin failed with error: no route"), TransientError),
        (auth.RefreshError("x"), TransientError),
        (ConnectionResetError(), OutcomeUnknown),
        (api.RetryError("x", None), OutcomeUnknown),
        (api.GatewayTimeout("x"), OutcomeUnknown),
        (api.Conflict("x"), PermanentError),
        (api.MethodNotImplemented("x"), NotServed),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)  # fmt: skip
def test_a_create_that_never_left_is_no_riddle_and_one_that_left_is(
    error: Exception, kind: type[RemediatorError]
) -> None:
    with pytest.raises(RemediatorError) as caught, google_errors("creating", creating=True):
        raise error
    assert type(caught.value) is kind


@pytest.mark.parametrize(
    ("words", "named"),
    [
        ("The caller does not have permission", True),
        ("Missing or insufficient permissions at '//x.googleapis.com/projects/p'.", True),
        ("robot@p.iam.gserviceaccount.com may not do this", True),
        ("Permission 'iam.serviceAccounts.actAs' denied", False),
        ("robot@p.iam.gserviceaccount.com does not have storage.objects.list access", False),
    ],
)
def test_a_refusal_that_names_no_permission_is_told_with_the_one_that_the_call_needs(
    words: str, *, named: bool
) -> None:
    with pytest.raises(PermissionDenied) as caught, google_errors("asking", permission="a.b.c"):
        raise api.PermissionDenied(words)
    assert ("the call needs the permission a.b.c" in str(caught.value)) is named


# --- messages ----------------------------------------------------------------------------------


def broken_any(job: object) -> None:
    packed = job.error.details.add()  # type: ignore[attr-defined]
    packed.type_url = "type.googleapis.com/some.Unknown"
    packed.value = b"\xff\xff"


def corrupt_any(job: object) -> None:
    packed = job.error.details.add()  # type: ignore[attr-defined]
    packed.type_url = "type.googleapis.com/google.rpc.RetryInfo"
    packed.value = b"\xff\xff"


def not_a_number(job: object) -> None:
    job.model_parameters.struct_value.fields["rate"].number_value = float("nan")  # type: ignore[attr-defined]


@pytest.mark.parametrize("spoil", [broken_any, corrupt_any, not_a_number])
def test_what_json_cannot_hold_does_not_cost_the_rest(spoil: Callable[[object], None]) -> None:
    from google.cloud.aiplatform_v1.types import BatchPredictionJob

    job = BatchPredictionJob(name="n", display_name="d", labels={"a": "b"})
    raw = BatchPredictionJob.pb(job)
    spoil(raw)
    body = to_json(job)
    assert (body["name"], body["displayName"], body["labels"]) == ("n", "d", {"a": "b"})
    assert raw.ListFields() == BatchPredictionJob.pb(job).ListFields()
