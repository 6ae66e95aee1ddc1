"""What one replica runs on, and where a move from it leads: the values that the catalogue trades in."""

from __future__ import annotations

from msgspec import Struct


class Hardware(Struct, frozen=True):
    """What one replica runs on. `count` is of devices; no accelerator: empty and 0."""

    machine: str
    accelerator: str = ""
    count: int = 0

    def __str__(self) -> str:
        return f"{self.machine} + {self.count} {self.accelerator}" if self.count else self.machine


class Moved(Struct, frozen=True):
    """Where a move leads: a combination that Vertex takes, and what was adjusted on the way."""

    hardware: Hardware
    notes: tuple[str, ...] = ()


class NoHardware(Struct, frozen=True):
    """Why a move leads nowhere that Vertex takes. `too_much`: no machine at all has so much;
    `none_larger`: none has more, with the devices that stay."""

    why: str
    too_much: bool = False
    none_larger: bool = False
