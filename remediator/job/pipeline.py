"""Pipeline runs: their tasks in the spec's tree, how each fared, which died and which run again.

Owns the matching of a run's `jobDetail` with its spec: a task is found by its parents, not by its
name alone, and the rounds of a loop are one task run several times. Must not decide. Called by
`steps` (what to raise), `costs` (what will run again) and the facts of a job.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from msgspec import Struct

from remediator.domain import parse_time
from remediator.job import fields, relations
from remediator.job.document import Document, RpcStatus, either_key, read
from remediator.job.parameters import Scope, tasks_in

_DONE = frozenset({"SUCCEEDED", "SKIPPED", "NOT_TRIGGERED"})
_NEVER_RUNS = frozenset({"SKIPPED", "NOT_TRIGGERED"})
_ROOT = "pipelineSpec.root"
_MOST_DEEP = 40  # nested pipelines; chosen, deeper than anybody nests them


class Detail(Struct, frozen=True):
    """One run of a task, as `jobDetail` tells it. `seconds`: None while it is not known.

    `children` are the jobs that it started, those that a launcher started before `own`, the launcher
    itself.
    """

    index: int
    name: str
    state: str
    seconds: float | None
    status: RpcStatus | None
    children: tuple[str, ...]
    own: tuple[str, ...] = ()

    @property
    def where(self) -> str:
        """The path of its error."""
        return f"jobDetail.taskDetails[{self.index}].error"


class PipelineNode(Struct, frozen=True):
    """One task of the spec that runs something, with all of its runs.

    `scopes` lead from the run to it, `title` is their names (`big-path/train`); `holder` is the path
    of its executor. `caching`: None where its author says nothing, False for an explicit off.
    `reached` is False for a task below a condition that did not hold; `rounds` is how often the loops
    around it run it, as far as the spec says.
    """

    scopes: tuple[Scope, ...]
    title: str
    executor: str
    holder: str
    details: tuple[Detail, ...]
    caching: bool | None
    may_cache: bool
    reached: bool
    rounds: int = 1

    @property
    def path(self) -> str:
        return self.scopes[-1].task

    @property
    def failed(self) -> tuple[Detail, ...]:
        return tuple(one for one in self.details if one.state == "FAILED")

    @property
    def done(self) -> bool:
        return bool(self.details) and all(one.state in _DONE for one in self.details)

    @property
    def times(self) -> int:
        """How often it runs in a run that is made again: the rounds that are not in the cache."""
        if not self.reached:
            return 0
        left = [one for one in self.details if one.state not in _NEVER_RUNS]
        if self.details and not left:
            return 0
        again = [one for one in left if one.state != "SUCCEEDED" or not self.caching]
        # A run that fails fast has begun only some of the rounds: the others come too.
        return max(len(again), self.rounds - (len(left) - len(again)))


def nodes(job: Document, ran: Document | None = None) -> tuple[PipelineNode, ...]:
    """Every task that runs something, in the spec's order.

    `ran`: the run whose details count, where the job is a request made from it.
    """
    known = _details(ran or job)
    listed = fields.executors(job)
    return tuple(_walk(job, _ROOT, (), "", known, listed))


def failed(job: Document) -> tuple[PipelineNode, ...]:
    """The tasks that died themselves: cancelled and skipped ones did not, nor do wrappers."""
    return tuple(node for node in nodes(job) if node.failed)


def launched(job: Document) -> tuple[str, ...]:
    """Resource names of the jobs that failed tasks launched, which are not the tasks themselves."""
    found = [
        name
        for node in failed(job)
        for detail in node.failed
        for name in detail.children
        if name not in detail.own
    ]
    return tuple(dict.fromkeys(found))


def failed_executors(job: Document) -> tuple[str, ...]:
    """Labels of the executors whose tasks failed, outermost wrappers aside."""
    return tuple(dict.fromkeys(node.executor for node in failed(job)))


def uncached(job: Document) -> tuple[str, ...]:
    """Paths of `enableCache` of the run's own finished tasks whose author said nothing of caching.

    An explicit off (`cachingOptions: {}`) stays off; conditions, loops and exit handlers get none.
    """
    return tuple(
        f"{node.path}.cachingOptions.enableCache"
        for node in nodes(job)
        if node.done and node.caching is None and node.may_cache and len(node.scopes) == 1
    )


def switched_off(job: Document) -> tuple[PipelineNode, ...]:
    """Finished tasks that run again, since their author has switched caching off."""
    return tuple(node for node in nodes(job) if node.done and node.caching is False and node.times)


def longest_failed_seconds(job: Document) -> float | None:
    """How long the failed task ran, at most, over all that failed."""
    ran = [one.seconds for node in failed(job) for one in node.failed if one.seconds is not None]
    return max(ran, default=None)


# --- the walk through spec and details --------------------------------------------------------------


class _Known(Struct, frozen=True):
    """Details with the place of each in the run's own tree; `ids` False: they name no parents."""

    details: tuple[tuple[str, str, Detail], ...]  # id, parent's id, detail
    below: Mapping[str, list[tuple[str, Detail]]]  # by the parent's id
    ids: bool

    def top(self) -> frozenset[str]:
        known = {own for own, _, _ in self.details}
        roots = [own for own, parent, _ in self.details if not parent or parent not in known]
        return frozenset(roots)

    def of(
        self, name: str, parents: frozenset[str], names: frozenset[str]
    ) -> list[tuple[str, Detail]]:
        """Runs of a task of that name directly below one of the parents, or in a round of theirs.

        `names` are those of all tasks there: a run may bear its round's number behind its name.
        """
        if not self.ids:
            return [(own, detail) for own, _, detail in self.details if detail.name == name]
        below = [pair for parent in parents for pair in self.below.get(parent, ())]
        exact = [(own, one) for own, one in below if one.name == name]
        if exact:
            return exact
        numbered = re.compile(re.escape(name) + r"[-_/ \[]\d{1,6}\]?")
        return [
            (own, one)
            for own, one in below
            if one.name not in names and numbered.fullmatch(one.name)
        ]

    def rounds(self, parents: frozenset[str], names: frozenset[str]) -> frozenset[str]:
        """The rounds of a loop that stand between it and its tasks: children of no task's name."""
        return frozenset(
            own
            for parent in parents
            for own, detail in self.below.get(parent, ())
            if detail.name not in names
        )


