"""Where a machine can grow: the next size up, more memory, the cheapest that will do.

Owns the search for `bigger`, `more_memory` and `sized`. The accelerator stays as it is: type, count,
and with them the memory of each device. The machine's family comes first, then its generation, then
every other by price; a change of either is told, since how fast the job is there is an estimate.
What the caller allows is preferred; where nothing allowed will do, the cheapest that would is named,
so that whoever forbids it can be told. Called by the planner and `catalog show`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from remediator.catalog.hardware import Hardware, Moved, NoHardware
from remediator.catalog.machines import SMALL_H100, AcceleratorType, MachineType, Service

if TYPE_CHECKING:
    from remediator.catalog.catalog import Catalog

SAVES_ENOUGH = 0.8
"""Chosen: what a machine of another family may cost at most, of the own family's price."""
Candidates = dict[tuple[Hardware, Service, str], tuple[Hardware, ...]]
_MOST_KEPT = 256  # lists of candidates, some ten kilobytes each; chosen
_ANY_MORE = 1.01
CLEARLY_MORE = 1.25
"""Chosen: less memory than this many times what failed is no remedy worth a run."""


class Ground(Struct, frozen=True):
    """What grows, and within what: the region's offer, the service's list, the caller's own lists."""

    catalog: Catalog
    held: Hardware
    service: Service
    region: str
    allowed: Callable[[Hardware], bool] = lambda _: True

    @property
    def kind(self) -> MachineType:
        return self.catalog.machines[self.held.machine]

    @property
    def devices(self) -> str:
        """` with 2 NVIDIA_L4`, or nothing."""
        device, count = devices_of(self.catalog, self.held)
        return f" with {count} {device}" if count else ""

    def candidates(self) -> tuple[Hardware, ...]:
        """Every machine that the service takes with exactly the devices held, but this one.

        Where the held one has a price, what has none in the region is not sold there. Found once for
        each machine, service and region: all machines are looked at for it.
        """
        kept = self.catalog.candidates
        key = (self.held, self.service, self.region)
        if key not in kept:
            if len(kept) >= _MOST_KEPT:
                kept.clear()
            kept[key] = self._candidates()
        return kept[key]

    def _candidates(self) -> tuple[Hardware, ...]:
        placed = self.catalog.offered(self.held, self.region, self.service) is not False
        priced = self.catalog.price(self.held, self.region) is not None
        found = []
        for machine in self.catalog.machines.values():
            wanted = self._carried_by(machine)
            if wanted is None or machine.name == self.held.machine:
                continue
            # What the failed job itself ran on was there, whatever the list of regions says.
            if placed and self.catalog.offered(wanted, self.region, self.service) is False:
                continue
            if priced and self.catalog.price(wanted, self.region) is None:
                continue
            found.append(wanted)
        return tuple(found)

    def _carried_by(self, machine: MachineType) -> Hardware | None:
        if self.service not in machine.services or not machine.vcpus:
            return None
        if machine.name in SMALL_H100 and self.held.machine not in SMALL_H100:
            return None
        if not machine.listed and machine.generation != self.kind.generation:
            return None
        wanted = bare(machine) if machine.device else replace(self.held, machine=machine.name)
        same = devices_of(self.catalog, wanted) == devices_of(self.catalog, self.held)
        return wanted if same and not self.catalog.why_not(wanted, self.service) else None

    def price(self, hardware: Hardware) -> float:
        return self.catalog.rank_price(hardware, self.region)

    def machine(self, hardware: Hardware) -> MachineType:
        return self.catalog.machines[hardware.machine]

    def cheapest(self, found: Iterable[Hardware]) -> Hardware | None:
        """The cheapest of them, an allowed one where there is one."""
        return min(found, key=self.rank, default=None)

    def rank(self, hardware: Hardware) -> tuple[bool, float, float, str]:
        """Sorts what is allowed first, and the cheapest of it."""
        memory_gib = self.machine(hardware).memory_gib
        return not self.allowed(hardware), self.price(hardware), memory_gib, hardware.machine


def devices_of(catalog: Catalog, hardware: Hardware) -> tuple[str, int]:
    """The devices of a replica, attached or built in, TPUs too; ("", 0) for none."""
    kind = catalog.machine(hardware.machine)
    if kind is not None and kind.device:
        return kind.device, kind.devices
    return (hardware.accelerator, hardware.count) if hardware.count else ("", 0)


