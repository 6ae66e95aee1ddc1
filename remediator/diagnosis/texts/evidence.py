"""What texts say together: the rows that match, what silences what, and evidence for causes.

Owns `TextEvidence`. Hands each text to `matching` and weighs the rows found by the text's place, its time and
its author; a google.rpc code beside a text says something by itself. Pure; called by `read_case`.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from msgspec import Struct
from msgspec.structs import replace

from remediator.diagnosis.complaints import (
    cause_of_exception,
    lacks_a_part,
    names_a_record,
    reads_settings,
)
from remediator.diagnosis.error_meanings import (
    meaning_of,
    meaning_outside,
    parses_a_setting,
    parses_an_expression,
)
from remediator.diagnosis.matching import (
    quote_of,
    signature,
    signatures_in,
    silenced_by,
    silenced_everywhere_by,
)
from remediator.diagnosis.own_rates import states_own_rate
from remediator.diagnosis.passed_settings import (
    lacks_credentials,
    offers_choices,
    passes_a_setting,
)
from remediator.diagnosis.signature import Signature, Tag, TextPlace
from remediator.diagnosis.signatures.authors import CLIENTS
from remediator.diagnosis.status_counts import status_counts
from remediator.diagnosis.texts.case_text import CODE_NAMES, CaseText
from remediator.diagnosis.texts.failed_rows import FailedRows
from remediator.diagnosis.weighted_evidence import WeightedEvidence, weighted_evidence
from remediator.diagnosis.weights import weight_of
from remediator.domain import NEVER_RETRIED, Cause, Source
from remediator.domain.late_pattern import late_pattern

_DEADLINE_CODE = 4  # documented: google.rpc.Code
_OF_THE_INSTANCE = frozenset({3, 5})  # INVALID_ARGUMENT, NOT_FOUND; documented: google.rpc.Code
_MEMORIES = frozenset({Cause.MEMORY_PRESSURE, Cause.GPU_MEMORY})
_ELAPSED = late_pattern(r"elapsed=(\d{1,6}(?:\.\d{1,6})?)s?")


class TextEvidence(Struct, frozen=True):
    """What all texts together say: signs for causes, and tags with where they were found."""

    signs: tuple[WeightedEvidence, ...]
    tags: Mapping[Tag, tuple[CaseText, str]]
    elapsed_seconds: float | None
    rows: FailedRows | None
    raised: tuple[CaseText, ...] = ()
    """The exceptions that ended a traceback each."""
    stood_in: tuple[tuple[CaseText, str], ...] = ()
    """Where the program stood when it was stopped from outside: `network` or `code`."""
    last_words: CaseText | None = None
    """The last line before the end that complains; a program that gives up says so, then exits."""
    stop_request: CaseText | None = None
    """A line near the end that says that the program was asked to end, or that its time was up."""
    about_memory: tuple[tuple[CaseText, Signature], ...] = ()
    """Texts that say that memory was short, each with the row that says so."""

    def has(self, tag: Tag) -> bool:
        return tag in self.tags


def read_texts(case_texts: Iterable[CaseText], rows: FailedRows | None) -> TextEvidence:
    """Evidence and tags of all texts; `rows` are the failed instances, summed up, if there are any."""
    found = _without_silenced_in_chains(
        [(case_text, signatures_of(case_text)) for case_text in case_texts]
    )
    silent = silenced_everywhere_by([row for _, matched in found for row in matched])
    final = any(
        row.cause and not _is_passing(case_text, matched)
        for case_text, matched in found
        for row in matched
    )
    heaviest: dict[tuple[str, TextPlace], _Hit] = {}
    signs: list[WeightedEvidence] = []
    tags: dict[Tag, tuple[CaseText, Signature | None]] = {}
    for case_text, matched in found:
        relevant = [row for row in matched if row.id not in silent and (row.tags or row.cause)]
        kept = 1.0
        if _is_passing(case_text, matched):
            kept = weight_of("passing-line") if final else weight_of("only-passing-lines")
        for row in relevant:
            for tag in row.tags:
                if _came_before(case_text, tags.get(tag)):
                    tags[tag] = (case_text, row)
            if row.cause is not None:
                hit = _Hit(row, case_text, _weight_of(row, case_text, kept))
                held = heaviest.get((row.id, case_text.place))
                heaviest[row.id, case_text.place] = hit.joined(held)
        signs += _evidence_of_code(case_text, relevant)
        starting = any(row.cause is Cause.SLOW_STARTUP for row in relevant)
        if case_text.code == _DEADLINE_CODE and not starting:
            tags.setdefault(Tag.TIMED_OUT, (case_text, None))
    signs = [hit.sign for hit in _without_last_resorts(list(heaviest.values()))] + signs
    quoted = {
        tag: (case_text, quote_of(row, case_text.text) if row else "DEADLINE_EXCEEDED")
        for tag, (case_text, row) in tags.items()
    }
    return TextEvidence(
        signs=tuple(signs),
        tags=quoted,
        elapsed_seconds=_longest_elapsed([held for held, _ in found]),
        rows=rows,
        raised=tuple(
            held for held, _ in found if held.traced or (held.spoken is not None and held.chain)
        ),
        stood_in=tuple((held, held.stood_in) for held, _ in found if held.stood_in),
        about_memory=tuple(
            (case_text, row)
            for case_text, matched in found
            for row in matched
            if row.cause in _MEMORIES and row.id not in silent
        ),
    )


def signatures_of(case_text: CaseText) -> tuple[Signature, ...]:
    """The rows that speak in one text, by who wrote it."""
    rows = signatures_in(case_text.text, case_text.place) if case_text.text else ()
    if answered := answer_of(case_text):
        return _rows_of_answer(answered, rows)
    if case_text.spoken is not None:
        return (case_text.spoken, *(row for row in rows if Tag.PASSING in row.tags))
    if rows and case_text.place is TextPlace.LOG and not case_text.chain:
        rows = _without_values(case_text.text, rows)
        rows = _without_settings_and_counts(case_text.text, rows)
        if parses_an_expression(case_text.text):
            rows = tuple(row for row in rows if row.cause is not Cause.BAD_INPUT)
    if case_text.chain and _STATUS.search(case_text.text) and not CLIENTS.match(case_text.text):
        # What a library calls an invalid argument is one of its functions', not the job's.
        rows = tuple(row for row in rows if row.id != _ARGUMENT)
    if case_text.chain:
        rows = _rows_of_exception(case_text, _without_names(case_text, rows))
    if case_text.traced and not any(row.id == _TRACED for row in rows):
        rows = (*rows, signature(_TRACED))
    return rows


def _rows_of_exception(case_text: CaseText, rows: tuple[Signature, ...]) -> tuple[Signature, ...]:
    """The rows of an exception; where they know no more than that something was raised, what it is about."""
    specific = [row for row in rows if row.cause is not None and row.id not in _SAYS_LITTLE]
    others = {row.cause for row in specific}
    of_settings = (
        reads_settings(case_text.below)
        or parses_a_setting(case_text.text)
        or passes_a_setting(case_text.below, case_text.call)
        or offers_choices(case_text.text)
        or lacks_credentials(case_text.text)
    )
    misread = others == {Cause.BAD_INPUT} and of_settings
    misread = misread or (others <= _OF_A_PART and lacks_a_part(case_text.text))
    unread = {row.id for row in specific} <= _OF_A_RESOURCE and _is_reader(case_text)
    if specific and not misread and not unread:
        return rows
    about = cause_of_exception(case_text.text, case_text.below, case_text.call) or _outside(
        case_text.text
    )
    about = about or _of_a_child(case_text.text)
    of_parsing = about is None and "pars" in case_text.text.lower()
    if (specific or of_parsing) and parses_a_setting(case_text.text):
        about = Cause.INVALID_CONFIG
    wanted = Cause.BAD_INPUT if unread else Cause.INVALID_CONFIG
    if about is None or (specific and about is not wanted):
        return rows
    kept = tuple(row for row in rows if row.id not in _SAYS_LITTLE and row not in specific)
    return (*kept, signature(_RAISED_BY[about]))


def _is_reader(case_text: CaseText) -> bool:
    """Whether a reader raised it: what it calls invalid is what it read, no resource that the job names."""
    name = case_text.text.partition(":")[0]
    return cause_of_exception(name, case_text.below, case_text.call) is Cause.BAD_INPUT


def _of_a_child(text: str) -> Cause | None:
    """What a program that was run said on its standard error, quoted by whoever ran it."""
    found = _STDERR.search(text)
    meaning = meaning_of(found["stream"] or found["second"]) if found else None
    return meaning if meaning in _RAISED_BY else None


_STDERR = late_pattern(
    r"\b(?:stderr|standard error|output from \S+)\b\W{1,12}(?P<stream>\w.{1,600})|: \(-?\d{1,3}, ['\"](?P<second>.{1,600})",
    re.IGNORECASE | re.DOTALL,
)


def _without_values(text: str, rows: tuple[Signature, ...]) -> tuple[Signature, ...]:
    """What is unknown or invalid in a row of data is no setting."""
    of_values = any(row.id in _OF_A_VALUE for row in rows) and names_a_record(text)
    return tuple(row for row in rows if row.id not in _OF_A_VALUE) if of_values else rows


def _without_settings_and_counts(text: str, rows: tuple[Signature, ...]) -> tuple[Signature, ...]:
    """A program's own rate is no refusal, and a count of answers (`2xx=1200 5xx=3`) is none of them."""
    if any(row.cause is Cause.QUOTA for row in rows) and states_own_rate(text):
        rows = tuple(row for row in rows if row.cause is not Cause.QUOTA)
    asked = {Cause.QUOTA, Cause.TRANSIENT_BACKEND}
    of_answers = any(row.cause in asked or Tag.TIMED_OUT in row.tags for row in rows)
    if of_answers and status_counts(text) is not None:
        rows = tuple(
            row for row in rows if row.cause not in asked and Tag.TIMED_OUT not in row.tags
        )
    return rows


