"""Google's pipeline components: a launcher that starts another job, and where that job's machine stands.

Owns the reading of a launcher's `--payload` (google-cloud-pipeline-components 2.22.0 and before: JSON
with placeholders, or KFP's Concat and IfPresent around it). The launcher's own limits say nothing of
the machine that does the work. Must not decide. Called by `fields.pools` and `containers`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from remediator.catalog.catalog import Hardware
from remediator.catalog.machines import Service
from remediator.domain.late_pattern import late_pattern
from remediator.job.document import Document, either_key, whole_number
from remediator.job.fields import DEFAULT_BOOT_DISK_GB, Pool
from remediator.job.parameters import ParameterPlace, follow, input_of, names_in
from remediator.job.pipeline import PipelineNode

_MODULE = late_pattern(
    r"google_cloud_pipeline_components\.(?:container|remote|google_cloud_pipeline_components)"
    r"|google_cloud_pipeline_components\.[a-z_.]*(?:launcher|remote_runner)"
)
_GOOGLES_OWN = late_pattern(r"automl", re.IGNORECASE)


def is_launcher(container: Mapping[str, Any]) -> bool:
    """Whether a container is one of Google's components, which only starts work elsewhere."""
    words = [*_texts_under(container, "command"), *_texts_under(container, "args")]
    return any(_MODULE.search(word) for word in words) or "--payload" in words


def _texts_under(container: Mapping[str, Any], key: str) -> list[str]:
    held = container.get(key)
    return [str(word) for word in held] if isinstance(held, Sequence) else []


class Launcher(Struct, frozen=True):
    """What a launcher starts: `kind` as its `--type` says, and its request with placeholders."""

    kind: str
    payload: str
    path: str

    def value_of(self, key: str) -> str:
        """The text that the request has for a key, without quotes; empty: it has none."""
        found = re.search(
            rf'"{key}"\s*:\s*"?(\{{\{{\$\.inputs\.parameters\[\'[^\']+\'\]\}}\}}|[^",}}\]\[{{]*)',
            self.payload,
        )
        return found[1].strip() if found else ""


def launcher(job: Document, node: PipelineNode) -> Launcher | None:
    """What the task launches; None for a container of the pipeline's own."""
    container = job.read(f"{node.holder}.container")
    if not isinstance(container, Mapping) or not is_launcher(container):
        return None
    words = _texts_under(container, "args")
    at = words.index("--payload") + 1 if "--payload" in words[:-1] else 0
    kind = words[words.index("--type") + 1] if "--type" in words[:-1] else ""
    kind = kind or next((w for w in words if _GOOGLES_OWN.search(w)), "")
    payload = _flat(words[at]) if at else ""
    return Launcher(kind, payload, f"{node.holder}.container.args[{at}]")


def _flat(word: str) -> str:
    """KFP's Concat and IfPresent as the one text that they would be, all branches taken."""
    if not word.startswith(('{"Concat"', '{"IfPresent"')):
        return word
    try:
        return _joined(json.loads(word))
    except ValueError:
        return word


def _joined(piece: Any) -> str:
    if isinstance(piece, str):
        return piece
    if isinstance(piece, list):
        return "".join(_joined(one) for one in piece)
    if not isinstance(piece, Mapping):
        return ""
    if "Concat" in piece:
        return _joined(piece["Concat"])
    present = piece.get("IfPresent")
    return _joined(present.get("Then")) if isinstance(present, Mapping) else ""


# --- the machines ---------------------------------------------------------------------------------


def pools(job: Document, node: PipelineNode, dead: frozenset[str]) -> tuple[Pool, ...]:
    """The machines of the job that the task launches; none where it launches nothing with machines.

    A machine that cannot be read has an empty name; one that cannot be changed says why in `fixed`.
    """
    found = launcher(job, node)
    if found is None:
        return ()
    if '"worker_pool_specs"' in found.payload:
        return tuple(_worker_pools(job, node, found, dead))
    if '"machine_type"' in found.payload:
        return (_served(job, node, found, dead),)
    if _GOOGLES_OWN.search(found.kind) or _GOOGLES_OWN.search(found.payload[:300]):
        return (_unreadable(node, "AutoML trains on machines of Google's own"),)
    return ()


def _unreadable(node: PipelineNode, why: str, name: str = "launched job") -> Pool:
    return Pool(
        name, "", "", "", "", Hardware(""), 1, task=node.path,
        fixed=f"the machine of task {node.title} cannot be changed: {why}",
    )  # fmt: skip


def _worker_pools(
    job: Document, node: PipelineNode, found: Launcher, dead: frozenset[str]
) -> Iterator[Pool]:
    where = found.value_of("worker_pool_specs")
    if not names_in(where):
        machine = found.value_of("machine_type")
        reason = f"{machine!r} stands in the component's own text at {found.path}"
        yield _unreadable(node, reason)
        return
    place = follow(job, node.scopes, found.path, where)
    root = place.path_for(job, dead)
    specs = _list(place.value)
    if place.why or not specs:
        shown = place.why or f"{place.path} is {place.value!r}"
        yield _unreadable(node, f"its worker_pool_specs stand at {place.path}: {shown}")
        return
    trials = _trials(job, node, found)
    strategy = _text_of(job, node, found, "strategy")
    resident = bool(_text_of(job, node, found, "persistent_resource_id"))
    for index, spec in enumerate(specs):
        if not isinstance(spec, Mapping) or not spec:
            continue
        pool = _spec_pool(
            job, node, place, root, index, spec, dead, trials=trials, strategy=strategy
        )
        yield replace(pool, pinned="a persistent resource") if resident else pool


