"""What a file that somebody has in hand holds: a case, jobs, log entries, or a plain log.

Owns the recognition of each: JSON as Google's REST answers and `gcloud … --format=json` have it
(bare, in a list, in the answer of a list call), YAML as `gcloud` prints it by default, JSONL of log
entries or of a program's own structured lines, and plain text. Raises InvalidInput with one line for
what is none of these. Pure: a text comes in. Called by `assembly` and the command line.
"""

from __future__ import annotations

import difflib
import functools
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from msgspec import Struct

from remediator.case import CASE_KEYS, Gap
from remediator.domain import COLLECTIONS, InvalidInput, Json
from remediator.domain.late_pattern import late_pattern
from remediator.inputs.json_text import (
    first_value,
    has_plain_line,
    is_bracketed_log,
    is_log_of_objects,
    parse_json,
)
from remediator.inputs.sdk_json import rest_shaped
from remediator.inputs.text_log import LINE_ATTRIBUTES, LINE_FIELDS, LINE_MESSAGE_KEYS, read_lines
from remediator.job.validation import JOB_KEYS, is_compiled_pipeline


class Material(Struct, frozen=True):
    """What one input gave: `parts` of a case file beside jobs and log entries.

    `plain`: the entries are lines of a plain log. `ignored` are the keys of a case that are not
    read, each with what was probably meant. `gaps`: what could not be read of a captured job.
    `refused`: the lines are what a Google API answered, and of no job at all.
    """

    name: str
    jobs: tuple[Json, ...] = ()
    entries: tuple[Json, ...] = ()
    parts: Json | None = None
    plain: bool = False
    ignored: tuple[tuple[str, str], ...] = ()
    gaps: tuple[Gap, ...] = ()
    refused: bool = False


_ENTRY_KEYS = frozenset({"textPayload", "jsonPayload", "protoPayload", "insertId", "logName"})
_EVENT_KEYS = frozenset({"action_type", "event", "evt", "outcome", "phase", "stage", "ts"})
"""What a program's own lines hold, of whatever logger, and no row of a batch; of objects a line, not of one alone."""
_LINE_KEYS = frozenset({"message", "msg", "remediatorTelemetry"})
# The answers of list calls: jobs under their collection, entries of entries.list.
_JOB_LISTS = frozenset(COLLECTIONS)
_YAML_START = late_pattern(
    r"(?:---\s*\n)?(?:(?:#[^\n]*)?\n)*(?:- )?[A-Za-z][A-Za-z0-9]{1,60}:(?:[ \n]|$)"
)
_GCLOUD_CHATTER = late_pattern(r"(?:(?:Using endpoint|WARNING:|Listed \d+ items)[^\n]*\n)+")
_MOST_SHOWN = 60
_MOST_NULS = 0.01  # chosen: a program may print some; more are another encoding, or no text
_MOST_UNREADABLE = 0.1  # chosen: a log may hold odd bytes; more of them are another encoding


def read_document(data: bytes, name: str) -> Material:
    """What `data` holds; raises InvalidInput, one line, for what nothing can be made of."""
    if data.count(b"\0") > len(data) * _MOST_NULS:
        msg = f"{name}: holds NUL bytes: neither JSON, YAML nor a text log"
        raise InvalidInput(msg)
    text = data.replace(b"\0", b"").decode("utf-8-sig", errors="replace")
    if text.count("\ufffd") > len(text) * _MOST_UNREADABLE:
        msg = f"{name}: is no text in UTF-8"
        raise InvalidInput(msg)
    if not text.strip():
        msg = f"{name}: is empty"
        raise InvalidInput(msg)
    if "\n" not in text:
        text = text.replace("\r", "\n")
    body = _GCLOUD_CHATTER.sub("", text, count=1).lstrip() if _GCLOUD_CHATTER.match(text) else text
    start = body.lstrip()[:1]
    if start in {"{", "["}:
        return _from_json(body, name)
    if _is_bare_number(body):
        msg = f"{name}: a number alone: {body.strip()[:_MOST_SHOWN]}"
        raise InvalidInput(msg)
    return _from_yaml(body, name) or Material(name, entries=tuple(read_lines(text)), plain=True)


def _is_bare_number(text: str) -> bool:
    return (
        re.fullmatch(r"\s*[+-]?\d{1,40}(?:\.\d{0,40})?(?:[eE][+-]?\d{1,5})?\s*", text) is not None
    )