def _outside(text: str) -> Cause | None:
    """The right, the service or the host that an exception speaks of, by its class or its message; None
    for one that the program's own logic raises, whatever it quotes."""
    name, _, message = text.partition(": ")
    plain = name.rpartition(" ")[2].replace("::", ".").rpartition(".")[2]
    if _OF_LOGIC.match(plain) or plain == "SystemExit" or not plain.isidentifier():
        return None
    meaning = meaning_outside(f"{_CAMEL.sub(' ', plain)}: {message}")
    return meaning if meaning is Cause.PERMISSION or not _OF_ONE_MACHINE.search(text) else None


# The job's own processes, and a database that is a file.
_OF_ONE_MACHINE = late_pattern(
    r"\b127\.0\.0\.1\b|\blocalhost\b|\[::1\]|\b(?:gloo|nccl|c10d|mpi|horovod|processgroup|sqlite3?)\b",
    re.IGNORECASE,
)
_CAMEL = late_pattern(r"(?<=[a-z])(?=[A-Z])")


def _without_names(case_text: CaseText, rows: tuple[Signature, ...]) -> tuple[Signature, ...]:
    """Of an exception that the program's logic raises, the rows without those that only a quoted value
    or path brings: a column called 'quota_exceeded' is no quota."""
    if not _OF_LOGIC.match(case_text.text):
        return rows
    bare = _QUOTED.sub("''", case_text.text)
    if bare == case_text.text:
        return rows
    heard = signatures_in(bare, case_text.place)
    named = (row for row in rows if row.cause not in _NO_NAMES and row not in heard)
    return (*heard, *named)


