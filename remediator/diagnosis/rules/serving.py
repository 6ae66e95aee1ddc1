"""A model server: was it ready, what ended its requests, how large they were.

Owns the rules of batch predictions: port, address and health route, workers that end in a request, the
server's own time-out, one request against the service's limit; and what no other kind of job can have.
Pure; called in the order of `rules`.
"""

from __future__ import annotations

from collections.abc import Iterator

from msgspec.structs import replace

from remediator.diagnosis.lazy_patterns import Linear
from remediator.diagnosis.rules.features import REQUEST_LIMIT_SECONDS, CaseFeatures, timeout_words
from remediator.diagnosis.signature import Tag, TextPlace
from remediator.diagnosis.weighted_evidence import WeightedEvidence, weighted_evidence
from remediator.diagnosis.weights import weight_of
from remediator.domain import Cause, JobKind, Source
from remediator.domain.time_words import exact_span_words


def weigh_readiness(facts: CaseFeatures) -> Iterator[WeightedEvidence]:
    """Port, bind address, health route and what the probe was answered, before a bigger machine."""
    server = facts.server
    if server is None or not facts.never_ready:
        return
    # A server that raised while it started never came to listen.
    raised = any(held.traced for held in facts.reading.raised) and not server.healthy
    if server.loopback is not None:
        says = f'it listens where nobody outside its container reaches it: "{server.loopback.text}"'
        weight = weight_of("listens-and-raised") if raised else weight_of("listens-on-loopback")
        yield _of_server(Cause.INVALID_CONFIG, weight, server.loopback.where, says)
    elif server.other_port is not None and not server.healthy:
        said, port = server.other_port
        says = f'it listens on {port}, and is asked on {server.expected_port}: "{said.text}"'
        yield _of_server(Cause.INVALID_CONFIG, weight_of("listens-elsewhere"), said.where, says)
    for status, count, said in server.refusals:
        if server.healthy:
            break
        says = (
            f'the probe of its health route was answered {status}, {count:,} times: "{said.text}"'
        )
        cause = Cause.INVALID_CONFIG if status < 500 else Cause.USER_CODE_ERROR  # noqa: PLR2004  # HTTP
        yield _of_server(cause, weight_of("probe-refused"), said.where, says)


def weigh_death_in_request(facts: CaseFeatures) -> Iterator[WeightedEvidence]:
    """A worker that ends in a request, and is started anew without a word, was killed for memory, or
    crashed in native code; the first unless something says the other.
    """
    server = facts.server
    if server is None:
        return
    said = server.ended_in_request or (server.silent_death if _request_was_cut(facts) else None)
    if said is None:
        return
    weight = weight_of("death-in-request-told") if server.deaths else weight_of("death-in-request")
    says = f'a worker ended in the middle of a request, without a word of why: "{said.text}"'
    yield _of_server(Cause.MEMORY_PRESSURE, weight, said.where, says, symptom=True)


# What the service says of a request whose connection the container's side broke off.
_CUT = Linear(
    r"connection termination|before headers|connection (?:reset|closed|aborted)|reset by peer|empty reply|remote end closed|disconnected|Non-OK result 50[23]\b",
    needs="connection headers reset reply closed disconnected non-ok",
)


def _request_was_cut(facts: CaseFeatures) -> bool:
    return not facts.never_ready and _CUT.is_in(facts.job.error_message)


def weigh_upstream(facts: CaseFeatures) -> Iterator[WeightedEvidence]:
    """A proxy answered, since nobody behind it took the request: somewhere else that is down for now; in this very
    container, on another port than the server's, it is the proxy's setting.
    """
    server = facts.server
    if server is None or server.no_upstream is None or not _PROXIED.is_in(facts.job.error_message):
        return
    said, _, port = server.no_upstream
    says = f'a proxy found nobody behind it: "{said.text[:_QUOTED]}"'
    if not server.proxies_itself:
        cause, weight = Cause.TRANSIENT_BACKEND, weight_of("upstream-down")
    elif port and server.ports and port not in server.ports:
        listens = " and ".join(str(one) for one in sorted(server.ports))
        says += f"; the server in its container listens on {listens}"
        cause, weight = Cause.INVALID_CONFIG, weight_of("listens-elsewhere")
    else:
        return
    yield _of_server(cause, weight, said.where, says)


