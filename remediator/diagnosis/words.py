"""What words speak for in a text that no signature knows: a linear model over words and pairs of words.

Owns the reading of `words.tsv`, which `bench/diagnosis/train.py` makes of the labelled messages. The model fills
silence and nothing else: it is asked where the whole case has no verdict and no log, and only causes that
are never retried are taken from it, so that no resubmission ever rests on words alone. Pure; called by
`diagnose`.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from remediator.domain import NEVER_RETRIED, Cause
from remediator.domain.late_pattern import late_pattern

MODEL = Path(__file__).with_name("words.tsv")
# Characters and words of a text that are read; chosen.
_CHARACTERS, _WORDS = 4_000, 400
_WORD = late_pattern(r"[a-z]{2,}|\b\d{1,3}\b")
# Below these the model is silent: what the first of the never-retried causes must be worth alone, or together with the
# others. Between them nothing follows but words in an alert, so they may share. Measured, figures: bench/diagnosis/README.md.
LEAST_ALONE, LEAST_TOGETHER, LEAST_OF_TOGETHER = 0.7, 0.8, 0.45
_STEM = 4  # letters; measured: right in 265 of 324 certain labels, in 260 without; 5 and 6 letters: 268 and 266
_SHOWN = 3  # words that spoke most; chosen


@dataclass(frozen=True, slots=True)
class Guess:
    """A cause, how probable the words make it (0 to 1), and those that spoke most for it; one that ends in
    `…` is the beginning of several."""

    cause: Cause
    probability: float
    words: tuple[str, ...]


def features_of(text: str) -> frozenset[str]:
    """Words, their beginnings, numbers of up to three digits, and pairs of neighbours, in lower case."""
    words = _WORD.findall(text[:_CHARACTERS].lower())[:_WORDS]
    pairs = (f"{first} {second}" for first, second in itertools.pairwise(words))
    stems = (f"{word[:_STEM]}…" for word in words if len(word) > _STEM)
    return frozenset((*words, *pairs, *stems))


def guess(text: str) -> Guess | None:
    """The never-retried cause that the text's words speak for; None where they do not say so clearly."""
    held = _model()
    known = sorted(features_of(text) & held.weights.keys())
    if not known:
        return None
    weights = {word: _parsed(held.weights[word]) for word in known}
    scale = 1.0 / math.sqrt(len(known))
    scores = list(held.bias)
    for one in weights.values():
        for label, weight in one.items():
            scores[label] += weight * scale
    named = named_by(held.labels, scores)
    if named is None:
        return None
    best, probability = named
    spoke = sorted(weights, key=lambda word: (-weights[word].get(best, 0.0), word))
    return Guess(Cause(held.labels[best]), probability, tuple(spoke[:_SHOWN]))


def named_by(labels: Sequence[str], scores: Sequence[float]) -> tuple[int, float] | None:
    """The number of the never-retried cause that scores by label (in nats) name, with its probability."""
    most = max(scores)
    raised = [math.exp(score - most) for score in scores]
    whole = sum(raised)
    never = [number for number, label in enumerate(labels) if label in NEVER_RETRIED]
    best = max(never, key=raised.__getitem__, default=None)
    if best is None:
        return None
    alone, together = raised[best] / whole, sum(raised[number] for number in never) / whole
    shared = together >= LEAST_TOGETHER and alone >= LEAST_OF_TOGETHER
    return (best, alone) if alone >= LEAST_ALONE or shared else None


@dataclass(frozen=True, slots=True)
class _Model:
    labels: tuple[str, ...]
    bias: tuple[float, ...]
    weights: Mapping[str, str]
    """Of each word its weights as written, `label:hundredths,…`: few of them are ever looked at."""


@functools.cache
def _model() -> _Model:
    lines = MODEL.read_text(encoding="utf-8").splitlines()
    header = dict(line[2:].split("\t", 1) for line in lines if line.startswith("# "))
    weights = dict(line.split("\t", 1) for line in lines if not line.startswith("# "))
    bias = tuple(int(one) / 100 for one in header["bias"].split(","))
    return _Model(tuple(header["labels"].split(",")), bias, weights)


def _parsed(written: str) -> dict[int, float]:
    pairs: Iterable[tuple[str, str, str]] = (one.partition(":") for one in written.split(","))
    return {int(label): int(weight) / 100 for label, _, weight in pairs}
