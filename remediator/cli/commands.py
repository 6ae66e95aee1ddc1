"""The commands and their options, in the order of `--help`.

Owns every name and help text; runs nothing. A command's module is imported when the command runs, so
that `--help` stays quick. Called by `main`.
"""

from __future__ import annotations

import argparse
import functools
import importlib
from collections.abc import Callable, Sequence

from remediator import __version__
from remediator.cli.alert_bodies import BODIES, flag
from remediator.cli.input_output import DONE, program
from remediator.cli.options import add_catalog, add_inputs, add_json, add_policies, add_project
from remediator.cli.parser import Commands, Parser, PartialParser, Run, Unparsed, add_member

_EXAMPLES = """\
examples:
  {prog} diagnose train.log                      a plain log, and nothing else
  {prog} diagnose job.json entries.json          what `gcloud … --format=json` printed
  {prog} plan job.json --policies policies.yaml --explain
  {prog} diagnose 1234567890 --project P --region us-central1

exit codes: 0 done; 1 a check failed; 2 unusable input, one line on standard error"""


def _lazy(module: str, function: str) -> Run:
    """The function of a command's module, imported when it is called."""

    def run(args: argparse.Namespace) -> int:
        found = importlib.import_module(f"remediator.cli.{module}")
        code: int = getattr(found, function)(args)
        return code

    return run


def parse(words: Sequence[str]) -> argparse.Namespace:
    """What the words of a command line say; exits with one line where they say nothing.

    What is wrong with them is told by the whole parser, which knows every command and option.
    """
    try:
        return build(PartialParser, upto=words[0] if words else "").parse_args(words)
    except Unparsed:
        return build().parse_args(words)


