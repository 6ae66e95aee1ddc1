"""What a list asks of each job, and the jobs of its pages, each parsed once.

Owns the field masks of `JobView`, the message by which a page is cut into its jobs, and the store of jobs that were
parsed before: in a storm each failure lists what the others made, and most of that has been seen.
Called by `vertex` alone.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any

from remediator import log
from remediator.cloud.proto_json import to_json
from remediator.domain import InvalidInput, JobKind, TransientError
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


@cache
def page_type(answer: Any, jobs: str) -> Any:
    """A message like `answer`, a page's type, whose jobs are left as the bytes that were sent.

    `jobs` is the name of its field of jobs. On the wire a message in a field is bytes with their
    length before them, as bytes are (documented: protobuf's encoding), so protobuf itself cuts the page.
    """
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    of = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="page.proto", syntax="proto3")
    page = file.message_type.add(name="Page")
    fields = answer.DESCRIPTOR.fields_by_name
    page.field.add(
        name="jobs", number=fields[jobs].number, type=of.TYPE_BYTES, label=of.LABEL_REPEATED
    )
    token = fields["next_page_token"].number
    page.field.add(
        name="next_page_token", number=token, type=of.TYPE_STRING, label=of.LABEL_OPTIONAL
    )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("Page"))


class ParsedJobs:
    """Jobs by the bytes that Vertex sent for them: the same bytes are the same `Job`, parsed once.

    What a job answers about itself it keeps too, so a digest is taken once. The jobs that were asked
    for last are kept, up to about `most_bytes` as they were sent. A job whose labels or other maps come
    in another order is the same one: it is kept under each of the two spellings.
    """

    def __init__(self, most_bytes: int = _MOST_KEPT_BYTES) -> None:
        self._most_bytes = most_bytes
        self._lock = threading.Lock()
        self._held: OrderedDict[bytes, Job] = OrderedDict()
        self._bytes = 0

    def of_page(self, listed: Sequence[bytes], job_type: Any) -> Iterator[Job]:
        """The jobs of a page; one that has no name of a job's hides no other.

        Raises TransientError for what is no message of that type.
        """
        with self._lock:
            known = [self._known(sent) for sent in listed]
        for sent, job in zip(listed, known, strict=True):
            try:
                yield job or self._parsed(sent, job_type)
            except InvalidInput as err:
                log.say("WARNING", LogEvent.LISTED_JOB_SKIPPED, f"a listed job is skipped: {err}")

    def _known(self, sent: bytes) -> Job | None:
        found = self._held.get(sent)
        if found is not None:
            self._held.move_to_end(sent)
        return found

    def _parsed(self, sent: bytes, job_type: Any) -> Job:
        from google.protobuf.message import DecodeError

        try:
            message = job_type.FromString(sent)
        except DecodeError as err:
            msg = f"a listed job cannot be read: {err}"
            raise TransientError(msg) from err
        in_order = message.SerializeToString(deterministic=True)
        with self._lock:
            job = self._known(in_order)
        job = job or Job.parse(to_json(message))
        if len(sent) <= _LONGEST_KEPT:
            self._keep({in_order, sent}, job)
        return job

    def _keep(self, spellings: set[bytes], job: Job) -> None:
        with self._lock:
            for sent in spellings:  # less the view of the keys would look at every one that is held
                if sent not in self._held:
                    self._held[sent] = job
                    self._bytes += len(sent)
            while self._bytes > self._most_bytes:
                dropped, _ = self._held.popitem(last=False)
                self._bytes -= len(dropped)
