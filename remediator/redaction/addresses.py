"""Secrets in addresses: user and password, webhooks, paths that are a key, connection strings. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator

from remediator.domain.late_pattern import late_pattern
from remediator.redaction.matching import Span, compiled, span_of
from remediator.redaction.names import word_set

_URL = r"(?i)\b[a-z][a-z0-9+.-]{1,40}://[^\s\"'<>`]+"
_AUTHORITY = late_pattern(r"[^/?#]*")
_HOST_AND_ON = late_pattern(
    r"(?:\[[0-9a-fA-F:.]+\]|[\w.-]+)(?::\d+)?(?:,[\w.-]+(?::\d+)?)*(?:[/?#].*)?\Z", re.DOTALL
)
_DOTTED_HOST = late_pattern(
    r"(?:\[[0-9a-fA-F:.]+\]|localhost|[\w-]+(?:\.[\w-]+)+|[\w.-]+(?=:\d))(?::\d+)?(?:[,/?#)].*)?\Z",
    re.DOTALL,
)
_PORT = late_pattern(r"\d{2,5}\Z")
_NOBODY = word_set("git root oauth2accesstoken anonymous ubuntu hg svn ec2-user")
_STORES = ("gs://", "s3://", "hdfs://", "abfss://", "wasbs://", "file://", "bq://")

_HOOKS = (
    r"(?i)https?://(?:"
    r"hooks\.slack(?:-gov)?\.com/|hooks\.[\w.-]+/|hook\.[\w.-]+/|[\w.-]+\.hooks\.[\w.-]+/"
    r"|discord(?:app)?\.com/api/(?:v\d+/)?webhooks/"
    r"|[\w.-]+\.webhook\.office\.com/|outlook\.office(?:365)?\.com/webhook/|[\w.-]+\.logic\.azure\.com[^\s\"'<>?]*/"
    r"|[\w.-]+\.powerplatform\.com[^\s\"'<>?]*/|api\.telegram\.org/(?:file/)?bot|hc-ping\.com/(?:ping/)?|api\.day\.app/"
    r"|sctapi\.ftqq\.com/|maker\.ifttt\.com/trigger/[^\s\"'<>/]+/(?:json/)?with/key/|events\.pagerduty\.com/integration/"
    r"|api\.opsgenie\.com/v1/json/[\w-]*\?apikey=|heartbeat\.uptimerobot\.com/|uptime\.betterstack\.com/api/v1/heartbeat/"
    r")(?P<secret>[^\s\"'<>\\`?&]+)"
)
_HOOK_PATH = (
    r"(?i)https?://[^\s\"'<>\\`?#]*?/(?:webhooks?|hooks?|incoming|incomingwebhook|catch|services/T\w+|bot/v2/hook"
    r"|generic-?webhook)/(?P<secret>[^\s\"'<>\\`?#]+)"
)
_ORACLE = r"(?i)\b(?:jdbc:oracle:\w+:|sqlplus(?:\s+-\w+)*\s+|cx_Oracle\.connect\([\"'])[\w$#.-]+/(?P<secret>[^\s\"'/@]+)@"
_LOOSE = r"(?P<user>[\w.%+-]{1,80}):(?P<secret>[^\s\"'<>/`(),;]{1,200})@(?:tcp|unix|udp)?(?P<host>\([^)\s]{1,100}\)|[\w-]+(?:\.[\w-]+)*:\d{2,5}\b|[\w-]+(?:\.[\w-]+)+/)"
_NO_USER = late_pattern(
    r"(?i)\A(?:mailto|to|cc|bcc|from|user|email|sa|account|serviceaccount|member|principal|owner|author|sha\d+|http|https)\Z"
)
_NO_SECRET_THERE = late_pattern(r"(?:latest|v?\d[\w.-]*|sha256)\Z|\[redacted\]")
_SHORTEST_KEY = 6  # letters of a part of a path, chosen
_PGPASS = r"(?m)^(?:localhost|\*|[\w-]+(?:\.[\w-]+)+|\d+\.\d+\.\d+\.\d+):(?:\d{4,5}|\*):[\w*-]+:[\w*.@-]+:(?P<secret>\S+)$"


def spans(text: str) -> Iterator[Span]:
    """Where addresses in the text hold secrets."""
    if "://" in text:
        for found in compiled(_URL).finditer(text):
            yield from _user_of(found.group(), found.start())
        for found in compiled(_HOOKS).finditer(text):
            yield span_of(found, "secret")
        for found in compiled(_HOOK_PATH).finditer(text):
            if _looks_like_a_key(found["secret"]):
                yield span_of(found, "secret")
    if "@" in text:
        yield from (span_of(found, "secret") for found in compiled(_ORACLE).finditer(text))
        for found in compiled(_LOOSE).finditer(text):
            if not _NO_USER.match(found["user"]) and not _NO_SECRET_THERE.match(found["secret"]):
                yield span_of(found, "secret")
    if ":" in text:
        yield from (span_of(found, "secret") for found in compiled(_PGPASS).finditer(text))


def _user_of(url: str, place: int) -> Iterator[Span]:
    """The password of `scheme://user:password@host`, which may itself hold `/`, `#`, `?` and `@`."""
    scheme, _, rest = url.partition("://")
    if "@" not in rest:
        return
    begin = place + len(scheme) + 3
    authority = _AUTHORITY.match(rest)
    inside = authority.group() if authority else ""
    end = rest.rfind("@", 0, len(inside))
    colon = inside.find(":")
    last = rest.rfind("@")
    if end < 0:
        # No @ before the first / ? #: an address with a port and a path, or such a sign in the password.
        if colon < 0 or (_PORT.match(inside[colon + 1 :]) and _is_host(inside[:colon])):
            return
        if not _HOST_AND_ON.match(rest[last + 1 :]):
            return
        end = last
    elif (
        last > end
        and not _DOTTED_HOST.match(rest[end + 1 : last + 1])
        and _DOTTED_HOST.match(rest[last + 1 :])
    ):
        end = last  # what stands behind the first @ is no host
    colon = rest.find(":", 0, end)
    if colon < 0:
        user = rest[:end]
        if user.lower() not in _NOBODY and not f"{scheme}://".lower().startswith(_STORES):
            yield begin, begin + end
        return
    yield begin + colon + 1, begin + end


def _is_host(name: str) -> bool:
    return "." in name or name == "localhost" or name.startswith("[")


def _looks_like_a_key(path: str) -> bool:
    """Whether a part of a path is no word: six letters and more, with a digit or a capital within."""
    return any(
        len(part) >= _SHORTEST_KEY
        and any(char.isdigit() for char in part)
        and any(char.isalpha() for char in part)
        for part in path.split("/")
    )
