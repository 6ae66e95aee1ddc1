"""Our `dataclass` beside the standard one: whatever a caller can see is the same."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from collections.abc import Callable
from dataclasses import field
from typing import Any

import pytest

from remediator.domain.light_dataclass import dataclass


@dataclasses.dataclass(frozen=True, slots=True)
class Standard:
    """What is compared with."""

    name: str
    size: int = 3
    tags: dict[str, int] = field(default_factory=dict, hash=False)
    note: str = field(default="", compare=False, repr=False)
    made: list[str] = field(default_factory=list, init=False, compare=False)
    kind: str = field(default="box", init=False)

    @property
    def length(self) -> int:
        return len(self.name)


@dataclass(frozen=True, slots=True)
class Light:
    """What is compared."""

    name: str
    size: int = 3
    tags: dict[str, int] = field(default_factory=dict, hash=False)
    note: str = field(default="", compare=False, repr=False)
    made: list[str] = field(default_factory=list, init=False, compare=False)
    kind: str = field(default="box", init=False)

    @property
    def length(self) -> int:
        return len(self.name)


@dataclass(frozen=True, slots=True)
class Empty:
    pass


@dataclass(frozen=True, slots=True)
class Single:  # noqa: PLW1641  # the decorator brings one
    value: object

    def __repr__(self) -> str:
        return "one of its own"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Single)


def _assign(kind: Any) -> None:
    kind("a").size = 4


def _delete(kind: Any) -> None:
    del kind("a").size


QUESTIONS: dict[str, Callable[[Any], Any]] = {
    "defaults": lambda kind: [getattr(kind("a"), f.name) for f in dataclasses.fields(kind)],
    "by position": lambda kind: dataclasses.astuple(kind("a", 1, {"x": 1}, "n")),
    "by name": lambda kind: dataclasses.asdict(kind(name="a", note="n")),
    "a default of its own for each": lambda kind: kind("a").tags is kind("a").tags,
    "what stands for a missing default": lambda kind: kind("a", tags=None).tags,
    "equal": lambda kind: kind("a") == kind("a"),
    "unequal": lambda kind: kind("a") == kind("a", 4),
    "not compared": lambda kind: kind("a", note="x") == kind("a"),
    "unlike": lambda kind: kind("a") == "a",
    "in a set": lambda kind: len({kind("a"), kind("a", tags={"x": 1}), kind("b")}),
    "hash": lambda kind: hash(kind("a")) == hash(("a", 3, "box")),
    "text": lambda kind: repr(kind("a", tags={"x": 1}, note="hidden")).partition("(")[2],
    "replaced": lambda kind: dataclasses.astuple(dataclasses.replace(kind("a"), size=9)),
    "copied": lambda kind: copy.copy(kind("a", 5)) == kind("a", 5),
    "copied to the ground": lambda kind: copy.deepcopy(kind("a", tags={"x": 1})).tags,
    "pickled": lambda kind: pickle.loads(pickle.dumps(kind("a", 5, {"y": 2}))).tags,
    "matched by": lambda kind: kind.__match_args__,
    "slots": lambda kind: (kind.__slots__, hasattr(kind("a"), "__dict__")),
    "property": lambda kind: kind("abc").length,
    "nothing given": lambda kind: kind(),
    "too much given": lambda kind: kind("a", 1, {}, "", "more"),
    "an unknown name": lambda kind: kind("a", other=1),
    "assigned": _assign,
    "deleted": _delete,
    "no dataclass field": lambda kind: dataclasses.replace(kind("a"), kind="crate"),
}


def _answer(question: Callable[[Any], Any], kind: type) -> object:
    try:
        return question(kind)
    except Exception as err:  # noqa: BLE001  # the error is what is compared
        return type(err), str(err).replace(kind.__name__, "KIND")


@pytest.mark.parametrize("name", QUESTIONS)
def test_it_answers_as_the_standard_one(name: str) -> None:
    assert _answer(QUESTIONS[name], Light) == _answer(QUESTIONS[name], Standard)
    assert _answer(QUESTIONS[name], Light) == _answer(QUESTIONS[name], Standard), "the second time"


def test_without_fields_and_with_methods_of_its_own() -> None:
    assert Empty() == Empty()
    assert hash(Empty()) == hash(())
    assert repr(Empty()) == "Empty()"
    assert repr(Single(1)) == "one of its own"
    assert Single(1) == Single(2)
    assert hash(Single(1)) == hash((1,))


def test_a_value_that_holds_itself_is_shown() -> None:
    held: list[Any] = []
    value = Single(held)
    held.append(Light("a", tags={"self": value}))  # type: ignore[dict-item]
    assert "one of its own" in repr(held)
    ring: dict[str, Any] = {}
    ring["self"] = Light("a", tags=ring)
    assert "..." in repr(ring["self"])


def test_what_it_cannot_do_is_refused() -> None:
    with pytest.raises(TypeError, match="__post_init__"):

        @dataclass(frozen=True, slots=True)
        class Late:
            name: str

            def __post_init__(self) -> None: ...


def test_what_is_not_frozen_is_the_standard_one() -> None:
    @dataclass(slots=True)
    class Open:
        size: int = 1

    opened = Open()
    opened.size = 2
    assert opened == Open(2)
