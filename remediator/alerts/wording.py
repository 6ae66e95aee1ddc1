"""The words of alerts and reports: tables from the contract's vocabulary to plain English. Pure.

Owns how a cause, a guard, a state, a field, money, a span or a moment is said, and `shown`, through
which every text that came from outside passes before a person sees it. Must not decide what is
said; `compose` and the report do.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence

from remediator.domain import Cause, Change, Guard, JobKind, JobState
from remediator.domain.late_pattern import late_pattern
from remediator.job import change_words
from remediator.redaction import redact

SLACK = 2000
"""Characters looked at beyond four times what will be shown, for marks and secrets to go."""
CUT = "…"
LINE_LIMIT = 300
MOST_LINES = 41
LIST_LIMIT = 2500
"""Characters of a list; Slack's section takes 3,000, https://docs.slack.dev/reference/block-kit/blocks/section-block"""

CAUSES: Mapping[Cause, str] = {
    Cause.CPU_SATURATION: "CPUs full",
    Cause.MEMORY_PRESSURE: "out of memory",
    Cause.GPU_MEMORY: "out of GPU memory",
    Cause.DISK_FULL: "disk full",
    Cause.ACCELERATOR_MISSING: "ran without a GPU",
    Cause.SLOW_STARTUP: "model server never ready",
    Cause.NETWORK_LATENCY: "waited for data",
    Cause.SLOW_CODE: "slow code",
    Cause.REQUEST_TOO_LARGE: "request too large",
    Cause.CAPACITY_STOCKOUT: "no such machine free",
    Cause.QUOTA: "quota used up",
    Cause.PREEMPTION: "spot machine taken back",
    Cause.TRANSIENT_BACKEND: "the service failed for a while",
    Cause.BAD_INPUT: "bad input",
    Cause.USER_CODE_ERROR: "error in the code",
    Cause.PERMISSION: "permission missing",
    Cause.INVALID_CONFIG: "invalid configuration",
    Cause.UNKNOWN: "cause unknown",
}
"""A cause in a line of words; the contract's own names stand in `--json`, policies and the ledger."""
GUARDS: Mapping[Guard, str] = {
    Guard.ATTEMPTS: "the changed attempts of this job are used up",
    Guard.RETRIES: "the unchanged retries of this job are used up",
    Guard.USD_PER_JOB: "it would pass the money limit of one job",
    Guard.USD_PER_DAY: "it would pass today's money limit",
    Guard.RATE: "too many resubmissions within the last hour",
    Guard.UNKNOWN_PRICE: "a money limit applies and the price is not known",
    Guard.MACHINE_TYPES: "the limits do not allow that machine type",
    Guard.ACCELERATORS: "the limits do not allow that accelerator",
    Guard.LOCATIONS: "the limits do not allow that region",
    Guard.INCOMPATIBLE: "Vertex has no such combination of machine and accelerator",
    Guard.CAUSE: "no resubmission fixes this cause",
    Guard.STOP_SWITCH: "the stop switch is on",
    Guard.LABEL_OFF: "the job carries the label remediator=off",
    Guard.BREAKER: "too many of the latest resubmissions failed, so this policy is paused",
    Guard.CANCELLED_BY_PERSON: "a person cancelled the job",
    Guard.LOOKBACK: "it failed too long ago",
    Guard.ALREADY_RERUN: "the same work already runs again in another job",
    Guard.HAS_PARENT: "the job belongs to a larger run",
    Guard.SERVICE_ACCOUNT: "jobs of this service account may not be resubmitted",
    Guard.PINNED: "the change would leave a resource, reservation or network the job is tied to",
    Guard.LABELS_FULL: "the job's labels leave no room for ours",
    Guard.ROWS: "the rows that are left cannot be run alone",
    Guard.NO_MACHINE: "no machine has what the job asked for",
    Guard.TRIED_IN_VAIN: "the same was tried for this job before and did not help",
}
_OR_YOURSELF = "in the policy file if it is worth it, or resubmit the job yourself."
GUARD_ADVICE: Mapping[Guard, str] = {
    Guard.USD_PER_JOB: f"Raise usd_per_job {_OR_YOURSELF}",
    Guard.USD_PER_DAY: f"Raise usd_per_day {_OR_YOURSELF}",
    Guard.RATE: f"Raise resubmissions_per_hour {_OR_YOURSELF}",
    Guard.UNKNOWN_PRICE: "Name a machine type whose price is known, or resubmit the job yourself.",
    Guard.MACHINE_TYPES: f"Allow the machine type {_OR_YOURSELF}",
    Guard.ACCELERATORS: f"Allow the accelerator {_OR_YOURSELF}",
    Guard.LOCATIONS: f"Allow the region {_OR_YOURSELF}",
    Guard.INCOMPATIBLE: "Change the step in the policy file to what this kind of job has and Vertex offers, "
    "or resubmit the job yourself.",
    Guard.STOP_SWITCH: "Turn the stop switch off when you are ready, or resubmit the job yourself.",
    Guard.BREAKER: "Find out why the latest resubmissions failed before there are more.",
    Guard.SERVICE_ACCOUNT: "Resubmit it yourself, or allow its service account in the settings.",
    Guard.PINNED: "Resubmit it yourself, with its resource, reservation or network in mind.",
    Guard.LABELS_FULL: "Take labels off the job, then resubmit it yourself.",
    Guard.TRIED_IN_VAIN: "Make the job need less, or give it more than was tried: what that was stands below. "
    "Once its image, arguments or input change, it is resubmitted again.",
    Guard.ROWS: "Allow a step that runs the whole job again, or resubmit what is left yourself.",
}
"""What helps where a limit refused, not the cause; the other guards leave the cause's advice."""
STATES: Mapping[JobState, str] = {
    JobState.FAILED: "failed",
    JobState.EXPIRED: "expired",
    JobState.CANCELLED: "was cancelled by its time-out",
    JobState.PARTIALLY_SUCCEEDED: "succeeded only in part",
    JobState.SUCCEEDED: "succeeded with failed instances",
}


