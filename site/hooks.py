"""What the site adds to docs/: pages that stand beside other folders, and the package to install.

A link in a page leads to a file of the repository; in the site it leads to that file's page, and is
plain text where the site has none. Called by mkdocs, which finds the functions by their names.
"""

from __future__ import annotations

import posixpath
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]
PAGES = {
    "deploy/README.md": "deploying.md",
    "telemetry/README.md": "telemetry.md",
    "bench/RESULTS.md": "measurements.md",
}
"""Files of the repository outside docs/ that are pages of the site, by the page's name."""
_SOURCES = {page: source for source, page in PAGES.items()}
_LINK = re.compile(r"(?<!!)\[([^\[\]]+)\]\((?!https?:|#|mailto:)([^)\s]+)\)")
_SHIM = "assets/javascripts/iframe-worker-shim.js"
_SHIM_ELSEWHERE = "https://unpkg.com/iframe-worker/shim"
_PACKAGE = "<!-- the site puts the package here -->"
_built: dict[str, str] = {}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """The pages of other folders, and the wheel as it is built now."""
    for source, page in PAGES.items():
        files.append(File.generated(config, page, content=(ROOT / source).read_text()))
    shim = Path(__file__).with_name("iframe-worker-shim.js")
    files.append(File.generated(config, _SHIM, content=shim.read_text()))
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(
            [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder],
            cwd=ROOT,
            check=True,
            capture_output=True,
        )
        (wheel,) = Path(folder).glob("*.whl")
        uri = f"downloads/{wheel.name}"
        files.append(File.generated(config, uri, content=wheel.read_bytes()))
        _built["uri"] = uri
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """The page with the links that the site has."""
    del config
    own = page.file.src_uri
    source = _SOURCES.get(own, f"docs/{own}")

    def linked(match: re.Match[str]) -> str:
        text, link = match.groups()
        path, _, anchor = link.partition("#")
        target = page_of(posixpath.normpath(posixpath.join(posixpath.dirname(source), path)))
        if target is None or files.get_file_from_path(target) is None:
            return text
        relative = posixpath.relpath(target, posixpath.dirname(own) or ".")
        return f"[{text}]({relative}{'#' if anchor else ''}{anchor})"

    uri = _built["uri"]
    package = (
        f"Download the package, [{uri.rpartition('/')[2]}]({uri}), and install it where you saved it:\n\n"
        f"```sh\npipx install ./{uri.rpartition('/')[2]}\n```\n"
    )
    return _LINK.sub(linked, markdown).replace(_PACKAGE, package)


def on_post_page(output: str, page: Page, config: MkDocsConfig) -> str:
    """The page without the one script that the theme's offline plugin fetches from elsewhere."""
    del config
    shim = posixpath.relpath(_SHIM, posixpath.dirname(page.file.dest_uri) or ".")
    return output.replace(_SHIM_ELSEWHERE, shim)


def page_of(path: str) -> str | None:
    """The site's file for a path of the repository; None where it has none."""
    if path.startswith("docs/"):
        return path.removeprefix("docs/")
    return PAGES.get(path) or PAGES.get(f"{path}/README.md")
