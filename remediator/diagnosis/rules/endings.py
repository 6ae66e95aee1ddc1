"""How the job ended: machines taken back, errors before it began, exit statuses, a neighbour's death.

Owns the rules on endings; `process_exits` reads the status itself. Pure; called in the order of `rules`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from remediator.diagnosis.limits import configured_limit
from remediator.diagnosis.process_exits import exit_evidence, stopped_signs
from remediator.diagnosis.rules.features import CaseFeatures
from remediator.diagnosis.signature import Tag
from remediator.diagnosis.weighted_evidence import WeightedEvidence, weighted_evidence
from remediator.diagnosis.weights import weight_of
from remediator.domain import Cause, JobKind, Source
from remediator.domain.late_pattern import late_pattern
from remediator.domain.time_words import exact_span_words
from remediator.job import FaultPart


def weigh_lost_spot_machine(facts: CaseFeatures) -> Iterator[WeightedEvidence]:
    """The service's word for lost capacity: of a spot machine that had started, it was taken back."""
    held = facts.reading.tags.get(Tag.STOCKOUT)
    if held is None or not facts.workload.spot or facts.job.start_time is None:
        return
    case_text, quote = held
    says = f'{case_text.author}: "{quote}", on a spot machine that had started'
    yield weighted_evidence(
        Cause.PREEMPTION, weight_of("lost-spot-machine"), case_text.source, case_text.where, says
    )
    yield weighted_evidence(
        Cause.CAPACITY_STOCKOUT,
        weight_of("lost-spot-against-stockout"),
        case_text.source,
        case_text.where,
        says,
    )


def weigh_error_before_start(facts: CaseFeatures) -> Iterator[WeightedEvidence]:
    """An internal error of a job that had not begun: none of its own code or settings were at work.

    The same words have been seen for a faulty configuration too, of jobs that ran.
    """
    job = facts.job
    began = job.start_time is not None or job.create_time is None or job.end_time is None
    blamed = any(s.cause is Cause.TRANSIENT_BACKEND and s.weight > 0 for s in facts.reading.signs)
    others = any(s.cause is not Cause.TRANSIENT_BACKEND for s in facts.reading.signs)
    if began or not blamed or others:
        return
    says = "it ended before it had begun to run: none of its own code was at work"
    yield weighted_evidence(
        Cause.TRANSIENT_BACKEND, weight_of("error-before-start"), Source.JOB, "startTime", says
    )


def weigh_identity_of_vertex(facts: CaseFeatures) -> Iterator[WeightedEvidence]:
    """No default credentials on a machine of Vertex's, whose metadata server has some for every job: it may have failed for
    a moment, which Google's library tells in the same words (findings/auth_metadata_503.sh).
    """
    if facts.job.is_stand_in or facts.job.kind is JobKind.BATCH_PREDICTION:
        return
    lost = next((s for s in facts.reading.signs if s.group == _NO_IDENTITY and s.weight > 0), None)
    if lost is not None:
        says = f"{lost.evidence.says}; every machine of Vertex's has an account, so its metadata server may have failed for a moment"
        yield weighted_evidence(
            Cause.TRANSIENT_BACKEND,
            weight_of("identity-on-vertex"),
            lost.evidence.source,
            lost.evidence.where,
            says,
        )


_NO_IDENTITY = "client-no-identity"


def weigh_exit(facts: CaseFeatures) -> Iterator[WeightedEvidence]:
    """What the way in which the first process ended says; of batch predictions nobody is told it."""
    if facts.job.kind is JobKind.BATCH_PREDICTION:
        return
    if facts.died:
        yield from stopped_signs(facts.reading)
    if facts.crashed or (facts.died and not facts.surely_timed_out):
        limit = configured_limit(facts.job)
        yield from exit_evidence(facts.job, facts.reading, limit, facts.usage.memory)


