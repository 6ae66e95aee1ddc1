"""The commands about the policy file, and their options.

Owns their names and help texts, a function a command; runs nothing. Called by `commands`.
"""

from __future__ import annotations

from remediator.cli.options import add_catalog, add_json, add_policies, add_project
from remediator.cli.parser import Add, Commands, add_member, lazy


def _add_init(commands: Commands) -> None:
    init = commands.command(
        "init",
        lazy("offline", "init"),
        "write a commented policy file and an example case, to begin with",
    )
    init.add_argument(
        "dir",
        metavar="DIR",
        nargs="?",
        default=".",
        help="the folder to write to (default: this one)",
    )


def _add_validate(commands: Commands) -> None:
    validate = commands.command(
        "validate",
        lazy("offline", "validate"),
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


def _add_schema(commands: Commands) -> None:
    commands.command(
        "schema",
        lazy("offline", "schema"),
        "print the JSON Schema of policy files, for editors",
        as_json=True,
    )


def _add_catalog(commands: Commands) -> None:
    catalog = commands.family("catalog", "look up machine types: size, price, next larger types")
    show = add_member(
        catalog, "show", lazy("offline", "catalog"), "show one machine type or accelerator"
    )
    show.add_argument("type", metavar="TYPE", help="such as n1-standard-8 or NVIDIA_TESLA_T4")
    show.add_argument(
        "--region",
        default="us-central1",
        help="the region whose prices and offers are shown (default: us-central1)",
    )
    add_json(show)
    add_catalog(show)


def _add_backtest(commands: Commands) -> None:
    back = commands.command(
        "backtest",
        lazy("backtest", "backtest"),
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


POLICY_COMMANDS: tuple[Add, ...] = (
    _add_init,
    _add_validate,
    _add_schema,
    _add_catalog,
    _add_backtest,
)
