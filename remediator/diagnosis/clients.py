"""Whose words an exception's are: a client library's speak of the service behind it.

Owns the use of `signatures.authors` and of the clients' rows: which exception of a chain is a
client's, and what its message says of the other side. Pure; called by `texts`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from remediator.diagnosis.complaints import lacks_a_part
from remediator.diagnosis.lazy_patterns import Linear
from remediator.diagnosis.matching import client_signature_in
from remediator.diagnosis.open_trace import Raised
from remediator.diagnosis.signature import Signature
from remediator.diagnosis.signatures.authors import AUTHORS, AUTHORS_NEED, BUGS, CLIENTS, SOCKETS
from remediator.domain import Cause
from remediator.domain.late_pattern import late_pattern

_HEAD_OF_LINE = 300  # characters in which a client names itself; chosen
_TEXT = 6_000  # characters of an exception that are read; chosen
# google-api-core's own time-out tells what it last met: that decides.
_LAST_EXCEPTION = late_pattern(r"Timeout of [\d.]+s exceeded, last exception: ")
_CLIENT_IN_LINE = Linear(
    rf"(?:^|[\s('\"])(?:{CLIENTS.pattern})(?:\w{{1,60}}\.){{0,8}}(?:[A-Z]\w{{2,60}})?[:(]|(?i:{AUTHORS})",
    ignore_case=False,
)
# What the C library says of a socket (errno(3)), or a transfer library in its words, of a file named by a URL.
_URL = late_pattern(r"\b(?:https?|ftps?|sftp)://[^\s/]")
_SOCKET_ERROR = Linear(
    r": ?(?:connection (?:refused|reset by peer|timed out)|device or resource busy|network is unreachable|no route to host|host is down|broken pipe|operation timed out|name or service not known|temporary failure in name resolution)\W{0,3}$",
    needs="connection device network route host broken operation name temporary",
)
# errno(3): ECONNREFUSED, and what Windows calls it; ENOENT of a socket's path.
_OF_A_SOCKET = Linear(
    r"\bconnection (?:to \S+ )?(?:was )?refused\b|\beconnrefused\b|\bconnectionrefused|\bactively refused\b|\berrno[ :=]{1,2}111\b"
    r"|\bunix /\S+: connect: no such file|\bconnect ENOENT /|\bthrough socket '?/|\bsocket \"?/\S+ failed: no such file|\bdaemon at unix://"
    r"|\blost connection to (?:the )?(?:\w+ )?(?:server|database|broker|host)\b|\bserver closed the connection\b"
    r"|\btransfer closed with \d+ bytes\b|\brequested url returned error: \d{3}\b",
    needs="refused errno unix socket enoent lost closed returned",
)
# A probe of the server itself, and the peers of one job that look for one another.
_PROBED = Linear(
    r"\bprobe\b|\bclient socket has\b|\brendezvous\b|\btcpstore\b|\bworkerpool\d|\bcmle-training-",
    needs="probe socket rendezvous tcpstore workerpool cmle",
)
_PEERS = Linear(r"\b(?:gloo|nccl|c10d|mpi|horovod|processgroup|ray|dask|spark)\b")
_OF_ITS_OWN = late_pattern(r"\bprobe\b|://(?:localhost|127\.|0\.0\.0\.0|\[::1\])", re.IGNORECASE)
_SPEAKS = Linear(AUTHORS, needs=AUTHORS_NEED)


def is_reported(raised: Sequence[Raised], behind: Raised) -> bool:
    """Whether a client's exception came of telling somebody of an error: another was being handled, which no
    client raised, and the words name a place where errors are told.
    """
    deeper = [one for one in raised if one.depth > behind.depth]
    own = any(
        one.handled and not (CLIENTS.match(one.name) or SOCKETS.match(one.name)) for one in deeper
    )
    clients = any(
        CLIENTS.match(one.name) or SOCKETS.match(one.name)
        for one in raised
        if one.depth > behind.depth and not one.handled
    )
    return own and not clients and reports_elsewhere(behind.text)


def reports_elsewhere(text: str) -> bool:
    """Whether a text names a place where runs and errors are told, which no program needs for its work."""
    return _TRACKERS.is_in(text[:_TEXT])


# Chats, mails, trackers of errors and of runs.
_TRACKERS = Linear(
    r"\bhooks?\.|\bweb-?hooks?\b|\bslack|\bdiscord|\btelegram|\bpagerduty|\bsentry|\bbugsnag|\brollbar|\bnewrelic|\bdatadog|\bhoneycomb|\bnotif(?:y|ication)|\balert"
    r"|\bmlflow|\bwandb|w&b|\bneptune|\bcomet(?:_ml)?\b|\bclearml|\btensorboard|\btelemetry|\bstatsd|\bopentelemetry|\botlp\b|/envelope/|\bsmtp|\bmail(?:gun|er)?\b",
    needs="hook slack discord telegram pagerduty sentry bugsnag rollbar newrelic datadog honeycomb notif alert mlflow wandb w&b neptune comet clearml tensorboard telemetry statsd otlp envelope smtp mail",
)


def service_behind(raised: Sequence[Raised]) -> tuple[Raised, Signature] | None:
    """The client's exception that says what the service behind it did, and the row that knows it.

    The deepest that says something known; None where no exception of the chain is a client's or
    none does.
    """
    for one in reversed(raised):
        of_client = CLIENTS.match(one.name) or SOCKETS.match(one.name)
        bug = BUGS.search(one.name)
        refused = not bug and not _PEERS.is_in(one.text) and _is_of_a_socket(one.text)
        known = of_client or refused
        if known or (not bug and _names_a_status(one.text)):
            text = _LAST_EXCEPTION.sub("", one.text[:_TEXT])
            row = None if lacks_a_part(text) else client_signature_in(text)
            if row is not None and (known or row.cause is Cause.TRANSIENT_BACKEND):
                return one, row
    return None


def _names_a_status(text: str) -> bool:
    """Whoever raised it: it was answered with a status of HTTP's, which only another service does."""
    return _HTTP_STATUS.is_in(text[:_HEAD_OF_LINE])


