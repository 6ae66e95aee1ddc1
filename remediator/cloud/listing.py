"""What a list asks of each job, and the jobs of its pages, each parsed once.

Owns the field masks of `JobView` and the store of jobs that were parsed before: in a storm each
failure lists what the others made, and most of that has been seen. Called by `vertex` alone.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from hashlib import blake2b
from typing import Any

from remediator import log
from remediator.cloud.proto_json import to_json
from remediator.domain import InvalidInput, JobKind
from remediator.job import KINDS, Job, JobView
from remediator.log import LogEvent

_IDENTITY = ("name", "display_name", "state", "labels", "create_time")
_ENDING = (*_IDENTITY, "error", "start_time", "end_time", "update_time")
_ENDING_OF_BATCH = ("completion_stats", "partial_failures", "model")
_CHILDREN: Mapping[JobKind, tuple[str, ...]] = {
    JobKind.TRAINING_PIPELINE: ("training_task_metadata",),
    JobKind.HYPERPARAMETER_TUNING: ("trials",),
    JobKind.PIPELINE: ("job_detail",),
}
_PINNED_BY = {JobKind.BATCH_PREDICTION: ("model_version_id",)}
"""Output that says what the job is to do: which version of its model was meant."""
_MOST_KEPT_BYTES = 1 << 20  # as sent; Python's objects take ten times that (measured)
_LONGEST_KEPT = 32 << 10  # a pipeline run is 800 kB, and would push out all others


def field_mask(kind: JobKind, view: JobView, job_type: Any) -> tuple[str, ...]:
    """Paths of the fields to send, as the API's messages name them; none: all of them."""
    if view is JobView.WHOLE:
        return ()
    if view is JobView.ENDING:
        return (*_ENDING, *(_ENDING_OF_BATCH if kind is JobKind.BATCH_PREDICTION else ()))
    if view is JobView.CHILDREN:
        return (*_IDENTITY, *_CHILDREN.get(kind, ()))
    output_only = KINDS[kind].output_only
    asked = (f.name for f in job_type.DESCRIPTOR.fields if f.json_name not in output_only)
    return tuple(dict.fromkeys((*_IDENTITY, *_PINNED_BY.get(kind, ()), *asked)))


class ParsedJobs:
    """Jobs by the bytes that Vertex sent for them: the same bytes are the same `Job`, parsed once.

    What a job answers about itself it keeps too, so a digest is taken once. The jobs that were asked
    for last are kept, up to about `most_bytes` as they were sent.
    """

    def __init__(self, most_bytes: int = _MOST_KEPT_BYTES) -> None:
        self._most_bytes = most_bytes
        self._lock = threading.Lock()
        self._held: OrderedDict[bytes, tuple[Job, int]] = OrderedDict()
        self._bytes = 0

    def of_page(self, listed: Iterable[Any]) -> Iterator[Job]:
        """The jobs of a page of messages; one that has no name of a job's hides no other."""
        for one in listed:
            try:
                yield self._parsed(one)
            except InvalidInput as err:
                log.say("WARNING", LogEvent.LISTED_JOB_SKIPPED, f"a listed job is skipped: {err}")

    def _parsed(self, message: Any) -> Job:
        sent = message.SerializeToString(deterministic=True)
        key = blake2b(sent, digest_size=16).digest()
        with self._lock:
            if key in self._held:
                self._held.move_to_end(key)
                return self._held[key][0]
        job = Job.parse(to_json(message))
        if len(sent) <= _LONGEST_KEPT:
            self._keep(key, job, len(sent))
        return job

    def _keep(self, key: bytes, job: Job, size: int) -> None:
        with self._lock:
            if key in self._held:
                return
            self._held[key] = (job, size)
            self._bytes += size
            while self._bytes > self._most_bytes:
                _, (_, dropped) = self._held.popitem(last=False)
                self._bytes -= dropped
