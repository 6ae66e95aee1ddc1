"""Events that could not be handled: what waits in the dead-letter subscription, and bringing it back.

Owns the wording and the order of a replay: published first, acknowledged after, so that a crash
between repeats an event and loses none (handling is safe to repeat). Called by `main`.
"""

from __future__ import annotations

import argparse
import base64
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from remediator.cli.input_output import DONE, open_app, print_json
from remediator.domain import InvalidInput, parse_time, rfc3339
from remediator.domain.late_pattern import late_pattern
from remediator.redaction import redact

if TYPE_CHECKING:
    from remediator.cloud.pubsub import Letter, PubSub

_COUNT = late_pattern(r"[0-9]{1,9}")
_AT_ONCE = 100
_MOST = 10_000

# What Pub/Sub writes on a message that it moves,
# https://cloud.google.com/pubsub/docs/handling-failures#dead_letter_topic
_SOURCE_TIME = "CloudPubSubDeadLetterSourceTopicPublishTime"
_SOURCE_COUNT = "CloudPubSubDeadLetterSourceDeliveryCount"
_SOURCE_PREFIX = "CloudPubSubDeadLetter"


def show(args: argparse.Namespace) -> int:
    """Every message that waits; looking changes nothing: each may come again at once."""
    project = open_app(args).project_id
    pubsub = _pubsub()
    subscription = _full(args.subscription, project, "subscriptions")
    seen: dict[str, Letter] = {}
    held: list[Letter] = []
    try:
        for letters in _rounds(pubsub, subscription):
            held.extend(letters)
            fresh = {one.message_id: one for one in letters if one.message_id not in seen}
            seen.update(fresh)
            if not fresh or len(seen) >= args.limit:
                break
    finally:
        pubsub.release(subscription, held)
        pubsub.close()
    found = [_letter_as_json(one) for one in list(seen.values())[: args.limit]]
    if args.json:
        print_json(list(found))
        return DONE
    for one in found:
        print(f"{one['published']}  {one['tries']:>3} tries  {one['message_id']}  {one['about']}")
    print(f"{len(found)} dead letter{'s' * (len(found) != 1)} in {subscription}")
    return DONE


def replay(args: argparse.Namespace) -> int:
    """Publish each again to the topic of failures, then take it out of the subscription."""
    project = open_app(args).project_id
    pubsub = _pubsub()
    subscription = _full(args.subscription, project, "subscriptions")
    topic = _full(args.topic, project, "topics")
    done: set[str] = set()
    try:
        for letters in _rounds(pubsub, subscription):
            if all(one.message_id in done for one in letters):
                break
            for one in letters:
                if one.message_id not in done:
                    pubsub.publish(topic, one.data, attributes=_attributes(one))
                    done.add(one.message_id)
                pubsub.acknowledge(subscription, [one])
    finally:
        pubsub.close()
    if args.json:
        print_json({"published": len(done), "topic": topic})
    else:
        print(f"{len(done)} event{'s' * (len(done) != 1)} published again to {topic}")
    return DONE


def _pubsub() -> PubSub:
    from remediator.cloud.pubsub import PubSub

    return PubSub(timeout_seconds=5.0)


def _rounds(pubsub: PubSub, subscription: str) -> Iterator[tuple[Letter, ...]]:
    """Pulls until nothing more comes; what is pulled stays hidden until it is let go."""
    for _ in range(_MOST // _AT_ONCE):
        letters = pubsub.pull(subscription, _AT_ONCE)
        if not letters:
            return
        yield letters


def _attributes(letter: Letter) -> dict[str, str]:
    """The message's own attributes, and when it was first published: a replay does not age."""
    from remediator.intake import FIRST_PUBLISHED

    kept = {k: v for k, v in letter.attributes.items() if not k.startswith(_SOURCE_PREFIX)}
    first = _first_published(letter)
    return {**kept, **({FIRST_PUBLISHED: first} if first else {})}


def _first_published(letter: Letter) -> str:
    from remediator.intake import FIRST_PUBLISHED

    for name in (FIRST_PUBLISHED, _SOURCE_TIME):
        moment = parse_time(letter.attributes.get(name))
        if moment is not None:
            return rfc3339(moment)
    return rfc3339(letter.published) if letter.published else ""


def _letter_as_json(letter: Letter) -> dict[str, Any]:
    from remediator import intake

    data = {"message": {"data": base64.b64encode(letter.data).decode()}}
    try:
        hint = intake.read({}, data)
    except InvalidInput as err:
        about = f"malformed: {err}"
    else:
        if isinstance(hint, intake.Ignored):
            about = f"irrelevant: {hint.why}"
        elif hint.refusal is not None:
            about = f"{hint.refusal.method} that Vertex refused"
        else:
            about = str(hint.job or f"custom job {hint.custom_job_id}")
    counted = letter.attributes.get(_SOURCE_COUNT, "")
    return {
        "message_id": letter.message_id,
        "published": _first_published(letter),
        "tries": int(counted) if _COUNT.fullmatch(counted) else letter.attempts,
        "about": " ".join(redact(about, 300).split()),
    }


def _full(name: str, project: str, collection: str) -> str:
    return name if "/" in name else f"projects/{project}/{collection}/{name}"
