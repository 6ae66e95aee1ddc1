"""Makes `remediator/diagnosis/words.tsv` of the labelled messages and the signatures' examples.

    python bench/diagnosis/train.py             makes it, in a quarter of a minute and always the same
    python bench/diagnosis/train.py --measure   each set of strangers' messages, by a model of the sets before it

Multinomial logistic regression over words and pairs, by stochastic gradient descent with a step for each
weight (AdaGrad). Needs numpy, which the product that reads the file does not.
"""

from __future__ import annotations

import hashlib
import math
import random
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from bench.diagnosis.corpus import messages, written_endings
from bench.diagnosis.lab import Scenario, half, scenarios, time_outs
from bench.diagnosis.signature_files import CLIENTS, FAMILIES, rows_of
from remediator.diagnosis.texts.ending import ending_of
from remediator.diagnosis.words import MODEL, features_of, named_by
from remediator.domain import NEVER_RETRIED, Cause

SETS = (
    *("first", "second", "third", "fourth", "fifth"),
    *("sixth", "seventh", "eighth", "ninth", "tenth", "eleventh"),
    *("thirteenth", "fourteenth", "fifteenth"),
)
# Measured on the protocol below: twice as many rounds or a fifth of the step change it by 2 of 100 at most.
_ROUNDS, _STEP, _DECAY = 12, 0.5, 1e-4
_LEAST_TEXTS = 2  # that hold a word, for it to be learned; chosen
_UNSURE = 0.5  # what a message with an uncertain label counts; chosen
_LEAST_HUNDREDTHS = 25  # of a weight that is kept; chosen, for a file of 0.3 MB


@dataclass(frozen=True, slots=True)
class Labelled:
    """A text, its cause (or `unknown`), and how much it counts, 0 to 1."""

    text: str
    cause: str
    counts: float = 1.0


def of_messages(rows: Iterable[dict[str, Any]]) -> list[Labelled]:
    return [
        Labelled(
            row["text"], row["cause"], 1.0 if row.get("confidence", "high") == "high" else _UNSURE
        )
        for row in rows
    ]


def of_signatures() -> list[Labelled]:
    """The examples of every row that names a cause."""
    found = []
    for family in (*FAMILIES, CLIENTS):
        for row in rows_of(family):
            cause = row.fields.get("cause", "").partition(",")[0]
            if cause:
                found += [
                    Labelled(example.text, cause)
                    for pattern in row.patterns
                    for example in pattern.examples
                ]
    return found


LABS = (
    *("training", "blind", "second_blind", "third_blind", "fourth_blind", "fifth_blind"),
    *("sixth_blind", "seventh_blind", "complaints", "statements"),
)
_READ_BY_HALF = ("eighth_blind",)


def of_endings() -> list[Labelled]:
    """How failed logs end: written and recalled ones, and recorded ones of the labs, servers' apart.

    Of the newest lab only half A is learned: the other half says what the model makes of strangers.
    """
    found = [
        Labelled(ending_of(rows), cause)
        for name in ("endings", "recalled_endings")
        for rows, cause in written_endings(name)
    ]
    for name in LABS:
        found += [_recorded(one) for one in scenarios(name) if not one.serves]
    for name in _READ_BY_HALF:
        found += [
            _recorded(one)
            for one in scenarios(name)
            if not one.serves and half(one.software) == "A"
        ]
    return [one for one in found if one.text]


TIME_OUTS = ("time_outs_blind", "second_time_outs_blind")
_WINDOW = 8  # rows; chosen, as many as `ending_of` keeps


def of_healthy_work() -> list[Labelled]:
    """Rows that say nothing of a cause: what jobs wrote while they worked, of the written time-outs that have been read.

    Without them a model of failures alone finds one in `GPU memory usage: 12 GiB`.
    """
    found = []
    for name in TIME_OUTS:
        for line, _ in time_outs(name):
            rows = [_as_text(said) for _, _, task, said in line["log"] if task != "service"]
            third = len(rows) // 3
            windows = (rows[third : third + _WINDOW], rows[2 * third : 2 * third + _WINDOW])
            single = (rows[:1], rows[third : third + 1], rows[2 * third : 2 * third + 1])
            found += [
                Labelled(ending_of(part), Cause.UNKNOWN.value) for part in (*windows, *single)
            ]
    return [one for one in found if one.text]