_OF_LOGIC = late_pattern(
    r"(?:[A-Za-z_]+\.)*(?:Assertion|Attribute|FileNotFound|Import|Index|Key|Name|Type|Value)Error\b"
)
_QUOTED = late_pattern(r"(?<!\w)'[^']{1,400}'(?!\w)|\"[^\"]{1,400}\"")
_NO_NAMES = frozenset(
    {
        Cause.CAPACITY_STOCKOUT,
        Cause.DISK_FULL,
        Cause.GPU_MEMORY,
        Cause.MEMORY_PRESSURE,
        Cause.NETWORK_LATENCY,
        Cause.PREEMPTION,
        Cause.QUOTA,
        Cause.TRANSIENT_BACKEND,
    }
)
"""What a program's own values are often called after, and what such an exception never is."""

_OF_ANY_EXCEPTION = frozenset(
    {
        "code-exception",
        "code-traceback",
        "code-runtime",
        "config-field",
        "config-argument",
        "code-file",
    }
)
# A bare number beside the class says no more than that.
_SAYS_LITTLE = _OF_ANY_EXCEPTION | {"backend-number"}
_RAISED_BY = {
    Cause.BAD_INPUT: "raised-reading",
    Cause.INVALID_CONFIG: "raised-setting",
    Cause.PERMISSION: "raised-rights",
    Cause.TRANSIENT_BACKEND: "raised-elsewhere",
    Cause.NETWORK_LATENCY: "raised-waiting",
}


