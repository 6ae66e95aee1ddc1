"""The way from a log entry to the functions, and who watches them: what stands in the project."""

from __future__ import annotations

from collections.abc import Iterator

from remediator import settings
from remediator.doctor.findings import CheckStatus, DoctorContext, Finding
from remediator.domain import Json, NotFound, RemediatorError
from remediator.intake import sink_filter

PUBLISHER = "roles/pubsub.publisher"
SUBSCRIBER = "roles/pubsub.subscriber"
INVOKER = "roles/run.invoker"
OLDEST_SECONDS = 1800  # the alert policy on the backlog has the same
_UNCALLED = {5: "not found", 7: "permission denied", 16: "unauthenticated"}
"""Codes of a call by Cloud Scheduler that do not pass by themselves."""


# --- from the log to the topic --------------------------------------------------------------------


def sink(context: DoctorContext) -> Iterator[Finding]:
    name = f"{context.name}-failures"
    lost = "failures in the log would not be heard of; only the sweep would find them"
    try:
        found = context.deployment.sink(name)
    except NotFound:
        yield Finding(
            "sink", CheckStatus.PROBLEM, f"there is no log sink {name}", lost, context.apply
        )
        return
    topic = f"projects/{context.project}/topics/{name}"
    wrong = []
    if _one_line(found.get("filter")) != _one_line(sink_filter(context.account)):
        wrong.append("its filter is not the one that this version reads by")
    if str(found.get("destination") or "") != f"pubsub.googleapis.com/{topic}":
        wrong.append(f"it does not lead to {topic}")
    if found.get("disabled"):
        wrong.append("it is disabled")
    if found.get("exclusions"):
        wrong.append("it has exclusions")
    if wrong:
        yield Finding(
            "sink", CheckStatus.PROBLEM, f"{name}: {'; '.join(wrong)}", lost, context.apply
        )
    else:
        yield Finding("sink", CheckStatus.OK, f"{name} routes what this version reads to its topic")
    writer = str(found.get("writerIdentity") or "")
    if writer in context.deployment.holders("topics", name, PUBLISHER):
        yield Finding("sink", CheckStatus.OK, "its writer may publish")
        return
    grant = f"--member={writer} --role={PUBLISHER} --project={context.project}"
    yield Finding(
        "sink",
        CheckStatus.PROBLEM,
        f"its writer {writer or '(none)'} may not publish to {name}",
        "Cloud Logging drops what it cannot deliver",
        f"gcloud pubsub topics add-iam-policy-binding {name} {grant}",
    )


def _one_line(text: object) -> str:
    return " ".join(str(text or "").split())


# --- from the topic to the function ---------------------------------------------------------------


def delivery(context: DoctorContext) -> Iterator[Finding]:
    name = f"{context.name}-remediate"
    try:
        found = context.deployment.subscription(name)
    except NotFound:
        said = f"there is no subscription {name} (one that expired is gone too)"
        yield Finding(
            "delivery", CheckStatus.PROBLEM, said, "events reach no function", context.apply
        )
        return
    wrong = [
        *_wrong_push(found, context, _service(context, name)),
        *_wrong_keeping(found, context),
    ]
    if wrong:
        said = f"{name}: {'; '.join(wrong)}"
        yield Finding(
            "delivery", CheckStatus.PROBLEM, said, "events are lost or late", context.apply
        )
    else:
        tries = _tries(found)
        yield Finding(
            "delivery", CheckStatus.OK, f"{name} pushes, and keeps what fails {tries} times"
        )
    oldest = context.deployment.newest("oldest_unacked_message_age", name, context.now())
    if oldest is not None and oldest > OLDEST_SECONDS:
        yield Finding(
            "delivery",
            CheckStatus.PROBLEM,
            f"the oldest event has waited for {oldest // 60} min",
            "its failure is neither fixed nor told",
            f"look at the log of the service {context.name}-remediate: it refuses, or is too slow",
        )


def _service(context: DoctorContext, name: str) -> Json:
    """A function's own settings; none where it is not there, which another check tells."""
    try:
        return context.deployment.function(context.region, name).get("serviceConfig") or {}
    except RemediatorError:
        return {}


