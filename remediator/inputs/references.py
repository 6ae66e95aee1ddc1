"""A job as people name it: its resource name, its page in the Cloud console, its bare id.

Owns the shapes of the console's URLs as read (the product's own links are made in `alerts.links`).
Pure; called by the command line, which then captures the job.
"""

from __future__ import annotations

import re
from urllib.parse import parse_qs, unquote, urlsplit

from msgspec import Struct

from remediator.domain import COLLECTIONS, InvalidInput, JobKind, JobName
from remediator.domain.late_pattern import late_pattern


class Reference(Struct, frozen=True):
    """A job by whatever was said of it; empty parts are to be found out.

    `kinds` are those that the name can be of, in the order in which to look.
    """

    id: str
    project: str = ""
    location: str = ""
    kinds: tuple[JobKind, ...] = tuple(JobKind)

    def names(self, project: str, location: str) -> tuple[JobName, ...]:
        """The resource names to try, with what the reference leaves open filled in."""
        place = self.location or location
        return tuple(JobName(self.project or project, place, kind, self.id) for kind in self.kinds)


_NUMERIC_KINDS = (
    JobKind.CUSTOM,
    JobKind.BATCH_PREDICTION,
    JobKind.HYPERPARAMETER_TUNING,
    JobKind.TRAINING_PIPELINE,
)
_ID = late_pattern(r"\d{1,25}")
_RUN_ID = late_pattern(r"[a-z][a-z0-9-]{2,127}-\d{14}")  # pipeline runs: NAME-YYYYMMDDhhmmss
_CONSOLE = "console.cloud.google.com"
_PLACE = late_pattern(r"/locations/(?P<location>[a-z0-9-]{1,63})(?:/|$)")
# The last parts of the console's pages, old and new (vertex-ai, agent-platform, ai).
_PAGES: tuple[tuple[re.Pattern[str], tuple[JobKind, ...]], ...] = (
    (late_pattern(r"/batch-predictions/(?:locations/[a-z0-9-]+/)?(?P<id>\d{1,25})"), (JobKind.BATCH_PREDICTION,)),
    (late_pattern(r"/runs/(?P<id>[A-Za-z0-9._-]{1,128})"), (JobKind.PIPELINE,)),
    (late_pattern(r"/custom-jobs/(?:locations/[a-z0-9-]+/)?(?P<id>\d{1,25})"), (JobKind.CUSTOM,)),
    (
        late_pattern(r"/(?:hp-tuning-jobs|hyperparameter-tuning-jobs)/(?:locations/[a-z0-9-]+/)?(?P<id>\d{1,25})"),
        (JobKind.HYPERPARAMETER_TUNING,),
    ),
    (
        late_pattern(r"/training-pipelines/(?:locations/[a-z0-9-]+/)?(?P<id>\d{1,25})"),
        (JobKind.TRAINING_PIPELINE,),
    ),
    (
        late_pattern(r"/training/(?P<id>\d{1,25})"),
        (JobKind.CUSTOM, JobKind.HYPERPARAMETER_TUNING, JobKind.TRAINING_PIPELINE),
    ),
)  # fmt: skip
_LOG_LINK = late_pattern(r"job_id(?:/|\"?=\"?|%2F)(?P<id>\d{1,25})")


def parse_reference(text: str) -> Reference | None:
    """The job that `text` names; None where it looks like no job's name, id or console URL.

    Raises InvalidInput for a URL of the console that leads to no job.
    """
    text = text.strip()
    name = text.removeprefix("//aiplatform.googleapis.com/").strip("/")
    match = re.search(r"projects/[^/\s]+/locations/[^/\s]+/[A-Za-z]+/[^/\s?#]+$", name)
    if match is not None and any(f"/{collection}/" in name for collection in COLLECTIONS):
        found = JobName.parse(match[0])
        return Reference(found.id, found.project, found.location, (found.kind,))
    if text.startswith(("https://", "http://")):
        return _of_url(text)
    if _ID.fullmatch(text):
        return Reference(text, kinds=_NUMERIC_KINDS)
    if _RUN_ID.fullmatch(text):
        return Reference(text, kinds=(JobKind.PIPELINE,))
    return None


def _of_url(text: str) -> Reference | None:
    parts = urlsplit(text)
    if parts.hostname != _CONSOLE:
        return None
    project = (parse_qs(parts.query).get("project") or [""])[0]
    place = _PLACE.search(parts.path)
    for form, kinds in _PAGES:
        match = form.search(parts.path)
        if match is not None:
            return Reference(match["id"], project, place["location"] if place else "", kinds)
    match = _LOG_LINK.search(unquote(unquote(text)))
    if match is not None:
        return Reference(match["id"], project, "", (JobKind.CUSTOM,))
    msg = f"this page of the Cloud console is no job's: {text[:200]}"
    raise InvalidInput(msg)
