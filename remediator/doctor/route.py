"""The way from a log entry to the functions, and who watches them: what stands in the project."""

from __future__ import annotations

from collections.abc import Iterator

from remediator import settings
from remediator.doctor.findings import Finding, Status, Ward
from remediator.domain import Gone, Json, RemediatorError
from remediator.intake import sink_filter

PUBLISHER = "roles/pubsub.publisher"
SUBSCRIBER = "roles/pubsub.subscriber"
INVOKER = "roles/run.invoker"
OLDEST_SECONDS = 1800  # the alert policy on the backlog has the same
_UNCALLED = {5: "not found", 7: "permission denied", 16: "unauthenticated"}
"""Codes of a call by Cloud Scheduler that do not pass by themselves."""


# --- from the log to the topic --------------------------------------------------------------------


def sink(ward: Ward) -> Iterator[Finding]:
    name = f"{ward.name}-failures"
    lost = "failures in the log would not be heard of; only the sweep would find them"
    try:
        found = ward.deployment.sink(name)
    except Gone:
        yield Finding("sink", Status.PROBLEM, f"there is no log sink {name}", lost, ward.apply)
        return
    topic = f"projects/{ward.project}/topics/{name}"
    wrong = []
    if _words(found.get("filter")) != _words(sink_filter(ward.account)):
        wrong.append("its filter is not the one that this version reads by")
    if str(found.get("destination") or "") != f"pubsub.googleapis.com/{topic}":
        wrong.append(f"it does not lead to {topic}")
    if found.get("disabled"):
        wrong.append("it is disabled")
    if found.get("exclusions"):
        wrong.append("it has exclusions")
    if wrong:
        yield Finding("sink", Status.PROBLEM, f"{name}: {'; '.join(wrong)}", lost, ward.apply)
    else:
        yield Finding("sink", Status.OK, f"{name} routes what this version reads to its topic")
    writer = str(found.get("writerIdentity") or "")
    if writer in ward.deployment.holders("topics", name, PUBLISHER):
        yield Finding("sink", Status.OK, "its writer may publish")
        return
    grant = f"--member={writer} --role={PUBLISHER} --project={ward.project}"
    yield Finding(
        "sink",
        Status.PROBLEM,
        f"its writer {writer or '(none)'} may not publish to {name}",
        "Cloud Logging drops what it cannot deliver",
        f"gcloud pubsub topics add-iam-policy-binding {name} {grant}",
    )


def _words(text: object) -> str:
    return " ".join(str(text or "").split())


# --- from the topic to the function ---------------------------------------------------------------


def delivery(ward: Ward) -> Iterator[Finding]:
    name = f"{ward.name}-remediate"
    try:
        found = ward.deployment.subscription(name)
    except Gone:
        said = f"there is no subscription {name} (one that expired is gone too)"
        yield Finding("delivery", Status.PROBLEM, said, "events reach no function", ward.apply)
        return
    wrong = [
        *_wrong_push(found, ward, _service(ward, name)),
        *_wrong_keeping(found, ward),
    ]
    if wrong:
        said = f"{name}: {'; '.join(wrong)}"
        yield Finding("delivery", Status.PROBLEM, said, "events are lost or late", ward.apply)
    else:
        tries = _tries(found)
        yield Finding("delivery", Status.OK, f"{name} pushes, and keeps what fails {tries} times")
    oldest = ward.deployment.newest("oldest_unacked_message_age", name, ward.now())
    if oldest is not None and oldest > OLDEST_SECONDS:
        yield Finding(
            "delivery",
            Status.PROBLEM,
            f"the oldest event has waited for {oldest // 60} min",
            "its failure is neither mended nor told",
            f"look at the log of the service {ward.name}-remediate: it refuses, or is too slow",
        )


def _service(ward: Ward, name: str) -> Json:
    """A function's own settings; none where it is not there, which another check tells."""
    try:
        return ward.deployment.function(ward.region, name).get("serviceConfig") or {}
    except RemediatorError:
        return {}


def _wrong_push(found: Json, ward: Ward, service: Json) -> Iterator[str]:
    push = found.get("pushConfig") or {}
    token = push.get("oidcToken") or {}
    endpoint, uri = str(push.get("pushEndpoint") or ""), str(service.get("uri") or "")
    if not str(found.get("topic") or "").endswith(f"/topics/{ward.name}-failures"):
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
    patience, busy = int(found.get("ackDeadlineSeconds") or 10), _seconds(service)
    if service and patience <= busy:
        yield (
            f"an event is pushed again after {patience} s, and the function may work on one for "
            f"{busy:.0f} s"
        )


