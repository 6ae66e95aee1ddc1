"""The report as a reader meets it: in real Chromium, on a desk and a phone, by keyboard, at night."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from remediator.report.page import render
from tests.chromium import CHROMIUM, Chromium
from tests.test_report import NOON, TOLD

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine"),
]
MADE: datetime = NOON + timedelta(hours=5)
SHOWN = '[...document.querySelectorAll(".incident")].filter((n) => !n.hidden).length'
OPEN = 'document.querySelectorAll(".incident[open]").length'
FOCUS = "document.activeElement.id || document.activeElement.tagName"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    folder: Path = tmp_path_factory.mktemp("report")
    file = folder / "report.html"
    file.write_text(render(TOLD, title="Failed jobs of acme", made=MADE))
    with Chromium(file, folder / "profile") as started:
        yield started


@pytest.fixture
def page(browser: Chromium) -> Chromium:
    """The page as it opens."""
    browser.size(1280)
    browser.scheme("light")
    browser.events.clear()
    browser.ask("Page.reload")
    browser.hear_until(lambda told: told.get("method") == "Page.loadEventFired")
    return browser


def test_nothing_is_asked_of_anybody(page: Chromium) -> None:
    page.value("document.querySelectorAll('details').forEach((node) => (node.open = true))")
    assert {url.partition(":")[0] for url in page.requested()} == {"file"}
    assert len(set(page.requested())) == 1
    told = [one for one in page.events if one.get("method") == "Runtime.exceptionThrown"]
    assert told == []


@pytest.mark.parametrize("width", [320, 390, 768, 1280])
def test_nothing_sticks_out_at_any_width(page: Chromium, width: int) -> None:
    page.size(width)
    page.value("document.querySelectorAll('details').forEach((node) => (node.open = true))")
    assert page.value("document.documentElement.scrollWidth") <= width


def test_search_and_filters_narrow_the_list_together(page: Chromium) -> None:
    assert page.value(SHOWN) == 5
    page.value('document.getElementById("words").focus()')
    page.write("JOB-3 bad")
    assert page.value(SHOWN) == 1
    assert page.value('document.getElementById("count").textContent') == "1 of 5 shown"
    page.value('document.getElementById("words").value = ""')
    choose = 'const s = document.getElementById("outcome"); s.value = "recovered";'
    page.value(f'{{{choose} s.dispatchEvent(new Event("input", {{bubbles: true}}));}}')
    assert page.value(SHOWN) == 1
    assert page.value('document.querySelector(".incident:not([hidden])").dataset.outcome') == (
        "recovered"
    )


def test_the_keyboard_reaches_everything_and_opens_an_incident(page: Chromium) -> None:
    reached = []
    for _ in range(40):
        page.press("Tab")
        reached.append(page.value(FOCUS))
        if page.value('document.activeElement.matches(".incident > summary")'):
            break
    assert reached[0] == "A"  # past the figures, for those who listen
    assert len(reached) < 14  # a table that does not scroll is no stop
    assert [one for one in reached if one in {"words", "cause", "outcome", "open"}] == [
        "words",
        "cause",
        "outcome",
        "open",
    ]
    assert page.value("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    assert page.value(OPEN) == 0
    page.press("Enter")
    assert page.value(OPEN) == 1
    page.press(" ")
    assert page.value(OPEN) == 0


def test_the_first_stop_leads_past_the_figures_to_the_incidents(page: Chromium) -> None:
    page.press("Tab")
    page.press("Enter")
    assert page.value("document.activeElement.textContent") == "Incidents"
    page.press("Tab")
    assert page.value(FOCUS) == "words"


@pytest.mark.parametrize("width", [390, 1280])
def test_the_keyboard_stops_at_a_table_only_where_it_scrolls(page: Chromium, width: int) -> None:
    page.size(width)
    page.value("document.querySelectorAll('details').forEach((node) => (node.open = true))")
    page.value("new Promise(requestAnimationFrame)")
    odd = """[...document.querySelectorAll(".scroll")]
      .filter((n) => (n.tabIndex === 0) !== (n.scrollWidth > n.clientWidth)).length"""
    assert page.value(odd) == 0


def test_the_axis_ends_where_the_bars_end(page: Chromium) -> None:
    edges = """(() => {
      const right = (css) => Math.max(...[...document.querySelectorAll(css)]
        .map((n) => n.getBoundingClientRect().right));
      return Math.abs(right(".bars rect") - right(".axis"));
    })()"""
    page.value('document.querySelector(".axis").style.minWidth = 0')  # of one bar it is the date's
    assert page.value(edges) < 8


def test_the_paper_is_light_also_at_night(page: Chromium) -> None:
    dark = {"name": "prefers-color-scheme", "value": "dark"}
    page.ask("Emulation.setEmulatedMedia", media="print", features=[dark])
    assert page.value("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.value('getComputedStyle(document.getElementById("filters")).display') == "none"
    page.ask("Emulation.setEmulatedMedia", media="")


def test_the_button_opens_what_is_shown_and_no_more(page: Chromium) -> None:
    page.value('document.getElementById("words").focus()')
    page.write("job-1")
    page.value('document.getElementById("open").click()')
    assert page.value(OPEN) == page.value(SHOWN) == 1


CONTRASTS = """
(() => {
  const light = (css) => {
    const [r, g, b] = css.match(/[\\d.]+/g).slice(0, 3).map(Number).map((v) => v / 255)
      .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = (node) => {
    for (let one = node; one; one = one.parentElement) {
      const css = getComputedStyle(one).backgroundColor;
      if (!css.startsWith("rgba(0, 0, 0, 0")) return css;
    }
    return "rgb(255, 255, 255)";
  };
  document.querySelectorAll("details").forEach((node) => (node.open = true));
  const bad = [];
  for (const node of document.querySelectorAll("body *")) {
    const own = [...node.childNodes].some((n) => n.nodeType === 3 && n.data.trim());
    if (!own || node.closest("svg,script,style")) continue;
    const pair = [light(getComputedStyle(node).color), light(ground(node))].sort();
    const ratio = (Math.max(...pair) + 0.05) / (Math.min(...pair) + 0.05);
    if (ratio < 4.5) bad.push(`${node.tagName}.${node.className} ${ratio.toFixed(2)}`);
  }
  return bad;
})()
"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_word_stands_out_from_its_ground(page: Chromium, scheme: str) -> None:
    """4.5 to 1, as WCAG 2.2 asks of text at level AA."""
    page.scheme(scheme)
    assert page.value(CONTRASTS) == []
    ground = page.value("getComputedStyle(document.body).backgroundColor")
    assert ground == {"light": "rgb(255, 255, 255)", "dark": "rgb(21, 24, 28)"}[scheme]


def test_every_control_has_a_name_that_is_read_out(page: Chromium) -> None:
    nodes = page.ask("Accessibility.getFullAXTree")["nodes"]
    spoken = {
        (node["role"]["value"], node.get("name", {}).get("value", ""))
        for node in nodes
        if not node.get("ignored")
    }
    roles = {"searchbox", "combobox", "button", "link", "image", "DisclosureTriangle"}
    assert not [role for role, name in spoken if role in roles and not name]
    assert {("searchbox", "Search"), ("combobox", "Cause"), ("combobox", "Outcome")} <= spoken
