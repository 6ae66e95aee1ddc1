"""One redactor for every exit: alerts, outcomes, case files, the report, `--json`, our own log.

Pure, and linear in the text whatever it holds (RE2). Secrets are cut out by their form or by the name
they stand under; control, direction and invisible characters are taken away; long texts are cut with
a mark. Called by whatever lets text out of the house.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import re2

MARK = "[redacted]"
_LEFT_OUT = "\n[… {count} characters left out …]\n"
_SHORT = 1000  # a text this short is cut at its end only

# A text is cut before it is searched. What is read beyond the cut, and then dropped, is longer than
# any secret that could be recognised by its whole only, such as a 4096-bit key's end.
_MARGIN, _GUARD = 8192, 4096

_WORDS = (
    "password|passwd|passphrase|pwd|secret|token|credentials?|api[_-]?key|access[_-]?key"
    "|private[_-]?key|secret[_-]?key|signing[_-]?key|account[_-]?key|encryption[_-]?key|auth[_-]?key"
)
_QUOTE = r"""(?:\\*["'])"""
_ASSIGNED = rf"[\w.-]*(?:{_WORDS}){_QUOTE}?\s{{0,3}}(?:=>|=|:)\s{{0,3}}"
_REFERENCES = ("env:", "secret:", "projects/", MARK)


@dataclass(frozen=True, slots=True)
class _Form:
    """`pattern` has the groups `keep` (stays, before the mark) and `secret` (goes)."""

    name: str
    pattern: str
    goes: Callable[[str, str], bool] = lambda _keep, _secret: True


_LETTERS = re.compile(r"[\w-]{1,255}")


def _is_no_word(_keep: str, secret: str) -> bool:
    """Tells a token from prose such as "bearer authentication": it has more than small letters."""
    return not (secret.isalpha() and secret.islower())


def _is_no_reference(keep: str, secret: str) -> bool:
    """`webhook: "secret:NAME"` and `env:NAME` say where a secret is, and are none."""
    names_one = keep.lower().endswith("secret:") and _LETTERS.fullmatch(secret) is not None
    return not secret.startswith(_REFERENCES) and not names_one


_FORMS = (
    _Form(
        "private key",
        r"(?P<keep>)(?P<secret>-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----"
        r"(?s:.*?)(?:-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----|\z))",
    ),
    _Form(
        "webhook",
        r"(?i)(?P<keep>https://(?:hooks\.slack(?:-gov)?\.com|discord(?:app)?\.com/api/webhooks"
        r"|[\w.-]+\.webhook\.office\.com|[\w.-]+\.logic\.azure\.com)/)(?P<secret>[^\s\"'<>\\]+)",
    ),
    _Form(
        "password in a URL",
        r"(?i)(?P<keep>\b[a-z][a-z0-9+.-]{1,30}://(?:[^\s/?#:@\"'<>]*:)?)"
        r"(?P<secret>[^\s/?#\"'<>]*)(?P<after>@)",
    ),
    _Form(
        "signed URL",
        r"(?i)(?P<keep>[?&;](?:x-goog-signature|x-goog-credential|x-amz-signature|x-amz-credential"
        r"|x-amz-security-token|signature|sig|access_token|id_token|refresh_token|auth_token|token"
        r"|key|api_?key|code|client_secret|password|secret)=)(?P<secret>[^&\s\"'<>#\\]+)",
    ),
    _Form(
        "header",
        r"(?i)(?P<keep>\b(?:proxy-)?(?:authorization|x-api-key|x-goog-api-key|x-auth-token"
        rf"|x-vault-token|set-cookie|cookie){_QUOTE}?\s{{0,3}}[:=]\s{{0,3}}{_QUOTE}?)"
        r"(?P<secret>[^\r\n\"'\\]+)",
    ),
    _Form(
        "bearer",
        r"(?i)(?P<keep>\bbearer\s{1,4})(?P<secret>[\w.~+/=-]{8,})",
        goes=_is_no_word,
    ),
    _Form(
        "token by its form",
        r"(?P<keep>)(?P<secret>\b(?:"
        r"ya29\.[\w-]{10,}|AIza[\w-]{30,}|GOCSPX-[\w-]{10,}|1//[\w-]{30,}"
        r"|gh[oprsu]_[A-Za-z0-9]{16,}|github_pat_\w{16,}|glpat-[\w-]{16,}"
        r"|xox[a-z]-[\w-]{8,}|xapp-[\w-]{8,}|hf_[A-Za-z0-9]{16,}|npm_[A-Za-z0-9]{20,}"
        r"|pypi-[\w-]{20,}|sk-[\w-]{16,}|[rs]k_(?:live|test)_\w{10,}|dop_v1_\w{20,}"
        r"|SG\.[\w-]{16,}\.[\w-]{16,}|(?:AKIA|ASIA)[A-Z0-9]{16}"
        r"|eyJ[\w-]{8,}\.[\w-]{8,}(?:\.[\w-]*)?))",
    ),
    _Form(
        "variable beside its value",
        rf"(?i)(?P<keep>\bname{_QUOTE}?\s{{0,3}}[:=]\s{{0,3}}{_QUOTE}[\w.-]*(?:{_WORDS}){_QUOTE}"
        rf"[\s,;]{{0,40}}{_QUOTE}?value{_QUOTE}?\s{{0,3}}[:=]\s{{0,3}}{_QUOTE})(?P<secret>[^\"'\\]+)",
        goes=_is_no_reference,
    ),
    _Form(
        "flag",
        rf"(?i)(?P<keep>(?:^|[\s\"'\[,])--?[\w.-]*(?:{_WORDS})(?:{_QUOTE},?\s{{0,3}}|\s{{1,3}}){_QUOTE}?)"
        r"(?P<secret>[^\s\"',\\\]-][^\s\"',\\\]]*)",
        goes=_is_no_reference,
    ),
    _Form(
        "user of a command",
        r"(?i)(?P<keep>\b(?:curl|wget)\b[^\r\n]{0,300}?\s(?:-u|--user)[\s=]{0,3}[\"']?[^\s:\"']{1,100}:)"
        r"(?P<secret>[^\s\"']+)",
    ),
    *(
        _Form(
            f"assignment in {opening}",
            rf"(?i)(?P<keep>{_ASSIGNED}{opening})(?P<secret>{inside})",
            goes=_is_no_reference,
        )
        for opening, inside in (
            ('"', r'(?:[^"\\]|\\.)+'),
            ("'", r"(?:[^'\\]|\\.)+"),
            (r"\\+[\"']", r"[^\"'\\]+"),  # text inside text: the quotes themselves are escaped
            ("", r"[^\s\"',;&}\)\]\\]{4,}"),
        )
    ),
)

# One quick search tells the many harmless texts from those that need the forms.
_HINT = (
    rf"(?i)://|curl|wget|-----BEGIN|bearer|authorization|cookie|-key|{_WORDS}|ya29\.|AIza|GOCSPX|1//"
    r"|gh[oprsu]_|github_pat|glpat|xox|xapp|hf_|npm_|pypi-|sk-|[rs]k_|dop_v1|SG\.|AKIA|ASIA|eyJ"
)

_ESCAPES = re.compile(
    r"\x1b(?:\[[0-9;?]{0,40}[ -/]{0,4}[@-~]|\][^\x07\x1b]{0,2000}(?:\x07|\x1b\\)?)"
)
_BREAKS = re.compile("\r\n?|[\x0b\x0c\x85\u2028\u2029]")
# Control characters but tab and newline; marks that turn the direction of text, or hide it; halves
# of characters that no encoder takes.
_UNSEEN = re.compile(
    "[\x00-\x08\x0e-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f"
    "\ufeff\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e007f]"
)
_SECRET_KEY = re.compile(
    r"(?:pass(?:word|wd|phrase)|secret|token|credentials?|"
    r"(?:api|access|private|secret|signing|account|encryption|auth)[_-]?key)\Z",
    re.IGNORECASE,
)
_NOT_SECRET = frozenset({"next_page_token", "nextPageToken", "pageToken", "page_token"})


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
    """The same JSON with every text redacted, and the values of keys that name a secret cut out.

    An environment variable (`{"name": …, "value": …}`) is judged by its name, the argument after a
    flag (`["--token", "…"]`) by the flag.
    """
    if isinstance(value, str):
        return redact(value, limit)
    if isinstance(value, Mapping):
        named = value.get("name")
        is_secret_variable = isinstance(named, str) and _names_a_secret(named)
        return {
            redact(key, limit): MARK
            if _is_secret(str(key), inner)
            or (key == "value" and is_secret_variable and _is_secret("token", inner))
            else redact_json(inner, limit=limit)
            for key, inner in value.items()
        }
    if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray):
        shown = [redact_json(inner, limit=limit) for inner in value]
        for place, flag in enumerate(value[:-1]):
            is_flag = isinstance(flag, str) and flag.startswith("-") and "=" not in flag
            if is_flag and _names_a_secret(flag) and _is_secret("token", value[place + 1]):
                shown[place + 1] = MARK
        return shown
    return value


def _clean(raw: str) -> str:
    shown = raw
    if not raw.isprintable():
        shown = _UNSEEN.sub("", _BREAKS.sub("\n", _ESCAPES.sub("", raw)))
    if _compiled(_HINT).search(shown) is None:
        return shown
    for form in _FORMS:
        shown = _compiled(form.pattern).sub(_marking(form), shown)
    return shown


def _marking(form: _Form) -> Callable[[Any], str]:
    def mark(found: Any) -> str:
        groups = found.groupdict()
        keep, secret, after = groups["keep"], groups["secret"], groups.get("after") or ""
        if not secret or secret == MARK or not form.goes(keep, secret):
            return str(found.group())
        return f"{keep}{MARK}{after}"

    return mark


@cache
def _compiled(pattern: str) -> Any:
    """Compiled when first needed: an irrelevant event pays nothing for it."""
    options = re2.Options()
    options.max_mem = 64 << 20  # room for the searching automaton; not used unless needed
    return re2.compile(pattern, options)


def _names_a_secret(name: str) -> bool:
    return _SECRET_KEY.search(name) is not None and name not in _NOT_SECRET


def _is_secret(key: str, value: object) -> bool:
    """Whether a value under this key is to be cut out: a text that is no reference to a secret."""
    if not isinstance(value, str) or not value or value.startswith(_REFERENCES):
        return False
    return _names_a_secret(key)
