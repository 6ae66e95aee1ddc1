"""The `if` of a policy: CEL expressions, checked against a table before they are ever run.

Owns the checking and the running of a condition; names and types are read by `expression_parser`, since
the CEL library finds them wrong only while running. The library is imported where an `if` exists and
nowhere else (it costs a quarter of a second). Called by `checks` (check) and the planner (run).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, TypeAlias

from msgspec import Struct

from remediator.policy.expression_values import BOOL, DYN, SPACES, VARIABLES, Type

# --- checking and running ----------------------------------------------------------------------


def variables_in(expression: str) -> frozenset[str]:
    """The variables that a condition names; nothing of one that cannot be read."""
    from remediator.policy.expression_parser import (  # noqa: PLC0415  # as in `check`
        BrokenExpression,
        tokens_of,
    )

    found: set[str] = set()
    path = ""
    try:
        tokens = tokens_of(expression)
    except BrokenExpression:
        return frozenset()
    for kind, text in tokens:
        if kind == "name":
            path = f"{path}{text}" if path.endswith(".") else text
            found.add(path)
        else:
            path = f"{path}." if text == "." and path else ""
    return frozenset(VARIABLES) & found


def check(expression: str) -> tuple[str, ...]:
    """Everything that is wrong with a condition, in words; nothing is run.

    Names and types are held against `VARIABLES`; then the CEL library compiles it, and literal
    patterns of `matches()` are tried for their syntax.
    """
    from remediator.policy.expression_parser import (  # noqa: PLC0415  # only where an `if` stands
        LONGEST,
        BrokenExpression,
        ExpressionParser,
        type_words,
    )

    if len(expression) > LONGEST:
        return (f"is too long: {len(expression)} characters, at most {LONGEST}",)
    try:
        reader = ExpressionParser(expression)
        kind = reader.whole()
    except BrokenExpression as broken:
        return (str(broken),)
    if kind not in {BOOL, DYN}:
        reader.problems.append(f"is {type_words(kind)}, where true or false is needed")
    if reader.problems:
        return tuple(reader.problems)
    return _compiled(expression, reader.patterns)


def _compiled(expression: str, patterns: list[str]) -> tuple[str, ...]:
    import cel  # noqa: PLC0415  # a quarter of a second that a file without an `if` does not pay

    from remediator.policy.suggestions import shown  # noqa: PLC0415  # as in `check`

    try:
        cel.compile(expression)
    except ValueError as error:
        said = re.search(r"ERROR: <input>:\d+:(\d+): (?:Syntax error: )?([^\n]*)", str(error))
        return (f"does not compile: {said[2]} (character {said[1]})" if said else str(error)[:200],)
    for pattern in patterns:
        try:
            cel.evaluate(f"''.matches({pattern})")
        except (RuntimeError, ValueError, TypeError):
            return (f"{shown(pattern)} is not a regular expression",)
    return ()


Values: TypeAlias = Mapping[str, Any]


class ExpressionValues(Struct, frozen=True):
    """What conditions are asked about, ready for the library; made once for many conditions."""

    nested: Mapping[str, Any]
    missing: tuple[str, ...]


def expression_values(values: Values) -> ExpressionValues:
    """The variables from a flat mapping by dotted name, or a nested one; None counts as missing."""
    nested: dict[str, Any] = {}
    missing: list[str] = []
    for space in sorted(SPACES):
        _place(nested, space, {})
    for name, variable in VARIABLES.items():
        value = values.get(name, _walk(values, name))
        if value is None:
            missing.append(name)
        else:
            _place(nested, name, _coerced(value, variable.type))
    return ExpressionValues(nested, tuple(missing))


def _walk(values: Values, name: str) -> object:
    value: object = values
    for part in name.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def _place(nested: dict[str, Any], name: str, value: object) -> None:
    *path, last = name.split(".")
    for part in path:
        nested = nested[part]
    nested[last] = value


def _coerced(value: Any, kind: Type) -> object:  # a fact of any type
    if kind[0] == "map":
        return {str(k): str(v) for k, v in value.items()}
    return {"int": int, "double": float, "bool": bool}.get(kind[0], str)(value)


class Condition(Struct, frozen=True):
    """A compiled condition. A value that is missing where it is needed makes it not hold.

    CEL's own rule decides what is needed: `a || b` holds when one side does, whatever the other.
    """

    expression: str
    program: Any

    def __call__(self, values: Values | ExpressionValues) -> bool:
        return self.answer(values)[0]

    def answer(self, values: Values | ExpressionValues) -> tuple[bool, str]:
        """Whether it holds, and why not where a value was missing or an operation failed."""
        known = values if isinstance(values, ExpressionValues) else expression_values(values)
        try:
            holds = self.program.execute(known.nested)
        except (
            KeyError,
            RuntimeError,
            TypeError,
            ValueError,
            ArithmeticError,
            IndexError,
        ) as error:
            absent = [
                n for n in known.missing if re.search(rf"\b{re.escape(n)}\b", self.expression)
            ]
            if absent:
                return False, f"{', '.join(absent)} not known"
            said = f"no {error.args[0]}" if isinstance(error, KeyError) else str(error)[:120]
            return False, said
        return holds is True, ""


@lru_cache(maxsize=4096)
def condition(expression: str) -> Condition:
    """The condition, compiled; raises ValueError where `check` would have found a mistake."""
    problems = check(expression)
    if problems:
        msg = "; ".join(problems)
        raise ValueError(msg)
    import cel  # noqa: PLC0415  # as in `_compiled`

    return Condition(expression, cel.compile(expression))