def _as_text(said: Any) -> str:
    """A row of a written time-out: a text, a list of one, or the fields of a structured entry."""
    if isinstance(said, dict):
        return " ".join(str(value) for value in said.values())
    return said if isinstance(said, str) else said[0]


def _recorded(scenario: Scenario) -> Labelled:
    rows = [str(text) for _, _, text in scenario.line["log"]]
    return Labelled(ending_of(rows), scenario.truth[0])


def training_data() -> list[Labelled]:
    """All labelled texts of the repository that the word model may learn."""
    names = ("messages", "held_out", "fresh", "written", "recalled", "authored")
    known = [of_messages(messages(name)) for name in names]
    return [
        *(one for rows in known for one in rows),
        *of_signatures(),
        *of_endings(),
        *of_healthy_work(),
    ]


def digest(data: Sequence[Labelled]) -> str:
    return hashlib.sha256(
        repr([(one.text, one.cause, one.counts) for one in data]).encode()
    ).hexdigest()


@dataclass(frozen=True, slots=True)
class Model:
    """Weights by word and label, and the labels' own."""

    labels: list[str]
    bias: list[float]
    weights: dict[str, list[float]]


def _scores(model: Model, known: Sequence[str]) -> list[float]:
    scale = 1.0 / math.sqrt(len(known))
    scores = list(model.bias)
    for word in known:
        for label, weight in enumerate(model.weights[word]):
            scores[label] += weight * scale
    return scores


def _shares(scores: Sequence[float]) -> list[float]:
    most = max(scores)
    raised = [math.exp(score - most) for score in scores]
    whole = sum(raised)
    return [one / whole for one in raised]


def trained(data: Sequence[Labelled]) -> Model:
    """The same for the same data in the same order, whatever the version of numpy: the arithmetic is by element,
    sums go from the first word to the last, and exponentials are the standard library's."""
    held = [(features_of(one.text), one) for one in data]
    texts = Counter(word for words, _ in held for word in words)
    labels = sorted({one.cause for one in data})
    numbers = {
        word: number
        for number, word in enumerate(
            sorted(word for word, times in texts.items() if times >= _LEAST_TEXTS)
        )
    }
    rounds = [
        _Lesson(np.array(known), labels.index(one.cause), one.counts)
        for words, one in held
        if (known := sorted(numbers[word] for word in words if word in numbers))
    ]
    learner = _Learner(len(numbers), len(labels))
    dice = random.Random(1)  # the same order each time, no secret
    for _ in range(_ROUNDS):
        dice.shuffle(rounds)
        for lesson in rounds:
            learner.learn(lesson)
    return Model(
        labels, learner.bias.tolist(), dict(zip(numbers, learner.weights.tolist(), strict=True))
    )


@dataclass(frozen=True, slots=True)
class _Lesson:
    """The numbers of a text's words, ascending, the number of its label, and how much it counts."""

    words: np.ndarray
    label: int
    counts: float


_BIAS_STEP, _TOO_LITTLE = 0.02, 0.002  # chosen


class _Learner:
    """The weights by number of word and of label, while they are learned."""

    def __init__(self, words: int, labels: int) -> None:
        self.bias = np.zeros(labels)
        self.weights = np.zeros((words, labels))
        self._steps = np.ones((words, labels))

    def learn(self, lesson: _Lesson) -> None:
        words = lesson.words
        scale = 1.0 / math.sqrt(len(words))
        weights = self.weights.take(words, axis=0)
        scores = np.add.reduce(np.concatenate((self.bias[None], weights * scale)))
        errors = _shares(scores.tolist())
        errors[lesson.label] -= 1.0
        errors = [error * lesson.counts for error in errors]
        self.bias -= _BIAS_STEP * np.array(errors)
        learned = [abs(error) > _TOO_LITTLE for error in errors]
        if not any(learned):
            return
        slopes = np.where(learned, errors, 0.0) * scale
        decays = np.where(learned, _DECAY, 0.0)  # the other labels' weights stay as they are
        steps = self._steps.take(words, axis=0)
        steps += slopes * slopes
        self._steps[words] = steps
        weights -= _STEP * (slopes + decays * weights) / np.sqrt(steps)
        self.weights[words] = weights


