"""Where a job's chain of resubmissions stands, without the ledger.

Owns the answer of `follow`: Vertex's labels say which jobs there are, the outcome entries in the log
say whether more will come. Sees both through `ChainClient`; waits through what it is handed. Called by the
command line, for whoever waits for the original job.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, Protocol

from msgspec import Struct

from remediator.alerts.links import console_url
from remediator.domain import (
    InvalidInput,
    JobKind,
    JobName,
    JobState,
    Json,
    NotFound,
    PermissionDenied,
    RemediatorError,
    label_value,
    parse_time,
)
from remediator.job import Job


class ChainClient(Protocol):
    """What following needs to see: jobs by name and by label, and the outcome entries of a chain."""

    def get(self, name: JobName) -> Job: ...

    def labelled(self, kind: JobKind, location: str, key: str, value: str) -> Iterator[Job]: ...

    def outcomes(self, job: JobName) -> Sequence[Json]: ...


class ChainStatus(Struct, frozen=True):
    """`follow --json`. `final` is None where nobody can know whether more will come.

    `reason`, `advice` and `waits_for` (an approval's id or a time) are what the latest outcome about
    the current job says; `outputs` are all places to read, `url` the current job's page.
    """

    root: str
    current: str
    attempt: int
    state: str
    output: str | None
    final: bool | None
    reason: str | None = None
    advice: str | None = None
    url: str | None = None
    outputs: tuple[str, ...] = ()
    waits_for: str | None = None

    @property
    def succeeded(self) -> bool:
        """The chain's last job succeeded."""
        return JobState.parse(self.state) is JobState.SUCCEEDED

    def to_json(self) -> dict[str, Any]:
        return {
            "root": self.root,
            "current": self.current,
            "attempt": self.attempt,
            "state": self.state,
            "output": self.output,
            "final": self.final,
            "reason": self.reason,
            "advice": self.advice,
            "url": self.url,
            "outputs": list(self.outputs),
            "waits_for": self.waits_for,
        }


def chain_status(
    name: JobName, client: ChainClient, *, output_of: Callable[[Job], str | None]
) -> ChainStatus:
    """Where the chain of a job (the root or any attempt of it) stands now.

    Raises NotFound where there is no such job. An unreadable log leaves the labels, and `final` None.
    """
    asked = client.get(name)
    outcomes: Sequence[Json] | None
    try:
        outcomes = _outcomes_about(client.outcomes(name), name)
    except RemediatorError:
        outcomes = None
    root = _root(asked, outcomes or (), client)
    if outcomes and root.name.key != name.key:
        outcomes = _outcomes_about(client.outcomes(root.name), root.name)
    outcomes = outcomes and tuple(one for one in outcomes if _is_of_this(one, root))
    attempts = _attempts(root, outcomes, client)
    attempt, current = attempts[-1] if attempts else (0, root)
    if attempts:
        current = client.get(current.name)
    output = output_of(current)
    latest = _latest(current, outcomes)
    return ChainStatus(
        root=str(root.name),
        current=str(current.name),
        attempt=attempt,
        state=current.state_text or "JOB_STATE_UNSPECIFIED",
        output=output,
        final=_final(current, outcomes),
        reason=_text(latest, "reason"),
        advice=_text(latest, "advice"),
        url=console_url(current.name),
        outputs=_outputs(latest, output),
        waits_for=_text(latest, "waits_for"),
    )


def _latest(current: Job, outcomes: Sequence[Json] | None) -> Json:
    """The newest outcome about the job; empty where none is known."""
    about = [one for one in outcomes or () if _is(one.get("current"), current.name)]
    return max(about, key=lambda one: str(one.get("time") or ""), default={})


def _text(outcome: Json, key: str) -> str | None:
    value = outcome.get(key)
    return value if isinstance(value, str) and value else None


def _outputs(outcome: Json, output: str | None) -> tuple[str, ...]:
    """The parts that the outcome names; else the job's own place, if it has one."""
    named = outcome.get("outputs")
    parts = tuple(one for one in named if isinstance(one, str)) if isinstance(named, list) else ()
    if parts and output and output.startswith(f"{parts[-1].rstrip('/')}/"):
        parts = (*parts[:-1], output)  # the folder is known by now, and not only what was asked for
    return parts or ((output,) if output else ())


def _outcomes_about(outcomes: Sequence[Json], job: JobName) -> tuple[Json, ...]:
    """The outcomes that speak of the job, as its chain's first or as one of its attempts.

    Whoever may write logs may write anything into this one.
    """
    return tuple(
        one
        for one in outcomes
        if _job_named(one, "root") and _job_named(one, "current")
        if _is(one.get("root"), job) or _is(one.get("current"), job)
    )


def _is_of_this(outcome: Json, root: Job) -> bool:
    """Not of an earlier job with the root's name: a pipeline run's id may be used again."""
    at, created = parse_time(outcome.get("time")), root.create_time
    return at is None or created is None or at >= created


def _job_named(outcome: Json, key: str) -> JobName | None:
    try:
        return JobName.parse(str(outcome.get(key)))
    except InvalidInput:
        return None


def _root(asked: Job, outcomes: Sequence[Json], client: ChainClient) -> Job:
    """The chain's first job. A label alone proves nothing: a person's clone copies it."""
    value = asked.labels.get("remediator-root")
    for outcome in outcomes:
        root = JobName.parse(str(outcome.get("root")))
        if root.key == asked.name.key or value != label_value(root.id):
            continue
        if _is(outcome.get("current"), asked.name):
            with suppress(
                NotFound, PermissionDenied
            ):  # it was deleted, or never was: the chain begins here
                return client.get(root)
    return asked


def _attempts(
    root: Job, outcomes: Sequence[Json] | None, client: ChainClient
) -> list[tuple[int, Job]]:
    """The chain's resubmissions by number; those that an outcome names, where the log is readable."""
    found: dict[int, Job] = {}
    value = label_value(root.name.id)
    jobs = list(client.labelled(root.kind, root.name.location, "remediator-root", value))
    # Vertex's list may lag behind, and an attempt may have moved to another region.
    listed = {job.name.key for job in jobs}
    for outcome in outcomes or ():
        named = JobName.parse(str(outcome.get("current")))
        if named.key not in listed and named.key != root.name.key:
            listed.add(named.key)
            with suppress(NotFound, PermissionDenied):  # of a job that is no more, or never was
                jobs.append(client.get(named))
    for job in sorted(jobs, key=lambda one: one.created_order):
        number = job.labels.get("remediator-attempt", "")
        if not number.isdecimal() or job.name.key == root.name.key:
            continue
        if job.labels.get("remediator-root") != value or _is_older(job, root):
            continue
        if outcomes and not any(_is(outcome.get("current"), job.name) for outcome in outcomes):
            continue
        found.setdefault(int(number), job)
    return sorted(found.items())


def _is_older(job: Job, root: Job) -> bool:
    both = job.create_time, root.create_time
    return both[0] is not None and both[1] is not None and both[0] < both[1]


def _final(current: Job, outcomes: Sequence[Json] | None) -> bool | None:
    if current.state is JobState.SUCCEEDED:
        return True
    about = [one for one in outcomes or () if _is(one.get("current"), current.name)]
    if any(one.get("final") is True for one in about):
        return True
    return False if about else None


def _is(name: object, job: JobName) -> bool:
    """The same job, whichever form of the project the name has."""
    return str(name).partition("/locations/")[2] == str(job).partition("/locations/")[2]


def as_text(found: ChainStatus) -> str:
    """A standing as a person reads it."""
    words: Mapping[bool | None, str] = {
        True: "final",
        False: "more may come",
        None: "nobody can know yet whether more will come",
    }
    lines = [
        f"root     {found.root}",
        f"current  {found.current}",
        f"attempt  {found.attempt}",
        f"state    {found.state} ({words[found.final]})",
        *(f"output   {one}" for one in found.outputs or ("none",)),
    ]
    if found.waits_for and found.final is False:
        is_time = parse_time(found.waits_for) is not None
        lines.append(f"waits    {'until' if is_time else 'for approval'} {found.waits_for}")
    lines += [f"reason   {found.reason}"] if found.reason else []
    lines += [f"next     {found.advice}"] if found.advice else []
    return "\n".join(lines)
