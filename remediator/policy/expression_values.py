"""What a condition may ask about: the variables by their names, and the types of the language.

A table alone: it is checked by `expression_parser`, filled in by the planner, and printed in the reference.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from msgspec import Struct

Type: TypeAlias = tuple[str, ...]
"""`("int",)`, `("list", "string")`, `("map", "string")`; `("dyn",)` where it cannot be told."""

BOOL, INT, UINT, DOUBLE = ("bool",), ("int",), ("uint",), ("double",)
STRING, BYTES, NULL, DYN = ("string",), ("bytes",), ("null",), ("dyn",)
DURATION, TIMESTAMP = ("duration",), ("timestamp",)
NUMBERS = (INT, UINT, DOUBLE)
TYPE_WORDS = {
    "bool": "true or false",
    "int": "a whole number",
    "uint": "an unsigned number",
    "double": "a decimal number",
    "string": "text",
    "bytes": "bytes",
    "null": "null",
    "list": "a list",
    "map": "a map",
    "duration": "a duration",
    "timestamp": "a time",
}


class Variable(Struct, frozen=True):
    """What a condition may ask about: its CEL type and what it means."""

    type: Type
    meaning: str


VARIABLES: Mapping[str, Variable] = {
    "job.kind": Variable(STRING, "kind of the job, such as `batch_prediction`"),
    "job.display_name": Variable(STRING, "its display name"),
    "job.location": Variable(STRING, "its region"),
    "job.labels": Variable(("map", "string"), "its labels: `job.labels.env == 'prod'`"),
    "job.service_account": Variable(STRING, "the account it runs as"),
    "job.run_seconds": Variable(DOUBLE, "how long it ran, in seconds"),
    "job.machine.type": Variable(STRING, "its machine type"),
    "job.machine.vcpus": Variable(INT, "vCPUs of one machine"),
    "job.machine.memory_gib": Variable(DOUBLE, "memory of one machine, in GiB"),
    "job.machine.family": Variable(STRING, "the machine's family, such as `n1-standard`"),
    "job.accelerator.type": Variable(STRING, "its accelerator"),
    "job.accelerator.count": Variable(INT, "accelerators of one machine"),
    "job.replicas": Variable(INT, "replicas (batch prediction: at the start)"),
    "job.batch_size": Variable(INT, "instances in one request of a batch prediction"),
    "job.model": Variable(STRING, "the model of a batch prediction"),
    "job.spot": Variable(BOOL, "whether it asks for spot machines"),
    "job.strategy": Variable(STRING, "how its machines are got: STANDARD, SPOT, FLEX_START"),
    "job.disk_gb": Variable(INT, "its boot disk, in GB"),
    "job.image": Variable(STRING, "the container image that it runs"),
    "job.exit_code": Variable(INT, "the exit code that its program ended with"),
    "job.usd_per_hour": Variable(DOUBLE, "what all its machines cost in an hour, US dollars"),
    "diagnosis.cause": Variable(STRING, "the verdict"),
    "diagnosis.confidence": Variable(DOUBLE, "the verdict's probability, 0 to 1"),
    "attempt.number": Variable(INT, "resubmissions of the root job so far"),
    "attempt.retries": Variable(INT, "unchanged ones among them"),
    "attempt.cause": Variable(STRING, "the verdict on the attempt before this failure"),
    "now.hour": Variable(INT, "hour of the day, UTC or in the policy's `zone`"),
    "now.weekday": Variable(INT, "day of the week, 1 = Monday, UTC or in the policy's `zone`"),
}

SPACES = frozenset(
    ".".join(name.split(".")[:depth])
    for name in VARIABLES
    for depth in range(1, name.count(".") + 1)
)
