"""The command line: parse and call.

Exit codes: 0 done; 1 a check failed; 2 unusable input (one line on standard error, no traceback).
Offline commands need no settings and import no Google client. A command's module is imported when
the command runs, so that `--help` stays quick. Called by `__main__` and by the installed command
`vertex-remediator`.
"""

from __future__ import annotations

import argparse
import functools
import importlib
import os
import sys
from collections.abc import Callable, Sequence

from remediator import __version__
from remediator.cli.input_output import DONE, UNUSABLE, default_policies, program
from remediator.cli.parser import Parser
from remediator.domain import RemediatorError

_GROUPS: tuple[tuple[str, tuple[str, ...]], ...] = (
    (
        "A failure in hand (no account needed)",
        ("diagnose", "plan", "alert", "test", "rows", "capture"),
    ),
    ("The policy file", ("init", "validate", "schema", "catalog", "backtest")),
    (
        "A deployment",
        (
            "doctor",
            "status",
            "approvals",
            "approve",
            "decline",
            "stop",
            "start",
            "follow",
            "report",
        ),
    ),
    ("Measure and repair", ("probe", "dead-letters", "sink-filter")),
    ("This machine", ("demo", "completion")),
)
_EXAMPLES = """\
examples:
  {prog} diagnose train.log                      a plain log, and nothing else
  {prog} diagnose job.json entries.json          what `gcloud … --format=json` printed
  {prog} plan job.json --policies policies.yaml --explain
  {prog} diagnose 1234567890 --project P --region us-central1

exit codes: 0 done; 1 a check failed; 2 unusable input, one line on standard error"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; answers the exit code."""
    parsed = _parser().parse_args(arguments)
    try:
        run: Callable[[argparse.Namespace], int] = parsed.run
        return run(parsed)
    except RemediatorError as err:
        from remediator.redaction import redact

        print(f"{parsed.command}: {' '.join(redact(err).split())}", file=sys.stderr)
        return UNUSABLE
    except BrokenPipeError:  # the reader, such as `head`, has gone
        sys.stderr.close()
        return DONE
    except KeyboardInterrupt:
        return 130


_SERVICES = {
    "--teams": "Teams",
    "--google-chat": "Google Chat",
    "--pagerduty": "PagerDuty",
    "--webhook": "a webhook",
}


def _lazy(module: str, function: str) -> Callable[[argparse.Namespace], int]:
    """The function of a command's module, imported when it is called."""

    def run(args: argparse.Namespace) -> int:
        found = importlib.import_module(f"remediator.cli.{module}")
        code: int = getattr(found, function)(args)
        return code

    return run


