"""The module against the google provider's own schema, where that is at hand.

The provider cannot be downloaded everywhere; the PyPI wheel `cdktf-cdktf-provider-google` (49 MB)
carries its schema as typed Python. Opt-in: `pip download --no-deps cdktf-cdktf-provider-google`, and
its path in REMEDIATOR_PROVIDER_WHEEL.
"""

from __future__ import annotations

import ast
import os
import zipfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.deploy.terraform import blocks

WHEEL = os.environ.get("REMEDIATOR_PROVIDER_WHEEL", "")
META = {"count", "for_each", "depends_on", "lifecycle", "provider", "dynamic", "provisioner"}
RESOURCES = [b for b in blocks() if b.type.startswith("google_")]


@cache
def arguments(module: str) -> dict[str, tuple[frozenset[str], frozenset[str]]]:
    """Of each class of one resource: every argument that it takes, and those that it needs."""
    with zipfile.ZipFile(WHEEL) as wheel:
        source = wheel.read(f"cdktf_cdktf_provider_google/{module}/__init__.py")
    found = {}
    for node in ast.parse(source).body:
        if isinstance(node, ast.ClassDef):
            for inner in node.body:
                if isinstance(inner, ast.FunctionDef) and inner.name == "__init__":
                    pairs = list(zip(inner.args.kwonlyargs, inner.args.kw_defaults, strict=True))
                    found[node.name] = (
                        frozenset(a.arg.removesuffix("_") for a, _ in pairs),
                        frozenset(a.arg.removesuffix("_") for a, d in pairs if d is None),
                    )
    return found


def faults(module: str, name: str, body: dict[str, Any], where: str) -> Iterator[str]:
    """Arguments that the schema does not know, and those that it misses."""
    known = arguments(module)
    if name not in known:
        yield f"{where}: the schema has no such block"
        return
    takes, needs = known[name]
    given = {key: value for key, value in body.items() if key not in META}
    for dynamic in body.get("dynamic", []):
        for key, held in dynamic.items():
            given[key] = held["content"]
    yield from (f"{where}: unknown {key}" for key in sorted(set(given) - takes))
    yield from (f"{where}: missing {key}" for key in sorted(needs - set(given) - {"id_"}))
    for key, value in given.items():
        inner = (
            name.removesuffix("Config") if name.endswith("Config") and name == top(module) else name
        )
        if isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
            for item in value:
                yield from faults(module, inner + camel(key), item, f"{where}.{key}")


def camel(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("_"))


def top(module: str) -> str:
    return camel(module) + "Config"


def test_every_resource_is_as_the_provider_knows_it() -> None:
    if not WHEEL or not Path(WHEEL).is_file():
        pytest.skip("REMEDIATOR_PROVIDER_WHEEL names no wheel of cdktf-cdktf-provider-google")
    found = []
    for block in RESOURCES:
        bare = block.type.removeprefix("google_")
        module = f"data_google_{bare}" if block.keyword == "data" else bare
        found += faults(module, top(module), block.body, block.address)
    assert found == []


def test_the_check_itself_finds_what_is_wrong() -> None:
    if not WHEEL or not Path(WHEEL).is_file():
        pytest.skip("REMEDIATOR_PROVIDER_WHEEL names no wheel of cdktf-cdktf-provider-google")
    body = {"name": "x", "push_config": [{"oidc_token": [{"audiences": "y"}]}]}
    assert list(faults("pubsub_subscription", top("pubsub_subscription"), body, "s")) == [
        "s: missing topic",
        "s.push_config: missing push_endpoint",
        "s.push_config.oidc_token: unknown audiences",
        "s.push_config.oidc_token: missing service_account_email",
    ]