_OF_A_RESOURCE = frozenset({"config-not-found"})
_OF_A_PART = frozenset({Cause.USER_CODE_ERROR, Cause.BAD_INPUT})
"""What an exception that tells of a part that is not installed is taken for, by its class or a file's name."""

_STATUS = late_pattern(r"\binvalid_?argument\b", re.IGNORECASE)
_OF_A_VALUE = frozenset({"config-field", "config-argument"})
_TRACED, _ARGUMENT = "code-traceback", "config-argument"
_ANSWER = late_pattern(r"Non-OK result (\d{3})\b")
_NO_ROUTE, _BAD_REQUESTS = (
    frozenset({404, 405, 501}),
    frozenset({400, 409, 415, 417, 422}),
)  # documented: RFC 9110


def answer_of(case_text: CaseText) -> int:
    """The HTTP status that the job's own container gave, by the service's wrapper; 0: none."""
    if case_text.place is TextPlace.LOG:
        return 0
    found = _ANSWER.search(case_text.text)
    return int(found[1]) if found else 0


def _rows_of_answer(status: int, rows: tuple[Signature, ...]) -> tuple[Signature, ...]:
    """What is left of the rows where the container speaks: it is not Vertex that is busy or broken,
    and what it finds wrong with a request is the input, not the job's configuration.
    """
    silent = {Cause.INVALID_CONFIG} if status in _BAD_REQUESTS else set()
    return tuple(
        row
        for row in rows
        if row.cause not in silent
        and row.cause is not Cause.TRANSIENT_BACKEND
        and row.id not in _OF_A_BUSY_SERVICE
    )


_OF_A_BUSY_SERVICE = frozenset({"quota-code", "quota-rate", "quota-maybe", "capacity-words"})


def _without_silenced_in_chains(
    found: list[tuple[CaseText, tuple[Signature, ...]]],
) -> list[tuple[CaseText, tuple[Signature, ...]]]:
    """Exceptions of one traceback are one text: what a row of one silences, it silences in all."""
    rows_of_chain: dict[int, list[Signature]] = {}
    for case_text, rows in found:
        if case_text.chain:
            rows_of_chain.setdefault(case_text.chain, []).extend(rows)
    silent = {chain: silenced_by(rows) for chain, rows in rows_of_chain.items()}
    return [
        (case_text, tuple(row for row in rows if row.id not in silent[case_text.chain]))
        if case_text.chain
        else (case_text, rows)
        for case_text, rows in found
    ]


def _without_last_resorts(hits: Sequence[_Hit]) -> Sequence[_Hit]:
    """Rows of last resort go where any other names a cause with some weight."""
    named = any(
        not hit.row.last_resort and hit.weight >= weight_of("names-a-cause") for hit in hits
    )
    return [hit for hit in hits if not (named and hit.row.last_resort)]


def _longest_elapsed(case_texts: Sequence[CaseText]) -> float | None:
    """The longest `elapsed=…s` that the service tells, in seconds."""
    lengths = [
        float(match[1])
        for case_text in case_texts
        if case_text.place is not TextPlace.LOG
        for match in _ELAPSED.finditer(case_text.text)
    ]
    return max(lengths, default=None)


