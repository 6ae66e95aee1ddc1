"""Sending over real sockets: an HTTP server that answers like Slack, and a real SMTP server."""

from __future__ import annotations

import asyncio
import json
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from remediator.alerts.channels import open_channel
from remediator.alerts.http_post import BodyRefused
from remediator.alerts.message import AlertKind, Fact, Message, Severity
from remediator.alerts.render import render_slack
from remediator.alerts.slack import SlackBot, SlackWebhook
from remediator.alerts.smtp import Smtp
from remediator.domain import PermanentError, TransientError

DUE = datetime(2026, 11, 23, 20, 2, tzinfo=UTC)
ACTED = Message(
    AlertKind.ACTED,
    "Resubmitted: genomic-prep failed (CPUs full), now on n1-standard-16",
    Severity.QUIET,
    "us-central1/customJobs/1",
    facts=(Fact("Why", "the CPUs were full"),),
)
GIVEN_UP = Message(
    AlertKind.GIVEN_UP,
    "Given up: genomic-prep failed (CPUs full) after 2 resubmissions",
    Severity.LOUD,
    "us-central1/customJobs/1",
)
SUMMARY = Message(AlertKind.GROUPED, "3 alerts grouped into one", Severity.QUIET, "grouped")


# --- a server that answers like Slack ----------------------------------------------------------

Answer = tuple[int, dict[str, str], str]


@dataclass
class FakeSlack:
    """Answers each path by `answers`, in order, then by `usual`; remembers what was posted."""

    answers: list[Answer] = field(default_factory=list)
    usual: Callable[[str], Answer] = lambda _: (200, {}, "ok")
    posts: list[tuple[str, dict[str, str], dict[str, Any]]] = field(default_factory=list)
    url: str = ""


@contextmanager
def serving(slack: FakeSlack) -> Iterator[FakeSlack]:
    class Door(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            slack.posts.append((self.path, dict(self.headers.items()), body))
            status, headers, text = (
                slack.answers.pop(0) if slack.answers else slack.usual(self.path)
            )
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(text.encode())))
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Door)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    slack.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield slack
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def slack() -> Iterator[FakeSlack]:
    with serving(FakeSlack()) as server:
        yield server


def test_a_webhook_gets_the_rendered_message(slack: FakeSlack) -> None:
    sent = SlackWebhook(f"{slack.url}/services/T0/B0/key").send(ACTED, due=DUE)
    [(path, headers, body)] = slack.posts
    assert path == "/services/T0/B0/key"
    assert headers["Content-Type"].startswith("application/json")
    assert body == render_slack(ACTED)
    assert sent.thread == ""


def in_a_minute() -> str:
    return format_datetime(datetime.now(UTC) + timedelta(seconds=60))


@pytest.mark.parametrize(
    ("status", "headers", "body", "error", "wish"),
    [
        (429, {"Retry-After": "30"}, "", TransientError, (30, 30)),
        (429, {"Retry-After": "soon"}, "", TransientError, None),
        (429, {"Retry-After": "9999999"}, "", TransientError, (86400, 86400)),
        (503, {"Retry-After": "<in a minute>"}, "", TransientError, (50, 61)),
        (500, {}, "<html>oops</html>", TransientError, None),
        (502, {}, "", TransientError, None),
        (400, {}, "invalid_blocks", BodyRefused, None),
        (404, {}, "no_service", PermanentError, None),
        (403, {}, "action_prohibited", PermanentError, None),
        (200, {}, "<html>Please log in to the network</html>", TransientError, None),
    ],
)
def test_what_a_webhooks_answer_means(
    slack: FakeSlack,
    status: int,
    headers: dict[str, str],
    body: str,
    error: type[Exception],
    wish: tuple[float, float] | None,
) -> None:
    said = {k: v.replace("<in a minute>", in_a_minute()) for k, v in headers.items()}
    slack.answers = [(status, said, body)]
    with pytest.raises(error) as caught:
        SlackWebhook(f"{slack.url}/services/T0/B0/key").send(ACTED, due=DUE)
    assert type(caught.value) is error
    assert len(slack.posts) == 1
    assert "B0/key" not in str(caught.value)
    if isinstance(caught.value, TransientError):
        seconds = caught.value.retry_after_seconds
        assert (seconds is None) if wish is None else wish[0] <= (seconds or 0) <= wish[1]


