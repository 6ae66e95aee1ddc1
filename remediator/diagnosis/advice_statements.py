"""What a message itself says to do, or complains of, for advice where no rule knows more.

Owns the sentences by which an error tells its own remedy ("Try decreasing `max_model_len`", "use --dtype=half
instead", "the minimum number is 1000", "Did you mean `cust_id`?"), what of such sentences is no remedy (a link, a hint for
debugging, Google's or a library's form letter), and the statement that is left of a message without its wrapping.
Pure; called by `advice`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from remediator.diagnosis.lazy_patterns import Linear
from remediator.domain.late_pattern import late_pattern

_READ = 6_000  # characters of a text that are read; chosen, as many as the rules of advice read
_LONGEST = 330  # characters of what is quoted; chosen: an alert shows 600 of an advice
_SHORTEST = 12  # characters, below which a sentence tells nothing; chosen
_SENTENCES_FIRST = (
    2  # that are quoted in any case; chosen: "Failed to import data. Not found: Dataset …"
)

_DO = (
    r"try|use|set|install|reinstall|consider|increase|decrease|reduce|specify|provide|pass|make sure|be sure|ensure|check|verify|enable"
    r"|add|remove|upgrade|downgrade|update|rename|choose|select|grant|change|convert|cast|split|shorten|avoid|disable|rebuild"
    r"|recompile|move|copy|create|delete|replace|switch|lower|raise|declare|define|restart|reshape|resize|pad|truncate|drop|fill"
)
_SAYS_WHAT_TO_DO = Linear(
    rf"^(?:\W{{0,4}}(?:hint|note|fix|solution|help|tip)\W{{1,3}})?(?:(?:please|to fix this|you can|either|instead|alternatively|or)[,:]? (?:try to )?)?(?:{_DO})\b"
    rf"|\b(?:please|you (?:can|may|might|must|should|need to|have to)(?: want to)?|(?:should|must) be) (?:also |first |then |either )?(?:{_DO})(?:d|ed)?\b"
    r"|\bdid you mean\b|\byou (?:must|need to|have to|should) \w|\b(?:must|should|needs? to|has to|have to) be\b"
    r"|\b(?:allowed|available|supported|valid|possible|accepted|permitted|expected) (?:\w+ ){0,3}(?:are|is|include)\b|\b(?:choose|must be one) (?:from|of)\b|\bexpected one of\b"
    r"|\b(?:the )?(?:minimum|maximum|max|min|limit)(?: \w+){0,3} is\b|\bat (?:least|most) \d|\b(?:is|are) required\b|\brequires \w"
    r"|\b(?:divisible by|multiple of)\b|\b(?:larger|greater|smaller|longer|higher|lower|more|fewer|less) than (?:the )?(?:\w+ )?(?:maximum|minimum|allowed|limit)\b"
    r"|\binstead\b|\bconsider \w+ing\b|\btry \w+ing\b"
)
_NO_REMEDY = Linear(
    r"\b(?:for more (?:info|detail)|to find out more|see (?:the |also )?(?:http|log|doc)|check the (?:job'?s? )?logs?|see above|more details)"
    r"|\bvalidate that your model file or container\b|\btry again\b|\bretry(?:ing)?\b|\bcontact (?:\w+ ){0,3}support\b|\b(?:report|file|open|raise|submit|create) (?:this|a|an) (?:\w+ )?(?:bug|issue|ticket)"
    r"|\breport_tensor_allocations|\bCUDA_LAUNCH_BLOCKING|\bTORCH_USE_CUDA_DSA|\bTORCH_SHOW_CPP|\bRUST_BACKTRACE|\bHYDRA_FULL_ERROR|\bTRACEBACK_FILTERING|\bfor debugging\b|\bverbose\b|\b(?:ray|docker|kubectl) logs\b"
    r"|\btypically (?:caused|means)|\bplease see\b|\bmay have\b|^raise\b \w+(?:\.\w+)*\(|\bwarnings?_?(?:filter|\.)"
)
# What stands before the statement: a level, a time, a logger's place, an exception's class, the service's preamble.
_WRAPPING = Linear(
    r"^[\s|>]*(?:\[(?:ERROR|FATAL|CRITICAL|SEVERE)\]\s*|(?:ERROR|FATAL|CRITICAL|SEVERE):\s+)?(?:\[?\d{4}-\d\d-\d\d[T ][\d:.,Z]+\]?\s*)?(?:(?:ERROR |FATAL |CRITICAL )?\d\d-\d\d [\d:.]+ )?(?:\[[\w.:-]{1,60}\]\s*)?(?:[EWF]\d{4} [\d:.]+ +\d+ [\w./]+:\d+\]\s*)?"
    r"(?:(?:[\w$]+[.:]{1,2}){0,8}\w*(?:Error|Exception|Fault|Failure|Forbidden|BadRequest|NotFound|TooManyRequests|Exit)\w*: )?"
    r"(?:\{\{[^{}]{1,300}\}\} )?(?:\[[\d:.]{5,15}\] )?(?:[\w./-]{1,120}\.(?:cc|cpp|cu|hh?|py|go|rs|java):\d+:? )?"
    r"(?:(?:Training pipeline|The batch prediction job|Batch job|The job|Job) failed(?: with error message)?: )?"
)
_INNER = Linear(r"[\"']message[\"']: ?[\"'](?P<said>[^\"]{12,1000}?)[\"'](?:[,}]|$)")
_SENTENCES = late_pattern(r"(?<=[^\s.][.!?])[\"']?\s+(?=[\"'`A-Z(\[-])|;\s+(?=\w)|\n+")
_LINK = late_pattern(
    r"\[(?P<before>[^\[\]\n]{1,200})\]\(https?://[^\s()]+\)"
    r"|[,;:(\s]*(?:\b(?:See|see|[Rr]efer to|For more (?:information|details),? (?:see|visit)|at|visit):? )?"
    r"(?:<https?://[^\s<>|]+(?:\|(?P<after>[^<>\n]{1,200}))?>|(?<!\w)https?://[^\s<>]+)[\s)]*"
)


def remedy_in(texts: Iterable[str]) -> str:
    """What the first of the texts that says what to do tells, that sentence among it; empty where none does."""
    for text in texts:
        said = _sentences(text)
        if any(map(_is_remedy, said)):
            return _joined(said)
    return ""


def statement_in(texts: Iterable[str]) -> str:
    """What the first text that tells anything complains of, without what stands before it; empty where none does."""
    return next((_joined(said) for text in texts if (said := _sentences(text))), "")


def _is_remedy(sentence: str) -> bool:
    return _SAYS_WHAT_TO_DO.is_in(sentence) and not _NO_REMEDY.is_in(sentence)


def _joined(sentences: list[str]) -> str:
    """The first sentences, and all that say what to do, as far as there is room."""
    said = ""
    for index, one in enumerate(sentences):
        open_before = said.endswith(("?", ":"))
        if index and not (index < _SENTENCES_FIRST or open_before or _is_remedy(one)):
            continue
        if index and len(said) + len(one) >= _LONGEST:
            break
        said = f"{_ended(said)} {one}" if said else one
    return _ended(said)


def _sentences(text: str) -> list[str]:
    """The sentences of a text, each once, without links and without what stands before the first."""
    read = text[:_READ]
    inner = _INNER.search(read)
    read = inner["said"] if inner else read
    wrapped = _WRAPPING.match(read)
    found: dict[str, None] = {}
    for piece in _SENTENCES.split(read[wrapped.end() :] if wrapped else read):
        one = _unquoted(_LINK.sub(_label, piece).strip(" \t,;|"))
        if (len(one) >= _SHORTEST and " " in one) or found:
            kept = one if len(one) <= _LONGEST else f"{one[: _LONGEST - 1].rstrip()}…"
            if kept and not _NO_REMEDY.is_in(kept):
                found[kept.rstrip(".")] = None
    return list(found)


def _label(link: re.Match[str]) -> str:
    """What is left of a link: the words that it shows, as in `<address|words>` and `[words](address)`."""
    return link["before"] or f" {link['after']} " if link["before"] or link["after"] else " "


def _unquoted(text: str) -> str:
    """Without a quotation mark at an end that has no partner."""
    for mark in "\"'`":
        if text.count(mark) % 2 and text[:1] == mark:
            text = text[1:]
        elif text.count(mark) % 2 and text[-1:] == mark:
            text = text[:-1]
    return text


def _ended(text: str) -> str:
    return text if text[-1:] in ".!?…:" else f"{text}."
