"""What a person can do about the causes of one failure, and where that is documented.

Owns the choice of advice: that of the rule which the message fits (`advice_rules`), with the message's
own values; else what the needs or a frame of the code say (`advice_needs`), with what the message itself says to do or complains of
(`advice_statements`); else the cause's own (`domain.cause_advice`), without what nobody can follow. Pure; called by
`diagnose`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from msgspec.structs import replace

from remediator.diagnosis.advice_needs import advice_with_needs
from remediator.diagnosis.advice_products import PRODUCT_RULES
from remediator.diagnosis.advice_rates import advice_of_rate
from remediator.diagnosis.advice_rule import advice_of
from remediator.diagnosis.advice_rules import RULES
from remediator.diagnosis.advice_statements import remedy_in, statement_in
from remediator.diagnosis.error_meanings import is_unknown_last_line
from remediator.diagnosis.lazy_patterns import Linear
from remediator.diagnosis.weighted_evidence import WeightedEvidence
from remediator.domain import Cause, Frame, JobKind, Needs, RankedCause
from remediator.domain.cause_advice import ADVICE
from remediator.job import Job


def advice_for(cause: Cause) -> tuple[str, str]:
    """What a person can do about `cause`, and a link to documentation."""
    return ADVICE[cause].text, ADVICE[cause].url


def advised(
    ranked: Sequence[RankedCause],
    signs: Sequence[WeightedEvidence],
    job: Job,
    needs: Needs,
    frame: Frame | None,
) -> tuple[RankedCause, ...]:
    """The causes, each with the advice that its own evidence allows."""
    return tuple(_with_advice(one, signs, job, needs, frame) for one in ranked)


def _with_advice(
    one: RankedCause, signs: Sequence[WeightedEvidence], job: Job, needs: Needs, frame: Frame | None
) -> RankedCause:
    spoke = sorted(
        (s for s in signs if s.cause is one.cause and s.weight > 0), key=lambda s: -s.weight
    )
    texts = dict.fromkeys(text for s in spoke for text in (s.text, s.evidence.says) if text)
    text, url = advice_for(one.cause)
    if one.cause is Cause.TRANSIENT_BACKEND and (host := _strange_host(texts)):
        # Google's status page knows nothing of it.
        text, url = text.replace(_AT_GOOGLES, f"whether {host} is up"), ""
    if one.cause is Cause.DISK_FULL and needs.full_mount is not None:
        return replace(one, advice=_OF_A_MOUNT.format(path=needs.full_mount.path))
    by_needs = advice_with_needs(one.cause, needs, frame)
    of_rate = advice_of_rate(texts) if one.cause is Cause.QUOTA else None
    by_rule = (
        advice_of(one.cause, texts, job, PRODUCT_RULES)
        or of_rate
        or advice_of(one.cause, texts, job, RULES)
    )
    if by_needs is not None and (by_rule is None or one.cause in _NEEDS_FIRST):
        by_needs = _with_statement(one.cause, by_needs, spoke, framed=frame is not None)
        return replace(one, advice=by_needs, advice_url=url)
    if by_rule is not None:
        return replace(one, advice=by_rule[0], advice_url=by_rule[1] or url)
    if one.cause is Cause.USER_CODE_ERROR and is_unknown_last_line(spoke[0]):
        return replace(one, advice=_OF_AN_UNKNOWN_LINE, advice_url=url)
    said = _with_statement(one.cause, _followable(text, job), spoke, framed=False)
    return replace(one, advice=said, advice_url=url)


def _with_statement(
    cause: Cause, text: str, spoke: Sequence[WeightedEvidence], *, framed: bool
) -> str:
    """The advice with what the message itself says to do; of what a person has to put right, with its complaint."""
    own = list(dict.fromkeys(one.text for one in spoke if one.text))
    quoted = remedy_in(own)
    if cause in _OF_A_STATEMENT:
        quoted = quoted or ("" if framed and cause is Cause.USER_CODE_ERROR else statement_in(own))
        if quoted and not framed:
            return _OF_A_STATEMENT[cause].format(said=quoted)
    return f'{text} The message: "{quoted}"' if quoted else text


_OF_A_STATEMENT: Mapping[Cause, str] = {
    Cause.INVALID_CONFIG: 'Put right what the message names, without which the job can never run: "{said}"',
    Cause.BAD_INPUT: 'Put right what the message says of the input; running it again changes nothing: "{said}"',
    Cause.PERMISSION: 'Grant what is missing to the account that the message names, or else to the job\'s: "{said}"',
    Cause.USER_CODE_ERROR: 'Fix the code, or the image\'s packages, where the message points; running it again changes nothing: "{said}"',
}
_OF_AN_UNKNOWN_LINE = (
    "Read what it wrote before that line, of which nothing is known: the program ended by itself, most often over an "
    "error of its own. If the lines tell of something that passes or that a machine lacks, run it again yourself."
)
_OF_A_MOUNT = (
    "What is full, or has its quota used up, is the file system on which {path} lies. It is mounted from "
    "elsewhere, so a larger boot disk changes nothing: make room there, raise its size or the quota, or write to "
    "Cloud Storage."
)
_NEEDS_FIRST = frozenset({Cause.MEMORY_PRESSURE, Cause.GPU_MEMORY})
_TEXT = 6_000  # characters of a text that are read; chosen
_LOCALLY = (
    ", and try it locally with a small input",
    " Run the container locally and ask its health route.",
)
_GOOGLES_IMAGES = ("docker.pkg.dev/vertex-ai", "gcr.io/cloud-aiplatform", "gcr.io/ml-pipeline")


def _followable(text: str, job: Job) -> str:
    """Without what nobody can do: Google's own image cannot be fixed, nor run elsewhere."""
    if is_managed(job) or any(own in image for image in job.images() for own in _GOOGLES_IMAGES):
        for words in _LOCALLY:
            text = text.replace(words, "")
    return text


_AT_GOOGLES = "at Google's status page"
_SERVER = Linear(
    r"\b(?:https?|ftps?|sftp|wss?|grpcs?)://(?:[^\s/@'\"]{1,80}@)?(?P<host>[a-z0-9.-]{3,120}[a-z0-9])|\bhost='(?P<pool>[a-z0-9.-]{4,120})'"
)
_GOOGLES_SERVER = Linear(
    r"(?:^|\.)(?:googleapis\.com|google\.com|google\.internal|gcr\.io|pkg\.dev)$"
)


def _strange_host(texts: Iterable[str]) -> str:
    """The server that the texts name where none of those is Google's; empty: they name none, or one of Google's."""
    named = [
        found["host"] or found["pool"] for text in texts for found in _SERVER.finditer(text[:_TEXT])
    ]
    return "" if any(map(_GOOGLES_SERVER.is_in, named)) else next(iter(named), "")


def is_managed(job: Job) -> bool:
    """Google runs a model of its own here (AutoML, Gemini and other publishers' models): there is no
    container whose lines, load or telemetry anybody could see."""
    gemini = job.kind is JobKind.BATCH_PREDICTION and "publishers/" in job.model_path
    return gemini or job.is_automl
