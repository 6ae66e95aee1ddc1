"""How the process ended, where the log has no better word: signals, statuses, last words.

Owns the rules on the exit status that the service tells (137, 139, 143, 1) together with who the first
process was and what the last line said. Facts on endings are measured with real kernel kills: a Python
as first process ignores SIGTERM and is killed later, with 137 and no memory short; a status 139 with an
empty log says nothing; a kubelet that killed for memory says OOMKilled. Pure; called by `rules`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from msgspec.structs import replace

from remediator.diagnosis.complaints import (
    cause_of_line,
    names_a_record,
    names_data,
    weighs_settings,
)
from remediator.diagnosis.error_meanings import meaning_of, names_an_argument
from remediator.diagnosis.first_process import (
    argument_words,
    at_fault,
    is_installed,
    reads_data,
)
from remediator.diagnosis.metrics import Load
from remediator.diagnosis.reported_status import cause_of_reported_status
from remediator.diagnosis.signature import Tag
from remediator.diagnosis.stack_frames import is_own
from remediator.diagnosis.texts.case_text import SERVICE_AUTHOR, CaseText
from remediator.diagnosis.texts.evidence import TextEvidence
from remediator.diagnosis.weighted_evidence import WeightedEvidence, weighted_evidence
from remediator.diagnosis.weights import weight_of
from remediator.domain import Cause, OwnLimit, Source
from remediator.domain.late_pattern import late_pattern
from remediator.job import Job

_STATUS = late_pattern(r"non-zero status of (\d{1,3})\b")
_REASON = late_pattern(r"Termination reason: (\w{1,40})")
_INIT = late_pattern(
    r"\b(?:dumb-init|tini|catatonit|s6-svscan|supervisord|docker-init|torchrun|accelerate|mpirun|horovodrun|deepspeed|ray|dask|spark-submit|gunicorn|celery|nextflow|snakemake|honcho|foreman)\b|torch\.distributed|&\s*$|& wait\b"
)
_PIPES = late_pattern(r"\"-\"|'-'|\bstdin\b|\bstandard input\b|\bpipe\b")
# What a program prints below an error in its arguments.
_USAGE = late_pattern(r"(?:^|\s)(?:usage|synopsis)\s*:", re.IGNORECASE)
_QUOTED = 200  # characters; chosen
_TOO_FEW_WORDS = 3  # in a last line, to say anything; chosen
_ROOM = 0.75  # of the machine's memory, chosen: what is read once a minute may grow by a quarter between


_KILLED, _CRASHED = 137, frozenset({134, 139, 127})
"""Documented: POSIX, 128 and the signal's number; 127 is the shell's for what it did not find."""
_CHILD_KILLED = 256 - 9
"""Documented: POSIX, an exit status is the low eight bits of what is returned; Python's return code of a child
that a signal ended is the signal's number, negative."""
_LEAST_OF_SHELL, _MOST_OF_SIGNALS = 124, 192
"""Documented: between them stand `timeout`'s statuses, the shell's own, and signals."""


def exit_evidence(
    job: Job, reading: TextEvidence, limit: OwnLimit | None, memory: Load | None = None
) -> Iterator[WeightedEvidence]:
    """What the way in which the first process ended says beyond its number.

    `memory`: how full the machine's memory was measured; None: nobody measured it.
    """
    reported = _STATUS.search(job.error_message)
    if reported is None:
        return
    status = int(reported[1])
    if status == _KILLED:
        yield from _killed(job, reading, memory)
    elif status in _CRASHED:
        yield from _crashed(job, reading, limit)
    elif status == _CHILD_KILLED:
        yield from _child_killed(reading)
    elif not _LEAST_OF_SHELL <= status <= _MOST_OF_SIGNALS:
        yield from _gave_up(job, reading)
        yield from _met_other_data(job, reading)


def ended_by_itself(job: Job) -> bool | None:
    """Whether the first process ended with a status of its own choice, or crashed, rather than at a signal from
    outside; None where no status is told.
    """
    reported = _STATUS.search(job.error_message)
    if reported is None:
        return None
    status = int(reported[1])
    return status in _CRASHED or not _LEAST_OF_SHELL <= status <= _MOST_OF_SIGNALS


def _child_killed(reading: TextEvidence) -> Iterator[WeightedEvidence]:
    """A parent that exits with its child's return code, -9: signal 9 came to a child, and whoever names no
    other cause was killed for memory.
    """
    if any(s.weight > weight_of("status-explained") and not _is_status(s) for s in reading.signs):
        return
    says = f"it exited with {_CHILD_KILLED}, which is -9: a child of it was killed by signal 9"
    weight = weight_of("child-killed-by-status")
    yield weighted_evidence(
        Cause.MEMORY_PRESSURE,
        weight,
        Source.JOB,
        "error",
        says,
        symptom=True,
        group="worker-killed",
    )