def has_built_in_gpus(catalog: Catalog, hardware: Hardware) -> bool:
    """Whether the machine comes with GPUs: another size of it comes with others."""
    kind = catalog.machine(hardware.machine)
    return kind is not None and bool(kind.accelerator)


def built_in_words(held: Hardware) -> str:
    """Why `bigger` has no effect on such a machine."""
    return f"{held.machine} has its GPUs built in, and a bigger machine would have other ones"


def bare(kind: MachineType) -> Hardware:
    """The machine as it must be asked for when nothing is attached to it."""
    return Hardware(kind.name, kind.accelerator, kind.accelerator_count)


def bigger(ground: Ground) -> Moved | NoHardware:
    """The next size up in the family; past its end, the cheapest larger machine of another."""
    kind = ground.catalog.machine(ground.held.machine)
    if kind is None:
        return NoHardware(ground.catalog.why_not_from(ground.held.machine))
    larger = [
        h
        for h in ground.candidates()
        if ground.machine(h).vcpus > kind.vcpus and ground.machine(h).memory_gib >= kind.memory_gib
    ]
    family = [h for h in larger if ground.machine(h).family == kind.family]
    if family:
        return Moved(min(family, key=lambda h: ground.machine(h).vcpus))
    last = f"{kind.name} is the largest {kind.family} that {ground.service.value} takes"
    chosen = ground.cheapest(larger)
    if chosen is None:
        return NoHardware(
            f"no machine that {ground.service.value} takes has more than {kind.vcpus} vCPUs"
            f"{ground.devices}{_more_devices(ground)}",
            none_larger=True,
        )
    return Moved(chosen, (f"{last}{ground.devices}", *crossing(ground, chosen)))


def _more_devices(ground: Ground) -> str:
    """What the step would have to name, where the next size wants more of the same devices."""
    held, kind = ground.held, ground.kind
    if not held.count or kind.device:
        return ""
    for machine in sorted(ground.catalog.machines.values(), key=lambda m: m.vcpus):
        counts = ground.catalog.allowed_counts(machine.name, held.accelerator, ground.service)
        if machine.family == kind.family and machine.vcpus > kind.vcpus and counts:
            return (
                f"; {machine.name} takes {min(counts)} of them: the step may name "
                f"`accelerator: {{type: {held.accelerator}, count: {min(counts)}}}`"
            )
    return ""


def other_devices_words(ground: Ground, vcpus: float, memory_gib: float) -> str:
    """What a step would have to name, where only a machine with other devices has so much: the cheapest
    that has no fewer of them, with no less memory on each; empty: there is none, or none are held."""
    had, count = devices_of(ground.catalog, ground.held)
    least = ground.catalog.accelerators.get(had)
    if not count or least is None:
        return ""
    found = []
    for hardware in _with_devices(ground, (had,)):
        has, counted = devices_of(ground.catalog, hardware)
        device, kind = ground.catalog.accelerators.get(has), ground.machine(hardware)
        enough = kind.vcpus >= vcpus and kind.memory_gib >= memory_gib and counted >= count
        if (
            enough
            and _may_stand_in(device, least)
            and ground.catalog.price(hardware, ground.region)
        ):
            found.append(hardware)
    chosen = ground.cheapest(found)
    if chosen is None:
        return ""
    has, counted = devices_of(ground.catalog, chosen)
    named, holds = f"machine_type: {chosen.machine}", f" with {counted} {has}"
    if chosen.count:  # then the step itself says which devices they are
        named, holds = f"{named}, accelerator: {{type: {has}, count: {counted}}}", ""
    return (
        f"; {chosen.machine}{holds} has {ground.machine(chosen).memory_gib:.4g} GiB, for "
        f"${ground.price(chosen):.4g} an hour: a step may name `{{{named}}}`"
    )


def _may_stand_in(device: AcceleratorType | None, held: AcceleratorType) -> bool:
    """Whether a program for the held device may run on the other: the same, or a GPU that is to be had
    without arrangement and has no less memory."""
    if device is None or device.name == held.name:
        return device is not None
    are_gpus = not (device.name.startswith(_TPU) or held.name.startswith(_TPU))
    known = device.memory_gib is not None and held.memory_gib is not None
    return (
        are_gpus
        and known
        and device.rank is not None
        and (device.memory_gib or 0.0) >= (held.memory_gib or 0.0)
    )


_TPU = "TPU_"


