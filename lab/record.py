#!/usr/bin/env python3
"""Runs the failure scenarios of `scenarios/*.toml` and writes what real software said, a JSON line for each.

    sudo python3 lab/record.py [--only ID,ID] [--out FILE] [--venvs FOLDER] [FILE.toml ...]

Each scenario runs as the first process of its own container (process, mount, network and host name
space), inside real limits: a memory and a CPU cgroup (version 1), a small tmpfs for a disk, failing
hosts on loopback (`inside.py`). Needs root on Linux and the packages that `lab/README.md` names; it is
not part of the tests, which read the recorded lines only. Lines without an outcome of their own
(exit 0 and no failed request) are kept out of the file and told.
"""

import argparse
import contextlib
import json
import os
import re
import selectors
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
from pathlib import Path

HERE = Path(__file__).resolve().parent
CGROUPS = Path("/sys/fs/cgroup")
GRACE_SECONDS = 3.0  # chosen: between SIGTERM and SIGKILL; Vertex gives more, the log is the same
LINE_LIMIT = 8_000  # chosen: characters kept of a line; a log entry holds 256 KiB
LINES_KEPT = 1_500  # chosen: the last lines of a run that are kept
UNSHARE_KILLED = "unshare: sigprocmask unblock failed"
# what the outer shell says of a container that a signal ended
SHELL_TELLS = re.compile(r"^bash: line \d+: +\d+ .*unshare --pid")
LIMIT_SECONDS = 240.0  # chosen: a scenario that lasts longer is broken

# what names this machine and not the software: homes of interpreter and environments, the kernel
NEUTRAL = [
    (re.compile(re.escape(sys.base_prefix)), "/usr/local"),
    (re.compile(r"/tmp/[\w./-]*venvs/[\w-]+"), "/opt/venv"),
    (re.compile(re.escape(os.uname().release)), "6.1.0"),
]

INNER = r"""
set -e
mount --make-rprivate /
mount -t proc proc /proc
hostname workerpool0-0
mount -t tmpfs -o size=64m tmpfs /mnt
mkdir -p /mnt/etc /app /data /opt/venv
printf '127.0.0.1 localhost workerpool0-0\n%s' "$LAB_HOSTS" > /mnt/etc/hosts
printf 'nameserver 127.0.0.53\noptions timeout:1 attempts:1\n' > /mnt/etc/resolv.conf
mount --bind /mnt/etc/hosts /etc/hosts
mount --bind /mnt/etc/resolv.conf "$(readlink -f /etc/resolv.conf)"
mount --bind "$LAB_ROOT/app" /app
mount --bind "$LAB_ROOT/data" /data
[ -z "$LAB_VENV" ] || mount --bind "$LAB_VENV" /opt/venv
mount -t tmpfs -o size=2g tmpfs /tmp
chmod 1777 /tmp
if [ -n "$LAB_VENV" ]; then mkdir -p "$LAB_VENV"; mount --bind /opt/venv "$LAB_VENV"; fi
cd /app
if [ -f "$LAB_ROOT/setup.sh" ] && [ ! -e "$LAB_ROOT/started" ]; then PATH=/opt/venv/bin:$PATH bash -e "$LAB_ROOT/setup.sh" </dev/null >"$LAB_ROOT/setup.log" 2>&1; fi
if [ -n "$LAB_DISK" ]; then
  mkdir -p "$LAB_DISK"; mount -t tmpfs -o "size=$LAB_DISK_SIZE" tmpfs "$LAB_DISK"; chmod 1777 "$LAB_DISK"
fi
for group in $LAB_CGROUPS; do echo 0 > "$group/cgroup.procs"; done
[ -e "$LAB_ROOT/started" ] || date +%s.%N > "$LAB_ROOT/started"
echo 1 >> "$LAB_ROOT/starts"
exec env -i PATH=/opt/venv/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
  HOME=/tmp LANG=C.UTF-8 PYTHONUNBUFFERED=1 OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 \
  OMPI_MCA_rmaps_base_oversubscribe=1 AIP_HTTP_PORT=8080 $LAB_ENV $LAB_AS bash -c "$LAB_COMMAND"
"""

