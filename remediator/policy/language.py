"""The policy language: text in, frozen policies or every mistake out.

Owns `load`, and gathers the language's public names. Must not read files, secrets or the
environment: callers hand in text. Called by the door (at import of `main`), the command line
(`validate`, `plan`, `test`, `schema`) and the tests; the planner and the guards use the models.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, get_args

from pydantic import ValidationError

from remediator.policy.channels import ChannelConfig, Email, Slack
from remediator.policy.checks import check_policies
from remediator.policy.draft import Machines, PolicyDraft
from remediator.policy.expressions import Condition, ExpressionValues, condition, expression_values
from remediator.policy.forms import Part, adapter, keys_of
from remediator.policy.loaded import Loaded, Mistake, Unloadable
from remediator.policy.model import (
    OWNER,
    Approvers,
    Breaker,
    LimitLines,
    Limits,
    OwnerRule,
    Owners,
    Per,
    Policies,
    Policy,
    Probes,
    Tighter,
    bound,
)
from remediator.policy.policy_part import PolicyPart
from remediator.policy.reference import reference, schema
from remediator.policy.selection import WatchWhen, When, matches_any, matches_labels
from remediator.policy.steps import Accelerator, Resubmit, Step
from remediator.policy.suggestions import did_you_mean, meant_words, shown
from remediator.policy.value_readers import MACHINE_MOVES
from remediator.policy.watch_checks import watch_mistakes
from remediator.policy.watch_entries import WatchEntry
from remediator.policy.yaml_tree import Path, YamlNode, read

__all__ = [
    "OWNER",
    "Accelerator",
    "Approvers",
    "Breaker",
    "ChannelConfig",
    "Condition",
    "Email",
    "ExpressionValues",
    "Limits",
    "Loaded",
    "Machines",
    "Mistake",
    "OwnerRule",
    "Owners",
    "Per",
    "Policies",
    "Policy",
    "Probes",
    "Resubmit",
    "Slack",
    "Step",
    "Tighter",
    "Unloadable",
    "WatchEntry",
    "When",
    "bound",
    "condition",
    "expression_values",
    "load",
    "matches_any",
    "matches_labels",
    "reference",
    "schema",
]


def load(
    text: str | bytes,
    filename: str = "policies.yaml",
    *,
    catalog: Machines | None = None,
    served: Sequence[str] = (),
) -> Loaded:
    """The policies in a file's text, or every mistake in it with its place; never raises.

    Names of machines and accelerators are held against the catalogue where one is given, and so are
    the prices of the regions that are served.
    """
    root, syntax = read(text)
    if root is None:
        return Loaded(None, tuple(sorted(syntax)), filename)
    mistakes = set(syntax)
    whole: Policies | None = None
    for _ in range(_ROUNDS):
        empty = {path: node for path, node in root.nulls() if path[-1:] != ("resubmit",)}
        data = _without(root.plain, set(empty))
        errors: Sequence[Any] = ()
        try:
            whole = adapter(Policies).validate_python(data)
        except ValidationError as invalid:
            errors = invalid.errors(include_url=False, include_input=True)
        root, misspelt = _as_meant(root, errors)
        mistakes.update(misspelt)
        if not misspelt:
            break
    mistakes.update(
        node.error(f"{_label(path)}is empty: give it a value, or leave it out")
        for path, node in empty.items()
    )
    if whole is None:
        astray = _astray(root, errors)
        mistakes.update(
            _mistake_of(root, error)
            for error in errors
            if not any(_path(root, error["loc"], whole=True)[: len(path)] == path for path in empty)
            and not (error["type"] == "missing" and _path(root, error["loc"], whole=True) in astray)
        )
        draft = _draft(root, data, set(empty))
    else:
        draft = PolicyDraft(
            root,
            whole,
            tuple(enumerate(whole.policies)),
            limits_read=frozenset(data.get("limits", ())),
            watch=tuple(enumerate(whole.watch)),
        )
        if empty:  # an empty item left a list shorter than it stands in the file
            draft = _draft(root, data, set(empty))
    if draft is not None:
        mistakes.update(check_policies(draft, catalog, tuple(served)))
        mistakes.update(watch_mistakes(draft))
    ordered = tuple(sorted(mistakes))
    failed = any(mistake.severity == "error" for mistake in ordered)
    if failed or whole is None:
        return Loaded(None, ordered, filename)
    return Loaded(whole.changed(lines=_limit_lines(root, filename)), ordered, filename)


def _limit_lines(root: YamlNode, filename: str) -> LimitLines:
    """Where the general limits stand, and each policy's own."""
    listed = root.follow(("policies",))[1].items or ()
    owners = {"": root, **{f"policies.{index}.": node for index, node in enumerate(listed)}}
    found = {
        f"{prefix}limits.{key}": value.line
        for prefix, owner in owners.items()
        if "limits" in (owner.entries or {})
        for key, (_, value) in (owner.follow(("limits",))[1].entries or {}).items()
    }
    return LimitLines(filename.rpartition("/")[2], found)


