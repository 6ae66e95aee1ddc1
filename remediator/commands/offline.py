"""Commands that need nothing but files: no settings, no Google client.

Called by `cli`.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from remediator.commands.inputs import (
    DONE,
    FAILED,
    case_of,
    catalogue_of,
    plannable_case_of,
    policies_of,
    print_json,
    read_bytes,
    read_json,
)
from remediator.domain import Diagnosis, History, Plan, Unusable
from remediator.redact import redact_json

if TYPE_CHECKING:
    from remediator.case import Case
    from remediator.policy import Catalogue, Policies


def validate(args: argparse.Namespace) -> int:
    from remediator import policy

    path = Path(args.file)
    loaded = policy.load(read_bytes(path), str(path), catalogue=catalogue_of(args))
    if args.json:
        print_json(
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


def schema(args: argparse.Namespace) -> int:
    from remediator.policy.reference import schema

    del args
    print_json(schema())
    return DONE


def diagnose(args: argparse.Namespace) -> int:
    from remediator.diagnosis import diagnose

    found = diagnose(case_of(args.case))
    if args.json:
        print_json(redact_json(found.to_json()))
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


def plan(args: argparse.Namespace) -> int:
    from remediator.planning import diagnosed

    case, policies, book = plannable_case_of(args.case), policies_of(args), catalogue_of(args)
    plan = _planned(case, diagnosed(case, policies), policies, book)
    if args.json:
        explained = {"explanation": list(plan.explanation)} if args.explain else {}
        print_json(redact_json({**plan.to_json(), **explained}))
        return DONE
    print(f"{plan.job}\nverdict: {plan.verdict}\npolicy:  {plan.policy or '(none matches)'}")
    print(f"action:  {plan.action} (mode {plan.mode})")
    for change in plan.changes:
        print(f"  {change.field}: {_value(change.before)} -> {_value(change.after)}")
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


def _value(value: object) -> str:
    """A field's value as people read it; a field that the job does not have is `unset`."""
    return "unset" if value is None else value if isinstance(value, str) else json.dumps(value)


def _planned(case: Case, found: Diagnosis, policies: Policies, book: Catalogue) -> Plan:
    from remediator import policy
    from remediator.policy import costs

    history = History(
        attempts=case.attempts, parent=case.parent, usd_this_job=costs.chain_usd(case, book)
    )
    return policy.plan(case, found, policies, history, book)


def test(args: argparse.Namespace) -> int:
    folder = Path(args.dir)
    if not folder.is_dir():
        msg = f"no such folder: {folder}"
        raise Unusable(msg)
    policies, book = policies_of(args), catalogue_of(args)
    told: list[dict[str, Any]] = []
    for path in sorted(folder.rglob("*.json")):
        body = read_json(path)
        if not isinstance(body, dict) or "expect" not in body:
            continue
        wrong = list(_judged(path, body["expect"], policies, book))
        told.append({"case": str(path), "passed": not wrong, "differences": wrong})
        if not args.json:
            print("\n        ".join([f"{'FAILED' if wrong else 'passed'}  {path}", *wrong]))
    if not told:
        msg = f"no case in {folder} has an `expect` object"
        raise Unusable(msg)
    failed = sum(not one["passed"] for one in told)
    if args.json:
        print_json({"passed": len(told) - failed, "failed": failed, "cases": told})
    else:
        print(f"{len(told) - failed} passed, {failed} failed")
    return FAILED if failed else DONE


def _judged(path: Path, expected: Any, policies: Policies, book: Catalogue) -> Iterator[str]:
    """Where the answers about a case differ from what it expects."""
    from remediator.planning import diagnosed

    if not isinstance(expected, dict):
        msg = f"{path}: `expect` must be an object, any part of what `diagnose` and `plan` answer"
        raise Unusable(msg)
    case = plannable_case_of(str(path))
    found = diagnosed(case, policies)
    answers = {**_planned(case, found, policies, book).to_json(), **found.to_json()}
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
    found = catalogue_of(args).describe(args.type)
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


_MOST_TOLD = 60  # of a list in one line; pods of TPUs come in hundreds of sizes


def _word(key: str, value: Any) -> str:
    if isinstance(value, list):
        told = [_word(key, one) for one in value]
        return ", ".join([*told[:3], "…", told[-1]] if len(told) > _MOST_TOLD else told) or "none"
    if isinstance(value, dict):
        return " ".join(f"{inner} {told}" for inner, told in value.items())
    if value is None:  # a price or a size that is not known is never nothing
        return "none" if key in {"accelerator", "attaches_to", "never_proposed"} else "unknown"
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)


def sink_filter(args: argparse.Namespace) -> int:
    from remediator.intake import sink_filter

    print(sink_filter(args.own_account))
    return DONE


def demo(args: argparse.Namespace) -> int:
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
