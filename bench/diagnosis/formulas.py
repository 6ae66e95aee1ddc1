"""Formulas of the scenes' files: numbers, names, arithmetic, comparisons and calls of the functions given.

Owns a small reader: the grammar is Python's expressions, of which it knows what the table below names; nothing
is evaluated by Python itself. Used by `stranger_scenes`.
"""

from __future__ import annotations

import ast
import functools
import operator
import string
from collections.abc import Callable, Mapping
from typing import Any

_OPERATORS: Mapping[type[ast.AST], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
    ast.Lt: operator.lt,
    ast.Gt: operator.gt,
}


class Unreadable(ValueError):
    """A formula holds something that is not known here."""


def value_of(formula: str, names: Mapping[str, Any]) -> Any:
    """What the formula comes to, with the names' values and functions.

    Raises:
        Unreadable: it is none, or holds a name or an operation that is not known.
    """
    return _value(_parsed(formula), names)


def names_in(formula: object) -> frozenset[str]:
    """The names that a formula holds; none in a plain number."""
    if not isinstance(formula, str):
        return frozenset()
    tree = _parsed(formula)
    return frozenset(node.id for node in ast.walk(tree) if isinstance(node, ast.Name))


def filled(template: str, names: Mapping[str, Any]) -> str:
    """The text with each formula in braces replaced: `page {i} in {uniform(1, 2):.1f}s`."""
    if "{" not in template and "}" not in template:
        return template
    return "".join(
        text if formula is None else f"{text}{format(value_of(formula, names), form or '')}"
        for text, formula, form in _parts(template)
    )


@functools.cache
def _parts(template: str) -> tuple[tuple[str, str | None, str | None], ...]:
    return tuple((text, name, form) for text, name, form, _ in string.Formatter().parse(template))


@functools.cache
def _parsed(formula: str) -> ast.expr:
    try:
        return ast.parse(formula, mode="eval").body
    except SyntaxError as error:
        raise Unreadable(formula) from error


def _value(node: ast.expr, names: Mapping[str, Any]) -> Any:
    match node:
        case ast.Constant(value=value):
            return value
        case ast.Name(id=name) if name in names:
            return names[name]
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
            return _OPERATORS[type(op)](_value(left, names), _value(right, names))
        case ast.Compare(left=left, ops=[op], comparators=[right]) if type(op) in _OPERATORS:
            return _OPERATORS[type(op)](_value(left, names), _value(right, names))
        case ast.IfExp(test=test, body=body, orelse=orelse):
            return _value(body if _value(test, names) else orelse, names)
        case ast.Call(func=ast.Name(id=name), args=given) if name in names:
            return names[name](*(_value(one, names) for one in given))
        case _:
            raise Unreadable(ast.unparse(node))
