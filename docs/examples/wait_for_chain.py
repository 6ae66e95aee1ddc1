"""Wait for what becomes of a failed job: its chain of resubmissions, instead of the job itself.

    python submit_and_wait.py || python wait_for_chain.py JOB --subscription projects/P/subscriptions/S

JOB is the first job's name, `projects/…/customJobs/…`. S is a subscription of your own to the topic
that REMEDIATOR_OUTCOMES_TOPIC names, made before the job starts, with message ordering. Prints where
the results are. Exit 0: an attempt succeeded; 1: given up; 2: nothing final within the hours given.

Needs google-cloud-pubsub and nothing of the remediator. Until an outcome says `"final": true`,
nobody may take the chain for given up. A message may come twice.
"""

# ruff: noqa: INP001, T201  # a script by itself, which prints

import argparse
import json
import sys
import time

from google.api_core.exceptions import DeadlineExceeded
from google.cloud import pubsub_v1


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("job")
    parser.add_argument("--subscription", required=True)
    parser.add_argument("--hours", type=float, default=24.0)
    asked = parser.parse_args()
    ends = time.monotonic() + asked.hours * 3600
    others = {}  # about other jobs: given back at the end, for whoever waits for those
    with pubsub_v1.SubscriberClient() as subscriber:
        try:
            while time.monotonic() < ends:
                for letter in pulled(subscriber, asked.subscription):
                    outcome = json.loads(letter.message.data)
                    if not same_job(outcome["root"], asked.job):
                        others[letter.message.message_id] = letter.ack_id
                        continue
                    subscriber.acknowledge(subscription=asked.subscription, ack_ids=[letter.ack_id])
                    told = outcome.get("reason") or outcome["state"]
                    print(f"attempt {outcome['attempt']}: {told}", file=sys.stderr)
                    if outcome["final"]:
                        print(outcome["output"] or "")
                        return 0 if outcome["state"] in SUCCEEDED else 1
            return 2
        finally:
            ids = list(others.values())
            for start in range(0, len(ids), 500):  # one request takes half a megabyte of them
                subscriber.modify_ack_deadline(
                    subscription=asked.subscription,
                    ack_ids=ids[start : start + 500],
                    ack_deadline_seconds=0,
                )


# Results in part (JOB_STATE_PARTIALLY_SUCCEEDED) are for a person to look at.
SUCCEEDED = ("JOB_STATE_SUCCEEDED", "PIPELINE_STATE_SUCCEEDED")


def pulled(subscriber: pubsub_v1.SubscriberClient, subscription: str) -> list:
    try:
        answer = subscriber.pull(subscription=subscription, max_messages=10, timeout=10)
    except DeadlineExceeded:  # nothing yet
        return []
    return list(answer.received_messages)


def same_job(one: str, other: str) -> bool:
    """A name may carry the project's id or its number; what follows is the same."""
    return one.partition("/locations/")[2] == other.partition("/locations/")[2]


if __name__ == "__main__":
    sys.exit(main())
