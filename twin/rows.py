"""The rows of a batch prediction in the twin: read from its input, answered one by one. Pure.

Owns how a result line looks, for publishers' models and for one's own, and that results come back in
another order than the rows went in.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

MOST_ROWS = 20_000
"""Longer inputs are answered by a line that stands for all: the twin is no load generator."""


def rows_of(texts: Sequence[bytes]) -> list[Any]:
    """The rows of JSONL inputs; none where they are no JSONL, or too many."""
    found: list[Any] = []
    for text in texts:
        for line in text.splitlines():
            if not line.strip():
                continue
            try:
                found.append(json.loads(line))
            except ValueError:
                return []
            if len(found) > MOST_ROWS:
                return []
    return found


def results(job: Mapping[str, Any], rows: Sequence[Any]) -> tuple[str, str]:
    """(name, text) of the file of results: every row answered, the last one first."""
    if "publishers/" in str(job.get("model") or ""):
        lines = [
            {
                "status": "",
                "processed_time": "2026-11-23T20:00:00Z",
                **row,
                "response": {"text": "x"},
            }
            for row in reversed(rows)
        ]
        return "predictions.jsonl", _text(lines)
    key = (job.get("instanceConfig") or {}).get("keyField")
    lines = [
        {"key": row[key], "prediction": [0.5]}
        if key and isinstance(row, dict) and key in row
        else {"instance": row, "prediction": [0.5]}
        for row in reversed(rows)
    ]
    return "prediction.results-00000-of-00001", _text(lines)


def _text(lines: Sequence[Any]) -> str:
    return "".join(json.dumps(line) + "\n" for line in lines)