# The answers of a proxy that found nobody behind it; documented: RFC 9110.
_PROXIED = Linear(r"\bNon-OK result 50[234]\b|\bno healthy upstream\b", needs="result healthy")


def weigh_native_fault(facts: CaseFeatures) -> Iterator[WeightedEvidence]:
    """A request's connection broke off, and what the server said last is an assertion of compiled code, or the heap's
    word that it is corrupt: a bug, and no kill.
    """
    words = facts.reading.last_words
    if facts.server is None or words is None or not _request_was_cut(facts):
        return
    if _NATIVE.is_in(words.text):
        says = f'a request ended in a fault of compiled code: "{words.text[:_QUOTED]}"'
        yield _of_server(Cause.USER_CODE_ERROR, weight_of("native-fault"), words.where, says)


_NATIVE = Linear(
    r"\bassertion [`'].{1,300}' failed\b|\*\*\* stack smashing detected|\bdouble free or corruption\b|\bfree\(\): invalid|\bmalloc\(\): |\bmunmap_chunk\(\): |\bcorrupted size vs\b|\bpure virtual method called\b",
    needs="assertion smashing corrupt free malloc munmap virtual",
)


def weigh_answered_requests(facts: CaseFeatures) -> Iterator[WeightedEvidence]:
    """A server that was asked for predictions had started, whatever it says of starts since."""
    server = facts.server
    late = [s for s in facts.reading.signs if s.cause is Cause.SLOW_STARTUP and s.weight > 0]
    if server is None or not server.answered or not late:
        return
    if any(s.evidence.source is not Source.LOG for s in late):
        return
    says = "it was asked for predictions: it had started"
    yield _of_server(Cause.SLOW_STARTUP, weight_of("had-started"), server.first_request, says)


_QUOTED = 200  # characters; chosen
_STARTS_OF_A_LOOP = 2  # chosen


def weigh_crash_loop(facts: CaseFeatures) -> Iterator[WeightedEvidence]:
    """What raises at every start is not slow."""
    server = facts.server
    if server is None or server.starts < _STARTS_OF_A_LOOP:
        return
    late = any(s.cause is Cause.SLOW_STARTUP and s.weight > 0 for s in facts.reading.signs)
    raised = [held for held in facts.reading.raised if held.count >= _STARTS_OF_A_LOOP]
    if late and raised:
        says = f'it raised at {raised[0].count:,} starts: "{raised[0].text[:_QUOTED]}"'
        yield _of_server(
            Cause.SLOW_STARTUP, weight_of("raised-at-every-start"), raised[0].where, says
        )


def weigh_server_timeout(facts: CaseFeatures) -> Iterator[WeightedEvidence]:
    """The server's own time-out ended a request: its size, and where the code stood at that moment."""
    held = facts.reading.tags.get(Tag.TIMED_OUT)
    if facts.server is None or not facts.server.answered or held is None:
        return
    case_text, quote = held
    if case_text.place is not TextPlace.LOG:
        return
    size = facts.workload.batch_size or 0
    if size > 1:
        says = f'its server cut a request of {size} instances off: "{quote}"'
        yield _of_server(
            Cause.REQUEST_TOO_LARGE, weight_of("request-cut-off"), case_text.where, says
        )
        # Which code is slow is not said by a time-out alone, and fewer instances need less of it.
        yield _of_server(
            Cause.SLOW_CODE, weight_of("request-cut-off-against-code"), case_text.where, says
        )
    stood = facts.reading.stood_in
    if not stood:
        return
    where, kind = stood[-1]
    frame = where.frame
    place = f"{frame.file}:{frame.line} {frame.function or ''}".strip() if frame else "its code"
    if kind == "network":
        says = f"when its time was up it was waiting for an answer, in {place}"
        yield _of_server(Cause.NETWORK_LATENCY, weight_of("stood-in-network"), where.where, says)
        yield _of_server(
            Cause.SLOW_CODE, weight_of("stood-in-network-against-code"), where.where, says
        )
    elif facts.timeline.cpu_share is not None and facts.timeline.cpu_share < _STARVED_SHARE:
        says = (
            f"it was computing in {place}, and got {facts.timeline.cpu_share * 100:.0f}% of one CPU "
            "while it did"
        )
        yield _of_server(Cause.CPU_SATURATION, weight_of("starved-in-code"), where.where, says)
        yield _of_server(
            Cause.SLOW_CODE, weight_of("starved-in-code-against-code"), where.where, says
        )


