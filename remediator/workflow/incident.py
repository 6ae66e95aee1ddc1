"""One incident from beginning to end: from a hint to a resubmission, or to the reason for none.

Owns what becomes of a hint and of each state a job may be in; a failure goes on in `failure`. Knows no
concrete service: it sees them through `Services`. Called by `handlers` for an event, and by `reconcile`
when time has passed.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from msgspec.structs import replace

from remediator import log
from remediator.deadline import run_in_thread
from remediator.diagnosis import warm_up
from remediator.domain import (
    Guard,
    JobKind,
    JobName,
    JobState,
    NotFound,
    PermanentError,
    PermissionDenied,
    TransientError,
)
from remediator.evidence.log_budget import LOG_READS
from remediator.intake import Hint
from remediator.job import Job
from remediator.ledger import (
    CancelReason,
    Conclusion,
    Incident,
    Ledger,
    Stage,
    UnreadableDocument,
)
from remediator.log import LogEvent
from remediator.settings import Settings
from remediator.workflow import running_attempts
from remediator.workflow.adoption import adopt_forsaken
from remediator.workflow.conclusions import (
    GIVEN_UP,
    RECOVERED,
    alert_missing_permission,
    close_chain,
    close_incident,
)
from remediator.workflow.failure import Prefetch, handle_failure, is_switched_off
from remediator.workflow.incident_context import (
    new_incident,
)
from remediator.workflow.incident_key import key_of
from remediator.workflow.ownership import is_own_unrecorded_attempt
from remediator.workflow.permanent_errors import alert_permanent_error, alert_unreadable_document
from remediator.workflow.refused_create import handle_refused_create
from remediator.workflow.services import Services, VertexProject
from remediator.workflow.silent_rows import may_hide_failed_rows

FOLLOWED_EVERY = timedelta(minutes=5)


def handle(hint: Hint, services: Services) -> str:
    """Handle one event's hint; answers what was done, in a few words for the log.

    Raises TransientError where the event should come again.
    """
    if not services.vertex.is_ours(hint.project):
        return f"ignored: {hint.project} is another project"
    if hint.refusal is not None:
        return handle_refused_create(hint, hint.refusal, services)
    try:
        ahead = run_in_thread(lambda: _prefetch(hint, services.vertex, services.records.ledger))
        job = _read_job(hint, services.vertex, services.records.ledger)
        ahead()
        if job is None:
            return "ignored: there is no such job (any more)"
        return consider(job, services, known_since=hint.published or services.clock())
    except PermissionDenied as err:  # of our own account: told, and tried again until it is granted
        alert_missing_permission(err, services.config, services.records.outbox, services.clock)
        raise TransientError(str(err)) from err


def _is_served(name: JobName, vertex: VertexProject, ledger: Ledger) -> bool:
    """Whether its region may be asked: it is served, or the ledger knows the job.

    Whoever writes logs can name any region, and each one asked costs a connection that is kept. A job
    of ours in another region (a fallback of the policy file) is in the ledger since it was made.
    """
    if name.location in vertex.locations():
        return True
    return ledger.root_of(name.key) is not None or ledger.incident(name.key) is not None


def _prefetch(hint: Hint, vertex: VertexProject, ledger: Ledger) -> None:
    """Have at hand what will be asked of the ledger and of the job's texts, while the job is read."""
    places = vertex.locations()
    name = hint.job
    if name is None and len(places) == 1:
        name = JobName(vertex.project, places[0], JobKind.CUSTOM, hint.custom_job_id)
    keys = (name.key,) if name else ()
    ledger.prefetch(incidents=keys, created=keys, chains=keys, counters=(LOG_READS,))
    warm_up()


def _read_job(hint: Hint, vertex: VertexProject, ledger: Ledger) -> Job | None:
    if hint.job is None:
        return vertex.find(JobKind.CUSTOM, hint.custom_job_id)
    if not vertex.is_ours(hint.job.project):
        log.say(
            "ERROR",
            LogEvent.FOREIGN_JOB_NAMED,
            f"the entry names a job of another project: {hint.job}",
        )
        return None
    if not _is_served(hint.job, vertex, ledger):
        log.say(
            "WARNING",
            LogEvent.REGION_NOT_SERVED,
            f"the entry names a job in a region that is not served: {hint.job}",
        )
        return None
    try:
        return vertex.get(hint.job)
    except NotFound:
        return None


# --- from the job's truth to a conclusion --------------------------------------------------------


def consider(
    job: Job, services: Services, *, known_since: datetime, late_sink: bool = False
) -> str:
    """Bring one job's incident as far as it can be brought now; safe to call any number of times."""
    try:
        return _consider(job, services, known_since=known_since, late_sink=late_sink)
    except PermissionDenied:  # it may be granted
        raise
    except UnreadableDocument as err:
        return alert_unreadable_document(
            job, err, services.config, services.records, services.clock
        )
    except PermanentError as err:
        return alert_permanent_error(job, err, services.config, services.records, services.clock)


