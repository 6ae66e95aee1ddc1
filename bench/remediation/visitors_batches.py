"""The batch predictions of the fleet `visitors`: servers, and a publisher's model. Every number is chosen."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from bench.remediation import visitors_words as words
from bench.remediation.requests import machine_spec
from bench.remediation.visitors_draw import (
    DEVICES,
    Draw,
    granted,
    words_of,
)
from bench.remediation.visitors_physics import (
    BATCH,
    DEVICE_GIB,
    Body,
    Fate,
    Job,
    Server,
    copies,
    shape,
)
from remediator.catalog.catalog import Hardware, Service

SERVERS = (
    ("n1-standard-2", 4), ("n1-standard-4", 8), ("n1-highmem-4", 3), ("n2-standard-4", 6), ("n2d-standard-8", 3),
    ("e2-standard-4", 4), ("c3-highcpu-8", 2), ("c2-standard-8", 2), ("n2-highcpu-16", 2),
)  # fmt: skip


def _batch(draw: Draw, hardware: Hardware, server: Server, *, fate: Fate | None = None,
           size: int = 64, region: str = "", **more: Any) -> Job:  # fmt: skip
    chance = draw.chance
    region = region or draw.region(hardware, Service.PREDICTION)
    name, bucket = draw.name, f"{draw.name}-rows"
    model = f"projects/471108150815/locations/{region}/models/{7000 + chance.randrange(900)}"
    body: Body = {
        "displayName": name,
        "model": model,
        "modelVersionId": "3",
        "inputConfig": {
            "instancesFormat": "jsonl",
            "gcsSource": {"uris": [f"gs://{bucket}/rows.jsonl"]},
        },
        "outputConfig": {
            "predictionsFormat": "jsonl",
            "gcsDestination": {"outputUriPrefix": f"gs://{bucket}/scored"},
        },
        "dedicatedResources": {
            "machineSpec": machine_spec(hardware),
            "startingReplicaCount": chance.choice((1, 1, 2, 3)),
            "maxReplicaCount": 10,
        },
    }
    if size != 64:
        body["manualBatchTuningParameters"] = {"batchSize": size}
    said = words_of(draw, "torch")
    said |= {
        "start": chance.choice(words.SERVER_START),
        "killed": chance.choice(words.SERVER_KILLED),
    }
    if said["down"][0] == "lines":
        said["down"] = ("rows", chance.choice(words.SERVER_DOWN))
    image = {
        "name": model,
        "versionId": "3",
        "displayName": name,
        "containerSpec": {"imageUri": f"europe-docker.pkg.dev/visitors/servers/{name}:1"},
    }
    job = Job(0, name, BATCH, body, region, draw.seed, draw.team, fate or Fate(), said, region.upper(),
              bucket, server=server, model=image)  # fmt: skip
    return granted(replace(job, **more), hardware, region, spot=False)


# --- batches -----------------------------------------------------------------------------------------


def _server(draw: Draw) -> Hardware:
    return Hardware(draw.pick(SERVERS))


def slow_rows(draw: Draw) -> Job:
    hardware = _server(draw)
    size, cores = (
        draw.chance.choice((16, 32, 64, 64, 64, 128, 256)),
        draw.chance.choice((1, 1, 2, 8)),
    )
    used = min(cores, shape(hardware).vcpus)
    row = 600 * draw.scale(1.05, 8) * used / size
    memory = shape(hardware).memory_gib
    server = Server(
        rows=draw.chance.randrange(400, 4000),
        model_gib=memory * 0.3,
        row_core_seconds=row,
        row_cores=cores,
    )
    return _batch(draw, hardware, server, size=size)


def large_rows(draw: Draw) -> Job:
    """Requests of more bytes than are taken."""
    hardware, size = _server(draw), draw.chance.choice((32, 64, 64, 128))
    server = Server(rows=draw.chance.randrange(400, 4000), row_kb=10_000 / size * draw.scale(1.05, 6),
                    row_core_seconds=0.2)  # fmt: skip
    return _batch(draw, hardware, server, size=size)


def server_memory(draw: Draw) -> Job:
    """By the rows of a request, by the model, or by a copy of it for each worker."""
    hardware = _server(draw)
    memory, vcpus = shape(hardware).memory_gib, shape(hardware).vcpus
    whole = memory * draw.scale(0.97, 2.8)
    kind = draw.chance.choice(("rows", "rows", "model", "vcpu", "gunicorn"))
    server = Server(rows=draw.chance.randrange(400, 4000), row_core_seconds=0.3)
    if kind == "rows":
        server = replace(server, model_gib=whole * 0.2, row_gib=whole * 0.75 / 64)
    elif kind == "model":
        server = replace(server, model_gib=whole - 1.0)
    else:
        many = copies(replace(server, copies=kind), vcpus)
        server = replace(server, model_gib=max(0.1, (whole - 1.0) / many), copies=kind)
    return _batch(draw, hardware, server)


def server_device_memory(draw: Draw) -> Job:
    hardware = draw.pick([(h, w) for h, w in DEVICES if h.count == 1 and h.accelerator in
                          {"NVIDIA_TESLA_T4", "NVIDIA_L4", "NVIDIA_TESLA_A100"}])  # fmt: skip
    held = DEVICE_GIB[hardware.accelerator]
    fixed = held * draw.chance.uniform(0.2, 1.1)
    over = max(held * draw.scale(1.05, 3), fixed * 1.02)
    server = Server(rows=draw.chance.randrange(400, 4000), wants="required", state_gib=fixed, model_gib=3.0,
                    row_device_gib=max(0.005, (over - fixed) / 64), row_device_seconds=0.5)  # fmt: skip
    return _batch(draw, hardware, server)


def server_without_device(draw: Draw) -> Job:
    hardware = Hardware(draw.chance.choice(("n1-standard-4", "n1-standard-8", "n2-standard-4")))
    wants = draw.chance.choice(("required", "wanted"))
    server = Server(
        rows=1200,
        wants=wants,
        state_gib=draw.scale(3, 18),
        model_gib=3.0,
        row_device_seconds=draw.scale(0.6, 3),
    )
    return _batch(draw, hardware, server)


def slow_start(draw: Draw) -> Job:
    """Loading takes too long: by its work, or by reading alone, which no machine speeds up."""
    hardware = _server(draw)
    cores = min(4, shape(hardware).vcpus)
    if draw.chance.random() < 0.25:
        return _batch(
            draw, hardware, Server(load_seconds=2400 * draw.scale(1.05, 2.5)), helped=False
        )
    server = Server(load_core_seconds=2400 * cores * draw.scale(1.03, 2.6), load_cores=16)
    return _batch(draw, hardware, server)


def server_down(draw: Draw) -> Job:
    fate = Fate(down_until=draw.scale(0.2, 5), down_at=draw.chance.choice(("start", "fetch")))
    return _batch(draw, _server(draw), Server(row_core_seconds=draw.scale(0.1, 3)), fate=fate)


def refused_rows(draw: Draw) -> Job:
    """A server that refuses every row."""
    cause = draw.chance.choice(("bad_input", "user_code_error"))
    job = _batch(
        draw, _server(draw), Server(), fate=Fate(raises_at=0.1), helped=False, raises_as=cause
    )
    bug = draw.chance.choice(words.SERVER_BUG) if cause == "user_code_error" else ()
    return replace(
        job, words={**job.words, "refuses": draw.chance.choice(words.SERVER_BAD[cause]), "bug": bug}
    )


def gemini(draw: Draw) -> Job:
    """A batch of a publisher's model: busy for a while, queued until it expires, or wrong."""
    chance = draw.chance
    kind = chance.choice(("busy", "busy", "queued", "wrong", "wrong"))
    region, bucket = draw.home, f"{draw.name}-prompts"
    body: Body = {
        "displayName": draw.name,
        "model": f"publishers/google/models/{chance.choice(('gemini-2.5-flash', 'gemini-2.5-pro'))}",
        "inputConfig": {
            "instancesFormat": "jsonl",
            "gcsSource": {"uris": [f"gs://{bucket}/prompts.jsonl"]},
        },
        "outputConfig": {
            "predictionsFormat": "jsonl",
            "gcsDestination": {"outputUriPrefix": f"gs://{bucket}/out"},
        },
    }
    job = Job(
        0, draw.name, BATCH, body, region, draw.seed, draw.team, Fate(), {}, region.upper(), bucket
    )
    if kind == "wrong":
        cause = chance.choice(list(words.GEMINI_BAD))
        return replace(job, fate=Fate(raises_at=0.1), helped=False, raises_as=cause,
                       words={"gemini": chance.choice(words.GEMINI_BAD[cause])})  # fmt: skip
    hours = draw.scale(0.3, 5) if kind == "busy" else draw.scale(10, 23)
    return replace(job, fate=Fate(down_until=hours, down_at="start" if kind == "busy" else "queue"),
                   words={"gemini": chance.choice(words.GEMINI_BUSY)})  # fmt: skip