OUTER = r"""
ip link set lo up
"$LAB_PYTHON" "$LAB_HERE/inside.py" "$LAB_ROOT/inside.json" >/dev/null 2>&1 &
while [ ! -e "$LAB_ROOT/hosts-ready" ]; do sleep 0.05; done
if [ -z "$LAB_SERVER" ]; then exec unshare --pid --fork --mount --uts --kill-child bash -c "$LAB_INNER"; fi
for start in 1 2 3 4 5 6 7 8 9; do
  unshare --pid --fork --mount --uts --kill-child bash -c "$LAB_INNER"
  [ ! -e "$LAB_ROOT/finished" ] || break
  sleep 2
done
while [ ! -e "$LAB_ROOT/finished" ]; do sleep 0.2; done
"""


def cgroup(controller: str, name: str, values: dict[str, object]) -> Path:
    group = CGROUPS / controller / f"lab-{name}"
    group.mkdir(exist_ok=True)
    for key, value in values.items():
        (group / key).write_text(str(value))
    return group


def neutral(text: str) -> str:
    for pattern, plain in NEUTRAL:
        text = pattern.sub(plain, text)
    return text[:LINE_LIMIT]


def version_of(scenario: dict, venv: str) -> str:
    """The installed version, as the scenario's own command prints it: it runs where the program runs."""
    path = f"{venv}/bin:{os.environ['PATH']}" if venv else os.environ["PATH"]
    if "package" in scenario:
        package = scenario["package"]
        scenario = {
            "version": f"python -c 'import importlib.metadata as m; print(m.version(\"{package}\"))'"
        }
    shown = subprocess.run(
        ["bash", "-c", scenario["version"]],
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        errors="replace",
        timeout=120,
        check=False,
    )
    return (shown.stdout or shown.stderr).strip().splitlines()[0][:120]


class ScenarioError(Exception):
    """The run did not do what the scenario describes."""


