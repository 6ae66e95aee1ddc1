"""Every signature: what the service prints, and the software that runs on it.

The rows stand in text files, one a family, beside this one: patterns, each with where it was seen and
an example. `compiled.json` is made of them (bench/diagnosis/signature_files.py says how a file is read,
and a test holds the two equal); it alone is read here, when a signature is first asked for. Both of
the product's names occur in messages ("Vertex AI", "Agent Platform", and the older "AI Platform" and
"ML Engine"), so no row leans on the name.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from remediator.diagnosis.signature import ANYWHERE, Level, Pattern, Signature, Tag, TextPlace
from remediator.domain import Cause

__all__ = ["COMPILED", "client_signatures", "signatures"]

COMPILED = Path(__file__).with_name("compiled.json")


def signatures() -> tuple[Signature, ...]:
    """Every row that is looked for in a text, the service's first."""
    return _loaded()[0]


def client_signatures() -> tuple[Signature, ...]:
    """What a client library's exception says of the service behind it, in the order of trying."""
    return _loaded()[1]


@functools.cache
def _loaded() -> tuple[tuple[Signature, ...], tuple[Signature, ...]]:
    held = json.loads(COMPILED.read_text(encoding="utf-8"))
    return tuple(_rows(held["signatures"])), tuple(_rows(held["clients"]))


def _rows(held: Iterable[Mapping[str, Any]]) -> Iterable[Signature]:
    for row in held:
        yield Signature(
            id=row["id"],
            cause=Cause(row["cause"]) if "cause" in row else None,
            weight=row.get("weight", 0.0),
            patterns=tuple(_pattern(*one) for one in row["patterns"]),
            says=row["says"],
            reference=row["see"],
            level=Level(row["level"]) if "level" in row else Level.ROOT_CAUSE,
            last_resort=row.get("last", False),
            silences=tuple(row.get("silences", ())),
            silences_everywhere=tuple(row.get("everywhere", ())),
            places=TextPlace(row["places"]) if "places" in row else ANYWHERE,
            tags=frozenset(Tag(name) for name in row.get("tags", ())),
        )


def _pattern(
    regex: str, clauses: Iterable[Iterable[str]] = (), groups: Iterable[str] = ()
) -> Pattern:
    return Pattern(regex, tuple(map(tuple, clauses)), tuple(groups))
