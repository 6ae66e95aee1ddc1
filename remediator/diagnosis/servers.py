"""A model server's comings and goings: where it listens, what its probe was answered, who died.

Owns the reading of what servers of every make print (gunicorn, uvicorn, hypercorn, waitress, nginx,
TorchServe, Triton, TensorFlow Serving, MLServer, BentoML, Flask, Node, Java): starts, the address,
access lines of the health route, requests, and starts anew right after a request. Judges nothing:
`rules` does. Pure; called by `diagnose`.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping

from msgspec import Struct, field

from remediator.case import LogLine
from remediator.diagnosis.durations import duration_in
from remediator.diagnosis.lazy_patterns import Linear
from remediator.domain import Json
from remediator.domain.late_pattern import late_pattern

_DEFAULT_PORT = 8080  # documented: of containerSpec.ports, cloud.google.com/vertex-ai/docs/predictions/custom-container-requirements
_TEXT = 400  # characters of a line that are read; chosen
_MOST_LINES = 20_000  # chosen

_START = Linear(
    r"\bbooting worker\b|\bstarted (?:server|parent|child) process\b|\bstarting (?:gunicorn|server|worker|uvicorn|granian|waitress|hypercorn|app|application|model server)\b|\b(?:worker|server) started\b|\bstarted worker\b|\bspawn(?:ed|ing) (?:uwsgi )?worker\b|\brunning on https?://|\bserving on\b|\blistening (?:at|on)\b|\bserving flask app\b"
)
_REQUEST = Linear(
    r"\"?\b(?:POST|PUT) /\S|\bpredict(?:ion)?\b\W{0,3}\d|\bpredict: |\breceived (?:inference|request|prediction)|\binference request\b|\b(?:cmd )?PREDICT\b|/predictions?/|\b\d+ instances\b|\bscor(?:ed|ing)\b",
    ignore_case=False,
)
_PROBE = Linear(
    r"\"(?:GET|HEAD) (?P<path>/[^ \"?]{0,120})[^\"]{0,80}\"(?: -)? (?P<status>\d{3})\b|\b(?:GET|HEAD) (?P<path2>/\S{0,120}) (?:HTTP/\d\S* )?(?:- )?(?P<status2>[1-5]\d\d)\b",
    ignore_case=False,
)
_ADDRESS = Linear(
    r"(?:listen|running on|serving|bound? to|bind|started|address|http server|available at|server (?:at|on)|uvicorn|hypercorn|waitress)[^|]{0,60}?(?:https?://)?(?P<host>\[[0-9a-f:]{2,40}\]|\d{1,3}(?:\.\d{1,3}){3}|localhost|\*):(?P<port>\d{2,5})\b"
    r"|(?:listening|listen|serving|running|started|bound|server)[^|]{0,40}\bport[ :=]{1,3}(?P<port2>\d{2,5})\b"
)
# A probe that was refused, in the words of kubelets: `Startup probe failed: Get "http://10.4.0.12:8080/health": dial tcp …`.
_PROBED = Linear(
    r"\b(?:startup|start-up|readiness|liveness|health) ?(?:probe|check)\b[^|]{0,160}?(?:\d{1,3}(?:\.\d{1,3}){3}|localhost|\[[0-9a-f:]{2,40}\]):(?P<port>\d{2,5})\b[^|]{0,160}\brefused\b",
    needs="probe check",
)
_OF_A_SIDECAR = frozenset(
    {15020, 15021}
)  # documented: Istio's ports of health, istio.io/docs/ops/deployment/application-requirements
_LOOPBACK = late_pattern(r"^(?:127\.\d{1,3}\.\d{1,3}\.\d{1,3}|localhost|\[::1\])$")
_NOT_THE_SERVICE = Linear(
    r"management|metrics|admin|grpc|debug|control|upstream|inspect|redis|database|postgres"
)
_DIED = Linear(
    r"\bchild process \W?\d{0,9}\W{0,2}died\b|\bwas sent sigkill\b|\bexited with (?:signal|code -?9|exit code -?9)|\bterminated by signal 9\b|\bkilled by signal\b|\bworkers? (?:process(?:es)? )?(?:\W?\d{1,9}\W )?(?:died|exited|crashed|w(?:as|ere) killed|unexpectedly)|\bworker (?:was )?terminated due to signal 9\b|\bexited on signal 9\b|\bunexpectedly (?:exited|died|terminated)\b|\bunexpected exit\b|\b(?:exited|died|terminated|crashed) unexpectedly\b|\bDAMN ! worker \d+ .{0,40}died\b|\bprocess died\b|: line \d{1,6}: +\d{1,9} killed\b|\b(?:exit(?:ed|s)?|ended|status|code)(?: with)?(?: status| code)?[ :=]{1,2}137\b"
)
_TIMED_OUT = Linear(
    r"\bworker timeout\b|did not respond in given time|harakiri|request timeout|timed out after \d"
)
_TROUBLE = Linear(
    r"traceback|exception|\berror\b|segmentation|sigsegv|core dumped|panic|shutting down|reload"
)


# A parent's or a proxy's word that the process which had a request was gone before it answered, and what says why.
_GONE = Linear(
    r"\bresponse headers received from daemon process\b|\bpremature end of script headers\b|\bupstream prematurely closed connection while reading response header\b",
    needs="daemon premature",
)
_EXPLAINS = Linear(
    r"traceback|exception|segmentation|sigsegv|core dumped|panic|assertion|fatal|worker timeout|harakiri",
)
# A proxy's word that nobody behind it takes a request: nginx, HAProxy, Envoy, Caddy, Traefik, Apache, Varnish.
_NO_UPSTREAM = Linear(
    r"\bno live upstreams\b|\bconnect\(\) (?:to \S+ )?failed \(\d{1,3}: (?:connection refused|no route to host|host is unreachable|network is unreachable)\) while connecting to upstream\b"
    r"|\bhas no server available\b|<NOSRV>|\bserver [\w.-]+/[\w.-]+ is down\b|\bno healthy upstream\b|\bno available server\b|\bno upstreams available\b"
    r"|\bdial tcp \S+ connect: (?:connection refused|no route to host)|\bfailed to make connection to backend\b|\battempt to connect to \S+ .{0,40}failed\b|\ball (?:backend servers|backends|upstreams) (?:are )?(?:down|unhealthy|unavailable)\b|\bbackend \S{1,60} (?:is )?unhealthy\b",
    needs="upstream connect() server backend nosrv dial attempt",
)
_UPSTREAM = Linear(
    r"\bupstream\W{1,4}(?:https?|uwsgi|fastcgi|grpc)://(?P<host>\[[0-9a-f:]{2,40}\]|unix|[\w.-]{1,100})(?::(?P<port>\d{2,5})\b)?|\bdial tcp (?P<host2>\[[0-9a-f:]{2,40}\]|[\w.-]{1,100}):(?P<port2>\d{2,5})\b|\bconnect to (?P<host3>\d{1,3}(?:\.\d{1,3}){3}|localhost):(?P<port3>\d{2,5})\b",
    needs="upstream dial connect",
)
_OWN = late_pattern(r"^(?:127\.0\.0\.1|localhost|unix|\[::1\]|0\.0\.0\.0)$")


class QuotedLine(Struct, frozen=True):
    """A line and where it stands, for evidence."""

    where: str
    text: str


class SmallerRequest(Struct, frozen=True):
    """How many instances a request had, and in how many seconds it was answered."""

    instances: int
    seconds: float
    said: QuotedLine


class Server(Struct, frozen=True):
    """What the log tells of a model server.

    `expected_port` is the container's, by its Model; where that names none, the one of a refused probe. `refusals` are answers to its health route other
    than 2xx and 503, with how often. `ended_in_request`: a worker ended, or was started anew, after a
    request and without a word of why.
    """

    expected_port: int
    loopback: QuotedLine | None
    other_port: tuple[QuotedLine, int] | None
    refusals: tuple[tuple[int, int, QuotedLine], ...]
    healthy: int
    starts: int
    requests: int
    ended_in_request: QuotedLine | None
    deaths: int
    first_request: str
    silent_death: QuotedLine | None = None
    """The first line that tells that a worker ended, where nothing since its start says why."""
    no_upstream: tuple[QuotedLine, str, int] | None = None
    """A proxy's word that nobody behind it takes a request; the host, empty where none is named, and the port, 0."""
    probed: bool = False
    """A probe of it was refused, and names its port."""
    ports: frozenset[int] = frozenset()
    """Where servers in this container listen, by their own lines."""
    smaller: SmallerRequest | None = None
    """A request of fewer instances that was answered in time, at a pace at which the whole batch is not; None: there is none."""

    @property
    def proxies_itself(self) -> bool:
        """What does not answer the proxy is in this very container, by its address."""
        return self.no_upstream is not None and _OWN.match(self.no_upstream[1]) is not None

    @property
    def answered(self) -> bool:
        """It was asked for predictions: it had been ready."""
        return self.requests > 0


