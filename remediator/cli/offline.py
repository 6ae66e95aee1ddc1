"""Commands that need nothing but files: no settings, no Google client.

Called by `main`.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from remediator.cli.input_output import (
    DONE,
    FAILED,
    assembly_of,
    catalogue_of,
    default_policies,
    policies_of,
    print_json,
    print_text,
    program,
    read_bytes,
    read_json,
    shipped,
    write_whole,
)
from remediator.cli.subject import (
    NOTHING_FAILED,
    RUNS,
    Subject,
    diagnose_inputs,
    plan_inputs,
    plan_watch_inputs,
    subject_lines,
    subject_of,
    watch_inputs,
    watch_lines,
)
from remediator.domain import Cause, InvalidInput
from remediator.inputs import Assembly, wishes
from remediator.job import SWITCH_LABEL
from remediator.settings import resume_targets

if TYPE_CHECKING:
    from remediator.catalog.catalog import Catalog
    from remediator.domain import Plan
    from remediator.policy import Policies
    from remediator.watch import Watch


def validate(args: argparse.Namespace) -> int:
    from remediator import policy

    catalog = catalogue_of(args)
    served = [one.strip() for one in os.environ.get("REMEDIATOR_LOCATIONS", "").split(",")]
    served = [one for one in served if one]
    listed: list[dict[str, Any]] = []
    for name in dict.fromkeys(args.files or [default_policies()]):
        shown = "stdin" if name == "-" else str(Path(name))
        text = sys.stdin.buffer.read() if name == "-" else read_bytes(Path(name))
        loaded = policy.load(text, shown, catalog=catalog, served=served)
        if args.compile and loaded.policies is not None:
            _write_compiled(name, text)
        listed += [
            {
                "file": shown,
                "line": mistake.line,
                "column": mistake.column,
                "severity": mistake.severity,
                "message": mistake.message,
            }
            for mistake in loaded.mistakes
        ]
        if not args.json:
            for mistake in loaded.mistakes:
                print(mistake.render(shown))
            if loaded.mistakes:
                print(f"{shown}: {loaded.count_words}")
            if not loaded.mistakes and loaded.policies is not None:
                count = len(loaded.policies.policies)
                policies = "policy" if count == 1 else "policies"
                watched = len(loaded.policies.watch)
                entries = f", {watched} watch {'entry' if watched == 1 else 'entries'}"
                found = f"{count} {policies}{entries if watched else ''}"
                print(f"{shown}: {found}, mode {loaded.policies.mode}: no mistakes")
    if args.json:
        print_json(listed)
    return FAILED if listed else DONE


def _write_compiled(name: str, text: bytes) -> None:
    from remediator import policy
    from remediator.catalog.catalog import Catalog

    if name == "-":
        msg = "--compile writes beside a file, and standard input lies nowhere"
        raise InvalidInput(msg)
    path = policy.compiled_beside(Path(name))
    reading = policy.load(text, Path(name).name, catalog=Catalog.built_in())  # as the function
    write_whole(path, policy.compile_policies(text, reading).decode())
    print(f"compiled: {path}", file=sys.stderr)


def schema(args: argparse.Namespace) -> int:
    from remediator.policy.reference import schema

    del args
    # As it is: what a secret's name may look like is no secret, and redacted it is no pattern.
    print(json.dumps(schema(), indent=2))
    return DONE


def diagnose(args: argparse.Namespace) -> int:
    from remediator.catalog.catalog import Catalog

    found = assembly_of(args)
    answer = diagnose_inputs(found)
    subject = subject_of(found)
    if args.json:
        print_json(_with_subject(answer.to_json(), found, subject))
        return DONE
    print_text("\n".join(subject_lines(found, subject, answer)))
    state = found.case.job.state
    if found.has_job and state in NOTHING_FAILED and answer.verdict is Cause.UNKNOWN:
        print_text(f"\n{_NOT_FAILED[state in RUNS]}")
        seen = watch_inputs(found, Catalog.built_in())
        if seen is None and state in RUNS:
            print_text(
                f"watch: not asked, the label {SWITCH_LABEL}=off says never to touch the job"
            )
        print_text("\n".join(watch_lines(seen)))
        return DONE
    print_text(f"\nverdict: {answer.verdict} ({answer.confidence:.0%})")
    for cause in answer.causes:
        print_text(f"\n{cause.cause}  {cause.confidence:.0%}")
        for mark, items in (("+", cause.evidence), ("-", cause.against)):
            for item in items:
                print_text(f"  {mark} [{item.source}] {item.says}  ({item.where})")
        if cause.advice:
            print_text(f"  > {cause.advice} {cause.advice_url}".rstrip())
    for wish in (*answer.missing, *wishes(found)):
        print_text(f"would settle it: {wish}")
    print_text(f"\nnext: {_next_command(args)}")
    return DONE


_NOT_FAILED = {
    True: "The job has not ended: there is no failure to diagnose.",
    False: "The job succeeded: there is no failure to diagnose.",
}


def _next_command(args: argparse.Namespace) -> str:
    inputs = " ".join(shlex.quote(name) for name in args.inputs)
    what = "   (what the policies would do; changes nothing)"
    if "-" not in args.inputs:
        return f"{program()} plan {inputs}{what}"
    # Standard input is used up: a case file keeps what was read of it.
    if args.output not in {None, "", "-"}:
        return f"{program()} plan {shlex.quote(args.output)}{what}"
    return f"the same with -o case.json, then {program()} plan case.json{what}"


def _with_subject(body: dict[str, Any], found: Assembly, subject: Subject) -> dict[str, Any]:
    """The answer as `--json` prints it: what it is about, and what was not read."""
    if not found.has_job:
        body |= {"job": None, "kind": None}
    return {
        **body,
        "subject": subject.to_json(),
        "watch": _watch_json(found),
        "ignored_keys": [key for key, _ in found.ignored],
    }


def _watch_json(found: Assembly) -> dict[str, Any] | None:
    """What is thought of a job that still runs; null for any other."""
    from remediator.catalog.catalog import Catalog

    watched = watch_inputs(found, Catalog.built_in())
    return watched.to_json() if watched is not None else None


def _planned_watch(found: Assembly, policies: Policies, catalog: Catalog) -> Watch | None:
    """The same, judged by the numbers of the entry that decides."""
    made = plan_watch_inputs(found, policies, catalog)
    return made.watch if made is not None else None


def plan(args: argparse.Namespace) -> int:
    found = assembly_of(args)
    policies, catalog = policies_of(args), catalogue_of(args)
    answer = diagnose_inputs(found, policies)
    plan = plan_inputs(found, answer, policies, catalog, resume=resume_targets(os.environ))
    seen = _planned_watch(found, policies, catalog)
    if args.json:
        explained = {"explanation": list(plan.explanation)} if args.explain else {}
        body = {**plan.to_json(), **explained, "watch": seen.to_json() if seen else None}
        if not found.has_job:
            body["job"] = None
        print_json(body)
        return DONE
    print_text(f"{plan.job if found.has_job else '(no job was given)'}\nverdict: {plan.verdict}")
    if seen is not None:
        print_text("\n".join(watch_lines(seen)))
    print_text(f"policy:  {plan.policy or '(none matches)'}")
    print_text(f"action:  {plan.action} (mode {plan.mode})")
    for line in _step_lines(plan):
        print_text(line)
    print_text(f"because: {plan.because}")
    if args.explain:
        print_text("\nwhy each policy did or did not match:")
        for line in plan.explanation:
            print_text(f"  {line}")
    return DONE


def _step_lines(plan: Plan) -> list[str]:
    """What is changed, when, and for how much; of a refused step the guards that refuse it, first."""
    lines = [
        f"  {change.field}: {_value(change.before)} -> {_value(change.after)}"
        for change in plan.changes
    ]
    if plan.not_before:
        lines.append(f"not before {plan.not_before:%Y-%m-%d %H:%M:%S} UTC")
    if plan.estimated_usd is not None:
        worst = "unknown" if plan.worst_case_usd is None else f"{plan.worst_case_usd:.2f} USD"
        lines.append(f"estimated {plan.estimated_usd:.2f} USD, at worst {worst}")
    if not plan.refused_by:
        return lines
    refused = f"refused by: {', '.join(plan.refused_by)}"
    if lines and not plan.changes:
        lines = ["  the same job again, unchanged", *lines]
    return [refused, *(["the step that is refused, and not taken:", *lines] if lines else [])]


def _value(value: object) -> str:
    """A field's value as people read it; a field that the job does not have is `unset`."""
    return "unset" if value is None else value if isinstance(value, str) else json.dumps(value)


