"""`env: halve` and `args: halve`: a smaller batch where the program itself says how large it is.

Owns finding a named variable or flag in the containers of a job's worker pools, and its halves, and which
step could be written. Only what the policy file names is touched, and only a whole number. Pure; called by
`steps` and by the planner.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from remediator.domain.late_pattern import late_pattern
from remediator.job import Job

Edits = Mapping[str, Any]
"""New values by their path in the job's document."""

_WHOLE = late_pattern(r"[0-9]{1,9}")


class NothingToHalve(Exception):  # never leaves the policy room
    """The variable or flag is not there, is no whole number, or is 1 already."""


def halved_variables(job: Job, names: Iterable[str]) -> Edits:
    """Each named variable in every container that sets it, at half; raises NothingToHalve."""
    edits: dict[str, Any] = {}
    for name in names:
        held = {
            f"{path}[{index}].value": value
            for path in job.environments
            for index, named, value in job.variables_at(path)
            if named == name
        }
        edits |= {path: _half(value) for path, value in _numbers(name, held).items()}
    return edits


def halved_flags(job: Job, flags: Iterable[str]) -> Edits:
    """Each named flag in every container that passes it, at half; raises NothingToHalve.

    Understood are `--flag=16`, `--flag` with 16 after it, and both inside a shell's command line. Within
    a flag's name `-` and `_` count as one: what a policy names `--batch_size` may be `--batch-size`.
    """
    edits: dict[str, Any] = {}
    for flag in flags:
        found: dict[str, Any] = {}
        seen: list[str] = []
        name = _either_spelling(flag)
        alone, inside = re.compile(name), _inside(name)
        for path in job.command_lines:
            words = [str(word) for word in job.read(path) or ()]
            for index, word in enumerate(words):
                following = words[index + 1] if index + 1 < len(words) else ""
                if alone.fullmatch(word) and _WHOLE.fullmatch(following):
                    seen.append(following)
                    found[f"{path}[{index + 1}]"] = _half(following)
                elif within := inside.search(word):
                    seen.append(within["number"])
                    half = _half(within["number"])
                    start, end = within.span("number")
                    found[f"{path}[{index}]"] = word[:start] + half + word[end:]
        _require(flag, seen)
        edits |= found
    return {path: value for path, value in edits.items() if job.read(path) != value}


_OF_A_BATCH = late_pattern(
    r"(?:^|[-_])(?:mini|micro)?[-_]?batch[-_]?size(?:$|[-_])|^batch$", re.IGNORECASE
)
_FLAG = late_pattern(
    r"(?<![\w-])(?P<flag>--?[A-Za-z][\w-]{0,60})(?:=|\s+)[\"']?(?P<number>[0-9]{1,9})(?![\w.])"
)


def batch_step(job: Job) -> str:
    """The step that would halve the batch of which the job's own environment or arguments tell, as it would be
    written; empty: they tell of none, or it is 1."""
    for path in job.environments:
        for _, name, value in job.variables_at(path):
            if _OF_A_BATCH.search(name) and _WHOLE.fullmatch(value) and int(value) > 1:
                return f"env: {{{name}: halve}}"
    for path in job.command_lines:
        text = " ".join(str(word) for word in job.read(path) or ())
        for found in _FLAG.finditer(text):
            if _OF_A_BATCH.search(found["flag"].lstrip("-")) and int(found["number"]) > 1:
                return f'args: {{"{found["flag"]}": halve}}'
    return ""


def _either_spelling(flag: str) -> str:
    """A pattern for the flag, written with hyphens or with underscores; its leading hyphens stand."""
    name = flag.lstrip("-")
    leading = flag[: len(flag) - len(name)]
    return leading + "[-_]".join(re.escape(word) for word in re.split("[-_]", name))


def _inside(name: str) -> re.Pattern[str]:
    """The flag with its number within one word of the command."""
    return re.compile(rf"(?<![\w-]){name}(=|\s+)[\"']?(?P<number>[0-9]{{1,9}})(?![\w.])")


def _numbers(name: str, held: Mapping[str, str]) -> Mapping[str, str]:
    numbers = {path: value for path, value in held.items() if _WHOLE.fullmatch(value)}
    _require(name, list(numbers.values()))
    return {path: value for path, value in numbers.items() if int(value) > 1}


def _require(name: str, values: list[str]) -> None:
    if not values:
        msg = f"the job sets no {name} to a whole number"
        raise NothingToHalve(msg)
    if max(int(value) for value in values) <= 1:
        msg = f"{name} is {values[0]} already"
        raise NothingToHalve(msg)


def _half(value: str) -> str:
    return str(max(1, int(value) // 2))