_OWN_ADDRESS = late_pattern(r"\b127\.\d{1,3}\.\d{1,3}\.\d{1,3}\b|\blocalhost\b|\[::1\]")
# An exception that tells no more than that the other end of a pipe or a queue is gone.
_BROKEN_PIPE = late_pattern(
    r"\b(?:BrokenPipeError|ConnectionResetError|EOFError|EPIPE)\b(?:: (?:\[Errno \d+\] )?(?:broken pipe|connection reset by peer|read end of file)?\W*)?$",
    re.IGNORECASE,
)
_CHILD_KILLED = frozenset({"bare-oom", "child-killed", "worker-killed"})


def weigh_killed_neighbour(facts: CaseFeatures) -> Iterator[WeightedEvidence]:
    """A process of the same container was killed: what its neighbours then say of its address, that it
    refuses or resets, or of the pipe to it, is no word of the network, of another service or of their code.
    """
    if not any(s.group in _CHILD_KILLED and s.weight > 0 for s in facts.reading.signs):
        return
    for found in facts.reading.signs:
        of_others = found.cause in {Cause.NETWORK_LATENCY, Cause.TRANSIENT_BACKEND}
        own = of_others and _OWN_ADDRESS.search(found.text)
        if found.weight > 0 and (own or _BROKEN_PIPE.search(found.text)):
            evidence = found.evidence
            says = f"a process of this container was killed: {evidence.says}"
            yield weighted_evidence(
                found.cause, -found.weight, evidence.source, evidence.where, says
            )


_OF_CHILDREN = late_pattern(r"\bmultiprocessing/|\bconcurrent/|\bprocess/?\.|\bpopen_")


def weigh_lost_child(facts: CaseFeatures) -> Iterator[WeightedEvidence]:
    """A parent read from a child, or wrote to it, and the pipe was gone: the child said no word of why, so it
    was killed. Where a child raised something, that is the reason.
    """
    raised = facts.reading.raised
    if not facts.crashed or not raised:
        return
    ended = raised[-1]
    if not (_BROKEN_PIPE.search(ended.text) and _OF_CHILDREN.search(ended.below)):
        return
    if any(not _BROKEN_PIPE.search(one.text) for one in raised):
        return
    says = f'{ended.author} ends with "{ended.text}", raised reading from a child: it is gone without a word'
    yield weighted_evidence(
        Cause.MEMORY_PRESSURE,
        weight_of("child-gone"),
        ended.source,
        ended.where,
        says,
        symptom=True,
    )
    against = [s for s in facts.reading.signs if s.evidence.where == ended.where and s.weight > 0]
    for found in against:
        yield weighted_evidence(found.cause, -found.weight, ended.source, ended.where, says)


def weigh_internal_error_at_once(facts: CaseFeatures) -> Iterator[WeightedEvidence]:
    """Vertex's own internal error before the program wrote a word: one try more is worth it.

    These words are also seen for images and configurations that can never start; where the attempt
    before was treated for this and ended so too, that is what they mean.
    """
    if not is_internal_error_at_once(facts) or facts.treated_for == Cause.TRANSIENT_BACKEND:
        return
    took = exact_span_words(facts.job.run_seconds or 0)
    says = f"it died within {took}, before any worker wrote a line"
    yield weighted_evidence(
        Cause.TRANSIENT_BACKEND,
        weight_of("internal-error-at-once"),
        Source.JOB,
        "endTime",
        says,
        symptom=True,
    )


def is_internal_error_at_once(facts: CaseFeatures) -> bool:
    """Vertex's internal error of a custom or tuning job in which no worker wrote a line, within ten minutes."""
    job = facts.job
    if job.kind not in {JobKind.CUSTOM, JobKind.HYPERPARAMETER_TUNING} or not facts.wordless:
        return False
    own = [fault.status for fault in job.faults if fault.part is FaultPart.JOB]
    internal = any(
        status.code == _INTERNAL or _FOR_THE_ATTEMPT.search(status.message) for status in own
    )
    return internal and job.run_seconds is not None and job.run_seconds <= _AT_ONCE_SECONDS


_INTERNAL = 13  # documented: google.rpc.Code
_FOR_THE_ATTEMPT = late_pattern(r"internal error occurred for the current attempt", re.IGNORECASE)
_AT_ONCE_SECONDS = 600.0  # a program that ran longer had begun its work; chosen
