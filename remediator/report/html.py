"""The report's paper: document, tables, drawings, filter, style and script. Pure.

Owns HTML, SVG, CSS and the script; knows nothing of jobs. Every text that comes in is HTML already
escaped by the caller, except where a parameter says otherwise. Called by the report's page alone.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from html import escape

_WIDTH, _HEIGHT, _GAP, _WIDEST = 720, 180, 2, 64
_SPARK_WIDTH, _SPARK_HEIGHT = 240, 40


def document(title: str, body: str) -> str:
    """A whole page whose own policy forbids every outside request and every script but ours."""
    digest = base64.b64encode(hashlib.sha256(_SCRIPT.encode()).digest()).decode()
    policy = (
        f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; "
        "base-uri 'none'; form-action 'none'"
    )
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        '<meta name="color-scheme" content="light dark"><meta name="referrer" content="no-referrer">'
        f"<title>{title}</title><style>{_STYLE}</style></head><body>"
        '<a class="skip" href="#incidents-heading">Skip to the incidents</a>'
        f"{body}<script>{_SCRIPT}</script></body></html>\n"
    )


def table(
    caption: str, columns: Sequence[str], rows: Sequence[Sequence[str]], *, counts: bool = True
) -> str:
    """A table whose first cell in each row heads it; scrolls by itself, also by keyboard.

    `counts`: all but the first column are numbers, which stand beneath each other.
    """
    kind = ' class="counts"' if counts else ""
    head = "".join(f'<th scope="col">{column}</th>' for column in columns)
    lines = "".join(
        f'<tr><th scope="row">{row[0]}</th>' + "".join(f"<td>{c}</td>" for c in row[1:]) + "</tr>"
        for row in rows
    )
    return (
        f'<div class="scroll" role="region" aria-label="{caption}" tabindex="0"><table{kind}>'
        f"<caption>{caption}</caption><thead><tr>{head}</tr></thead><tbody>{lines}</tbody>"
        "</table></div>"
    )


def stacked_bars(
    rows: Sequence[tuple[str, Sequence[int]]], names: Sequence[str], label: str
) -> str:
    """Bars side by side, each a stack of counts in the order of `names`, with a legend."""
    most = max((sum(counts) for _, counts in rows), default=0) or 1
    width = min(_WIDEST, _WIDTH / max(len(rows), 1))
    drawn = []
    for place, (name, counts) in enumerate(rows):
        top = float(_HEIGHT)
        for number, count in enumerate(counts):
            if not count:
                continue
            height = count / most * _HEIGHT
            top -= height
            drawn.append(
                f'<rect class="c{number}" x="{place * width:.1f}" y="{top:.1f}" '
                f'width="{max(width - _GAP, 1):.1f}" height="{height:.1f}">'
                f"<title>{name}: {count} {names[number]}</title></rect>"
            )
    legend = "".join(
        f'<li><svg class="key" viewBox="0 0 10 10" aria-hidden="true">'
        f'<rect class="c{number}" width="10" height="10"/></svg>{name}</li>'
        for number, name in enumerate(names)
    )
    first, last = rows[0][0], rows[-1][0]
    ends = f"<span>{first}</span>" + (f"<span>{last}</span>" if last != first else "")
    covered = width * len(rows) / _WIDTH
    return (
        '<figure><div class="plot"><div class="scale" aria-hidden="true">'
        f"<span>{most:,}</span><span>0</span></div>"
        f'<svg role="img" aria-label="{label}, {first} to {last}; the most is {most}" '
        f'viewBox="0 0 {_WIDTH} {_HEIGHT}" preserveAspectRatio="none" class="bars">'
        f'<path class="grid" d="M0 1H{_WIDTH}M0 {_HEIGHT / 2:.0f}H{_WIDTH}"/>{"".join(drawn)}</svg>'
        f'<div class="axis" aria-hidden="true" style="width:{covered:.0%}">{ends}</div></div>'
        f'<ul class="legend">{legend}</ul><figcaption>{label}</figcaption></figure>'
    )


def sparkline(values: Sequence[float], label: str) -> str:
    """A line through shares from 0 to 1; at most one point for each pixel."""
    step = max(1, len(values) // _SPARK_WIDTH)
    taken = values[::step]
    across = _SPARK_WIDTH / max(len(taken) - 1, 1)
    heights = [f"{(1 - value) * (_SPARK_HEIGHT - 2) + 1:.1f}" for value in taken]
    points = [f"{n * across:.0f},{height}" for n, height in enumerate(heights)]
    # The sides of the area lie outside the picture, so that only its top is seen as a line.
    left, right = "-9", f"{_SPARK_WIDTH + 9}"
    around = [
        f"{left},99",
        f"{left},{heights[0]}",
        *points,
        f"{right},{heights[-1]}",
        f"{right},99",
    ]
    return (
        f'<svg role="img" aria-label="{label}" class="spark" '
        f'viewBox="0 0 {_SPARK_WIDTH} {_SPARK_HEIGHT}"><polyline points="{" ".join(around)}"/></svg>'
    )


def filters(
    causes: Sequence[tuple[str, str]], outcomes: Sequence[tuple[str, str]], total: int
) -> str:
    """Search and two choices, each a value with its words; hidden until the script shows them, since
    without it they do nothing."""

    def choice(name: str, label: str, values: Sequence[tuple[str, str]]) -> str:
        options = "".join(f'<option value="{v}">{words}</option>' for v, words in values)
        return (
            f'<span><label for="{name}">{label}</label> <select id="{name}">'
            f'<option value="">any</option>{options}</select></span>'
        )

    return (
        '<form id="filters" role="search" aria-label="Incidents" hidden>'
        '<span class="wide"><label for="words">Search</label> '
        '<input id="words" type="search" autocomplete="off"></span>'
        f"{choice('cause', 'Cause', causes)}{choice('outcome', 'Outcome', outcomes)}"
        '<button type="button" id="open">Open all shown</button></form>'
        f'<p id="count" role="status">{escape(str(total))} shown</p>'
    )


_SCRIPT = """
(() => {
  const form = document.getElementById("filters");
  if (!form) return;
  const get = (id) => document.getElementById(id);
  const items = [...document.querySelectorAll(".incident")].map((node) => ({
    node, text: node.textContent.toLowerCase(),
  }));
  const apply = () => {
    const words = get("words").value.toLowerCase().split(/\\s+/).filter(Boolean);
    const cause = get("cause").value, outcome = get("outcome").value;
    let shown = 0;
    for (const { node, text } of items) {
      const fits = (!cause || node.dataset.cause === cause)
        && (!outcome || node.dataset.outcome === outcome)
        && words.every((word) => text.includes(word));
      node.hidden = !fits;
      shown += fits ? 1 : 0;
    }
    get("count").textContent = `${shown} of ${items.length} shown`;
  };
  form.hidden = false;
  form.addEventListener("input", apply);
  form.addEventListener("submit", (event) => event.preventDefault());
  get("open").addEventListener("click", () => {
    const seen = items.filter(({ node }) => !node.hidden);
    const open = seen.some(({ node }) => !node.open);
    for (const { node } of seen) node.open = open;
    get("open").textContent = open ? "Close all shown" : "Open all shown";
  });
  const reach = (node) => (node.tabIndex = node.scrollWidth > node.clientWidth ? 0 : -1);
  const all = () => document.querySelectorAll(".scroll").forEach(reach);
  addEventListener("resize", all);
  document.addEventListener("toggle", (event) => {
    event.target.querySelectorAll(".scroll").forEach(reach);
  }, true);
  all();
  apply();
})();
"""

# Hues near Okabe and Ito's colour-blind safe palette, darkened or lightened: 4.5:1 on each ground.
_STYLE = """
:root{color-scheme:light dark;--ground:#fff;--raised:#f6f7f9;--ink:#1d2125;--quiet:#545b64;
--line:#d5d9df;--link:#0b57a4;--good:#0a6b4b;--bad:#b3261e;--wait:#7a4d00;
--c0:#0072b2;--c1:#a35a00;--c2:#007a57;--c3:#a8447f;--c4:#7d6b00;--c5:#4b3f94;--c6:#6b7178}
@media screen and (prefers-color-scheme:dark){:root{--ground:#15181c;--raised:#1e2328;--ink:#e6e9ed;
--quiet:#a6aeb8;--line:#39414a;--link:#8ab8f0;--good:#5fcf9f;--bad:#ff8f85;--wait:#f0b95b;
--c0:#56a5e0;--c1:#e69f00;--c2:#2fbf92;--c3:#dd8fbd;--c4:#d9c84a;--c5:#b3a5f5;--c6:#9aa2ab}}
*{box-sizing:border-box}
body{margin:0 auto;padding:1rem 1rem 4rem;max-width:66rem;background:var(--ground);color:var(--ink);
font:1rem/1.5 system-ui,-apple-system,"Segoe UI",Roboto,Helvetica,Arial,sans-serif}
h1{font-size:1.6rem;line-height:1.25;margin:.5rem 0 0;overflow-wrap:anywhere}
h2{font-size:1.25rem;margin:2.5rem 0 .75rem}h3{font-size:1rem;margin:1.25rem 0 .25rem}
header p{margin:.25rem 0}
header p,small,figcaption,.tile span,caption,.axis,.scale{color:var(--quiet)}
a{color:var(--link);overflow-wrap:anywhere}
:focus-visible{outline:3px solid var(--link);outline-offset:2px}
.skip{position:absolute;left:-99rem}.skip:focus{position:static}
.tiles{display:grid;grid-template-columns:repeat(3,1fr);gap:.75rem;margin:0}
.tile{background:var(--raised);border:1px solid var(--line);border-radius:.5rem;padding:.75rem 1rem}
.tile dt{color:var(--quiet);font-size:.9rem}.tile dd{margin:0}
.tile strong{display:block;font-size:1.4rem;line-height:1.3;overflow-wrap:anywhere}
.tile span{display:block;font-size:.8rem;line-height:1.4;margin-top:.25rem}
figure{margin:0 0 1rem}.plot{display:grid;grid-template-columns:auto 1fr;column-gap:.5rem}
.scale{display:flex;flex-direction:column;justify-content:space-between;text-align:right;
font-size:.8rem;line-height:1;font-variant-numeric:tabular-nums}
.bars{display:block;width:100%;height:11rem;border-bottom:1px solid var(--quiet)}
.grid{stroke:var(--line);stroke-width:1;vector-effect:non-scaling-stroke;fill:none}
.axis{grid-column:2;display:flex;justify-content:space-between;gap:1rem;font-size:.8rem;
min-width:max-content;padding-top:.25rem;font-variant-numeric:tabular-nums}
.legend{display:flex;flex-wrap:wrap;gap:.25rem 1rem;list-style:none;padding:0;margin:.5rem 0;font-size:.9rem}
.key{width:.8em;height:.8em;margin-right:.4em}figcaption{font-size:.85rem}
.c0{fill:var(--c0)}.c1{fill:var(--c1)}.c2{fill:var(--c2)}.c3{fill:var(--c3)}
.c4{fill:var(--c4)}.c5{fill:var(--c5)}.c6{fill:var(--c6)}
.scroll{overflow-x:auto;margin:.75rem 0}
table{border-collapse:collapse;width:100%;font-size:.9rem;font-variant-numeric:tabular-nums}
caption{text-align:left;padding:.25rem 0}th,td{text-align:left;vertical-align:top;
padding:.4rem .6rem;border-bottom:1px solid var(--line);overflow-wrap:break-word;max-width:24rem}
th:first-child{padding-left:0}th[scope=row]{font-weight:600}th small{display:block;font-weight:400}
.counts :is(th,td):not(:first-child){text-align:right;white-space:nowrap}
th[scope=col],td a{white-space:nowrap}th[scope=col]{color:var(--quiet);font-weight:600}
#filters:not([hidden]){display:flex;flex-wrap:wrap;gap:.5rem .75rem;align-items:center}
input,select,button{font:inherit;color:inherit;background:var(--raised);
border:1px solid var(--quiet);border-radius:.4rem;padding:.4rem .6rem;min-height:2.75rem;max-width:100%}
button{cursor:pointer}
.wide{flex:1 1 16rem;display:flex;gap:.5rem;align-items:center}#words{flex:1;min-width:0}
#list{border:1px solid var(--line);border-radius:.5rem}
.incident{padding:0 1rem;content-visibility:auto;contain-intrinsic-size:auto 3rem}
.incident+.incident{border-top:1px solid var(--line)}
.incident[open]{padding-bottom:1.25rem}
.incident>summary{display:flex;flex-wrap:wrap;align-items:center;gap:.1rem .75rem;padding:.7rem 0;
cursor:pointer;list-style:none;overflow-wrap:anywhere}
.incident>summary::-webkit-details-marker{display:none}
.incident>summary::before{content:"";width:.45rem;height:.45rem;margin:0 .1rem;flex:none;
border:solid var(--quiet);border-width:0 2px 2px 0;transform:rotate(-45deg)}
.incident[open]>summary::before{transform:rotate(45deg)}
.incident>summary>time{order:1;margin-left:auto}
.incident>summary>b{order:2;flex-basis:100%}.incident>summary>i{order:3;font-style:normal}
time{color:var(--quiet);white-space:nowrap;font-variant-numeric:tabular-nums}header time{color:inherit}
.mark{border:1px solid;border-radius:1rem;padding:.05rem .6rem;font-size:.85rem;white-space:nowrap}
.mark.recovered{color:var(--good)}.mark.given-up,.mark.person-told{color:var(--bad)}
.mark.in-progress,.mark.waits-for-a-yes{color:var(--wait)}.mark.observed,.mark.recorded-only{color:var(--quiet)}
.badge{display:inline-block;border:2px solid var(--wait);border-radius:1rem;padding:.2rem .8rem;
color:var(--wait);font-weight:600;text-decoration:none}
.asked{list-style:none;margin:0;padding:0}.asked li{background:var(--raised);border:1px solid var(--wait);
border-radius:.5rem;padding:.75rem 1rem;margin:0 0 .75rem}.asked p{margin:0 0 .5rem;overflow-wrap:anywhere}
pre{margin:0;white-space:pre-wrap;overflow-wrap:anywhere;font-size:.85rem}
.facts{margin:0}.facts div{display:grid;grid-template-columns:8.5rem 1fr;gap:.5rem}
.facts dt{color:var(--quiet)}.facts dd{margin:0;overflow-wrap:anywhere}
.incident ul,.incident ol{margin:0;padding-left:1.25rem;overflow-wrap:anywhere}
.incident ol{list-style:none;padding:0}.incident ol li{display:flex;flex-wrap:wrap;gap:0 1rem}.incident li>span{flex:1 1 10rem}
.curve{display:inline-block;margin:.25rem 1.5rem .5rem 0}
.spark{display:block;width:15rem;max-width:100%;height:2.5rem;background:var(--raised);
border-bottom:1px solid var(--line)}
.spark polyline{fill:var(--c0);fill-opacity:.15;stroke:var(--c0);stroke-width:1.5}
@media (min-width:48rem){.incident>summary{display:grid;
grid-template-columns:.75rem 8rem minmax(0,1fr) 12rem 12rem}
.incident>summary>*{order:0!important;justify-self:start}.incident>summary>time{justify-self:end}}
@media (max-width:56rem){.tiles{grid-template-columns:1fr 1fr}}
@media (max-width:34rem){.facts div{grid-template-columns:1fr;gap:0}.facts dd{margin-bottom:.4rem}
.tile{padding:.6rem .75rem}.tile strong{font-size:1.2rem}
table{font-size:.8rem}th,td{padding:.4rem .3rem}.counts th[scope=row]{overflow-wrap:anywhere;min-width:9rem}}
@media print{#filters,.skip,#count{display:none!important}body{max-width:none;padding:0}
*{print-color-adjust:exact;-webkit-print-color-adjust:exact}
.incident{content-visibility:visible}.incident,.tile,figure,tr{break-inside:avoid}}
"""
