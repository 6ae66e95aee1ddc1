"""The rungs of a policy's ladder as frozen values: what the next attempt may change.

Owns `resubmit` and its ordered `fallback`, key by key, and what can be said of one step alone. Must
not know jobs (see `steps`) or what steps mean to limits (see `checks`). Called by `model`; the
planner reads the values.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from remediator.policy.policy_part import PolicyPart

if TYPE_CHECKING:
    from pydantic import BeforeValidator, Discriminator, Field, Tag

    from remediator.policy.value_readers import empty_if_none, mapping_or_word, not_empty
    from remediator.policy.values import (
        AcceleratorMove,
        AcceleratorName,
        BatchSize,
        DiskSize,
        Duration,
        Factor,
        Flag,
        Halve,
        Location,
        MachineType,
        MemorySize,
        Off,
        Output,
        Positive,
        Replicas,
        Rows,
        Strategy,
        Switch,
        Timeout,
        Usd,
        Variable,
        Wait,
    )

MOST_DISK_GB = 65_536
"""Compute Engine's own, of a boot disk."""


class Accelerator(PolicyPart, frozen=True):
    """An accelerator by name, with the number of devices for each replica."""

    type: Annotated[AcceleratorName, Field(description="Vertex's name, such as NVIDIA_TESLA_T4.")]
    stated_count: Annotated[
        Positive | None,
        Field(
            alias="count",
            json_schema_extra={"default": 1},
            description="Devices for each replica.",
        ),
    ] = None

    @property
    def count(self) -> int:
        """Devices for each replica, stated or not."""
        return self.stated_count or 1


class MoreMemory(PolicyPart, frozen=True):
    """How much more memory the next machine has."""

    factor: Annotated[
        Factor, Field(description="At least this many times the memory of the machine that failed.")
    ] = 2.0
    at_most: Annotated[
        MemorySize | None,
        Field(
            description="Never a machine with more memory than this; past it, the next step is taken."
        ),
    ] = None


class MemoryMove(PolicyPart, frozen=True):
    """`more_memory` with its own measure: `{more_memory: {factor: 2, at_most: 256GiB}}`."""

    more_memory: Annotated[
        Annotated[MoreMemory, BeforeValidator(empty_if_none)],
        Field(description="Plain `more_memory` is factor 2 without a bound."),
    ]


class Placement(PolicyPart, frozen=True):
    """Where and on what a job runs, and how its machines are got."""

    schema_extra: ClassVar[Mapping[str, Any]] = {"not": {"required": ["strategy", "spot"]}}

    machine_type: Annotated[
        Annotated[
            Annotated[MemoryMove, Tag("named")] | Annotated[MachineType, Tag("word")],
            Discriminator(mapping_or_word),
        ]
        | None,
        Field(
            description="A name; `bigger` (next size up in the family); `more_memory` (cheapest type of "
            "the family's generation with at least twice the memory, or `{more_memory: {factor: 2, "
            "at_most: 256GiB}}`); `sized` (cheapest change that the evidence says will do, within the "
            "limits)."
        ),
    ] = None
    accelerator: Annotated[
        Annotated[
            Annotated[Accelerator, Tag("named")] | Annotated[AcceleratorMove, Tag("word")],
            Discriminator(mapping_or_word),
        ]
        | None,
        Field(
            description="`{type, count}`; `bigger` (more devices, or the next type up); `more_memory` "
            "(cheapest type with more memory on each device, with its machine; beside `machine_type: "
            "more_memory` as many of them, on a machine with more memory of its own); `none`."
        ),
    ] = None
    location: Annotated[
        Location | None,
        Field(
            description="A name, `next` (of the allowed ones, the next that has what the step would run on, "
            "at a known price; in the same part of the world, unless `limits.locations` names others) or "
            "`data` (where the input lives; of a multi-region, a region inside it); refused with the reason "
            "where model, data, keys or network cannot follow."
        ),
    ] = None
    strategy: Annotated[
        Strategy | None,
        Field(
            description="How machines are got: `STANDARD` (on demand), `SPOT` (cheap, may be taken back) "
            "or `FLEX_START` (queued until there are some). Not together with `spot`."
        ),
    ] = None
    max_wait: Annotated[
        Duration | None, Field(description="How long a FLEX_START job may wait for its machines.")
    ] = None
    spot: Annotated[
        Switch | None,
        Field(
            description="`true` or `false` (jobs whose API version has it); short for `strategy: SPOT` "
            "and `strategy: STANDARD`."
        ),
    ] = None

    def mistake(self) -> str:
        both = self.strategy is not None and self.spot is not None
        return "`strategy` and `spot` say the same thing: write one of them" if both else ""