def _with_devices(ground: Ground, attached: Iterable[str]) -> Iterator[Hardware]:
    """Machines that the service takes with devices, built in or one of `attached`, and that the region
    offers."""
    types = tuple(attached)
    for machine in ground.catalog.machines.values():
        if ground.service not in machine.services or not machine.vcpus or not machine.listed:
            continue
        wanted = [bare(machine)] if machine.device else []
        for device in () if machine.device else types:
            counts = ground.catalog.allowed_counts(machine.name, device, ground.service)
            wanted += [Hardware(machine.name, device, one) for one in counts]
        for hardware in wanted:
            if ground.catalog.offered(hardware, ground.region, ground.service) is not False:
                yield hardware


def more_memory(
    ground: Ground,
    *,
    factor: float = 2.0,
    at_least_gib: float = 0.0,
    at_most_gib: float | None = None,
) -> Moved | NoHardware:
    """The cheapest with `factor` times the memory: of the generation, else of any other.

    `at_least_gib` is what a message wanted, which nothing smaller can give. Where nothing has
    `factor` times as much, the most that can be had is taken, if that is clearly more.
    """
    kind = ground.catalog.machine(ground.held.machine)
    if kind is None:
        return NoHardware(ground.catalog.why_not_from(ground.held.machine))
    if not kind.memory_gib:
        return NoHardware(f"how much memory {kind.name} has is not known")
    wanted = max(factor * kind.memory_gib, at_least_gib)
    possible = [h for h in ground.candidates() if ground.machine(h).memory_gib >= at_least_gib]
    if at_most_gib is not None:
        wanted = min(wanted, max(at_most_gib, at_least_gib))
        possible = [h for h in possible if ground.machine(h).memory_gib <= at_most_gib]
    enough = [
        h
        for h in possible
        if ground.machine(h).memory_gib >= max(wanted, kind.memory_gib * _ANY_MORE)
    ]
    allowed = [h for h in enough if ground.allowed(h)]
    if not allowed and (nearest := _most_memory(ground, possible, wanted, ground.devices)):
        return nearest
    enough = allowed or enough
    own = [h for h in enough if ground.machine(h).generation == kind.generation]
    chosen = ground.cheapest(own or enough)
    if chosen is None:
        return _no_more_memory(ground, wanted, at_most_gib)
    last = f"no {kind.generation} machine that may be had has {wanted:.4g} GiB{ground.devices}"
    crossed = () if own else (last, *crossing(ground, chosen))
    return Moved(chosen, (*crossed, *_fewer_cpus(ground, chosen)))


def more_memory_and_larger_devices(
    ground: Ground,
    *,
    factor: float = 2.0,
    at_least_gib: float = 0.0,
    at_most_gib: float | None = None,
) -> Moved | NoHardware:
    """The cheapest with `factor` times the memory and as many devices, each with more of its own.

    Asked for where nothing with the devices held has more memory. Their number stays: a program that
    finds more of them may share its work out otherwise. The rest is as in `more_memory`.
    """
    kind = ground.catalog.machine(ground.held.machine)
    if kind is None:
        return NoHardware(ground.catalog.why_not_from(ground.held.machine))
    had, count = devices_of(ground.catalog, ground.held)
    device = ground.catalog.accelerators.get(had)
    if not count or device is None or device.memory_gib is None:
        return NoHardware(f"{ground.held} has no accelerator whose memory is known")
    wanted = max(factor * kind.memory_gib, at_least_gib)
    possible = [
        h for h in _on_larger_devices(ground) if ground.machine(h).memory_gib >= at_least_gib
    ]
    if at_most_gib is not None:
        wanted = min(wanted, max(at_most_gib, at_least_gib))
        possible = [h for h in possible if ground.machine(h).memory_gib <= at_most_gib]
    enough = [
        h
        for h in possible
        if ground.machine(h).memory_gib >= max(wanted, kind.memory_gib * _ANY_MORE)
    ]
    allowed = [h for h in enough if ground.allowed(h)]
    devices = f" with {count} larger than {had}"
    if not allowed and (nearest := _most_memory(ground, possible, wanted, devices)):
        return nearest
    chosen = ground.cheapest(allowed or enough)
    if chosen is None:
        return NoHardware(
            f"no machine that {ground.service.value} takes in {ground.region} has {wanted:.4g} GiB of "
            f"memory{devices}",
            none_larger=True,
        )
    return Moved(chosen, (*crossing(ground, chosen), *_fewer_cpus(ground, chosen)))


