"""The language described: its JSON Schema for editors and its reference page for people.

Both are made from the models, so that neither can say what the loader does not do; a test holds
the files under `docs/` equal to what is made here. Called by the command line (`schema`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

from pydantic.json_schema import GenerateJsonSchema

from remediator.policy.expression_values import VARIABLES
from remediator.policy.forms import adapter
from remediator.policy.model import Policies
from remediator.policy.policy_part import PolicyPart

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_KEPT_KEYS = {"properties", "$defs"}  # below these, keys are names and not words of the schema


class _Generator(GenerateJsonSchema):
    """Writes defaults as the language does."""

    def encode_default(self, dft: Any) -> Any:
        if isinstance(dft, timedelta):
            return f"{dft.total_seconds():g}s"
        return {} if isinstance(dft, PolicyPart) else super().encode_default(dft)


def schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of policy files, for editors and other checkers."""
    made = _tidy(adapter(Policies).json_schema(by_alias=True, schema_generator=_Generator))
    # `resubmit:` with nothing after it is the same job again; nowhere else may a value be empty.
    step = made["$defs"]["Step"]["properties"]
    step["resubmit"] = {
        "anyOf": [{"$ref": "#/$defs/Resubmit"}, {"type": "null"}],
        "description": step["resubmit"]["description"],
    }
    made["title"] = "A policy file of vertex-remediator"
    return {"$schema": _DIALECT, **made}


def _tidy(node: Any, *, names: bool = False) -> Any:
    """Without made-up titles, and without the nulls that stand for absent keys."""
    if isinstance(node, list):
        return [_tidy(item) for item in node]
    if not isinstance(node, dict):
        return node
    if names:
        return {key: _tidy(value) for key, value in node.items()}
    kept = {
        key: _tidy(value, names=key in _KEPT_KEYS)
        for key, value in node.items()
        if key not in {"title", "default"}
    }
    if "patternProperties" in kept:  # names that fit the pattern, and no others
        kept.pop("propertyNames", None)
        kept["additionalProperties"] = False
    default = node.get("default")
    if isinstance(default, str | int | float) or (isinstance(default, list) and default):
        kept["default"] = default
    if "oneOf" in kept and any(one.keys() == {"anyOf"} for one in kept["oneOf"]):
        kept["anyOf"] = kept.pop("oneOf")
    choices = [one for one in kept.get("anyOf", ()) if one != {"type": "null"}]
    choices = [inner for one in choices for inner in one.get("anyOf", [one])]
    if len(choices) == 1:
        kept.pop("anyOf")
        kept = {**choices[0], **kept}
    elif choices:
        kept["anyOf"] = choices
    return kept


# --- the page ----------------------------------------------------------------------------------

