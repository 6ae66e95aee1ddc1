"""Pydantic's models of the policy file, made of the parts' annotations when a text is read.

Owns how a part is validated: each key by the reader that its annotation names, no other key, and then
the part's own rule. Knows no keys. Imported late, since pydantic is the largest part of a cold start
(decision 51). Called by `language` and `reference`.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any, TypeVar, get_type_hints

import msgspec
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    GetCoreSchemaHandler,
    Tag,
    TypeAdapter,
    create_model,
)
from pydantic.fields import FieldInfo
from pydantic_core import CoreSchema, core_schema

from remediator.policy import value_readers, values
from remediator.policy.policy_part import PolicyPart
from remediator.policy.suggestions import wrong

Part = TypeVar("Part", bound=PolicyPart)

_NAMES = {
    **vars(value_readers),
    **vars(values),
    **{one.__name__: one for one in (BeforeValidator, Discriminator, Field, Tag)},
}
"""What annotations of parts may name beside what their modules import."""


@cache
def adapter(part: type[Part]) -> TypeAdapter[Part]:
    """Reads data into the part, or raises pydantic's ValidationError with every mistake."""
    return TypeAdapter(part)


def keys_of(part: type[PolicyPart]) -> dict[str, Any]:
    """The part's keys as the file writes them, each with its type."""
    fields = _form(part).model_fields.items()
    return {field.alias or name: field.annotation for name, field in fields}


def core_schema_of(part: type[PolicyPart], handler: GetCoreSchemaHandler) -> CoreSchema:
    """How pydantic reads the part: what `PolicyPart` hands on."""

    def value_of(form: BaseModel) -> PolicyPart:
        value = part(**{name: getattr(form, name) for name in form.model_fields_set})
        if said := value.mistake():
            raise wrong(said)
        return value

    read = core_schema.no_info_after_validator_function(value_of, handler(_form(part)))
    if part.prepare.__func__ is PolicyPart.prepare.__func__:  # type: ignore[attr-defined]  # of a class method
        return read
    return core_schema.no_info_before_validator_function(part.prepare, read)


@cache
def _form(part: type[PolicyPart]) -> type[BaseModel]:
    keys = dict(_keys(part))
    ordered = {name: keys[name] for name in (*part.first_keys, *keys)}
    config = ConfigDict(extra="forbid", defer_build=True, json_schema_extra=dict(part.schema_extra))
    form: type[BaseModel] = create_model(
        part.__name__, __config__=config, __doc__=part.__doc__, **ordered
    )
    return form


def _keys(part: type[PolicyPart]) -> Iterator[tuple[str, Any]]:
    """(name, (annotation, default)) of each key."""
    hints = get_type_hints(part, localns=_NAMES, include_extras=True)
    names, defaults = part.__struct_fields__, part.__struct_defaults__
    missing = [msgspec.NODEFAULT] * (len(names) - len(defaults))
    for name, default in zip(names, (*missing, *defaults), strict=True):
        if not any(isinstance(one, FieldInfo) for one in getattr(hints[name], "__metadata__", ())):
            continue  # no key of the file
        yield name, (hints[name], _default(default))


def _default(default: Any) -> Any:
    if default is msgspec.NODEFAULT:
        return ...
    factory = getattr(default, "factory", None)
    return factory() if factory else default