def _list(value: Any) -> list[Any]:
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            return []
    return value if isinstance(value, list) else []


def _spec_pool(
    job: Document,
    node: PipelineNode,
    place: ParameterPlace,
    root: str,
    index: int,
    spec: Mapping[str, Any],
    dead: frozenset[str],
    *,
    trials: int,
    strategy: str,
) -> Pool:
    machine = either_key(spec, "machineSpec")
    machine = machine if isinstance(machine, Mapping) else {}
    snake = "machine_spec" in spec or "machineSpec" not in spec
    holder = f"{root}[{index}].{'machine_spec' if snake else 'machineSpec'}"
    # A value of its own is written whole, so that every field of the list is there to be changed.
    whole = place.value if root != place.path else None
    places = {}
    for key in ("machineType", "acceleratorType", "acceleratorCount"):
        name = _as(key, snake=snake)
        places[key] = follow(job, node.scopes, f"{holder}.{name}", either_key(machine, key))
    count = _as("replicaCount", snake=snake)
    replicas = follow(
        job, node.scopes, f"{root}[{index}].{count}", either_key(spec, "replicaCount")
    )
    broken = next((one for one in (*places.values(), replicas) if one.why), None)
    why = f"{broken.path} is {broken.value!r}: {broken.why}" if broken else ""
    number = whole_number(replicas.value)
    disk = "disk_spec.boot_disk_size_gb" if snake else "diskSpec.bootDiskSizeGb"
    affinity = either_key(machine, "reservationAffinity")
    kept = either_key(affinity, "reservationAffinityType") if isinstance(affinity, Mapping) else ""
    return Pool(
        f"workerpool{index}",
        places["machineType"].path_for(job, dead),
        places["acceleratorType"].path_for(job, dead),
        places["acceleratorCount"].path_for(job, dead),
        replicas.path,
        Hardware(
            str(places["machineType"].value or "") if not places["machineType"].why else "",
            _accelerator_name(places["acceleratorType"].value),
            whole_number(places["acceleratorCount"].value) or 0,
        ),
        (number or 1) * trials,
        pinned="a reservation" if kept == "SPECIFIC_RESERVATION" else "",
        task=node.path,
        fixed=f"the machine of task {node.title} cannot be changed: {why}" if why else "",
        strategy=strategy,
        disk_path=f"{root}[{index}].{disk}",
        disk_gb=_disk_gb(spec),
        whole=(root, whole) if whole is not None else None,
    )


def _disk_gb(spec: Mapping[str, Any]) -> int:
    disk = either_key(spec, "diskSpec")
    held = either_key(disk, "bootDiskSizeGb") if isinstance(disk, Mapping) else None
    return whole_number(held) or DEFAULT_BOOT_DISK_GB


def _as(key: str, *, snake: bool) -> str:
    return re.sub(r"(?=[A-Z])", "_", key).lower() if snake else key


def _accelerator_name(accelerator: object) -> str:
    text = str(accelerator or "")
    return "" if text.upper() == "ACCELERATOR_TYPE_UNSPECIFIED" else text


def _trials(job: Document, node: PipelineNode, found: Launcher) -> int:
    where = found.value_of("parallel_trial_count")
    place = follow(job, node.scopes, found.path, where)
    return max(1, whole_number(place.value) or 1) if where else 1


def _text_of(job: Document, node: PipelineNode, found: Launcher, key: str) -> str:
    where = found.value_of(key)
    return str(follow(job, node.scopes, found.path, where).value or "") if where else ""


def _served(job: Document, node: PipelineNode, found: Launcher, dead: frozenset[str]) -> Pool:
    """The machine of a batch prediction that a component launches."""
    keys = ("machine_type", "accelerator_type", "accelerator_count", "starting_replica_count")
    places = [_in_payload(job, node, found, key) for key in keys]
    machine, device, count, replicas = places
    broken = next((one for one in (machine, device, count) if one.why), None)
    why = f"{broken.path} is {broken.value!r}: {broken.why}" if broken else ""
    if not broken and not machine.value:
        why = f"{machine.path} names no machine: Vertex chooses it"
    return Pool(
        "model server",
        machine.path_for(job, dead),
        device.path_for(job, dead),
        count.path_for(job, dead),
        replicas.path_for(job, dead),
        Hardware(
            "" if machine.why else str(machine.value or ""),
            _accelerator_name(device.value),
            whole_number(count.value) or 0,
        ),
        whole_number(replicas.value) or 1,
        task=node.path,
        fixed=f"the machine of task {node.title} cannot be changed: {why}" if why else "",
        service=Service.PREDICTION,
    )


def _in_payload(job: Document, node: PipelineNode, found: Launcher, key: str) -> ParameterPlace:
    where = found.value_of(key)
    names = names_in(where)
    if len(names) == 1:
        return input_of(job, node.scopes, next(iter(names)))
    why = "it stands in the component's own text" if where else ""
    return ParameterPlace(found.path, where or None, why)