def stopped_signs(reading: TextEvidence) -> Iterator[WeightedEvidence]:
    """A program that was asked to end, or whose time was up, and was killed for not heeding it: its 137
    is no memory's, unless something else speaks of memory; where its time was up, its 143 is no lost machine's.
    """
    words = reading.stop_request
    if words is None:
        return
    of_time = _TIME_UP.search(words.text) is not None
    lost = [s for s in reading.signs if s.cause is Cause.PREEMPTION and s.weight > 0]
    if of_time and lost and all(s.symptom for s in lost):
        says = f'{words.author} tells that its time was up: "{words.text[:_QUOTED]}"'
        weight = weight_of("time-up-against-preemption")
        yield weighted_evidence(Cause.PREEMPTION, weight, words.source, words.where, says)
    memory = [s for s in reading.signs if s.cause is Cause.MEMORY_PRESSURE and s.weight > 0]
    if not memory:
        return
    # A kill that a shell tells after that is what came of not heeding it.
    of_time = of_time or bool(words.after)
    if not all(_is_bare_kill(s, of_time=of_time) for s in memory):
        return  # memory speaks for itself, or a child was killed while others were asked to end
    says = f'{words.author} tells of an end from outside: "{words.text[:_QUOTED]}"'
    yield weighted_evidence(
        Cause.MEMORY_PRESSURE, weight_of("asked-to-end"), words.source, words.where, says
    )


_TIME_UP = late_pattern(r"time(?:out|limit): sending|\blimit\b", re.IGNORECASE)


def _is_bare_kill(found: WeightedEvidence, *, of_time: bool) -> bool:
    """A status 137; or, where time was up, a shell's word that a child was killed."""
    of_child = of_time and found.group == "child-killed"
    return found.symptom and (of_child or "137" in found.evidence.says)


def _killed(job: Job, reading: TextEvidence, memory: Load | None) -> Iterator[WeightedEvidence]:
    """SIGKILL to the first process. A kubelet whose kernel killed it for memory says OOMKilled; where it
    says otherwise, the memory had room, and no process above a child's, somebody outside did it.
    """
    reason = _REASON.search(job.error_message)
    if reason is None:
        return
    if reason[1] == "OOMKilled":
        says = 'the kubelet says that the kernel killed it for memory ("OOMKilled")'
        yield weighted_evidence(
            Cause.MEMORY_PRESSURE,
            weight_of("oom-killed"),
            Source.JOB,
            "error",
            says,
            group="kubelet",
        )
        return
    first = [" ".join(one) for one in job.first_processes]
    if any(map(_INIT.search, first)) or _tells_of_memory(reading):
        return
    if memory is not None and memory.reached_limit:
        return
    # Without a command of the job's own the image's ENTRYPOINT decides what the first process is, and
    # below a shell the kubelet does not say OOMKilled: only a memory that had room speaks then.
    if not first and (memory is None or memory.peak > _ROOM):
        return
    says = (
        "it was killed by signal 9, and the kubelet does not say OOMKilled: whoever ended it was "
        "outside (it does so some time after a SIGTERM that the program did not heed)"
    )
    yield weighted_evidence(
        Cause.PREEMPTION, weight_of("killed-from-outside"), Source.JOB, "error", says, symptom=True
    )
    yield weighted_evidence(
        Cause.MEMORY_PRESSURE,
        weight_of("killed-from-outside-against-memory"),
        Source.JOB,
        "error",
        says,
    )


def _tells_of_memory(reading: TextEvidence) -> bool:
    return any(s.cause is Cause.MEMORY_PRESSURE for s in _of_workers(reading))


def _of_workers(reading: TextEvidence) -> list[WeightedEvidence]:
    """What the workers' own lines speak for; the service's repeat the job's error."""
    return [
        s
        for s in reading.signs
        if s.weight > 0
        and s.evidence.source is Source.LOG
        and not s.evidence.says.startswith(SERVICE_AUTHOR)
    ]


