"""What the passes share: RE2 compiled when first needed, the fragments of a place, the end of a value."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

import re2

from remediator.domain.late_pattern import late_pattern

Span = tuple[int, int]
"""Where a secret begins and ends in a text, in characters."""

BLANK = r"[ \t\x{a0}\x{2000}-\x{200a}\x{202f}\x{3000}]"
QUOTE = r"""(?:\\{0,8}["'`]|[\x{2018}\x{2019}\x{201c}\x{201d}])"""
QUOTED = late_pattern(r"""(?P<slashes>\\{0,8})(?P<mark>["'`\u2018\u2019\u201c\u201d])""")
_CLOSING = late_pattern(r"""["'`](?=[\s;:,.)+]|\Z)""")
_CLOSES = {"\u2018": "\u2019", "\u201c": "\u201d"}
_WITHIN = {
    '"': late_pattern(r'(?:[^"\\]|\\.)*', re.DOTALL),
    "'": late_pattern(r"(?:[^'\\]|\\.)*", re.DOTALL),
}
_BARE = late_pattern(r"[^\s\"'`<>\\\u2018\u2019\u201c\u201d]+")
_SLASHED = late_pattern(r"\\[^nrtu\"'\\\s][^\s\"'`<>\\]*")
_NEXT = late_pattern(
    r"[,;&|](?=[\w.\"'{\[-]+\s*[=:]|[\"'\s{}\[\]()]|\Z|-)|&(?=[\w.%-]+=)|[,;](?=\s)|&&|\|\|"
)
# Characters, chosen: of a value whose quote never closes, of one in quotes, of one without.
_LONGEST, _LONGEST_QUOTED, _LONGEST_BARE = 4096, 20_000, 1024


@cache
def compiled(pattern: str) -> Any:
    """Compiled when first needed: an irrelevant event pays nothing for it."""
    options = re2.Options()
    options.max_mem = (
        16 << 20
    )  # the largest needs 6 MB; the searching automaton lives within the rest
    return re2.compile(pattern, options)


def span_of(found: Any, group: str) -> Span:
    """Where a named group of an RE2 match stands; (-1, -1) where it took no part."""
    span: Span = found.span(found.re.groupindex[group])
    return span


def start_of(found: Any, group: str) -> int:
    """Where a named group begins."""
    return span_of(found, group)[0]


def end_of(found: Any, group: str) -> int:
    """Where a named group ends."""
    return span_of(found, group)[1]


def value_at(text: str, place: int) -> tuple[int, int, bool]:
    """The value that begins at `place`: its start and end without quotes, and whether it is quoted.

    A line break before an opening quote is passed over. A quote that never closes ends at the line's end.
    """
    opened = QUOTED.match(text, place)
    if opened is None:
        after = _skipped(text, place)
        if after != place:
            opened = QUOTED.match(text, after)
    if opened is not None:
        return _quoted(text, opened)
    end, most = place, place + _LONGEST_BARE
    while end < most:
        found = _BARE.match(text, end, most)
        end = found.end() if found else end
        more = _SLASHED.match(text, end, most) if end > place else None
        if more is None:
            break
        end = more.end()
    cut = _NEXT.search(text, place, end)
    if cut is not None and cut.start() > place:
        end = cut.start()
    elif end >= most:
        return place, end, False
    return place, _without_closers(text, place, end), False


def is_quoted_itself(text: str, start: int, end: int) -> bool:
    """Whether what stands from `start` to `end` is in quotes, sign and all: `"password:"`."""
    opened = text[start - 1 : start]
    return bool(opened) and _CLOSING.match(text, end) is not None and text[end] == opened


def to_its_end(text: str, start: int, end: int) -> Span:
    """The span of an unquoted value that is cut out, to its end if it was longer than was looked at."""
    if end - start >= _LONGEST_BARE:
        more = _BARE.match(text, end)
        end = more.end() if more else end
    return start, end


def _skipped(text: str, place: int) -> int:
    end = place
    while end < len(text) and end - place < 200 and text[end] in " \t\n\xa0":  # noqa: PLR2004  # an indent
        end += 1
    return end


def _quoted(text: str, opened: re.Match[str]) -> tuple[int, int, bool]:
    start, mark, slashes = opened.end(), opened["mark"], opened["slashes"]
    if text.startswith(mark * 2, start) and not slashes:  # three of them
        start += 2
        end = text.find(mark * 3, start, start + _LONGEST_QUOTED)
    elif not slashes and mark in _WITHIN:
        end = _end_within(text, start, mark)
    else:
        end = text.find(slashes + _CLOSES.get(mark, mark), start, start + _LONGEST_QUOTED)
    if end < 0:
        line = text.find("\n", start, start + _LONGEST)
        end = min(len(text) if line < 0 else line, start + _LONGEST)
    return start, end, True


def _end_within(text: str, start: int, mark: str) -> int:
    found = _WITHIN[mark].match(text, start, start + _LONGEST_QUOTED)
    end = found.end() if found else start
    return end if text.startswith(mark, end) else -1


def _without_closers(text: str, start: int, end: int) -> int:
    """`token=abc)` ends before the bracket that it did not open; so with a full stop or comma."""
    while end > start and text[end - 1] in ")]},;.:!?":
        last = text[end - 1]
        opener = {")": "(", "]": "[", "}": "{"}.get(last)
        if opener is not None and text.count(opener, start, end) >= text.count(last, start, end):
            break
        end -= 1
    return end
