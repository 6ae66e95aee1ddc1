"""The commands about a deployment, and to measure and repair, with their options.

Owns their names and help texts, a function a command; runs nothing. Called by `commands`.
"""

from __future__ import annotations

from remediator.cli.options import add_json, add_project
from remediator.cli.parser import Add, Commands, add_member, lazy


def _add_doctor(commands: Commands) -> None:
    health = commands.command(
        "doctor",
        lazy("doctor", "doctor"),
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


def _add_status(commands: Commands) -> None:
    add_project(
        commands.command(
            "status",
            lazy("ledger", "status"),
            "summarize the ledger: incidents, attempts, messages, the stop switch, today's money",
            as_json=True,
        )
    )


def _add_approvals(commands: Commands) -> None:
    add_project(
        commands.command(
            "approvals",
            lazy("ledger", "approvals"),
            "list the plans that wait for approval",
            as_json=True,
        )
    )


def _add_answers(commands: Commands) -> None:
    for name, summary in (
        ("approve", "approve a pending plan"),
        ("decline", "decline a pending plan"),
    ):
        answer = commands.command(name, lazy("ledger", "answer"), summary)
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


def _add_switch(commands: Commands) -> None:
    for name, summary in (
        ("stop", "turn the stop switch on: nothing is resubmitted until `start`"),
        ("start", "turn the stop switch off"),
    ):
        switch = commands.command(name, lazy("project", "switch"), summary)
        switch.add_argument(
            "--local",
            action="store_true",
            help="use the ledger in this folder where REMEDIATOR_LEDGER is not set",
        )
        add_project(switch)


def _add_follow(commands: Commands) -> None:
    follow = commands.command(
        "follow",
        lazy("project", "follow"),
        "show where a job's chain of resubmissions stands",
        as_json=True,
    )
    follow.add_argument("job", metavar="JOB", help="a job's name, id or console URL")
    follow.add_argument("--wait", action="store_true", help="wait until the chain has ended")
    add_project(follow)


def _add_report(commands: Commands) -> None:
    page = commands.command(
        "report",
        lazy("report", "report"),
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


def _add_probe(commands: Commands) -> None:
    probe = commands.command(
        "probe", lazy("project", "probe"), "measure the latency of data sources", as_json=True
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


def _add_dead_letters(commands: Commands) -> None:
    letters = commands.family("dead-letters", "list or replay events that could not be handled")
    listing = add_member(
        letters, "list", lazy("dead_letters", "show"), "list them; changes nothing"
    )
    listing.add_argument(
        "--limit", metavar="N", type=int, default=1000, help="list no more than N (default: 1000)"
    )
    replay = add_member(
        letters,
        "replay",
        lazy("dead_letters", "replay"),
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


def _add_sink_filter(commands: Commands) -> None:
    sink = commands.command(
        "sink-filter",
        lazy("offline", "sink_filter"),
        "print the log sink's filter: the entries that the intake understands",
    )
    sink.add_argument(
        "--own-account",
        metavar="EMAIL",
        default="",
        help="the function's service account, whose own entries are left out",
    )


DEPLOYMENT_COMMANDS: tuple[Add, ...] = (
    _add_doctor,
    _add_status,
    _add_approvals,
    _add_answers,
    _add_switch,
    _add_follow,
    _add_report,
)
REPAIR_COMMANDS: tuple[Add, ...] = (
    _add_probe,
    _add_dead_letters,
    _add_sink_filter,
)