def test(args: argparse.Namespace) -> int:
    policies, catalog = policies_of(args), catalogue_of(args)
    results: list[dict[str, Any]] = []
    for path in _test_files(args.inputs):
        body = read_json(path)
        if not isinstance(body, dict) or "expect" not in body:
            print(f"note: {path}: has no `expect` object: skipped", file=sys.stderr)
            continue
        wrong = list(_judge(path, body["expect"], policies, catalog))
        results.append({"case": str(path), "passed": not wrong, "differences": wrong})
        if not args.json:
            print_text("\n        ".join([f"{'FAILED' if wrong else 'passed'}  {path}", *wrong]))
    if not results:
        msg = f"no case in {', '.join(args.inputs)} has an `expect` object"
        raise InvalidInput(msg)
    failed = sum(not one["passed"] for one in results)
    if args.json:
        print_json({"passed": len(results) - failed, "failed": failed, "cases": results})
    else:
        print_text(f"{len(results) - failed} passed, {failed} failed")
    return FAILED if failed else DONE


def _test_files(names: Sequence[str]) -> Iterator[Path]:
    """The files named, and every JSON file below the folders named."""
    for name in names:
        path = Path(name)
        if path.is_dir():
            yield from sorted(path.rglob("*.json"))
        elif path.is_file():
            yield path
        else:
            msg = f"no such folder or file: {path}"
            raise InvalidInput(msg)


