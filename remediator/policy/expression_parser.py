"""Reading a condition: names and types are checked against a table before it is ever run.

The CEL library finds an unknown name or a wrong type only while running, so the expression itself is read
here. Knows no value. Called by `expressions`.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping

from remediator.domain.late_pattern import late_pattern
from remediator.policy.expression_values import (
    BOOL,
    BYTES,
    DOUBLE,
    DURATION,
    DYN,
    INT,
    NULL,
    NUMBERS,
    SPACES,
    STRING,
    TIMESTAMP,
    TYPE_WORDS,
    UINT,
    VARIABLES,
    Type,
)
from remediator.policy.suggestions import did_you_mean, shown

LONGEST = 2000  # characters; a longer condition is no longer read by anyone
_DEEPEST = 40  # brackets and operators inside one another
_MOST_CHAINED = 2
"""Macros one after another (`….filter(…).exists(…)`). Each may multiply what the one before it made, and
one inside another runs through its list each time: with neither bound, a few hundred letters have no
end. With both, the work is at most the third power of the length, divided among three parts."""


# --- reading: tokens ---------------------------------------------------------------------------

_TOKEN = late_pattern(
    r"""
    (?P<space>\s+|//[^\n]*)
  | (?P<string>[bB]?[rR]?(?:\"\"\"(?:\\.|[^\\])*?\"\"\"|'''(?:\\.|[^\\])*?'''
        |"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'))
  | (?P<double>(?:[0-9]+\.[0-9]+|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|[0-9]+[eE][+-]?[0-9]+)
  | (?P<int>0x[0-9a-fA-F]+[uU]?|[0-9]+[uU]?)
  | (?P<name>[A-Za-z_][A-Za-z0-9_]*)
  | (?P<sign>\|\||&&|==|!=|<=|>=|[-+*/%!<>?:.,()\[\]{}])
    """,
    re.VERBOSE | re.DOTALL,
)


class BrokenExpression(Exception):  # never leaves the language's own modules
    """The expression cannot be read any further."""


def tokens_of(expression: str) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    at = 0
    while at < len(expression):
        match = _TOKEN.match(expression, at)
        if match is None:
            rest = expression[at : at + 1]
            meant = {"=": "; did you mean `==`?", "&": "; did you mean `&&`?"}.get(rest, "")
            msg = f"does not compile: unexpected {shown(rest)}{meant}"
            raise BrokenExpression(msg)
        if match.lastgroup and match.lastgroup != "space":
            found.append((match.lastgroup, match[0]))
        at = match.end()
    return [*found, ("end", "the end")]


# --- reading: names and types ------------------------------------------------------------------

_RELATIONS = {"<", "<=", ">", ">=", "==", "!="}
_BINDS = {  # left-associative operators by how tightly they bind
    "<": 1, "<=": 1, ">": 1, ">=": 1, "==": 1, "!=": 1, "in": 1,
    "+": 2, "-": 2,
    "*": 3, "/": 3, "%": 3,
}  # fmt: skip
_WORD_OPERATORS = {"and": "&&", "or": "||", "not": "!"}

_METHODS: Mapping[tuple[str, str], tuple[tuple[Type, ...], Type]] = {
    ("string", "startsWith"): ((STRING,), BOOL),
    ("string", "endsWith"): ((STRING,), BOOL),
    ("string", "contains"): ((STRING,), BOOL),
    ("string", "matches"): ((STRING,), BOOL),
    ("string", "size"): ((), INT),
    ("bytes", "size"): ((), INT),
    ("list", "size"): ((), INT),
    ("map", "size"): ((), INT),
    ("duration", "getHours"): ((), INT),
    ("duration", "getMinutes"): ((), INT),
    ("duration", "getSeconds"): ((), INT),
}
_FUNCTIONS: Mapping[str, Type] = {
    "size": INT,
    "int": INT,
    "uint": UINT,
    "double": DOUBLE,
    "string": STRING,
    "duration": DURATION,
    "timestamp": TIMESTAMP,
    "dyn": DYN,
}
_MACROS = ("all", "exists", "exists_one", "filter", "map")
_METHOD_NAMES = sorted({name for _, name in _METHODS} | set(_MACROS))


def type_words(kind: Type) -> str:
    """A type in words: `a list of text`."""
    return TYPE_WORDS.get(kind[0], kind[0])


def _element(kind: Type) -> Type:
    return kind[1:] or DYN


def _nearest_variable(path: str) -> str:
    """By its last word: `vcpus` means `job.machine.vcpus`, and so does `job.machne.vcpu`.

    Else by the whole: `job.machine_type` means `job.machine.type`.
    """
    ends = {name.rpartition(".")[2]: name for name in reversed(list(VARIABLES))}
    near = difflib.get_close_matches(path.rpartition(".")[2], ends, n=1, cutoff=0.7)
    if near:
        return f"; did you mean `{ends[near[0]]}`?"
    whole = difflib.get_close_matches(path, VARIABLES, n=1, cutoff=0.8)
    return f"; did you mean `{whole[0]}`?" if whole else ""


class ExpressionParser:
    """Reads one expression by recursive descent and notes what is wrong with names and types."""

    def __init__(self, expression: str) -> None:
        self.problems: list[str] = []
        self.patterns: list[str] = []
        self._tokens = tokens_of(expression)
        self._at = 0
        self._depth = 0
        self._macros = 0
        self._within = ""  # the macro that is being read
        self._bound: dict[str, Type] = {}

    def whole(self) -> Type:
        kind = self._choice()
        self._need("end")
        return kind

    # tokens

    def _peek(self) -> tuple[str, str]:
        return self._tokens[self._at]

    def _is(self, *texts: str) -> bool:
        sort, text = self._peek()
        return sort in {"sign", "name"} and text in texts

    def _take(self) -> tuple[str, str]:
        token = self._peek()
        self._at = min(self._at + 1, len(self._tokens) - 1)
        return token

    def _need(self, wanted: str) -> None:
        sort, text = self._take()
        if wanted not in {sort, text}:
            expected = "the end" if wanted == "end" else f"`{wanted}`"
            found = text if sort == "end" else f"`{text}`"
            meant = _WORD_OPERATORS.get(text)
            hint = f"; did you mean `{meant}`?" if meant else ""
            msg = f"does not compile: expected {expected}, found {found}{hint}"
            raise BrokenExpression(msg)

    def _deeper(self) -> None:
        self._depth += 1
        if self._depth > _DEEPEST:
            msg = "is nested too deeply"
            raise BrokenExpression(msg)

    def _wrong(self, problem: str) -> None:
        if problem not in self.problems:
            self.problems.append(problem)

    # operators, loosest first

    def _choice(self) -> Type:
        self._deeper()
        kind = self._either()
        if self._is("?"):
            self._take()
            self._must_be(BOOL, kind, "before `?`")
            yes = self._either()
            self._need(":")
            no = self._choice()
            kind = yes if yes == no else DYN
        self._depth -= 1
        return kind

    def _either(self) -> Type:
        kind = self._both()
        while self._is("||"):
            self._take()
            self._must_be(BOOL, kind, "beside `||`")
            self._must_be(BOOL, self._both(), "beside `||`")
            kind = BOOL
        return kind

    def _both(self) -> Type:
        kind = self._operation(1)
        while self._is("&&"):
            self._take()
            self._must_be(BOOL, kind, "beside `&&`")
            self._must_be(BOOL, self._operation(1), "beside `&&`")
            kind = BOOL
        return kind

    def _operation(self, tightness: int) -> Type:
        kind = self._unary()
        while self._peek()[0] in {"sign", "name"}:
            binds = _BINDS.get(self._peek()[1], 0)
            if binds < tightness:
                break
            sign = self._take()[1]
            kind = self._result(sign, kind, self._operation(binds + 1))
        return kind

    def _unary(self) -> Type:
        sign, count = self._peek()[1], 0
        while self._peek()[0] == "sign" and sign in {"!", "-"} and self._is(sign):
            self._take()
            count += 1
        kind = self._member()
        if count and sign == "!":
            self._must_be(BOOL, kind, "after `!`")
            return BOOL
        if count and kind not in {INT, DOUBLE, DYN}:
            self._wrong(f"`-` needs a number, got {type_words(kind)}")
        return kind

    def _must_be(self, wanted: Type, kind: Type, where: str) -> None:
        if kind not in {wanted, DYN}:
            self._wrong(f"{where} stands {type_words(kind)}, where {type_words(wanted)} is needed")

    def _result(self, sign: str, left: Type, right: Type) -> Type:
        if sign == "in":
            return self._contained(left, right)
        if sign in _RELATIONS:
            alike = left == right or (left in NUMBERS and right in NUMBERS)
            alike = alike or (left[0] == right[0] and () in {left[1:], right[1:]})  # `[]`, `{}`
            if not alike and DYN not in {left, right}:
                always = "always" if sign == "!=" else "never"
                self._wrong(
                    f"`{sign}` compares {type_words(left)} with {type_words(right)}: {always} true"
                )
            elif sign not in {"==", "!="} and left[0] in {"list", "map", "null"}:
                self._wrong(f"`{sign}` cannot order {type_words(left)}")
            return BOOL
        if DYN in {left, right}:
            return DYN
        if left != right:
            mixed = left in NUMBERS and right in NUMBERS
            hint = ": write whole numbers as 60.0, or convert with double()" if mixed else ""
            self._wrong(f"`{sign}` cannot join {type_words(left)} and {type_words(right)}{hint}")
            return DYN
        fits = left in NUMBERS if sign != "%" else left in {INT, UINT}
        joins = sign == "+" and left[0] in {"string", "bytes", "list", "duration"}
        if not fits and not joins:
            self._wrong(f"`{sign}` does not work on {type_words(left)}")
        return left

    def _contained(self, left: Type, right: Type) -> Type:
        if right[0] not in {"list", "map", "dyn"}:
            self._wrong(f"`in` needs a list or a map on its right, got {type_words(right)}")
            return BOOL
        inside = STRING if right[0] == "map" else _element(right)
        alike = left == inside or (left in NUMBERS and inside in NUMBERS)
        if right[0] != "dyn" and not alike and DYN not in {left, inside}:
            self._wrong(f"`in` looks for {type_words(left)} among {type_words(inside)}: never true")
        return BOOL

    # values

    def _member(self) -> Type:
        before = self._macros
        path, kind = self._primary()
        while True:
            if self._is("."):
                self._take()
                sort, name = self._take()
                if sort != "name":
                    msg = f"does not compile: expected a name after `.`, found `{name}`"
                    raise BrokenExpression(msg)
                if self._is("("):
                    if name in _MACROS:
                        self._bounded(name, self._macros - before)
                    kind, path = self._method(self._valued(path, kind), name), ""
                else:
                    path, kind = self._selected(path, kind, name)
            elif self._is("["):
                kind, path = self._indexed(self._valued(path, kind)), ""
            else:
                return self._valued(path, kind)

    def _valued(self, path: str, kind: Type) -> Type:
        """The type of what was read, which must be a value: neither unknown nor a namespace."""
        if path in SPACES:
            inside = [n for n in VARIABLES if n.startswith(f"{path}.")]
            named = ", ".join(f"`{name}`" for name in inside[:4])
            more = ", …" if inside[4:] else ""
            self._wrong(f"`{path}` is not a value by itself; in it are {named}{more}")
        elif path:
            self._wrong(f"unknown variable `{path}`{_nearest_variable(path)}")
        return kind

    def _selected(self, path: str, kind: Type, name: str) -> tuple[str, Type]:
        if path:
            return self._variable_named(f"{path}.{name}")
        if kind[0] == "map":
            return "", _element(kind)
        if kind != DYN:
            self._wrong(f"{type_words(kind)} has no field `{name}`")
        return "", DYN

    def _variable_named(self, path: str) -> tuple[str, Type]:
        if path in VARIABLES:
            return "", VARIABLES[path].type
        if path in SPACES:
            return path, DYN
        return path, DYN

    def _indexed(self, kind: Type) -> Type:
        self._take()
        key = self._choice()
        self._need("]")
        wanted = {"map": STRING, "list": INT}.get(kind[0])
        if wanted is None and kind != DYN:
            self._wrong(f"{type_words(kind)} has no `[…]`")
        elif wanted is not None:
            self._must_be(wanted, key, "in `[…]`")
        return _element(kind) if kind[0] in {"map", "list"} else DYN

    def _primary(self) -> tuple[str, Type]:
        sort, text = self._take()
        simple: Callable[[], Type] | None = {"(": self._group, "[": self._list, "{": self._map}.get(
            text if sort == "sign" else ""
        )
        if simple is not None:
            return "", simple()
        if sort == "name":
            return self._name(text)
        if sort == "string":
            return "", BYTES if text[0] in "bB" else STRING
        if sort == "double":
            return "", DOUBLE
        if sort == "int":
            return "", UINT if text[-1] in "uU" else INT
        found = text if sort == "end" else f"`{text}`"
        msg = f"does not compile: expected a value, found {found}"
        raise BrokenExpression(msg)

    def _name(self, text: str) -> tuple[str, Type]:
        constant = {"true": BOOL, "false": BOOL, "null": NULL}.get(text)
        if constant is not None:
            return "", constant
        if self._is("("):
            return "", self._call(text)
        if text in self._bound:
            return "", self._bound[text]
        return self._variable_named(text)

    def _group(self) -> Type:
        kind = self._choice()
        self._need(")")
        return kind

    def _list(self) -> Type:
        kinds = self._arguments("]")
        return ("list", *kinds[0]) if kinds and len(set(kinds)) == 1 else ("list",)

    def _map(self) -> Type:
        values: list[Type] = []
        while not self._is("}"):
            self._choice()
            self._need(":")
            values.append(self._choice())
            if not self._is(","):
                break
            self._take()
        self._need("}")
        return ("map", *values[0]) if values and len(set(values)) == 1 else ("map",)

    def _arguments(self, closing: str) -> list[Type]:
        kinds: list[Type] = []
        while not self._is(closing):
            kinds.append(self._choice())
            if not self._is(","):
                break
            self._take()
        self._need(closing)
        return kinds

    def _call(self, name: str) -> Type:
        self._take()
        if name == "has":
            return self._has()
        kinds = self._arguments(")")
        if name not in _FUNCTIONS:
            known = [*_FUNCTIONS, "has"]
            self._wrong(f"unknown function `{name}`{did_you_mean(name, known)}")
            return DYN
        if len(kinds) != 1:
            self._wrong(f"`{name}()` takes one value, got {len(kinds)}")
        return _FUNCTIONS[name]

    def _has(self) -> Type:
        start = self._at
        self._choice()
        tokens = [text for _, text in self._tokens[start : self._at]]
        self._need(")")
        if "." not in tokens:
            self._wrong("`has()` takes a field, such as has(job.labels.team)")
        return BOOL

    def _method(self, kind: Type, name: str) -> Type:
        self._take()
        if name in _MACROS:
            return self._macro(kind, name)
        first = self._at
        kinds = self._arguments(")")
        if (name, kinds) == ("matches", [STRING]) and self._at - first == 2:  # noqa: PLR2004  # literal and bracket
            self.patterns.append(self._tokens[first][1])
        if kind == DYN:
            if name not in _METHOD_NAMES:
                self._wrong(f"unknown function `{name}`{did_you_mean(name, _METHOD_NAMES)}")
            return next((result for (_, n), (_, result) in _METHODS.items() if n == name), DYN)
        if (kind[0], name) not in _METHODS:
            known = [n for k, n in _METHODS if k == kind[0]]
            self._wrong(f"{type_words(kind)} has no function `{name}`{did_you_mean(name, known)}")
            return DYN
        wanted, result = _METHODS[kind[0], name]
        if len(kinds) != len(wanted):
            self._wrong(f"`{name}()` takes {len(wanted) or 'no'} value(s), got {len(kinds)}")
        for want, got in zip(wanted, kinds, strict=False):
            self._must_be(want, got, f"in `{name}()`")
        return result

    def _bounded(self, name: str, chained: int) -> None:
        """Refuses a macro that would make the cost grow with a power of the depth."""
        if self._within:
            msg = f"has `{name}()` inside `{self._within}()`: one must not run inside another"
            raise BrokenExpression(msg)
        if chained >= _MOST_CHAINED:
            msg = f"has more than {_MOST_CHAINED} of {', '.join(_MACROS)} one after another"
            raise BrokenExpression(msg)
        self._macros += 1

    def _macro(self, kind: Type, name: str) -> Type:
        if kind[0] not in {"list", "map", "dyn"}:
            self._wrong(f"`{name}()` goes through a list or a map, not {type_words(kind)}")
        sort, bound = self._take()
        if sort != "name":
            msg = f"does not compile: `{name}()` needs a name first, found `{bound}`"
            raise BrokenExpression(msg)
        self._need(",")
        outer = dict(self._bound)
        self._bound[bound] = STRING if kind[0] == "map" else _element(kind)
        self._within = name
        inner = self._choice()
        self._within = ""
        self._need(")")
        self._bound = outer
        if name == "map":
            return ("list", *inner)
        self._must_be(BOOL, inner, f"in `{name}()`")
        if name == "filter":
            return ("list", "string") if kind[0] == "map" else kind
        return BOOL