def test_a_webhook_that_nobody_serves_is_transient_and_its_url_stays_secret(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    with serving(FakeSlack()) as gone:
        url = gone.url
    with pytest.raises(TransientError) as caught:
        SlackWebhook(f"{url}/services/T0/B0/key").send(ACTED, due=DUE)
    assert "B0/key" not in str(caught.value) + caplog.text + capfd.readouterr().err


def test_a_webhook_follows_no_redirect_elsewhere() -> None:
    with serving(FakeSlack()) as elsewhere:
        moved: Answer = (302, {"Location": f"{elsewhere.url}/services/T0/B0/key"}, "")
        with (
            serving(FakeSlack(usual=lambda _path: moved)) as slack,
            pytest.raises(PermanentError, match="302"),
        ):
            SlackWebhook(f"{slack.url}/services/T0/B0/key").send(ACTED, due=DUE)
    assert len(slack.posts) == 1
    assert elsewhere.posts == []


def test_a_webhook_loads_no_library_of_its_own() -> None:
    """A cold start's first alert: the SDK and `requests` are a tenth of what ours loads."""
    program = (
        "import sys; from remediator.alerts.slack import SlackWebhook; "
        "from remediator.domain import TransientError\n"
        "try: SlackWebhook('http://127.0.0.1:9/services/T0/B0/key').check()\n"
        "except TransientError: print([n for n in ('slack_sdk', 'requests') if n in sys.modules])"
    )
    told = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    assert told.stdout.strip() == "[]"


def bot_answer(_path: str) -> Answer:
    return (200, {}, json.dumps({"ok": True, "channel": "C42", "ts": "1700000000.000100"}))


def test_a_bot_posts_the_first_message_and_says_where_it_stands() -> None:
    with serving(FakeSlack(usual=bot_answer)) as slack:
        sent = SlackBot("xoxb-1", "#ml-oncall", api=f"{slack.url}/api").send(ACTED, due=DUE)
    [(path, headers, body)] = slack.posts
    assert path == "/api/chat.postMessage"
    assert headers["Authorization"] == "Bearer xoxb-1"
    assert body == {**render_slack(ACTED), "channel": "#ml-oncall"}
    assert sent.thread == "C42:1700000000.000100"


@pytest.mark.parametrize("message", [ACTED, GIVEN_UP], ids=["quiet", "loud"])
def test_a_bot_keeps_the_first_message_current_and_tells_in_its_thread(message: Message) -> None:
    with serving(FakeSlack(usual=bot_answer)) as slack:
        bot = SlackBot("xoxb-1", "#ml", api=f"{slack.url}/api/")
        sent = bot.send(message, thread="C42:17.5", due=DUE)
    assert [(path, body) for path, _, body in slack.posts] == [
        ("/api/chat.update", {**render_slack(message), "channel": "C42", "ts": "17.5"}),
        (
            "/api/chat.postMessage",
            {
                **render_slack(message),
                "channel": "C42",
                "thread_ts": "17.5",
                "reply_broadcast": message.severity is Severity.LOUD,
            },
        ),
    ]
    assert sent.thread == "C42:17.5"


def test_a_bot_starts_anew_where_the_first_message_is_gone() -> None:
    gone = (200, {}, json.dumps({"ok": False, "error": "message_not_found"}))
    with serving(FakeSlack(answers=[gone], usual=bot_answer)) as slack:
        sent = SlackBot("x", "#ml", api=slack.url).send(GIVEN_UP, thread="C42:1.1", due=DUE)
    assert [path for path, _, _ in slack.posts] == ["/chat.update", "/chat.postMessage"]
    assert "thread_ts" not in slack.posts[-1][2]
    assert sent.thread == "C42:1700000000.000100"


def test_a_summary_joins_no_thread() -> None:
    with serving(FakeSlack(usual=bot_answer)) as slack:
        sent = SlackBot("x", "#ml", api=slack.url).send(SUMMARY, thread="C42:1.1", due=DUE)
    assert [path for path, _, _ in slack.posts] == ["/chat.postMessage"]
    assert sent.thread == ""


@pytest.mark.parametrize(
    ("status", "headers", "word", "error", "wish"),
    [
        (200, {}, "channel_not_found", PermanentError, None),
        (200, {}, "invalid_auth", PermanentError, None),
        (200, {}, "internal_error", TransientError, None),
        (200, {"Retry-After": "7"}, "ratelimited", TransientError, 7),
        (429, {"Retry-After": "5"}, "ratelimited", TransientError, 5),
        (503, {}, "service_unavailable", TransientError, None),
    ],
)
def test_what_a_bots_answer_means(
    status: int, headers: dict[str, str], word: str, error: type[Exception], wish: float | None
) -> None:
    answer = (status, headers, json.dumps({"ok": False, "error": word}))
    with serving(FakeSlack(answers=[answer])) as slack, pytest.raises(error) as caught:
        SlackBot("xoxb-1", "#ml", api=slack.url).send(ACTED, due=DUE)
    assert getattr(caught.value, "retry_after_seconds", None) == wish
    assert "xoxb" not in str(caught.value)


def test_an_api_that_answers_with_a_page_is_transient() -> None:
    page = (500, {}, "<html>oops</html>")
    with serving(FakeSlack(answers=[page])) as slack, pytest.raises(TransientError):
        SlackBot("xoxb-1", "#ml", api=slack.url).send(ACTED, due=DUE)


# --- a real SMTP server ------------------------------------------------------------------------


@dataclass
class Inbox:
    """Takes mail; `answers` maps an address, or `DATA`, to the reply it gets instead of 250."""

    answers: dict[str, str] = field(default_factory=dict)
    mails: list[EmailMessage] = field(default_factory=list)
    envelopes: list[tuple[str | None, list[str]]] = field(default_factory=list)
    secured: list[bool] = field(default_factory=list)
    users: list[str] = field(default_factory=list)
    port: int = 0

    async def handle_RCPT(  # noqa: N802
        self, server: Any, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        del server, session, options
        if address in self.answers:
            return self.answers[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Session, envelope: Envelope) -> str:  # noqa: N802
        del session  # its `ssl` knows STARTTLS only
        if "DATA" in self.answers:
            return self.answers["DATA"]
        mail = message_from_bytes(bytes(envelope.content or b""), policy=default)
        assert isinstance(mail, EmailMessage)
        self.mails.append(mail)
        self.envelopes.append((envelope.mail_from, envelope.rcpt_tos))
        self.secured.append(server.transport.get_extra_info("ssl_object") is not None)
        return "250 Accepted"

    def login(self, *args: Any) -> AuthResult:
        data = args[-1]
        assert isinstance(data, LoginPassword)
        self.users.append(f"{data.login.decode()}/{data.password.decode()}")
        return AuthResult(success=data.password == b"p@ss word", handled=False)


@contextmanager
def mail_server(
    inbox: Inbox, *, implicit_tls: ssl.SSLContext | None = None, **options: Any
) -> Iterator[Inbox]:
    loop = asyncio.new_event_loop()
    server = loop.run_until_complete(
        loop.create_server(
            lambda: SMTP(inbox, hostname="mail.test", loop=loop, **options),
            "127.0.0.1",
            0,
            ssl=implicit_tls,
        )
    )
    inbox.port = server.sockets[0].getsockname()[1]
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    async def close() -> None:
        server.close()
        await server.wait_closed()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    try:
        yield inbox
    finally:
        asyncio.run_coroutine_threadsafe(close(), loop).result(5)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def smtp(
    inbox: Inbox, query: str = "", user: str = "", to: tuple[str, ...] = ("ml@x.org",)
) -> Smtp:
    return Smtp(f"smtp://{user}127.0.0.1:{inbox.port}{query}", "vertex@example.com", to)


def test_a_mail_arrives_and_the_next_one_answers_it() -> None:
    with mail_server(Inbox()) as inbox:
        first = smtp(inbox).send(ACTED, due=DUE)
        second = smtp(inbox).send(GIVEN_UP, thread=first.thread, due=DUE)
    assert [str(m["Subject"]) for m in inbox.mails] == [ACTED.title, GIVEN_UP.title]
    assert inbox.mails[0]["Message-ID"] == first.thread == second.thread
    assert inbox.mails[1]["In-Reply-To"] == first.thread
    assert inbox.envelopes[0] == ("vertex@example.com", ["ml@x.org"])
    assert inbox.secured == [False, False]


@pytest.mark.parametrize(
    ("answers", "error"),
    [
        ({"ml@x.org": "550 no such user"}, PermanentError),
        ({"ml@x.org": "450 try later"}, TransientError),
        ({"DATA": "554 rejected"}, PermanentError),
        ({"DATA": "451 try later"}, TransientError),
    ],
)
def test_what_a_mail_servers_answer_means(answers: dict[str, str], error: type[Exception]) -> None:
    with mail_server(Inbox(answers)) as inbox, pytest.raises(error):
        smtp(inbox).send(ACTED, due=DUE)
    assert inbox.mails == []


def test_one_refused_recipient_does_not_keep_the_mail_from_the_others() -> None:
    with mail_server(Inbox({"gone@x.org": "550 no such user"})) as inbox:
        sent = smtp(inbox, to=("gone@x.org", "ml@x.org")).send(ACTED, due=DUE)
    assert sent.not_reached == ("gone@x.org",)
    assert inbox.envelopes[0][1] == ["ml@x.org"]


def test_a_mail_server_that_is_not_there_is_transient() -> None:
    with mail_server(Inbox()) as inbox:
        pass
    with pytest.raises(TransientError, match="could not be reached"):
        smtp(inbox).send(ACTED, due=DUE)


@pytest.mark.filterwarnings("ignore:Session.login_data:DeprecationWarning")  # aiosmtpd's own
def test_user_and_password_are_taken_from_the_url_decoded() -> None:
    inbox = Inbox()
    with mail_server(inbox, authenticator=inbox.login, auth_require_tls=False):
        smtp(inbox, user="bot%40x.org:p%40ss%20word@").send(ACTED, due=DUE)
        with pytest.raises(PermanentError) as caught:
            smtp(inbox, user="bot:wrong-one@").send(ACTED, due=DUE)
    assert inbox.users[0] == "bot@x.org/p@ss word"
    assert len(inbox.mails) == 1
    assert "wrong-one" not in str(caught.value)


@dataclass(frozen=True)
class Certified:
    """A server's certificate for 127.0.0.1, and the file to trust it by."""

    context: ssl.SSLContext
    trust: Path


@pytest.fixture(scope="module")
def certified(tmp_path_factory: pytest.TempPathFactory) -> Certified:
    folder = tmp_path_factory.mktemp("tls")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "mail of the tests")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem, secret = folder / "cert.pem", folder / "key.pem"
    pem.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    secret.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem, secret)
    return Certified(context, pem)


