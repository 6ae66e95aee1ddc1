"""The report's two drawings as numbers: stacked bars and a line. Pure.

Owns their geometry, in the units of each drawing's own view box; how they are drawn stands in
`templates/drawings.html.jinja`. Called by the report's page alone.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

# Chosen: the sizes of the two view boxes, the gap between bars and the widest bar.
WIDTH, HEIGHT, _GAP, _WIDEST = 720, 180, 2, 64
LINE_WIDTH, LINE_HEIGHT = 240, 40


class Bar(Struct, frozen=True):
    """One count of one row: `series` is its place among the names of what is counted."""

    row: str
    series: int
    count: int
    x: float
    y: float
    width: float
    height: float


class BarChart(Struct, frozen=True):
    """Bars side by side, each row a stack: `most` is the highest stack, `covered` the share of the
    width that the rows take."""

    bars: tuple[Bar, ...]
    most: int
    covered: float
    first: str
    last: str
    width: int = WIDTH
    height: int = HEIGHT


def stacked_bars(rows: Sequence[tuple[str, Sequence[int]]]) -> BarChart:
    """A row's name and its counts, from the bottom of the stack to its top; at least one row."""
    most = max(sum(counts) for _, counts in rows) or 1
    width = min(_WIDEST, WIDTH / len(rows))
    bars = []
    for place, (name, counts) in enumerate(rows):
        top = float(HEIGHT)
        for series, count in enumerate(counts):
            if not count:
                continue
            height = count / most * HEIGHT
            top -= height
            bars.append(Bar(name, series, count, place * width, top, max(width - _GAP, 1), height))
    return BarChart(tuple(bars), most, width * len(rows) / WIDTH, rows[0][0], rows[-1][0])


class Line(Struct, frozen=True):
    """A line as the points of an SVG polyline, and what it says in words."""

    label: str
    points: str
    width: int = LINE_WIDTH
    height: int = LINE_HEIGHT


def line(values: Sequence[float], label: str) -> Line:
    """A line through shares from 0 to 1, at least one; at most one point for each unit of width."""
    taken = values[:: max(1, len(values) // LINE_WIDTH)]
    across = LINE_WIDTH / max(len(taken) - 1, 1)
    heights = [f"{(1 - value) * (LINE_HEIGHT - 2) + 1:.1f}" for value in taken]
    points = [f"{n * across:.0f},{height}" for n, height in enumerate(heights)]
    # The sides of the area lie outside the picture, so that only its top is seen as a line.
    left, right = "-9", f"{LINE_WIDTH + 9}"
    around = (
        f"{left},99",
        f"{left},{heights[0]}",
        *points,
        f"{right},{heights[-1]}",
        f"{right},99",
    )
    return Line(label, " ".join(around))
