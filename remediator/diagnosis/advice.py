"""What a person can do about the causes of one failure, and where that is documented.

Owns the choice of advice: that of the rule which the message fits (`advice_rules`), with the message's
own values; else what the needs or a frame of the code say; else the cause's own (`domain.cause_advice`),
without what nobody can follow. Pure; called by `diagnose`.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from remediator.diagnosis.advice_rates import advice_of_rate
from remediator.diagnosis.advice_rules import advice_of, advice_with_needs
from remediator.diagnosis.error_meanings import is_unknown_last_line
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
    if one.cause is Cause.DISK_FULL and needs.full_mount is not None:
        return replace(one, advice=_OF_A_MOUNT.format(path=needs.full_mount.path))
    by_needs = advice_with_needs(one.cause, needs, frame)
    of_rate = advice_of_rate(texts) if one.cause is Cause.QUOTA else None
    by_rule = of_rate or advice_of(one.cause, texts, job)
    if by_needs is not None and (by_rule is None or one.cause in _NEEDS_FIRST):
        return replace(one, advice=by_needs, advice_url=url)
    if by_rule is not None:
        return replace(one, advice=by_rule[0], advice_url=by_rule[1] or url)
    if one.cause is Cause.USER_CODE_ERROR and is_unknown_last_line(spoke[0]):
        return replace(one, advice=_OF_AN_UNKNOWN_LINE, advice_url=url)
    return replace(one, advice=_followable(text, job), advice_url=url)


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


def is_managed(job: Job) -> bool:
    """Google runs a model of its own here (AutoML, Gemini and other publishers' models): there is no
    container whose lines, load or telemetry anybody could see."""
    gemini = job.kind is JobKind.BATCH_PREDICTION and "publishers/" in job.model_path
    return gemini or job.is_automl