def _wrong_push(found: Json, context: DoctorContext, service: Json) -> Iterator[str]:
    push = found.get("pushConfig") or {}
    token = push.get("oidcToken") or {}
    endpoint, uri = str(push.get("pushEndpoint") or ""), str(service.get("uri") or "")
    if not str(found.get("topic") or "").endswith(f"/topics/{context.name}-failures"):
        yield "it is not one of the topic of failures"
    if found.get("filter"):
        yield "it has a filter of its own"
    if found.get("detached") or found.get("state") == "RESOURCE_ERROR":
        yield "Pub/Sub says that it is detached or in error"
    if not endpoint:
        yield "it pushes nowhere"
        return
    if uri and endpoint.rstrip("/") != uri.rstrip("/"):
        yield f"it pushes to {endpoint}, and the function is {uri}"
    if not token.get("serviceAccountEmail"):
        yield "it pushes without a token, which the function refuses"
    elif token.get("audience") and str(token["audience"]).rstrip("/") != endpoint.rstrip("/"):
        yield f"its token is made out to {token['audience']}, which the function refuses"
    longest_wait, busy = int(found.get("ackDeadlineSeconds") or 10), _seconds(service)
    if service and longest_wait <= busy:
        yield (
            f"an event is pushed again after {longest_wait} s, and the function may work on one for "
            f"{busy:.0f} s"
        )


def _wrong_keeping(found: Json, context: DoctorContext) -> Iterator[str]:
    pause = _duration((found.get("retryPolicy") or {}).get("minimumBackoff"))
    if not pause:
        yield "it retries without a pause, so a passing fault soon makes a dead letter"
    if not (found.get("deadLetterPolicy") or {}).get("deadLetterTopic"):
        yield "it has no dead-letter topic, so what cannot be handled is lost after a week"
    elif pause and pause * (_tries(found) - 1) <= context.lease.total_seconds():
        yield "it gives an event up before the lease of a killed holder has ended"
    expires = (found.get("expirationPolicy") or {}).get("ttl")
    if expires:
        yield f"it expires when nothing fails for {expires}"


def _tries(subscription: Json) -> int:
    return int((subscription.get("deadLetterPolicy") or {}).get("maxDeliveryAttempts") or 5)


def _duration(text: object) -> float:
    try:
        return settings.duration(str(text or "0s")).total_seconds()
    except ValueError:
        return 0.0


def _seconds(service: Json) -> float:
    return float(service.get("timeoutSeconds") or 60)


# --- dead letters ---------------------------------------------------------------------------------


def dead_letters(context: DoctorContext) -> Iterator[Finding]:
    name = f"{context.name}-dead-letters"
    try:
        context.deployment.subscription(name)
    except NotFound:
        yield Finding(
            "dead letters",
            CheckStatus.PROBLEM,
            f"there is no subscription {name}",
            "a dead letter that nobody subscribes to is dropped",
            context.apply,
        )
    else:
        yield from _waiting(context, name)
    agent = f"serviceAccount:service-{context.number}@gcp-sa-pubsub.iam.gserviceaccount.com"
    needed = (
        ("topics", name, PUBLISHER, "publish to"),
        ("subscriptions", f"{context.name}-remediate", SUBSCRIBER, "acknowledge on"),
    )
    allowed = 0
    for of, thing, role, deed in needed:
        try:
            held = context.deployment.holders(of, thing, role)
        except NotFound:  # another check tells that it is not there
            continue
        if agent in held:
            allowed += 1
            continue
        yield Finding(
            "dead letters",
            CheckStatus.PROBLEM,
            f"Pub/Sub's own agent may not {deed} {thing}",
            "what cannot be handled is never moved, and is delivered until it is lost",
            f"gcloud pubsub {of} add-iam-policy-binding {thing} --member={agent} --role={role} "
            f"--project={context.project}",
        )
    if allowed == len(needed):
        yield Finding("dead letters", CheckStatus.OK, "Pub/Sub's own agent may move them there")


def _waiting(context: DoctorContext, name: str) -> Iterator[Finding]:
    count = context.deployment.newest("num_undelivered_messages", name, context.now())
    if not count:
        yield Finding("dead letters", CheckStatus.OK, f"{name} keeps them, and none waits")
        return
    yield Finding(
        "dead letters",
        CheckStatus.PROBLEM,
        f"{count} dead letters wait in {name}",
        "their failures were neither fixed nor told",
        "python -m remediator dead-letters list, and when the cause is fixed: dead-letters replay",
    )


