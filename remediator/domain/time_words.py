"""Time in words, and words read as time: one form each for the whole product.

A length of time is told in its two largest units. How finely depends on what it is for: `span_words` in
alerts and reports, `minutes_words` where seconds say nothing, `exact_span_words` where a program's own
times are told, `hours_words` beside a price.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

_MINUTE, _HOUR = 60, 3600
UNIT_SECONDS = {"d": 86_400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}


def _duration_of(digits: int) -> str:
    amount = rf"[0-9]{{1,{digits}}}(\.[0-9]{{1,6}})?"
    return "(?=[0-9])" + "".join(f"({amount}{unit})?" for unit in UNIT_SECONDS)


DURATION = _duration_of(9)
"""A duration as people write it, as a pattern: `10m`, `2h30m`, each unit once, the largest first."""
_ANY_DURATION = re.compile(_duration_of(18))  # that one is too long is said in other words


def seconds_of(text: str) -> float | None:
    """The seconds of a duration such as `90s`, `10m`, `1.5d` or `2h30m`; None: it is none."""
    if _ANY_DURATION.fullmatch(text) is None:
        return None
    parts = re.findall(r"([0-9.]+)([a-z]+)", text)
    return sum(float(number) * UNIT_SECONDS[unit] for number, unit in parts)


def span_words(seconds: float) -> str:
    """`45 s`, `11 min 00 s`, `1 h 05 min`, `2 d 3 h`."""
    whole = max(0, round(seconds))
    days, hours = divmod(whole // _HOUR, 24)
    if days:
        return f"{days} d {hours} h"
    return _clock_words(whole) if whole >= _MINUTE else f"{whole} s"


def minutes_words(seconds: float) -> str:
    """`42 min`, `1 h 05 min`; less than half a minute is 0 min."""
    hours, minutes = divmod(max(0, round(seconds / _MINUTE)), 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min"


def exact_span_words(seconds: float) -> str:
    """`4.2 s`, `42 s`, `3 min 20 s`, `3 min`, `50 h 05 min`."""
    whole = round(seconds)
    if whole < _MINUTE:
        return f"{seconds:.1f} s" if seconds < 10 else f"{whole} s"  # noqa: PLR2004  # one digit
    return _clock_words(whole).removesuffix(" 00 s")


def hours_words(seconds: float) -> str:
    """`30 min`, `1.5 h`: three digits that count."""
    if seconds >= _HOUR:
        return f"{seconds / _HOUR:.3g} h"
    return f"{seconds / _MINUTE:.3g} min"


def _clock_words(whole: int) -> str:
    """From a minute on."""
    if whole >= _HOUR:
        return f"{whole // _HOUR} h {whole % _HOUR // _MINUTE:02d} min"
    return f"{whole // _MINUTE} min {whole % _MINUTE:02d} s"


def moment_words(moment: datetime) -> str:
    """`2026-11-23 20:00 UTC`."""
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")
