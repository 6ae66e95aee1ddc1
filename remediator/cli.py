"""The command line: parse, call, print. Thinks nothing itself.

Exit codes: 0 done; 1 a check failed; 2 unusable input (one line on standard error, no traceback).
Offline commands need no settings and import no Google client.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from remediator.domain import History, Json, Plan, RemediatorError, Unusable
from remediator.redact import redact_json

HERE = Path(__file__).resolve().parent.parent
DONE, FAILED, UNUSABLE = 0, 1, 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; answers the exit code."""
    parsed = _parser().parse_args(arguments)
    try:
        run: Callable[[argparse.Namespace], int] = parsed.run
        return run(parsed)
    except RemediatorError as err:
        print(f"{parsed.command}: {' '.join(str(err).split())}", file=sys.stderr)
        return UNUSABLE
    except BrokenPipeError:  # the reader, such as `head`, has gone
        sys.stderr.close()
        return DONE
    except KeyboardInterrupt:
        return 130


# --- commands that need nothing but files --------------------------------------------------------


def _validate(args: argparse.Namespace) -> int:
    from remediator import policy

    path = Path(args.file)
    loaded = policy.load(_bytes(path), str(path), catalogue=_catalogue(args))
    if args.json:
        _print_json(
            [
                {"line": m.line, "column": m.column, "severity": m.severity, "message": m.message}
                for m in loaded.mistakes
            ]
        )
    else:
        for mistake in loaded.mistakes:
            print(mistake.render(str(path)))
        if not loaded.mistakes and loaded.policies is not None:
            count = len(loaded.policies.policies)
            print(f"{path}: {count} policies, mode {loaded.policies.mode}: no mistakes")
    return FAILED if loaded.mistakes else DONE


def _schema(args: argparse.Namespace) -> int:
    from remediator.policy.reference import schema

    del args
    _print_json(schema())
    return DONE


def _diagnose(args: argparse.Namespace) -> int:
    from remediator.diagnosis import diagnose

    found = diagnose(_case(args.case))
    if args.json:
        _print_json(redact_json(found.to_json()))
        return DONE
    print(f"{found.job}\nverdict: {found.verdict} ({found.confidence:.0%})")
    for cause in found.causes:
        print(f"\n{cause.cause}  {cause.confidence:.0%}")
        for mark, items in (("+", cause.evidence), ("-", cause.against)):
            for item in items:
                said = redact_json({"says": item.says, "where": item.where})
                print(f"  {mark} [{item.source}] {said['says']}  ({said['where']})")
        if cause.advice:
            print(f"  > {cause.advice} {cause.advice_url}")
    for wish in found.missing:
        print(f"would settle it: {wish}")
    return DONE


def _plan(args: argparse.Namespace) -> int:
    plan = _planned(args)
    if args.json:
        _print_json(redact_json(plan.to_json()))
        return DONE
    print(f"{plan.job}\nverdict: {plan.verdict}\npolicy:  {plan.policy or '(none matches)'}")
    print(f"action:  {plan.action} (mode {plan.mode})")
    for change in plan.changes:
        print(f"  {change.field}: {change.before} -> {change.after}")
    if plan.not_before:
        print(f"not before {plan.not_before:%Y-%m-%d %H:%M:%S} UTC")
    if plan.refused_by:
        print(f"refused by: {', '.join(plan.refused_by)}")
    if plan.estimated_usd is not None:
        worst = "unknown" if plan.worst_case_usd is None else f"{plan.worst_case_usd:.2f} USD"
        print(f"estimated {plan.estimated_usd:.2f} USD, at worst {worst}")
    print(f"because: {redact_json({'why': plan.because})['why']}")
    if args.explain:
        print("\nwhy each policy did or did not match:")
        for line in plan.explanation:
            print(f"  {line}")
    return DONE


def _planned(args: argparse.Namespace, case_file: str | None = None) -> Plan:
    from remediator import policy
    from remediator.diagnosis import diagnose
    from remediator.policy import kinds

    case = _case(case_file or args.case)
    history = History(
        attempts=case.attempts,
        parent=kinds.parent_of(case.job),
        cancelled_by_person=kinds.cancelled_by_person(case.job),
        usd_this_job=sum(one.estimated_usd or 0.0 for one in case.attempts),
    )
    return policy.plan(case, diagnose(case), _policies(args), history, _catalogue(args))


def _test(args: argparse.Namespace) -> int:
    from remediator.diagnosis import diagnose

    folder = Path(args.dir)
    if not folder.is_dir():
        msg = f"no such folder: {folder}"
        raise Unusable(msg)
    failed = tried = 0
    for path in sorted(folder.rglob("*.json")):
        body = _json(path)
        if not isinstance(body, dict) or "expect" not in body:
            continue
        tried += 1
        plan = _planned(args, str(path)).to_json()
        answers = {**plan, **diagnose(_case(str(path))).to_json()}
        wrong = list(_differences(body["expect"], answers, ""))
        failed += bool(wrong)
        print(f"{'FAILED' if wrong else 'passed'}  {path}")
        for line in wrong:
            print(f"        {line}")
    print(f"{tried - failed} passed, {failed} failed")
    if not tried:
        msg = f"no case in {folder} has an `expect` object"
        raise Unusable(msg)
    return FAILED if failed else DONE


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


