"""Slack, the mail server and the slow host, by the clients that the product uses."""

from __future__ import annotations

import smtplib
import urllib.request
from email.message import EmailMessage

import grpc
import pytest
from google.pubsub_v1 import PublisherClient
from google.pubsub_v1.services.publisher.transports import PublisherGrpcTransport
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError
from slack_sdk.webhook import WebhookClient

from twin import faults
from twin.cloud import Cloud

BLOCKS = [{"type": "section", "text": {"type": "mrkdwn", "text": "*failed*: why"}}]


def test_a_webhook_message_is_kept_as_a_person_reads_it(cloud: Cloud) -> None:
    answer = WebhookClient(cloud.slack.webhook).send(text="hello", blocks=BLOCKS)
    assert (answer.status_code, answer.body) == (200, "ok")
    (message,) = cloud.slack.messages
    assert message.text == "hello\n*failed*: why"


def test_a_webhook_can_refuse_and_say_when_to_come_back(cloud: Cloud) -> None:
    cloud.fail("slack.webhook", faults.status("429", retry_after=30))
    answer = WebhookClient(cloud.slack.webhook).send(text="hello")
    assert answer.status_code == 429
    assert answer.headers["Retry-After"] == "30"
    assert cloud.slack.messages == []
    assert WebhookClient(cloud.slack.webhook).send(blocks=[]).status_code == 400


def test_a_posted_message_can_be_updated(cloud: Cloud) -> None:
    client = WebClient(token="xoxb-twin", base_url=cloud.slack.api)
    posted = client.chat_postMessage(channel="C1", text="failed", blocks=BLOCKS)
    client.chat_update(channel="C1", ts=posted["ts"], text="recovered")
    (message,) = cloud.slack.messages
    assert message.text == "recovered"
    assert [version["text"] for version in message.versions] == ["failed", "recovered"]
    with pytest.raises(SlackApiError, match="message_not_found"):
        client.chat_update(channel="C1", ts="1.1", text="x")


def test_a_connection_can_break_without_an_answer(cloud: Cloud) -> None:
    cloud.fail("slack.webhook", faults.Fault(drop=True))
    with pytest.raises(OSError, match="closed connection"):
        WebhookClient(cloud.slack.webhook, retry_handlers=[]).send(text="x")
    assert [call.outcome for call in cloud.calls("slack.webhook")] == ["DROPPED"]


def mail() -> EmailMessage:
    message = EmailMessage()
    message["Subject"] = "Gelöst"
    message["From"], message["To"] = "vertex@example.com", "ml@example.com"
    message.set_content("text")
    message.add_alternative("<b>text</b>", subtype="html")
    return message


def test_a_mail_is_kept_with_its_parts(cloud: Cloud) -> None:
    with smtplib.SMTP("127.0.0.1", cloud.mail.port) as client:
        client.login("user", "secret")
        client.send_message(mail())
    (kept,) = cloud.mail.messages
    assert kept["Subject"] == "Gelöst"
    body = kept.get_body(preferencelist=("plain",))
    assert body is not None
    assert body.get_content() == "text\n"
    assert cloud.mail.logins == [("user", "secret")]


def test_a_mail_can_be_refused(cloud: Cloud) -> None:
    cloud.fail("smtp", faults.status("452", "4.3.1 Insufficient system storage"))
    with (
        smtplib.SMTP("127.0.0.1", cloud.mail.port) as client,
        pytest.raises(smtplib.SMTPDataError, match="Insufficient"),
    ):
        client.send_message(mail())
    assert cloud.mail.messages == []


def test_a_mail_connection_can_break(cloud: Cloud) -> None:
    cloud.fail("smtp", faults.Fault(drop=True))
    client = smtplib.SMTP("127.0.0.1", cloud.mail.port)
    with pytest.raises(smtplib.SMTPServerDisconnected):
        client.send_message(mail())
    client.close()
    assert cloud.mail.messages == []


def test_the_external_host_takes_its_time(cloud: Cloud) -> None:
    cloud.host.seconds = 0.09
    with urllib.request.urlopen(f"{cloud.host.url}/reference/part-1") as answer:
        assert answer.read() == b"late but here\n"
    (call,) = cloud.calls("host")
    assert call.seconds >= 0.09


def test_a_topic_keeps_what_is_published(cloud: Cloud) -> None:
    topic = f"projects/{cloud.project}/topics/outcomes"
    with grpc.insecure_channel(cloud.others.endpoint) as channel:
        client = PublisherClient(transport=PublisherGrpcTransport(channel=channel))
        client.publish(topic=topic, messages=[{"data": b"{}", "ordering_key": "root"}])
    ((kept, message),) = cloud.topics.messages
    assert (kept, message["data"], message["orderingKey"]) == (topic, "{}", "root")
