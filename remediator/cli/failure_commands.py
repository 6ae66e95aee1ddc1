"""The commands about a failure in hand, for which no account is needed, and their options.

Owns their names and help texts, a function a command; runs nothing. Called by `commands`.
"""

from __future__ import annotations

from remediator.cli.alert_bodies import BODIES, flag
from remediator.cli.options import add_inputs, add_json, add_policies, add_project
from remediator.cli.parser import Add, Commands, add_member, lazy


def _add_diagnose(commands: Commands) -> None:
    diagnose = commands.command(
        "diagnose",
        lazy("offline", "diagnose"),
        "find the causes of one failure, with evidence",
        as_json=True,
    )
    add_inputs(diagnose)


def _add_plan(commands: Commands) -> None:
    plan = commands.command(
        "plan",
        lazy("offline", "plan"),
        "show what the policies would do, and why; changes nothing",
        as_json=True,
    )
    add_inputs(plan)
    plan.add_argument(
        "--explain", action="store_true", help="say why each policy did or did not match"
    )
    add_policies(plan)


def _add_alert(commands: Commands) -> None:
    alerts = commands.family("alert", "show alerts as they would be sent")
    preview = add_member(
        alerts,
        "preview",
        lazy("project", "alert_preview"),
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


def _add_test(commands: Commands) -> None:
    test = commands.command(
        "test",
        lazy("offline", "test"),
        "run policy tests: every case file that has an `expect` object",
        as_json=True,
    )
    test.add_argument(
        "inputs", metavar="DIR|CASE", nargs="+", help="case files, or folders of them"
    )
    add_policies(test)


def _add_rows(commands: Commands) -> None:
    rows = commands.command(
        "rows",
        lazy("rows", "rows"),
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


def _add_capture(commands: Commands) -> None:
    capture = commands.command(
        "capture",
        lazy("project", "capture"),
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


FAILURE_COMMANDS: tuple[Add, ...] = (
    _add_diagnose,
    _add_plan,
    _add_alert,
    _add_test,
    _add_rows,
    _add_capture,
)
