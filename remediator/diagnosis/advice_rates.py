"""What helps where a service says that it is asked too often: whose rate it is, and who can raise it.

Owns whom such a message names: an API of Google's, a host, the library of a client. A quota of machines is none
of these (`advice_rules`). Pure; called by `advice`.
"""

from __future__ import annotations

from collections.abc import Iterable

from remediator.diagnosis.lazy_patterns import Linear

_TEXT, _LONGEST = 6_000, 600  # characters that are read, and of an advice; chosen
_RATE = Linear(
    r"\btoo ?many ?requests\b|\brate[ _-]?limit|ratelimit|throttl|\bslow ?down\b|\brate exceeded\b|\bover_query_limit\b"
    r"|\brequests?(?: |_)per(?: |_)(?:sec|min|hour|day|100)|\bper_minute\b|\bper minute\b|\brpm\b"
    r"|(?:status|code|error|response|http)\W{0,4}429\b|\b429 (?:client error|get|post|put|resource|exceeded|quota)\b|^429\b"
)
# Quotas of machines: fewer jobs at once, or another region.
_OF_MACHINES = Linear(
    r"\bquota metrics exceed quota limits\b|custom_model_(?:training|serving)|\b(?:cpus?|gpus?|tpus?|disks?)(?:_all_regions|_per_| quota\b)|\binsufficient '\w+' quota\b|\bjobs? at once\b"
)
_OF_VERTEX = Linear(
    r"(?:^|[^/\w.-])(?P<quota>aiplatform\.googleapis\.com/\w*(?:requests|tokens|per_minute|queries)\w*)"
)
_GOOGLES = Linear(r"(?:^|[^\w.-])(?P<api>[a-z0-9-]{2,60}\.googleapis\.com)\b")
_OF_A_MODEL = "error-code-429"  # the page that Gemini's refusals name
_RULES = Linear(r"(?P<url>https?://[^\s'\"),]{0,150}(?:\bdocs?\b|rate-?limit)[^\s'\"),]{0,100})")
_URL = Linear(
    r"(?P<scheme>https?|wss?|grpcs?)://(?:[^\s/@'\"]{1,80}@)?(?P<host>[a-z0-9.-]{3,120}[a-z0-9])"
)
_HOST = Linear(
    r"\b(?:host|server|upstream|endpoint|from|by|to|at)\b\W{1,4}(?P<host>(?:[a-z0-9-]{1,60}\.){1,5}[a-z]{2,20})\b"
)
_PULLS = Linear(r"\btoomanyrequests\b|\bpull rate limit\b")
_OPERATION = Linear(r"when calling the (?P<operation>[a-z]\w{2,60}) operation")
_NAMED = Linear(r"\b(?P<name>[a-z][\w-]{1,30}) api\b")
# `openai.RateLimitError`: the client's own package.
_CLIENT = Linear(
    r"(?:^|[\s\"'])(?P<client>[a-z][a-z0-9]{1,30})(?:_sdk)?(?:\.\w{1,40}){0,4}\.\w{0,40}(?:RateLimit|TooManyRequests|Throttl|Api|HTTPStatus)\w{0,40}(?:Error|Exception)?\b"
)
_HELPS = (
    "let the job ask more slowly (a lower rate, or fewer requests at once, over all of its replicas), wait longer "
    "after each refusal"
)
_NO_SERVICE = frozenset(
    {"google", "requests", "httpx", "aiohttp", "urllib3", "urllib", "botocore", "boto3", "grpc", "http", "the", "an", "user", "this"}
)  # fmt: skip
_OF_GOOGLE = "https://cloud.google.com/docs/quotas/view-manage"


def advice_of_rate(texts: Iterable[str]) -> tuple[str, str] | None:
    """The advice and its link where a text says that a service is asked too often; None where none does.

    An empty link: the cause's own.
    """
    heard = [text[:_TEXT] for text in texts]
    if any(_OF_A_MODEL in text or _OF_MACHINES.is_in(text) for text in heard):
        return None  # `advice_rules` knows more
    for read in heard:
        if not _RATE.is_in(read):
            continue
        said, link = _said(read)
        if said:
            return said[:_LONGEST], link
    return None


def _said(text: str) -> tuple[str, str]:
    if found := _OF_VERTEX.search(text):
        return (
            f"The job asks Vertex too often: {_HELPS}, and ask for more of the quota {found['quota']}.",
            "",
        )
    if found := _GOOGLES.search(text):
        return (
            f"{found['api']} is asked too often: {_HELPS}, or ask for more of its quota in the project that is billed.",
            _OF_GOOGLE,
        )
    if found := _RULES.search(text):
        return (
            f"The service is asked too often: {_HELPS}, or ask it for a higher limit. Its rules: {found['url']}",
            "",
        )
    if _PULLS.is_in(text):
        return (
            "The registry is asked for images too often: log in to it, or keep a copy of the image in Artifact Registry.",
            "",
        )
    if operation := _OPERATION.search(text):
        return (
            f"The service behind {operation['operation']} is asked too often: {_HELPS}, or have its limit raised in the account that is used.",
            "",
        )
    who = _asked(text)
    owner = f"the owner of {who}" if who else "its owner"
    subject = who[:1].upper() + who[1:] if who.startswith("the ") else who or "A service"
    return f"{subject} is asked too often: {_HELPS}, and ask {owner} for a higher limit.", ""


def _asked(text: str) -> str:
    """The host, or the client's package, that a text names; empty where it names none."""
    for pattern in (_URL, _HOST):
        found = pattern.search(text)
        if found is not None:
            return str(found["host"])
    for pattern, group in ((_NAMED, "name"), (_CLIENT, "client")):
        found = pattern.search(text)
        if found is not None and found[group].lower() not in _NO_SERVICE:
            return f"the {found[group]} API"
    return ""
