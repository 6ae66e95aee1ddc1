"""One redactor for every exit: alerts, outcomes, case files, the report, `--json`, our own log.

Pure, and linear in the text whatever it holds (RE2). Secrets are cut out by their form (`tokens`), by
the name they stand under (`names`, whose values `values` judges) and by where they stand (`places`);
control, direction and invisible characters are taken away; long texts are cut with a mark. Called by
whatever lets text out of the house. What is sent to Vertex is never redacted: it is no exit.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from remediator.domain.late_pattern import late_pattern
from remediator.redaction.documents import redact_document
from remediator.redaction.places import without_secrets
from remediator.redaction.values import MARK

__all__ = ["MARK", "redact", "redact_json"]

_LEFT_OUT = "\n[… {count} characters left out …]\n"
_SHORT = 1000  # a text this short is cut at its end only

# A text is cut before it is searched. What is read beyond the cut, and then dropped, is longer than
# any secret that could be recognised by its whole only, such as a 4096-bit key's end.
_MARGIN, _GUARD = 8192, 4096

_ESCAPES = late_pattern(
    r"\x1b(?:\[[0-9;?]{0,40}[ -/]{0,4}[@-~]|\][^\x07\x1b]{0,2000}(?:\x07|\x1b\\)?)"
)
_BREAKS = late_pattern("\r\n?|[\x0b\x0c\x85\u2028\u2029]")
# Control characters but tab and newline; marks that turn the direction of text, or hide it; halves
# of characters that no encoder takes.
_UNSEEN = late_pattern(
    "[\x00-\x08\x0e-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f"
    "\ufeff\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e007f]"
)


def redact(text: object, limit: int = 3000) -> str:
    """The text without secrets and unseen characters, at most `limit` characters long.

    Of a long one both ends are kept, with a mark between them that says how much is missing.
    """
    raw = str(text)
    short = limit <= _SHORT
    tail_length = 0 if short else limit // 3
    head_length = limit - tail_length
    if len(raw) <= limit + 2 * _MARGIN:
        whole = _clean(raw)
        if len(whole) <= limit:
            return whole
        head, tail, missing = whole, whole, len(whole) - limit
    else:
        head = _clean(raw[: head_length + _MARGIN])[:-_GUARD]
        tail = _clean(raw[len(raw) - tail_length - _MARGIN :])[_GUARD:]
        missing = len(raw) - limit
    if short:
        return (head[: max(0, limit - 2)] + " …")[: max(0, limit)]
    mark = _LEFT_OUT.format(count=missing)
    return head[: head_length - len(mark)] + mark + tail[max(0, len(tail) - tail_length) :]


def redact_json(value: Any, *, limit: int = 20_000) -> Any:
    """The same JSON with every text redacted, and what stands under a secret's name cut out.

    An environment variable (`{"name": …, "value": …}`) is judged by its name, the argument after a
    flag (`["--token", "…"]`) by the flag, a command's by the command (`["mysql", "-p…"]`).
    """
    return redact_document(value, lambda text: redact(text, limit))


def _clean(raw: str) -> str:
    """One alert shows the same names, places and lines many times, and so does the next."""
    return _clean_short(raw) if len(raw) <= _REMEMBERED else _cleaned(raw)


_REMEMBERED = 400  # characters; with as many texts as below a megabyte at most, chosen


@lru_cache(maxsize=1024)
def _clean_short(raw: str) -> str:
    return _cleaned(raw)


def _cleaned(raw: str) -> str:
    shown = raw
    if not raw.isprintable():
        shown = _UNSEEN.sub("", _BREAKS.sub("\n", _ESCAPES.sub("", raw)))
    return _GLUED.sub(rf"{MARK}\g<quote>{MARK}\g<quote>", without_secrets(shown))


# A label before an assignment (`key: NAME="…"`) has the name taken for the value: what is quoted
# right behind the mark is the value.
_GLUED = late_pattern(
    r"(?<![\"'`])" + re.escape(MARK) + r"(?P<quote>[\"'`])[^\"'`\n]{1,400}(?P=quote)"
)
