"""A user's own catalogue file: machines, prices and regions laid over the shipped ones.

Owns the reading of its content, already parsed from YAML or JSON, with every mistake at once. Must not
open files. Called by `catalog` alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

from msgspec import Struct

from remediator.catalog.machines import MachineType, Service
from remediator.catalog.prices import Rate
from remediator.catalog.tokens import TokenPrice
from remediator.domain import InvalidInput, Json
from remediator.domain.numbers import is_number

_SECTIONS = ("machines", "prices", "priced_as", "accelerators", "models")
_MACHINE_KEYS = {"vcpus", "memory_gib", "services", "family", "accelerator", "accelerator_count"}
_Read = TypeVar("_Read")


class Overrides(Struct, frozen=True):
    """What the file says. Prices are Vertex's, USD an hour, by (name, region); `models` are those of
    publishers' models, by name."""

    machines: Mapping[str, MachineType]
    prices: Mapping[tuple[str, str], Rate]
    priced_as: Mapping[str, str]
    offers: Mapping[str, Mapping[str, frozenset[Service]]]
    models: Mapping[str, TokenPrice]


class _Wrong(Exception):  # never leaves this module
    """One value that cannot be used."""


def read_overrides(
    content: Json, machines: Mapping[str, MachineType], accelerators: Mapping[str, Any]
) -> Overrides:
    """The file's content; raises InvalidInput naming every mistake."""
    mistakes = [f"unknown key `{key}`" for key in content if key not in _SECTIONS]

    def each(section: str, read: Callable[[str, Any], _Read]) -> Iterator[tuple[str, _Read]]:
        listed = content.get(section) or {}
        if not isinstance(listed, Mapping):
            mistakes.append(f"`{section}` must be a mapping")
            return
        for name, value in listed.items():
            try:
                yield str(name), read(str(name), value)
            except _Wrong as wrong:
                mistakes.append(f"{section}.{name}: {wrong}")

    def price_list(region: str, listed: Any) -> dict[str, Rate]:
        found: dict[str, Rate] = {}
        for name, price in _mapping(listed).items():
            try:
                found[str(name)] = _price(price)
            except _Wrong as wrong:
                mistakes.append(f"prices.{region}.{name}: {wrong}")
        return found

    found = dict(each("machines", lambda name, facts: _machine(name, facts, machines.get(name))))
    prices = dict(each("prices", price_list))
    priced_as = dict(each("priced_as", lambda _, region: _text(region)))
    models = dict(each("models", lambda _, price: _token_price(price)))
    offers = dict(each("accelerators", lambda _, names: _offers(names, accelerators)))
    if mistakes:
        msg = "the catalogue file cannot be used: " + "; ".join(sorted(mistakes))
        raise InvalidInput(msg)
    flat = {(name, region): rate for region, own in prices.items() for name, rate in own.items()}
    return Overrides(found, flat, priced_as, offers, models)


def _machine(name: str, facts: Any, before: MachineType | None) -> MachineType:
    known = _mapping(facts)
    unknown = sorted(str(key) for key in known if key not in _MACHINE_KEYS)
    if unknown:
        msg = f"unknown key `{unknown[0]}`"
        raise _Wrong(msg)
    accelerator = known.get("accelerator", before.accelerator if before else "")
    count = known.get("accelerator_count", before.accelerator_count if before else 0)
    if bool(accelerator) != bool(count):
        msg = "an accelerator needs both its type and its count"
        raise _Wrong(msg)
    device = _text(accelerator) if accelerator else ""
    devices = round(_positive(count, "accelerator_count")) if count else 0
    return MachineType(
        name,
        _text(
            known.get("family") or (before.family if before else name.rpartition("-")[0] or name)
        ),
        round(_positive(known.get("vcpus", before.vcpus if before else None), "vcpus")),
        _positive(known.get("memory_gib", before.memory_gib if before else None), "memory_gib"),
        _services(known.get("services"), before),
        device,
        devices,
        device or (before.device if before else ""),
        devices or (before.devices if before else 0),
    )


def _services(listed: Any, before: MachineType | None) -> frozenset[Service]:
    if listed is None:
        return before.services if before else frozenset(Service)
    names = listed if isinstance(listed, list | tuple) else [listed]
    known = {service.value: service for service in Service}
    wrong = [name for name in names if not isinstance(name, str) or name not in known]
    if wrong or not names:
        msg = f"services must be some of {', '.join(known)}"
        raise _Wrong(msg)
    return frozenset(known[name] for name in names)


def _offers(names: Any, accelerators: Mapping[str, Any]) -> Mapping[str, frozenset[Service]]:
    if not isinstance(names, list | tuple):
        msg = "expected a list of accelerators"
        raise _Wrong(msg)
    unknown = [name for name in names if not isinstance(name, str) or name not in accelerators]
    if unknown:
        msg = f"no such accelerator {str(unknown[0])[:60]}"
        raise _Wrong(msg)
    return {name: frozenset(Service) for name in names}


def _price(price: Any) -> Rate:
    """A number, or `{on_demand, spot, flex_start}`."""
    if not isinstance(price, Mapping):
        return Rate(_usd(price))
    spot, flex = (
        None if price.get(key) is None else _usd(price.get(key)) for key in ("spot", "flex_start")
    )
    return Rate(_usd(price.get("on_demand")), spot, flex)


def _token_price(price: Any) -> TokenPrice:
    """`{input, output}`: USD for a million tokens in a batch."""
    own = _mapping(price)
    return TokenPrice(*(_usd(own.get(key), "for a million tokens") for key in ("input", "output")))


def _usd(value: Any, unit: str = "an hour") -> float:
    if not is_number(value):
        msg = f"expected US dollars {unit}"
        raise _Wrong(msg)
    if not math.isfinite(value) or value <= 0:
        msg = "a price must be above zero (unknown is not free: leave it out)"
        raise _Wrong(msg)
    return float(value)


def _positive(value: Any, what: str) -> float:
    if value is None:
        msg = f"{what} is missing"
        raise _Wrong(msg)
    if not is_number(value) or not math.isfinite(value) or round(value, 3) <= 0:
        msg = f"{what} must be a number above zero"
        raise _Wrong(msg)
    return float(value)


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        msg = "expected a name"
        raise _Wrong(msg)
    return value


def _mapping(value: Any) -> Json:
    if not isinstance(value, Mapping):
        msg = "expected a mapping"
        raise _Wrong(msg)
    return value
