"""What words speak for in a text that no signature knows: a linear model over words and pairs of words.

Owns the reading of `words.tsv`, which `bench/diagnosis/train.py` makes of labelled messages and of how failed logs end.
When the model is asked, and what its word may do, is `word_evidence`'s. Pure; called by that.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from msgspec import Struct

from remediator.domain import Cause
from remediator.domain.late_pattern import late_pattern

MODEL = Path(__file__).with_name("words.tsv")
# Characters and words of a text that are read; chosen.
_CHARACTERS, _WORDS = 4_000, 400
_WORD = late_pattern(r"[a-z]{2,}|\b\d{1,3}\b")
# Below this the model is silent. Measured on certain messages whose text can tell and of which it had learned nothing: where
# nothing else spoke it was right in 11 of 12 above 0.6 and in 5 of 9 from 0.4 to 0.6 (bench/diagnosis/README.md).
LEAST = 0.55
_STEM = 4  # letters; measured: right in 265 of 324 certain labels, in 260 without; 5 and 6 letters: 268 and 266
_LEAST_NAMES = 3  # parts between blanks that a text must have; chosen
_SHOWN = 3  # words that spoke most; chosen


class Guess(Struct, frozen=True):
    """A cause, how probable the words make it (0 to 1), and those that spoke most for it; one that ends in
    `…` is the beginning of a word that the model does not know."""

    cause: Cause
    probability: float
    words: tuple[str, ...]


def features_of(text: str) -> frozenset[str]:
    """Words, their beginnings, numbers of up to three digits, and pairs of neighbours, in lower case."""
    words = _WORD.findall(text[:_CHARACTERS].lower())[:_WORDS]
    pairs = (f"{first} {second}" for first, second in itertools.pairwise(words))
    stems = (f"{word[:_STEM]}…" for word in words if len(word) > _STEM)
    return frozenset((*words, *pairs, *stems))


def guess(text: str, least: float = LEAST) -> Guess | None:
    """The cause that the text's words speak for; None where they do not say so clearly (with a probability of at
    least `least`), or speak for none.

    A name or two (`DATA_LOSS`, `Worker lost`) say nothing: a model over words would take them for a sentence.
    """
    if len(text[:_CHARACTERS].split()) < _LEAST_NAMES:
        return None
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
    named = named_by(held.labels, scores, least)
    if named is None:
        return None
    best, probability = named
    for_it = [word for word in weights if weights[word].get(best, 0.0) > 0]
    spoke = sorted(for_it, key=lambda word: (-weights[word][best], word))
    return Guess(Cause(held.labels[best]), probability, _shown(spoke, known))


def _shown(spoke: Iterable[str], known: Sequence[str]) -> tuple[str, ...]:
    """The first that spoke, each once; for a beginning a known word that has it.

    A word that the model does not know stays unsaid: apart from its sentence no redaction would know a secret.
    """
    found: dict[str, None] = {}
    for one in spoke:
        stem = one.removesuffix("…")
        whole = (word for word in known if word.isalpha() and word.startswith(stem))
        found[one if stem == one else next(whole, one)] = None
        if len(found) == _SHOWN:
            break
    return tuple(found)


def named_by(
    labels: Sequence[str], scores: Sequence[float], least: float = LEAST
) -> tuple[int, float] | None:
    """The number of the cause that scores by label (in nats) name, with its probability."""
    most = max(scores)
    raised = [math.exp(score - most) for score in scores]
    best = max(range(len(raised)), key=raised.__getitem__)
    probability = raised[best] / sum(raised)
    clear = probability >= least and labels[best] != Cause.UNKNOWN
    return (best, probability) if clear else None


class _Model(Struct, frozen=True):
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


@functools.lru_cache(maxsize=4_096)  # chosen: as many words as some dozens of messages know
def _parsed(written: str) -> Mapping[int, float]:
    pairs: Iterable[tuple[str, str, str]] = (one.partition(":") for one in written.split(","))
    return {int(label): int(weight) / 100 for label, _, weight in pairs}
