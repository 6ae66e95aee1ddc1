"""What commands ask of a project through the App: cases, chains, answers, and what `doctor` looks at.

Owns the asking alone: the commands parse and print, the rooms below judge. Called by the commands of
this folder.
"""

from __future__ import annotations

import itertools
import secrets
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from msgspec import Struct
from msgspec.structs import replace

from remediator import log
from remediator.app import CALL_SECONDS, App
from remediator.deadline import with_current_deadline
from remediator.domain import InvalidInput, JobKind, JobName, NotServed, TransientError
from remediator.job import Job
from remediator.log import LogEvent
from remediator.workflow import sweep

if TYPE_CHECKING:
    from remediator.alerts import Message
    from remediator.case import Case
    from remediator.doctor import DoctorContext
    from remediator.policy import Policies
    from remediator.report.chain_status import ChainStatus
    from remediator.rows import AccountedRows

_READ_AT_ONCE = 24  # past failures; chosen, as many as share a read of the log without a long query


def capture(app: App, job: str) -> Case:
    """A real job's case, read and not judged."""
    document = app.vertex.get(JobName.parse(job), timeout_seconds=CALL_SECONDS)
    case = app.evidence.gather(document, now=app.now(), attempts=(), settled=False, whole=True)
    return replace(case, parent=_parent_of(app, document))


def account_rows(app: App, name: JobName, *, key: str | None) -> AccountedRows:
    """What a batch did with its rows, read where they lie; raises InvalidInput for another kind."""
    job = app.vertex.get(name, timeout_seconds=CALL_SECONDS)
    if name.kind is not JobKind.BATCH_PREDICTION:
        msg = f"{name} is not a batch prediction, so it has no rows"
        raise InvalidInput(msg)
    return app.rows.account(job, key=key)


def _parent_of(app: App, job: Job) -> str:
    from remediator.workflow.ownership import find_parent

    return find_parent(job, app.vertex_project).parent


def past_failures(
    app: App, days: float, *, most: int, progress: Callable[[int, int], None]
) -> tuple[tuple[Case, ...], dict[str, int]]:
    """The project's failures of the last `days`, each read as it stood when it had settled.

    Newest first, `most` at most; beside them, how many were left out and why. Resubmissions of
    ours are left out: a backtest asks about what failed by itself. `progress` is told how many
    of how many have been read.
    """

    since = app.now() - timedelta(days=days)
    found: list[Job] = []
    ours = 0
    for location, kind in itertools.product(app.locations, sweep.SWEPT_KINDS):
        for job in sweep.failed_since(app.services.vertex, location, kind, since):
            if job.end_time is None or job.end_time < since or not job.is_failure:
                continue
            if "remediator-claim" in job.labels:
                ours += 1
            else:
                found.append(job)
    found.sort(key=lambda job: job.end_time or since, reverse=True)
    left_out = {"resubmission of ours": ours, "older failure": max(0, len(found) - most)}
    # Side by side, so that one read of the log serves several of them.
    read = partial(_as_it_stood, app)
    return _cases_of(found[:most], read, at_once=_READ_AT_ONCE, progress=progress), left_out


def past_lives(
    app: App,
    days: float,
    files: Sequence[Policies],
    *,
    most: int,
    progress: Callable[[int, int], None],
) -> tuple[tuple[Case, ...], dict[str, int]]:
    """The jobs of the last `days` that some file's entries of `watch` are for, with all that was measured.

    Newest first, `most` at most; beside them, how many were left out and why. A job's log is read only
    where some look at it would have read it.
    """
    if not any(file.enabled_watch() for file in files):
        return (), {}
    since = app.now() - timedelta(days=days)
    found: list[Job] = []
    short = 0
    for location, kind in itertools.product(app.locations, sweep.SWEPT_KINDS):
        listed = app.vertex.list(
            kind,
            app.project_id,
            location,
            created_after=since - _LONGEST_LIFE,
            timeout_seconds=CALL_SECONDS,
        )
        with suppress(NotServed):
            for job in listed:
                begun, ended = job.create_time, job.end_time or app.now()
                if begun is None or ended < since or not _is_watched(app, job, files):
                    continue
                if ended - begun < _SHORTEST_LIFE:
                    short += 1
                else:
                    found.append(job)
    found.sort(key=lambda job: job.create_time or since, reverse=True)
    left_out = {"job too short to be watched": short, "older job": max(0, len(found) - most)}
    read = partial(_life_of, app, files)
    return _cases_of(found[:most], read, at_once=_LIVES_AT_ONCE, progress=progress), left_out


