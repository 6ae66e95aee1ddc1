"""Reads `scenes/*.yaml`, each row one sort of failure, and draws scenes from it.

A row is read from top to bottom, and each random number is drawn where it is written:

    name, is      the scene's name; its truth, verdicts that are as right (`also`), tier of evidence, wave, draws
    let           names for what is drawn once
    job           custom or batch, and how it is made (`gpu`, `many` vCPUs, `telemetry`, `metrics`, `args`, …)
    messy         samples are lost, and the first ones late
    load          curves over the run's share `at`: cpu, memory, gpu, received (bytes a second)
    lines         what the log says (below)
    section       what telemetry names: [when, section, stack], the first that holds
    maybe         steps of which each is taken in half of the draws
    buckets       name: far, near, nearest of the job's region, or a location
    …             any other field of a `Scene`, by its name

A line is `[seconds, text]`; `{between: [share, share], times, say}` or `{from, to, times, say}` (`say each`: all of
them at each moment, `say in turn`: one of them by turns); `{writer, from, to, what}` and `{compute, what, start,
end}`, one of `stranger_logs`; `{repeat, with, lines}`; `{block, …}`, a list of `blocks.yaml`.
A number may be a formula (`formulas`), a text holds formulas in braces, and `{one of: …}` draws from a list.
Used by `strangers`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import yaml

from bench.diagnosis import formulas
from bench.diagnosis import stranger_logs as logs
from bench.diagnosis.stranger_jobs import (
    FAR,
    GPUS,
    NEAR,
    REGIONS,
    VCPUS,
    Curve,
    Line,
    Load,
    Scene,
    batch_504,
)

ROWS = Path(__file__).with_name("scenes")
_TIMES = 6
_HOSTS = [
    "https://api.partner-data.example",
    "https://features.internal.acme.example",
    "https://ftp.ensembl.example",
    "https://data.gov-portal.example",
]
_LISTS: Mapping[str, list[str]] = {"hosts": _HOSTS, "sections": logs.SECTIONS}
_WRITERS = {"COMPUTE": logs.COMPUTE, "SECTION": logs.SECTION}
_CURVES = {
    "full": "uniform(0.94, 1.0)",
    "idle": "uniform(0.01, 0.06)",
    # One busy thread, whatever the machine.
    "one thread": "1 / vcpus + uniform(0.0, 0.015)",
}


@dataclass(frozen=True)
class Kind:
    """One sort of failure: its truth, what kinds of evidence there are, how often it is drawn."""

    name: str
    wave: int
    truth: str
    also: frozenset[str]
    tier: str
    times: int
    steps: Mapping[str, Any]

    def draw(self, dice: Random) -> Scene:
        """One failure of this sort."""
        draft = _Draft(dice)
        for key, value in self.steps.items():
            draft.take(key, value)
        return draft.finish()


@functools.cache
def kinds() -> tuple[Kind, ...]:
    """Every sort of failure, in the order of the files' names and rows."""
    return tuple(
        _kind_of(row)
        for path in sorted(ROWS.glob("*.yaml"))
        if path.stem != "blocks"
        for row in _parsed(path)
    )


def _parsed(path: Path) -> Any:
    return yaml.load(path.read_text(encoding="utf-8"), yaml.CSafeLoader)


def _kind_of(row: Mapping[str, Any]) -> Kind:
    known = row["is"]
    steps = {key: value for key, value in row.items() if key not in {"name", "is"}}
    also, times = frozenset(known.get("also", ())), known.get("times", _TIMES)
    return Kind(row["name"], known["wave"], known["truth"], also, known["tier"], times, steps)


@functools.cache
def _blocks() -> Mapping[str, list[Any]]:
    blocks: Mapping[str, list[Any]] = _parsed(ROWS / "blocks.yaml")
    return blocks


