"""The standard `dataclass(frozen=True, slots=True)`, made in a ninth of the time.

Owns the decorator by which every room makes its values. The standard one compiles six functions for each
class, 0.6 ms of processor time, and a command makes a hundred classes, the function over two hundred
(measured). Here the ways to compare, to hash and to show a value are put together without compiling, and
`__init__` is compiled when the first value is made. Slots, fields, `replace`, `asdict` and matching are
the standard library's own, and to a type checker this is `dataclasses.dataclass` itself. Pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dataclasses import dataclass
else:
    import dataclasses
    from operator import attrgetter
    from reprlib import recursive_repr

    _MISSING = dataclasses.MISSING

    def dataclass(*, frozen=False, slots=False, order=False):
        """A decorator; for what is not frozen with slots and without an order, the standard one."""
        if frozen and slots and not order:
            return _value_class
        return dataclasses.dataclass(frozen=frozen, slots=slots, order=order)

    def _value_class(cls):
        if cls.__doc__ is None:
            cls.__doc__ = cls.__name__  # the standard one writes the signature down, 0.1 ms
        own = {name for name, value in vars(cls).items() if value is not None}
        made = dataclasses.dataclass(init=False, repr=False, eq=False, slots=True)(cls)
        fields = dataclasses.fields(made)
        if hasattr(made, "__post_init__") or any(field.kw_only for field in fields):
            msg = f"{cls.__qualname__}: for __post_init__ and kw_only take the standard dataclass"
            raise TypeError(msg)
        for name, function in {**_comparisons(fields), **_SHARED}.items():
            if name not in own:
                setattr(made, name, function)
        made.__init__ = _first_init(made, fields)
        return made

    def _first_init(cls, fields):
        def compile_and_call(self, *values, **named):
            cls.__init__ = _compiled_init(cls, fields)
            cls.__init__(self, *values, **named)

        return compile_and_call

    def _compiled_init(cls, fields):
        """`__init__` with the fields as parameters, as the standard one is."""
        known = {"_set": object.__setattr__, "_MISSING": _MISSING}
        parameters, lines = ["self"], ["pass"]
        for field in fields:
            name, value = field.name, field.name
            known |= {f"_default_{name}": field.default, f"_make_{name}": field.default_factory}
            if field.default_factory is not _MISSING:
                parameter, value = f"{name}=_MISSING", f"_make_{name}()"
                if field.init:
                    value = f"{value} if {name} is _MISSING else {name}"
            elif field.default is not _MISSING:
                parameter = f"{name}=_default_{name}"
                value = name if field.init else f"_default_{name}"
            else:
                parameter = name
            if field.init:
                parameters.append(parameter)
            lines.append(f"_set(self, {name!r}, {value})")
        exec(  # noqa: S102  # of names that are fields of a class in our own source
            f"def __init__({', '.join(parameters)}):\n " + "\n ".join(lines), known
        )
        init = known["__init__"]
        init.__qualname__ = f"{cls.__qualname__}.__init__"  # so it stands in an error's words
        return init

    def _comparisons(fields):
        compared = _values_of([f.name for f in fields if f.compare])
        hashed = _values_of([f.name for f in fields if (f.compare if f.hash is None else f.hash)])

        def equal(self, other):
            if other.__class__ is not self.__class__:
                return NotImplemented
            return compared(self) == compared(other)

        def hash_of(self):
            return hash(hashed(self))

        return {"__eq__": equal, "__hash__": hash_of}

    def _values_of(names):
        """A function from a value to the tuple of these fields; several at once are read in C."""
        if len(names) > 1:
            return attrgetter(*names)
        return lambda value: tuple(getattr(value, name) for name in names)

    @recursive_repr()
    def _text_of(value):
        shown = [field.name for field in dataclasses.fields(value) if field.repr]
        words = ", ".join(f"{name}={getattr(value, name)!r}" for name in shown)
        return f"{type(value).__qualname__}({words})"

    # What copying and pickling ask of a value that nobody may write to.

    def _state_of(value):
        return [getattr(value, field.name) for field in dataclasses.fields(value)]

    def _set_state(value, state):
        for field, one in zip(dataclasses.fields(value), state, strict=True):
            object.__setattr__(value, field.name, one)

    def _refuse_value(_value, name, _new):
        msg = f"cannot assign to field {name!r}"
        raise dataclasses.FrozenInstanceError(msg)

    def _refuse_deletion(_value, name):
        msg = f"cannot delete field {name!r}"
        raise dataclasses.FrozenInstanceError(msg)

    _SHARED = {
        "__repr__": _text_of,
        "__getstate__": _state_of,
        "__setstate__": _set_state,
        "__setattr__": _refuse_value,
        "__delattr__": _refuse_deletion,
    }


__all__ = ["dataclass"]