def _came_before(case_text: CaseText, held: tuple[CaseText, Signature | None] | None) -> bool:
    """The job's own error speaks before the workers' lines; of equals, the first."""
    if held is None:
        return True
    return held[0].place is TextPlace.LOG and case_text.place is not TextPlace.LOG


def _is_passing(case_text: CaseText, matched: Sequence[Signature]) -> bool:
    return case_text.place is TextPlace.LOG and any(Tag.PASSING in row.tags for row in matched)


def _weight_of(row: Signature, case_text: CaseText, kept: float) -> float:
    if case_text.place is not TextPlace.LOG:
        return row.weight
    rare = row.cause is Cause.NETWORK_LATENCY and case_text.count <= _RARE
    if case_text.worked_on and (rare or row.cause in _ENDS_A_PROGRAM):
        kept = min(kept, weight_of("passing-line"))
    if row.cause is Cause.GPU_MEMORY and (case_text.worked_on or case_text.long_after):
        kept = min(kept, weight_of("passing-line"))  # it was caught
    return min(row.weight, weight_of("log-ceiling")) * case_text.factor * kept


# What a program that goes on with its work has not failed of, and a rare failure of what it asks has not delayed.
_RARE = 2  # lines of a long run; chosen
_ENDS_A_PROGRAM = NEVER_RETRIED | {Cause.TRANSIENT_BACKEND, Cause.QUOTA}


class _Hit(Struct, frozen=True):
    """A row found at one place: its heaviest statement, and how many lines or rows say it."""

    row: Signature
    case_text: CaseText
    weight: float
    count: int = 0

    def joined(self, held: _Hit | None) -> _Hit:
        """This and what was found before: the heavier speaks, both are counted."""
        count = self.case_text.count + (held.count if held else 0)
        best = held if held is not None and held.weight >= self.weight else self
        return replace(best, count=count)

    @property
    def sign(self) -> WeightedEvidence:
        times = f", {self.count:,} times" if self.count > 1 else ""
        quote = quote_of(self.row, self.case_text.text)
        made = weighted_evidence(
            self.row.cause or Cause.UNKNOWN,
            self.weight,
            self.case_text.source,
            self.case_text.where,
            f'{self.case_text.author}{times}: "{quote}"',
            symptom=self.row.symptom,
            group=self.row.id,
        )
        return replace(made, text=self.case_text.text, frame=self.case_text.frame)


@functools.cache
def _weights_of_codes() -> Mapping[int, tuple[tuple[Cause, float], ...]]:
    """google.rpc codes that say something by themselves; the message says more."""
    return {
        3: ((Cause.INVALID_CONFIG, weight_of("code-3-config")),),
        5: (  # documented: google.rpc.Code
            (Cause.BAD_INPUT, weight_of("code-5-input")),
            (Cause.INVALID_CONFIG, weight_of("code-5-config")),
        ),
        7: ((Cause.PERMISSION, weight_of("code-7")),),
        8: ((Cause.QUOTA, weight_of("code-8")),),
        14: ((Cause.TRANSIENT_BACKEND, weight_of("code-14")),),
        16: ((Cause.PERMISSION, weight_of("code-16")),),
    }


def _evidence_of_code(
    case_text: CaseText, matched: Sequence[Signature]
) -> Iterator[WeightedEvidence]:
    known = _weights_of_codes().get(case_text.code, ())
    if any(Tag.EXITED in row.tags for row in matched) or answer_of(case_text):
        # The code beside an exit status is the service's way to say "not my fault".
        return
    if case_text.place is TextPlace.ROW and case_text.code in _OF_THE_INSTANCE:
        known = ((Cause.BAD_INPUT, weight_of("code-of-row")),)
    name = CODE_NAMES.get(case_text.code, "")
    for cause, weight in known:
        yield weighted_evidence(
            cause,
            weight,
            case_text.source,
            f"{case_text.where}.code" if case_text.source is Source.JOB else case_text.where,
            f"{case_text.author} carries code {case_text.code} ({name})",
            symptom=True,
            group=f"code-{case_text.code}",
        )
