"""One redactor for every exit: alerts, outcomes, case files, the report, `--json`, our own log.

Pure, and linear in the text. Secrets are cut out by their form, control and direction characters are
taken away, long texts are cut with a mark. Called by whatever lets text out of the house.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

MARK = "[redacted]"
_MOST_READ = 200_000  # of one text; more than any exit shows

# Each form is bounded, so that no text makes a search slow. What is named `keep` stays before the mark.
_FORMS: tuple[re.Pattern[str], ...] = tuple(
    re.compile(form, re.IGNORECASE)
    for form in (
        r"(?P<keep>)-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----[^-]{0,20000}(?:-----END [A-Z ]{0,40}PRIVATE KEY-----)?",
        r"(?P<keep>https://hooks\.slack\.com/)[\w/-]{10,200}",
        r"(?P<keep>)\bxox[abeprs]-[\w-]{8,200}",
        r"(?P<keep>)\bya29\.[\w-]{10,2000}",
        r"(?P<keep>)\bAIza[\w-]{30,45}",
        r"(?P<keep>)\b(?:ghp|gho|ghs|ghu|github_pat|glpat|hf|sk)[_-][\w-]{16,255}",
        r"(?P<keep>)\bAKIA[A-Z0-9]{16}\b",
        r"(?P<keep>)\beyJ[\w-]{8,2000}\.[\w-]{8,4000}(?:\.[\w-]{0,2000})?",
        r"(?P<keep>\b(?:bearer|basic|token)\s{1,4})[\w.~+/=-]{12,4000}",
        r"(?P<keep>\b[a-z][a-z0-9+.-]{1,20}://[^\s/:@'\"]{0,100}:)[^\s/@'\"]{1,200}(?=@)",
        r"(?P<keep>[?&](?:X-Goog-Signature|X-Amz-Signature|Signature|sig|access_token|token|key|api_key)=)[^&\s'\"]{6,4000}",
        (
            r"(?P<keep>[\w.-]{0,60}(?:password|passwd|secret|api_?key|access_?key|private_?key|auth_?token|access_?token|credential)[\w.-]{0,40}"
            r"[\"']?\s{0,3}[=:]\s{0,3}[\"']?)(?!\[redacted\])(?!env:|secret:)[^\s\"',;}]{4,4000}"
        ),
    )
)
_SECRET_KEY = re.compile(
    r"(?:password|passwd|secret|api_?key|access_?key|private_?key|token|credential)s?$",
    re.IGNORECASE,
)
# Control characters (but tab and newline), and marks that turn the direction of text or hide it.
_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb]"
)
_NOT_SECRET = ("next_page_token", "nextPageToken", "pageToken")


def redact(text: object, limit: int = 3000) -> str:
    """The text without secrets and unseen characters, at most `limit` characters long."""
    shown = _UNSEEN.sub("", str(text)[:_MOST_READ])
    for form in _FORMS:
        shown = form.sub(lambda found: f"{found['keep']}{MARK}", shown)
    if len(shown) > limit:
        return shown[: max(0, limit - 2)] + " …"
    return shown


def redact_json(value: Any, *, limit: int = 20_000) -> Any:
    """The same JSON with every text redacted, and the values of keys that name a secret cut out.

    An environment variable (`{"name": …, "value": …}`) is judged by its name.
    """
    if isinstance(value, str):
        return redact(value, limit)
    if isinstance(value, Mapping):
        named = value.get("name")
        is_secret_variable = isinstance(named, str) and _SECRET_KEY.search(named) is not None
        return {
            str(key): MARK
            if _is_secret(key, inner) or (is_secret_variable and key == "value" and inner)
            else redact_json(inner, limit=limit)
            for key, inner in value.items()
        }
    if isinstance(value, Sequence) and not isinstance(value, bytes):
        return [redact_json(inner, limit=limit) for inner in value]
    return value


def _is_secret(key: object, value: object) -> bool:
    if not isinstance(value, str) or not value or key in _NOT_SECRET:
        return False
    if value.startswith(("env:", "secret:", "projects/")):  # a reference, not the secret itself
        return False
    return _SECRET_KEY.search(str(key)) is not None
