"""Options that several commands share. Used by `commands`."""

from __future__ import annotations

import argparse


def add_json(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--json", action="store_true", help="print JSON")


def add_catalog(sub: argparse.ArgumentParser) -> None:
    sub.add_argument(
        "--catalog", metavar="FILE", help="a JSON file with your own prices and machine types"
    )


def add_policies(sub: argparse.ArgumentParser) -> None:
    sub.add_argument(
        "--policies",
        metavar="FILE",
        help="the policy file (default: REMEDIATOR_POLICIES, else ./policies.yaml, else the "
        "shipped one)",
    )
    add_catalog(sub)


def add_project(sub: argparse.ArgumentParser, *, region: bool = True) -> None:
    sub.add_argument(
        "--project",
        metavar="ID",
        default="",
        help="the project (default: GOOGLE_CLOUD_PROJECT)",
    )
    if region:
        sub.add_argument(
            "--region",
            metavar="NAME",
            default="",
            help="the region (default: REMEDIATOR_LOCATIONS)",
        )


def add_inputs(sub: argparse.ArgumentParser) -> None:
    sub.add_argument(
        "inputs",
        metavar="INPUT",
        nargs="+",
        help="a case file; a job as JSON or YAML; log entries as JSON or JSONL; a plain log; "
        "rows of a batch prediction as JSONL; the error that an API answered, as JSON; - "
        "for standard input; or a job's name, id or console URL. Several inputs make one case",
    )
    sub.add_argument("-o", "--output", metavar="CASE", help="also write the case to this file")
    add_project(sub)