_SECTIONS: tuple[tuple[str, str], ...] = (  # heading, model; the file itself has no name
    ("The file", ""),
    ("limits", "Limits"),
    ("limits.per", "Per"),
    ("limits.breaker", "Breaker"),
    ("probes", "Probes"),
    ("channels", "ChannelConfig"),
    ("channels.NAME.slack", "Slack"),
    ("channels.NAME.email", "Email"),
    ("channels.NAME.webhook", "Webhook"),
    ("channels.NAME.teams", "Teams"),
    ("channels.NAME.pagerduty", "PagerDuty"),
    ("channels.NAME.google_chat", "GoogleChat"),
    ("channels.NAME.quiet_hours", "QuietHoursConfig"),
    ("owners", "Owners"),
    ("owners.rules", "OwnerRule"),
    ("approvers", "Approvers"),
    ("policies", "Policy"),
    ("when", "When"),
    ("do", "Step"),
    ("resubmit", "Resubmit"),
    ("accelerator", "Accelerator"),
    ("machine_type", "MemoryMove"),
    ("machine_type.more_memory", "MoreMemory"),
    ("fallback", "Fallback"),
    ("watch", "WatchEntry"),
    ("watch.when", "WatchWhen"),
    ("watch.log", "LogRule"),
    ("watch.do", "CancelMove"),
    ("watch.do.cancel_resubmit", "CancelResubmit"),
)
_NOTES: Mapping[str, str] = {
    "Limits": """\
The same keys stand under a policy's own `limits`, where each may only tighten: a smaller number, a
narrower list, `cancel` instead of `alert`.

A list holds for every attempt: the unchanged job is refused too where its own hardware is not in the list, and the
alert says which name to add to which line. To let each job keep its own hardware and still choose from a list,
put the lists into the policies that choose hardware: [own hardware](examples/policies/own-hardware.yaml).""",
    "ChannelConfig": """\
Secrets never stand in the file: `env:NAME` names an environment variable, `secret:NAME` a secret of
Secret Manager.""",
    "Owners": """\
With an owner map, `owner` in a policy's `alert` stands for whoever the first matching rule names. A label
cannot hold an e-mail address; this map can.""",
    "When": """\
A list means any of its values; a key that is left out matches everything. Globs know `*`, `?` and
`[abc]`.""",
    "Resubmit": """\
An accelerator stays as it is (type, number, memory of each device) unless the step names
`accelerator`, or the cause is `gpu_memory` or `accelerator_missing`; on a machine with built-in GPUs
`machine_type: bigger` has no effect. A step is passed over where

- it asks for a change and changes nothing;
- it asks for no change (a wait, the same job again), a list forbids the job's own hardware, and a later step
  leads to hardware that the lists allow;
- it names `machine_type` or `accelerator`, its hardware is forbidden by a list or has no price in the region, and
  a later `fallback` has an entry that fits.

`bigger`, `more_memory` and `sized` continue in another machine family, chosen by price, where the job's own
family has no larger machine; the plan says so. `sized` also leaves the family where that is at least a fifth
cheaper and the later steps stay possible; a smaller batch on a machine that no list allows goes to one that is
allowed and has no fewer vCPUs and no less memory. Of a model whose state is spread over all devices (FSDP, ZeRO
stage 3) it takes more of the job's own devices where those cost no more than larger ones. Where the error message names the size of one allocation, no smaller
machine is tried. Nothing is resubmitted for a need that no machine meets (`no_machine`), a limit that the
program sets itself, a full disk that is not the machine's own, or a quota that is too small for the job in any
case: the alert says which. A quota whose limit nobody tells is waited for once, where it is one of a machine
family or of devices that the job did not have at first.

What was tried in vain is not repeated (`tried_in_vain`). Where a run of the same work failed for the same cause
in the last 14 days, its chain took this step or a stronger one, and was given up, the step is passed over.
The next one goes on from the size that it led to; where none is left, nothing is resubmitted, and the alert says
what was tried when, what it cost, and from when it is tried again. The same work is a job that is alike (kind,
program, name, account) and has the same image, arguments, environment and input, but for dates and moments, for
where it writes, and for the order of variables and of flags with their values (`--rows=7`). The step is taken all
the same

- where the job has more than what was tried, such as a larger machine, more time or more replicas;
- where its input is known to have a quarter more rows, or a fifth fewer;
- where the same work has succeeded since;
- where the label `remediator=on` is on the job and was not on the jobs of that chain;
- for a `quota`, `capacity_stockout`, `preemption` or `transient_backend`, which go by themselves, for a step that
  changes nothing, and for `rows: remaining`.

An image behind a tag that was pushed again, and data that changed under one name, look the same: change a
variable or the tag, or resubmit the job yourself.""",
    "Fallback": """\
The entries are alternatives: each starts from the job as it was before the first of them, so that an entry
does not carry on a region in which there were no machines. An attempt that never got a machine counts
against `retries`, not `attempts`, and costs nothing. An earlier step that finds no hardware of its kind is
passed over in favour of the fallback. Hardware that was too small is not asked for again in another region.
Between two steps with a `wait`, the fallback is passed over while the quota that refused the job is known to be
large enough for it, by its limit or by what others use of it: it is free again when other jobs end, and waiting
costs nothing. A later step that only waits asks for the job's own hardware in its own region again, if no
entry got a machine (after a quota, if it was waited for before). Example:

    fallback:
      - {location: us-west1}
      - {machine_type: a2-highgpu-1g, accelerator: {type: NVIDIA_TESLA_A100, count: 1}}
      - {strategy: FLEX_START, max_wait: 4h}
      - {spot: false}""",
    "WatchEntry": """\
For jobs in the states QUEUED, PENDING and RUNNING; see [jobs that never fail](watch.md). Example:

    watch:
      - name: hung-training
        when: {running: [stalled, spinning], for: 30m, job: custom, if: "job.usd_per_hour > 5"}
        do: {cancel_resubmit: {checkpoint: required}}
        alert: [ml-oncall]

Where the signals are missing there is no verdict, and a healthy job causes no alert. `mode: observe` and
`approve` apply to cancels as they do to resubmissions.""",
    "LogRule": """\
The rule is checked only while the job runs and its log can be read. It also finds a loss that became NaN:
`{pattern: 'loss[ =:]+[0-9]', for: 20m}`. See [examples](examples/policies/watch.yaml).""",
    "Step": """\
A policy's next step is decided by how many resubmissions this policy has made for this root job:
each step `times` times, in order; past the end, an alert. An attempt without changes counts against
`retries`, any other against `attempts`. A raised size is kept by every later attempt.""",
}

_INTRODUCTION = """\
# The policy file

<!-- Generated by `make pages` from the models in remediator/policy; do not edit. -->

YAML, read with a safe loader; booleans and numbers are those of YAML 1.2, so that `off`, `yes` and
`22:00` are text. `python -m remediator validate FILE` names every mistake at once. The first policy
that matches decides. Where it says *one or several*, one value may stand for a list. Durations are
a number and one of `ms`, `s`, `m`, `h`, `d`, or several such as `2h30m`. A limit that is left out does
not limit, except `attempts` and `retries`, which have defaults.

An editor that knows JSON Schema completes and checks the file by its first line. In a checkout:

    # yaml-language-server: $schema=docs/policies.schema.json

Elsewhere, `python -m remediator schema > policies.schema.json` writes the schema beside your file.
"""