def _on_larger_devices(ground: Ground) -> Iterator[Hardware]:
    """Everything with as many devices that may stand in for those held and have more memory each."""
    had, count = devices_of(ground.catalog, ground.held)
    held = ground.catalog.accelerators[had]
    larger = {
        name
        for name, device in ground.catalog.accelerators.items()
        if _may_stand_in(device, held) and (device.memory_gib or 0.0) > (held.memory_gib or 0.0)
    }
    priced = ground.catalog.price(ground.held, ground.region) is not None
    for hardware in _with_devices(ground, sorted(larger)):
        has, counted = devices_of(ground.catalog, hardware)
        if has not in larger or counted != count or hardware.machine in SMALL_H100:
            continue
        if not priced or ground.catalog.price(hardware, ground.region) is not None:
            yield hardware


def _most_memory(
    ground: Ground, possible: list[Hardware], wanted: float, devices: str
) -> Moved | None:
    """Less than was asked for, but clearly more than failed, and allowed; None: there is none."""
    held = ground.kind.memory_gib
    more = [
        h
        for h in possible
        if ground.allowed(h) and ground.machine(h).memory_gib >= CLEARLY_MORE * held
    ]
    most = max((ground.machine(h).memory_gib for h in more), default=0.0)
    chosen = ground.cheapest(h for h in more if ground.machine(h).memory_gib == most)
    if chosen is None:
        return None
    said = f"{most:.4g} GiB is the most that may be had{devices}, not {wanted:.4g}"
    return Moved(chosen, (said, *crossing(ground, chosen), *_fewer_cpus(ground, chosen)))


def _no_more_memory(ground: Ground, wanted: float, at_most_gib: float | None) -> NoHardware:
    bound = other_devices_words(ground, 0, wanted)
    if at_most_gib is not None:
        bound = f", and at most {at_most_gib:.4g} are allowed"
    return NoHardware(
        f"no machine that {ground.service.value} takes has {wanted:.4g} GiB of memory"
        f"{ground.devices}; {ground.held.machine} has {ground.kind.memory_gib:.4g}{bound}",
        none_larger=True,
    )


def cheapest_with(
    ground: Ground,
    *,
    vcpus: float,
    memory_gib: float,
    goes_on: Callable[[Hardware], bool] = lambda _: True,
) -> Moved | None:
    """The cheapest with so many vCPUs and GiB; None: there is none.

    Stays in the family, then in the generation, unless a machine of another saves a fifth and
    `goes_on`: the policy's next steps can still be taken from it.
    """
    enough = [
        h
        for h in ground.candidates()
        if ground.machine(h).vcpus >= vcpus and ground.machine(h).memory_gib >= memory_gib
    ]
    if not enough:
        return None
    enough = [h for h in enough if ground.allowed(h)] or enough
    kind = ground.kind
    chosen: Hardware | None = None
    rings: tuple[Callable[[MachineType], bool], ...] = (
        lambda m: m.family == kind.family,
        lambda m: m.generation == kind.generation,
        lambda _: True,
    )
    for ring in rings:
        # The cheapest first, for `goes_on` tries the policy's next steps and costs the most by far.
        inside = sorted((h for h in enough if ring(ground.machine(h))), key=ground.rank)
        if chosen is None:
            chosen = next(filter(goes_on, inside), inside[0] if inside else None)
        else:
            most = SAVES_ENOUGH * ground.price(chosen)
            saving = (h for h in inside if ground.price(h) <= most)
            chosen = next(filter(goes_on, saving), chosen)
    return Moved(chosen, crossing(ground, chosen)) if chosen else None


def crossing(ground: Ground, chosen: Hardware) -> tuple[str, ...]:
    """What is to be said where the machine is of another family or generation than before."""
    kind, other = ground.kind, ground.machine(chosen)
    if other.generation != kind.generation:
        said = f"{other.name} is of another generation than {kind.name}"
        return (f"{said}, so how fast it is there is an estimate",)
    return ()


def _fewer_cpus(ground: Ground, chosen: Hardware) -> tuple[str, ...]:
    cpus = ground.machine(chosen).vcpus
    if cpus >= ground.kind.vcpus:
        return ()
    return (f"{chosen.machine} has {cpus} vCPUs where {ground.kind.name} has {ground.kind.vcpus}",)


def most_memory_gib(ground: Ground) -> float:
    """The most host memory of any machine with the devices held, this one included."""
    return max(ground.machine(h).memory_gib for h in (*ground.candidates(), ground.held))