# --- keys that are not known ----------------------------------------------------------------------


def _as_meant(root: YamlNode, errors: Sequence[Any]) -> tuple[YamlNode, set[Mistake]]:
    """The file with its misspelt keys as they were meant, and a mistake for each.

    What stands below such a key can then be checked as well, and nothing is missing for its sake.
    """
    mistakes: set[Mistake] = set()
    for error in errors:
        if error["type"] != _UNKNOWN_KEY:
            continue
        path = _path(root, error["loc"])
        meant = _meant_key(error["loc"])
        beside = root.follow(path[:-1])[1].entries or {}
        if path[-1:] == (error["loc"][-1],) and meant and meant not in beside:
            mistakes.add(_mistake_of(root, error))
            root = root.renamed(path, meant)
    return root, mistakes


_UNKNOWN_KEY = "extra_forbidden"  # pydantic's name for it


def _meant_key(location: Sequence[str | int]) -> str:
    """The one key that an unknown one is probably meant for; empty: there is none, or several."""
    here = _models_at(location[:-1])
    meant = meant_words(str(location[-1]), sorted({key for one in here for key in keys_of(one)}))
    return meant[0] if len(meant) == 1 else ""


def _astray(root: YamlNode, errors: Sequence[Any]) -> set[Path]:
    """Paths of keys that are missing where what belongs in them stands beside their place."""
    homes = list(_homes())
    return {
        (*_path(root, error["loc"])[:-1], home.strip("`"))
        for error in errors
        if error["type"] == _UNKNOWN_KEY
        for home, keys in homes
        if error["loc"][-1] in keys
    }


# --- from pydantic's errors to sentences with a place --------------------------------------------


def _label(path: Sequence[str | int]) -> str:
    words = [part for part in path if isinstance(part, str) and part != "[key]"]
    return f"{words[-1]}: " if words else ""


def _path(root: YamlNode, location: Sequence[str | int], *, whole: bool = False) -> Path:
    """The part of an error's location that is in the file: union tags are not.

    With `whole`, a last part that is missing from the file is kept.
    """
    found: list[str | int] = []
    node = root
    for place, part in enumerate(location):
        if node.entries is not None and part in node.entries:
            node = node.entries[str(part)][1]
        elif node.items is not None and isinstance(part, int) and part < len(node.items):
            node = node.items[part]
        elif not (whole and place == len(location) - 1):
            continue
        found.append(part)
    return tuple(found)


def _mistake_of(root: YamlNode, error: Any) -> Mistake:
    location: tuple[str | int, ...] = error["loc"]
    kind: str = error["type"]
    path = _path(root, location)
    key, value = root.follow(path)
    if kind == "missing":
        name = location[-1]
        owner = _label(path[-2:] if isinstance(path[-1:], int) else path)
        return key.error(f"{owner}`{name}` is missing")
    if kind == _UNKNOWN_KEY:
        return key.error(_unknown_key(str(location[-1]), location[:-1]))
    if location[-1:] == ("[key]",):
        return key.error(error["msg"])
    expected = {
        "model_type": "a mapping (`key: value`)",
        "model_attributes_type": "a mapping (`key: value`)",
        "dict_type": "a mapping (`key: value`)",
        "tuple_type": "a list",
    }.get(kind)
    said = f"expected {expected}, got {shown(error['input'])}" if expected else error["msg"]
    said += _written_as(path, error["input"]) if expected else ""
    return value.error(f"{_label(path)}{said}")


def _written_as(path: Path, value: object) -> str:
    """How steps are written, for a value that stands where a list of them, one, or its change belongs."""
    word = value.lower() if isinstance(value, str) else ""
    if path[-1:] == ("do",):
        if word and not meant_words(word, ["resubmit"]):
            return ": steps are a list; `[]` takes none, and `alert` names who is told"
        return ": steps are a list, such as [{resubmit: {machine_type: bigger}}]"
    if path[-2:-1] == ("do",) and word:
        return ": a step is written `resubmit: {}`, with the changes between the braces"
    if path[-1:] == ("resubmit",) and word in MACHINE_MOVES:
        return f"; did you mean `{{machine_type: {word}}}`?"
    if path in {("policies",), ("watch",)} and isinstance(value, Mapping):
        return ": begin each of its items with `- `"
    return ""


def _unknown_key(name: str, location: Sequence[str | int]) -> str:
    here = _models_at(location)
    if WatchWhen in here and name in {"cause", "verdict"}:
        return (
            f"unknown key {shown(name)}: a job that still runs has no cause yet; `running` names what "
            "is thought of it"
        )
    known = sorted({key for model in here for key in keys_of(model)})
    meant = did_you_mean(name, known)
    if meant:
        return f"unknown key {shown(name)}{meant}"
    homes = sorted({home for home, keys in _homes() if name in keys})
    homes = [home for home in homes if home.strip("`") in known] or homes
    if homes:
        return f"unknown key {shown(name)} here: it belongs in {' or '.join(homes[:3])}"
    listed = f" (known here: {', '.join(known)})" if known else ""
    return f"unknown key {shown(name)}{listed}"