class Fallback(Placement, frozen=True):
    """One entry of a `fallback`: what differs from the job as it failed; the rest stays."""


class Resubmit(Placement, frozen=True):
    """What the next attempt changes; with no key (none at all, or `{}`), it is the same job again."""

    batch_size: Annotated[
        BatchSize | None,
        Field(description="A number, or `halve` (default 64; at 1, the next step is taken)."),
    ] = None
    env: Annotated[
        Annotated[dict[Variable, Halve] | None, BeforeValidator(not_empty)],
        Field(
            json_schema_extra={"minProperties": 1},
            description="Environment variables that hold a whole number, such as `{BATCH_SIZE: halve}` "
            "(never below 1; jobs with worker pools). A job without the variable, or at 1: the next step "
            "is taken.",
        ),
    ] = None
    args: Annotated[
        Annotated[dict[Flag, Halve] | None, BeforeValidator(not_empty)],
        Field(
            json_schema_extra={"minProperties": 1},
            description='Flags of the command that take a whole number, such as `{"--batch_size": '
            "halve}` (also written `--batch-size`; never below 1; jobs with worker pools). A job without "
            "the flag, or at 1: the next step is taken.",
        ),
    ] = None
    replicas: Annotated[
        Replicas | None,
        Field(
            description="A number, or `double` (batch: the starting replica count, which is the one "
            "that counts; custom: the worker pool's)."
        ),
    ] = None
    timeout: Annotated[
        Timeout | None,
        Field(
            description="A duration, `double`, or `sized` (what the progress in the log says is needed "
            "and a fifth more, within `max_run` and money)."
        ),
    ] = None
    disk: Annotated[
        DiskSize | None,
        Field(description="The boot disk: a size, or `double` (custom, tuning and training jobs)."),
    ] = None
    explanations: Annotated[
        Off | None, Field(description="`false`: do without them (batch prediction).")
    ] = None
    rows: Annotated[
        Rows | None,
        Field(
            description="`all` (as ever), or `remaining`: only the rows of a batch prediction that did "
            "not come back; passed over where that is not set up, does not add up or is not worth it."
        ),
    ] = None
    output: Annotated[
        Output,
        Field(
            description="`same` (a restart finds its checkpoints) or `attempt` (base output directory "
            "+ `/attempt-N`)."
        ),
    ] = "same"
    fallback: Annotated[
        Annotated[tuple[Fallback, ...] | None, BeforeValidator(not_empty)],
        Field(
            json_schema_extra={"minItems": 1},
            description="Alternatives, tried in order, each checked before it is asked for (data, keys, "
            "network, quota, price): each resubmission of the step takes the next that fits. `times` is "
            "their number unless given.",
        ),
    ] = None
    max_usd: Annotated[
        Usd | None,
        Field(
            description="US dollars; the step is passed over where the attempt would cost more by its estimate, "
            "or where its price is not known."
        ),
    ] = None
    wait: Annotated[
        Wait | None,
        Field(
            description="A duration, or `backoff` (10 min x 2^(k-1) for the k-th unchanged retry, at "
            "most 6 h)."
        ),
    ] = None

    @property
    def asks_for_change(self) -> bool:
        """Whether a field of the job is asked to differ; waiting alone changes nothing."""
        kept = {"wait", "output", "max_usd", "rows", "fallback"}
        return (
            bool(self.named().keys() - kept)
            or self.output == "attempt"
            or self.rows == "remaining"
            or any(way.named() for way in self.fallback or ())
        )


class Step(PolicyPart, frozen=True):
    """One step of a policy."""

    resubmit: Annotated[
        Annotated[Resubmit, BeforeValidator(empty_if_none)],
        Field(description="What the attempt changes; `{}` is the same job again."),
    ]
    times: Annotated[
        Positive,
        Field(
            description="How often this step may be taken before the next; of a `fallback`, the number "
            "of its entries unless given."
        ),
    ] = 1

    @classmethod
    def prepare(cls, data: Any) -> Any:
        """Without `times`, a fallback is taken once for each of its entries."""
        resubmit = data.get("resubmit") if isinstance(data, Mapping) else None
        ways = resubmit.get("fallback") if isinstance(resubmit, Mapping) else None
        if isinstance(ways, list | tuple) and ways and "times" not in data:
            return {**data, "times": len(ways)}
        return data
