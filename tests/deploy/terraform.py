"""Reads the Terraform module into plain values, for the tests of the deployment."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import hcl2

ROOT = Path(__file__).resolve().parents[2]
MODULE = ROOT / "deploy" / "terraform"


@dataclass(frozen=True)
class Block:
    """A block of one file: `resource "google_pubsub_topic" "failures"` and its body."""

    keyword: str
    type: str
    name: str
    body: dict[str, Any]

    @property
    def address(self) -> str:
        return f"{self.type}.{self.name}"


@cache
def blocks(folder: Path = MODULE) -> tuple[Block, ...]:
    """Every block of the folder's files that has labels."""
    found: list[Block] = []
    for path in sorted(folder.glob("*.tf")):
        with path.open() as file:
            held = plain(hcl2.load(file))
        for keyword in ("resource", "data", "variable", "output", "module"):
            for item in held.get(keyword, []):
                found.extend(_labelled(keyword, item))
    return tuple(found)


def _labelled(keyword: str, item: dict[str, Any]) -> Iterator[Block]:
    for label, body in item.items():
        if keyword in {"resource", "data"}:
            for name, inner in body.items():
                yield Block(keyword, label, name, inner)
        else:
            yield Block(keyword, keyword, label, body)


def resource(address: str) -> dict[str, Any]:
    """The body of one resource; KeyError where there is none."""
    found = {b.address: b.body for b in blocks() if b.keyword == "resource"}
    return copy.deepcopy(found[address])


def variable_defaults() -> dict[str, Any]:
    return {b.name: b.body.get("default") for b in blocks() if b.keyword == "variable"}


def plain(value: Any) -> Any:
    """hcl2's values without its own marks: literals unquoted, comments and block flags gone."""
    if isinstance(value, dict):
        return {
            _unquoted(key): plain(held)
            for key, held in value.items()
            if not (key.startswith("__") and key.endswith("__"))
        }
    if isinstance(value, list):
        return [plain(held) for held in value]
    return _unquoted(value) if isinstance(value, str) else value


def _unquoted(text: str) -> str:
    if len(text) > 1 and text[0] == text[-1] == '"':
        try:
            return str(json.loads(text))
        except ValueError:
            return text[1:-1]
    return text
