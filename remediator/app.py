"""The composition root: settings in, an App with lazily opened services out.

The only place that knows concrete classes and imports them, late: an irrelevant event must not pay
for Google's clients. The front server may fork after importing `main`, so nothing is opened here
before the first call. Called by `main` and by the command line. Longer than most files, since every service is put together here and nowhere else.
"""

from __future__ import annotations

import itertools
import json
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any

from remediator import intake, log, settings
from remediator.catalog import catalog
from remediator.deadline import deadline, remaining, run_in_thread, with_current_deadline
from remediator.domain import (
    Attempt,
    InvalidInput,
    JobKind,
    JobName,
    JobState,
    PermanentError,
    PermissionDenied,
    RemediatorError,
    Source,
    TransientError,
)
from remediator.job import Job
from remediator.settings import Settings

if TYPE_CHECKING:
    from remediator.alerts import Channel, DeliveryRules, Message
    from remediator.alerts.approval import Interaction
    from remediator.alerts.delivery import Outbox
    from remediator.case import Case, Gap, Probe
    from remediator.cloud.deployment import Deployment
    from remediator.cloud.logs import Logs
    from remediator.cloud.metrics import Metrics
    from remediator.cloud.storage import Storage
    from remediator.cloud.vertex import Vertex
    from remediator.doctor import DoctorContext
    from remediator.ledger import Ledger
    from remediator.policy import Policies
    from remediator.report.chain_status import ChainStatus
    from remediator.rows import AccountedRows
    from remediator.rows.objects import BatchRows
    from remediator.workflow.policy_file import PolicyFile
    from remediator.workflow.services import Services

CALL_SECONDS = 15.0  # all tries of one call together
EVIDENCE_SECONDS = 25.0  # all sources of one diagnosis, side by side
ROUND_SECONDS = 50.0  # one `reconcile`; Scheduler calls again in a minute
EVENT_SECONDS = 90.0  # everything done for one call; deploy/ lets the platform wait 120
_DEFAULT_LOCATION = "us-central1"
_LOG_READS_A_MINUTE = 50  # of the 60 that a project has; people read logs too
_CHECKS_A_MINUTE = 6
_SIGNING_KEPT = timedelta(seconds=10)  # chosen: a changed secret is known that soon
_READ_AT_ONCE = 24  # past failures; chosen, as many as share a read of the log without a long query
_EARLIER = 3
_LOOKED_AT = 200
_MOST_CHILDREN = 3  # launched jobs of one run that are read; chosen, each costs its own evidence
_LOCAL_STATE = ".remediator"


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """What the caller is told: an HTTP status and a text."""

    status: int
    text: str