def _details(job: Document) -> _Known:
    listed = read(job, "jobDetail.taskDetails")
    found = []
    for index, detail in enumerate(listed if isinstance(listed, list) else ()):
        if not isinstance(detail, Mapping):
            continue
        started, ended = (parse_time(either_key(detail, key)) for key in ("startTime", "endTime"))
        own, parent = (str(either_key(detail, key) or "") for key in ("taskId", "parentTaskId"))
        name = str(either_key(detail, "taskName") or "")
        found.append(
            (
                own,
                parent,
                Detail(
                    index,
                    name,
                    str(detail.get("state") or ""),
                    (ended - started).total_seconds() if started and ended else None,
                    RpcStatus.parse(detail.get("error")),
                    relations.children_in(detail),
                    relations.own_jobs_in(detail),
                ),
            )
        )
    below: dict[str, list[tuple[str, Detail]]] = {}
    for own, parent, detail in found:
        below.setdefault(parent, []).append((own, detail))
    return _Known(tuple(found), below, any(parent for _, parent, _ in found))


def _walk(
    job: Document,
    dag: str,
    above: tuple[Scope, ...],
    title: str,
    known: _Known,
    listed: Mapping[str, str],
    parents: frozenset[str] | None = None,
    *,
    reached: bool = True,
    rounds: int = 1,
) -> Iterator[PipelineNode]:
    if len(above) > _MOST_DEEP:
        return
    tasks = tasks_in(job, dag)
    here = known.top() if parents is None else parents
    names = frozenset(name for key, task in tasks for name in (key, _shown_name(task, key)))
    if known.ids:  # rounds of a loop, however deep they are wrapped
        inner = here
        for _ in range(_MOST_DEEP):
            inner = known.rounds(inner, names)
            if not inner:
                break
            here |= inner
    for key, task in tasks:
        reference = task.get("componentRef")
        component = str(reference.get("name") or "") if isinstance(reference, Mapping) else ""
        scopes = (*above, Scope(f"{dag}.dag.tasks.{key}", component))
        named = f"{title}/{key}" if title else key
        runs = known.of(_shown_name(task, key), here, names) or known.of(key, here, names)
        own_rounds = rounds * _rounds_of(task)
        holder = f"pipelineSpec.components.{component}"
        if isinstance(job.read(f"{holder}.dag"), Mapping):
            ids = frozenset(own for own, _ in runs)
            never = bool(runs) and all(one.state in _NEVER_RUNS for _, one in runs)
            further = reached and not never
            yield from _walk(
                job, holder, scopes, named, known, listed, ids, reached=further, rounds=own_rounds
            )
            continue
        label = job.read(f"{holder}.executorLabel")
        if isinstance(label, str) and label in listed:
            details = tuple(one for _, one in runs)
            caching = _caching(task)
            may_cache = _may_cache(task)
            holder = listed[label]
            yield PipelineNode(
                scopes, named, label, holder, details, caching, may_cache, reached, own_rounds
            )


def _rounds_of(task: Mapping[str, Any]) -> int:
    """How often a loop runs what is in it, where its items stand in the spec; 1 for other tasks."""
    iterator = task.get("parameterIterator")
    items = iterator.get("items") if isinstance(iterator, Mapping) else None
    raw = items.get("raw") if isinstance(items, Mapping) else None
    try:
        listed = json.loads(raw) if isinstance(raw, str) else None
    except ValueError:
        return 1
    return max(1, len(listed)) if isinstance(listed, list) else 1


def _shown_name(task: Mapping[str, Any], key: str) -> str:
    info = task.get("taskInfo")
    return str(info.get("name") or key) if isinstance(info, Mapping) else key


def _caching(task: Mapping[str, Any]) -> bool | None:
    options = task.get("cachingOptions")
    return options.get("enableCache") is True if isinstance(options, Mapping) else None


def _may_cache(task: Mapping[str, Any]) -> bool:
    policy = task.get("triggerPolicy")
    exits = isinstance(policy, Mapping) and bool(re.search("condition|strategy", " ".join(policy)))
    return not exits and not task.get("parameterIterator") and not task.get("artifactIterator")
