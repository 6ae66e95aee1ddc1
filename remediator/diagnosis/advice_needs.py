"""What a person can do where it is known what was wanted, whose limit it was, or where in the code it happened.

Owns these sentences; the frame and the needs come read. Pure; called by `advice`.
"""

from __future__ import annotations

from remediator.domain import Cause, Frame, Needs


def advice_with_needs(cause: Cause, needs: Needs, frame: Frame | None) -> str | None:
    """Advice that rests on what was wanted, whose limit it was, or where in the code it happened."""
    if cause is Cause.MEMORY_PRESSURE and needs.own_limit is not None:
        limit = needs.own_limit
        if limit.is_shared_memory:
            return _OF_SHARED_MEMORY
        size = f", {bytes_words(limit.bytes)}" if limit.bytes else ""
        alone = (
            "it does not grow with the machine, so a bigger one alone changes nothing"
            if limit.fixed
            else "unless it is set it is a share of the machine's memory"
        )
        return f"It ran into a limit of its own, {limit.name}{size}: raise that ({alone})."
    if cause in _MEMORIES and needs.wanted is not None and needs.wanted.bytes >= _LARGE_BYTES:
        where = "the device's" if needs.wanted.device else "host"
        return (
            f"It asked for {bytes_words(needs.wanted.bytes)} of {where} memory at once: see that this "
            "is meant, and build it in pieces where it can be."
        )
    if cause is Cause.BAD_INPUT and frame is not None:
        return (
            f"Look at what {frame.file} reads or converts at line {frame.line}: it is not whole, or not of the "
            "form that is expected there. Running it again changes nothing."
        )
    if cause is Cause.USER_CODE_ERROR and frame is not None:
        inside = f", in {frame.function}" if frame.function else ""
        return (
            f"Fix the code at {frame.file}, line {frame.line}{inside}; running it again changes "
            "nothing."
        )
    return None


_OF_SHARED_MEMORY = (
    "It ran out of shared memory (/dev/shm), which no machine changes and no field of a custom job sets: "
    "use fewer loader workers (none at the least), or let them share by files "
    "(`torch.multiprocessing.set_sharing_strategy('file_system')`); a model for batch prediction gets more "
    "with a new version (`sharedMemorySizeMb` of its container)."
)
_MEMORIES = frozenset({Cause.MEMORY_PRESSURE, Cause.GPU_MEMORY})
_LARGE_BYTES = float(
    1 << 30
)  # less is no piece that an allocation of its own would be about; chosen


_BINARY = (
    (4, "TiB"),
    (3, "GiB"),
    (2, "MiB"),
    (1, "KiB"),
)  # powers of 1024; documented: IEC 80000-13


def bytes_words(count: float) -> str:
    """`7.3 TiB`, `512 MiB`."""
    for power, unit in _BINARY:
        if count >= 1024**power:
            value = count / 1024**power
            return f"{value:.1f} {unit}" if value < 10 and value % 1 else f"{value:,.0f} {unit}"  # noqa: PLR2004  # one digit
    return f"{count:,.0f} bytes"