def test_starttls_on_loopback_where_it_is_required(
    certified: Certified, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certified.trust))
    with mail_server(Inbox(), tls_context=certified.context) as inbox:
        smtp(inbox, "?starttls=require").send(ACTED, due=DUE)
    assert inbox.secured == [True]


def test_starttls_with_a_certificate_that_nobody_vouches_for_sends_nothing(
    certified: Certified,
) -> None:
    with (
        mail_server(Inbox(), tls_context=certified.context) as inbox,
        pytest.raises(TransientError, match="SSLCertVerificationError"),
    ):
        smtp(inbox, "?starttls=require").send(ACTED, due=DUE)
    assert inbox.mails == []


def test_a_server_without_starttls_is_refused_where_it_is_required() -> None:
    with mail_server(Inbox()) as inbox, pytest.raises(PermanentError, match="STARTTLS"):
        smtp(inbox, "?starttls=require").send(ACTED, due=DUE)
    assert inbox.mails == []


def test_smtps_is_tls_from_the_first_byte(
    certified: Certified, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certified.trust))
    with mail_server(Inbox(), implicit_tls=certified.context) as inbox:
        url = f"smtps://127.0.0.1:{inbox.port}"
        Smtp(url, "vertex@example.com", ("ml@x.org",)).send(ACTED, due=DUE)
    assert inbox.secured == [True]