# --- the functions and their callers --------------------------------------------------------------


def functions(context: DoctorContext) -> Iterator[Finding]:
    for door in ("remediate", "reconcile"):
        name = f"{context.name}-{door}"
        try:
            found = context.deployment.function(context.region, name)
        except NotFound:
            said = f"there is no function {name} in {context.region}"
            yield Finding(
                "function", CheckStatus.PROBLEM, said, "nothing is handled", context.apply
            )
            continue
        wrong = tuple(_wrong_function(found, name, context))
        for said, why in wrong:
            yield Finding("function", CheckStatus.PROBLEM, said, why, context.apply)
        if not wrong:
            seconds = _seconds(found.get("serviceConfig") or {})
            yield Finding("function", CheckStatus.OK, f"{name} is active, {seconds:.0f} s at most")


def _wrong_function(found: Json, name: str, context: DoctorContext) -> Iterator[tuple[str, str]]:
    held = found.get("serviceConfig") or {}
    if found.get("state") != "ACTIVE":
        yield f"{name} is {found.get('state') or 'without a state'}", "nothing is handled"
        return
    seconds, lease = _seconds(held), context.lease.total_seconds()
    if seconds >= lease:
        yield (
            f"{name} may run for {seconds:.0f} s, and a claim protects it for {lease:.0f} s",
            "two executions could create for one failure",
        )
    if seconds <= context.works_seconds:
        yield (
            f"{name} is ended after {seconds:.0f} s, and works for up to {context.works_seconds:.0f} s",
            "what it had begun is found out again, and again ended",
        )
    runs_as = str(held.get("serviceAccountEmail") or "the project's default account")
    if runs_as != context.account:
        yield (
            f"{name} runs as {runs_as}, not as {context.account}",
            "it has other rights than the ones that were given for it",
        )
    if held.get("ingressSettings") != "ALLOW_INTERNAL_ONLY":
        yield f"{name} is open to the internet", "whoever finds its address may try to call it"


def callers(context: DoctorContext) -> Iterator[Finding]:
    """Who may call each function: the account that does, and nobody else."""
    for door, account in (
        ("remediate", _pusher(context)),
        ("reconcile", _clock(context)),
    ):
        name = f"{context.name}-{door}"
        if not account:  # no caller is there, which another check tells
            continue
        try:
            held = context.deployment.holders("services", name, INVOKER, region=context.region)
        except NotFound:
            continue
        if f"serviceAccount:{account}" not in held:
            yield Finding(
                "callers",
                CheckStatus.PROBLEM,
                f"{account} may not call {name}",
                "every call is refused before our code runs",
                f"gcloud run services add-iam-policy-binding {name} --region={context.region} "
                f"--member=serviceAccount:{account} --role={INVOKER} --project={context.project}",
            )
        elif everybody := held & {"allUsers", "allAuthenticatedUsers"}:
            member = min(everybody)
            yield Finding(
                "callers",
                CheckStatus.PROBLEM,
                f"{member} may call {name}",
                "anybody may hand it events",
                f"gcloud run services remove-iam-policy-binding {name} --region={context.region} "
                f"--member={member} --role={INVOKER} --project={context.project}",
            )
        else:
            others = len(held) - 1
            seen = f"{account} may call {name}" + (f", and {others} more" if others else "")
            yield Finding("callers", CheckStatus.OK, seen)