def _consider(job: Job, services: Services, *, known_since: datetime, late_sink: bool) -> str:
    now = services.clock()
    key = key_of(job, services.records.ledger)
    if is_own_unrecorded_attempt(job, services.records.ledger) and not adopt_forsaken(
        job, services.config, services.records, now
    ):
        # Before it is asked for: what is unrecorded becomes recorded.
        msg = "an attempt of ours that is not written down yet"
        raise TransientError(msg)
    root = services.records.ledger.root_of(key)
    incident = services.records.ledger.incident(key)
    if incident is not None and incident.stage is Stage.DONE:
        return f"already handled: {incident.conclusion or incident.reason}"
    if not job.state.is_terminal:
        return _follow(job, key, incident, services, now)
    if not job.is_failure and not may_hide_failed_rows(job, services.config):
        return _conclude_unfailed(job, incident, root or key, services, now)
    prefetch = None
    if incident is None:
        new = _new(job, key, known_since, now, root or key, services.config.settings)
        if new.conclusion is Conclusion.NONE and not is_switched_off(job):
            prefetch = Prefetch.begin(job, services, now)
        incident = services.records.ledger.open(new)
        if (
            incident.stage is Stage.DONE
        ):  # too old, or another execution was through with it just now
            return _done_when_opened(incident)
    return handle_failure(job, incident, services, now, prefetch=prefetch, late_sink=late_sink)


def _done_when_opened(incident: Incident) -> str:
    if incident.conclusion is Conclusion.TOO_OLD:
        return "recorded: it had failed long before it became known"
    return f"already handled: {incident.conclusion or incident.reason}"


def _follow(
    job: Job, key: str, incident: Incident | None, services: Services, now: datetime
) -> str:
    """No state but a terminal one is an end, however long that takes."""
    stored = incident or services.records.ledger.open(
        replace(
            new_incident(job, now, key, key=key),
            stage=Stage.FOLLOWED,
            due=now,
        )
    )
    if incident is not None and incident.is_watch_cancel:
        from remediator.workflow.watch_actions import follow_cancel  # noqa: PLC0415  # cold start

        return follow_cancel(job, incident, services, now)
    if incident is not None:
        stored = running_attempts.check_attempt(
            job, stored, services.config, services.vertex, services.records, now
        )
        # The longer it has run, the rarer it is looked at: a tenth of its age, five minutes at most.
        pause = min((now - stored.first_known) / 10, FOLLOWED_EVERY)
        services.records.ledger.move(replace(stored, stage=Stage.FOLLOWED, due=now + pause))
    return f"followed: the job is {job.state}"


def _conclude_unfailed(
    job: Job, incident: Incident | None, root: str, services: Services, now: datetime
) -> str:
    if job.state is JobState.CANCELLED:
        stored = incident or services.records.ledger.open(
            new_incident(job, now, root, key=key_of(job, services.records.ledger))
        )
        if stored.attempt:
            running_attempts.alert_if_over_budget(
                job, stored, services.config, services.records, now
            )
        if stored.is_watch_cancel and stored.stage is not Stage.APPROVAL:
            from remediator.workflow.watch_actions import (  # noqa: PLC0415  # cold start
                conclude_cancelled,
            )

            return conclude_cancelled(job, stored, services, now)
        if stored.attempt:
            never_ran = stored.cancel_reason is CancelReason.NO_MACHINE
            if never_ran and running_attempts.step_over(
                job, stored, services.records.ledger, services.config.catalog, now
            ):
                return "stepped over: the attempt never got a machine"
            return close_chain(
                job,
                stored,
                services.config,
                services.records,
                now,
                GIVEN_UP,
            )
        close_incident(
            stored, services.records.ledger, Conclusion.IGNORED, Guard.CANCELLED_BY_PERSON.value
        )
        return "ignored: a person cancelled it"
    if incident is None:
        return f"ignored: the job is {job.state}"
    if incident.attempt:
        running_attempts.alert_if_over_budget(job, incident, services.config, services.records, now)
        return close_chain(
            job,
            incident,
            services.config,
            services.records,
            now,
            RECOVERED,
        )
    close_incident(incident, services.records.ledger, Conclusion.IGNORED, f"the job is {job.state}")
    return f"ignored: the job is {job.state}"


def _new(
    job: Job, key: str, known_since: datetime, now: datetime, root: str, settings: Settings
) -> Incident:
    incident = new_incident(job, known_since, root, key=key)
    if job.end_time and known_since - job.end_time > settings.lookback:
        return replace(incident, stage=Stage.DONE, conclusion=Conclusion.TOO_OLD)
    return replace(incident, due=now + settings.lease)
