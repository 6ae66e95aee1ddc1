"""The command line: its groups of commands in the order of `--help`, and what its words say.

Each group stands in a module of its own (`failure_commands`, `policy_commands`, `deployment_commands`); what
runs on this machine alone stands here. A command's module is imported when the command runs, so that `--help`
stays quick. Called by `main`.
"""

from __future__ import annotations

import argparse
import functools
from collections.abc import Sequence

from remediator import __version__
from remediator.cli.deployment_commands import DEPLOYMENT_COMMANDS, REPAIR_COMMANDS
from remediator.cli.failure_commands import FAILURE_COMMANDS
from remediator.cli.input_output import DONE, program
from remediator.cli.parser import Add, Commands, Parser, PartialParser, Unparsed, lazy
from remediator.cli.policy_commands import POLICY_COMMANDS

_EXAMPLES = """\
examples:
  {prog} diagnose train.log                      a plain log, and nothing else
  {prog} diagnose job.json entries.json          what `gcloud … --format=json` printed
  {prog} plan job.json --policies policies.yaml --explain
  {prog} diagnose 1234567890 --project P --region us-central1

exit codes: 0 done; 1 a check failed; 2 unusable input, one line on standard error"""


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
    for heading, added in _GROUPS.items():
        commands.begin(heading)
        for add in added:
            add(commands)
        if upto in commands.names:
            break
    parser.epilog = f"{commands.listed()}\n\n{_EXAMPLES.format(prog=prog)}"
    return parser


def _add_demo(commands: Commands) -> None:
    demo = commands.command(
        "demo", lazy("offline", "demo"), "play the whole loop on this machine, no account needed"
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


def _add_completion(commands: Commands) -> None:
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


_GROUPS: dict[str, tuple[Add, ...]] = {
    "A failure in hand (no account needed)": FAILURE_COMMANDS,
    "The policy file": POLICY_COMMANDS,
    "A deployment": DEPLOYMENT_COMMANDS,
    "Measure and repair": REPAIR_COMMANDS,
    "This machine": (_add_demo, _add_completion),
}
