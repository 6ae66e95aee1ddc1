"""The rungs of a policy's ladder as frozen values: what the next attempt may change.

Owns `resubmit` and its ordered `fallback`, key by key, and what can be said of one step alone. Must
not know jobs (see `steps`) or what steps mean to limits (see `checks`). Called by `model`; the
planner reads the values.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    model_validator,
)

from remediator.policy.suggestions import wrong
from remediator.policy.value_readers import not_empty
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


class PolicyPart(BaseModel):
    """A mapping of the policy file: frozen, and every key it does not know is a mistake."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Accelerator(PolicyPart):
    """An accelerator by name, with the number of devices for each replica."""

    type: AcceleratorName = Field(description="Vertex's name, such as NVIDIA_TESLA_T4.")
    count: Positive = Field(default=1, description="Devices for each replica.")


class MoreMemory(PolicyPart):
    """How much more memory the next machine has."""

    factor: Factor = Field(
        default=2.0, description="At least this many times the memory of the machine that failed."
    )
    at_most: MemorySize | None = Field(
        default=None,
        description="Never a machine with more memory than this; past it, the next step is taken.",
    )


class MemoryMove(PolicyPart):
    """`more_memory` with its own measure: `{more_memory: {factor: 2, at_most: 256GiB}}`."""

    more_memory: Annotated[
        MoreMemory, BeforeValidator(lambda value: {} if value is None else value)
    ] = Field(description="Plain `more_memory` is factor 2 without a bound.")


def _form(value: object) -> str:
    return "named" if isinstance(value, Mapping | PolicyPart) else "word"


class Placement(PolicyPart):
    """Where and on what a job runs, and how its machines are got."""

    model_config = ConfigDict(json_schema_extra={"not": {"required": ["strategy", "spot"]}})

    machine_type: (
        Annotated[
            Annotated[MemoryMove, Tag("named")] | Annotated[MachineType, Tag("word")],
            Discriminator(_form),
        ]
        | None
    ) = Field(
        default=None,
        description="A name; `bigger` (next size up in the family); `more_memory` (cheapest type of "
        "the family's generation with at least twice the memory, or `{more_memory: {factor: 2, "
        "at_most: 256GiB}}`); `sized` (cheapest change that the evidence says will do, within the "
        "limits).",
    )
    accelerator: (
        Annotated[
            Annotated[Accelerator, Tag("named")] | Annotated[AcceleratorMove, Tag("word")],
            Discriminator(_form),
        ]
        | None
    ) = Field(
        default=None,
        description="`{type, count}`; `bigger` (more devices, or the next type up); `more_memory` "
        "(cheapest type with more memory on each device, with its machine); `none`.",
    )
    location: Location | None = Field(
        default=None,
        description="A name, `next` (of the allowed ones, the next that has what the step would run on, "
        "at a known price; in the same part of the world, unless `limits.locations` names others) or "
        "`data` (where the input lives; of a multi-region, a region inside it); refused with the reason "
        "where model, data, keys or network cannot follow.",
    )
    strategy: Strategy | None = Field(
        default=None,
        description="How machines are got: `STANDARD` (on demand), `SPOT` (cheap, may be taken back) "
        "or `FLEX_START` (queued until there are some). Not together with `spot`.",
    )
    max_wait: Duration | None = Field(
        default=None, description="How long a FLEX_START job may wait for its machines."
    )
    spot: Switch | None = Field(
        default=None,
        description="`true` or `false` (jobs whose API version has it); short for `strategy: SPOT` "
        "and `strategy: STANDARD`.",
    )

    @model_validator(mode="after")
    def _one_word_for_spot(self) -> Self:
        if self.strategy is not None and self.spot is not None:
            msg = "`strategy` and `spot` say the same thing: write one of them"
            raise wrong(msg)
        return self


class Fallback(Placement):
    """One way of a `fallback`: what differs from the job as it failed; the rest stays."""


