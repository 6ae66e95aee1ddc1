"""Two small plots as SVG, drawn by hand: points with names, and lines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

WIDTH, HEIGHT, LEFT, BOTTOM, TOP = 760, 440, 70, 60, 20
_STYLE = (
    "<style>text{font:13px sans-serif;fill:#333}.axis{stroke:#999}.grid{stroke:#ddd}"
    "@media(prefers-color-scheme:dark){text{fill:#ddd}.grid{stroke:#444}}</style>"
)
_COLOURS = ("#1a73e8", "#d93025", "#188038", "#9334e6")


def scatter(points: Sequence[tuple[str, float, float]]) -> str:
    """(name, money over the oracle's, share recovered) each."""
    most = max(x for _, x, _ in points) * 1.25
    drawn = [_frame("money, as a multiple of the oracle's", "recovered of those recoverable")]
    for tick in range(0, 101, 20):
        y = _y(tick / 100)
        drawn.append(_text(LEFT - 8, y + 4, f"{tick}%", "end"))
        drawn.append(
            f'<line class="grid" x1="{LEFT}" x2="{WIDTH - 20}" y1="{y:.0f}" y2="{y:.0f}"/>'
        )
    ticks = range(int(most) + 1)
    drawn += [_text(_x(n / most), HEIGHT - BOTTOM + 18, f"{n}", "middle") for n in ticks]
    taken: list[tuple[float, float]] = []
    for name, x, share in points:
        ours = name.startswith("vertex-remediator")
        cx, cy = _x(x / most), _y(share)
        drawn.append(f'<circle cx="{cx:.0f}" cy="{cy:.0f}" r="6" fill="{_COLOURS[not ours]}"/>')
        ty = cy + 4
        while any(abs(ty - other) < 15 and abs(cx - at) < 260 for at, other in taken):
            ty += 15
        taken.append((cx, ty))
        right = cx < WIDTH * 0.66
        drawn.append(_text(cx + (10 if right else -10), ty, name, "start" if right else "end"))
    return _svg(drawn, "Recovered against money, a point for each strategy")


def lines(series: Mapping[str, Sequence[tuple[float, float]]]) -> str:
    """(share of the fleet gone by, dollars a recovery) by strategy."""
    most = max(y for points in series.values() for _, y in points) * 1.2
    drawn = [_frame("share of the fleet gone by", "US dollars a recovery")]
    for tick in range(5):
        value = most * tick / 4
        drawn.append(_text(LEFT - 8, _y(tick / 4) + 4, f"{value:.2f}", "end"))
        drawn.append(_text(_x(tick / 4), HEIGHT - BOTTOM + 18, f"{tick * 25}%", "middle"))
    for number, (name, points) in enumerate(series.items()):
        colour = _COLOURS[number]
        path = " ".join(f"{_x(x):.0f},{_y(y / most):.0f}" for x, y in points)
        drawn.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        drawn.append(
            f'<text x="{WIDTH - 30}" y="{TOP + 18 + 18 * number}" text-anchor="end" '
            f'style="fill:{colour}">{escape(name)}</text>'
        )
    return _svg(drawn, "Dollars a recovery as the ledger learns")


def _x(share: float) -> float:
    return LEFT + share * (WIDTH - LEFT - 20)


def _y(share: float) -> float:
    return HEIGHT - BOTTOM - share * (HEIGHT - BOTTOM - TOP)


def _text(x: float, y: float, words: str, anchor: str) -> str:
    return f'<text x="{x:.0f}" y="{y:.0f}" text-anchor="{anchor}">{escape(words)}</text>'


def _frame(across: str, up: str) -> str:
    middle = (HEIGHT - BOTTOM + TOP) / 2
    return (
        f'<path class="axis" fill="none" d="M{LEFT} {TOP}V{HEIGHT - BOTTOM}H{WIDTH - 20}"/>'
        + _text(_x(0.5), HEIGHT - 16, across, "middle")
        + f'<text transform="rotate(-90 18 {middle:.0f})" x="18" y="{middle:.0f}" '
        f'text-anchor="middle">{escape(up)}</text>'
    )


def _svg(drawn: Sequence[str], title: str) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">'
        f"<title>{escape(title)}</title>{_STYLE}{''.join(drawn)}</svg>\n"
    )