def _crashed(job: Job, reading: TextEvidence, limit: OwnLimit | None) -> Iterator[WeightedEvidence]:
    """A crash without a word is no evidence of anybody's code; under a limit of memory it has one."""
    others = {found.cause for found in _of_workers(reading)} - {Cause.USER_CODE_ERROR}
    if reading.raised and reading.raised[-1].traced and others:
        says = f'its runtime ended it after an exception: "{reading.raised[-1].text[:_QUOTED]}"'
        weight = weight_of("crash-without-a-word")
        yield weighted_evidence(Cause.USER_CODE_ERROR, weight, Source.JOB, "error", says)
    if is_installed(job) and not reading.raised and not others:
        says = "it crashed, and is no program of the job's own: whose fault it was is not told"
        weight = weight_of("crash-of-installed")
        yield weighted_evidence(Cause.USER_CODE_ERROR, weight, Source.JOB, "error", says)
    if reading.raised or _of_workers(reading) or _states_a_fault(reading.last_words):
        return
    if limit is not None:
        says = f"it crashed without a word under {limit.name}, which its own arguments set"
        yield weighted_evidence(
            Cause.MEMORY_PRESSURE,
            weight_of("crash-under-own-limit"),
            limit.evidence.source,
            limit.evidence.where,
            says,
        )
        return
    says = "it crashed without a word: neither code nor memory nor the machine is told"
    yield weighted_evidence(
        Cause.USER_CODE_ERROR, weight_of("crash-without-a-word"), Source.JOB, "error", says
    )


def _states_a_fault(words: CaseText | None) -> bool:
    """Whether the last words are the program's own account of a fault in code, as an assertion's are: of the first
    process, whose abort the kernel turns into a crash.
    """
    return words is not None and (words.traced or meaning_of(words.text) is Cause.USER_CODE_ERROR)


def _gave_up(job: Job, reading: TextEvidence) -> Iterator[WeightedEvidence]:
    """A program that ends with a status of its own choice said why in its last line, or said nothing."""
    words = reading.last_words
    if words is None:
        return
    tried = _tried_before(words, reading)
    if tried is not None:
        says = f'{words.author} gives up: "{words.text[:_QUOTED]}", after: {tried.evidence.says}'
        weight = weight_of("tried-before")
        yield weighted_evidence(
            tried.cause, weight, Source.LOG, words.where, says, group="last-words"
        )
        return
    no_bug = words.of_value or is_installed(job)
    if _is_explained(words, reading, no_bug=no_bug):
        if words.of_value:
            says = f'{words.author} gives up over an error: "{words.text[:_QUOTED]}"'
            yield from _misread(words, reading, says, of_a_bug=True)
        return
    few = len(words.text.split()) < _TOO_FEW_WORDS and not names_data(words.text)
    if _PIPES.search(words.text) or (few and not words.traced):
        # It heard of a failure from another process.
        return
    cause, words = _cause_of(words, job)
    if cause is Cause.USER_CODE_ERROR and _tells_only_a_time_out(words, reading):
        return
    says = f'{words.author} ends with: "{words.text[:_QUOTED]}"'
    weight = weight_of("stated-of-code") if words.traced else weight_of("last-words")
    made = weighted_evidence(
        cause, weight, Source.LOG, words.where, says, symptom=not words.traced, group="last-words"
    )
    yield replace(made, text=words.text, frame=words.frame)
    if cause is not Cause.USER_CODE_ERROR:
        # A status is a guess at what the words then tell.
        yield weighted_evidence(
            Cause.USER_CODE_ERROR,
            weight_of("last-words-against-code"),
            Source.LOG,
            words.where,
            says,
        )
        if no_bug:
            yield from _misread(words, reading, says, of_a_bug=True)
    elif words.traced:
        yield from _misread(words, reading, says)


def _tells_only_a_time_out(words: CaseText, reading: TextEvidence) -> bool:
    """Whether the last words say that the time was up and nothing more: what took it is not told."""
    timed_out = reading.tags.get(Tag.TIMED_OUT)
    return (
        timed_out is not None
        and timed_out[0].where == words.where
        and not words.traced
        and all(meaning_of(text) is None for text in (words.first, words.text))
    )


def _cause_of(words: CaseText, job: Job) -> tuple[Cause, CaseText]:
    """What last words are about, and the words with what was needed of those around them."""
    meaning = meaning_of(words.first, of_code=words.traced) if words.first else None
    meaning = meaning or meaning_of(words.text, of_code=words.traced)
    if meaning is None and words.after:
        words = replace(words, text=f"{words.text} {words.after}")
        meaning = meaning_of(words.text)
    meaning = cause_of_reported_status(words.text) or meaning
    cause = meaning or cause_of_line(words.text, at_fault(job))
    if cause is Cause.BAD_INPUT and _USAGE.search(words.after) and not names_data(words.text):
        cause = Cause.INVALID_CONFIG
    if cause is Cause.BAD_INPUT and weighs_settings(words.text):
        cause = Cause.INVALID_CONFIG
    elif cause is Cause.INVALID_CONFIG and meaning and names_a_record(words.text):
        cause = Cause.BAD_INPUT
    if cause is Cause.BAD_INPUT and names_an_argument(words.text, argument_words(job)):
        cause = Cause.INVALID_CONFIG
    return cause, words