def _parts(annotation: Any) -> Iterator[type[PolicyPart]]:
    """The models that a value of this type may hold directly."""
    if isinstance(annotation, type) and issubclass(annotation, PolicyPart):
        yield annotation
        return
    for inner in get_args(annotation):
        yield from _parts(inner)


def _models_at(location: Sequence[str | int]) -> list[type[PolicyPart]]:
    here: list[type[PolicyPart]] = [Policies]
    for part in location:
        inside = [
            model
            for one in here
            for model in _parts(keys_of(one).get(str(part)))
            if part != "[key]"
        ]
        here = inside or here  # an index, a name of the user's own, or a union's tag
    return here


def _homes() -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Where each key belongs: the name of the mapping, and its keys."""
    seen: set[type[PolicyPart]] = set()
    waiting: list[tuple[str, type[PolicyPart]]] = [("the top level", Policies)]
    while waiting:
        name, model = waiting.pop()
        if model in seen:
            continue
        seen.add(model)
        keys = keys_of(model)
        yield name, keys
        for key, annotation in keys.items():
            waiting.extend((f"`{key}`", part) for part in _parts(annotation))


# --- what can still be read of a file with mistakes -----------------------------------------------

_ROUNDS = 8  # each removes what the last one found wrong; the language is seven deep


def _without(data: Any, gone: set[Path], path: Path = ()) -> Any:
    """The data without the values at some paths; a step that goes leaves an empty one."""
    if isinstance(data, dict):
        pairs = data.items()
        return {k: _without(v, gone, (*path, k)) for k, v in pairs if (*path, k) not in gone}
    if isinstance(data, list):
        keeps_place = path[-1:] in {("do",), ("policies",), ("watch",)}
        kept = []
        for index, item in enumerate(data):
            if (*path, index) not in gone:
                kept.append(_without(item, gone, (*path, index)))
            elif keeps_place:
                kept.append({"resubmit": {}} if path[-1] == "do" else {})
        return kept
    return data


def _salvaged(
    part: type[Part], data: Any, instead: Mapping[str, Any], *, rounds: int = _ROUNDS
) -> tuple[Part, Any] | None:
    """The part from what is sound in the data, and that data, with stand-ins for what must not be missing."""
    for _ in range(rounds):
        try:
            return adapter(part).validate_python(data), data
        except ValidationError as invalid:
            gone: set[Path] = set()
            for error in invalid.errors(include_url=False):
                path = _in_data(data, error["loc"])
                if path:
                    gone.add(path)
                elif error["type"] == "missing" and error["loc"][-1] in instead:
                    data = {**data, str(error["loc"][-1]): instead[str(error["loc"][-1])]}
                else:
                    return None
            data = _without(data, gone)
    return None


def _in_data(data: Any, location: Sequence[str | int]) -> Path:
    found: list[str | int] = []
    for part in location:
        if isinstance(data, dict) and part in data:  # noqa: SIM114  # mypy sees two types
            data = data[part]
        elif isinstance(data, list) and isinstance(part, int) and part < len(data):
            data = data[part]
        else:
            continue
        found.append(part)
    return tuple(found)


def _draft(root: YamlNode, data: Any, empty: set[Path]) -> PolicyDraft | None:
    rest = {key: value for key, value in data.items() if key not in {"policies", "watch"}}
    salvaged = _salvaged(Policies, rest, {"version": 1, "policies": ()})
    if salvaged is None:
        return None
    general, sound = salvaged
    policies, unclear = _listed(Policy, When, data, "policies", empty)
    watch, unclear_watch = _listed(WatchEntry, WatchWhen, data, "watch", empty)
    return PolicyDraft(
        root,
        general,
        policies,
        unclear,
        limits_read=frozenset(sound.get("limits", ())),
        unread=frozenset(key for key, value in rest.items() if sound.get(key) != value),
        watch=watch,
        unclear_watch=unclear_watch,
    )


def _listed(
    part: type[Part], when: type[PolicyPart], data: Any, key: str, empty: set[Path]
) -> tuple[tuple[tuple[int, Part], ...], frozenset[int]]:
    """What is sound of each item, with its index; and the indices of those whose `when` is not."""
    listed = data.get(key)
    listed = listed if isinstance(listed, list) else ()
    found = [
        (index, item[0])
        for index, one in enumerate(listed)
        if (item := _salvaged(part, one, {"name": f"{key}-{index + 1}"})) is not None
    ]
    unclear = {int(path[1]) for path in empty if path[:1] == (key,) and "when" in path[2:3]}
    # What an unknown key was to select is not known either.
    known = keys_of(part)
    unclear |= {
        index
        for index, one in enumerate(listed)
        if isinstance(one, dict) and not one.keys() <= known.keys()
    }
    unclear |= {
        index
        for index, _ in found
        if "when" in listed[index] and _salvaged(when, listed[index]["when"], {}, rounds=1) is None
    }
    return tuple(found), frozenset(unclear)
