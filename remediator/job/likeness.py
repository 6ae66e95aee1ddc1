"""Which jobs are one job on different days: what is remembered of one holds for the other.

Owns the key under which outcomes are kept and found again. Pure. Called by whoever reads or writes
what the ledger remembers of sizes and run times, and by whoever looks for earlier runs.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from remediator.domain import NO_ACCOUNT, JobKind
from remediator.domain.late_pattern import late_pattern
from remediator.job import fields, programs, workload
from remediator.job.document import Document, either_key

EVERY_ACCOUNT = "*"


def alike(job: Document, *, account: str | None = None) -> str:
    """One key for the jobs that are this one on other days: kind, program, name and account.

    Two teams name their jobs alike, and one image does many things: all of them must be the same.
    The name counts without digits, dates and hashes, an image without tag and digest, a model
    without its version. `account`: in place of the job's own; `EVERY_ACCOUNT` for a memory that
    accounts share. Empty where the job names neither image nor model: it is like no other.
    """
    program = _program(job)
    if not program:
        return ""
    whose = account or fields.service_account(job) or NO_ACCOUNT
    return f"alike:{job.kind.value}:{whose}:{program}:{name_stem(job.display_name)}"


def vain_track(job: Document, *, account: str | None = None) -> str:
    """Where is kept what was tried in vain for this very work: of jobs that are alike, those with the same
    image, arguments, environment and input, but for dates.

    `job` as it was before anything was changed. `account` as in `alike`; empty where that is.
    """
    key = alike(job, account=account)
    return f"vain:{workload.workload_digest(job, undated=True)}:{key}" if key else ""


def breaker_track(policy: str, job: Document) -> str:
    """Where the ends are kept that a policy's breaker looks at: of one model and one account."""
    account = fields.service_account(job) or NO_ACCOUNT
    return f"breaker:{policy}:{account}:{fields.model_name(job) or ''}"


def _program(job: Document) -> str:
    model = fields.model_name(job)
    if model:
        return re.sub(r"^projects/[^/]+/", "projects/-/", model)
    found = (*_images(job), *_python_modules(job))
    return "+".join(dict.fromkeys(_TAG.sub("", one.partition("@")[0]) for one in found))


def _images(job: Document) -> tuple[str, ...]:
    if job.kind is not JobKind.PIPELINE:
        return programs.images(job)
    held = (job.read(f"{holder}.container.image") for holder in fields.executors(job).values())
    return tuple(image for image in held if isinstance(image, str))


def _python_modules(job: Document) -> tuple[str, ...]:
    """Of packages run in a prebuilt image, which alone says nothing of what is run."""
    specs = (either_key(pool, "pythonPackageSpec") for _, _, pool in fields.worker_pool_specs(job))
    named = (either_key(spec, "pythonModule") for spec in specs if isinstance(spec, Mapping))
    return tuple(str(one) for one in named if one)


def name_stem(display_name: str) -> str:
    """What stays of a name from day to day: without ` (attempt N)`, digits, dates and hashes."""
    bare = _DATE.sub(" ", _UUID.sub(" ", _ATTEMPT.sub("", display_name).lower()))
    words = (_DIGITS.sub("", word) for word in _BETWEEN.split(bare) if not _HASH.fullmatch(word))
    return "-".join(word for word in words if word)


_TAG = late_pattern(r":[\w.-]+$")  # a registry's port is followed by a slash
_DATE = late_pattern(
    r"\d{4}[-_./]?\d{2}[-_./]?\d{2}(?:[t_ -]?\d{2}[:_-]?\d{2}(?:[:_-]?\d{2}(?:\.\d+)?)?z?)?"
)
_UUID = late_pattern(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_BETWEEN = late_pattern(r"[^\w]+|_+")
_HASH = late_pattern(
    r"(?=[a-z]*\d)[0-9a-f]{6,}|(?=(?:[a-z]*\d+[a-z]+){3})[a-z0-9]{8,}|[0-9a-f]{32,}"
)
_DIGITS = late_pattern(r"\d+")
_ATTEMPT = late_pattern(r"\s*\(attempt \d+\)\s*$")