def approvals(context: DoctorContext) -> Iterator[Finding]:
    """The door for Slack, where there is one; it is open on purpose, and verifies signatures."""
    name = f"{context.name}-approve"
    try:
        found = context.deployment.function(context.region, name)
    except NotFound:  # opt-in
        return
    unheard = "clicks in Slack are lost, and what waits for them is not done"
    if found.get("state") != "ACTIVE":
        said = f"{name} is {found.get('state') or 'without a state'}"
        yield Finding("approvals", CheckStatus.PROBLEM, said, unheard, context.apply)
    elif (found.get("serviceConfig") or {}).get("ingressSettings") != "ALLOW_ALL":
        said = f"{name} is closed to the internet, where Slack is"
        yield Finding("approvals", CheckStatus.PROBLEM, said, unheard, context.apply)
    elif "allUsers" not in context.deployment.holders(
        "services", name, INVOKER, region=context.region
    ):
        yield Finding(
            "approvals",
            CheckStatus.PROBLEM,
            f"Slack, which has no Google identity, may not call {name}",
            unheard,
            f"gcloud run services add-iam-policy-binding {name} --region={context.region} "
            f"--member=allUsers --role={INVOKER} --project={context.project}",
        )
    else:
        yield Finding("approvals", CheckStatus.OK, f"Slack may call {name}")


def _pusher(context: DoctorContext) -> str:
    try:
        push = context.deployment.subscription(f"{context.name}-remediate").get("pushConfig") or {}
    except NotFound:
        return ""
    return str((push.get("oidcToken") or {}).get("serviceAccountEmail") or "")


def _clock(context: DoctorContext) -> str:
    try:
        target = context.deployment.schedule(context.region, f"{context.name}-reconcile").get(
            "httpTarget"
        )
    except NotFound:
        return ""
    return str(((target or {}).get("oidcToken") or {}).get("serviceAccountEmail") or "")


# --- the schedule, and who watches it -------------------------------------------------------------


def schedule(context: DoctorContext) -> Iterator[Finding]:
    name = f"{context.name}-reconcile"
    why = "nobody calls reconcile"
    try:
        job = context.deployment.schedule(context.region, name)
    except NotFound:
        yield Finding("schedule", CheckStatus.PROBLEM, f"there is no {name}", why, context.apply)
        return
    if job.get("state") != "ENABLED":
        resume = f"gcloud scheduler jobs resume {name} --location={context.region}"
        yield Finding(
            "schedule",
            CheckStatus.PROBLEM,
            f"{name} is {job.get('state') or 'without a state'}",
            why,
            f"{resume} --project={context.project}",
        )
        return
    wrong = [*_wrong_target(job, _service(context, name))]
    if wrong:
        yield Finding(
            "schedule", CheckStatus.PROBLEM, f"{name}: {'; '.join(wrong)}", why, context.apply
        )
        return
    yield Finding("schedule", CheckStatus.OK, f"{name} runs at {job.get('schedule')}")


def _wrong_target(job: Json, service: Json) -> Iterator[str]:
    target = job.get("httpTarget") or {}
    token = target.get("oidcToken") or {}
    called, uri = str(target.get("uri") or ""), str(service.get("uri") or "")
    if uri and called.rstrip("/") != uri.rstrip("/"):
        yield f"it calls {called or 'nothing'}, and the function is {uri}"
    if not token.get("serviceAccountEmail"):
        yield "it calls without a token, which the function refuses"
    elif token.get("audience") and str(token["audience"]).rstrip("/") != called.rstrip("/"):
        yield f"its token is made out to {token['audience']}, which the function refuses"
    code = int((job.get("status") or {}).get("code") or 0)
    if code in _UNCALLED:
        yield f"its last call was refused: {_UNCALLED[code]}"


def watch(context: DoctorContext) -> Iterator[Finding]:
    """The dead man's switch: Cloud Monitoring tells when reconcile is silent."""
    name = f"{context.name}: reconcile is silent"
    blind = "when the remediator itself stops, nobody hears of it"
    try:
        policy = context.deployment.alert_policy(name)
    except NotFound:
        said = f'there is no alert policy "{name}"'
        yield Finding("watch", CheckStatus.PROBLEM, said, blind, context.apply)
        return
    if policy.get("enabled") is False:
        said = f'the alert policy "{name}" is off'
        yield Finding("watch", CheckStatus.PROBLEM, said, blind, context.apply)
    elif not policy.get("notificationChannels"):
        yield Finding(
            "watch",
            CheckStatus.PROBLEM,
            f'the alert policy "{name}" tells nobody',
            blind,
            f"{context.apply} --var alert_email=YOU@EXAMPLE.COM",
        )
    else:
        yield Finding("watch", CheckStatus.OK, "Cloud Monitoring tells when reconcile is silent")
