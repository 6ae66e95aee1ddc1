"""`bench/RESULTS.md`: one section for each bench, replaced by its own run, with machine and date.

Owns the file's form, the figures' spread and the reading of a process's memory. Called by the
benches alone.
"""

from __future__ import annotations

import os
import platform
import re
import statistics
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

FILE = Path(__file__).with_name("RESULTS.md")
_TOP = """\
# Results

Written by `make bench`; each section is replaced by its own `run.py`. What counts are the ratios of
things run side by side: seconds differ from machine to machine.
"""


def write(
    name: str,
    title: str,
    text: str,
    *,
    quick: bool = False,
    file: Path = FILE,
    script: str = "run.py",
) -> None:
    """Replace the section `name` by this text, or add it; the others stay as they are.

    `script` is the file in the bench's folder that measured it.
    """
    size = " (`--quick`)" if quick else ""
    now = datetime.now(UTC)
    section = (
        f"<!-- {name} -->\n## {title}\n\n"
        f"`bench/{name.partition('-')[0]}/{script}`{size}, {now:%Y-%m-%d %H:%M} UTC, on {machine()}.\n\n"
        f"{text.strip()}\n"
    )
    old = file.read_text(encoding="utf-8") if file.exists() else _TOP
    top, *sections = re.split(r"(?=^<!-- )", old, flags=re.MULTILINE)
    kept = {one.split()[1]: one.strip() + "\n" for one in sections}
    kept[name] = section
    file.write_text("\n".join([top.strip() + "\n", *(kept[one] for one in sorted(kept))]))
    print(text.strip())


def machine() -> str:
    """CPUs, memory and Python of this machine, in words that name nobody's host."""
    cpus = os.cpu_count() or 0
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    load = os.getloadavg()[0]
    return (
        f"{cpus} CPUs of {_cpu_model()}, {pages:.0f} GiB, Python {platform.python_version()}; "
        f"load before: {load:.1f}"
    )


def _cpu_model() -> str:
    info = Path("/proc/cpuinfo")
    found = re.search(
        r"^model name\s*: (.+)$", info.read_text() if info.exists() else "", re.MULTILINE
    )
    return found[1] if found else platform.machine()


def spread(values: Sequence[float], digits: int = 2, unit: str = "") -> str:
    """`median (lowest to highest)`."""
    middle = statistics.median(values)
    return f"{middle:.{digits}f}{unit} ({min(values):.{digits}f} to {max(values):.{digits}f})"


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def verdict(*, held: bool) -> str:
    """How an aim stands, in a table's cell."""
    return "met" if held else "**missed**"


# --- memory and processor time of other processes -----------------------------------------------


def family(pid: int) -> Iterator[int]:
    """The process and everything below it."""
    yield pid
    for task in Path(f"/proc/{pid}/task").iterdir():
        try:
            children = (task / "children").read_text().split()
        except FileNotFoundError:  # a thread that ended meanwhile has none
            continue
        for child in children:
            yield from family(int(child))


def memory_mib(pid: int, name: str) -> list[float]:
    """`Rss` or `Pss` (now) of each process of the family, in MiB."""
    return [_field(Path(f"/proc/{one}/smaps_rollup"), name) for one in family(pid)]


def peak_mib(pid: int) -> float:
    """The most that any one process of the family ever held (resident), in MiB."""
    return max(_field(Path(f"/proc/{one}/status"), "VmHWM") for one in family(pid))


def cpu_seconds(pid: int) -> float:
    """What the family's processes have used of the CPUs, of users and of the kernel."""
    ticks = 0
    for one in family(pid):
        fields = Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def _field(file: Path, name: str) -> float:
    for line in file.read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) / 1024
    return 0.0