def shown(text: str, limit: int, *, lines: bool = False) -> str:
    """Text from outside as it may be shown: no control or direction marks, no secrets, cut.

    Marks go first, so that none can hide a secret from the redactor; `lines` keeps line breaks.
    """
    window = 4 * limit + SLACK
    looked_at = text[:window]
    kept = looked_at.replace("\r\n", "\n")
    if not kept.replace(
        "\n", ""
    ).isprintable():  # most are: letter by letter takes a hundred times as long
        kept = "".join(_visible(kept))
    safe = redact(kept, window)  # before the lines are joined: a line's place tells some secrets
    if lines:
        rows = (" ".join(line.split()) for line in safe.split("\n"))
        safe = "\n".join(row for row in rows if row)
    else:
        safe = " ".join(safe.split())
    if len(safe) <= limit and len(text) <= window:
        return safe
    return safe[: limit - 1].rstrip() + CUT


def listed(lines: Sequence[str], limit: int = LIST_LIMIT) -> list[str]:
    """As many whole lines as there is room for; the rest is counted, none is cut away unsaid."""
    kept: list[str] = []
    for line in lines[:MOST_LINES]:
        limit -= len(line) + 1
        if limit < 0:
            break
        kept.append(line)
    more = len(lines) - len(kept)
    return [*kept, f"and {more:,} more"] if more else kept


def _visible(text: str) -> Iterable[str]:
    """Cf holds direction marks and zero-width characters, Cs lone surrogates, Zl/Zp odd breaks."""
    for char in text:
        category = unicodedata.category(char)
        if char == "\n":
            yield char
        elif category in {"Cc", "Zs", "Zl", "Zp"}:
            yield " "
        elif category not in {"Cf", "Cs", "Co", "Cn"}:
            yield char


def described(changes: Iterable[Change]) -> str:
    """Changes as a phrase: `on n1-standard-16 with 1 NVIDIA_TESLA_T4`; empty for none."""
    return change_words.change_phrase(changes, field_name, shown)


def asked(changes: Iterable[Change]) -> str:
    """A question about changes: `resubmit on n1-standard-16?`."""
    return f"resubmit {described(changes) or 'unchanged'}?"


def shell_command(words: str, *, project: str = "", region: str = "", ledger: str = "") -> str:
    """One of our commands as it works in an empty shell: the project, the region and the ledger said."""
    settings = (
        ("GOOGLE_CLOUD_PROJECT", project),
        ("REMEDIATOR_LOCATIONS", region if project else ""),
        ("REMEDIATOR_LEDGER", ledger),
    )
    said = "".join(f"{name}={shown(value, 200)} " for name, value in settings if value)
    return f"{said}python -m remediator {words}"