@functools.cache  # building it takes longer than most commands take
def _parser() -> argparse.ArgumentParser:  # noqa: C901, PLR0915  # one statement an option, in the order of --help
    prog = program()
    parser = Parser(
        prog=prog,
        description="Failed Vertex AI jobs that fix themselves.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"vertex-remediator {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    summaries: dict[str, str] = {}

    def command(
        name: str, run: Callable[[argparse.Namespace], int], summary: str, *, as_json: bool = False
    ) -> argparse.ArgumentParser:
        summaries[name] = summary
        sub: argparse.ArgumentParser = commands.add_parser(name, description=f"{summary}.")
        sub.set_defaults(run=run)
        if as_json:
            json_flag(sub)
        return sub

    def family(name: str, summary: str) -> argparse._SubParsersAction[Parser]:
        summaries[name] = summary
        sub = commands.add_parser(name, description=f"{summary}.")
        return sub.add_subparsers(dest="subcommand", required=True, metavar="COMMAND")

    def json_flag(sub: argparse.ArgumentParser) -> None:
        sub.add_argument("--json", action="store_true", help="print JSON")

    def catalog_file(sub: argparse.ArgumentParser) -> None:
        sub.add_argument(
            "--catalog", metavar="FILE", help="your own prices and machine types, JSON"
        )

    def policies(sub: argparse.ArgumentParser) -> None:
        sub.add_argument(
            "--policies",
            metavar="FILE",
            default=os.environ.get("REMEDIATOR_POLICIES") or default_policies(),
            help="the policy file (default: REMEDIATOR_POLICIES, else ./policies.yaml, else the "
            "shipped one)",
        )
        catalog_file(sub)

    def project(sub: argparse.ArgumentParser, *, region: bool = True) -> None:
        sub.add_argument("--project", metavar="ID", default="", help="before GOOGLE_CLOUD_PROJECT")
        if region:
            sub.add_argument(
                "--region", metavar="NAME", default="", help="before REMEDIATOR_LOCATIONS"
            )

    def inputs(sub: argparse.ArgumentParser) -> None:
        sub.add_argument(
            "inputs",
            metavar="INPUT",
            nargs="+",
            help="a case file; a job as JSON or YAML; log entries as JSON or JSONL; a plain log; - "
            "for standard input; or a job's name, id or console URL. Several make one case",
        )
        sub.add_argument("-o", "--output", metavar="CASE", help="keep the case in this file")
        project(sub)

    diagnose = command(
        "diagnose",
        _lazy("offline", "diagnose"),
        "the causes of one failure, with evidence",
        as_json=True,
    )
    inputs(diagnose)

    plan = command(
        "plan",
        _lazy("offline", "plan"),
        "what the policies would do, and why; changes nothing",
        as_json=True,
    )
    inputs(plan)
    plan.add_argument("--explain", action="store_true", help="why each policy did or did not match")
    policies(plan)

    alerts = family("alert", "alerts as they would be sent")
    preview = alerts.add_parser("preview", help="the alert of a case")
    inputs(preview)
    preview.add_argument("--channel", metavar="NAME", default="")
    preview.add_argument("--html", action="store_true", help="the page that a mail would show")
    preview.add_argument("--slack", action="store_true", help="Slack's blocks, as JSON")
    for option, whose in _SERVICES.items():
        preview.add_argument(option, action="store_true", help=f"what {whose} gets, as JSON")
    preview.add_argument("--send", action="store_true", help="send it, marked as a preview")
    json_flag(preview)
    policies(preview)
    preview.set_defaults(run=_lazy("project", "alert_preview"))

    test = command(
        "test",
        _lazy("offline", "test"),
        "policy tests: every case that has an `expect` object",
        as_json=True,
    )
    test.add_argument(
        "inputs", metavar="DIR|CASE", nargs="+", help="folders of case files, and case files"
    )
    policies(test)

    capture = command(
        "capture",
        _lazy("project", "capture"),
        "write a case file from a real job (read-only, redacted)",
    )
    capture.add_argument("job", metavar="JOB", help="a job's name, id or console URL")
    capture.add_argument("-o", "--output", metavar="CASE", required=True, help="a file, or -")
    project(capture)

    rows = command(
        "rows",
        _lazy("rows", "rows"),
        "what a batch did with its rows, and which to send again",
        as_json=True,
    )
    rows.add_argument(
        "job", metavar="JOB", nargs="?", default="", help="a batch's name, id or console URL"
    )
    for flag, help_ in (
        ("input", "the files that the batch was given: JSONL, or CSV with a header"),
        ("output", "the files that it wrote, in any order; errors and increments are told by name"),
        ("errors", "files of failed rows whose names do not say so"),
    ):
        rows.add_argument(
            f"--{flag}",
            dest=f"rows_{flag}",
            metavar="FILE",
            nargs="+",
            action="extend",
            default=[],
            help=help_,
        )
    rows.add_argument(
        "--key",
        metavar="NAME",
        help="the input's field that names a row (default: the first that is sound)",
    )
    rows.add_argument(
        "-o", "--remaining", metavar="FILE", help="write the input lines to send again"
    )
    project(rows)

    init = command(
        "init",
        _lazy("offline", "init"),
        "a commented policy file and an example case, to begin with",
    )
    init.add_argument("dir", metavar="DIR", nargs="?", default=".", help="an empty folder")

    validate = command(
        "validate",
        _lazy("offline", "validate"),
        "check policy files; every mistake at once",
        as_json=True,
    )
    validate.add_argument(
        "files",
        metavar="FILE",
        nargs="*",
        default=[default_policies()],
        help="policy files, or - for standard input (default: the one in force here)",
    )
    catalog_file(validate)

    command(
        "schema",
        _lazy("offline", "schema"),
        "the JSON Schema of policy files, for editors",
        as_json=True,
    )

    catalog = family("catalog", "machine types: what they are, cost, lead to")
    show = catalog.add_parser("show", help="one machine type or accelerator")
    show.add_argument("type", metavar="TYPE")
    show.add_argument("--region", default="us-central1", help="where it is priced and offered")
    json_flag(show)
    catalog_file(show)
    show.set_defaults(run=_lazy("offline", "catalog"))

    back = command(
        "backtest",
        _lazy("backtest", "backtest"),
        "what the policies would have done about past failures and running jobs; changes nothing",
        as_json=True,
    )
    back.add_argument(
        "--days", metavar="N", type=float, default=30.0, help="how far back (default 30)"
    )
    back.add_argument("--cases", metavar="DIR", help="judge the case files in DIR instead")
    back.add_argument("--against", metavar="OTHER", help="a second policy file: where they differ")
    back.add_argument(
        "--most",
        metavar="N",
        type=int,
        default=500,
        help="of the newest failures, and of the newest jobs watched (default 500)",
    )
    policies(back)
    project(back)

    health = command(
        "doctor",
        _lazy("doctor", "doctor"),
        "check a deployment, and say how to fix what is missing",
        as_json=True,
    )
    health.add_argument(
        "--name",
        default="vertex-remediator",
        help="beginning of the deployment's names (default vertex-remediator)",
    )
    health.add_argument(
        "--region",
        default="",
        help="where the functions are (default: the first of REMEDIATOR_LOCATIONS)",
    )
    health.add_argument(
        "--account",
        metavar="EMAIL",
        default="",
        help="the functions' account (default NAME-worker)",
    )
    health.add_argument(
        "--event-seconds",
        metavar="N",
        type=float,
        default=90.0,
        help="how long the event that is sent may take to arrive (default 90)",
    )
    health.add_argument("--no-event", action="store_true", help="send none")
    project(health, region=False)

    project(
        command(
            "status",
            _lazy("ledger", "status"),
            "what stands in the ledger: incidents, attempts, messages, the switch, today's money",
            as_json=True,
        )
    )
    project(
        command("approvals", _lazy("ledger", "approvals"), "what waits for a yes", as_json=True)
    )

    follow = command(
        "follow",
        _lazy("project", "follow"),
        "where a job's chain of resubmissions stands",
        as_json=True,
    )
    follow.add_argument("job", metavar="JOB", help="projects/P/locations/L/COLLECTION/ID")
    follow.add_argument("--wait", action="store_true", help="until the chain has ended")
    project(follow)

    for name, summary in (
        ("stop", "stop switch: nothing is resubmitted until `start`"),
        ("start", "take the stop switch back"),
    ):
        switch = command(name, _lazy("project", "switch"), summary)
        switch.add_argument(
            "--local",
            action="store_true",
            help="the ledger of this folder is meant, where REMEDIATOR_LEDGER names none",
        )
        project(switch)

    for name, summary in (("approve", "say yes to a pending plan"), ("decline", "say no to it")):
        answer = command(name, _lazy("ledger", "answer"), summary)
        answer.add_argument(
            "id",
            metavar="ID",
            nargs="?",
            default="",
            help="the approval's id, the beginning of it, or its job",
        )
        answer.add_argument(
            "--like", metavar="ID", default="", help="every approval that asks the same as this one"
        )
        project(answer)

    page = command(
        "report",
        _lazy("report", "report"),
        "incidents, causes, outcomes and money as an HTML page, JSON or CSV",
    )
    page.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        default="",
        help="a file, or - (default: report.html; for data, standard output)",
    )
    page.add_argument(
        "--days",
        metavar="N",
        type=float,
        default=None,
        help="failures of the last N days, and what is open",
    )
    form = page.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="as JSON")
    form.add_argument("--csv", action="store_true", help="one line for each incident")
    page.add_argument("--title", default="", help="the page's heading (default: the project)")
    project(page)

    probe = command("probe", _lazy("project", "probe"), "latency of data sources", as_json=True)
    probe.add_argument("urls", metavar="URL", nargs="+")
    probe.add_argument("--threshold", type=float, default=0.5, help="seconds (default 0.5)")
    probe.add_argument("--tries", type=int, default=5)
    probe.add_argument("--timeout", type=float, default=5.0, help="seconds for each try")

    letters = family("dead-letters", "events that could not be handled")
    listing = letters.add_parser("list", help="what waits; changes nothing")
    listing.add_argument("--limit", metavar="N", type=int, default=1000)
    listing.set_defaults(run=_lazy("dead_letters", "show"))
    replay = letters.add_parser("replay", help="handle them again, from the beginning")
    replay.add_argument("--topic", metavar="NAME", default="vertex-remediator-failures")
    replay.set_defaults(run=_lazy("dead_letters", "replay"))
    for sub in (listing, replay):
        json_flag(sub)
        sub.add_argument("--subscription", metavar="NAME", default="vertex-remediator-dead-letters")
        project(sub)

    sink = command(
        "sink-filter",
        _lazy("offline", "sink_filter"),
        "the log sink's filter, as the intake reads entries",
    )
    sink.add_argument("--own-account", metavar="EMAIL", default="", help="the function's account")

    demo = command(
        "demo", _lazy("offline", "demo"), "the whole loop on this machine, no account needed"
    )
    demo.add_argument("--seed", type=int, default=None, help="order and names of the stories")
    demo.add_argument(
        "--only", metavar="N", type=int, default=None, help="play the first N stories"
    )

    demo.add_argument(
        "--keep",
        action="store_true",
        help="leave the cloud up, and print the variables that lead to it",
    )

    completion = command(
        "completion", _completion, 'completion for a shell: eval "$(… completion bash)"'
    )
    completion.add_argument("shell", choices=("bash", "zsh", "tcsh"))

    parser.epilog = f"{_grouped(summaries)}\n\n{_EXAMPLES.format(prog=prog)}"
    return parser


def _grouped(summaries: dict[str, str]) -> str:
    """The commands under their headings; whatever no heading names stands in the last group."""
    placed = {name for _, names in _GROUPS for name in names}
    lines: list[str] = []
    for heading, names in _GROUPS:
        rest = (
            [name for name in summaries if name not in placed] if heading is _GROUPS[-1][0] else []
        )
        lines.append(f"{heading}:")
        lines += [f"  {name:<14}{summaries[name]}" for name in (*names, *rest) if name in summaries]
        lines.append("")
    return "\n".join(lines).rstrip()


def _completion(args: argparse.Namespace) -> int:
    from remediator.domain import InvalidInput

    try:
        import shtab
    except ImportError as err:
        msg = "shell completion needs the package shtab (the installed command brings it along)"
        raise InvalidInput(msg) from err
    parser = _parser()
    parser.prog = "vertex-remediator"
    print(shtab.complete(parser, args.shell))
    return DONE


if __name__ == "__main__":
    sys.exit(main())