# --- JSON ----------------------------------------------------------------------------------------


def _from_json(text: str, name: str) -> Material:
    begun = text.lstrip()
    try:
        value = parse_json(text)
    except ValueError as err:
        first = _first_object(begun)
        if first is not None:
            return _from_lines(text, first, name)
        if (
            is_bracketed_log(begun)
            or is_log_of_objects(text)
            or (has_plain_line(begun) and not _is_known(first_value(begun)))
        ):
            return Material(name, entries=tuple(read_lines(text)), plain=True)
        msg = f"{name}: not JSON: {err}"
        raise InvalidInput(msg) from err
    if isinstance(value, list):
        return _from_list(value, name)
    if isinstance(value, dict):
        return _from_object(value, name)
    msg = f"{name}: JSON, but no object and no list"
    raise InvalidInput(msg)


def _first_object(text: str) -> Json | None:
    """The first line's object where a text is one object a line; None where it is not."""
    try:
        first = parse_json(text.partition("\n")[0])  # JSON may hold U+2028
    except ValueError:
        return None
    return first if isinstance(first, dict) else None


def _from_lines(text: str, first: Json, name: str) -> Material:
    """JSONL: log entries, jobs, rows of results, or a program's own lines, between which plain ones may stand."""
    if _are_rows(text):
        return Material(name, parts={"errorFiles": {name: text}})
    printed = not _is_known(first)
    if printed and (
        _is_program_line(first) or first.keys() & _EVENT_KEYS or has_plain_line(text.lstrip())
    ):
        return Material(name, entries=tuple(read_lines(text)), plain=True)
    if not first.keys() & (_ENTRY_KEYS | JOB_KEYS):
        known = ", ".join(sorted(_ENTRY_KEYS | {"message"}))
        msg = f"{name}: lines of JSON without a key that is known (one of {known})"
        raise InvalidInput(msg)
    values: list[Any] = []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            values.append(parse_json(line))
        except ValueError as err:
            msg = f"{name}: line {number}: not JSON: {err}"
            raise InvalidInput(msg) from err
    return _from_list(values, name)


def _from_list(values: Sequence[Any], name: str) -> Material:
    if not values:
        msg = f"{name}: an empty list"
        raise InvalidInput(msg)
    for index, value in enumerate(values):
        if not isinstance(value, dict):
            msg = f"{name}: item {index + 1} of the list is no object"
            raise InvalidInput(msg)
    if all(_is_entry(value) for value in values):
        return Material(name, entries=tuple(values))
    if all(_is_job(value) for value in values):
        return Material(name, jobs=tuple(map(rest_shaped, values)))
    if all(_is_row(value) for value in values):
        return _of_rows(values, name)
    if all(_is_answer(value) for value in values):
        return _of_answers(values, name)
    if all(_is_series(value) for value in values):
        for number, series in enumerate(values, 1):
            _require_points(series, f"{name}: item {number} of the list")
        return Material(name, parts={"timeSeries": list(values)})
    msg = f"{name}: a list of neither log entries nor jobs"
    raise InvalidInput(msg)


def _from_object(value: Json, name: str) -> Material:
    if _is_case(value):
        ignored = tuple((key, _probable(key)) for key in value if key not in CASE_KEYS)
        parts = {
            key: item
            for key, item in value.items()
            if key in CASE_KEYS and key != "job" and item is not None
        }
        job = value.get("job")
        if job is not None and not isinstance(job, Mapping):
            msg = f"{name}: `job` must be an object"
            raise InvalidInput(msg)
        _require_lists(value, name)
        jobs = (rest_shaped(job),) if job else ()
        return Material(name, jobs=jobs, parts=parts, ignored=ignored)
    for key in _JOB_LISTS | {"entries"}:
        listed = value.get(key)
        if isinstance(listed, list):
            return _from_list(listed, f"{name}: `{key}`")
    if _is_job(value):
        return Material(name, jobs=(rest_shaped(value),))
    if _is_entry(value):
        return Material(name, entries=(value,))
    if _is_row(value):
        return _of_rows([value], name)
    if _is_answer(value):
        return _of_answers([value], name)
    if _is_program_line(value):
        return Material(name, entries=tuple(read_lines(json.dumps(value))), plain=True)
    _require_no_compiled_pipeline(value, name)
    _require_no_policies(value, name)
    keys = ", ".join(f"`{key}`" for key in list(value)[:5]) or "none"
    near = next((f"; did you mean `{_probable(key)}`?" for key in value if _probable(key)), "")
    msg = f"{name}: neither a job, nor log entries, nor a case: no key is known (it has {keys[:200]}){near}"
    raise InvalidInput(msg)