@dataclass
class _Draft:
    """A scene while its row is read."""

    dice: Random
    names: dict[str, Any] = field(default_factory=dict)
    made: Scene | None = None
    curves: dict[str, Curve] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.names |= {
            "uniform": self.dice.uniform,
            "randrange": self.dice.randrange,
            "random": self.dice.random,
            "host": lambda: self.dice.choice(_HOSTS),
            "hms": logs.hms,
            "int": int,
            "min": min,
        }

    @property
    def scene(self) -> Scene:
        if self.made is None:
            message = "a row names its job before what happened to it"
            raise formulas.Unreadable(message)
        return self.made

    def take(self, key: str, value: Any) -> None:
        """One step of a row."""
        step = _STEPS.get(key)
        if step is not None:
            step(self, value)
        else:
            if not hasattr(self.scene, key):
                message = f"no step of a row: {key}"
                raise formulas.Unreadable(message)
            found = self.value(value)
            setattr(self.scene, key, set(found) if key == "only" else found)
        self.know_scene()

    def lose_samples(self, _: Any) -> None:
        self.scene.gap = self.dice.choice([0, 0, 0.1, 0.4])
        self.scene.late = self.dice.choice([0, 0.02, 0.08])

    def draw_load(self, written: Mapping[str, Any]) -> None:
        self.curves |= {name: self.curve(one) for name, one in written.items()}

    def add_lines(self, written: list[Any]) -> None:
        self.scene.lines += self.lines(written)

    def name_sections(self, written: list[list[Any]]) -> None:
        self.scene.section = lambda at: self.section_at(written, at)

    def take_some(self, written: list[Mapping[str, Any]]) -> None:
        for steps in written:
            if self.dice.random() < 0.5:
                for key, value in steps.items():
                    self.take(key, value)

    def place_buckets(self, written: Mapping[str, str]) -> None:
        self.scene.buckets = {name: self.place(where) for name, where in written.items()}

    def fail_rows(self, written: Mapping[str, Any]) -> None:
        self.scene.partial = self.repeated(written)

    def write_files(self, written: Mapping[str, Any]) -> None:
        self.scene.files = {
            name: "\n".join(one["say"] for one in self.repeated(rows))
            for name, rows in written.items()
        }

    def finish(self) -> Scene:
        if self.curves:
            self.scene.load = Load(**self.curves)
        return self.scene

    def know_scene(self) -> None:
        if self.made is not None:
            for name in ("seconds", "hours", "vcpus", "region"):
                self.names[name] = getattr(self.made, name)

    def draw_names(self, wanted: Mapping[str, Any]) -> None:
        for name, value in wanted.items():
            found = self.number(value) if isinstance(value, str) else self.value(value)
            parts = name.split(",")
            self.names |= dict(zip(parts, found, strict=True)) if len(parts) > 1 else {name: found}

    # --- values ---

    def value(self, written: Any) -> Any:
        """What is written, with everything drawn: texts filled in, choices made."""
        if isinstance(written, str):
            return batch_504(self.dice) if written == "the 504" else self.text(written)
        if isinstance(written, Mapping):
            if "one of" in written:
                among = written["one of"]
                return self.value(
                    self.dice.choice(_LISTS[among] if isinstance(among, str) else among)
                )
            if "formula" in written:
                return self.number(written["formula"])
            return {key: self.value(one) for key, one in written.items()}
        if isinstance(written, list):
            return [self.value(one) for one in written]
        return written

    def text(self, template: str) -> str:
        return formulas.filled(template, self.names)

    def number(self, written: Any) -> Any:
        return formulas.value_of(written, self.names) if isinstance(written, str) else written

    def repeated(self, written: Mapping[str, Any]) -> list[Any]:
        """The same, so many times, each drawn anew."""
        times = self.number(written["times"])
        one = {key: value for key, value in written.items() if key != "times"}
        return [self.value(one) for _ in range(times)]

    def place(self, where: str) -> str:
        region = self.scene.region
        if where == "nearest":
            return NEAR[region][0]
        among = {"far": FAR, "near": NEAR}.get(where)
        return self.dice.choice(among[region]) if among else where

    # --- the job and its load ---

    def make_job(self, written: str | Mapping[str, Any]) -> None:
        """A custom job of some size, or a batch prediction that hit the limit of one request."""
        named = {"kind": written} if isinstance(written, str) else written
        more = {key: self.value(one) for key, one in named.items()}
        kind, gpu, many = more.pop("kind"), more.pop("gpu", False), more.pop("many", False)
        device: tuple[str, int] | None = None
        if gpu:
            machine, name, count, vcpus = self.dice.choice(GPUS)
            device = (name, count)
        else:
            machine = self.dice.choice([name for name, n in VCPUS.items() if n >= 8 or not many])
            vcpus = VCPUS[machine]
        hours, region = self.dice.choice([1, 2, 3, 6, 12]), self.dice.choice(REGIONS)
        more |= {"needs": tuple(more.get("needs", ()))}
        s = self.made = Scene(self.dice, kind, hours, region, machine, vcpus, device, **more)
        if kind == "batch":
            s.hours = self.dice.choice([0.75, 1.5, 3])
            if self.dice.random() < 0.5:
                s.batch_size = self.dice.choice([8, 16, 64, 128])
            if not s.error:
                s.error = {
                    "code": self.dice.choice([4, 13, 16, 2]),
                    "message": batch_504(self.dice),
                }

    def curve(self, written: Any) -> Curve:
        """A curve over the run: drawn once, or by a formula of `at`, or drawn at each sample."""
        each = isinstance(written, Mapping)
        formula = written["each sample"] if each else _CURVES.get(written, written)
        if (
            each
            or "at" in formulas.names_in(formula)
            or str(formula).startswith(("early(", "ramp("))
        ):
            return lambda at: float(self.at(formula, at))
        held = float(self.number(formula))
        return lambda _: held

    def at(self, formula: str, at: float) -> Any:
        """The formula at one moment of the run, from 0 to 1."""

        def early(share: float, high: float, low: float) -> float:
            return high if at < share else low

        def ramp(first: float, last: float, until: float = 1.0) -> float:
            return first + (last - first) * min(1.0, at / until)

        return formulas.value_of(formula, {**self.names, "at": at, "early": early, "ramp": ramp})

    def section_at(self, written: list[list[Any]], at: float) -> tuple[str | None, str | None]:
        """Section and stack at one moment, drawn where they are written as choices."""
        for when, section, stack in written:
            if when == "always" or self.at(when, at):
                return self.value(section), self.value(stack)
        return None, None

    # --- what the log says ---

    def lines(self, written: Iterable[Any]) -> list[Line]:
        return [line for item in written for line in self.lines_of(item)]

    def lines_of(self, item: Any) -> Iterable[Line]:
        if isinstance(item, list):
            moment, text = item
            return [(self.number(moment), self.value(text))]
        if item == "compute" or "compute" in item:
            return self.computed({} if item == "compute" else item)
        if "let" in item:
            self.draw_names(item["let"])
            return []
        if "block" in item:
            self.names |= {key: self.value(one) for key, one in item.items() if key != "block"}
            return self.lines(_blocks()[item["block"]])
        if "writer" in item:
            return self.written_by(item)
        if "repeat" in item:
            return self.rounds(item)
        return self.said(item)

    def computed(self, item: Mapping[str, Any]) -> list[Line]:
        """Lines of a loop that computes, in some style, over a part of the run."""
        what = self.value(item["what"]) if "what" in item else self.dice.choice(logs.SECTIONS)
        writer = self.dice.choice(_named(item.get("compute", "COMPUTE")))
        start, end = item.get("start", 0.01), item.get("end", 1.0)
        return writer(self.dice, start * self.scene.seconds, end * self.scene.seconds, what)

    def written_by(self, item: Mapping[str, Any]) -> list[Line]:
        by = item["writer"]
        single = isinstance(by, str) and by not in _WRITERS
        writer = getattr(logs, by) if single else self.dice.choice(_named(by))
        start, end = self.number(item["from"]), self.number(item.get("to", "seconds"))
        lines: list[Line] = writer(self.dice, start, end, self.value(item.get("what", "")))
        return lines

    def rounds(self, item: Mapping[str, Any]) -> Iterator[Line]:
        drawn = {
            name: self.dice.sample(_LISTS[among], item["repeat"])
            for name, among in item.get("with", {}).items()
        }
        for i in range(item["repeat"]):
            self.names |= {"i": i, **{name: held[i] for name, held in drawn.items()}}
            yield from self.lines(item["lines"])

    def said(self, item: Mapping[str, Any]) -> Iterator[Line]:
        """A text at each of so many moments."""
        if "between" in item:
            start, end = (share * self.scene.seconds for share in item["between"])
        else:
            start, end = self.number(item["from"]), self.number(item["to"])
        moments = logs.ticks(self.dice, start, end, self.number(item["times"]))
        for i, moment in enumerate(moments):
            self.names |= {"i": i, "t": moment}
            if "say in turn" in item:
                texts = [item["say in turn"][i % len(item["say in turn"])]]
            else:
                texts = item.get("say each") or [item["say"]]
            yield from [(moment, self.value(text)) for text in texts]


def _named(by: str | list[str]) -> list[Callable[..., list[Line]]]:
    return _WRITERS[by] if isinstance(by, str) else [getattr(logs, one) for one in by]


_STEPS: Mapping[str, Callable[[_Draft, Any], None]] = {
    "let": _Draft.draw_names,
    "job": _Draft.make_job,
    "messy": _Draft.lose_samples,
    "load": _Draft.draw_load,
    "lines": _Draft.add_lines,
    "section": _Draft.name_sections,
    "maybe": _Draft.take_some,
    "buckets": _Draft.place_buckets,
    "partial": _Draft.fail_rows,
    "files": _Draft.write_files,
}
