"""Secrets beside their name: assignments, headers, pairs of name and value, elements of XML. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

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
from remediator.redaction.names import Named, named, word_set
from remediator.redaction.values import follows_key_flag, is_plain

_WORDS = (
    "pass|pwd|pswd|pword|pw|secret|token|cred|key|auth|pat|cookie|jwt|hook|dsn|otp|salt|sas|conn|bearer"
    "|dockerc|phrase|pepper|mnemonic|code|signature|sig|hmac|session|sid|ticket|assertion"
)
_TYPED = (
    r":[ \t]*(?:str|bytes|SecretStr|[Ss]tring|Final(?:\[str\])?|Optional\[str\]|str \| None)[ \t]*="
)
_BETWEEN = rf"(?:=>|->|:=|={{1,3}}|\?=|{_TYPED}|::|[:\x{{ff1a}}\x{{ff1d}}]|\({BLANK}*{QUOTE}|{QUOTE}{BLANK}*,)"
_ASSIGNED = rf"(?i)(?P<name>[$\w.@-]*(?:{_WORDS})[\w.-]*)(?P<closed>{QUOTE}?\]?){BLANK}*(?P<sign>{_BETWEEN}){BLANK}*"
_NEARBY = late_pattern(
    r"(?i)(?:^|[^\w.-])((?:api|access|secret|private|account|license|licence|encryption|signing|auth|app|consumer"
    r"|subscription|shared|storage|master|client|deploy|service|session|bearer|refresh|security|personal"
    r"|webhook|openai|wandb|kaggle|azure|aws|comet|anthropic|gemini|connection)"
    r"(?:[ _-](?:api|access|account|storage|secret))?)[ ]\Z"
)
_OF_QUERY = word_set(
    "key code sig signature hmac sid session ticket assertion x-goog-signature x-goog-credential"
    " x-amz-signature x-amz-credential x-amz-security-token hash"
)
_SIGNS, _QUOTES = "=>:,\uff1a\uff1d", "\"'`\\\u2018\u2019\u201c\u201d"
_VERBS = late_pattern(
    r"(?:get|read|load|fetch|find|check|has|is|validate|verify|parse|make|create|generate|decode|encode|rotate"
    r"|delete|remove|list|access|describe|print|hash|refresh|count|split|lookup|prompt|require|ensure|build)",
    re.IGNORECASE,
)
_OF_SOURCE = late_pattern(r"\.(?:py|rs|cc|cpp|hpp|h)\Z")
_HOLDER = late_pattern(
    r"""(?:\{\s{0,40}\\{0,8}["']?(?:string_?|default_?|constant_?|runtime_?)?[vV]alue\\{0,8}["']?\s{0,9}:\s{0,9}|(?P<list>\[\s{0,40}))"""
    r"""(?=\\{0,8}["'])"""
)
_ANOTHER = late_pattern(r"""\\{0,8}["']\s{0,9},\s{0,40}(?=\\{0,8}["'])""")
_BLOCK = late_pattern(r"[|>][-+]?\d?[ \t]*(?:#[^\n]*)?\n")
_NEXT_LINE = late_pattern(r"([ \t]+)[^\n]*(?:\n|\Z)|[ \t]*\n")


def named_values(text: str) -> Iterator[Span]:
    """`NAME=value` in any spelling: quotes, escapes, colons, calls, query strings, blocks of YAML."""
    done = 0
    for found in compiled(_ASSIGNED).finditer(text):
        if found.start() < done:
            continue
        name, sign = found["name"], found["sign"]
        query = found.start() > 0 and text[found.start() - 1] in "?&;#" and sign == "="
        under = _named_there(text, found.start(), name, query=query)
        if under is None and name == "--key" and sign == "=":
            start, end, _ = value_at(text, found.end())
            under = Named.KEY if follows_key_flag(text[start:end]) else None
        if under is not None:
            for span in _of_assignment(text, found, under):
                yield span
                done = span[1]


def _of_assignment(text: str, found: Any, under: Named) -> Iterator[Span]:
    name, sign, begin = found["name"], found["sign"], found.end()
    if sign[-1] not in _SIGNS:  # a call: NAME("value
        if _VERBS.match(name):
            return
        begin = end_of(found, "sign") - len(sign) + len(sign.rstrip(_QUOTES))
    holder = _HOLDER.match(text, begin)
    if holder is not None:
        yield from _inside(text, holder, under, name)
        return
    if not found["closed"] and is_quoted_itself(text, found.start(), begin):
        return
    start, end, quoted = value_at(text, begin)
    if not quoted and sign[-1] not in "=>:\uff1a\uff1d":
        return
    if sign[-1] == "," and text[max(0, found.start() - 9) : found.start()].rstrip(_QUOTES)[
        -1:
    ] not in {"(", "["}:
        return
    if not quoted and _BLOCK.match(text, begin):
        yield from _block(text, begin)
        return
    if sign == "::" and _OF_SOURCE.search(name):
        return  # `tests/test_secrets.py::test_name`
    spaced = begin > end_of(found, "sign") or (sign[-1] in ":\uff1a" and name != "secret")
    if end > start and not is_plain(text[start:end], under, name, quoted=quoted, spaced=spaced):
        yield to_its_end(text, start, end)


def _named_there(text: str, start: int, name: str, *, query: bool) -> Named | None:
    bare = name.strip("$@-.")
    if query and bare.lower() in _OF_QUERY:
        return Named.KEY
    under = named(bare)
    if under is None and "_" not in bare and "." not in bare:
        near = _NEARBY.search(text, max(0, start - 40), start)
        if near is not None:
            under = named(f"{near[1]} {bare}".replace(" ", "_"))
    return under


def _inside(text: str, holder: re.Match[str], under: Named, name: str) -> Iterator[Span]:
    """A value one level down: `{"stringValue": "…"}`, `["…", "…"]`."""
    place = holder.end()
    while True:
        start, end, quoted = value_at(text, place)
        if not quoted:
            return
        if not is_plain(text[start:end], under, name, quoted=True):
            yield start, end
        more = _ANOTHER.match(text, end)
        if holder["list"] is None or more is None:
            return
        place = more.end()


def _block(text: str, place: int) -> Iterator[Span]:
    """The indented lines under `NAME: |`."""
    head = _BLOCK.match(text, place)
    line = _NEXT_LINE.match(text, head.end()) if head else None
    if head is None or line is None or line[1] is None:
        return
    indent, start, end = line[1], head.end() + len(line[1]), line.end()
    while line is not None and line.end() > line.start():
        end = line.end()
        line = _NEXT_LINE.match(text, end)
        if line is not None and line[1] is not None and not line[1].startswith(indent):
            break
    yield start, len(text[:end].rstrip())


_FALLBACK = rf"(?i)(?P<name>[$\w.@-]*(?:{_WORDS})[\w.-]*)(?:{QUOTE}{BLANK}*[)\]])?{BLANK}*(?:\bor\b|\|\||\?\?){BLANK}*(?P<open>{QUOTE})"


def fallbacks(text: str) -> Iterator[Span]:
    """`os.getenv("NAME") or "value"`, `process.env.NAME || "value"`: what is taken where none is set."""
    for found in compiled(_FALLBACK).finditer(text):
        under = named(found["name"].strip("$@-."))
        start, end, quoted = value_at(text, start_of(found, "open"))
        if under is None or not quoted or " " in text[start:end]:
            continue
        if not is_plain(text[start:end], under, found["name"], quoted=True):
            yield start, end


_HEADER = (
    rf"(?i)(?P<open>{QUOTE}?)(?P<name>\b(?:proxy-)?authorization|\b(?:set-)?cookie)(?P<closed>{QUOTE}?)"
    rf"{BLANK}*(?:[:=]|=>|,){BLANK}*(?P<begin>{QUOTE}?)"
)
_TO_LINE_END = late_pattern(r"[^\r\n\"'\\`]+")
_WITH_QUOTES = late_pattern(
    r"(?:digest|aws4-hmac-sha256|oauth|hawk|mac|signature|gap)\s[^\r\n]*", re.IGNORECASE
)
_SCHEME = rf"(?i)\b(?P<scheme>bearer|basic|negotiate|ntlm|ssws|apikey|api-key|token){BLANK}+(?P<secret>[\w.~+/=:-]{{8,}})"


def headers(text: str) -> Iterator[Span]:
    """What `Authorization`, `Cookie` and their like carry, to the end of the header."""
    done = 0
    for found in compiled(_HEADER).finditer(text):
        if found.start() < done:
            continue
        if found["closed"] and not found["begin"] and not found["open"]:
            continue
        start = found.end()
        if not found["begin"] and (whole := _WITH_QUOTES.match(text, start)) is not None:
            yield start, whole.end()
            continue
        value = _TO_LINE_END.match(text, start)
        if value is not None and not is_plain(
            value.group(), Named.KEY, "header", quoted=False, spaced=True
        ):
            done = start + len(value.group().rstrip())
            yield start, done
    for found in compiled(_SCHEME).finditer(text):
        secret, scheme = found["secret"], found["scheme"].lower()
        if scheme == "bearer":
            is_secret = not (secret.isalpha() and secret.islower())
        else:
            signs = sum(
                (
                    any(map(str.isdigit, secret)),
                    any(map(str.isupper, secret)),
                    any(map(str.islower, secret)),
                )
            )
            is_secret = signs + secret.endswith("=") >= 3 or (len(secret) >= 20 and signs >= 2)  # noqa: PLR2004
        if is_secret and not secret.startswith(("env:", "secret:")):
            yield span_of(found, "secret")


_NAME_KEYS = r"(?:name|key|k|header|variable|field|parameter|param|id|type)"
_VALUE_KEYS = r"(?:value|val|v|string_?value|default(?:_?value)?|content|constant|from|to)"
_FILLER = rf"(?:[\s,;]+{QUOTE}?[\w.-]+{QUOTE}?\s*[:=]\s*(?:\"[^\"]*\"|'[^']*'|[\w.-]+))"
_NAME_FIRST = (
    rf"(?i)\b(?P<kind>{_NAME_KEYS}){QUOTE}?\s*[:=]\s*{QUOTE}?(?P<name>[A-Za-z_@$][\w.@$-]{{0,120}}){QUOTE}?{_FILLER}{{0,3}}[\s,;]+"
    rf"{QUOTE}?{_VALUE_KEYS}{QUOTE}?\s*[:=][ \t]*"
)
_VALUE_FIRST = (
    rf"(?i)\b{_VALUE_KEYS}{QUOTE}?\s*[:=]\s*(?:\"(?P<double>(?:[^\"\\]|\\.)*)\"|'(?P<single>(?:[^'\\]|\\.)*)'"
    rf"|\\{{1,8}}\"(?P<slashed>[^\"\\]*)\\{{1,8}}\"|(?P<bare>[^\s\"'\\,{{}}]+)){_FILLER}{{0,2}}[\s,;]+"
    rf"{QUOTE}?{_NAME_KEYS}{QUOTE}?\s*[:=]\s*{QUOTE}?(?P<name>[A-Za-z_@$][\w.@$-]{{0,120}})"
)
_KAGGLE = (
    rf"(?i)\busername{QUOTE}?\s*[:=]\s*{QUOTE}?[^\"'\s,}}\\]*{QUOTE}?\s*[,\n]\s*{QUOTE}?(?:key|apikey){QUOTE}?\s*[:=][ \t]*",
    rf"(?i)\bkey{QUOTE}?\s*[:=]\s*{QUOTE}?(?P<secret>[^\"'\s,}}\\]+){QUOTE}?\s*[,\n]\s*{QUOTE}?username{QUOTE}?\s*[:=]",
)
_PAIR_WORDS = ("name", "key", "header", "field", "param", "type", "variable")
_REST_OF_LINE = late_pattern(r"[^\n,}\]#]*")


def pairs(text: str) -> Iterator[Span]:
    """A variable beside its value, either first, in JSON, YAML, XML's attributes or a proto's text."""
    lower = text.lower()
    if any(word in lower for word in _PAIR_WORDS):
        yield from _name_first(text)
        yield from _value_first(text)
    if "username" in lower:
        for found in compiled(_KAGGLE[0]).finditer(text):
            start, end, _ = value_at(text, found.end())
            yield start, end
        yield from (span_of(found, "secret") for found in compiled(_KAGGLE[1]).finditer(text))


def _name_first(text: str) -> Iterator[Span]:
    for found in compiled(_NAME_FIRST).finditer(text):
        under = _of_pair(found["name"], found["kind"])
        if under is None:
            continue
        start, end, quoted = value_at(text, found.end())
        if not quoted and "\n" in found.group() and (rest := _REST_OF_LINE.match(text, start)):
            end = start + len(rest.group().rstrip())  # YAML: a plain text may hold spaces
        if end > start and not is_plain(text[start:end], under, found["name"], quoted=True):
            yield start, end


def _value_first(text: str) -> Iterator[Span]:
    for found in compiled(_VALUE_FIRST).finditer(text):
        under = named(found["name"])
        for group in ("double", "single", "slashed", "bare"):
            value = found[group]
            if under is None or not value:
                continue
            if not is_plain(value, under, found["name"], quoted=True):
                yield span_of(found, group)


def _of_pair(name: str, kind: str) -> Named | None:
    under = named(name)
    return under if kind.lower() != "type" or under is Named.PASSWORD else None


_ELEMENT = r"(?i)<(?:[\w-]+:)?(?P<name>[\w.-]{1,120})(?:\s[^<>]{0,300})?>\s*(?:<!\[CDATA\[(?P<data>[^\]]*)\]\]>|(?P<text>[^<]+))\s*</"
_ELEMENTS = (
    r"(?i)<(?:name|key|string)>\s*(?P<name>[\w.-]{1,120})\s*</(?:name|key|string)>\s*"
    r"<(?:value|string)(?:\s[^<>]{0,100})?>(?P<text>[^<]+)</"
)


def elements(text: str) -> Iterator[Span]:
    """`<password>…</password>`, and `<name>…</name><value>…</value>`."""
    if "</" not in text:
        return
    for pattern in (_ELEMENT, _ELEMENTS):
        for found in compiled(pattern).finditer(text):
            group = "data" if pattern is _ELEMENT and found["data"] else "text"
            value, under = found[group], named(found["name"])
            if under is None or not value or is_plain(value, under, found["name"], quoted=True):
                continue
            start, end = span_of(found, group)
            yield start + len(value) - len(value.lstrip()), end - (len(value) - len(value.rstrip()))