@functools.lru_cache(maxsize=64)  # building it takes longer than most commands take
def build(kind: type[Parser] = Parser, *, upto: str = "") -> argparse.ArgumentParser:
    """The parser of the whole command line, or of the groups down to the one with the command `upto`."""
    prog = program()
    parser = kind(
        prog=prog,
        description="Diagnose failed Vertex AI jobs, resubmit them as your policies allow, and tell people "
        "about the rest.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"vertex-remediator {__version__}")
    commands = Commands(parser)
    for heading, add in _GROUPS.items():
        commands.begin(heading)
        add(commands)
        if upto in commands.names:
            break
    parser.epilog = f"{commands.listed()}\n\n{_EXAMPLES.format(prog=prog)}"
    return parser


def _add_failure_commands(commands: Commands) -> None:
    diagnose = commands.command(
        "diagnose",
        _lazy("offline", "diagnose"),
        "find the causes of one failure, with evidence",
        as_json=True,
    )
    add_inputs(diagnose)

    plan = commands.command(
        "plan",
        _lazy("offline", "plan"),
        "show what the policies would do, and why; changes nothing",
        as_json=True,
    )
    add_inputs(plan)
    plan.add_argument(
        "--explain", action="store_true", help="say why each policy did or did not match"
    )
    add_policies(plan)

    alerts = commands.family("alert", "show alerts as they would be sent")
    preview = add_member(
        alerts,
        "preview",
        _lazy("project", "alert_preview"),
        "show the alert that a failure would cause",
    )
    add_inputs(preview)
    preview.add_argument(
        "--channel",
        metavar="NAME",
        default="",
        help="a channel of the policy file; needed unless one of the formats below is asked for",
    )
    for body, what in BODIES.items():
        preview.add_argument(flag(body), action="store_true", help=f"print {what}")
    preview.add_argument("--send", action="store_true", help="send it, marked as a preview")
    add_json(preview)
    add_policies(preview)

    test = commands.command(
        "test",
        _lazy("offline", "test"),
        "run policy tests: every case file that has an `expect` object",
        as_json=True,
    )
    test.add_argument(
        "inputs", metavar="DIR|CASE", nargs="+", help="case files, or folders of them"
    )
    add_policies(test)

    rows = commands.command(
        "rows",
        _lazy("rows", "rows"),
        "show what a batch prediction did with its rows, and which to send again",
        as_json=True,
    )
    rows.add_argument(
        "job",
        metavar="JOB",
        nargs="?",
        default="",
        help="a batch prediction's name, id or console URL",
    )
    for option, help_ in (
        ("input", "the batch's input files: JSONL, or CSV with a header"),
        ("output", "its output files, in any order; error files are known by their names"),
        ("errors", "error files whose names do not say so"),
    ):
        rows.add_argument(
            f"--{option}",
            dest=f"rows_{option}",
            metavar="FILE",
            nargs="+",
            action="extend",
            default=[],
            help=help_,
        )
    rows.add_argument(
        "--key",
        metavar="NAME",
        help="the input field that identifies a row (default: the first by which the rows add up)",
    )
    rows.add_argument(
        "-o",
        "--remaining",
        metavar="FILE",
        help="write the input lines that are to be sent again to this file",
    )
    add_project(rows)

    capture = commands.command(
        "capture",
        _lazy("project", "capture"),
        "write a case file from a real job (read-only, redacted)",
    )
    capture.add_argument("job", metavar="JOB", help="a job's name, id or console URL")
    capture.add_argument(
        "-o",
        "--output",
        metavar="CASE",
        required=True,
        help="the file to write, or - for standard output",
    )
    add_project(capture)


def _add_policy_commands(commands: Commands) -> None:
    init = commands.command(
        "init",
        _lazy("offline", "init"),
        "write a commented policy file and an example case, to begin with",
    )
    init.add_argument(
        "dir",
        metavar="DIR",
        nargs="?",
        default=".",
        help="the folder to write to (default: this one)",
    )

    validate = commands.command(
        "validate",
        _lazy("offline", "validate"),
        "check policy files, and name every mistake at once",
        as_json=True,
    )
    validate.add_argument(
        "files",
        metavar="FILE",
        nargs="*",
        help="policy files, or - for standard input (default: ./policies.yaml, else the shipped one)",
    )
    validate.add_argument(
        "--compile",
        action="store_true",
        help="write what was read beside each file without errors (policies.compiled.json): the "
        "function and `plan` then start faster, and read the file itself once it is another",
    )
    add_catalog(validate)

    commands.command(
        "schema",
        _lazy("offline", "schema"),
        "print the JSON Schema of policy files, for editors",
        as_json=True,
    )

    catalog = commands.family("catalog", "look up machine types: size, price, next larger types")
    show = add_member(
        catalog, "show", _lazy("offline", "catalog"), "show one machine type or accelerator"
    )
    show.add_argument("type", metavar="TYPE", help="such as n1-standard-8 or NVIDIA_TESLA_T4")
    show.add_argument(
        "--region",
        default="us-central1",
        help="the region whose prices and offers are shown (default: us-central1)",
    )
    add_json(show)
    add_catalog(show)

    back = commands.command(
        "backtest",
        _lazy("backtest", "backtest"),
        "show what the policies would have done about past and running jobs; changes nothing",
        as_json=True,
    )
    back.add_argument(
        "--days", metavar="N", type=float, default=30.0, help="days to look back (default: 30)"
    )
    back.add_argument(
        "--cases", metavar="DIR", help="use the case files in DIR instead of a project's jobs"
    )
    back.add_argument(
        "--against",
        metavar="OTHER",
        help="a second policy file; the answer says where the two differ",
    )
    back.add_argument(
        "--most",
        metavar="N",
        type=int,
        default=500,
        help="look at no more than N failures and N watched jobs, the newest (default: 500)",
    )
    add_policies(back)
    add_project(back)


def _add_deployment_commands(commands: Commands) -> None:
    health = commands.command(
        "doctor",
        _lazy("doctor", "doctor"),
        "check a deployment, and say how to fix what is wrong",
        as_json=True,
    )
    health.add_argument(
        "--name",
        default="vertex-remediator",
        help="the prefix of the deployment's names (default: vertex-remediator)",
    )
    health.add_argument(
        "--region",
        default="",
        help="the functions' region (default: the first of REMEDIATOR_LOCATIONS)",
    )
    health.add_argument(
        "--account",
        metavar="EMAIL",
        default="",
        help="the functions' service account (default: NAME-worker)",
    )
    health.add_argument(
        "--event-seconds",
        metavar="N",
        type=float,
        default=90.0,
        help="seconds to wait for the test event (default: 90)",
    )
    health.add_argument("--no-event", action="store_true", help="send no test event")
    add_project(health, region=False)

    add_project(
        commands.command(
            "status",
            _lazy("ledger", "status"),
            "summarize the ledger: incidents, attempts, messages, the stop switch, today's money",
            as_json=True,
        )
    )

    add_project(
        commands.command(
            "approvals",
            _lazy("ledger", "approvals"),
            "list the plans that wait for approval",
            as_json=True,
        )
    )

    for name, summary in (
        ("approve", "approve a pending plan"),
        ("decline", "decline a pending plan"),
    ):
        answer = commands.command(name, _lazy("ledger", "answer"), summary)
        answer.add_argument(
            "id",
            metavar="ID",
            nargs="?",
            default="",
            help="the approval's id or a prefix of it, or the job's name",
        )
        answer.add_argument(
            "--like",
            metavar="ID",
            default="",
            help="answer this approval and every other that asks the same",
        )
        add_project(answer)

    for name, summary in (
        ("stop", "turn the stop switch on: nothing is resubmitted until `start`"),
        ("start", "turn the stop switch off"),
    ):
        switch = commands.command(name, _lazy("project", "switch"), summary)
        switch.add_argument(
            "--local",
            action="store_true",
            help="use the ledger in this folder where REMEDIATOR_LEDGER is not set",
        )
        add_project(switch)

    follow = commands.command(
        "follow",
        _lazy("project", "follow"),
        "show where a job's chain of resubmissions stands",
        as_json=True,
    )
    follow.add_argument("job", metavar="JOB", help="a job's name, id or console URL")
    follow.add_argument("--wait", action="store_true", help="wait until the chain has ended")
    add_project(follow)

    page = commands.command(
        "report",
        _lazy("report", "report"),
        "write incidents, causes, outcomes and money as an HTML page, JSON or CSV",
    )
    page.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        default="",
        help="the file to write, as JSON or CSV where its name ends so, or - for standard output "
        "(default: report.html; with --json or --csv, standard output)",
    )
    page.add_argument(
        "--days",
        metavar="N",
        type=float,
        default=None,
        help="only failures of the last N days, and what is still open",
    )
    form = page.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="write JSON")
    form.add_argument("--csv", action="store_true", help="write CSV, one line for each incident")
    page.add_argument(
        "--title", default="", help="the page's heading (default: one that names the project)"
    )
    add_project(page)