def _judge(path: Path, expected: Any, policies: Policies, catalog: Catalog) -> Iterator[str]:
    """Where the answers about a case differ from what it expects."""
    if not isinstance(expected, dict):
        msg = f"{path}: `expect` must be an object, any part of what `diagnose` and `plan` answer"
        raise InvalidInput(msg)
    found = assembly_of(argparse.Namespace(inputs=[str(path)]))
    answer = diagnose_inputs(found, policies)
    said = _with_subject(answer.to_json(), found, subject_of(found))
    answers = {
        **plan_inputs(
            found, answer, policies, catalog, resume=resume_targets(os.environ)
        ).to_json(),
        **said,
    }
    seen = _planned_watch(found, policies, catalog)
    answers["watch"] = seen.to_json() if seen else None
    for key in expected.keys() - answers.keys():
        yield f"{key}: neither `diagnose` nor `plan` answers such a key"
    yield from _differences({k: v for k, v in expected.items() if k in answers}, answers, "")


def _differences(expected: Any, got: Any, path: str) -> Sequence[str]:
    """Where `got` lacks what `expected`, any subset of it, asks for."""
    if isinstance(expected, dict) and isinstance(got, dict):
        return [
            line
            for key, value in expected.items()
            for line in _differences(value, got.get(key), f"{path}.{key}".lstrip("."))
        ]
    if isinstance(expected, list) and isinstance(got, list) and len(expected) == len(got):
        return [
            line
            for index, value in enumerate(expected)
            for line in _differences(value, got[index], f"{path}[{index}]")
        ]
    return [] if expected == got else [f"{path}: expected {expected!r}, got {got!r}"]