def _is_program_line(value: Json) -> bool:
    """Whether an object is a line that a program, its logger or its container runtime wrote."""
    keys = value.keys()
    held = keys & LINE_ATTRIBUTES
    nested = any(isinstance(value.get(key), Mapping) for key in LINE_FIELDS)
    return bool(keys & _LINE_KEYS or (held and (keys & LINE_MESSAGE_KEYS or nested)))


def _is_row(value: Json) -> bool:
    """Whether an object is a row that a batch prediction wrote of an instance that it could not answer.

    Documented: `{"instance", "error"}` of custom-trained models, `{"request", "status"}` of Gemini. What a
    logger puts beside a message stands in no row, and the `request` of a web server's log asks no model.
    """
    if value.keys() & (LINE_ATTRIBUTES | LINE_MESSAGE_KEYS):
        return False
    asked = "instance" in value or _asks_a_model(value.get("request"))
    return asked and isinstance(value.get("error") or value.get("status"), (str, Mapping))


# What the body of a request to a model holds: Gemini's, Anthropic's and OpenAI's, an embedding's, a predictor's.
_ASKED = frozenset({"contents", "messages", "content", "instances", "input", "prompt"})


def _asks_a_model(request: Any) -> bool:
    """Whether a row's `request` is a model's, as an object or, as BigQuery holds it, as text."""
    if isinstance(request, str) and request.lstrip().startswith("{"):
        try:
            request = parse_json(request)
        except ValueError:
            return False
    return isinstance(request, Mapping) and bool(request.keys() & _ASKED)


def _are_rows(text: str) -> bool:
    """Whether every line is a row; of the last a piece will do, where a file was cut off."""
    lines = [line.strip() for line in text.split("\n") if line.strip()]
    for number, line in enumerate(lines, 1):
        try:
            value = parse_json(line)
        except ValueError:
            return 1 < number == len(lines) and line.startswith("{")
        if not (isinstance(value, dict) and _is_row(value)):
            return False
    return True


def _of_rows(rows: Sequence[Json], name: str) -> Material:
    return Material(name, parts={"errorFiles": {name: "\n".join(map(json.dumps, rows))}})


def _is_answer(value: Json) -> bool:
    """Whether an object is the error that a Google API answered (google.rpc.Status over HTTP)."""
    error = value.get("error")
    return isinstance(error, Mapping) and bool(error.keys() & {"code", "message", "status"})


def _of_answers(answers: Sequence[Json], name: str) -> Material:
    """Each as a client library would print it: `429 RESOURCE_EXHAUSTED: Resource exhausted.`"""
    errors = [answer["error"] for answer in answers]
    lines = (
        f"{error.get('code', '')} {error.get('status', '')}: {error.get('message', '')}".strip(" :")
        for error in errors
    )
    return Material(name, entries=tuple(read_lines("\n".join(lines))), plain=True, refused=True)


def _require_no_compiled_pipeline(value: Json, name: str) -> None:
    """Compiled pipelines are no runs: KFP's YAML (two documents, with its platform) and JSON, old and new."""
    if is_compiled_pipeline(value):
        msg = (
            f"{name}: a compiled pipeline and no run of it: give the run, as the pipeline job's JSON "
            "from REST, or its name"
        )
        raise InvalidInput(msg)


def _require_no_policies(value: Json, name: str) -> None:
    """A policy file is no failure; its words (`cause: quota`) would be taken for a log's."""
    entries = value.get("policies") or value.get("watch")
    if not isinstance(entries, list) or not entries:
        return
    if all(isinstance(one, dict) and {"when", "do"} & one.keys() for one in entries):
        msg = f"{name}: a policy file and no failure: check it with `validate {name}`, or give it as `plan CASE --policies {name}`"
        raise InvalidInput(msg)


def _require_lists(value: Json, name: str) -> None:
    """Lists of objects where a case has lists, before several inputs are merged."""
    for key in (
        "logEntries",
        "timeSeries",
        "probes",
        "attempts",
        "earlierJobs",
        "outputs",
        "children",
    ):
        listed = value.get(key) or []
        if not isinstance(listed, list) or not all(isinstance(item, Mapping) for item in listed):
            msg = f"{name}: `{key}` must be a list of objects"
            raise InvalidInput(msg)
    for number, series in enumerate(value.get("timeSeries") or [], 1):
        _require_points(series, f"{name}: `timeSeries`: item {number}")