def _cases_of(
    jobs: Sequence[Job],
    read: Callable[[Job], Case],
    *,
    at_once: int,
    progress: Callable[[int, int], None],
) -> tuple[Case, ...]:
    """The jobs' cases in their order, `at_once` of them read side by side."""
    cases: list[Case] = []
    with ThreadPoolExecutor(at_once, thread_name_prefix="past") as pool:
        for case in pool.map(with_current_deadline(read), jobs):
            progress(len(cases), len(jobs))
            cases.append(case)
    return tuple(cases)


_LIVES_AT_ONCE = 8  # chosen: each reads five series side by side
_SHORTEST_LIFE = timedelta(minutes=15)  # chosen: no rule tells anything sooner
_LONGEST_LIFE = timedelta(days=7)  # documented: the default time-out of Vertex's training jobs


def _is_watched(app: App, job: Job, files: Sequence[Policies]) -> bool:
    from remediator.case import Case
    from remediator.watch import is_selected

    case = Case(job=job.before_its_end(started=True), now=job.end_time or app.now())
    return any(is_selected(case, file, app.services.config.catalog) for file in files)


def _life_of(app: App, files: Sequence[Policies], job: Job) -> Case:
    """All that was measured while it ran, and its log where some look would have read it."""
    from remediator.watch.replay import replay

    now = min(app.now(), (job.end_time or app.now()) + _ARRIVED_AFTER)
    case = app.evidence.look(job, now=now, with_log=False, whole=True)
    catalog = app.services.config.catalog
    if not any(one.log_reads for file in files for one in replay(file, (case,), catalog)):
        return case
    while not app.log_budget.has_spare():
        time.sleep(1.0)
    return app.evidence.look(job, now=now, with_log=True, seen=case)


_ARRIVED_AFTER = timedelta(minutes=10)  # what a job wrote and what was measured has arrived; chosen


def _as_it_stood(app: App, job: Job) -> Case:
    """The job's case; where its own error settles the cause, nothing else is read for it."""
    from remediator.diagnosis import settled

    is_settled = settled(job) is not None
    while not is_settled and not app.log_budget.has_spare():
        time.sleep(1.0)
    moment = (job.end_time or app.now()) + app.settings.settle
    case = app.evidence.gather(job, now=moment, attempts=(), settled=is_settled)
    return replace(case, parent=_parent_of(app, job))


def follow(app: App, job: str, *, wait: bool) -> ChainStatus:
    """Where a job's chain stands; with `wait`, once it has ended."""
    from remediator.job.summary import output_of
    from remediator.report.chain_status import chain_status

    name = JobName.parse(job)
    while True:
        try:
            found = chain_status(name, _ChainClient(app), output_of=output_of)
        except TransientError as err:
            # Whoever waits for hours does not stop for an outage of minutes.
            if not wait:
                raise
            log.say("WARNING", LogEvent.CHAIN_WAITED_FOR, f"still waiting: {err}", job=job)
        else:
            if not wait or found.final:
                return found
        time.sleep(_wait_seconds(app))


def _wait_seconds(app: App) -> float:
    return 0.5 if app.settings.is_local else 30.0


def switch_stop(app: App, *, on: bool) -> None:
    """The stop switch in the ledger."""
    app.ledger.switch_stop(on=on, by=_caller(app), now=app.now())


def deployed_environment(app: App, name: str, region: str) -> dict[str, str]:
    """The settings of the deployed function, as it has them; of secrets their names alone."""
    found = app.deployment.function(region, f"{name}-remediate")
    held = (found.get("serviceConfig") or {}).get("environmentVariables") or {}
    return {
        str(key): str(value)
        for key, value in held.items()
        if str(key).startswith(("REMEDIATOR_", "GOOGLE_CLOUD_PROJECT"))
        or str(value).startswith("secret:")
    }


