"""What commands take and give: files, cases, policies, the App; one JSON form on standard output.

Every fault of an input is `InvalidInput`, one line for standard error. Called by the commands.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from remediator.domain import InvalidInput, Json

if TYPE_CHECKING:
    from remediator.app import App
    from remediator.case import Case
    from remediator.catalog.catalog import Catalog
    from remediator.domain import JobName
    from remediator.inputs import Assembly, Material
    from remediator.policy import Policies

T = TypeVar("T")

HERE = Path(__file__).resolve().parent.parent.parent
"""The checkout, or where the package is installed: beside `remediator`."""
_SHIPPED = HERE / "remediator" / "shipped"
DONE, FAILED, UNUSABLE = 0, 1, 2
_LONGEST_LINE = 20_000  # characters, chosen


def shipped(name: str) -> Path:
    """A file that comes along: in a checkout where it is kept, installed beside the package.

    `name` is the path in the checkout, such as `policies.yaml`; the wheel keeps it under
    `remediator/shipped` by the last part of its name.
    """
    installed = _SHIPPED / Path(name).name
    return installed if installed.exists() else HERE / name


def named_policies() -> str:
    """The policy file of a command that was given none, as the environment and the folder are now."""
    return os.environ.get("REMEDIATOR_POLICIES") or default_policies()


def default_policies() -> str:
    """`./policies.yaml` where the command is installed and there is one, else the shipped file."""
    here = Path("policies.yaml")
    in_checkout = (HERE / "policies.yaml").exists()
    return str(here) if not in_checkout and here.exists() else str(shipped("policies.yaml"))


def program() -> str:
    """How the reader called it: by its installed name, or as a module."""
    name = Path(sys.argv[0] or "").name
    return name if name == "vertex-remediator" else "python -m remediator"


def environment_of(args: argparse.Namespace) -> dict[str, str]:
    """This process's environment, under what `--project` and `--region` say."""
    own = {
        _PROJECT: getattr(args, "project", ""),
        _LOCATIONS: getattr(args, "region", "") if args.command != "doctor" else "",
    }
    named = {name: value for name, value in own.items() if value}
    if "REMEDIATOR_POLICIES" not in os.environ:
        named["REMEDIATOR_POLICIES"] = default_policies()
    return {**os.environ, **named}


def read_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as err:
        msg = f"{path}: {err.strerror}"
        raise InvalidInput(msg) from err


def _stdin() -> bytes:
    return sys.stdin.buffer.read()


def write_whole(path: Path, text: str) -> None:
    """Whole or not at all: a file that is being read is never half of one."""
    half = path.with_name(f".{path.name}.half")
    try:
        half.write_text(text, encoding="utf-8")
        half.replace(path)
    except OSError as err:
        with contextlib.suppress(OSError):
            half.unlink()
        msg = f"{path}: {err.strerror}"
        raise InvalidInput(msg) from err


def read_json(path: Path) -> Any:
    from remediator.inputs import parse_json

    try:
        return parse_json(read_bytes(path))
    except ValueError as err:
        msg = f"{path}: not JSON: {err}"
        raise InvalidInput(msg) from err


def case_of(name: str) -> Case:
    """The case file `name`, which has a job; whoever takes other inputs too asks `assembly_of`."""
    from remediator.case import Case

    body = read_json(Path(name))
    if not isinstance(body, dict):
        msg = f"{name}: a case file is a JSON object"
        raise InvalidInput(msg)
    try:
        return Case.parse(body)
    except (InvalidInput, TypeError, ValueError, AttributeError) as err:
        msg = f"{name}: {err}"
        raise InvalidInput(msg) from err


def plannable_case_of(name: str) -> Case:
    """A case whose job has a shape that a job can have: whoever plans reads all of it."""
    case = case_of(name)
    _require_shape(case, name)
    return case


def _require_shape(case: Case, name: str) -> None:
    from remediator.job.validation import require_shape

    try:
        require_shape(case.job)
    except InvalidInput as err:
        msg = f"{name}: {err}"
        raise InvalidInput(msg) from err


def assembly_of(args: argparse.Namespace) -> Assembly:
    """The one case that all of `args.inputs` make; what is not read of them is told on stderr.

    An input that is no file but names a job is captured from its project first.
    """
    from remediator.inputs import assemble, parse_reference, read_document, unread_words
    from remediator.job.validation import require_shape

    names: Sequence[str] = args.inputs
    materials = []
    for name in names:
        if name == "-":
            materials.append(read_document(_stdin(), "stdin"))
            continue
        if name.startswith("gs://"):
            msg = f"{name} is in Cloud Storage: copy it first (gcloud storage cp {shlex.quote(name)} .)"
            raise InvalidInput(msg)
        if Path(name).is_file() or parse_reference(name) is None:
            materials.append(read_document(read_bytes(Path(name)), name))
        else:
            materials.append(_material_of(captured(name, args), name))
    try:
        found = assemble(materials)
        require_shape(found.case.job)
    except (InvalidInput, TypeError, ValueError, AttributeError) as err:
        said = (
            str(err)
            if isinstance(err, InvalidInput | ValueError)
            else f"a part has no shape that it can have ({err})"
        )
        # A fault of the whole is a fault of the input that brought the case or the job.
        guilty = next((m.name for m in materials if m.jobs or m.parts), materials[0].name)
        msg = (
            said if any(said.startswith(f"{m.name}: ") for m in materials) else f"{guilty}: {said}"
        )
        raise InvalidInput(msg) from err
    for line in (*found.notes, *unread_words(found.ignored)):
        print(f"note: {line}", file=sys.stderr)
    output = getattr(args, "output", None)
    if output:
        write_case(found.case, output)
    return found