_EXAMPLES = """\
## Examples

Each is a whole file that `validate` takes, and the tests run: [fallback](examples/policies/fallback.yaml)
(another place, machine, or way to get one; `location: data`), [spot](examples/policies/spot.yaml) (cheap first, then on
demand), [own batch](examples/policies/own-batch.yaml) (`env`, `args`, `max_usd`),
[exit codes](examples/policies/exit-codes.yaml) (`retry_exit_codes`),
[time and disk](examples/policies/time-and-disk.yaml) (`timeout: sized`, `disk`),
[own hardware](examples/policies/own-hardware.yaml) (lists only where hardware is chosen),
[larger GPUs](examples/policies/larger-gpus.yaml) (where no machine with the job's own has more memory),
[rows](examples/policies/rows.yaml), [watch](examples/policies/watch.yaml) (`watch`), [roll-out](examples/policies/roll-out.yaml) (`mode`, `enabled`,
`description`, `zone`, `more_memory` with its own measure).
"""

_MISTAKES = """\
## Errors and warnings

A file with an **error** does not load: unknown keys and values, values of the wrong type, empty
values, duplicate keys or names, undefined channels, loosened limits, an `if` that does not compile
or names an unknown variable, secrets written into the file, and whatever is not plain YAML.

A **warning** loads, but `validate` fails on it: a policy that can never be reached, an unknown or
unfitting machine type or accelerator, a step to an unknown location, a limit that forbids a step or
some of its `times`, a key that the named kinds of jobs have no field for, a mode that the file's own
makes void, a channel that nobody uses, `enforce` without a money limit, a `rerun_safe` that drops
batch predictions, an entry of `watch` that can never match, that asks for a standstill sooner than it
can be seen or whose `cancel_resubmit` can never be done, and a served region (`REMEDIATOR_LOCATIONS`, where set) without prices while a limit
in dollars is set, or without one for an accelerator or a family of machines that a list or a step names.
"""


def reference() -> str:
    """The reference page, as Markdown: every key with what it may be and what it means."""
    made = schema()
    parts = [_INTRODUCTION]
    for title, name in _SECTIONS:
        model = made["$defs"][name] if name else made
        heading = f"`{title}`" if name else title
        lines = [f"## {heading}", "", str(model["description"]), ""]
        if name in _NOTES:
            lines += [_NOTES[name], ""]
        parts.append("\n".join([*lines, *_table(model), ""]))
    parts.append("\n".join(_variables()))
    parts += [_EXAMPLES, _MISTAKES]
    return "\n".join(parts)


def _table(model: Mapping[str, Any]) -> Iterator[str]:
    yield "| key | value | default | meaning |"
    yield "| --- | --- | --- | --- |"
    required = model.get("required", [])
    for key, field in model["properties"].items():
        default = "required" if key in required else _default(field)
        description = str(field.get("description", "")).replace("|", "\\|")
        yield f"| `{key}` | {_value_words(field)} | {default} | {description} |"


def _default(field: Mapping[str, Any]) -> str:
    value = field.get("default")
    if value is None:
        return ""
    values = value if isinstance(value, list) else [value]
    return ", ".join(f"`{str(one).lower() if isinstance(one, bool) else one}`" for one in values)


def _value_words(field: Mapping[str, Any]) -> str:
    """What a value may be, in words."""
    choices = field.get("anyOf") or field.get("oneOf")
    if choices:
        first, *others = choices
        if len(others) == 1 and others[0].get("type") == "array":
            return f"{_value_words(first)}; one or several"
        return " or ".join(_value_words(one) for one in choices if one != {"type": "null"})
    if "$comment" in field:
        return str(field["$comment"])
    if "enum" in field:
        return ", ".join(f"`{word}`" for word in field["enum"])
    if "const" in field:
        return f"`{str(field['const']).lower()}`"
    if "$ref" in field:
        return "a mapping, below"
    if field.get("type") == "array":
        return f"a list: {_value_words(field['items'])}"
    if field.get("type") == "object":
        named = field.get("additionalProperties") or {}
        values = [named] if named else list(field["patternProperties"].values())
        return f"by name: {_value_words(values[0])}"
    bounds = [f"({field['minimum']} or more)"] if field.get("minimum") is not None else []
    if "maximum" in field:
        bounds = [f"({field['minimum']} to {field['maximum']})"]
    word = {"integer": "a whole number", "number": "a number", "boolean": "`true`, `false`"}
    return " ".join([word[str(field["type"])], *bounds])


def _variables() -> Iterator[str]:
    yield "## Variables of `if`"
    yield ""
    yield "A [CEL](https://cel.dev) expression that is true or false. Names and types are checked when"
    yield "the file is loaded. A value that is missing where it is needed makes the policy not match;"
    yield "`has(job.accelerator.type)` asks whether it is there. Whole and decimal numbers compare with"
    yield "each other, but do not add up: write `job.run_seconds / 60.0`."
    yield ""
    yield "| variable | type | meaning |"
    yield "| --- | --- | --- |"
    for name, variable in VARIABLES.items():
        kind = "map of texts" if variable.type[0] == "map" else variable.type[0]
        yield f"| `{name}` | {kind} | {variable.meaning} |"
    yield ""