class _Tally(Struct):
    """What has been read so far."""

    route: str
    addresses: list[tuple[str, int, QuotedLine]] = field(default_factory=list)
    statuses: dict[int, tuple[int, QuotedLine]] = field(default_factory=dict)
    starts: int = 0
    requests: int = 0
    deaths: int = 0
    asked: bool = False
    troubled: bool = False
    ended: QuotedLine | None = None
    first_request: str = ""
    complained: bool = False
    silent_death: QuotedLine | None = None
    no_upstream: tuple[QuotedLine, str, int] | None = None
    explained: bool = False
    probed: int | None = None

    def read(self, said: QuotedLine) -> None:
        text = said.text
        if _GONE.is_in(text):
            self.deaths += 1
            self.ended = self.ended or (None if self.explained else said)
            return
        self.explained = self.explained or _EXPLAINS.is_in(text)
        if asked := _PROBED.search(text):
            self.probed = None if int(asked["port"]) in _OF_A_SIDECAR else int(asked["port"])
        elif _NO_UPSTREAM.is_in(text):
            self._upstream(said)
        if (found := _ADDRESS.search(text)) and not _NOT_THE_SERVICE.search(text):
            self.addresses.append((found["host"] or "", int(found["port"] or found["port2"]), said))
        if probe := _PROBE.search(text):
            self._probe(
                probe["path"] or probe["path2"], int(probe["status"] or probe["status2"]), said
            )
        if is_request(text):
            self.requests += 1
            self.first_request = self.first_request or said.where
            self.asked, self.troubled = True, False
            return
        died, start = _DIED.search(text) is not None, _START.search(text) is not None
        self.deaths += died
        if self.silent_death is None:
            if died and not self.complained:
                self.silent_death = said
            self.complained = not start and (self.complained or _TROUBLE.is_in(text))
        self.starts += start
        if self.asked:
            self._after_request(said, died=died, start=start)

    def _probe(self, path: str, status: int, said: QuotedLine) -> None:
        its_own = not self.route or path.rstrip("/") == self.route.rstrip("/")
        if its_own or status >= _CLIENT_ERROR:
            count = self.statuses[status][0] if status in self.statuses else 0
            self.statuses[status] = (count + 1, said)

    def _upstream(self, said: QuotedLine) -> None:
        named = _UPSTREAM.search(said.text)
        groups = {} if named is None else named.groupdict()
        host = groups.get("host") or groups.get("host2") or groups.get("host3") or ""
        port = groups.get("port") or groups.get("port2") or groups.get("port3") or "0"
        if host or self.no_upstream is None:
            self.no_upstream = (said, host, int(port))

    def _after_request(self, said: QuotedLine, *, died: bool, start: bool) -> None:
        if _TIMED_OUT.search(said.text) or (not died and _TROUBLE.search(said.text)):
            self.troubled = True
        anew = start and self.starts > 1  # what starts for the first time has not ended before
        if (died or anew) and not self.troubled and self.ended is None:
            self.ended = said
        if start:
            self.asked = False


