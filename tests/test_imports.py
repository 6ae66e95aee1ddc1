"""What a command loads: each waits for no room of the house that it does not enter."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
CASE = "docs/examples/case.json"
_HEAVY = (
    "pydantic",
    "yaml",
    "grpc",
    "google.protobuf",
    "requests",
    "slack_sdk",
    "flask",
    "jinja2",
    "stamina",
)


def loaded_by(*arguments: str) -> frozenset[str]:
    """The heavy packages and the rooms that are loaded once the command is through."""
    program = (
        "import sys; from remediator.cli.main import main; code = main(sys.argv[1:]); "
        f"heavy = [n for n in {_HEAVY!r} if n in sys.modules]; "
        "rooms = {n.split('.')[1] for n in sys.modules if n.startswith('remediator.')}; "
        "print('LOADED', *heavy, *rooms, file=sys.stderr); sys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    (told,) = [line for line in done.stderr.splitlines() if line.startswith("LOADED")]
    return frozenset(told.split()[1:])


@pytest.mark.parametrize(
    ("arguments", "not_needed"),
    [
        pytest.param(
            ("diagnose", CASE),
            {"pydantic", "policy", "ledger", "alerts", "app", "report", "watch"},
            id="diagnose",
        ),
        pytest.param(
            ("plan", CASE, "--policies", "policies.yaml"),
            {"ledger", "alerts", "app", "report", "watch"},
            id="plan",
        ),
        pytest.param(
            ("validate", "policies.yaml"),
            {"ledger", "alerts", "app", "report", "diagnosis"},
            id="validate",
        ),
        pytest.param(
            ("catalog", "show", "n1-standard-8"), {"pydantic", "ledger", "alerts"}, id="catalog"
        ),
    ],
)
def test_a_command_loads_what_it_needs(arguments: tuple[str, ...], not_needed: set[str]) -> None:
    loaded = loaded_by(*arguments)
    assert not loaded & not_needed
    assert not loaded & (set(_HEAVY) - {"pydantic", "yaml"})


@pytest.fixture
def compiled(tmp_path: Path) -> Path:
    """A policy file with what a deployment lays beside it."""
    path = tmp_path / "policies.yaml"
    path.write_bytes((ROOT / "policies.yaml").read_bytes())
    words = ["-m", "remediator", "validate", "--compile", str(path)]
    subprocess.run([sys.executable, *words], cwd=ROOT, capture_output=True, check=True)
    return path


def test_a_plan_by_a_compiled_file_loads_neither_yaml_nor_pydantic(compiled: Path) -> None:
    loaded = loaded_by("plan", CASE, "--policies", str(compiled))
    assert not loaded & {*_HEAVY, "pydantic_core"}
    compiled.write_text(compiled.read_text() + "\n# edited\n")
    assert {"pydantic", "yaml"} <= loaded_by("plan", CASE, "--policies", str(compiled))


def test_the_function_starts_with_neither_where_its_policies_are_compiled(compiled: Path) -> None:
    program = (
        "import sys, main; from remediator.workflow import decide, watch_jobs; "
        "from remediator.alerts import delivery, policy_channels; from remediator import planning; "
        "print(*(n for n in ('pydantic', 'pydantic_core', 'yaml') if n in sys.modules))"
    )

    def heavy(path: Path) -> set[str]:
        done = subprocess.run(
            [sys.executable, "-c", program],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
            env={"PATH": os.environ["PATH"], "REMEDIATOR_POLICIES": str(path)},
        )
        return set(done.stdout.split())

    assert heavy(compiled) == set()
    assert heavy(ROOT / "policies.yaml") == {"pydantic", "pydantic_core", "yaml"}


def test_no_page_is_drawn_and_so_no_template_engine_loaded_by_what_only_could() -> None:
    """Neither the function's rooms nor a command wait for jinja2 before a mail or a page is drawn."""
    program = (
        "import sys; import remediator.handlers, remediator.app; "
        "from remediator.alerts import channels, render; from remediator.report import page; "
        "print('jinja2' in sys.modules); "
        "page.render((), title='t', made=__import__('datetime').datetime(2026, 11, 23)); "
        "print('jinja2' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["False", "True"]


def test_help_loads_no_room() -> None:
    program = (
        "import sys\nfrom remediator.cli.main import main\n"
        "try: main(['--help'])\nexcept SystemExit: pass\n"
        "print(sorted(n for n in sys.modules if n.startswith('remediator.')), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert "remediator.diagnosis" not in done.stderr
    assert "remediator.job" not in done.stderr


def test_only_a_command_of_its_own_process_leaves_its_garbage_behind() -> None:
    """A notebook that calls the command line keeps its collector as it was."""
    program = (
        "import gc, sys\nfrom remediator.cli.main import main\n"
        "looks = gc.get_threshold()\n"
        "def frozen(*arguments):\n"
        "    try: main(*arguments)\n"
        "    except SystemExit: pass\n"
        "    return gc.get_freeze_count() > 0, gc.get_threshold() == looks\n"
        "print(frozen(['--version']), file=sys.stderr)\n"
        "sys.argv = ['remediator', '--version']\n"
        "print(frozen(), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stderr.split("\n")[:2] == ["(False, True)", "(True, True)"]


_HEAPS_OF_TEN_THREADS = """\
import ctypes, sys, threading
if sys.argv[1] == "served":
    import main
libc = ctypes.CDLL(None)
libc.malloc.restype = libc.fopen.restype = ctypes.c_void_p
libc.fopen.argtypes = (ctypes.c_char_p, ctypes.c_char_p)
libc.malloc_info.argtypes = (ctypes.c_int, ctypes.c_void_p)
libc.fclose.argtypes = (ctypes.c_void_p,)
together = threading.Barrier(10)

def allocate():
    together.wait()
    libc.malloc(1000)
    together.wait()

threads = [threading.Thread(target=allocate) for _ in range(10)]
for one in threads:
    one.start()
for one in threads:
    one.join()
file = libc.fopen(sys.argv[2].encode(), b"w")
libc.malloc_info(0, file)
libc.fclose(file)
"""


@pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc", reason="other C libraries have no such heaps"
)
def test_the_function_has_two_heaps_however_many_threads_it_has(tmp_path: Path) -> None:
    heaps = {}
    for how in ("served", "plain"):
        file = tmp_path / how
        subprocess.run(
            [sys.executable, "-c", _HEAPS_OF_TEN_THREADS, how, str(file)],
            cwd=ROOT,
            env={"PATH": os.environ["PATH"], "GOOGLE_CLOUD_PROJECT": "p"},
            check=True,
            timeout=120,
        )
        heaps[how] = file.read_text().count("<heap ")
    assert heaps["served"] == 2
    assert heaps["plain"] > 2