class App:
    """The product, put together. Every service is opened when first used, once per process."""

    def __init__(
        self,
        settings_: Settings,
        *,
        here: Path,
        environ: Mapping[str, str],
        policies: Policies | None,
        text: bytes = b"",
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        event_seconds: float = EVENT_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.settings = settings_
        self.now = now
        self._here = here
        self._environ = environ
        self._event_seconds = event_seconds
        self._clock = clock
        self._policies = policies
        self._signing: tuple[str, str, datetime] | None = (
            None  # reference, secret, when it was read
        )
        self._text = text  # of a policy file within the deployment

    @classmethod
    def from_environment(
        cls,
        environ: Mapping[str, str],
        *,
        here: Path,
        clock: Callable[[], float] = time.monotonic,
    ) -> App:
        """Settings read and, where it is a local file, the policy file; raises InvalidInput."""
        found = settings.read(environ, here=here)
        if found.policies.startswith(("gs://", "secret:")):
            return cls(found, here=here, environ=environ, policies=None, clock=clock)
        try:
            text = _read_file(Path(found.policies))
            policies = _load(text, found.policies, found)
        except InvalidInput as err:
            msg = f"REMEDIATOR_POLICIES: {err}"
            raise InvalidInput(msg) from err
        return cls(found, here=here, environ=environ, policies=policies, text=text, clock=clock)

    # --- the doors -----------------------------------------------------------------------------

    def on_event(self, attributes: Mapping[str, Any], data: Any, *, trace: str = "") -> HttpAnswer:
        """One CloudEvent. 2xx: done, or never to be done; 5xx: deliver it again."""
        log.set_trace(trace, self.settings.project)
        message = intake.message_id(data)
        try:
            hint = intake.read(attributes, data)
        except InvalidInput as err:
            log.say("ERROR", f"malformed event: {err}", message_id=message)
            return HttpAnswer(200, "malformed")
        if isinstance(hint, intake.Ignored):
            return self._note_check(hint.check) if hint.check else HttpAnswer(200, hint.why)

        def work() -> str:
            from remediator.workflow.incident import handle

            return handle(hint, self.services)

        return self._guarded(work, job=str(hint.job or hint.custom_job_id), message_id=message)

    def _note_check(self, token: str) -> HttpAnswer:
        """An event of `doctor`: one note says what is seen from here; a forged one changes no more.

        Channels are tried a few times a minute only, whoever sends events: each is a call outside.
        """

        def work() -> str:
            from remediator.doctor import NOTE, own_view

            calm = self.ledger.take_token(
                NOTE, most=_CHECKS_A_MINUTE, window_seconds=60.0, now=self.now()
            )
            view = own_view(
                token,
                self.now(),
                policies=self.policies,
                digest=self.policies_digest,
                check_channel=self._check_channel if calm else None,
            )
            self.ledger.write_note(NOTE, view)
            return "a check by doctor"

        return self._guarded(work)

    def on_schedule(self, *, trace: str = "") -> HttpAnswer:
        """One round of `reconcile`; the text is JSON."""
        log.set_trace(trace, self.settings.project)

        def work() -> str:
            from remediator.workflow import reconcile

            self._alert_policy_changes()
            done = reconcile.run(self.services, self._write_log, budget_seconds=ROUND_SECONDS)
            return json.dumps(asdict(done))

        return self._guarded(work)

    def on_click(self, body: bytes, headers: Mapping[str, str], *, trace: str = "") -> HttpAnswer:
        """A click in Slack: verified, recorded; 2xx also where it changes nothing."""
        log.set_trace(trace, self.settings.project)
        from remediator.alerts.approval import check_form

        def work() -> str:
            check_form(body, headers, self.now())
            approvers = self.policies().approvers
            if approvers is None:
                msg = "the policy file names no approvers"
                raise PermissionDenied(msg)
            click = self._verified(body, headers, approvers.signing_secret)
            if click.user not in approvers.slack:
                msg = f"{click.user} is not among the approvers"
                raise PermissionDenied(msg)
            said = self.answer(
                click.approval_id,
                approved=click.approved,
                by=f"Slack {click.user} {click.user_name}".strip(),
            )
            return json.dumps({"text": said})

        return self._guarded(work, refused=403, forbidden=403)

    def _verified(self, body: bytes, headers: Mapping[str, str], reference: str) -> Interaction:
        """The click, if Slack signed it with the secret as it was read or, after a change, as it is.

        The secret is read once, and again for a signature that it does not fit at most every ten seconds:
        the door is open to all, and each reading costs a call.
        """
        from remediator.alerts.approval import parse_interaction

        now = self.now()
        known = self._signing
        if known is None or known[0] != reference:
            known = self._signing = (reference, self._secret(reference), now)
        try:
            return parse_interaction(body, headers, known[1], now)
        except PermissionDenied:
            if now - known[2] < _SIGNING_KEPT:
                raise
        self._signing = (reference, self._secret(reference), now)
        return parse_interaction(body, headers, self._signing[1], now)

    def _guarded(
        self, work: Callable[[], str], *, refused: int = 200, forbidden: int = 503, **fields: Any
    ) -> HttpAnswer:
        """Our promise at the door: no traceback leaves, and only what may help is tried again."""
        started = time.perf_counter()
        try:
            with deadline(self._event_seconds):
                text = work()
        except TransientError as err:
            log.say("WARNING", f"retryable error, message will be redelivered: {err}", **fields)
            return HttpAnswer(503, "later")
        except (
            PermissionDenied
        ) as err:  # to our own account, by the ledger: no alert can be kept either
            ours = forbidden == HTTPStatus.SERVICE_UNAVAILABLE  # else the caller may not do this
            what = "a permission is missing" if ours else "refused"
            log.say("ERROR", f"{what}: {err}", **fields)
            return HttpAnswer(forbidden, "refused")
        except (PermanentError, InvalidInput) as err:
            log.say("ERROR", f"refused: {err}", **fields)
            return HttpAnswer(refused, "refused")
        except Exception as err:  # noqa: BLE001  # the door: a fault of ours is one line, and tried again
            log.fault("unhandled exception", err, **fields)
            return HttpAnswer(500, "fault")
        seconds = round(time.perf_counter() - started, 3)
        log.say("INFO", text, seconds=seconds, **fields)
        return HttpAnswer(200, text)

    # --- what the command line asks ------------------------------------------------------------

    def capture(self, job: str) -> Case:
        """A real job's case, read and not judged."""
        document = self.vertex.get(JobName.parse(job), timeout_seconds=CALL_SECONDS)
        case = self._gather(document, now=self.now(), attempts=(), settled=False)
        return replace(case, parent=self._parent_of(document))

    def account_rows(self, name: JobName, *, key: str | None) -> AccountedRows:
        """What a batch did with its rows, read where they lie; raises InvalidInput for another kind."""
        job = self.vertex.get(name, timeout_seconds=CALL_SECONDS)
        if name.kind is not JobKind.BATCH_PREDICTION:
            msg = f"{name} is no batch prediction, so it has no rows"
            raise InvalidInput(msg)
        return self.rows.account(job, key=key)

    def _parent_of(self, job: Job) -> str:
        from remediator.workflow.ownership import find_parent

        return find_parent(job, self.vertex, self.project_id, timeout_seconds=CALL_SECONDS).parent

    def past_failures(
        self, days: float, *, most: int, progress: Callable[[int, int], None]
    ) -> tuple[tuple[Case, ...], dict[str, int]]:
        """The project's failures of the last `days`, each read as it stood when it had settled.

        Newest first, `most` at most; beside them, how many were left out and why. Resubmissions of
        ours are left out: a backtest asks about what failed by itself. `progress` is told how many
        of how many have been read.
        """
        from concurrent.futures import ThreadPoolExecutor

        from remediator.workflow import reconcile

        since = self.now() - timedelta(days=days)
        found: list[Job] = []
        ours = 0
        for location, kind in itertools.product(self.locations, reconcile.SWEPT_KINDS):
            for job in reconcile.failed_since(self.services, location, kind, since):
                if job.end_time is None or job.end_time < since or not job.is_failure:
                    continue
                if "remediator-claim" in job.labels:
                    ours += 1
                else:
                    found.append(job)
        found.sort(key=lambda job: job.end_time or since, reverse=True)
        left_out = {"resubmission of ours": ours, "older failure": max(0, len(found) - most)}
        kept = found[:most]
        cases: list[Case] = []
        # Side by side, so that one read of the log serves several of them.
        with ThreadPoolExecutor(_READ_AT_ONCE, thread_name_prefix="past") as pool:
            for case in pool.map(with_current_deadline(self._as_it_stood), kept):
                progress(len(cases), len(kept))
                cases.append(case)
        return tuple(cases), left_out

    def _as_it_stood(self, job: Job) -> Case:
        """The job's case; where its own error settles the cause, nothing else is read for it."""
        from remediator.diagnosis import settled

        is_settled = settled(job) is not None
        while not is_settled and not self._logs_are_calm():
            time.sleep(1.0)
        moment = (job.end_time or self.now()) + self.settings.settle
        case = self._gather(job, now=moment, attempts=(), settled=is_settled)
        return replace(case, parent=self._parent_of(job))

    def follow(self, job: str, *, wait: bool) -> ChainStatus:
        """Where a job's chain stands; with `wait`, once it has ended."""
        from remediator.job.summary import output_of
        from remediator.report.chain_status import chain_status

        name = JobName.parse(job)
        while True:
            try:
                found = chain_status(name, _ChainClient(self), output_of=output_of)
            except (
                TransientError
            ) as err:  # whoever waits for hours does not stop for an outage of minutes
                if not wait:
                    raise
                log.say("WARNING", f"waiting on: {err}", job=job)
            else:
                if not wait or found.final:
                    return found
            time.sleep(self._wait_seconds)

    @property
    def _wait_seconds(self) -> float:
        return 0.5 if self.settings.is_local else 30.0

    def switch_stop(self, *, on: bool) -> None:
        """The stop switch in the ledger."""
        self.ledger.switch_stop(on=on, by=self._caller, now=self.now())

    def deployed_environment(self, name: str, region: str) -> dict[str, str]:
        """The settings of the deployed function, as it has them; of secrets their names alone."""
        found = self._deployment.function(region, f"{name}-remediate")
        held = (found.get("serviceConfig") or {}).get("environmentVariables") or {}
        return {
            str(key): str(value)
            for key, value in held.items()
            if str(key).startswith(("REMEDIATOR_", "GOOGLE_CLOUD_PROJECT"))
            or str(value).startswith("secret:")
        }

    def doctor_context(
        self, *, name: str, region: str, account: str, event_seconds: float
    ) -> DoctorContext:
        """What `doctor` looks at: the deployment whose names begin with `name`."""
        from remediator.doctor import DoctorContext

        project, number = self.project
        worker = account or f"{name}-worker@{project}.iam.gserviceaccount.com"
        return DoctorContext(
            name=name,
            project=project,
            number=number,
            region=region,
            locations=self.locations,
            account=worker,
            is_self=self.own_account == worker,
            acts_as=self.settings.service_accounts,
            deployment=self._deployment,
            policies=self.policies,
            digest=self.policies_digest,
            ledger=lambda: self.ledger,
            check_channel=self._check_channel,
            write_log=self._write_log,
            now=self.now,
            sleep=time.sleep,
            token=secrets.token_hex(16),
            works_seconds=self._event_seconds,
            event_seconds=event_seconds,
            lease=self.settings.lease,
            resume_bucket=self.settings.resume_bucket,
        )

    def answer(self, approval: str, *, approved: bool, by: str = "") -> str:
        """Write a person's answer to a pending approval; nothing else happens here."""
        from remediator.workflow.incident import answer_approval

        who = by or f"command line, {self._caller}"
        answered = answer_approval(self.services, approval, approved=approved, by=who)
        if answered.contradicts and not by:  # a person at a terminal is told, Slack's click is not
            msg = f"{approval} is {answered.text}: the first answer counts"
            raise InvalidInput(msg)
        return answered.text

    @cached_property
    def _caller(self) -> str:
        from remediator.cloud.caller import caller

        shared = self.settings.ledger.startswith("firestore://")
        return caller(is_local=self.settings.is_local or not shared)

    def preview(self, case: Case, channel: str, *, send: bool, has_job: bool = True) -> Message:
        """The alert that a case would give on a channel; sent only if asked."""
        from remediator.workflow.incident import preview

        resume = (self.settings.resume_bucket, self.settings.resume_dataset)
        message = preview(
            case, self.policies(), self.services.catalog, has_job=has_job, resume=resume
        )
        if channel and channel not in self.policies().channels:
            known = ", ".join(self.policies().channels) or "none"
            msg = f"no channel {channel!r} in the policy file (it has: {known})"
            raise InvalidInput(msg)
        if send and not channel:
            msg = "say to which --channel it is sent"
            raise InvalidInput(msg)
        if send:
            now = self.now()
            self._open_channel(channel).send(message.as_preview(now.isoformat()), due=now)
        return message

    # --- the services -----------------------------------------------------------------------------

    @cached_property
    def services(self) -> Services:
        """Everything the workflow touch the world with."""
        from remediator.catalog.catalog import Catalog
        from remediator.workflow.services import Services

        return Services(
            settings=self.settings,
            project=lambda: self.project,
            locations=lambda: self.locations,
            own_account=lambda: self.own_account,
            policies=self.policies,
            catalog=Catalog.built_in(),
            jobs=self.vertex,
            rows=_LateRows(lambda: self.rows),
            gather=self._gather,
            look=self._look,
            ledger=self.ledger,
            outbox=self.outbox,
            now=self.now,
            token=lambda: secrets.token_hex(16),
            call_seconds=CALL_SECONDS,
        )

    @cached_property
    def vertex(self) -> Vertex:
        from remediator.cloud.vertex import Vertex

        return Vertex(self.settings.vertex_endpoint or None, timeout_seconds=CALL_SECONDS)

    @cached_property
    def logs(self) -> Logs:
        from remediator.cloud.logs import Logs

        return Logs(
            self.settings.logging_endpoint or None,
            may_read=self._may_read_logs,
            timeout_seconds=CALL_SECONDS,
        )

    @cached_property
    def metrics(self) -> Metrics:
        from remediator.cloud.metrics import Metrics

        return Metrics(self.settings.monitoring_endpoint or None, timeout_seconds=CALL_SECONDS)

    @cached_property
    def storage(self) -> Storage:
        from remediator.cloud.storage import Storage

        return Storage(timeout_seconds=CALL_SECONDS)

    @cached_property
    def rows(self) -> BatchRows:
        """The rows of batches in Cloud Storage."""
        from remediator.cloud.objects import Objects
        from remediator.rows.objects import BatchRows

        return BatchRows(Objects(self.storage, call_seconds=CALL_SECONDS))

    @cached_property
    def ledger(self) -> Ledger:
        from remediator.ledger import Ledger

        where = self.settings.ledger
        if where.startswith("firestore://"):
            from remediator.cloud.firestore_methods import Documents
            from remediator.ledger.firestore import FirestoreStore

            database, collection = where.removeprefix("firestore://").split("/", 1)
            return Ledger(
                FirestoreStore(self.project_id, database, collection, open_client=Documents)
            )
        from remediator.ledger.sqlite import SqliteStore

        path = Path(where.removeprefix("sqlite:///")) if where else self._local_ledger
        return Ledger(SqliteStore(path))

    @property
    def _local_ledger(self) -> Path:
        return Path.cwd() / _LOCAL_STATE / "ledger.sqlite3"

    @cached_property
    def outbox(self) -> Outbox:
        from remediator.alerts.delivery import Outbox

        return Outbox(
            self.ledger,
            open_channel=self._open_channel,
            write_outcome=self._write_outcome,
            now=self.now,
            lease=self.settings.lease,
            project=lambda: self.project_id,
            ledger_url=self.settings.ledger,
            rules_of=self._rules_of,
        )

    @cached_property
    def project(self) -> tuple[str, str]:
        """The project's id and number; what the settings do not say, the metadata server does.

        Outside Google's cloud, where there is none, Resource Manager knows the number.
        """
        return self.project_id, self.settings.project_number or self._project_number

    @cached_property
    def project_id(self) -> str:
        from remediator.cloud import metadata

        if self.settings.project:
            return self.settings.project
        try:
            return metadata.project_id()
        except (TransientError, PermanentError) as err:
            # Until it is known, no event can be called somebody else's.
            msg = f"GOOGLE_CLOUD_PROJECT is not set, and {err}"
            raise TransientError(msg) from err

    @property
    def _project_number(self) -> str:
        from remediator.cloud import metadata

        try:
            return metadata.project_number()
        except RemediatorError as err:
            if self.settings.is_local:
                return ""
            if self.settings.on_cloud:
                raise TransientError(str(err)) from err
        try:
            return self._deployment.project_number()
        except RemediatorError as err:
            msg = f"GOOGLE_CLOUD_PROJECT_NUMBER is not set, and cannot be looked up: {err}"
            raise TransientError(msg) from err

    @cached_property
    def _deployment(self) -> Deployment:
        from remediator.cloud.deployment import Deployment

        return Deployment(self.project_id, timeout_seconds=CALL_SECONDS)

    @cached_property
    def locations(self) -> tuple[str, ...]:
        """The regions served and swept."""
        if self.settings.locations:
            return self.settings.locations
        from remediator.cloud import metadata

        try:
            return (metadata.region() or _DEFAULT_LOCATION,)
        except RemediatorError:
            return (_DEFAULT_LOCATION,)

    @cached_property
    def own_account(self) -> str:
        """The e-mail of the account this runs as; empty where there is none."""
        from remediator.cloud import metadata

        try:
            return metadata.service_account()
        except RemediatorError:
            return ""

    def policies(self) -> Policies:
        """The policies in force; a file outside the deployment is looked at every minute."""
        if self._policies is not None:
            return self._policies
        return self._policy_file.policies()

    def policies_digest(self) -> str:
        """16 hex digits of the SHA-256 of the policy file in force."""
        from remediator.workflow.policy_file import digest_of

        return self._policy_file.digest if self._policies is None else digest_of(self._text)

    @cached_property
    def _policy_file(self) -> PolicyFile:
        from remediator.workflow.policy_file import PolicyFile

        name = self.settings.policies

        def fetch() -> tuple[str, str]:
            if name.startswith("gs://"):
                return self.storage.read(name, timeout_seconds=CALL_SECONDS)
            from remediator.cloud import secrets as secret_manager

            return secret_manager.read_version(
                name, project=self.project_id, timeout_seconds=CALL_SECONDS
            )

        return PolicyFile(
            name,
            fetch,
            lambda text: _load(text, name, self.settings),
            lambda: self.ledger,
            clock=self._clock,
        )

    def _alert_policy_changes(self) -> None:
        """What changed in a policy file outside the deployment, enqueued for every channel in use."""
        from remediator.planning import alert_routing

        if self._policies is not None:
            return
        try:
            channels = alert_routing.all_channels(self.policies())
            for facts in self._policy_file.news():
                self.ledger.enqueue(self.outbox.alert_messages(facts, channels, self.now()))
            self._policy_file.settle()
        except RemediatorError as err:  # the round goes on: it meets the same fault, or none
            log.say("WARNING", f"no news of the policy file: {err}")

    def _gather(
        self, job: Job, *, now: datetime, attempts: tuple[Attempt, ...], settled: bool
    ) -> Case:
        from remediator.evidence import collect
        from remediator.evidence.sources import reading_plan_of

        policies = self.policies()
        reading = reading_plan_of(
            job,
            policies,
            project=self.project_id,
            settled=settled,
            resume_bucket=_bucket_of(self.settings.resume_bucket),
        )
        children, gaps = ((), ()) if settled else self._children(job, now)
        readers = collect.Readers(
            models=self.vertex,
            logs=self.logs,
            metrics=self.metrics,
            storage=self.storage,
            probe=self._probe,
            earlier=None if settled else self._earlier,
            rows=self.rows.evidence if reading.rows else None,
        )
        case = collect.gather(
            job,
            reading,
            readers,
            now=now,
            budget_seconds=remaining(EVIDENCE_SECONDS),
            attempts=attempts,
        )
        return replace(case, children=children, gaps=(*case.gaps, *gaps))

    def _look(self, job: Job, *, now: datetime, with_log: bool) -> Case:
        """What can be seen of a job that runs, each source within its deadline."""
        from remediator.domain import rfc3339
        from remediator.evidence import collect
        from remediator.evidence.sources import running_plan_of

        readers = collect.Readers(
            logs=self.logs if with_log else None, metrics=self.metrics, storage=self.storage
        )
        case = collect.gather(
            job,
            running_plan_of(job, project=self.project_id),
            readers,
            now=now,
            budget_seconds=remaining(EVIDENCE_SECONDS),
        )
        saved = case.saved
        if saved is None or saved.at is None:
            return case
        newest = {
            "name": f"{saved.folder}/{saved.newest}",
            "updated": rfc3339(saved.at),
        }
        return replace(case, outputs=(newest,))

    def _children(self, job: Job, now: datetime) -> tuple[tuple[Case, ...], tuple[Gap, ...]]:
        """The jobs that a run's launchers started and that failed, each with its own evidence."""
        from remediator.case import Gap

        cases: list[Case] = []
        gaps: list[Gap] = []
        for name in job.launched[:_MOST_CHILDREN]:
            try:
                child = self.vertex.get(JobName.parse(name), timeout_seconds=CALL_SECONDS)
            except RemediatorError as err:
                why = f"the job that a task started could not be read: {err}"
                gaps.append(Gap(Source.JOB, why, may_pass=isinstance(err, TransientError)))
                continue
            if child.is_failure:
                cases.append(self._gather(child, now=now, attempts=(), settled=False))
        return tuple(cases), tuple(gaps)

    def _probe(self, url: str) -> Probe:
        from remediator.evidence import probe

        return probe.measure(url, allow_loopback=self.settings.is_local, origin=self.locations[0])

    def _earlier(self, job: Job) -> tuple[Job, ...]:
        """Successful runs of the same job (name, program, account), for comparison; newest first."""
        from remediator.job.likeness import EVERY_ACCOUNT, alike

        if not job.display_name:
            return ()
        found = self.vertex.list(
            job.kind,
            self.project_id,
            job.name.location,
            states=(JobState.SUCCEEDED,),
            display_name=job.display_name,
            timeout_seconds=CALL_SECONDS,
        )
        account = EVERY_ACCOUNT if self.policies().learn_across_accounts else None
        key = alike(job, account=account)
        known = itertools.islice(found, _LOOKED_AT)  # others may give their jobs this name
        same = (one for one in known if key and alike(one, account=account) == key)
        return tuple(itertools.islice(same, _EARLIER))

    def _may_read_logs(self) -> bool:
        """Whether the minute has a read left; while half are, it is taken beside the read itself.

        Then no event waits a round trip for its token. Two instances may so pass the half, never the
        whole.
        """
        from remediator.workflow.services import LOG_READS

        taken, take = self.ledger.token(
            LOG_READS, most=_LOG_READS_A_MINUTE, window_seconds=60.0, now=self.now()
        )
        if self._is_shared and taken < _LOG_READS_A_MINUTE / 2:
            run_in_thread(take)
            return True
        return taken < _LOG_READS_A_MINUTE and take()

    @property
    def _is_shared(self) -> bool:
        """Whether the ledger is elsewhere, and each of its answers a round trip."""
        return self.settings.ledger.startswith("firestore://")

    def _logs_are_calm(self) -> bool:
        """Whether one more job's lines may be read without leaving a live failure without its own."""
        from remediator.domain import Guard
        from remediator.ledger import Limit
        from remediator.workflow.services import LOG_READS

        reads = Limit(LOG_READS, Guard.RATE.value, _LOG_READS_A_MINUTE, 1.0, 60.0)
        return self.ledger.used(reads, self.now()) < _LOG_READS_A_MINUTE / 2

    def _write_log(self, log_id: str, entries: list[Any]) -> None:
        self.logs.write(self.project_id, log_id, entries, timeout_seconds=CALL_SECONDS)

    def _write_outcome(self, outcome: Any, *, id: str, at: datetime) -> None:  # noqa: A002  # as the protocol has it
        import hashlib

        from remediator.intake import OUTCOMES_LOG

        insert_id = hashlib.sha256(id.encode()).hexdigest()[:32]
        entry = {
            "insertId": insert_id,
            "timestamp": at.isoformat(),
            "severity": "NOTICE",
            "jsonPayload": dict(outcome),
        }
        self._write_log(OUTCOMES_LOG, [entry])
        if self.settings.outcomes_topic:
            self._publisher.publish(
                self._outcomes_topic,
                json.dumps(dict(outcome)).encode(),
                ordering_key=str(outcome["root"]),
            )

    @property
    def _outcomes_topic(self) -> str:
        topic = self.settings.outcomes_topic
        return topic if "/" in topic else f"projects/{self.project_id}/topics/{topic}"

    @cached_property
    def _publisher(self) -> Any:
        from remediator.cloud import pubsub

        return pubsub.PubSub()

    def _secret(self, reference: str) -> str:
        from remediator.cloud import secrets as secret_manager

        return secret_manager.resolve(reference, project=self.project_id, environ=self._environ)

    def _rules_of(self, name: str) -> DeliveryRules:
        from remediator.alerts import DeliveryRules, rules_of

        policies = self.policies()
        spec = policies.channels.get(policies.carrier_of(name))
        return rules_of(spec) if spec is not None else DeliveryRules()

    def _check_channel(self, name: str) -> None:
        """Raises where the channel cannot be reached; sends nothing."""
        self._open_channel(name).check()

    def _open_channel(self, name: str) -> Channel:
        from remediator.alerts import open_channel

        policies = self.policies()
        carrier = policies.carrier_of(name)
        to = (name,) if carrier != name else ()
        name, spec = carrier, policies.channels.get(carrier)
        if spec is None:
            msg = f"the policy file no longer has the channel {name}"
            raise PermanentError(msg)
        return open_channel(
            name,
            spec,
            self._secret,
            hosts=policies.channel_hosts,
            buttons=policies.approvers is not None,
            to=to,
            project=self.project_id if spec.pagerduty is not None else "",
        )


class _LateRows:
    """The rows of batches for the workflow, opened when one is resumed."""

    def __init__(self, opened: Callable[[], BatchRows]) -> None:
        self._opened = opened

    def write_left(self, job: Job, uri: str, *, rows: int, seconds: float) -> None:
        self._opened().write_left(job, uri, rows=rows, seconds=seconds)

    def write_manifest(self, uri: str, body: Mapping[str, Any]) -> None:
        self._opened().write_manifest(uri, body)


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


def _bucket_of(uri: str) -> str:
    return uri.removeprefix("gs://").partition("/")[0]


def _read_file(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as err:
        msg = f"{path}: {err.strerror}"
        raise InvalidInput(msg) from err


def _load(text: str | bytes, name: str, found: Settings) -> Policies:
    """The policies of a text, bound by the ceilings; raises InvalidInput with every error."""
    from remediator import policy

    loaded = policy.load(text, name, catalog=catalog.Catalog.built_in())
    if loaded.policies is None:
        errors = (m.render(name) for m in loaded.mistakes if m.severity == "error")
        raise InvalidInput("; ".join(errors))
    for mistake in loaded.mistakes:
        log.say("WARNING", mistake.render(name))
    return policy.bound(
        loaded.policies,
        max_mode=found.max_mode,
        max_usd_per_day=found.max_usd_per_day,
        max_usd_per_job=found.max_usd_per_job,
        channel_hosts=found.channel_hosts or None,
    )