_REDIRECT, _CLIENT_ERROR, _UNAVAILABLE = 300, 400, 503  # documented: RFC 9110


def read_server(
    lines: Iterable[LogLine], container: Json, *, batch_size: int | None = None
) -> Server:
    """One pass over the log of a batch prediction's container; its port and routes by its Model, and how many instances
    a request has (None: not known).
    """
    port, route = _port_of(container), str(container.get("healthRoute") or "")
    tally = _Tally(route)
    smaller: SmallerRequest | None = None
    for line in itertools.islice(lines, _MOST_LINES):
        said = QuotedLine(line.insert_id or "logEntries", line.text[:_TEXT])
        tally.read(said)
        if batch_size is not None and smaller is None:
            smaller = _smaller_in(said, batch_size)
    addresses, statuses = tally.addresses, tally.statuses
    if tally.probed is not None and not container.get("ports"):
        port = tally.probed
    inside = bool(addresses) and all(_LOOPBACK.match(host) for host, _, _ in addresses)
    elsewhere = bool(addresses) and all(found != port for _, found, _ in addresses)
    return Server(
        expected_port=port,
        loopback=addresses[0][2] if inside else None,
        other_port=(addresses[-1][2], addresses[-1][1]) if elsewhere else None,
        refusals=tuple(
            (status, count, said)
            for status, (count, said) in sorted(statuses.items())
            if status >= _REDIRECT and status != _UNAVAILABLE
        ),
        healthy=sum(count for status, (count, _) in statuses.items() if status < _REDIRECT),
        starts=tally.starts,
        requests=tally.requests,
        ended_in_request=tally.ended,
        deaths=tally.deaths,
        first_request=tally.first_request,
        silent_death=tally.silent_death,
        no_upstream=tally.no_upstream,
        probed=tally.probed is not None,
        ports=frozenset(found for _, found, _ in addresses),
        smaller=smaller,
    )