@pytest.mark.parametrize(
    ("url", "starttls"),
    [
        ("smtp://mail.example.com:25", True),
        ("smtp://mail.example.com:25?starttls=off", True),
        ("smtp://10.0.0.1:25", True),
        ("smtp://localhost:25", False),
        ("smtp://[::1]:25", False),
        ("smtp://127.0.0.1:25?starttls=require", True),
        ("smtps://mail.example.com", False),
    ],
)
def test_only_loopback_may_be_spoken_to_in_plaintext(url: str, starttls: bool) -> None:
    assert Smtp(url, "a@b.c", ("d@e.f",))._starttls is starttls


# --- opening by the policy file's word ---------------------------------------------------------


@dataclass(frozen=True)
class SlackPart:
    webhook: str | None = None
    token: str | None = None
    channel: str | None = None


@dataclass(frozen=True)
class EmailPart:
    smtp: str = "env:SMTP_URL"
    sender: str = "vertex@example.com"
    to: tuple[str, ...] = ("ml@example.com",)


@dataclass(frozen=True)
class Spec:
    slack: SlackPart | None = None
    email: EmailPart | None = None
    webhook: None = None
    teams: None = None
    pagerduty: None = None
    google_chat: None = None


@pytest.mark.parametrize(
    ("spec", "secret", "kind"),
    [
        (Spec(SlackPart(webhook="env:W")), "https://hooks.slack.com/services/T/B/x", SlackWebhook),
        (Spec(SlackPart(webhook="env:W")), "http://localhost:8080/hook", SlackWebhook),
        (Spec(SlackPart(token="env:T", channel="C1")), "xoxb-1", SlackBot),
        (Spec(email=EmailPart()), "smtps://u:p@mail.example.com:465", Smtp),
    ],
)
def test_a_channel_opens_as_the_policy_file_says(spec: Spec, secret: str, kind: type) -> None:
    asked = []
    opened = open_channel("ml", spec, lambda ref: asked.append(ref) or secret)  # type: ignore[func-returns-value]
    assert type(opened) is kind
    assert len(asked) == 1
    assert opened.keeps_current is (kind is SlackBot)