class Resubmit(Placement):
    """What the next attempt changes; with no key (none at all, or `{}`), it is the same job again."""

    batch_size: BatchSize | None = Field(
        default=None, description="A number, or `halve` (default 64; at 1, the next step is taken)."
    )
    env: Annotated[dict[Variable, Halve] | None, BeforeValidator(not_empty)] = Field(
        default=None,
        json_schema_extra={"minProperties": 1},
        description="Environment variables that hold a whole number, such as `{BATCH_SIZE: halve}` "
        "(never below 1; jobs with worker pools). A job without the variable, or at 1: the next step "
        "is taken.",
    )
    args: Annotated[dict[Flag, Halve] | None, BeforeValidator(not_empty)] = Field(
        default=None,
        json_schema_extra={"minProperties": 1},
        description='Flags of the command that take a whole number, such as `{"--batch_size": '
        "halve}` (never below 1; jobs with worker pools). A job without the flag, or at 1: the next "
        "step is taken.",
    )
    replicas: Replicas | None = Field(
        default=None,
        description="A number, or `double` (batch: the starting replica count, which is the one "
        "that counts; custom: the worker pool's).",
    )
    timeout: Timeout | None = Field(
        default=None,
        description="A duration, `double`, or `sized` (what the progress in the log says is needed "
        "and a fifth more, within `max_run` and money).",
    )
    disk: DiskSize | None = Field(
        default=None,
        description="The boot disk: a size, or `double` (custom, tuning and training jobs).",
    )
    explanations: Off | None = Field(
        default=None, description="`false`: do without them (batch prediction)."
    )
    rows: Rows | None = Field(
        default=None,
        description="`all` (as ever), or `remaining`: only the rows of a batch prediction that did "
        "not come back; passed over where that is not set up, does not add up or is not worth it.",
    )
    output: Output = Field(
        default="same",
        description="`same` (a restart finds its checkpoints) or `attempt` (base output directory "
        "+ `/attempt-N`).",
    )
    fallback: Annotated[tuple[Fallback, ...] | None, BeforeValidator(not_empty)] = Field(
        default=None,
        json_schema_extra={"minItems": 1},
        description="Ways to be tried in turn, each checked before it is asked for (data, keys, "
        "network, quota, price): each resubmission of the step takes the next that fits. `times` is "
        "their number unless given.",
    )
    max_usd: Usd | None = Field(
        default=None,
        description="US dollars; the step is passed over where the attempt would cost more by its estimate, "
        "or where its price is not known.",
    )
    wait: Wait | None = Field(
        default=None,
        description="A duration, or `backoff` (10 min x 2^(k-1) for the k-th unchanged retry, at "
        "most 6 h).",
    )

    @property
    def asks_for_change(self) -> bool:
        """Whether a field of the job is asked to differ; waiting alone changes nothing."""
        kept = {"wait", "output", "max_usd", "rows", "fallback"}
        asked = (getattr(self, key) for key in Resubmit.model_fields if key not in kept)
        return (
            any(value is not None for value in asked)
            or self.output == "attempt"
            or self.rows == "remaining"
            or any(way.model_fields_set for way in self.fallback or ())
        )


class Step(PolicyPart):
    """A rung of a policy's ladder."""

    resubmit: Annotated[Resubmit, BeforeValidator(lambda value: {} if value is None else value)] = (
        Field(description="What the attempt changes; `{}` is the same job again.")
    )
    times: Positive = Field(
        default=1,
        description="How often this step may be taken before the next; of a `fallback`, the number "
        "of its entries unless given.",
    )

    @model_validator(mode="before")
    @classmethod
    def _once_for_each_way(cls, data: Any) -> Any:
        """Without `times`, a fallback is taken once for each of its entries."""
        resubmit = data.get("resubmit") if isinstance(data, Mapping) else None
        ways = resubmit.get("fallback") if isinstance(resubmit, Mapping) else None
        if isinstance(ways, list | tuple) and ways and "times" not in data:
            return {**data, "times": len(ways)}
        return data