class Recording:
    """One run: the lines of both streams with the seconds since the start, and how the run ended."""

    def __init__(self, scenario: dict, venvs: Path) -> None:
        self.scenario = scenario
        self.venv = str(venvs / scenario["venv"]) if scenario.get("venv") else ""
        self.lines: list[tuple[float, str, str]] = []
        self.cpu: list[list[float]] = []
        self.root = Path(tempfile.mkdtemp(prefix="lab-", dir="/var/tmp"))
        self.cut = self.killed = False

    def prepare(self) -> dict[str, str]:
        s = self.scenario
        self.root.chmod(0o755)
        for folder in ("app", "data"):
            (self.root / folder).mkdir()
            (self.root / folder).chmod(0o777)
        for path, text in s.get("files", {}).items():
            target = self.root / path.lstrip("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text)
        if s.get("setup"):
            (self.root / "setup.sh").write_text(s["setup"])
        limit = {"memory.limit_in_bytes": int(s["memory_mb"]) << 20} if "memory_mb" in s else {}
        self.memory, self.usage = cgroup("memory", s["id"], limit), cgroup("cpuacct", s["id"], {})
        groups = [self.memory, self.usage]
        if "cores" in s:
            groups.append(
                cgroup(
                    "cpu",
                    s["id"],
                    {
                        "cpu.cfs_period_us": 100_000,
                        "cpu.cfs_quota_us": int(s["cores"] * 100_000),
                        "cpu.shares": 16_384,
                    },
                )
            )
        self.groups = groups
        (self.root / "inside.json").write_text(
            json.dumps(
                {"root": str(self.root), "hosts": s.get("hosts", []), "server": s.get("server")}
            )
        )
        disk = s.get("disk", {})
        return {
            **os.environ,
            "LAB_ROOT": str(self.root),
            "LAB_HERE": str(HERE),
            "LAB_PYTHON": sys.executable,
            "LAB_INNER": INNER,
            "LAB_VENV": self.venv,
            "LAB_COMMAND": s["command"],
            "LAB_CGROUPS": " ".join(map(str, groups)),
            "LAB_HOSTS": "".join(
                f"{h['ip']} {h['name']}\n" for h in s.get("hosts", []) if "name" in h
            ),
            "LAB_SERVER": "1" if "server" in s else "",
            "LAB_DISK": disk.get("path", ""),
            "LAB_DISK_SIZE": disk.get("size", ""),
            "LAB_ENV": " ".join(f"{k}={v}" for k, v in s.get("env", {}).items()),
            "LAB_AS": "setpriv --reuid 1000 --regid 1000 --clear-groups"
            if s.get("unprivileged")
            else "",
        }

    def read(self, process: subprocess.Popen[bytes]) -> None:
        s, waiting = self.scenario, selectors.DefaultSelector()
        rest = {"stdout": b"", "stderr": b""}
        for name, stream in (("stdout", process.stdout), ("stderr", process.stderr)):
            waiting.register(stream, selectors.EVENT_READ, name)
        begun, killed_at, sampled = time.time(), None, time.time()
        spent = 0
        while waiting.get_map():
            now = time.time()
            limit = s.get("deadline", LIMIT_SECONDS)
            if killed_at is None and (now - begun > limit or (self.root / "finished").exists()):
                self.cut = "deadline" in s and now - begun > limit
                self.killed, killed_at = True, now
                if not self.cut and "server" in s:
                    break
                self.signal(signal.SIGTERM)
            if killed_at and now - killed_at > GRACE_SECONDS:
                self.signal(signal.SIGKILL)
                killed_at = now + 1e6
            if now - sampled >= 1.0:
                used = int((self.usage / "cpuacct.usage").read_text())
                self.cpu.append(
                    [
                        round(now - begun, 1),
                        round((used - spent) / 1e9 / (now - sampled) / s.get("cores", 2), 4),
                    ]
                )
                spent, sampled = used, now
            for key, _ in waiting.select(timeout=0.1):
                chunk = os.read(key.fd, 65536)
                if not chunk:
                    waiting.unregister(key.fileobj)
                    if rest[key.data]:
                        self.lines.append(
                            (time.time(), key.data, rest[key.data].decode(errors="replace"))
                        )
                    continue
                *whole, rest[key.data] = (rest[key.data] + chunk).split(b"\n")
                self.lines += [
                    (time.time(), key.data, line.decode(errors="replace")) for line in whole
                ]

    def signal(self, number: int) -> None:
        """To the first process of the container, as Vertex does."""
        for pid in (self.memory / "cgroup.procs").read_text().split():
            status = Path(f"/proc/{pid}/status").read_text()
            inner = re.search(r"^NSpid:.*\t(\d+)$", status, re.MULTILINE)
            if number == signal.SIGKILL or (inner and inner[1] == "1"):
                os.kill(int(pid), number)

    def run(self) -> dict:
        """The line of the scenario; raises where the run did not do what the scenario describes."""
        s = self.scenario
        code = self.ended_with()
        ended, started = time.time(), self.root / "started"
        if not started.exists():
            setup = self.root / "setup.log"
            said = setup.read_text()[-1500:] if setup.exists() else ""
            raise ScenarioError(
                "\n".join(["set-up failed", said, *(x[2] for x in self.lines[-20:])])
            )
        if self.killed and not self.cut and "server" not in s:
            raise ScenarioError("lasted longer than a scenario may")
        t0, scale = float(started.read_text()), s.get("scale", 1)
        log = [
            [round(max(0.0, at - t0) * scale, 3), stream, neutral(text)]
            for at, stream, text in self.lines
        ]
        control = (self.memory / "memory.oom_control").read_text()
        kills = re.search(r"^oom_kill (\d+)$", control, re.MULTILINE)
        record = {
            **{key: s[key] for key in ("id", "software", "injected", "truth", "why", "command")},
            "version": version_of(s, self.venv),
            "exit": code if code >= 0 else 128 - code,
            "pid1_signal": -code if code < 0 else 0,
            "kind": "custom",
            "seconds": round((ended - t0) * scale, 2),
            "oom_kills": int(kills[1]) if kills else 0,
            "peak_bytes": int((self.memory / "memory.max_usage_in_bytes").read_text()),
            "mem_limit": int(s["memory_mb"]) << 20 if "memory_mb" in s else None,
            "cores": s.get("cores"),
            "deadline": s["deadline"] * scale if "deadline" in s else None,
            "cut": self.cut,
        }
        if s.get("futile"):
            record["futile"] = True
        if s.get("tells") is False:
            record["tells"] = False
        if scale != 1:
            record["scaled"] = scale
        if "deadline" in s:
            samples = [[round(at * scale, 1), used] for at, used in self.cpu]
            record["cpu_utilisation"] = [x for x in samples if x[0] <= record["seconds"]]
        if "server" in s:
            record.update(self.answers(t0))
        record["log"] = log[-LINES_KEPT:]
        record["log_lines_total"] = len(log)
        return record

    def ended_with(self) -> int:
        """Runs the container to its end; its exit code, or minus the signal that ended it."""
        process = subprocess.Popen(
            [
                "nice",
                "-n",
                "-5" if "deadline" in self.scenario else "5",
                "unshare",
                "--net",
                "bash",
                "-c",
                OUTER,
            ],
            env=self.prepare(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            self.read(process)
        finally:
            if process.poll() is None and self.cut:
                self.signal(signal.SIGKILL)
            if process.poll() is None and "server" in self.scenario:
                os.killpg(process.pid, signal.SIGKILL)  # it would start the container anew
            code = process.wait(timeout=20)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        # unshare cannot end itself by the SIGKILL that ended its child: it says so and exits with 1,
        # behind the last line of the program where that one was not ended
        self.lines = [x for x in self.lines if not SHELL_TELLS.match(x[2])]
        own = [(*x[:2], x[2].split(UNSHARE_KILLED)[0]) for x in self.lines]
        if own != self.lines:
            kept = [new for new, old in zip(own, self.lines, strict=True) if new[2] or not old[2]]
            self.lines, code = kept, -signal.SIGKILL
        return code

    def answers(self, t0: float) -> dict:
        """What the client saw, with its times since the start."""
        server = self.scenario["server"]
        seen = json.loads((self.root / "answers.json").read_text())
        for result in seen["results"]:
            result["at"] = round(result["at"] - t0, 2)
        if seen["ready"]:
            seen["ready"] = round(seen["ready"] - t0, 2)
        if seen["error"] is None:
            del seen["error"]
        return {
            **seen,
            "kind": "batch_prediction",
            "t0": t0,
            "exit": None,
            "starts": len((self.root / "starts").read_text().split()),
            "routes": [server.get("health", "/health"), server.get("predict", "/predict")],
        }

    def clear(self) -> None:
        subprocess.run(["rm", "-rf", str(self.root)], check=False)
        for group in self.groups:
            for _ in range(20):
                try:
                    group.rmdir()
                    break
                except OSError:
                    time.sleep(0.1)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("files", nargs="*", type=Path)
    parser.add_argument("--only", default="")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--venvs", type=Path, default=HERE / "venvs")
    parser.add_argument("--show", action="store_true")
    chosen = parser.parse_args()
    only = set(filter(None, chosen.only.split(",")))
    done = (
        {json.loads(line)["id"]: line for line in chosen.out.read_text().splitlines()}
        if chosen.out and chosen.out.exists()
        else {}
    )
    for file in chosen.files or sorted((HERE / "scenarios").glob("*.toml")):
        book = tomllib.loads(file.read_text())
        for scenario in ({**book.get("all", {}), **own} for own in book["scenario"]):
            if (only and scenario["id"] not in only) or (not only and scenario["id"] in done):
                continue
            recording = Recording(scenario, chosen.venvs)
            try:
                record = recording.run()
            except (ScenarioError, OSError, subprocess.SubprocessError) as error:
                print(f"{scenario['id']:32} NOT RECORDED {error}", flush=True)
                continue
            finally:
                recording.clear()
            failed = record.get("error") or record["exit"] not in (0, None) or record["cut"]
            print(
                f"{record['id']:32} exit {record['exit']} signal {record['pid1_signal']} oom {record['oom_kills']} cut {record['cut']} {record['seconds']} s  {len(record['log'])} lines  {record['version'][:30]!r} {'' if failed else 'NO FAILURE'}",
                flush=True,
            )
            if chosen.show or not failed:
                for line in record["log"][-12:]:
                    print("     ", line[0], line[1][3:], line[2][:160])
                if record.get("error"):
                    print("      =>", record["error"][:300])
            if failed and chosen.out:
                done[record["id"]] = json.dumps(record, ensure_ascii=False)
                chosen.out.write_text("\n".join(done.values()) + "\n")


if __name__ == "__main__":
    main()
