"""What the word model says of a failure: of a single message, and of how a whole log ends.

Owns when the model is asked and what its word may do. It fills silence, and speaks against what is merely presumed;
a verdict that rests on it starts no resubmission (`Diagnosis.by_words_alone`). Pure; called by `diagnose`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from msgspec.structs import replace

from remediator.case import LogLine
from remediator.diagnosis.error_meanings import is_unknown_last_line, meaning_of
from remediator.diagnosis.process_exits import OF_A_BUG, ended_by_itself
from remediator.diagnosis.progress_lines import complains, warns
from remediator.diagnosis.scoring import THRESHOLD
from remediator.diagnosis.texts.case_text import clean
from remediator.diagnosis.texts.ending import ending_of
from remediator.diagnosis.texts.evidence import TextEvidence
from remediator.diagnosis.texts.last_lines import last_lines
from remediator.diagnosis.texts.levels import QUIET
from remediator.diagnosis.weighted_evidence import WeightedEvidence, weighted_evidence
from remediator.diagnosis.weights import weight_of
from remediator.diagnosis.words import Guess, features_of, guess
from remediator.domain import NEVER_RETRIED, NO_PLACE, Cause, JobKind, JobState, RankedCause, Source
from remediator.domain.cause_words import MEANINGS
from remediator.domain.late_pattern import late_pattern
from remediator.job import Job


def evidence_of_message(
    job: Job, ranked: Sequence[RankedCause], log_lines: Sequence[LogLine] = ()
) -> WeightedEvidence | None:
    """What the words of a single message speak for, where next to nothing else speaks, or where they contradict it
    and are surer than a first guess at it deserves; None otherwise.

    Words never start a resubmission (`Diagnosis.by_words_alone`). Of a whole log the end alone is asked
    (`evidence_of_ending`): times and numbers decide there.
    """
    heard = [
        (held, source, where, text)
        for source, where, text in _single_message(job, log_lines)
        if (held := guess(clean(_without_warnings(text)))) is not None
    ]
    if not heard:
        return None
    held, source, where, text = max(heard, key=lambda one: one[0].probability)
    first = ranked[0] if ranked else None
    stays = first is not None and (_refuses_by_code(job, first.cause) or not _outvotes(held, first))
    if first is not None and first.confidence >= _LITTLE and stays:
        return None
    spoke = ", ".join(f'"{word}"' for word in held.words)
    of = "the job's error" if source is Source.JOB else "the log's only entry"
    says = f"by its words alone ({spoke}): no known message stands in {of}"
    if first is not None and first.confidence >= _LITTLE:
        other = MEANINGS[first.cause]
        says = f"by its words ({spoke}), which speak against what else {of} says: {other}"
    elif first is not None:
        says = f"by its words alone ({spoke}): what is known of {of} says little"
    made = weighted_evidence(held.cause, weight_of("words-alone"), source, where, says)
    return replace(made, text=clean(_without_warnings(text)))


def _refuses_by_code(job: Job, cause: Cause) -> bool:
    """Whether the service refused by its code, which stands beside the words: only a lack of permission is told by one."""
    return cause is Cause.PERMISSION and any(one.status.code in _REFUSED for one in job.faults)


_REFUSED = frozenset({7, 16})  # documented: google.rpc.Code, PERMISSION_DENIED and UNAUTHENTICATED


def _outvotes(held: Guess, first: RankedCause) -> bool:
    """Whether words are sure enough against what else is made of the same message.

    A verdict that calls for another attempt is not taken back for a cause that allows none, nor where the same again
    later is the remedy of both. Measured on 1,218 messages that had taught neither: of ten verdicts that words for a
    never-retried cause had outvoted seven were right, and three of the words.
    """
    if held.cause is first.cause:
        return False
    if first.confidence >= THRESHOLD and first.cause not in NEVER_RETRIED:
        both_later = first.cause in _LATER and held.cause in _LATER
        if both_later or held.cause in NEVER_RETRIED:
            return False
    return held.probability >= first.confidence - weight_of("words-outvote-margin")


def _single_message(job: Job, log_lines: Sequence[LogLine]) -> Iterator[tuple[Source, str, str]]:
    """The job's own errors where there is no log, or a log of one entry beside no error: source, place and text.

    Of a line that came alone, the error of its stand-in is what was presumed of it.
    An entry that complains of nothing is none: the model learned failures alone, and finds one in `rate limiter enabled`.
    """
    if job.state not in _FAILED:
        return
    faults = [
        fault for fault in job.faults if fault.status.text and not _EMPTY.search(fault.status.text)
    ]
    if not log_lines:
        yield from ((Source.JOB, fault.where, fault.status.text) for fault in faults)
    elif len(log_lines) == 1 and (job.is_stand_in or not faults):
        line = log_lines[0]
        rows = _without_warnings(line.text)[:_READ].split("\n")
        if any(complains(row) for row in rows):
            yield Source.LOG, line.insert_id or "logEntries", line.text


_EMPTY = late_pattern(r"\bmessage=\s*,")  # an exception of the service around no message
# Nothing is wrong with the job: the same again, later, is the remedy.
_LATER = NO_PLACE | {Cause.TRANSIENT_BACKEND, Cause.PREEMPTION}


_READ = (
    4_000  # characters of an entry that may complain; chosen, as many as the words that are read
)


_LITTLE = 0.3  # probability of a first guess below which words are asked alone; chosen


def _without_warnings(text: str) -> str:
    """The rows that are no warnings by their own level word: such words name no failure."""
    return "\n".join(row for row in text.split("\n") if not warns(row))


def evidence_of_ending(
    job: Job,
    ranked: Sequence[RankedCause],
    signs: Sequence[WeightedEvidence],
    log_lines: Sequence[LogLine],
) -> WeightedEvidence | None:
    """What the words speak for that a whole log ends with, where all else is silent or only presumes a cause that is
    never retried; None otherwise.

    A program's last words in its own way are known to no signature. They are its reason where they complain, by more than
    a warning, and are sure. A single row is too little to go by, and servers answer requests to their last line: how
    their logs end tells little.
    """
    if job.kind is JobKind.BATCH_PREDICTION or job.state not in _FAILED:
        return None
    first = ranked[0] if ranked and ranked[0].confidence >= THRESHOLD else None
    if first is not None and not _is_presumed(first, signs):
        return None
    loud = [line for line in log_lines if line.severity != "WARNING"]
    last = [row for row in last_lines(loud) if not warns(row)]
    if len(last) < _LEAST_ROWS or ended_by_itself(job) is False:
        return None
    complaints = [row for row in last[-_COMPLAINT:] if complains(row)]
    if not complaints:
        return None
    ending = ending_of(last)
    if _OF_A_CHAIN in ending:
        return None  # which exception of a chain speaks is not told by the order of the lines
    held = guess(ending, weight_of("ending-words-sure"))
    if (
        held is None
        or held.cause in _OF_THE_SERVICE
        or not _is_spoken_by(held, [line for line in loud if line.severity not in QUIET])
        or (first is not None and held.cause is first.cause)
    ):
        return None
    spoke = ", ".join(f'"{word}"' for word in held.words)
    says = f"by the words that it ends with ({spoke}): no known message says the cause"
    if first is not None:
        says = f"by the words that it ends with ({spoke}), where little spoke for another cause: {MEANINGS[first.cause]}"
    made = weighted_evidence(held.cause, weight_of("words-alone"), Source.LOG, "logEntries", says)
    return replace(made, text=clean(complaints[-1]))


def _is_spoken_by(held: Guess, loud: Sequence[LogLine]) -> bool:
    """Whether a word that spoke loudest stands in a row that was written as an error: where there are such rows, what the
    healthy ones name tells of no failure.
    """
    rows = last_lines(loud)
    return not rows or not features_of("\n".join(rows)).isdisjoint(held.words)


# Of a machine or a quota that is not there, or is taken away, the service tells; what a program calls so is its own.
_OF_THE_SERVICE = NO_PLACE | {Cause.PREEMPTION}
_OF_A_CHAIN = "During handling of the above exception"
_LEAST_ROWS = 2  # chosen: of one row the signatures know all that can be known
_COMPLAINT = 8  # last rows, one of which complains; chosen, as many as are read


def _is_presumed(first: RankedCause, signs: Sequence[WeightedEvidence]) -> bool:
    """Whether the first cause rests on a last line that nothing knows, or on an exception's class.

    What a language says of the program's own code is stated, not presumed.
    """
    if first.cause not in NEVER_RETRIED or first.confidence > weight_of("presumed-at-most"):
        return False
    heaviest = max(
        (sign for sign in signs if sign.cause is first.cause), key=lambda sign: sign.weight
    )
    if heaviest.group != "last-words":
        stated = meaning_of(heaviest.text) is Cause.USER_CODE_ERROR
        return heaviest.group in OF_A_BUG and not stated
    return is_unknown_last_line(heaviest)


def below_words(signs: Sequence[WeightedEvidence], cause: Cause) -> Iterator[WeightedEvidence]:
    """The signs at the share that is left of them where words say otherwise, or more than they did; what speaks against
    other causes as it was.
    """
    for sign in signs:
        others = sign.weight > 0 or sign.cause is cause
        yield replace(sign, weight=sign.weight * weight_of("left-by-words")) if others else sign


def evidence_of_answer(
    job: Job,
    ranked: Sequence[RankedCause],
    signs: Sequence[WeightedEvidence],
    reading: TextEvidence,
) -> WeightedEvidence | None:
    """What the words speak for of what a model server complains of, where nothing but the status that it answered, or that
    it was never ready, speaks for a cause; None otherwise.

    A server answers requests to its last line: its complaint is the exception that it raised last, or else its last words.
    """
    if job.kind is not JobKind.BATCH_PREDICTION or job.state not in _FAILED:
        return None
    first = ranked[0] if ranked and ranked[0].confidence >= THRESHOLD else None
    if first is not None and not (_is_of_status(first, signs) or _is_presumed(first, signs)):
        return None
    raised = [one for one in reading.raised if not one.stood_in]
    complaint = raised[-1] if raised else reading.last_words
    if complaint is None:
        return None
    held = guess(complaint.text)
    if (
        held is None
        or held.cause in _OF_THE_MACHINE
        or (first is not None and held.cause is first.cause)
    ):
        return None
    spoke = ", ".join(f'"{word}"' for word in held.words)
    says = (
        f"by the words of what the server complains of ({spoke}): no known message says the cause"
    )
    weight = weight_of("words-alone")
    made = weighted_evidence(held.cause, weight, Source.LOG, complaint.where, says)
    return replace(made, text=complaint.text)


# Of these no application's own handler tells: a quota's refusal it does pass on.
_OF_THE_MACHINE = frozenset({Cause.CAPACITY_STOCKOUT, Cause.PREEMPTION})


def _is_of_status(first: RankedCause, signs: Sequence[WeightedEvidence]) -> bool:
    """Whether no more than a symptom beside the log speaks for it: a status that was answered, a start that never ended."""
    heard = [sign for sign in signs if sign.cause is first.cause and sign.weight > 0]
    return all(sign.symptom and sign.evidence.source is not Source.LOG for sign in heard)


_FAILED = frozenset({JobState.FAILED, JobState.UNSPECIFIED})  # the latter: texts without a job
