"""Mail: one SMTP server, STARTTLS or implicit TLS with verification.

Owns the connection and what the server's answers mean; how a mail looks is `render`'s. smtplib is imported
when a mail is first sent. Called by `channels`.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from email.utils import parseaddr
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, unquote, urlsplit

from remediator.alerts.channel import Sent
from remediator.alerts.grouping import GroupLimits
from remediator.alerts.http_post import TIMEOUT_SECONDS, check_host, is_loopback
from remediator.alerts.message import Message
from remediator.alerts.render import ENCODED_WORD, render_email
from remediator.alerts.wording import shown
from remediator.domain import PermanentError, TransientError

if TYPE_CHECKING:
    import smtplib


class Smtp:
    """Mail by one SMTP server; a connection for each mail, closed after it."""

    keeps_current = False
    group_limits = GroupLimits()

    def __init__(
        self, url: str, sender: str, to: Sequence[str], *, hosts: Sequence[str] | None = None
    ) -> None:
        try:
            parts = urlsplit(url)
            host, port = parts.hostname or "", parts.port
        except ValueError as err:
            msg = "the SMTP server's URL cannot be read"
            raise PermanentError(msg) from err
        if parts.scheme not in {"smtp", "smtps"} or not host:
            msg = "the SMTP server must be smtp://host:port or smtps://host:port"
            raise PermanentError(msg)
        for address in (sender, *to):
            spec = parseaddr(address)[1]
            if "@" not in spec or ENCODED_WORD in spec or any(ord(c) < 32 for c in address):  # noqa: PLR2004  # controls
                msg = f"not an e-mail address: {shown(address, 80)!r}"
                raise PermanentError(msg)
        if not to:
            msg = "no recipient"
            raise PermanentError(msg)
        check_host(host, hosts)
        wanted = parse_qs(parts.query).get("starttls", [""])[0]
        self._implicit = parts.scheme == "smtps"
        self._starttls = not self._implicit and (wanted == "require" or not is_loopback(host))
        self._host = host
        self._port = port or (465 if self._implicit else 587)  # RFC 8314, RFC 6409
        self._user = unquote(parts.username or "")
        self._password = unquote(parts.password or "")
        self._sender = sender
        self._to = tuple(to)

    def send(self, message: Message, *, thread: str = "", due: datetime) -> Sent:
        mail = render_email(message, sender=self._sender, to=self._to, due=due, thread=thread)
        with _mail_errors(), self._connected() as server:
            refused = server.send_message(mail)
        first = thread or (str(mail["Message-ID"]) if message.in_chain else "")
        return Sent(first, tuple(sorted(refused)))

    def update(self, message: Message, *, thread: str) -> None:
        """A mail stays as it is."""

    def check(self) -> None:
        with _mail_errors(), self._connected() as server:
            server.noop()

    @contextmanager
    def _connected(self) -> Iterator[smtplib.SMTP]:
        import smtplib  # noqa: PLC0415  # cold start

        # An address literal: asking the resolver for our own name can hang, and tells nobody more.
        ours = "[127.0.0.1]"
        server: smtplib.SMTP
        if self._implicit:
            server = smtplib.SMTP_SSL(
                self._host,
                self._port,
                ours,
                timeout=TIMEOUT_SECONDS,
                context=ssl.create_default_context(),
            )
        else:
            server = smtplib.SMTP(self._host, self._port, ours, timeout=TIMEOUT_SECONDS)
        with server:
            if self._starttls:
                server.starttls(context=ssl.create_default_context())
            if self._user:
                server.login(self._user, self._password)
            yield server


@contextmanager
def _mail_errors() -> Iterator[None]:
    """smtplib's errors as ours: RFC 5321's 4xx and a broken line pass, 5xx stay."""
    import smtplib  # noqa: PLC0415  # cold start

    try:
        yield
    except smtplib.SMTPRecipientsRefused as err:
        codes = [code for code, _ in err.recipients.values()]
        msg = f"the mail server refused every recipient ({', '.join(map(str, sorted(set(codes))))})"
        raise (TransientError if any(_passes(c) for c in codes) else PermanentError)(msg) from err
    except smtplib.SMTPResponseException as err:
        said = err.smtp_error
        words = said.decode(errors="replace") if isinstance(said, bytes) else str(said)
        msg = f"the mail server answered {err.smtp_code}: {shown(words, 120)}"
        raise (TransientError if _passes(err.smtp_code) else PermanentError)(msg) from err
    except smtplib.SMTPNotSupportedError as err:
        msg = f"the mail server cannot do what is required: {shown(str(err), 120)}"
        raise PermanentError(msg) from err
    except (smtplib.SMTPException, OSError) as err:
        msg = f"the mail server could not be reached: {type(err).__name__}"
        raise TransientError(msg) from err


def _passes(code: int) -> bool:
    """Not a permanent negative reply; -1 is smtplib's word for a line that broke."""
    return not 500 <= code < 600  # noqa: PLR2004  # RFC 5321, section 4.2.1