def _add_repair_commands(commands: Commands) -> None:
    probe = commands.command(
        "probe", _lazy("project", "probe"), "measure the latency of data sources", as_json=True
    )
    probe.add_argument("urls", metavar="URL", nargs="+", help="an http or https URL")
    probe.add_argument(
        "--threshold",
        type=float,
        default=0.5,
        help="seconds above which a source counts as slow (default: 0.5)",
    )
    probe.add_argument("--tries", type=int, default=5, help="requests to each source (default: 5)")
    probe.add_argument(
        "--timeout", type=float, default=5.0, help="seconds for each request (default: 5)"
    )

    letters = commands.family("dead-letters", "list or replay events that could not be handled")
    listing = add_member(
        letters, "list", _lazy("dead_letters", "show"), "list them; changes nothing"
    )
    listing.add_argument(
        "--limit", metavar="N", type=int, default=1000, help="list no more than N (default: 1000)"
    )
    replay = add_member(
        letters,
        "replay",
        _lazy("dead_letters", "replay"),
        "publish them again, to be handled from the beginning",
    )
    replay.add_argument(
        "--topic",
        metavar="NAME",
        default="vertex-remediator-failures",
        help="where they are published again (default: vertex-remediator-failures)",
    )
    for sub in (listing, replay):
        add_json(sub)
        sub.add_argument(
            "--subscription",
            metavar="NAME",
            default="vertex-remediator-dead-letters",
            help="where they wait (default: vertex-remediator-dead-letters)",
        )
        add_project(sub)

    sink = commands.command(
        "sink-filter",
        _lazy("offline", "sink_filter"),
        "print the log sink's filter: the entries that the intake understands",
    )
    sink.add_argument(
        "--own-account",
        metavar="EMAIL",
        default="",
        help="the function's service account, whose own entries are left out",
    )


def _add_local_commands(commands: Commands) -> None:
    demo = commands.command(
        "demo", _lazy("offline", "demo"), "play the whole loop on this machine, no account needed"
    )
    demo.add_argument(
        "--seed", type=int, default=None, help="the seed of the stories' order and names"
    )
    demo.add_argument(
        "--only", metavar="N", type=int, default=None, help="play the first N stories"
    )
    demo.add_argument(
        "--keep",
        action="store_true",
        help="leave the simulated cloud running, and print the variables that lead to it",
    )

    completion = commands.command(
        "completion", complete, 'print shell completion: eval "$(… completion bash)"'
    )
    completion.add_argument(
        "shell", choices=("bash", "zsh", "tcsh"), help="the shell that it is for"
    )


def complete(args: argparse.Namespace) -> int:
    from remediator.domain import InvalidInput

    try:
        import shtab
    except ImportError as err:
        msg = "shell completion needs the package shtab (the installed command brings it along)"
        raise InvalidInput(msg) from err
    parser = build()
    parser.prog = "vertex-remediator"
    print(shtab.complete(parser, args.shell))
    return DONE


_GROUPS: dict[str, Callable[[Commands], None]] = {
    "A failure in hand (no account needed)": _add_failure_commands,
    "The policy file": _add_policy_commands,
    "A deployment": _add_deployment_commands,
    "Measure and repair": _add_repair_commands,
    "This machine": _add_local_commands,
}