def written(model: Model, data: Sequence[Labelled]) -> str:
    """The file's text: a header, then a word a line with its weights in hundredths."""
    lines = [
        f"# data\t{digest(data)}",
        f"# labels\t{','.join(model.labels)}",
        f"# bias\t{','.join(str(round(100 * one)) for one in model.bias)}",
    ]
    for word, weights in sorted(model.weights.items()):
        kept = [(k, round(100 * weight)) for k, weight in enumerate(weights)]
        told = ",".join(f"{k}:{weight}" for k, weight in kept if abs(weight) >= _LEAST_HUNDREDTHS)
        if told:
            lines.append(f"{word}\t{told}")
    return "\n".join(lines) + "\n"


@dataclass(frozen=True, slots=True)
class Measured:
    """What a model of the sets before made of one set of strangers' messages; each pair is (right, of)."""

    name: str
    certain: tuple[int, int]
    tells: tuple[int, int]
    """Of those whose text alone can tell."""
    taken: tuple[int, int]
    """Of those of which the product would take the model's word, if no signature knew them."""
    taken_never: int
    """Of these, how many have a cause that is never retried."""

    @property
    def line(self) -> str:
        pairs = (f"{right} of {of}" for right, of in (self.certain, self.tells, self.taken))
        return f"| {self.name} | {' | '.join(pairs)} | {self.taken_never} |"


def measured() -> list[Measured]:
    """The protocol: of each set all messages, by a model of what was there before; last, all sets together."""
    held = [row for name in ("held_out", "fresh", "written") for row in messages(name)]
    others = messages("messages")
    recalled = messages("recalled")
    found = []
    for number, name in enumerate(SETS):
        before = [row for row in held if row["set"] in SETS[:number]]
        # Two sets of our own are older than the strangers'; the others were written after the second.
        own = [row for row in recalled if row["set"] in {"first", "second"} or number > 1]
        model = trained(of_messages([*others, *before, *own]))
        found.append(_measured_by(model, name, [row for row in held if row["set"] == name]))
    sums = [
        tuple(sum(one) for one in zip(*pairs, strict=True))
        for pairs in (
            [m.certain for m in found],
            [m.tells for m in found],
            [m.taken for m in found],
        )
    ]
    whole = Measured("all", *sums, sum(m.taken_never for m in found))  # type: ignore[arg-type]  # pairs
    return [*found, whole]


def _measured_by(model: Model, name: str, rows: Sequence[dict[str, Any]]) -> Measured:
    certain, tells, taken = [], [], []
    never = 0
    for row in rows:
        known = sorted(features_of(row["text"]) & model.weights.keys())
        scores = _scores(model, known) if known else list(model.bias)
        best = max(range(len(scores)), key=scores.__getitem__)
        good = model.labels[best] == row["cause"]
        if row["confidence"] == "high":
            certain.append(good)
        if row["from_text"] == "yes":
            tells.append(good)
        if known and (named := named_by(model.labels, scores)):
            taken.append(model.labels[named[0]] == row["cause"])
            never += Cause(row["cause"]) in NEVER_RETRIED
    return Measured(name, *((sum(one), len(one)) for one in (certain, tells, taken)), never)


if __name__ == "__main__":
    if "--measure" in sys.argv:
        print("\n".join(one.line for one in measured()))
    else:
        everything = training_data()
        MODEL.write_text(written(trained(everything), everything), encoding="utf-8")
        print(f"{MODEL.name}: {len(everything)} texts, {MODEL.stat().st_size:,} bytes")
