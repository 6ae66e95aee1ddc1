"""The site: built strictly and offline, and enough for a stranger to diagnose a log of their own."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shlex
import subprocess
import sys
import zipfile
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pytest

ROOT = Path(__file__).resolve().parents[1]
TUTORIAL = (ROOT / "docs" / "tutorial.md").read_text()
INSTALLED = """\
import sys
from remediator.cli.main import main
sys.argv[0] = "vertex-remediator"
sys.exit(main())
"""
"""What the installed command runs."""
NOWHERE = "http://127.0.0.1:9"  # a proxy that nobody serves: whoever asks for the network fails


@pytest.fixture(scope="module")
def site(build_once: Callable[[str, Callable[[Path], None]], Path]) -> Path:
    """The built site."""
    if importlib.util.find_spec("material") is None:
        pytest.skip("mkdocs-material is not installed: pip install --group site")

    def build(folder: Path) -> None:
        command = ["mkdocs", "build", "--strict", "-f", "site/mkdocs.yml", "-d", str(folder)]
        done = subprocess.run(
            [sys.executable, "-m", *command],
            cwd=ROOT,
            env={**os.environ, "https_proxy": NOWHERE, "http_proxy": NOWHERE, "no_proxy": ""},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr

    return build_once("site", build)


class Links(HTMLParser):
    """What a page leads to, and what it loads."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.leads: list[str] = []
        self.loads: list[str] = []
        self.feed(page.read_text())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "a" and given.get("href"):
            self.leads.append(str(given["href"]))
        if tag in {"script", "img", "iframe"} and given.get("src"):
            self.loads.append(str(given["src"]))
        if tag == "link" and given.get("rel") not in {"canonical", "next", "prev"}:
            self.loads.append(str(given.get("href")))


def pages(site: Path) -> list[Path]:
    return [page for page in site.rglob("*.html") if page.name != "404.html"]


def test_every_page_of_docs_is_in_it(site: Path) -> None:
    wanted = {path.stem for path in (ROOT / "docs").glob("*.md")} - {"README"} | {"index"}
    assert wanted <= {page.stem for page in pages(site)}
    assert {"deploying", "telemetry", "measurements"} <= {page.stem for page in pages(site)}


def test_nothing_is_loaded_from_elsewhere_and_no_link_within_is_broken(site: Path) -> None:
    broken = []
    for page in pages(site):
        links = Links(page)
        broken += [f"{page.name}: {one}" for one in links.loads if one.startswith(("http", "//"))]
        for link in links.leads:
            path = unquote(link.partition("#")[0].partition("?")[0])
            if path and "://" not in link and not link.startswith("mailto:"):
                target = (page.parent / path).resolve()
                if not target.exists():
                    broken.append(f"{page.name}: {link}")
    assert broken == []


def test_the_search_finds_what_stands_in_the_pages(site: Path) -> None:
    index = json.loads((site / "search" / "search_index.json").read_text())
    told = " ".join(f"{one['title']} {one['text']}" for one in index["docs"])
    for words in ("Quiet hours", "disk_full", "X-Remediator-Signature", "usd_per_day"):
        assert words in told


def test_a_stranger_gets_from_the_first_page_to_a_diagnosis(site: Path, tmp_path: Path) -> None:
    first = Links(site / "index.html")
    (page,) = {link.partition("#")[0] for link in first.leads if link.startswith("tutorial.html")}
    (package,) = [link for link in Links(site / page).leads if link.endswith(".whl")]
    with zipfile.ZipFile(site / package) as wheel:  # as an installer does, its needs are here
        wheel.extractall(tmp_path / "installed")
    text = re.sub(r"<[^>]+>", "", (site / page).read_text())
    assert f"pipx install ./{Path(package).name}" in text
    check_tutorial(tmp_path, str(tmp_path / "installed"))


def test_the_tutorials_commands_print_what_it_shows(tmp_path: Path) -> None:
    check_tutorial(tmp_path, str(ROOT))


def check_tutorial(folder: Path, code: str) -> None:
    """Runs every command of the tutorial but the installation, and compares what it shows."""
    log, shown = re.findall(r"^```text\n(.*?)^```", TUTORIAL, re.DOTALL | re.MULTILINE)
    (folder / "train.log").write_text(log)
    blocks = re.findall(r"^```sh\n(.*?)^```", TUTORIAL, re.DOTALL | re.MULTILINE)
    commands = [shlex.split(line) for block in blocks for line in block.splitlines()]
    printed = {}
    for command in commands:
        assert command[0] == "vertex-remediator"
        done = subprocess.run(
            [sys.executable, "-c", INSTALLED, *command[1:]],
            cwd=folder,
            env={"PATH": os.environ["PATH"], "HOME": str(folder), "PYTHONPATH": code},
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, ""), command
        printed[shlex.join(command)] = done.stdout
    assert printed["vertex-remediator diagnose train.log"] == shown


def test_pictures_are_small_and_shown() -> None:
    pictures = list((ROOT / "docs" / "pictures").glob("*.png"))
    told = "".join(path.read_text() for path in (ROOT / "docs").glob("*.md"))
    assert {path.name for path in pictures} >= {"alert.png", "report.png"}
    for path in pictures:
        assert path.stat().st_size < 200_000
        assert f"(pictures/{path.name})" in told