def _met_other_data(job: Job, reading: TextEvidence) -> Iterator[WeightedEvidence]:
    """An installed program that reads data ended with a bug's class, and no frame of the job's own is there: the
    data are not what it expects. What cannot be imported, or is called wrongly, is the image's.
    """
    raised = reading.raised[-1] if reading.raised else None
    if raised is None or raised.frame is None or is_own(raised.frame.file):
        return
    if not _OF_DATA.match(raised.text) or not is_installed(job) or not reads_data(job):
        return
    says = (
        f'{raised.author}: an installed program ends with "{raised.text[:_QUOTED]}" over its data'
    )
    weight = weight_of("installed-over-data")
    yield weighted_evidence(Cause.BAD_INPUT, weight, Source.LOG, raised.where, says)
    for found in reading.signs:
        if found.group in OF_A_BUG and found.weight > 0 and found.evidence.where == raised.where:
            yield weighted_evidence(found.cause, -found.weight, Source.LOG, raised.where, says)


_OF_DATA = late_pattern(
    r"(?:Index|Key|Value|ZeroDivision|Unicode\w*|EOF|Overflow)Error\b|StopIteration\b|(?:struct|zlib|binascii)\.[eE]rror\b"
)
_GIVES_UP = late_pattern(
    r"\b(?:giv(?:e|es|en|ing)|gave) up\b"
    r"|\b(?:failed|tried)(?: after)? \d+ (?:times|attempts|tries)\b"
    r"|\b(?:retries|attempts|tries)(?: (?:were|are|have been))? (?:exhausted|exceeded|used up)\b"
    r"|\b(?:stopping|aborting|bailing out|quitting)\W*$"
    r"|\b(?:exhausted|exceeded|no more|out of|maximum|max)(?: (?:all|number of|the))? (?:retries|attempts|tries)\b",
    re.IGNORECASE,
)


def _tried_before(words: CaseText, reading: TextEvidence) -> WeightedEvidence | None:
    """What a program told of each try, most often as a warning, before its last words say that it gives up; None
    where they say why themselves, or something else explains the end.
    """
    if not _GIVES_UP.search(words.text) or meaning_of(words.text, of_code=words.traced) is not None:
        return None
    signs = [sign for sign in reading.signs if sign.weight > 0 and not _is_status(sign)]
    first = max(signs, key=lambda sign: sign.weight, default=None)
    if first is None or first.cause not in _TRIED_AGAIN or first.evidence.source is not Source.LOG:
        return None
    return first


_TRIED_AGAIN = frozenset({Cause.TRANSIENT_BACKEND, Cause.NETWORK_LATENCY, Cause.QUOTA})


def _is_explained(words: CaseText, reading: TextEvidence, *, no_bug: bool) -> bool:
    """Whether something else says better why it ended: of words that a language says of the program's own
    code, other readings of the same line do not; nor, where that is `no_bug` of the job's own, that it raised something.
    """
    explained = weight_of("status-explained")
    if reading.has(Tag.GPU_RAISED):
        return True
    own = words.traced and meaning_of(words.text, of_code=True) is Cause.USER_CODE_ERROR
    reported = cause_of_reported_status(words.text)
    return any(
        s.weight > explained
        and not _is_status(s)
        and not (own and s.cause in _MISREAD and _is_of(words, s))
        and not (s.symptom and s.cause is reported and _is_of(words, s))
        and not (no_bug and s.group in OF_A_BUG and _is_of(words, s))
        for s in reading.signs
    )


OF_A_BUG = frozenset({"code-exception", "code-traceback", "code-runtime"})
"""The groups of signs that tell of a bug by an exception's class alone."""

_MISREAD = frozenset({Cause.BAD_INPUT, Cause.INVALID_CONFIG, Cause.USER_CODE_ERROR})


def _is_of(words: CaseText, sign: WeightedEvidence) -> bool:
    """Whether a sign was read from a line of the statement."""
    return sign.evidence.where == words.where or bool(sign.text and sign.text in words.text)


def _misread(
    words: CaseText, reading: TextEvidence, says: str, *, of_a_bug: bool = False
) -> Iterator[WeightedEvidence]:
    """Against what the words of that line would mean if they did not speak of the program's own code; or, `of_a_bug`,
    if they did, where the program is an installed one, or was handed an error.
    """
    for found in reading.signs:
        if of_a_bug:
            others = found.group in OF_A_BUG
        else:
            others = found.cause in _MISREAD - {Cause.USER_CODE_ERROR}
        if others and found.weight > 0 and _is_of(words, found):
            yield weighted_evidence(found.cause, -found.weight, Source.LOG, words.where, says)


def _is_status(found: WeightedEvidence) -> bool:
    """A sign of the bare status, by the job's error or the service's line that repeats it."""
    by_service = found.evidence.says.startswith(SERVICE_AUTHOR)
    return found.symptom and (found.evidence.source is Source.JOB or by_service)
