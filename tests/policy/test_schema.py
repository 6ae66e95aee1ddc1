"""The JSON Schema of a policy file says what the loader does."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import pytest
import yaml

from remediator.domain import Mode
from remediator.policy.language import (
    Policies,
    schema,
)
from tests.policy.language_cases import EVERYTHING, HEAD, ROOT, read


def fits(value: Any, rule: Any, whole: Mapping[str, Any]) -> bool:
    """As much of JSON Schema as the schema uses."""
    if isinstance(rule, bool):
        return rule
    if "$ref" in rule and not fits(value, whole["$defs"][rule["$ref"].split("/")[-1]], whole):
        return False
    kinds: dict[str, Any] = {
        "object": dict, "array": list, "string": str, "boolean": bool, "null": type(None)
    }  # fmt: skip
    kind = rule.get("type")
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if kind in kinds and not isinstance(value, kinds[kind]):
        return False
    if kind in {"integer", "number"} and not (number and (kind == "number" or value == int(value))):
        return False
    checks = [
        "enum" not in rule or value in rule["enum"],
        "const" not in rule or (value == rule["const"] and type(value) is type(rule["const"])),
        "pattern" not in rule or re.search(rule["pattern"], str(value)) is not None,
        "minLength" not in rule or len(value) >= rule["minLength"],
        "minItems" not in rule or len(value) >= rule["minItems"],
        "not" not in rule or not fits(value, rule["not"], whole),
        "minimum" not in rule or value >= rule["minimum"],
        "maximum" not in rule or value <= rule["maximum"],
        "anyOf" not in rule or any(fits(value, one, whole) for one in rule["anyOf"]),
        "oneOf" not in rule or sum(fits(value, one, whole) for one in rule["oneOf"]) == 1,
        not isinstance(value, dict) or all(key in value for key in rule.get("required", ())),
        all(fits(item, rule.get("items", True), whole) for item in value)
        if isinstance(value, list)
        else True,
    ]
    if isinstance(value, dict) and kind == "object":
        named = rule.get("properties", {})
        patterns = rule.get("patternProperties", {})
        for key, item in value.items():
            inner = [named[key]] if key in named else []
            inner += [one for pattern, one in patterns.items() if re.search(pattern, key)]
            inner = inner or [rule.get("additionalProperties", True)]
            checks += [fits(item, one, whole) for one in inner]
    return all(checks)


def as_editor_sees(text: str) -> Any:
    """As YAML 1.2 reads it: `off` in the example is quoted for the 1.1 reader used here."""
    return yaml.safe_load(text.replace("switch: off", "switch: 'off'"))


@pytest.mark.parametrize("text", [EVERYTHING, (ROOT / "policies.yaml").read_text(), HEAD])
def test_the_schema_takes_what_the_loader_takes(text: str) -> None:
    made = schema()
    assert fits(as_editor_sees(text), made, made)


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("version: 1", "version: 2"),
        ("mode: enforce", "mode: off-and-on"),
        ("attempts: 9\n", "attempts: -9\n"),
        ("  attempts: 9\n", "  attemps: 9\n"),
        ("max_run: 3x", "max_run: 3"),
        ("pause: 6h", "pause: 6 hours"),
        ('webhook: "env:SLACK_WEBHOOK_URL"', "webhook: https://hooks.example"),
        ('webhook: "env:SLACK_WEBHOOK_URL"', "channel: x"),
        ("cause: [cpu_saturation, accelerator_missing]", "cause: cpu"),
        ("batch_size: halve", "batch_size: 0"),
        ("spot: false", "spot: 1"),
        ("explanations: false", "explanations: true"),
        ("{type: NVIDIA_TESLA_T4, count: 1}", "NVIDIA_TESLA_T4"),
        ("name: starved-of-cpu", "name: Starved"),
        ("by: labels.team", "by: team"),
    ],
)
def test_the_schema_refuses_what_the_loader_refuses(right: str, wrong: str) -> None:
    assert right in EVERYTHING
    text, made = EVERYTHING.replace(right, wrong), schema()
    assert not fits(as_editor_sees(text), made, made)
    assert read(text).policies is None


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("machine_type", {"bigger", "more_memory", "sized"}),
        ("accelerator", {"bigger", "more_memory", "none"}),
        ("location", {"next", "data"}),
        ("batch_size", {"halve"}),
        ("replicas", {"double"}),
        ("timeout", {"double"}),
        ("output", {"same", "attempt"}),
        ("wait", {"backoff"}),
    ],
)
def test_an_editor_is_told_every_word_of_a_step(key: str, words: set[str]) -> None:
    made = schema()["$defs"]["Resubmit"]["properties"][key]
    branches = made.get("anyOf") or made.get("oneOf") or [made]
    told = {word for one in branches for word in (*one.get("enum", ()), one.get("const"))}
    assert words <= told


def test_every_key_of_the_models_is_explained() -> None:
    made = schema()
    for model in (made, *made["$defs"].values()):
        assert model["description"]
        assert [key for key, field in model["properties"].items() if not field["description"]] == []


def test_policies_are_frozen() -> None:
    policies = read(EVERYTHING).require()
    with pytest.raises(AttributeError, match="immutable"):
        policies.mode = Mode.ENFORCE  # type: ignore[misc]
    assert isinstance(policies, Policies)
