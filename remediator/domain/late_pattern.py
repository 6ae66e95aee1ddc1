"""Patterns of Python's own engine that are compiled when they are first asked for anything.

Owns `late_pattern`, which modules call where they would call `re.compile`. A command imports two hundred
patterns, 30 ms of processor time to compile, and asks some dozens of them (measured). What one answers
first is kept beside it, so that from then on a call costs what it costs without. Pure.
"""

from __future__ import annotations

import re
from typing import Any, cast


def late_pattern(pattern: str, flags: int | re.RegexFlag = 0) -> re.Pattern[str]:
    """What `re.compile` gives, and compiled at its first use: a pattern that is none fails only then."""
    return cast("re.Pattern[str]", _Late(pattern, flags))


class _Late:
    def __init__(self, pattern: str, flags: int | re.RegexFlag) -> None:
        self.pattern = pattern
        self._flags = flags

    def __getattr__(self, name: str) -> Any:
        """Asked for what is not there yet: once for each method of the pattern that is used."""
        if name.startswith("__"):
            raise AttributeError(name)
        if name == "_compiled":
            self._compiled = re.compile(self.pattern, self._flags)
            return self._compiled
        found = getattr(self._compiled, name)
        setattr(self, name, found)
        return found
