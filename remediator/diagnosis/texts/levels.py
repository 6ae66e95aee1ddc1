"""The level of a log's line: by the word that it begins with, by its field, or by the entry's severity.

Owns the words of levels. Pure; called by `log_lines` and `last_words`.
"""

from __future__ import annotations

import re

from remediator.diagnosis.lazy_patterns import Linear
from remediator.diagnosis.open_trace import LogItem
from remediator.diagnosis.progress_lines import warns
from remediator.domain.late_pattern import late_pattern

SAYS_ERROR = Linear(
    r"^\W{0,6}(?:\w{1,20}\W{1,3}){0,3}(?:error|fatal)\b|[:\d]\W{0,3}(?:\w{1,12} )?error\b",
    needs="error fatal",
)
QUIET = frozenset({"DEBUG", "INFO", "NOTICE", "WARNING"})
_OWN_LEVEL = late_pattern(
    r"^\W{0,3}(?:[\w:.,+/-]+\s+){0,4}?\W?(?P<level>TRACE|DEBUG|INFO|NOTICE|WARN(?:ING)?|ERROR|CRITICAL|FATAL|SEVERE)\b"
    r"|^\[[^\]]{8,40}\] (?:\[\d{1,8}\] )?\[(?P<bracketed>trace|debug|info|notice|warn|error|fatal)\]"
    r"|^\[[^\]]{8,40}\] \[[\w-]{0,30}:(?P<httpd>debug|info|notice|warn|error|crit|alert|emerg)\]"
)
_LEVEL_FIELD = late_pattern(
    r"(?:[\"'](?:level|lvl|severity|levelname|log\.level)[\"']\s{0,2}:\s{0,2}[\"']|\b(?:level|lvl)=\"?)(?P<level>[A-Za-z]{4,8})\b"
)
ERRORS = frozenset({"ERROR", "CRITICAL", "FATAL", "PANIC", "SEVERE", "EMERGENCY", "ALERT"})
WARNINGS = frozenset({"WARN", "WARNING"})
BELOW_ERROR = frozenset({"TRACE", "DEBUG", "INFO", "NOTICE", "WARN", "WARNING"})


def is_quiet(said: LogItem) -> bool:
    """Below an error, by the line's own word; stderr is logged as ERROR whatever it says."""
    own = _OWN_LEVEL.match(said.text[:_LEVEL_HEAD])
    if own:
        return _word_of(own) in BELOW_ERROR
    return _level_field(said.text) in BELOW_ERROR or said.line.severity in QUIET


def _level_field(text: str) -> str:
    """The level that a structured line (JSON, `level=warn`) gives itself, in capitals; else empty."""
    head = text[:LEVEL_READ]
    if "level" not in head and "severity" not in head and "lvl" not in head:
        return ""
    found = _LEVEL_FIELD.search(head)
    return found["level"].upper() if found else ""


def _word_of(own: re.Match[str]) -> str:
    return str(own["level"] or own["bracketed"] or own["httpd"]).upper()


def level_of(said: LogItem) -> str:
    """The level that a structured line gives itself, in capitals; else empty."""
    if said.line.is_structured:
        return said.line.severity
    return _level_field(said.text)


_LEVEL_HEAD, LEVEL_READ = 120, 300  # characters, of a plain and of a structured line; chosen


def is_warning(said: LogItem) -> bool:
    """A line that is a warning by its own level, or by its entry's where it gives itself none."""
    if said.raised or "\n" in said.text.strip():
        return False
    own = _OWN_LEVEL.match(said.text[:_LEVEL_HEAD])
    level = _word_of(own) if own else level_of(said)
    if level:
        return level in WARNINGS
    if warns(said.text):
        return True
    return said.line.severity == "WARNING" and not SAYS_ERROR.is_in(said.text[:LEVEL_READ])


def has_level(said: LogItem) -> bool:
    """Whether the line tells its own level, in its words or its fields."""
    return bool(_OWN_LEVEL.match(said.text[:_LEVEL_HEAD]) or _level_field(said.text))
