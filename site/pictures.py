"""The pictures of docs/pictures, made by what they show: `python site/pictures.py`. Needs Chromium.

`alert.png` is the mail of the example case, `report.png` the report on the demo's own ledger, after
the demo has run (two minutes).
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PICTURES = ROOT / "docs" / "pictures"
_LONGEST_SECONDS = 180


def shoot(page: Path, name: str, width: int, height: int) -> None:
    """A picture of the page's beginning."""
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        sys.exit("Chromium is not installed")
    target = PICTURES / name
    size = f"--window-size={width},{height}"
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", size]
    subprocess.run(
        [browser, *flags, f"--screenshot={target}", page.as_uri()],
        check=True,
        capture_output=True,
        timeout=_LONGEST_SECONDS,
    )
    print(f"{target.relative_to(ROOT)}: {target.stat().st_size // 1024} KiB")


def remediator(*words: str, **environment: str) -> str:
    """What a command prints."""
    return subprocess.run(
        [sys.executable, "-m", "remediator", *words],
        cwd=ROOT,
        env={**os.environ, **environment},
        check=True,
        capture_output=True,
        text=True,
    ).stdout


def report_of_the_demo(folder: Path) -> Path:
    """The report on what the demo's jobs came to."""
    demo = subprocess.Popen(
        [sys.executable, "-u", "-m", "remediator", "demo", "--keep"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    variables: dict[str, str] = {}
    try:
        assert demo.stdout is not None
        for line in demo.stdout:
            found = re.match(r"export ([A-Z_]+)=(.*)$", line)
            if found:
                variables[found[1]] = "".join(shlex.split(found[2]))
            elif "REMEDIATOR_LEDGER" in variables:
                break
        page = folder / "report.html"
        remediator("report", "-o", str(page), **variables)
    finally:
        os.killpg(demo.pid, signal.SIGINT)
        demo.wait(timeout=60)
    return page


def main() -> None:
    PICTURES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        alert = folder / "alert.html"
        alert.write_text(remediator("alert", "preview", "docs/examples/case.json", "--html"))
        shoot(alert, "alert.png", 820, 980)
        shoot(report_of_the_demo(folder), "report.png", 1180, 900)


if __name__ == "__main__":
    main()
