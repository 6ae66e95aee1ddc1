"""What every mapping of the policy file is: a frozen value, with the keys and the rules that it was read by.

Annotations are for `forms` alone, which makes pydantic's models of them when a text is read: their names
are imported for the type checker, and pydantic only with `forms`. A start with a compiled policy file
loads neither (`compiled`). Called by the modules that hold the parts.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self

import msgspec


class PolicyPart(msgspec.Struct, frozen=True):
    """A mapping of the policy file. A key of the file is a field with pydantic's `Field` in its annotation.

    msgspec's Struct makes a class in a fortieth of a dataclass's time (measured, decision 51).
    """

    schema_extra: ClassVar[Mapping[str, Any]] = {}
    """What JSON Schema asks of it beyond its keys."""
    first_keys: ClassVar[tuple[str, ...]] = ()
    """Keys that the schema and the reference page name before those it has from its base."""

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        """Pydantic's hook: how the part is read."""
        from remediator.policy.forms import core_schema_of  # noqa: PLC0415  # cold start

        del source
        return core_schema_of(cls, handler)

    @classmethod
    def prepare(cls, data: Any) -> Any:
        """What is read in place of what stands in the file."""
        return data

    def mistake(self) -> str:
        """What is wrong with keys that are each right, in words; empty: nothing."""
        return ""

    def named(self) -> dict[str, Any]:
        """The keys that say something, by name, in their order."""
        values = ((name, getattr(self, name)) for name in self.__struct_fields__)
        return {name: value for name, value in values if value is not None}

    def every_key(self) -> dict[str, Any]:
        """All keys by name, those too that say nothing."""
        return msgspec.structs.asdict(self)

    def changed(self, **changes: Any) -> Self:
        """The same with other values of some keys; nothing is checked anew."""
        return msgspec.structs.replace(self, **changes)