def doctor_context(
    app: App, *, name: str, region: str, account: str, event_seconds: float
) -> DoctorContext:
    """What `doctor` looks at: the deployment whose names begin with `name`."""
    from remediator.doctor import DoctorContext

    project, number = app.project
    worker = account or f"{name}-worker@{project}.iam.gserviceaccount.com"
    return DoctorContext(
        name=name,
        project=project,
        number=number,
        region=region,
        locations=app.locations,
        account=worker,
        is_self=app.own_account == worker,
        acts_as=app.settings.service_accounts,
        deployment=app.deployment,
        policies=app.policies,
        digest=app.policies_digest,
        ledger=lambda: app.ledger,
        check_channel=app.channels.check,
        write_log=app.write_log,
        now=app.now,
        sleep=time.sleep,
        token=secrets.token_hex(16),
        works_seconds=app.event_seconds,
        event_seconds=event_seconds,
        lease=app.settings.lease,
        resume_bucket=app.settings.resume_bucket,
        resume_dataset=app.settings.resume_dataset,
    )


def answer(app: App, approval: str, *, approved: bool, by: str = "") -> str:
    """Write a person's answer to a pending approval; nothing else happens here."""
    from remediator.workflow.approval import answer_approval

    who = by or f"command line, {_caller(app)}"
    answered = answer_approval(
        app.services.records.ledger, app.services.clock, approval, approved=approved, by=who
    )
    if answered.contradicts and not by:  # a person at a terminal is told, Slack's click is not
        msg = f"{approval} is {answered.text}: the first answer counts"
        raise InvalidInput(msg)
    return answered.text


def _caller(app: App) -> str:
    from remediator.cloud.caller import caller

    shared = app.settings.ledger.startswith("firestore://")
    return caller(is_local=app.settings.is_local or not shared)


class ChannelPreview(Struct, frozen=True):
    """An alert, and what keeps it from being sent singly or at once, a sentence for each channel."""

    message: Message
    held: tuple[str, ...]


def preview(
    app: App, case: Case, channel: str, *, send: bool, has_job: bool = True
) -> ChannelPreview | None:
    """The alert that a case would give on a channel; sent only if asked.

    None of a job that still runs and of which no entry of `watch` tells.
    """
    from remediator.workflow.preview import preview

    resume = (app.settings.resume_bucket, app.settings.resume_dataset)
    policies = app.policies()
    made = preview(case, policies, app.services.config.catalog, has_job=has_job, resume=resume)
    if channel and channel not in policies.channels:
        known = ", ".join(policies.channels) or "none"
        msg = f"no channel {channel!r} in the policy file (it has: {known})"
        raise InvalidInput(msg)
    if send and not channel:
        msg = "--send needs --channel NAME"
        raise InvalidInput(msg)
    if made is None:
        return None
    if send:
        now = app.now()
        app.channels.open(channel).send(made.message.as_preview(now.isoformat()), due=now)
    reached = (channel,) if channel else made.channels
    held = (app.channels.rules_of(name).held_words(name, made.message) for name in reached)
    return ChannelPreview(made.message, tuple(one for one in held if one))


class _ChainClient:
    """What `follow` sees, through the App's services."""

    def __init__(self, app: App) -> None:
        self._app = app

    def get(self, name: JobName) -> Any:
        return self._app.vertex.get(name, timeout_seconds=CALL_SECONDS)

    def labelled(self, kind: Any, location: str, key: str, value: str) -> Any:
        return self._app.vertex.list(
            kind, self._app.project_id, location, labels={key: value}, timeout_seconds=CALL_SECONDS
        )

    def outcomes(self, job: JobName) -> Any:
        from remediator.cloud.logs import Logs
        from remediator.intake import OUTCOMES_LOG

        logs = Logs(self._app.settings.logging_endpoint or None, timeout_seconds=CALL_SECONDS)
        name = f'"/locations/{job.location}/{job.collection}/{job.id}"'  # JobName allows no quote
        project = self._app.project_id
        since = (self._app.now() - timedelta(days=30)).isoformat()
        query = (
            f'logName="projects/{project}/logs/{OUTCOMES_LOG}" AND '
            f"(jsonPayload.root:{name} OR jsonPayload.current:{name}) AND "
            f'timestamp>="{since}"'
        )
        try:
            found = logs.entries(project, query, limit=200, timeout_seconds=CALL_SECONDS)
        finally:
            logs.close()
        return [entry.get("jsonPayload") or {} for entry in found]