@pytest.mark.parametrize(
    ("spec", "secret", "why"),
    [
        (Spec(SlackPart(webhook="env:W")), "http://hooks.example.com/x", "must be https"),
        (Spec(SlackPart(webhook="env:W")), "http://127.0.0.1.example.com/x", "must be https"),
        (Spec(SlackPart(webhook="env:W")), "file:///etc/passwd", "must be https"),
        (Spec(SlackPart(webhook="env:W")), "https://[oops", "is not a URL"),
        (Spec(email=EmailPart()), "mail.example.com:25", "must be smtp://"),
        (Spec(email=EmailPart()), "smtp://h:99999", "cannot be read"),
        (Spec(email=EmailPart(to=())), "smtp://h:25", "no recipient"),
        (
            Spec(email=EmailPart(to=("a@b.c\r\nBcc: x@y.z",))),
            "smtp://h:25",
            "not an e-mail address",
        ),
        (Spec(email=EmailPart(sender="nobody")), "smtp://h:25", "not an e-mail address"),
        (Spec(), "", "of no kind that is known"),
    ],
)
def test_a_channel_that_could_never_send_is_refused_by_name(
    spec: Spec, secret: str, why: str
) -> None:
    with pytest.raises(PermanentError, match=why) as caught:
        open_channel("ml-oncall", spec, lambda _: secret)
    assert str(caught.value).startswith("channel ml-oncall: ")
    assert not secret or secret not in str(caught.value)


@pytest.mark.parametrize(
    ("hosts", "opens"),
    [
        (None, True),
        (("hooks.slack.com",), True),
        (("*.slack.com",), True),
        (("*.example.com",), False),
        ((), False),
    ],
)
def test_channels_speak_only_to_allowed_hosts(hosts: tuple[str, ...] | None, opens: bool) -> None:
    spec = Spec(SlackPart(webhook="env:W"))

    def attempt() -> None:
        open_channel("ml", spec, lambda _: "https://Hooks.Slack.com/services/x", hosts=hosts)

    if opens:
        attempt()
    else:
        with pytest.raises(PermanentError, match=r"hooks\.slack\.com is not among"):
            attempt()


def test_an_owner_found_by_the_map_gets_the_mail_instead() -> None:
    with mail_server(Inbox()) as inbox:
        spec = Spec(email=EmailPart())
        url = f"smtp://127.0.0.1:{inbox.port}"
        open_channel("owners", spec, lambda _: url, to=("ana@x.org",)).send(ACTED, due=DUE)
    assert inbox.envelopes[0][1] == ["ana@x.org"]