def catalog(args: argparse.Namespace) -> int:
    from remediator.catalog.description import describe

    found = describe(catalogue_of(args), args.type, args.region)
    if args.json:
        print_json(found)
        return DONE
    print("\n".join(_entry(found)))
    return DONE


def _entry(found: dict[str, Any], indent: str = "") -> Iterator[str]:
    """An entry of the catalogue as lines; a move is a line with where it leads, and a word why."""
    for key, value in found.items():
        if isinstance(value, dict) and value.keys() == {"to", "why"}:
            why = f" ({value['why']})" if value["why"] else ""
            yield f"{indent}{key}: {value['to'] or 'nowhere'}{why}"
        elif isinstance(value, dict):
            yield f"{indent}{key}:{'' if value else ' none'}"
            yield from _entry(value, f"{indent}  ")
        else:
            yield f"{indent}{key}: {_word(key, value)}"


_MOST_LISTED = 60  # of a list in one line; pods of TPUs come in hundreds of sizes


def _word(key: str, value: Any) -> str:
    if isinstance(value, list):
        listed = [_word(key, one) for one in value]
        return (
            ", ".join([*listed[:3], "…", listed[-1]] if len(listed) > _MOST_LISTED else listed)
            or "none"
        )
    if isinstance(value, dict):
        return " ".join(f"{inner} {listed}" for inner, listed in value.items())
    if value is None:  # a price or a size that is not known is never nothing
        return "none" if key in {"accelerator", "attaches_to", "never_proposed"} else "unknown"
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)


def init(args: argparse.Namespace) -> int:
    """Write the shipped policies and an example case into a folder that holds neither."""
    folder = Path(args.dir)
    files = {"policies.yaml": shipped("policies.yaml"), "case.json": shipped(_EXAMPLE_CASE)}
    taken = [name for name in files if (folder / name).exists()]
    if taken:
        msg = f"{folder}: has {' and '.join(taken)} already; nothing was written"
        raise InvalidInput(msg)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as err:
        msg = f"{folder}: {err.strerror}"
        raise InvalidInput(msg) from err
    for name, source in files.items():
        write_whole(
            folder / name, read_bytes(source).decode().replace(_CHECKOUT_SCHEMA, _NO_SCHEMA)
        )
        print(folder / name)
    policies, case = (shlex.quote(str(folder / name)) for name in files)
    print("next:")
    for command in (
        f"validate {policies}",
        f"diagnose {case}",
        f"plan {case} --policies {policies} --explain",
    ):
        print(f"  {program()} {command}")
    return DONE


_CHECKOUT_SCHEMA = "# yaml-language-server: $schema=docs/policies.schema.json\n"
_NO_SCHEMA = "# An editor that knows JSON Schema checks this file by what `schema` prints (docs/policies.md).\n"
"""In place of the schema's path, which is that of a checkout; one line too, so that numbers stay."""
_EXAMPLE_CASE = "docs/examples/case.json"


def sink_filter(args: argparse.Namespace) -> int:
    from remediator.intake import sink_filter

    print(sink_filter(args.own_account))
    return DONE


def demo(args: argparse.Namespace) -> int:
    try:
        from twin import demo
    except ImportError as err:
        msg = f"the demo needs the source checkout and its development extras: {err}"
        raise InvalidInput(msg) from err
    from remediator.intake import sink_filter
    from remediator.ledger import Ledger
    from remediator.ledger.sqlite import SqliteStore

    def spent(path: Path) -> dict[str, float]:
        ledger = Ledger(SqliteStore(path))
        found = {chain.root: chain.spent_usd + chain.reserved_usd for chain in ledger.chains()}
        ledger.close()
        return found

    code: int = demo.main(
        seed=args.seed, only=args.only, keep=args.keep, sink_filter=sink_filter(), spent=spent
    )
    return code