_HTTP_STATUS = Linear(
    r"\bHTTP(?:/[\d.]+)? ?(?:error|status|code|response|status code|error code|response code)?[ :(=]{1,3}5\d\d\b"
    r"|\bstatus[ _]?code:?[ =(]{0,2}(?:is |was |of )?5\d\d\b|\b(?:responded|replied|answered|failed) with (?:an? )?(?:HTTP |status |code |error )*5\d\d\b",
    needs="http status responded replied answered failed",
)


def spoken_in(text: str, *, serves: bool = False) -> Signature | None:
    """What a plain line says of another service, where a client or a tool of the field wrote it.

    `serves`: the log is a model server's, whose own workers refuse connections too once they are gone.
    """
    head = text[:_HEAD_OF_LINE]
    if "Error" in head or "Exception" in head or "imeout" in head:
        speaks = _CLIENT_IN_LINE.is_in(head)
    else:
        speaks = _SPEAKS.is_in(head)
    if not speaks and not _is_socket_error_of_a_url(head) and (serves or not _is_of_a_socket(text)):
        return None
    return client_signature_in(text[:_TEXT])


def _is_of_a_socket(text: str) -> bool:
    """Whoever wrote it: nobody took a connection, it was cut, or a local socket is not there."""
    head = text[:_TEXT]
    return _OF_A_SOCKET.is_in(head) and not _PROBED.is_in(head)


def _is_socket_error_of_a_url(head: str) -> bool:
    """Whatever wrote it: a URL of another host, and what the C library says of a socket at the line's end."""
    return bool(
        _URL.search(head) and _SOCKET_ERROR.is_in(head.rstrip()) and not _OF_ITS_OWN.search(head)
    )
