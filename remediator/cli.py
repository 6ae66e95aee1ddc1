"""The command line: parse and call.

Exit codes: 0 done; 1 a check failed; 2 unusable input (one line on standard error, no traceback).
Offline commands need no settings and import no Google client.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence

from remediator.commands import backtest, dead_letters, doctor, offline, project, report
from remediator.commands.inputs import DONE, HERE, UNUSABLE
from remediator.domain import RemediatorError


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

    def inputs(sub: argparse.ArgumentParser) -> None:
        sub.add_argument(
            "inputs",
            metavar="INPUT",
            nargs="+",
            help="a case file; a job as JSON or YAML; log entries as JSON or JSONL; a plain log; - for "
            "standard input; or a job's name, id or console URL. Several are merged into one case",
        )
        sub.add_argument("-o", "--output", metavar="CASE", help="keep the case in this file")
        sub.add_argument("--project", default="", help="of a job that is named by its id")
        sub.add_argument("--region", default="", help="of a job that is named by its id")

    sink = command(
        "sink-filter", offline.sink_filter, "the log sink's filter, as the intake reads entries"
    )
    sink.add_argument("--own-account", metavar="EMAIL", default="", help="the function's account")

    demo = command("demo", offline.demo, "the whole loop on this machine, no account needed")
    demo.add_argument("--seed", type=int, default=None, help="order and names of the stories")
    demo.add_argument(
        "--only", metavar="N", type=int, default=None, help="play the first N stories"
    )

    validate = command(
        "validate", offline.validate, "check a policy file; every mistake at once", as_json=True
    )
    validate.add_argument("file", nargs="?", default=str(HERE / "policies.yaml"))
    validate.add_argument(
        "--catalog", metavar="FILE", help="your own prices and machine types, JSON"
    )

    command("schema", offline.schema, "the JSON Schema of policy files, for editors", as_json=True)

    diagnose = command(
        "diagnose", offline.diagnose, "the causes of one failure, with evidence", as_json=True
    )
    inputs(diagnose)

    plan = command(
        "plan", offline.plan, "what the policies would do, and why; changes nothing", as_json=True
    )
    inputs(plan)
    plan.add_argument("--explain", action="store_true", help="why each policy did or did not match")
    policies(plan)

    test = command(
        "test",
        offline.test,
        "policy tests: every case that has an `expect` object",
        as_json=True,
    )
    test.add_argument(
        "inputs", metavar="DIR|CASE", nargs="+", help="folders of case files, and case files"
    )
    policies(test)

    capture = command(
        "capture", project.capture, "write a case file from a real job (read-only, redacted)"
    )
    capture.add_argument("job", metavar="JOB", help="projects/P/locations/L/COLLECTION/ID")
    capture.add_argument("-o", "--output", metavar="CASE", required=True, help="a file, or -")

    follow = command(
        "follow", project.follow, "where a job's chain of resubmissions stands", as_json=True
    )
    follow.add_argument("job", metavar="JOB", help="projects/P/locations/L/COLLECTION/ID")
    follow.add_argument("--wait", action="store_true", help="until the chain has ended")

    command("stop", project.switch, "stop switch: nothing is resubmitted until `start`")
    command("start", project.switch, "take the stop switch back")

    for name, summary in (("approve", "say yes to a pending plan"), ("decline", "say no to it")):
        command(name, project.answer, summary).add_argument("id", metavar="ID")

    probe = command("probe", project.probe, "latency of data sources", as_json=True)
    probe.add_argument("urls", metavar="URL", nargs="+")
    probe.add_argument("--threshold", type=float, default=0.5, help="seconds (default 0.5)")
    probe.add_argument("--tries", type=int, default=5)
    probe.add_argument("--timeout", type=float, default=5.0, help="seconds for each try")

    catalog = commands.add_parser("catalog", help="machine types: what they are, cost, lead to")
    catalog_commands = catalog.add_subparsers(dest="subcommand", required=True, metavar="COMMAND")
    show = catalog_commands.add_parser("show", help="one machine type or accelerator")
    show.add_argument("type", metavar="TYPE")
    show.add_argument("--json", action="store_true", help="print JSON")
    show.add_argument("--catalog", metavar="FILE", help="your own prices and machine types, JSON")
    show.set_defaults(run=offline.catalog)

    alert = commands.add_parser("alert", help="alerts as they would be sent")
    alert_commands = alert.add_subparsers(dest="subcommand", required=True, metavar="COMMAND")
    preview = alert_commands.add_parser("preview", help="the alert of a case")
    inputs(preview)
    preview.add_argument("--channel", metavar="NAME", required=True)
    preview.add_argument("--send", action="store_true", help="send it, marked as a preview")
    preview.add_argument("--json", action="store_true", help="print JSON")
    policies(preview)
    preview.set_defaults(run=project.alert_preview)

    letters = commands.add_parser("dead-letters", help="events that could not be handled")
    letter_commands = letters.add_subparsers(dest="subcommand", required=True, metavar="COMMAND")
    listing = letter_commands.add_parser("list", help="what waits; changes nothing")
    listing.add_argument("--limit", metavar="N", type=int, default=1000)
    listing.add_argument("--json", action="store_true", help="print JSON")
    listing.set_defaults(run=dead_letters.show)
    replay = letter_commands.add_parser("replay", help="handle them again, from the beginning")
    replay.add_argument("--topic", metavar="NAME", default=dead_letters.TOPIC)
    replay.add_argument("--json", action="store_true", help="print JSON")
    replay.set_defaults(run=dead_letters.replay)
    for sub in (listing, replay):
        sub.add_argument("--subscription", metavar="NAME", default=dead_letters.SUBSCRIPTION)

    back = command(
        "backtest",
        backtest.backtest,
        "what the policies would have done about past failures; changes nothing",
        as_json=True,
    )
    back.add_argument(
        "--days", metavar="N", type=float, default=30.0, help="how far back (default 30)"
    )
    back.add_argument("--cases", metavar="DIR", help="judge the case files in DIR instead")
    back.add_argument("--against", metavar="OTHER", help="a second policy file: where they differ")
    back.add_argument(
        "--most", metavar="N", type=int, default=500, help="of the newest failures (default 500)"
    )
    policies(back)

    health = command(
        "doctor",
        doctor.doctor,
        "check a deployment, and say how to mend what is missing",
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

    page = command("report", report.report, "incidents, causes, outcomes and money as an HTML page")
    page.add_argument("-o", "--output", metavar="FILE", required=True, help="a file, or -")
    page.add_argument("--title", default="", help="the page's heading (default: the project)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