# How many instances a line says that a request had, and that it was answered.
_INSTANCES = Linear(
    r"\b(?:n|bs|batch(?:[_ ]?size)?|size|count|instances|rows|items|images|docs|documents|prompts|inputs|texts|records)[ ]?[=:][ ]?(?P<after>\d{1,5})\b"
    r"|\b(?P<before>\d{1,5})[ -](?:instances?|rows?|items?|images?|docs?|documents?|prompts?|inputs?|texts?|pages?|records?)\b"
)
_IN_TIME = Linear(
    r"\b(?:done|finished|completed?|served|answered|returned|ok|took|200|processed|predicted|responded)\b"
)
_REQUEST_SECONDS = 600.0  # documented: of one request of a batch prediction
_TOO_LONG = 0.8  # of them, from which the whole batch may take too long; chosen


def _smaller_in(said: QuotedLine, batch_size: int) -> SmallerRequest | None:
    """A request of fewer than `batch_size` instances that a line says was answered, where so many more take too long."""
    found = _INSTANCES.search(said.text) if _IN_TIME.is_in(said.text) else None
    seconds = duration_in(said.text) if found is not None else None
    if found is None or seconds is None:
        return None
    instances = int(found["after"] or found["before"])
    if not 0 < instances <= batch_size / 2 or seconds >= _REQUEST_SECONDS * _TOO_LONG:
        return None
    whole = seconds / instances * batch_size
    if whole < _REQUEST_SECONDS * _TOO_LONG:
        return None
    return SmallerRequest(instances, seconds, said)


def is_request(text: str) -> bool:
    """A line that tells of a request for predictions: the server had been ready."""
    return _REQUEST.search(text[:_TEXT]) is not None


# A request that a server was asked, in the form that access logs have: a method, a path of its own, and a status.
_ASKED = late_pattern(
    r"\b(?:GET|HEAD|POST|PUT|OPTIONS|DELETE|PATCH) (?:https?://(?:127\.\d{1,3}\.\d{1,3}\.\d{1,3}|localhost|0\.0\.0\.0|\[::1?\])(?::\d{1,5})?)?/[^\s\"]{0,200}(?: HTTP/\d(?:\.\d)?)?"
)
_ANSWERED = late_pattern(r"(?<![\w.:/-])[1-5]\d\d(?![\w.:/%-])")
# What else stands in such a line: quoted names of clients, the status in words, levels and loggers.
_BESIDE = late_pattern(
    r"\"[^\"]{0,300}\"|\[[^\]]{0,80}\]|\(?(?i:ok|created|no content|bad request|unauthorized|forbidden|not found|method not allowed|request timeout|conflict|payload too large|content too large|request entity too large|unprocessable (?:entity|content)|too many requests|internal server error|not implemented|bad gateway|service unavailable|gateway time-?out)\b\)?"
    r"|\b(?i:trace|debug|info|notice|warn(?:ing)?|error|access|main|stdout|stderr|status|bytes|took|completed|finished|request|response|http)\b"
)
_MOST_BESIDE = 2  # words, beside all that; chosen
_BARE_WORD = late_pattern(r"[A-Za-z]{3,}")


def is_access_line(text: str) -> bool:
    """A line of an access log: a request that the server itself was asked and the status that it answered, and no word
    of why."""
    head = text[:_TEXT]
    asked = _ASKED.search(head)
    if asked is None or len(text) > _TEXT:
        return False
    rest = f"{head[: asked.start()]} {head[asked.end() :]}"
    if _ANSWERED.search(rest) is None:
        return False
    return len(_BARE_WORD.findall(_BESIDE.sub(" ", rest))) <= _MOST_BESIDE


def _port_of(container: Json) -> int:
    ports = container.get("ports")
    first = ports[0] if isinstance(ports, list) and ports else {}
    number = first.get("containerPort") if isinstance(first, Mapping) else None
    return number if isinstance(number, int) else _DEFAULT_PORT
