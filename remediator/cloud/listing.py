"""What a list asks of each job, and the jobs of its pages, each parsed once.

Owns the field masks of `JobView`, the cutting of a page into its jobs, and the store of jobs that were
parsed before: in a storm each failure lists what the others made, and most of that has been seen.
Called by `vertex` alone.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True)
class SentPage:
    """A page of a list: each job as it was sent, in its order, and the token of the next page."""

    jobs: tuple[bytes, ...]
    next_page_token: str


_LENGTH_PREFIX = 2  # the wire type of strings and messages: a length, then so many bytes
_LOW_BITS, _MORE = 0x7F, 0x80  # of a byte of a whole number in the wire format
_MOST_IN_A_BYTE = 16  # a field's number up to which its tag is one byte


class PageReader:
    """Cuts a page into the bytes of its jobs, by the wire format of protobuf.

    `answer` is the page's message type, `jobs` the name of its field of jobs. A page that
    holds anything but jobs and a token, each whole, is read whole all the same.
    """

    def __init__(self, answer: Any, jobs: str) -> None:
        fields = answer.DESCRIPTOR.fields_by_name
        self._answer = answer
        self._jobs = jobs
        self._numbers = (fields[jobs].number, fields["next_page_token"].number)

    def deserialize(self, sent: bytes) -> SentPage:
        """The page of these bytes; raises DecodeError for what is no such message."""
        page = self._cut(sent) if max(self._numbers) < _MOST_IN_A_BYTE else None
        if page is not None:
            return page
        whole = self._answer.FromString(sent)
        jobs = tuple(one.SerializeToString() for one in getattr(whole, self._jobs))
        return SentPage(jobs, str(whole.next_page_token))

    def _cut(self, sent: bytes) -> SentPage | None:
        """The page; None where it is anything but jobs and a token, each whole."""
        of_job, of_token = (number << 3 | _LENGTH_PREFIX for number in self._numbers)
        jobs: list[bytes] = []
        token = b""
        at, end = 0, len(sent)
        try:
            while at < end:
                tag, length, at = sent[at], sent[at + 1], at + 2
                if length & _MORE:
                    length, at = _whole_number(sent, at - 1)
                part, at = sent[at : at + length], at + length
                if tag == of_job:
                    jobs.append(part)
                elif tag == of_token:
                    token = part
                else:
                    return None
            return SentPage(tuple(jobs), token.decode()) if at == end else None
        except (IndexError, UnicodeDecodeError):
            return None


def _whole_number(sent: bytes, at: int) -> tuple[int, int]:
    """A whole number of the wire format, seven bits in a byte, and where it ends."""
    value = shift = 0
    while True:
        byte = sent[at]
        at += 1
        value |= (byte & _LOW_BITS) << shift
        if byte < _MORE:
            return value, at
        shift += 7


@cache
def page_reader(answer: Any, jobs: str) -> PageReader:
    """The reader of pages of that type, made once."""
    return PageReader(answer, jobs)


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
            for sent in spellings - self._held.keys():
                self._held[sent] = job
                self._bytes += len(sent)
            while self._bytes > self._most_bytes:
                dropped, _ = self._held.popitem(last=False)
                self._bytes -= len(dropped)