# A process that computes all the while and is given less than this of one CPU is starved; chosen.
_STARVED_SHARE = 0.5


def _of_server(
    cause: Cause, weight: float, where: str, says: str, *, symptom: bool = False
) -> WeightedEvidence:
    return weighted_evidence(
        cause, weight, Source.LOG, where, says, symptom=symptom, group=f"server-{cause}"
    )


_NEARLY = 0.95  # of the limit; chosen


def weigh_request_size(facts: CaseFeatures) -> Iterator[WeightedEvidence]:
    """One request that did not finish within the service's limit, unless its server was killed meanwhile."""
    if facts.job.kind is not JobKind.BATCH_PREDICTION or facts.workload.batch_size is None:
        return
    elapsed = facts.reading.elapsed_seconds
    if elapsed is None or elapsed < REQUEST_LIMIT_SECONDS * _NEARLY or not facts.timed_out:
        return
    killed = [
        s
        for s in facts.reading.signs
        if s.cause is Cause.MEMORY_PRESSURE
        and s.weight >= weight_of("killed-by-a-line")
        and s.evidence.source is Source.LOG
    ]
    if killed:
        # A request whose server is killed never ends either: the 504 is not bare.
        says = f"its server was killed meanwhile: {killed[0].evidence.says}"
        where = killed[0].evidence.where
        yield weighted_evidence(
            Cause.REQUEST_TOO_LARGE,
            weight_of("killed-against-request-size"),
            Source.LOG,
            where,
            says,
        )
        return
    size = facts.workload.batch_size
    where = facts.job.batch_size_path
    if size == 1:
        says = "each request already held one instance: no smaller batch is left"
        yield weighted_evidence(
            Cause.REQUEST_TOO_LARGE, weight_of("one-instance"), Source.JOB, where, says
        )
        return
    says = f"one request of {size} instances did not finish within {elapsed:.0f} s"
    yield weighted_evidence(
        Cause.REQUEST_TOO_LARGE, weight_of("bare-504"), Source.JOB, where, says, symptom=True
    )
    smaller = facts.server.smaller if facts.server is not None else None
    if smaller is not None:
        # It works as it should: fewer at a time are answered in time.
        took = exact_span_words(smaller.seconds)
        says = f'a request of {smaller.instances} was answered in {took}: "{smaller.said.text[:_QUOTED]}"'
        for cause, weight in (
            (Cause.REQUEST_TOO_LARGE, weight_of("smaller-answered")),
            (Cause.SLOW_CODE, weight_of("smaller-answered-against-code")),
        ):
            yield _of_server(cause, weight, smaller.said.where, says)


def weigh_foreign_kind(facts: CaseFeatures) -> Iterator[WeightedEvidence]:
    """A job that ran until its own time-out serves nothing: no start-up and no request was late."""
    if facts.job.kind is JobKind.BATCH_PREDICTION or not facts.workload.ran_into_timeout:
        return
    for cause in (Cause.SLOW_STARTUP, Cause.REQUEST_TOO_LARGE):
        if any(s.cause is cause and s.evidence.source is Source.JOB for s in facts.reading.signs):
            says = f"{timeout_words(facts)}, and it serves no requests"
            yield weighted_evidence(
                cause, weight_of("serves-nothing"), Source.JOB, facts.job.timeout_path, says
            )


def weigh_tenant_project(facts: CaseFeatures) -> Iterator[WeightedEvidence]:
    """Google's own project in the message of a batch prediction: no code of the user's named it."""
    if facts.job.kind is not JobKind.BATCH_PREDICTION:
        return
    for found in facts.reading.signs:
        if found.group == "tenant-project" and found.weight > 0:
            evidence = found.evidence
            said = weighted_evidence(
                Cause.INVALID_CONFIG,
                weight_of("tenant-project"),
                evidence.source,
                evidence.where,
                evidence.says,
            )
            yield replace(said, text=found.text)
            yield weighted_evidence(
                Cause.USER_CODE_ERROR,
                weight_of("tenant-project-against-code"),
                evidence.source,
                evidence.where,
                evidence.says,
            )
