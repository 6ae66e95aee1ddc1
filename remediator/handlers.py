"""HTTP and CloudEvent in, a status out: what is done for each call, and what its caller is answered.

Owns the promise at the door: no traceback leaves, and only what may help is asked for again. Knows no
service: `App` opens them. Imports late: an irrelevant event must not pay for Google's clients. Called
by `main`.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from msgspec import Struct
from msgspec.structs import asdict

from remediator import intake, log
from remediator.app import ROUND_SECONDS, App
from remediator.deadline import deadline
from remediator.domain import InvalidInput, PermanentError, PermissionDenied, TransientError
from remediator.log import LogEvent

if TYPE_CHECKING:
    from remediator.alerts.approval import Interaction

_CHECKS_A_MINUTE = 6  # chosen: each is a call outside, whoever sends events
_SIGNING_KEPT = timedelta(seconds=10)  # chosen: a changed secret is known that soon


class HttpAnswer(Struct, frozen=True):
    """What the caller is told: an HTTP status and a text."""

    status: int
    text: str


class Handlers:
    """The three entry points over one App."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._signing: tuple[str, str, datetime] | None = None  # reference, secret, when read

    def on_event(self, attributes: Mapping[str, Any], data: Any, *, trace: str = "") -> HttpAnswer:
        """One CloudEvent. 2xx: done, or never to be done; 5xx: deliver it again."""
        log.set_trace(trace, self._app.settings.project)
        message = intake.message_id(data)
        try:
            hint = intake.read(attributes, data)
        except InvalidInput as err:
            log.say(
                "ERROR", LogEvent.EVENT_MALFORMED, f"malformed event: {err}", message_id=message
            )
            return HttpAnswer(200, "malformed")
        if isinstance(hint, intake.Ignored):
            return self._note_check(hint.check) if hint.check else HttpAnswer(200, hint.why)

        def work() -> str:
            from remediator.workflow.incident import handle

            with self._app.event_in_progress():
                return handle(hint, self._app.services)

        return self._guarded(work, job=str(hint.job or hint.custom_job_id), message_id=message)

    def _note_check(self, token: str) -> HttpAnswer:
        """An event of `doctor`: one note says what is seen from here; a forged one changes no more.

        Channels are tried a few times a minute only, whoever sends events: each is a call outside.
        """

        def work() -> str:
            from remediator.doctor import NOTE, own_view

            calm = self._app.ledger.take_token(
                NOTE, most=_CHECKS_A_MINUTE, window_seconds=60.0, now=self._app.now()
            )
            view = own_view(
                token,
                self._app.now(),
                policies=self._app.policies,
                digest=self._app.policies_digest,
                check_channel=self._app.channels.check if calm else None,
            )
            self._app.ledger.write_note(NOTE, view)
            return "a check by doctor"

        return self._guarded(work)

    def on_schedule(self, *, trace: str = "") -> HttpAnswer:
        """One round of `reconcile`; the text is JSON."""
        log.set_trace(trace, self._app.settings.project)

        def work() -> str:
            from remediator.workflow import reconcile

            self._app.alert_policy_changes()
            done = reconcile.run(
                self._app.services, self._app.write_log, budget_seconds=ROUND_SECONDS
            )
            return json.dumps(asdict(done))

        return self._guarded(work)

    def on_click(self, body: bytes, headers: Mapping[str, str], *, trace: str = "") -> HttpAnswer:
        """A click in Slack: verified, recorded; 2xx also where it changes nothing."""
        log.set_trace(trace, self._app.settings.project)
        from remediator.alerts.approval import check_form
        from remediator.workflow.approval import answer_approval

        def work() -> str:
            check_form(body, headers, self._app.now())
            approvers = self._app.policies().approvers
            if approvers is None:
                msg = "the policy file names no approvers"
                raise PermissionDenied(msg)
            click = self._verified(body, headers, approvers.signing_secret)
            if click.user not in approvers.slack:
                msg = f"{click.user} is not among the approvers"
                raise PermissionDenied(msg)
            answered = answer_approval(
                self._app.services.records.ledger,
                self._app.services.clock,
                click.approval_id,
                approved=click.approved,
                by=f"Slack {click.user} {click.user_name}".strip(),
            )
            return json.dumps({"text": answered.text})

        return self._guarded(work, refused=403, forbidden=403)

    def _verified(self, body: bytes, headers: Mapping[str, str], reference: str) -> Interaction:
        """The click, if Slack signed it with the secret as it was read or, after a change, as it is.

        The secret is read once, and again for a signature that it does not fit at most every ten seconds:
        the door is open to all, and each reading costs a call.
        """
        from remediator.alerts.approval import parse_interaction

        now = self._app.now()
        known = self._signing
        if known is None or known[0] != reference:
            known = self._signing = (reference, self._app.secret(reference), now)
        try:
            return parse_interaction(body, headers, known[1], now)
        except PermissionDenied:
            if now - known[2] < _SIGNING_KEPT:
                raise
        self._signing = (reference, self._app.secret(reference), now)
        return parse_interaction(body, headers, self._signing[1], now)

    def _guarded(
        self, work: Callable[[], str], *, refused: int = 200, forbidden: int = 503, **fields: Any
    ) -> HttpAnswer:
        """Our promise at the door: no traceback leaves, and only what may help is tried again."""
        started = time.perf_counter()
        try:
            with deadline(self._app.event_seconds):
                text = work()
        except TransientError as err:
            log.say(
                "WARNING",
                LogEvent.EVENT_RETRIED,
                f"retryable error, message will be redelivered: {err}",
                **fields,
            )
            return HttpAnswer(503, "later")
        except PermissionDenied as err:
            # To our own account, by the ledger: no alert can be kept either.
            ours = forbidden == HTTPStatus.SERVICE_UNAVAILABLE  # else the caller may not do this
            what = "a permission is missing" if ours else "refused"
            log.say("ERROR", LogEvent.PERMISSION_MISSING, f"{what}: {err}", **fields)
            return HttpAnswer(forbidden, "refused")
        except (PermanentError, InvalidInput) as err:
            log.say("ERROR", LogEvent.EVENT_REFUSED, f"refused: {err}", **fields)
            return HttpAnswer(refused, "refused")
        except Exception as err:  # noqa: BLE001  # the door: a fault of ours is one line, and tried again
            log.fault("unhandled exception", err, **fields)
            return HttpAnswer(500, "fault")
        seconds = round(time.perf_counter() - started, 3)
        log.say("INFO", LogEvent.EVENT_HANDLED, text, seconds=seconds, **fields)
        return HttpAnswer(200, text)