def _catalog(args: argparse.Namespace) -> int:
    found = _catalogue(args).describe(args.type)
    if args.json:
        _print_json(found)
        return DONE
    for key, value in found.items():
        if isinstance(value, dict):
            print(f"{key}:")
            for inner, told in value.items():
                print(f"  {inner}: {told}")
        else:
            print(f"{key}: {value}")
    return DONE


def _sink_filter(args: argparse.Namespace) -> int:
    from remediator.intake import sink_filter

    print(sink_filter(args.own_account))
    return DONE


def _demo(args: argparse.Namespace) -> int:
    try:
        from twin import demo
    except ImportError as err:
        msg = f"the demo needs the source checkout and its development extras: {err}"
        raise Unusable(msg) from err
    from remediator.intake import sink_filter
    from remediator.ledger import Ledger
    from remediator.ledger.sqlite import SqliteStore

    def spent(path: Path) -> dict[str, float]:
        ledger = Ledger(SqliteStore(path))
        found = {chain.root: chain.spent_usd + chain.reserved_usd for chain in ledger.chains()}
        ledger.close()
        return found

    code: int = demo.main(seed=args.seed, only=args.only, sink_filter=sink_filter(), spent=spent)
    return code


# --- commands that speak to a project -------------------------------------------------------------


def _capture(args: argparse.Namespace) -> int:
    case = _app().capture(args.job)
    text = json.dumps(redact_json(case.to_json()), indent=2, ensure_ascii=False) + "\n"
    if args.output == "-":
        sys.stdout.write(text)
        return DONE
    Path(args.output).write_text(text, encoding="utf-8")
    print(f"{args.output}: {len(case.log_lines)} log entries, {len(case.series)} time series")
    for gap in case.gaps:
        print(f"  not read: {gap.source}: {gap.why}")
    return DONE


def _follow(args: argparse.Namespace) -> int:
    from remediator.follow import stand

    standing = _app().follow(args.job, wait=args.wait)
    if args.json:
        _print_json(standing.to_json())
    else:
        print(stand(standing))
    return DONE if standing.succeeded else FAILED


def _switch(args: argparse.Namespace) -> int:
    on = args.command == "stop"
    _app().switch_stop(on=on)
    print("stopped: nothing is resubmitted until `start`" if on else "started")
    return DONE


def _answer(args: argparse.Namespace) -> int:
    said = _app().answer(args.id, approved=args.command == "approve")
    print(said)
    return DONE


def _probe(args: argparse.Namespace) -> int:
    from remediator import network

    measured = [
        network.probe(url, tries=args.tries, timeout=args.timeout, allow_loopback=args.loopback)
        for url in args.urls
    ]
    slow = [one for one in measured if one.seconds is not None and one.seconds > args.threshold]
    if args.json:
        _print_json([{**one.to_json(), "over": one in slow} for one in measured])
    else:
        print(network.table(measured, args.threshold))
    return FAILED if slow else DONE


def _alert_preview(args: argparse.Namespace) -> int:
    from remediator.alerts import as_text

    message = _app_for_preview(args).preview(_case(args.case), args.channel, send=args.send)
    print(as_text(message))
    return DONE


# --- shared -----------------------------------------------------------------------------------------


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as err:
        msg = f"{path}: {err.strerror}"
        raise Unusable(msg) from err


def _json(path: Path) -> Any:
    try:
        return json.loads(_bytes(path))
    except (ValueError, RecursionError) as err:
        msg = f"{path}: not JSON: {err}"
        raise Unusable(msg) from err


def _case(name: str) -> Any:
    from remediator.case import Case

    path = Path(name)
    body = json.loads(sys.stdin.read()) if name == "-" else _json(path)
    if not isinstance(body, dict):
        msg = f"{path}: a case file is a JSON object"
        raise Unusable(msg)
    try:
        return Case.parse(body)
    except (Unusable, TypeError, ValueError, AttributeError) as err:
        msg = f"{path}: {err}"
        raise Unusable(msg) from err


def _policies(args: argparse.Namespace) -> Any:
    from remediator import policy

    path = Path(args.policies)
    loaded = policy.load(_bytes(path), str(path))
    if loaded.policies is None:
        for mistake in loaded.mistakes:
            print(mistake.render(str(path)), file=sys.stderr)
        msg = f"{path} does not load"
        raise Unusable(msg)
    return loaded.policies


def _catalogue(args: argparse.Namespace) -> Any:
    from remediator import policy

    built_in = policy.Catalogue.built_in()
    own = getattr(args, "catalog", None)
    return built_in.with_overrides(_json(Path(own))) if own else built_in


def _app() -> Any:
    from remediator.app import App

    return App.from_environment(os.environ, here=HERE)


def _app_for_preview(args: argparse.Namespace) -> Any:
    from remediator.app import App

    environ = {**os.environ, "REMEDIATOR_POLICIES": args.policies}
    return App.from_environment(environ, here=HERE)


