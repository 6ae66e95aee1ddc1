"""Secrets in sentences and in files of lines: "with password 'x'", netrc, `ENV NAME value`. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from remediator.domain.late_pattern import late_pattern
from remediator.redaction.matching import (
    BLANK,
    QUOTE,
    Span,
    compiled,
    end_of,
    is_quoted_itself,
    span_of,
    start_of,
    to_its_end,
    value_at,
)
from remediator.redaction.names import Named, named
from remediator.redaction.values import is_plain, looks_random

_SPOKEN = (
    rf"(?i)(?:^|[^\w.$-])(?P<word>pass(?:word|wd|phrase|code)|pass[ -]phrase|pwd|passwort|kennwort|secret"
    r"|(?:api|access|secret|auth|account|private|license|licence|subscription|encryption|signing|client|session|refresh"
    r"|security|shared|bearer|service|app|id|personal access)[ _-]?(?:access[ _-])?(?:key|token|secret|code)|credentials?|token"
    rf"|pass|pw)(?P<between>(?:{BLANK}+(?:for|of)(?:{BLANK}+the)?(?:{BLANK}+(?:user|account|role|login))?{BLANK}+{QUOTE}?[\w.@-]{{1,60}}{QUOTE}?|{BLANK}+(?:user|account){BLANK}+{QUOTE}?[\w.@-]{{1,60}}{QUOTE}?|{BLANK}+(?:is|was|are|as|of|for|to|set|used|using|provided|supplied|given|sent|received|value"
    r"|the|user|account|with|equals?|being|now|currently|has|been|changed|updated|reset|from|by|received|got|rejected"
    rf"|invalid|incorrect|wrong|bad))*)"
    rf"(?P<sign>{BLANK}*[:=(\x{{ff1a}}]?){BLANK}*"
)
_SQL = rf"(?i)\b(?:identified{BLANK}+(?:with{BLANK}+[\w\"'`]+{BLANK}+)?(?:by|as)(?:{BLANK}+password)?|password){BLANK}*[=(]?{BLANK}*(?P<quote>'|\\?\")(?P<secret>[^'\"\n\\]+)"
_NETRC = r"(?i)\b(?:machine\s+\S+|default)\s+(?:login\s+\S+\s+)?(?:account\s+\S+\s+)?password\s+(?P<secret>\S+)"
_LOGIN = r"(?i)\blogin\s+\S+\s+(?:account\s+\S+\s+)?password\s+(?P<secret>\S+)"
_SET = (
    rf"(?im)^[ \t]*(?:ENV|ARG|setenv|set(?:{BLANK}+-[a-z]+)?|setx|export|declare(?:{BLANK}+-\w+)?|SetEnv|fastcgi_param|proxy_set_header|add_header"
    rf"|RUN{BLANK}+export|env\.)?{BLANK}*(?P<name>[A-Za-z_][\w.-]*){BLANK}+(?P<rest>[^\s=:].*)$"
)
_SETTERS = late_pattern(
    r"(?i)\s*(?:ENV|ARG|setenv|set|setx|export|declare|SetEnv|fastcgi_param|proxy_set_header|add_header)\s"
)
_CAPITALS = rf"(?m)(?:^|[\s|,;({{\[\"'`])(?P<name>[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+){QUOTE}?(?:{BLANK}*[|,;]{BLANK}*|{BLANK}+)"
_ANOTHER_NAME = late_pattern(r"[a-z_]+=|[A-Z0-9_]+=.")
_TUPLE = (
    rf"(?i)\b(?:auth|http_auth|basic_auth|httpbasicauth|basicauth|httpdigestauth|credentials?|creds|login|authenticate)"
    rf"{QUOTE}?{BLANK}*[=:]?{BLANK}*[(\[]{BLANK}*{QUOTE}[^\"'\n]*{QUOTE}{BLANK}*,{BLANK}*{QUOTE}(?P<secret>[^\"'\n\\]+)"
)
_LOGIN_CALL = rf"(?i)\blogin\({BLANK}*(?:(?:key|token|api_key){BLANK}*={BLANK}*)?{QUOTE}(?P<secret>[^\"'\n\\]{{8,}}){QUOTE}{BLANK}*[,)]"
_STRICT = frozenset({"token", "credential", "credentials", "secret", "pass", "pw", "pwd"})
_SHORT = frozenset({"pass", "pw", "pwd"})
_LINKED = late_pattern(
    r"(?i)\b(?:is|was|are|provided|supplied|given|sent|received|set|used|equals?|changed|updated|got)\b"
)


def spans(text: str) -> Iterator[Span]:
    """Where sentences and files of lines give a secret away."""
    lower = text.lower()
    yield from _spoken(text)
    yield from _set_lines(text)
    if "password" in lower or "identified" in lower:
        for found in compiled(_SQL).finditer(text):
            if not is_plain(found["secret"], Named.PASSWORD, "password", quoted=True):
                yield span_of(found, "secret")
        for pattern in (_NETRC, _LOGIN):
            yield from (span_of(found, "secret") for found in compiled(pattern).finditer(text))
    if "auth" in lower or "login" in lower or "cred" in lower:
        for found in compiled(_TUPLE).finditer(text):
            yield span_of(found, "secret")
        for found in compiled(_LOGIN_CALL).finditer(text):
            if any(char.isdigit() for char in found["secret"]):
                yield span_of(found, "secret")


def _spoken(text: str) -> Iterator[Span]:
    done = 0
    for found in compiled(_SPOKEN).finditer(text):
        if found.start() < done:
            continue
        word, between, sign = found["word"].lower(), found["between"], found["sign"].strip()
        start, end, quoted = value_at(text, found.end())
        value = text[start:end]
        if not value or found.end() == end_of(found, "word"):
            continue
        if is_quoted_itself(text, start_of(found, "word"), found.end()):
            continue
        under = named(word.replace(" ", "_")) or Named.KEY
        linked = _LINKED.search(between) is not None or bool(sign)
        if is_plain(value, under, word, quoted=quoted, spaced=True):
            continue
        if quoted:
            if "\n" not in text[found.end() : start] and _is_said(
                value, word, under, linked=linked
            ):
                yield start, end
        elif looks_random(value):
            start, done = to_its_end(text, start, end)
            yield start, done


def _is_said(value: str, word: str, under: Named, *, linked: bool) -> bool:
    """Whether a quoted text behind such a word is the secret, not what the sentence is about."""
    if word == "pass" and not linked and not looks_random(value):
        return False  # "will pass to `fit`"
    if word in _SHORT or (under is Named.PASSWORD and word not in _STRICT):
        return True
    return looks_random(value) or (linked and word not in _STRICT and " " not in value)


def _set_lines(text: str) -> Iterator[Span]:
    for found in compiled(_SET).finditer(text):
        under = named(found["name"])
        if under is None:
            continue
        start, end, quoted = value_at(text, start_of(found, "rest"))
        value = text[start:end]
        setter = _SETTERS.match(text, found.start()) is not None
        if (
            value
            and not is_plain(value, under, found["name"], quoted=quoted or setter, spaced=True)
            and (setter or looks_random(value))
        ):
            yield start, end
    for found in compiled(_CAPITALS).finditer(text):
        under = named(found["name"])
        if under is None:
            continue
        start, end, quoted = value_at(text, found.end())
        value = text[start:end]
        if (
            _ANOTHER_NAME.match(value) is None
            and looks_random(value)
            and not is_plain(value, under, found["name"], quoted=quoted, spaced=True)
        ):
            yield start, end