def _require_points(series: Json, place: str) -> None:
    points = series.get("points") or []
    if not isinstance(points, list) or not all(isinstance(point, Mapping) for point in points):
        msg = f"{place}: `points` must be a list of objects"
        raise InvalidInput(msg)


def _is_case(value: Json) -> bool:
    # `name` and `state` stand in no case, `job` in no job; parts alone make a case without a job.
    return "job" in value or bool(
        value.keys() & (CASE_KEYS - {"model", "parent", "now", "rows"}) and "name" not in value
    )


def _has_parts(value: Json) -> bool:
    """Whether an object that has a case's keys has a part of a case below one: `job: train` is a line of a log."""
    shaped = (value[key] for key in value.keys() & CASE_KEYS)
    return _is_case(value) and any(isinstance(item, (Mapping, list)) for item in shaped)


def _is_named_job(value: Json) -> bool:
    name = value.get("name")
    return isinstance(name, str) and any(f"/{collection}/" in name for collection in COLLECTIONS)


def _is_job(value: Json) -> bool:
    named = isinstance(value.get("name"), str) and len(value.keys() & JOB_KEYS) > 1
    return named or _is_named_job(value)


def _is_known(value: Any) -> bool:
    """Whether a JSON value is certainly a case, a job or log entries, and nothing that a program printed."""
    items = value if isinstance(value, list) else [value]
    objects = [item for item in items if isinstance(item, Mapping)]
    for item in tuple(objects):
        for key in item.keys() & (_JOB_LISTS | {"entries"}):
            listed = item[key] if isinstance(item[key], list) else []
            objects += [one for one in listed if isinstance(one, Mapping)]
    return any(_has_parts(one) or _is_named_job(one) or _is_entry(one) for one in objects)


def _is_entry(value: Json) -> bool:
    return bool(value.keys() & _ENTRY_KEYS)


def _is_series(value: Json) -> bool:
    return "metric" in value and "points" in value


def _probable(key: str) -> str:
    """The case's key that was probably meant; empty where nothing is near."""
    bare = re.sub(r"[^a-z]", "", key.lower())
    by_letters = {re.sub(r"[^a-z]", "", known.lower()): known for known in CASE_KEYS}
    near = difflib.get_close_matches(bare, list(by_letters), n=1, cutoff=0.7)
    return by_letters[near[0]] if near else ""


# --- YAML ----------------------------------------------------------------------------------------


@functools.cache
def _loader() -> Any:
    """YAML as gcloud writes it: times stay text, as they are in JSON."""
    import yaml  # noqa: PLC0415  # most inputs are JSON, and it costs 12 ms (measured)

    class Loader(yaml.SafeLoader):
        pass

    Loader.yaml_implicit_resolvers = {
        first: [(tag, form) for tag, form in resolvers if tag != "tag:yaml.org,2002:timestamp"]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    return Loader


def _from_yaml(text: str, name: str) -> Material | None:
    """Jobs or log entries in YAML, one document or several; None where it is none of these."""
    if not _YAML_START.match(text.lstrip()):
        return None
    import yaml  # noqa: PLC0415  # as above

    try:
        values = [
            value for value in yaml.load_all(text, Loader=_loader()) if value is not None
        ]  # a SafeLoader
    except (yaml.YAMLError, RecursionError, ValueError):
        return None
    listed = [item for value in values for item in (value if isinstance(value, list) else [value])]
    if not listed or not all(isinstance(item, dict) for item in listed):
        return None
    for item in listed:
        _require_no_compiled_pipeline(item, name)
        _require_no_policies(item, name)
    known = any(_is_job(i) or _is_entry(i) or _has_parts(i) for i in listed)
    if not known:
        return None
    return _from_object(listed[0], name) if len(listed) == 1 else _from_list(listed, name)


# --- words ---------------------------------------------------------------------------------------


def unread_words(ignored: Iterable[tuple[str, str]]) -> list[str]:
    """`not read: "logentries"; did you mean "logEntries"?`, a line a key."""
    return [
        f"not read: `{key}`" + (f"; did you mean `{meant}`?" if meant else "")
        for key, meant in ignored
    ]
