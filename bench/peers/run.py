"""Start-up and memory of `validate` and `plan` beside Cloud Custodian's `validate` and dry run.

    python bench/peers/run.py [--runs 15] [--custodian PATH] [--quick]

Cloud Custodian (`c7n`, of the version below) is installed in a temporary environment, unless the path
of its command is given. Its dry run asks a server on loopback that knows no instances, so what is
measured is the tool. Both tools run in turns; what is counted is the processor time and the peak
memory that the kernel tells of each process. Exit 1 where ours is not ahead in both.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from bench import results  # noqa: E402  # the checkout is found above

C7N = "c7n==0.9.53"
THEIRS = """\
policies:
  - name: stop-idle-instances
    resource: aws.ec2
    filters:
      - "State.Name": running
      - "tag:team": absent
    actions:
      - type: mark-for-op
        op: stop
        days: 2
"""
OURS = """\
version: 1
mode: observe
policies:
  - {name: bigger, when: {cause: memory_pressure}, do: [{resubmit: {machine_type: more_memory}}]}
"""
_NO_INSTANCES = b"""<?xml version="1.0" encoding="UTF-8"?>
<DescribeInstancesResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/">
<requestId>bench</requestId><reservationSet/></DescribeInstancesResponse>"""


@dataclass(frozen=True)
class Spent:
    """What one process took: processor time and wall time in seconds, the most memory in MiB."""

    cpu: float
    wall: float
    mib: float


def run(command: Sequence[str], environment: Mapping[str, str], folder: Path) -> Spent:
    """One run of a command to its end; exits where it fails."""
    started = time.perf_counter()
    with (folder / "output.txt").open("wb") as output:
        process = subprocess.Popen(
            command, env=environment, cwd=folder, stdout=output, stderr=output
        )
        _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)}: {(folder / 'output.txt').read_text()[-2000:]}")
    seconds = time.perf_counter() - started
    return Spent(used.ru_utime + used.ru_stime, seconds, used.ru_maxrss / 1024)


@contextlib.contextmanager
def no_instances() -> Iterator[str]:
    """The URL of a server that answers like an EC2 without instances."""

    class Door(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self.send_response(200)
            self.send_header("Content-Type", "text/xml")
            self.send_header("Content-Length", str(len(_NO_INSTANCES)))
            self.end_headers()
            self.wfile.write(_NO_INSTANCES)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Door)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def installed(folder: Path) -> Path:
    """Cloud Custodian's command in an environment of its own."""
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", C7N]
    subprocess.run(pip, check=True)
    return folder / "bin" / "custodian"


def main() -> int:
    """Runs both in turns, writes the section; 0 where ours is ahead in all."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=int, default=15)
    parser.add_argument("--custodian", type=Path, help="its command, where it is installed")
    parser.add_argument("--quick", action="store_true", help="three runs")
    chosen = parser.parse_args()
    runs = 3 if chosen.quick else chosen.runs

    with tempfile.TemporaryDirectory() as name, no_instances() as url:
        folder = Path(name)
        custodian = str(chosen.custodian or installed(folder / "c7n"))
        (folder / "theirs.yml").write_text(THEIRS)
        (folder / "ours.yaml").write_text(OURS)
        environment = {"PATH": os.environ["PATH"], "HOME": name}
        theirs = environment | {
            "AWS_ENDPOINT_URL": url,
            "AWS_ACCESS_KEY_ID": "bench",
            "AWS_SECRET_ACCESS_KEY": "bench",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        ours = environment | {"PYTHONPATH": str(ROOT)}
        program = [sys.executable, "-m", "remediator"]
        case = str(ROOT / "docs" / "examples" / "case.json")
        dry = ["run", "--dryrun", "--cache-period", "0", "-s", "out", "theirs.yml"]
        pairs = {
            "check a file": (
                ([*program, "validate", "ours.yaml"], ours),
                ([custodian, "validate", "theirs.yml"], theirs),
            ),
            "say what would be done": (
                ([*program, "plan", case, "--policies", "ours.yaml"], ours),
                ([custodian, *dry], theirs),
            ),
        }
        found: dict[str, tuple[list[Spent], list[Spent]]] = {}
        for what, both in pairs.items():
            spent: tuple[list[Spent], list[Spent]] = ([], [])
            for turn in range(runs + 1):
                for which in (0, 1) if turn % 2 else (1, 0):
                    one = run(*both[which], folder)
                    if turn:  # the first writes the bytecode
                        spent[which].append(one)
            found[what] = spent
    return report(found, runs, quick=chosen.quick)


def report(found: Mapping[str, tuple[list[Spent], list[Spent]]], runs: int, *, quick: bool) -> int:
    """Writes the section; 1 where ours is behind in anything."""
    rows, ahead = [], True
    for what, (ours, theirs) in found.items():
        cpu = statistics.median(a.cpu / b.cpu for a, b in zip(ours, theirs, strict=True))
        mib = statistics.median(a.mib / b.mib for a, b in zip(ours, theirs, strict=True))
        ahead = ahead and cpu < 1 and mib < 1
        rows.append(
            (
                what,
                results.spread([one.cpu for one in ours], unit=" s"),
                results.spread([one.cpu for one in theirs], unit=" s"),
                f"**{cpu:.2f}**",
                results.spread([one.mib for one in ours], 0, " MiB"),
                results.spread([one.mib for one in theirs], 0, " MiB"),
                f"**{mib:.2f}**",
            )
        )
    head = ("", "ours, CPU", "Custodian, CPU", "ratio", "ours, peak", "Custodian, peak", "ratio")
    text = (
        f"`validate` and `plan` beside `custodian validate` and `custodian run --dryrun` ({C7N}), "
        f"{runs} runs of each in turns; ratios run by run.\n\n" + results.table(head, rows)
    )
    results.write("peers", "Beside Cloud Custodian", text, quick=quick)
    return 0 if ahead else 1


if __name__ == "__main__":
    sys.exit(main())