def write_case(case: Case, output: str) -> None:
    """The case file, redacted; `-` is standard output."""
    from remediator.redaction import redact_json

    text = json.dumps(redact_json(case.to_json()), indent=2, ensure_ascii=False) + "\n"
    if output == "-":
        sys.stdout.write(text)
    else:
        write_whole(Path(output), text)


def captured(name: str, args: argparse.Namespace) -> Case:
    """What a project says of the job that `name` names; raises InvalidInput where it names none."""
    from remediator.cli import project_asks

    return asked_of_project(name, args, lambda app, job: project_asks.capture(app, str(job)))


def asked_of_project(name: str, args: argparse.Namespace, ask: Callable[[App, JobName], T]) -> T:
    """The answer about the job that `name` names; raises InvalidInput where it names none.

    `ask` raises NotFound where there is no job of that name: others are then tried.
    """
    from remediator.domain import NotFound, RemediatorError
    from remediator.inputs import parse_reference
    from remediator.settings import REGION

    reference = parse_reference(name)
    if reference is None:
        msg = f"{name}: neither a file nor the name of a job"
        raise InvalidInput(msg)
    project = reference.project or getattr(args, "project", "") or os.environ.get(_PROJECT, "")
    said = reference.location or getattr(args, "region", "")
    if said and not REGION.fullmatch(said):
        source = "the name" if reference.location else "--region"
        msg = f"{name}: {source} says {said}, which is not a region such as us-central1"
        raise InvalidInput(msg)
    places = [said] if said else [p for p in os.environ.get(_LOCATIONS, "").split(",") if p.strip()]
    flags = [flag for flag, has in (("--project", project), ("--region", places)) if not has]
    if flags:
        msg = f"{name}: a job, but in which project and region? give {' and '.join(flags)}"
        raise InvalidInput(msg)
    app = open_app(args, **{_PROJECT: project, _LOCATIONS: places[0]})
    last: RemediatorError | None = None
    for place in dict.fromkeys(places):
        for job in reference.names(project, place.strip()):
            try:
                return ask(app, job)
            except NotFound as err:
                last = err
    msg = f"{name}: no such job in {', '.join(places)} of {project} ({last})"
    raise InvalidInput(msg)


def _material_of(case: Case, name: str) -> Material:
    from remediator.inputs import Material

    body = case.to_json()
    parts = {key: value for key, value in body.items() if key != "job" and value}
    return Material(name, jobs=(body["job"],), parts=parts, gaps=case.gaps)


_LOCATIONS = "REMEDIATOR_LOCATIONS"
_PROJECT = "GOOGLE_CLOUD_PROJECT"


def policies_of(args: argparse.Namespace) -> Policies:
    from remediator import policy

    if args.policies.startswith(("gs://", "secret:")):
        msg = f"{args.policies} is not a file on this machine: name one with --policies"
        raise InvalidInput(msg)
    path = Path(args.policies)
    text = read_bytes(path)
    try:
        form = policy.compiled_beside(path).read_bytes()
    except OSError:
        form = b""
    loaded = policy.reread(text, form, str(path)) or policy.load(text, str(path))
    if loaded.policies is None:
        for mistake in loaded.mistakes:
            print(mistake.render(str(path)), file=sys.stderr)
        msg = f"{path} does not load"
        raise InvalidInput(msg)
    return loaded.policies


def catalogue_of(args: argparse.Namespace) -> Catalog:
    from remediator.catalog.catalog import Catalog

    built_in = Catalog.built_in()
    own = getattr(args, "catalog", None)
    return built_in.with_overrides(read_json(Path(own))) if own else built_in


def open_app(args: argparse.Namespace, **more: str) -> App:
    """The App of this environment, under the command's own `--project`, `--region`, and `more`."""
    from remediator.app import App

    return App.from_environment({**environment_of(args), **more}, here=HERE)


def open_app_with_ledger(args: argparse.Namespace) -> App:
    """The App, for a command that is nothing without the deployment's ledger: says if it is not it."""
    app = open_app(args)
    if not app.settings.ledger:
        print(
            "note: REMEDIATOR_LEDGER is not set, so this is the ledger of this folder and not a "
            "deployment's (firestore://vertex-remediator/remediator, unless it was named otherwise)",
            file=sys.stderr,
        )
    return app


def open_app_with_policies(args: argparse.Namespace) -> App:
    return open_app(args, REMEDIATOR_POLICIES=args.policies)


def print_json(value: Json | list[Any]) -> None:
    """Standard output is an exit: nothing is printed but through the redactor."""
    from remediator.redaction import redact_json

    print(json.dumps(redact_json(value), indent=2, ensure_ascii=False, default=str))


def print_text(text: str) -> None:
    """A line, or several, of an answer for people, through the redactor."""
    from remediator.redaction import redact

    print("\n".join(redact(line, _LONGEST_LINE) for line in text.split("\n")))