def _wrong_keeping(found: Json, ward: Ward) -> Iterator[str]:
    pause = _duration((found.get("retryPolicy") or {}).get("minimumBackoff"))
    if not pause:
        yield "it retries without a pause, so a passing fault soon makes a dead letter"
    if not (found.get("deadLetterPolicy") or {}).get("deadLetterTopic"):
        yield "it has no dead-letter topic, so what cannot be handled is lost after a week"
    elif pause and pause * (_tries(found) - 1) <= ward.lease.total_seconds():
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


def dead_letters(ward: Ward) -> Iterator[Finding]:
    name = f"{ward.name}-dead-letters"
    try:
        ward.deployment.subscription(name)
    except Gone:
        yield Finding(
            "dead letters",
            Status.PROBLEM,
            f"there is no subscription {name}",
            "a dead letter that nobody subscribes to is dropped",
            ward.apply,
        )
    else:
        yield from _waiting(ward, name)
    agent = f"serviceAccount:service-{ward.number}@gcp-sa-pubsub.iam.gserviceaccount.com"
    needed = (
        ("topics", name, PUBLISHER, "publish to"),
        ("subscriptions", f"{ward.name}-remediate", SUBSCRIBER, "acknowledge on"),
    )
    allowed = 0
    for of, thing, role, deed in needed:
        try:
            held = ward.deployment.holders(of, thing, role)
        except Gone:  # another check tells that it is not there
            continue
        if agent in held:
            allowed += 1
            continue
        yield Finding(
            "dead letters",
            Status.PROBLEM,
            f"Pub/Sub's own agent may not {deed} {thing}",
            "what cannot be handled is never moved, and is delivered until it is lost",
            f"gcloud pubsub {of} add-iam-policy-binding {thing} --member={agent} --role={role} "
            f"--project={ward.project}",
        )
    if allowed == len(needed):
        yield Finding("dead letters", Status.OK, "Pub/Sub's own agent may move them there")


def _waiting(ward: Ward, name: str) -> Iterator[Finding]:
    count = ward.deployment.newest("num_undelivered_messages", name, ward.now())
    if not count:
        yield Finding("dead letters", Status.OK, f"{name} keeps them, and none waits")
        return
    yield Finding(
        "dead letters",
        Status.PROBLEM,
        f"{count} dead letters wait in {name}",
        "their failures were neither mended nor told",
        "python -m remediator dead-letters list, and when the cause is mended: dead-letters replay",
    )


# --- the functions and their callers --------------------------------------------------------------


def functions(ward: Ward) -> Iterator[Finding]:
    for door in ("remediate", "reconcile"):
        name = f"{ward.name}-{door}"
        try:
            found = ward.deployment.function(ward.region, name)
        except Gone:
            said = f"there is no function {name} in {ward.region}"
            yield Finding("function", Status.PROBLEM, said, "nothing is handled", ward.apply)
            continue
        wrong = tuple(_wrong_function(found, name, ward))
        for said, why in wrong:
            yield Finding("function", Status.PROBLEM, said, why, ward.apply)
        if not wrong:
            seconds = _seconds(found.get("serviceConfig") or {})
            yield Finding("function", Status.OK, f"{name} is active, {seconds:.0f} s at most")


def _wrong_function(found: Json, name: str, ward: Ward) -> Iterator[tuple[str, str]]:
    held = found.get("serviceConfig") or {}
    if found.get("state") != "ACTIVE":
        yield f"{name} is {found.get('state') or 'without a state'}", "nothing is handled"
        return
    seconds, lease = _seconds(held), ward.lease.total_seconds()
    if seconds >= lease:
        yield (
            f"{name} may run for {seconds:.0f} s, and a claim protects it for {lease:.0f} s",
            "two executions could create for one failure",
        )
    if seconds <= ward.works_seconds:
        yield (
            f"{name} is ended after {seconds:.0f} s, and works for up to {ward.works_seconds:.0f} s",
            "what it had begun is found out again, and again ended",
        )
    runs_as = str(held.get("serviceAccountEmail") or "the project's default account")
    if runs_as != ward.account:
        yield (
            f"{name} runs as {runs_as}, not as {ward.account}",
            "it has other rights than the ones that were given for it",
        )
    if held.get("ingressSettings") != "ALLOW_INTERNAL_ONLY":
        yield f"{name} is open to the internet", "whoever finds its address may try to call it"


