"""Where secrets stand in a text: each pass answers spans, and one cut takes them all. Pure.

What is encoded (percent, HTML, escapes of JSON) is looked at decoded, and shown so where it held a
secret. Every expression is RE2's, or Python's own over a few hundred characters or one class of
characters: the time is linear in the text. Called by `redact` and `redact_json`.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterable, Iterator
from urllib.parse import unquote

from remediator.domain.late_pattern import late_pattern
from remediator.redaction import addresses, assignments, commands, sentences, tokens
from remediator.redaction.matching import Span, compiled
from remediator.redaction.values import MARK

# One quick search tells the many harmless texts from those that need the passes.
_HINT = (
    r"(?i)://|[?&;#][\w.-]+=|pass|pwd|pswd|pword|\bpw|secret|token|cred|key|auth|\bpat\b|_pat|cookie|jwt|hook|dsn|otp|salt|sas"
    r"|conn|bearer|basic|dockerc|phrase|pepper|mnemonic|login|code|signature|identified|-----BEGIN|PuTTY"
    r"|[\w.]@|(?:^|[\s\"'])--?[a-z]|:\d{4,5}:|%(?:25)*(?:3[ad]|40|2[27])|&(?:quot|apos|#)|\\(?:u00|x)[23]|"
    + "|".join(form for _, form in tokens.FORMS)
    + "|"
    + tokens.HASHES
)
_PERCENT = r"(?i)[^\s\"'<>]*%(?:25)*(?:3[ad]|2[0267f]|40|7b)[^\s\"'<>]*"
_ENTITIES = r"(?i)[^\n]*(?:&(?:quot|apos|#3[49]|#x2[27]|equals|colon);|\\u00(?:22|27|3[ad]|26)|\\x(?:22|27|3[ad]))[^\n]*"
_OF_ADDRESS = late_pattern(r"(?i)(?:key|sig|signature|hmac|sid|session|ticket|assertion)=")
_ESCAPED = late_pattern(r"\\(?:u00|x)([0-9a-fA-F]{2})")
_MOST_RUNS = 200  # encoded parts that are looked at one by one, chosen
_DEEPEST = 3  # times that a text may be encoded over, chosen

_PASSES: tuple[Callable[[str], Iterable[Span]], ...] = (
    addresses.spans,
    assignments.headers,
    assignments.named_values,
    assignments.fallbacks,
    assignments.pairs,
    assignments.elements,
    commands.flags,
    commands.options,
    sentences.spans,
)


def without_secrets(text: str) -> str:
    """The text with every secret's place taken by the mark."""
    if compiled(_HINT).search(text) is None:
        return text
    return _cut(_decoded(text))


def _cut(text: str) -> str:
    found = sorted(_forms(text))
    for spans in _PASSES:
        found += spans(text)
    if not found:
        return text
    found.sort()
    parts: list[str] = []
    done = 0
    for start, end in found:
        if end <= start or (text.startswith(MARK, start) and end <= start + len(MARK)):
            continue
        if start > done or not parts:
            parts += (text[done:start], MARK)
        done = max(done, end)
    return "".join((*parts, text[done:]))


def _decoded(text: str) -> str:
    """The text with every encoded part that holds a secret decoded and cut."""
    if "%" in text:
        text = _decoded_in(text, _PERCENT)
    if "&" in text or "\\" in text:
        text = _decoded_in(text, _ENTITIES)
    return text


def _decoded_in(text: str, pattern: str) -> str:
    runs = list(compiled(pattern).finditer(text))
    if len(runs) > _MOST_RUNS:
        plain = _plain(text)
        shown = _cut(plain)
        return text if shown == plain else shown
    parts: list[str] = []
    done = 0
    for found in runs:
        plain = _plain(found.group())
        # What an address was encoded from: `key=` is a query's, though its `?` stands elsewhere.
        asked = "?" if _OF_ADDRESS.match(plain) and "=" not in found.group() else ""
        shown = _cut(asked + plain).removeprefix(asked)
        if shown != plain:
            parts += (text[done : found.start()], shown)
            done = found.end()
    return "".join((*parts, text[done:]))


def _plain(encoded: str) -> str:
    for _ in range(_DEEPEST):
        once = unquote(encoded, errors="replace") if "%" in encoded else encoded
        once = html.unescape(once) if "&" in once else once
        once = _ESCAPED.sub(_letter, once) if "\\" in once else once
        if once == encoded:
            break
        encoded = once
    return "".join(char if char.isprintable() or char in "\n\t" else " " for char in encoded)


def _letter(found: re.Match[str]) -> str:
    return chr(int(found[1], 16))


def _forms(text: str) -> Iterator[Span]:
    yield from (found.span() for found in compiled(tokens.BLOCKS).finditer(text))
    if "$" in text:
        yield from (found.span() for found in compiled(tokens.HASHES).finditer(text))
    for found in compiled(_BY_FORM).finditer(text):
        said = found.group()
        if said.startswith(_PROSE_LIKE) and not any(char.isdigit() for char in said):
            continue  # `sk-` and words: a name
        if text.startswith(_DIGESTS, max(0, found.start() - len(_DIGESTS[0]))):
            continue  # a package's digest
        yield found.span()


_DIGESTS = ("sha512-", "sha384-", "sha256-")
_PROSE_LIKE = ("sk-", "ak-", "as-", "xai-", "access-", "tk-us-", "pul-", "ico-")
_BY_FORM = r"\b(?:" + "|".join(form for _, form in tokens.FORMS) + ")"
