"""What fits what, what it costs, and what each move leads to: the planner's catalog of hardware.

Owns compatibility, the adjustment to the nearest combination that Vertex takes, and hourly prices, over the
facts of `machines` and `prices` and a user's own additions. Pure: a local file's content is handed
in. An unknown price is None, never zero. Called by the planner, the guards, the language's lints and
`catalog show`.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Iterator, Mapping
from functools import cache, cached_property

from msgspec import Struct, field
from msgspec.structs import replace

from remediator.catalog.growth import Candidates, bare
from remediator.catalog.hardware import Hardware, Moved, NoHardware
from remediator.catalog.machines import (
    ACCELERATORS,
    GATHERED,
    NOT_ON_VERTEX,
    SMALL_H100,
    AcceleratorType,
    MachineType,
    Service,
    machine_types,
    regions,
    size_by_name,
)
from remediator.catalog.overrides import read_overrides
from remediator.catalog.prices import (
    DISK_USD_PER_GB_HOUR,
    REFERENCE_REGION,
    Price,
    Rate,
    Strategy,
    device_rate,
    host_rate,
    usual_multiplier,
)
from remediator.catalog.tokens import TOKEN_PRICES, TokenPrice, bare_model
from remediator.domain import Json

__all__ = ["Catalog", "Hardware", "Moved", "NoHardware", "Price", "Service", "Strategy", "Unpriced"]


_ON_DEMAND = Strategy.STANDARD
_ANY_TPU = "cloud-tpu"
"""The machine type whose accelerator says which TPU it is, and with how many cores."""


class Unpriced(Struct, frozen=True):
    """What has no price in a region: everything, or some of the devices that are offered there.

    `families`: machines without devices that have a price nowhere, such as `m4`.
    """

    region: str
    everything: bool
    devices: tuple[str, ...]
    families: tuple[str, ...] = ()


class Catalog(Struct, frozen=True, dict=True):
    """Machines, accelerators, regions and prices as one frozen value.

    `own_prices` are a user's: (machine type or accelerator, region) -> USD an hour on Vertex, on
    demand and as spot; a machine's with all that is built into it. `priced_as` lends a region the
    prices of another. `token_prices` are those of publishers' models in a batch, by name.
    """

    machines: Mapping[str, MachineType]
    accelerators: Mapping[str, AcceleratorType]
    offers: Mapping[str, Mapping[str, frozenset[Service]]]
    own_prices: Mapping[tuple[str, str], Rate] = field(default_factory=dict)
    priced_as: Mapping[str, str] = field(default_factory=dict)
    token_prices: Mapping[str, TokenPrice] = field(default_factory=lambda: TOKEN_PRICES)
    gathered: str = GATHERED

    @cached_property
    def candidates(self) -> Candidates:
        """What `growth` has found in it so far, which never changes."""
        return {}

    @classmethod
    def built_in(cls) -> Catalog:
        """The catalogue as shipped."""
        return _shipped()

    def with_overrides(self, content: Json) -> Catalog:
        """With a local file's content laid over it; raises InvalidInput naming every mistake.

        Keys: `machines` {name: {vcpus, memory_gib, services, family, accelerator,
        accelerator_count}}, `prices` {region: {name: USD, or {on_demand, spot}}},
        `priced_as` {region: region}, `accelerators` {region: [names]}, `models` {name: {input,
        output}}, USD for a million tokens in a batch.
        """
        own = read_overrides(content, self.machines, self.accelerators)
        return replace(
            self,
            machines={**self.machines, **own.machines},
            offers={**self.offers, **own.offers},
            own_prices={**self.own_prices, **own.prices},
            priced_as={**self.priced_as, **own.priced_as},
            token_prices={**self.token_prices, **own.models},
        )

    # --- what there is --------------------------------------------------------------------------

    def machine(self, name: str) -> MachineType | None:
        return self.machines.get(name)

    def size(self, name: str) -> tuple[int | None, float | None]:
        """vCPUs and GiB of a machine type, by its name where it is not listed; None: not known."""
        kind = self.machines.get(name)
        vcpus, gib = (kind.vcpus, kind.memory_gib) if kind else size_by_name(name)
        return vcpus or None, gib or None

    def nearest_name(self, name: str) -> str:
        """A known machine type or accelerator that may have been meant; empty: none is near."""
        known = {one.lower(): one for one in (*self.machines, *self.accelerators)}
        for written in (name.lower(), name.lower().replace("-", "_")):
            near = difflib.get_close_matches(written, known, n=1, cutoff=0.75)
            if near:
                return known[near[0]]
        return ""

    # --- what fits what -------------------------------------------------------------------------

    def allowed_counts(self, machine: str, accelerator: str, service: Service) -> tuple[int, ...]:
        """How many of the accelerator Vertex takes on the machine; empty: none."""
        kind, device = self.machines.get(machine), self.accelerators.get(accelerator)
        if kind is None or device is None or service not in kind.services:
            return ()
        if kind.accelerator:
            return (kind.accelerator_count,) if kind.accelerator == accelerator else ()
        if kind.name == _ANY_TPU:
            return tuple(range(8, 2049, 8)) if accelerator in {"TPU_V2", "TPU_V3"} else ()
        if kind.device:
            wanted = service is Service.TRAINING and kind.device == accelerator
            return (kind.devices,) if wanted else ()
        if kind.generation != "n1" or kind.memory_gib > (device.most_gib or math.inf):
            return ()
        return tuple(count for count, most in device.attaches if kind.vcpus <= most)

    def fits(
        self, machine: str, accelerator: str | None, count: int, service: Service | str
    ) -> bool:
        """Whether Vertex takes this combination for this service (`training`, `prediction`)."""
        return not self.why_not(Hardware(machine, accelerator or "", count), Service(service))

    def why_not(self, wanted: Hardware, service: Service) -> str:
        """Why Vertex would refuse the combination; empty: it would not."""
        kind = self.machines.get(wanted.machine)
        if kind is None:
            return self.why_unknown(wanted.machine)
        if service not in kind.services:
            other = " and ".join(s.value for s in sorted(kind.services))
            return f"{kind.name} is for {other}, not for {service.value}"
        if bool(wanted.accelerator) != bool(wanted.count):
            return "an accelerator needs both its type and its count"
        if not wanted.accelerator:
            if kind.accelerator or kind.name == _ANY_TPU:
                return f"{kind.name} must be asked for with its built-in accelerator"
            return ""
        if wanted.accelerator not in self.accelerators:
            near = self.nearest_name(wanted.accelerator)
            return f"there is no accelerator {wanted.accelerator}" + (
                f" (did you mean {near}?)" if near else ""
            )
        counts = self.allowed_counts(wanted.machine, wanted.accelerator, service)
        if not counts:
            return f"{kind.name} takes no {wanted.accelerator}"
        if wanted.count not in counts:
            return f"{kind.name} takes {_either(counts)} {wanted.accelerator}, not {wanted.count}"
        return ""

    def offered(self, hardware: Hardware, region: str, service: Service) -> bool | None:
        """Whether the region has the devices for this service; None: nothing is known of it."""
        kind = self.machines.get(hardware.machine)
        device = hardware.accelerator or (kind.device if kind else "")
        if not device:
            return True
        there = self.offers.get(region)
        return None if there is None else service in there.get(device, frozenset())

    def why_not_from(self, name: str) -> str:
        """Why nothing leads on from a machine that a job ran on: it is possible, and not known here."""
        return (
            f"{name} is not in the catalogue, so what comes after it is not known: name a machine"
        )

    def why_unknown(self, name: str) -> str:
        if any(name == one or name.startswith(f"{one}-") for one in NOT_ON_VERTEX):
            return f"Vertex AI takes no {name}: Compute Engine alone has it"
        near = self.nearest_name(name)
        return f"there is no machine type {name}" + (f" (did you mean {near}?)" if near else "")

    # --- what it costs --------------------------------------------------------------------------

    def token_price(self, model: str) -> TokenPrice | None:
        """What a publisher's model costs in a batch, by its path; None: not known."""
        return self.token_prices.get(bare_model(model))

    def price(
        self, hardware: Hardware, region: str, strategy: Strategy = Strategy.STANDARD
    ) -> Price | None:
        """Vertex's price of one replica for an hour, an estimate; None: not known."""
        kind = self.machines.get(hardware.machine)
        built_in = bool(kind and kind.device)
        whole = self.own_prices.get((hardware.machine, region))
        if whole is not None:
            found: Price | None = whole.as_it_is(strategy)
        else:
            found = self._host_price(kind, region, strategy)
            if kind is not None and built_in:
                found = _sum(found, self.devices_price(kind.device, kind.devices, region, strategy))
        if hardware.count and not built_in:
            attached = self.devices_price(hardware.accelerator, hardware.count, region, strategy)
            found = _sum(found, attached)
        return found if found and found.usd else None  # a TPU's host is nothing by itself

    def usd_per_hour(
        self, hardware: Hardware, region: str, strategy: Strategy = Strategy.STANDARD
    ) -> float | None:
        """The price in USD, also where it is but a bound; None: not known."""
        found = self.price(hardware, region, strategy)
        return found.usd if found else None

    def _host_price(
        self, kind: MachineType | None, region: str, strategy: Strategy
    ) -> Price | None:
        if kind is None or (not kind.vcpus and kind.name != _ANY_TPU):
            return None
        place = self.priced_as.get(region, region)
        host = host_rate(kind.name, kind.family, kind.vcpus, kind.memory_gib, place)
        return host.on_vertex(strategy) if host else None

    def devices_price(
        self, device: str, count: int, region: str, strategy: Strategy
    ) -> Price | None:
        own = self.own_prices.get((device, region))
        if own is not None:
            return own.as_it_is(strategy).times(count)
        rate = device_rate(device, self.priced_as.get(region, region))
        return rate.times(count).on_vertex(strategy) if rate else None

    def disk_usd_per_hour(self, size_gb: float, region: str) -> float:
        """A worker's boot disk; in a region that nobody knows by what it costs in the known ones."""
        usual = usual_multiplier(self.priced_as.get(region, region)) or 1.0
        return size_gb * DISK_USD_PER_GB_HOUR * usual

    def unpriced(self, region: str) -> Unpriced:
        """What of the region's offer has no price, so that limits in dollars refuse it there."""
        devices = sorted(self.offers.get(region, {}))
        machines = [m for m in self.machines.values() if m.vcpus and not m.device and m.services]
        priced = {
            (m.generation, place)
            for m in machines
            for place in (region, REFERENCE_REGION)
            if self.price(Hardware(m.name), place)
        }
        somewhere = {generation for generation, _ in priced}
        return Unpriced(
            region,
            everything=not any(place == region for _, place in priced),
            families=tuple(sorted({m.generation for m in machines} - somewhere)),
            devices=tuple(
                d for d in devices if self.devices_price(d, 1, region, _ON_DEMAND) is None
            ),
        )

    def rank_price(self, hardware: Hardware, region: str) -> float:
        """For comparing only: the region's price, else the best known region's, else infinity."""
        for place in (region, REFERENCE_REGION):
            known = self.usd_per_hour(hardware, place)
            if known is not None:
                return known
        return math.inf

    # --- moves ----------------------------------------------------------------------------------

    def nearest_valid(
        self, wanted: Hardware, service: Service, region: str = REFERENCE_REGION
    ) -> Moved | NoHardware:
        """The combination itself where Vertex takes it, else the nearest one that it takes."""
        found = self._nearest_valid(wanted, service, region)
        if isinstance(found, Moved) and (why := self.why_not(found.hardware, service)):
            return NoHardware(why)  # such as cloud-tpu, whose devices the catalogue does not list
        return found

    def _nearest_valid(
        self, wanted: Hardware, service: Service, region: str = REFERENCE_REGION
    ) -> Moved | NoHardware:
        why = self.why_not(wanted, service)
        if not why:
            return Moved(wanted)
        kind = self.machines.get(wanted.machine)
        device = self.accelerators.get(wanted.accelerator)
        if kind is None or (wanted.accelerator and device is None):
            return NoHardware(why)
        if device is None:
            return self._nearest_machine(kind, service, why)
        candidates = list(self._carriers(kind, device, max(wanted.count, 1), service, region))
        if not candidates:
            return NoHardware(why)
        chosen = candidates[0]
        note = f"{why}: {chosen} instead"
        if chosen.machine != kind.name:
            note = f"{wanted.accelerator} does not go with {kind.name}: {chosen} instead"
        return Moved(chosen, (note, *self._losses(kind, chosen)))

    def _nearest_machine(self, kind: MachineType, service: Service, why: str) -> Moved | NoHardware:
        if kind.accelerator and service in kind.services:
            whole = Hardware(kind.name, kind.accelerator, kind.accelerator_count)
            return Moved(whole, (f"{kind.name} comes with its {whole.count} {whole.accelerator}",))
        for other in self._family(kind.family, service):
            if other.vcpus >= kind.vcpus and other.devices >= kind.devices:
                return Moved(bare(other), (f"{why}: {other.name} is the nearest",))
        return NoHardware(why)

    def _carriers(
        self, kind: MachineType, device: AcceleratorType, count: int, service: Service, region: str
    ) -> Iterator[Hardware]:
        """Machines that carry about `count` of the device, those most like `kind` first."""
        if not device.attaches:
            found = [
                m
                for m in self.machines.values()
                if m.accelerator == device.name and service in m.services
            ]
            found.sort(
                key=lambda m: (
                    abs(m.accelerator_count - count),
                    -m.accelerator_count,
                    m.vcpus < kind.vcpus,
                    m.memory_gib < kind.memory_gib,
                    self.rank_price(bare(m), region) if m.vcpus >= kind.vcpus else -m.vcpus,
                )
            )
            yield from (bare(machine) for machine in found)
            return
        same = [kind] if kind.generation == "n1" and not kind.device else []
        shape = kind.shape if kind.shape in {"standard", "highmem", "highcpu"} else "standard"
        family = self._family(f"n1-{shape}", service)
        big_enough = [m for m in family if m.vcpus >= kind.vcpus]
        for machine in (*same, *big_enough, *reversed(family)):
            counts = self.allowed_counts(machine.name, device.name, service)
            if counts:
                yield Hardware(machine.name, device.name, _nearest(counts, count))

    def _losses(self, before: MachineType, chosen: Hardware) -> tuple[str, ...]:
        after = self.machines.get(chosen.machine, before)
        lost = [
            f"{had:g} {unit} become {has:g}"
            for had, has, unit in (
                (before.vcpus, after.vcpus, "vCPUs"),
                (before.memory_gib, after.memory_gib, "GiB of memory"),
            )
            if has < had
        ]
        return (f"{before.name}'s {' and its '.join(lost)}",) if lost else ()

    def accelerator_bigger(
        self, now: Hardware, service: Service, region: str
    ) -> Moved | NoHardware:
        """More devices of the type, or else the next type up that has no less memory on each; from none,
        the smallest T4."""
        kind = self.machines.get(now.machine)
        if kind is None:
            return NoHardware(self.why_not_from(now.machine))
        if (kind.device or not kind.vcpus) and not now.accelerator:
            return NoHardware(f"{kind.name} has its TPUs built in: there is no step up from them")
        if not now.accelerator:
            return self.nearest_valid(Hardware(now.machine, "NVIDIA_TESLA_T4", 1), service, region)
        device = self.accelerators.get(now.accelerator)
        if device is None:
            return NoHardware(f"there is no accelerator {now.accelerator}")
        more = [c for c in self._counts(device, service) if c > now.count]
        if more and (moved := self._on(kind, device.name, min(more), service, region)):
            return moved
        here = device.rank if device.rank is not None else _RANK_OF_ENDED.get(device.name, math.inf)
        for other in self._proposable():
            no_less = (other.memory_gib or 0.0) >= (device.memory_gib or 0.0)
            if other.rank is not None and other.rank > here and no_less:
                moved = self._on(kind, other.name, now.count, service, region)
                if moved and self.offered(moved.hardware, region, service) is not False:
                    return moved
        return NoHardware(
            f"nothing above {now.count} {now.accelerator} may be had without arrangement"
        )

    def accelerator_more_memory(
        self,
        now: Hardware,
        service: Service,
        region: str,
        allowed: Callable[[Hardware], bool] = lambda _: True,
    ) -> Moved | NoHardware:
        """The cheapest type with more memory on each device, with its machine: an allowed one first,
        then one that has a price in the region (what has none there is likely not sold there)."""
        kind, device = self.machines.get(now.machine), self.accelerators.get(now.accelerator)
        if kind is None or device is None or device.memory_gib is None:
            return NoHardware(f"{now} has no accelerator whose memory is known")
        possible = [
            moved
            for other in self._proposable()
            if other.memory_gib is not None and other.memory_gib > device.memory_gib
            if (moved := self._on(kind, other.name, now.count, service, region))
            if self.offered(moved.hardware, region, service) is not False
        ]
        if not possible:
            return NoHardware(
                f"no accelerator that may be had in {region} has more than "
                f"{device.memory_gib:g} GiB on each device"
            )
        return min(
            possible,
            key=lambda m: (
                not allowed(m.hardware),
                self.price(m.hardware, region) is None,
                self.rank_price(m.hardware, region),
                str(m.hardware),
            ),
        )

    def without_accelerator(self, now: Hardware, service: Service) -> Moved | NoHardware:
        """The same machine without devices, or the N1 most like it."""
        kind = self.machines.get(now.machine)
        if kind is None:
            return NoHardware(self.why_not_from(now.machine))
        if not kind.device:
            return Moved(Hardware(now.machine))
        family = self._family("n1-standard", service)
        for other in family:
            if other.vcpus >= kind.vcpus:
                note = f"{kind.name}'s devices are built in: {other.name} instead"
                return Moved(Hardware(other.name), (note, *self._losses(kind, bare(other))))
        return NoHardware(f"no n1-standard that {service.value} takes has {kind.vcpus} vCPUs")

    def _on(
        self, kind: MachineType, accelerator: str, count: int, service: Service, region: str
    ) -> Moved | None:
        """Exactly or at least `count` of the accelerator, on the machine or the nearest to it."""
        device = self.accelerators[accelerator]
        here = Hardware(kind.name, accelerator, count)
        if not self.why_not(here, service):
            return Moved(here)
        for found in self._carriers(kind, device, count, service, region):
            if found.count >= count and found.machine not in SMALL_H100:
                changed = found.machine != kind.name
                note = (
                    f"{accelerator} comes with {found.machine}" if changed else f"{here}: {found}"
                )
                return Moved(found, (note, *self._losses(kind, found)))
        return None

    def _counts(self, device: AcceleratorType, service: Service) -> list[int]:
        built_in = {
            m.accelerator_count
            for m in self.machines.values()
            if m.accelerator == device.name and service in m.services
        }
        return sorted({count for count, _ in device.attaches} | built_in)

    def _proposable(self) -> list[AcceleratorType]:
        known = [a for a in self.accelerators.values() if a.rank is not None]
        return sorted(known, key=lambda a: a.rank or 0)

    def _family(self, family: str, service: Service) -> list[MachineType]:
        found = [m for m in self.machines.values() if m.family == family and service in m.services]
        return sorted(found, key=lambda m: (m.vcpus, m.devices))


_RANK_OF_ENDED = {"NVIDIA_TESLA_P100": 2, "NVIDIA_TESLA_K80": 0}
"""Where the withdrawn types stood: what comes after them is a step up."""


@cache
def _shipped() -> Catalog:
    return Catalog(machine_types(), ACCELERATORS, regions())


def _nearest(counts: tuple[int, ...], wanted: int) -> int:
    return min(counts, key=lambda count: (abs(count - wanted), -count))


def _either(counts: tuple[int, ...]) -> str:
    shown = [str(count) for count in counts[:6]]
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} or {shown[-1]}"


def _sum(one: Price | None, other: Price | None) -> Price | None:
    return None if one is None or other is None else one.plus(other)