def callers(ward: Ward) -> Iterator[Finding]:
    """Who may call each function: the account that does, and nobody else."""
    for door, account in (
        ("remediate", _pusher(ward)),
        ("reconcile", _clock(ward)),
    ):
        name = f"{ward.name}-{door}"
        if not account:  # no caller is there, which another check tells
            continue
        try:
            held = ward.deployment.holders("services", name, INVOKER, region=ward.region)
        except Gone:
            continue
        if f"serviceAccount:{account}" not in held:
            yield Finding(
                "callers",
                Status.PROBLEM,
                f"{account} may not call {name}",
                "every call is refused before our code runs",
                f"gcloud run services add-iam-policy-binding {name} --region={ward.region} "
                f"--member=serviceAccount:{account} --role={INVOKER} --project={ward.project}",
            )
        elif everybody := held & {"allUsers", "allAuthenticatedUsers"}:
            member = min(everybody)
            yield Finding(
                "callers",
                Status.PROBLEM,
                f"{member} may call {name}",
                "anybody may hand it events",
                f"gcloud run services remove-iam-policy-binding {name} --region={ward.region} "
                f"--member={member} --role={INVOKER} --project={ward.project}",
            )
        else:
            others = len(held) - 1
            seen = f"{account} may call {name}" + (f", and {others} more" if others else "")
            yield Finding("callers", Status.OK, seen)


def approvals(ward: Ward) -> Iterator[Finding]:
    """The door for Slack, where there is one; it is open on purpose, and verifies signatures."""
    name = f"{ward.name}-approve"
    try:
        found = ward.deployment.function(ward.region, name)
    except Gone:  # opt-in
        return
    unheard = "clicks in Slack are lost, and what waits for them is not done"
    if found.get("state") != "ACTIVE":
        said = f"{name} is {found.get('state') or 'without a state'}"
        yield Finding("approvals", Status.PROBLEM, said, unheard, ward.apply)
    elif (found.get("serviceConfig") or {}).get("ingressSettings") != "ALLOW_ALL":
        said = f"{name} is closed to the internet, where Slack is"
        yield Finding("approvals", Status.PROBLEM, said, unheard, ward.apply)
    elif "allUsers" not in ward.deployment.holders("services", name, INVOKER, region=ward.region):
        yield Finding(
            "approvals",
            Status.PROBLEM,
            f"Slack, which has no Google identity, may not call {name}",
            unheard,
            f"gcloud run services add-iam-policy-binding {name} --region={ward.region} "
            f"--member=allUsers --role={INVOKER} --project={ward.project}",
        )
    else:
        yield Finding("approvals", Status.OK, f"Slack may call {name}")


def _pusher(ward: Ward) -> str:
    try:
        push = ward.deployment.subscription(f"{ward.name}-remediate").get("pushConfig") or {}
    except Gone:
        return ""
    return str((push.get("oidcToken") or {}).get("serviceAccountEmail") or "")


def _clock(ward: Ward) -> str:
    try:
        target = ward.deployment.schedule(ward.region, f"{ward.name}-reconcile").get("httpTarget")
    except Gone:
        return ""
    return str(((target or {}).get("oidcToken") or {}).get("serviceAccountEmail") or "")


# --- the schedule, and who watches it -------------------------------------------------------------


def schedule(ward: Ward) -> Iterator[Finding]:
    name = f"{ward.name}-reconcile"
    why = "nobody calls reconcile"
    try:
        job = ward.deployment.schedule(ward.region, name)
    except Gone:
        yield Finding("schedule", Status.PROBLEM, f"there is no {name}", why, ward.apply)
        return
    if job.get("state") != "ENABLED":
        resume = f"gcloud scheduler jobs resume {name} --location={ward.region}"
        yield Finding(
            "schedule",
            Status.PROBLEM,
            f"{name} is {job.get('state') or 'without a state'}",
            why,
            f"{resume} --project={ward.project}",
        )
        return
    wrong = [*_wrong_target(job, _service(ward, name))]
    if wrong:
        yield Finding("schedule", Status.PROBLEM, f"{name}: {'; '.join(wrong)}", why, ward.apply)
        return
    yield Finding("schedule", Status.OK, f"{name} runs at {job.get('schedule')}")


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


def watch(ward: Ward) -> Iterator[Finding]:
    """The dead man's switch: Cloud Monitoring tells when reconcile is silent."""
    name = f"{ward.name}: reconcile is silent"
    blind = "when the remediator itself stops, nobody hears of it"
    try:
        policy = ward.deployment.alert_policy(name)
    except Gone:
        said = f'there is no alert policy "{name}"'
        yield Finding("watch", Status.PROBLEM, said, blind, ward.apply)
        return
    if policy.get("enabled") is False:
        said = f'the alert policy "{name}" is off'
        yield Finding("watch", Status.PROBLEM, said, blind, ward.apply)
    elif not policy.get("notificationChannels"):
        yield Finding(
            "watch",
            Status.PROBLEM,
            f'the alert policy "{name}" tells nobody',
            blind,
            f"{ward.apply} --var alert_email=YOU@EXAMPLE.COM",
        )
    else:
        yield Finding("watch", Status.OK, "Cloud Monitoring tells when reconcile is silent")
