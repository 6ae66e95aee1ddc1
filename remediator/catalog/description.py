"""What a machine type or an accelerator is, costs and leads to, as `catalog show` prints it. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from remediator.catalog import growth
from remediator.catalog.catalog import Catalog
from remediator.catalog.growth import bare
from remediator.catalog.hardware import Hardware, Moved, NoHardware
from remediator.catalog.machines import (
    AcceleratorType,
    MachineType,
    Service,
)
from remediator.catalog.prices import (
    REFERENCE_REGION,
    Price,
    Strategy,
)
from remediator.domain import InvalidInput


def describe(catalog: Catalog, name: str, region: str = REFERENCE_REGION) -> dict[str, Any]:
    """What a machine type or an accelerator is, costs and leads to; raises InvalidInput if unknown."""
    if name in catalog.machines:
        return _describe_machine(catalog, catalog.machines[name], region)
    if name in catalog.accelerators:
        return _describe_accelerator(catalog, catalog.accelerators[name], region)
    raise InvalidInput(catalog.why_unknown(name))


def _describe_machine(catalog: Catalog, kind: MachineType, region: str) -> dict[str, Any]:
    held = bare(kind)
    moves: dict[str, Any] = {}
    for service in sorted(kind.services):
        moves[service.value] = {
            "bigger": _move_as_json(_next_size(catalog, held, service, region)),
            "more_memory": _move_as_json(
                growth.more_memory(growth.Ground(catalog, held, service, region))
            ),
            "accelerator": _move_as_json(catalog.accelerator_bigger(held, service, region)),
            "attachable": {
                device: list(counts)
                for device in catalog.accelerators
                if not kind.device
                and (counts := catalog.allowed_counts(kind.name, device, service))
            },
        }
    return {
        "type": kind.name,
        "family": kind.family,
        "vcpus": kind.vcpus or None,
        "memory_gib": kind.memory_gib or None,
        "accelerator": {"type": kind.device, "count": kind.devices} if kind.device else None,
        "services": sorted(s.value for s in kind.services),
        "region": region,
        **_prices_as_json(lambda strategy: catalog.price(held, region, strategy)),
        "offered": {s.value: catalog.offered(held, region, s) for s in sorted(kind.services)},
        "leads_to": moves,
        "gathered": catalog.gathered,
    }


def _next_size(
    catalog: Catalog, held: Hardware, service: Service, region: str
) -> Moved | NoHardware:
    if growth.has_built_in_gpus(catalog, held):
        return NoHardware(growth.built_in_words(held))
    return growth.bigger(growth.Ground(catalog, held, service, region))


def _describe_accelerator(catalog: Catalog, device: AcceleratorType, region: str) -> dict[str, Any]:
    carriers = [m.name for m in catalog.machines.values() if m.accelerator == device.name]
    return {
        "type": device.name,
        "memory_gib": device.memory_gib,
        "attaches_to": "n1" if device.attaches else None,
        "counts": [{"count": c, "at_most_vcpus": cpus} for c, cpus in device.attaches],
        "built_into": carriers,
        "region": region,
        **_prices_as_json(lambda how: catalog.devices_price(device.name, 1, region, how)),
        "regions": sorted(r for r, there in catalog.offers.items() if device.name in there),
        "never_proposed": device.why_not or None,
        "gathered": catalog.gathered,
    }


def _prices_as_json(price: Callable[[Strategy], Price | None]) -> dict[str, Any]:
    """On demand, as spot and by FLEX_START; a bound is no price: it stands beside as `at_most`."""
    whole = price(Strategy.STANDARD)
    rates: dict[str, Any] = {"usd_per_hour": round(whole.usd, 5) if whole else None}
    for strategy, key in ((Strategy.SPOT, "spot"), (Strategy.FLEX_START, "flex_start")):
        found = price(strategy)
        known = found is not None and not found.at_most
        rates[f"{key}_usd_per_hour"] = round(found.usd, 5) if found and known else None
        if found is not None and not known:
            rates[f"{key}_at_most_usd_per_hour"] = round(found.usd, 5)
    return rates


def _move_as_json(move: Moved | NoHardware) -> dict[str, Any]:
    if isinstance(move, NoHardware):
        return {"to": None, "why": move.why}
    return {"to": str(move.hardware), "why": "; ".join(move.notes)}