def spelled(changes: Iterable[Change]) -> str:
    """Changes one by one: `machine type n1-standard-8 -> n1-standard-16; accelerator none -> …`."""
    return change_words.change_list(changes, field_name, shown)


def field_name(path: str) -> str:
    """A field of a job in words: `machine type` for a path that ends in `machineType`."""
    return change_words.field_label(path) or shown(path, 120)


def sentence_start(text: str) -> str:
    """The text with a capital first letter, unless it begins with a name: `e2-highmem-8`, `gs://…`, `--steps`."""
    first = text.split(maxsplit=1)[:1]
    return text if any(_NAME.search(word) for word in first) else text[:1].upper() + text[1:]


_NAME = late_pattern(r"^-|[\d/_=@]|[.:]\w")


def plural(count: int, noun: str) -> str:
    """`1 failure`, `1,204 failures`."""
    return f"{count:,} {noun}" + ("" if count == 1 else "s")


def amount(usd: float | None) -> str:
    """`$3.04`; less than a cent is said so, unknown too."""
    if usd is None:
        return "an unknown amount"
    return "less than $0.01" if 0 < usd < 0.01 else f"${usd:,.2f}"  # noqa: PLR2004  # one cent


def plain_error(text: str) -> str:
    """An error without the sentences that Vertex writes under every one, their links, and the JSON around its message."""
    return _BOILERPLATE.sub(" ", text[:_ERROR_READ]).strip()


_ERROR_READ = 12_000  # chosen: what is shown of an error is cut far below
# Seen under real errors of custom jobs (tests/corpus): where the log is, in words and as a link.
_BOILERPLATE = late_pattern(
    r"(?:To find out more about why your job exited,? please check the logs:?(?:\.(?=\s*$))?"
    r"|(?:Please )?(?:check|see) the logs? (?:for (?:more )?(?:details|information))?:?(?= https://console)"
    r"|For (?:more|further) (?:details|information),? (?:please )?(?:check|see) the logs?:?)"
    r"(?:\s{0,4}https://console\.cloud\.google\.com/\S{0,2000})?"
    # What stands before the message in the JSON that Google's APIs answer with.
    r"|\{\s{0,8}\"error\":\s{0,8}\{\s{0,8}\"code\":\s{0,8}\d{3},\s{0,8}\"message\":\s{0,8}\"",
    re.IGNORECASE,
)


def cause_words(value: str) -> str:
    """A cause by its contract name, in words; whatever is none stays as it is."""
    return CAUSES[Cause(value)] if value in frozenset(Cause) else value


def read_at(where: str) -> str:
    """Where a piece of evidence was read, without what every such place begins with."""
    return _BEGINNINGS.sub("", where)


_BEGINNINGS = late_pattern(
    r"^(?:(?:ml|aiplatform)\.googleapis\.com/|projects/[^/]{1,100}/locations/[^/]{1,40}/)"
)


def certainty(confidence: float) -> str:
    """`91%`; nothing that rests on evidence is 100% sure."""
    return f"{confidence:.0%}" if confidence < 0.995 else "over 99%"  # noqa: PLR2004  # rounds to 100


def table(head: list[str], rows: list[list[str]]) -> list[str]:
    """The lines of a Markdown table that reads well in a terminal too: words left, numbers right."""
    widths = [max(len(row[i]) for row in (head, *rows)) for i in range(len(head))]

    def line(row: list[str]) -> str:
        cells = [
            row[0].ljust(widths[0]),
            *(c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True)),
        ]
        return f"| {' | '.join(cells)} |"

    rule = [f"{'-' * widths[0]}", *(f"{'-' * (w - 1)}:" for w in widths[1:])]
    return [line(head), f"| {' | '.join(rule)} |", *map(line, rows)]


KIND_WORDS: Mapping[JobKind, str] = {
    JobKind.BATCH_PREDICTION: "Batch prediction",
    JobKind.CUSTOM: "Custom job",
    JobKind.HYPERPARAMETER_TUNING: "Tuning job",
    JobKind.TRAINING_PIPELINE: "Training pipeline",
    JobKind.PIPELINE: "Pipeline run",
}
JOB_NAMES = late_pattern(r"projects/[\w.:-]{1,100}/locations/[\w-]{1,40}/\w{1,40}/[\w-]{1,128}")
"""A job's whole resource name, where one stands in a text."""