def _print_json(value: Json | list[Any]) -> None:
    print(json.dumps(value, indent=2, ensure_ascii=False, default=str))


def _parser() -> argparse.ArgumentParser:  # noqa: PLR0915  # one statement an option, in the order of --help
    parser = argparse.ArgumentParser(
        prog="python -m remediator",
        description="Failed Vertex AI jobs that mend themselves.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(
        name: str, run: Callable[[argparse.Namespace], int], summary: str, *, as_json: bool = False
    ) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=summary, description=summary)
        sub.set_defaults(run=run)
        if as_json:
            sub.add_argument("--json", action="store_true", help="print JSON")
        return sub

    def policies(sub: argparse.ArgumentParser, *, required: bool = False) -> None:
        sub.add_argument(
            "--policies",
            metavar="FILE",
            required=required,
            default=os.environ.get("REMEDIATOR_POLICIES") or str(HERE / "policies.yaml"),
            help="the policy file (default: REMEDIATOR_POLICIES, else the shipped one)",
        )
        sub.add_argument(
            "--catalog", metavar="FILE", help="your own prices and machine types, JSON"
        )

    sink = command(
        "sink-filter", _sink_filter, "the log sink's filter, as the intake reads entries"
    )
    sink.add_argument("--own-account", metavar="EMAIL", default="", help="the function's account")

    demo = command("demo", _demo, "the whole loop on this machine, no account needed")
    demo.add_argument("--seed", type=int, default=None, help="order and names of the stories")
    demo.add_argument(
        "--only", metavar="N", type=int, default=None, help="play the first N stories"
    )

    validate = command(
        "validate", _validate, "check a policy file; every mistake at once", as_json=True
    )
    validate.add_argument("file", nargs="?", default=str(HERE / "policies.yaml"))
    validate.add_argument(
        "--catalog", metavar="FILE", help="your own prices and machine types, JSON"
    )

    command("schema", _schema, "the JSON Schema of policy files, for editors", as_json=True)

    diagnose = command(
        "diagnose", _diagnose, "the causes of one failure, with evidence", as_json=True
    )
    diagnose.add_argument("case", help="a case file, or - for standard input")

    plan = command(
        "plan", _plan, "what the policies would do, and why; changes nothing", as_json=True
    )
    plan.add_argument("case", help="a case file, or - for standard input")
    plan.add_argument("--explain", action="store_true", help="why each policy did or did not match")
    policies(plan)

    test = command("test", _test, "policy tests: every case in DIR that has an `expect` object")
    test.add_argument("dir", metavar="DIR")
    policies(test)

    capture = command(
        "capture", _capture, "write a case file from a real job (read-only, redacted)"
    )
    capture.add_argument("job", metavar="JOB", help="projects/P/locations/L/COLLECTION/ID")
    capture.add_argument("-o", "--output", metavar="CASE", required=True, help="a file, or -")

    follow = command("follow", _follow, "where a job's chain of resubmissions stands", as_json=True)
    follow.add_argument("job", metavar="JOB", help="projects/P/locations/L/COLLECTION/ID")
    follow.add_argument("--wait", action="store_true", help="until the chain has ended")

    command("stop", _switch, "stop switch: nothing is resubmitted until `start`")
    command("start", _switch, "take the stop switch back")

    for name, summary in (("approve", "say yes to a pending plan"), ("decline", "say no to it")):
        command(name, _answer, summary).add_argument("id", metavar="ID")

    probe = command("probe", _probe, "latency of data sources", as_json=True)
    probe.add_argument("urls", metavar="URL", nargs="+")
    probe.add_argument("--threshold", type=float, default=0.5, help="seconds (default 0.5)")
    probe.add_argument("--tries", type=int, default=5)
    probe.add_argument("--timeout", type=float, default=5.0, help="seconds for each try")
    probe.set_defaults(loopback=bool(os.environ.get("REMEDIATOR_VERTEX_ENDPOINT")))

    catalog = commands.add_parser("catalog", help="machine types: what they are, cost, lead to")
    catalog_commands = catalog.add_subparsers(dest="subcommand", required=True, metavar="COMMAND")
    show = catalog_commands.add_parser("show", help="one machine type or accelerator")
    show.add_argument("type", metavar="TYPE")
    show.add_argument("--json", action="store_true", help="print JSON")
    show.add_argument("--catalog", metavar="FILE", help="your own prices and machine types, JSON")
    show.set_defaults(run=_catalog)

    alert = commands.add_parser("alert", help="alerts as they would be sent")
    alert_commands = alert.add_subparsers(dest="subcommand", required=True, metavar="COMMAND")
    preview = alert_commands.add_parser("preview", help="the alert of a case")
    preview.add_argument("case", help="a case file, or - for standard input")
    preview.add_argument("--channel", metavar="NAME", required=True)
    preview.add_argument("--send", action="store_true", help="send it, marked as a preview")
    policies(preview)
    preview.set_defaults(run=_alert_preview)
    return parser


if __name__ == "__main__":
    sys.exit(main())
