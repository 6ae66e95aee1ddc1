"""Patterns that wait until they are used: each is one, and answers as the compiled one."""

from __future__ import annotations

import importlib
import pickle
import pkgutil
import re
from collections.abc import Iterator
from typing import Any

import pytest

import remediator
from remediator.domain.late_pattern import late_pattern

_DEEPEST = 4  # a table of rows of pattern and meaning, held by a class; chosen


def _late_in(value: Any, depth: int = 0) -> Iterator[Any]:
    if type(value) is type(late_pattern("")):
        yield value
    elif depth < _DEEPEST:
        if isinstance(value, dict):
            parts: list[Any] = [*value.keys(), *value.values()]
        elif isinstance(value, list | tuple | set | frozenset):
            parts = list(value)
        else:
            parts = [getattr(value, name, None) for name in getattr(value, "__slots__", None) or ()]
        for part in parts:
            yield from _late_in(part, depth + 1)


def test_every_pattern_of_the_house_compiles() -> None:
    """Python tells of a wrong one only when it is compiled, which may be at a customer's."""
    compiled = 0
    for found in pkgutil.walk_packages(remediator.__path__, "remediator."):
        if found.name.endswith("__main__"):
            continue
        for value in vars(importlib.import_module(found.name)).values():
            for pattern in _late_in(value):
                assert pattern.groups >= 0
                compiled += 1
    assert compiled > 300, "the search above finds them no more"


def test_it_answers_as_the_compiled_pattern() -> None:
    late, now = late_pattern(r"(?P<word>\w)\w", re.ASCII), re.compile(r"(?P<word>\w)\w", re.ASCII)
    for _ in range(2):  # the first question compiles it
        assert late.pattern == now.pattern
        assert late.groupindex == now.groupindex
        assert late.flags == now.flags
        assert late.findall("ab cd") == now.findall("ab cd")
        assert late.sub("x", "ab cd", count=1) == now.sub("x", "ab cd", count=1)
        assert late.match("abcd", 1, 2) is None
        found = late.search("ab", pos=0)
        assert found is not None
        assert found.re == now


def test_a_wrong_one_says_so_when_it_is_used() -> None:
    wrong = late_pattern("(")
    with pytest.raises(re.error):
        wrong.search("")
    with pytest.raises(re.error):
        wrong.search("")


def test_it_is_no_sequence_and_hides_nothing() -> None:
    with pytest.raises(AttributeError):
        late_pattern("a").__len__  # type: ignore[attr-defined]  # noqa: B018
    with pytest.raises(AttributeError):
        late_pattern("a").no_such_method  # type: ignore[attr-defined]  # noqa: B018
    assert pickle.loads(pickle.dumps(late_pattern("a"))).search("a")
