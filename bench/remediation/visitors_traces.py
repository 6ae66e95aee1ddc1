"""How a run of the fleet `visitors` is told: its state, its error, its lines and how full the machine was."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bench.remediation import visitors_words as words
from bench.remediation.visitors_physics import (
    BATCH,
    DEVICE_GIB,
    SPEED,
    START_HOURS,
    USABLE,
    End,
    Job,
    Place,
    Program,
    Stage,
    device_gib,
    host_gib,
    server_gib,
    shape,
    speed,
    stage_hours,
)
from bench.remediation.visitors_places import needed
from twin.physics import Line, Phase, Run
from twin.traces import viewer_link

_FIELD = re.compile(r"\{(\w+)(?::([^{}]*))?\}")
METRICS = {
    "NVIDIA_TESLA_T4": "nvidia_t4_gpus", "NVIDIA_TESLA_V100": "nvidia_v100_gpus",
    "NVIDIA_TESLA_P4": "nvidia_p4_gpus", "NVIDIA_L4": "nvidia_l4_gpus",
    "NVIDIA_TESLA_A100": "nvidia_a100_gpus", "NVIDIA_A100_80GB": "nvidia_a100_80gb_gpus",
    "NVIDIA_H100_80GB": "nvidia_h100_gpus", "ct5lp": "tpu_v5e", "n1": "cpus",
}  # fmt: skip
"""A quota's name by its meter; of another family `<family>_cpus`."""
_EXITED = "The replica workerpool0-0 exited with a non-zero status of {status}. Termination reason: Error."


def metric_of(meter: str, *, spot: bool, serving: bool) -> str:
    """The quota's metric of Vertex AI."""
    name = METRICS.get(meter) or f"{meter.lower()}_cpus"
    use = "serving" if serving else "training"
    return f"aiplatform.googleapis.com/custom_model_{use}_{'preemptible_' if spot else ''}{name}"


def filled(lines: Sequence[str], values: Mapping[str, Any]) -> list[str]:
    """The lines with what is known in the place of its name; other braces stay."""

    def one(match: re.Match[str]) -> str:
        if match[1] not in values:
            return match[0]
        return format(values[match[1]], match[2] or "")

    return [_FIELD.sub(one, line) for line in lines]


def told(job: Job, end: End, place: Place | None, tries: int) -> Run:
    """The whole course of a run that ended so."""
    if place is None:
        return _gemini(job, end)
    if not end.started:
        code, said = _refusal(job, end, place)
        lines = () if job.kind == BATCH else ((END_OF_WAIT, "ERROR", said, "service"),)
        return Run("JOB_STATE_FAILED", END_OF_WAIT, 0.0, (code, said), lines, started=False,
                   incomplete=-1)  # fmt: skip
    if job.kind == BATCH:
        return _batch(job, end, place)
    return _custom(job, end, place, tries)


END_OF_WAIT = 1100.0  # seconds until a request without a machine is given up


def _refusal(job: Job, end: End, place: Place) -> tuple[int, str]:
    if end.why == "invalid_config":
        return 3, f"Machine type {place.hardware.machine} is not supported in {place.region}."
    if end.why == "quota":
        spot = place.strategy == "SPOT"
        metric = metric_of(end.meter, spot=spot, serving=job.kind == BATCH)
        style = job.words.get("quota", 0)
        if style == 1:
            short = metric.partition("/")[2]
            return 8, (
                f"RESOURCE_EXHAUSTED: Quota exceeded for quota metric '{short}' of service 'aiplatform.googleapis.com' "
                f"in region {place.region}: {needed(place.hardware, place.replicas)} requested."
            )
        if style == 2:
            name = metric.partition("custom_model_")[2].partition("_")[2].upper()
            return 8, f"Quota '{name}' exceeded.  Limit: {end.limit}.0 in region {place.region}."
        return 8, f"The following quota metrics exceed quota limits: {metric}"
    if place.strategy == "SPOT" and job.kind == BATCH:
        return 8, "STOCKOUT"
    return 8, (
        f"Resources are insufficient in region: {place.region}. Try a different region or use a "
        "different accelerator."
    )


# --- custom jobs -------------------------------------------------------------------------------------


def _custom(job: Job, end: End, place: Place, tries: int) -> Run:
    assert job.program is not None
    program, seconds = job.program, end.at * 3600
    phases = list(_phases(job, program, place, end))
    chance = random.Random(f"visitors/{job.seed}/{job.name}/{tries}")
    memory = shape(place.hardware).memory_gib
    has = DEVICE_GIB.get(place.hardware.accelerator, 0.0)
    values = {
        "pid": chance.randrange(40, 250), "vcpus": shape(place.hardware).vcpus, "bucket": job.bucket,
        "want": memory * chance.uniform(0.2, 0.9), "rows": int(memory * 9e5), "pool": memory * 0.78,
        "near": (has if end.why == "gpu_memory" else memory * 1.05) * 0.98, "has": has or memory * 1.05,
        "bytes": int((has or memory) * chance.uniform(0.2, 0.7) * 2**30), "batch": 64,
        "ask": max(0.5, has * 0.07), "free": has * 9, "alloc": has * 0.93, "n": chance.randrange(2, 19),
    }  # fmt: skip
    lines = list(_progress(job, end, place, values))
    if not end.why:
        lines.append((seconds - 1, "INFO", "done, results written", "stdout"))
        return _made(place, "JOB_STATE_SUCCEEDED", seconds, None, lines, phases)
    slow = end.why == "accelerator_missing" and program.wants == "wanted"
    if slow or end.why in _OUT_OF_TIME:
        return _cut(job, place, seconds, lines, phases)
    last, error = _last_words(job, end.why)
    lines += [(seconds - 2, "ERROR", line, "stderr") for line in filled(last, values)]
    lines.append((seconds, "ERROR", error[1], "service"))
    return _made(place, "JOB_STATE_FAILED", seconds, error, lines, phases)


_OUT_OF_TIME = frozenset({"cut", "unknown", "cpu_saturation", "slow_code", "network_latency"})
_SAID_BY_PROGRAM = {"gpu_memory": "gpu", "accelerator_missing": "no_device", "disk_full": "disk"}


def _last_words(job: Job, why: str) -> tuple[Sequence[str], tuple[int, str]]:
    """A program's last lines, and the error that the service puts on the job."""
    if why == "preemption":
        return job.words["taken_lines"], job.words["taken"]
    status, last, told_by_service = 1, (), False
    if why == "memory_pressure":
        last, status = job.words["memory"]
        told_by_service = status == 137 and job.words["service_tells"]
    elif why == "raises":
        last, status = job.words["raises"]
    elif why == "transient_backend":
        kind, what = job.words["down"]
        if kind == "service":
            return (), what
        last = what
    else:
        last = job.words[_SAID_BY_PROGRAM[why]]
    said = _EXITED.format(status=status)
    if told_by_service:
        said = "The replica workerpool0-0 ran out of memory and exited with a non-zero status of 137(SIGKILL)."
    return last, (3, said + viewer_link("471108150815", "5512"))


def _cut(job: Job, place: Place, seconds: float, lines: list[Line], phases: list[Phase]) -> Run:
    """What a job's own time-out leaves is not documented: three ways, one for each job."""
    style = job.words.get("cut", 0)
    if style == 0:
        return _made(place, "JOB_STATE_CANCELLED", seconds, None, lines, phases)
    if style == 1:
        return _made(place, "JOB_STATE_CANCELLED", seconds, (1, "CANCELED"), lines, phases)
    said = f"The job ran longer than its timeout of {seconds:.0f}s and was stopped."
    lines.append((seconds, "ERROR", said, "service"))
    return _made(place, "JOB_STATE_FAILED", seconds, (4, said), lines, phases)


def _made(place: Place, state: str, seconds: float, error: tuple[int, str] | None,
          lines: list[Line], phases: list[Phase]) -> Run:  # fmt: skip
    known = place.hardware.accelerator in SPEED
    return Run(state, START_HOURS * 3600, seconds, error, tuple(lines), tuple(phases),
               machine=shape(place.hardware), gpus=place.hardware.count if known else 0,
               gpu_kind=place.hardware.accelerator if known else "", replicas=place.replicas)  # fmt: skip


def _phases(job: Job, program: Program, place: Place, end: End) -> Iterator[Phase]:
    """Each stage in four pieces, up to the end of the run; a run that goes on from a checkpoint is in its last stages.

    What is serial of a stage runs by itself, on one core, and the rest on all threads.
    """
    hours = [stage_hours(stage, place, job.data) for stage in program.stages]
    clock = -max(0.0, sum(hours) - end.whole)
    left, ran = end.at, 0.0
    for number, (stage, lasts) in enumerate(zip(program.stages, hours, strict=True)):
        for part in range(4):
            begun, clock = clock, clock + lasts / 4
            piece = min(lasts / 4, clock, clock - max(begun, 0.0), left)
            if piece <= 1e-6:
                continue
            left, ran = left - piece, ran + piece
            full = end.why == "memory_pressure" and number == end.stage and left < lasts / 4
            for share, cores in _cores(stage, place, lasts):
                yield _phase(
                    program, stage, place, lasts, piece * share, part, ran, cores, full=full
                )
    if left > 1e-6:
        stage, lasts = program.stages[-1], max(hours[-1], 1e-3)
        cores = _cores(stage, place, lasts)[-1][1]
        yield _phase(program, stage, place, lasts, left, 3, ran, cores, full=False)


def _cores(stage: Stage, place: Place, lasts: float) -> list[tuple[float, float]]:
    """Shares of a stage's time, and how many cores are busy in them."""
    vcpus = shape(place.hardware).vcpus
    if stage.device_hours and not speed(place.hardware):
        return [(1.0, vcpus * 0.97)]
    if stage.feeds or not stage.core_hours:
        return [(1.0, min(vcpus * 0.985, stage.core_hours / max(lasts, 1e-6) + 0.2))]
    alone = stage.core_hours * stage.serial
    threads = max(1, min(vcpus, stage.threads))
    together = (stage.core_hours - alone) / threads
    rest = max(0.0, lasts - alone - together)
    found = [(alone / lasts, 1.1), (rest / lasts, 0.3), (together / lasts, threads * 0.98)]
    return [(share, cores) for share, cores in found if share > 1e-6]


def _phase(program: Program, stage: Stage, place: Place, lasts: float, piece: float, part: int,
           ran: float, cores: float, *, full: bool) -> Phase:  # fmt: skip
    memory, fast = shape(place.hardware).memory_gib, speed(place.hardware)
    grown = program.leak_gib * ran
    held = (host_gib(program, stage, place, ran) - grown) * (0.55 + 0.15 * part) + grown
    if program.heap_share and stage.heap_gib:
        held = min(stage.heap_gib, memory * program.heap_share) + 1.0
    if full and not program.heap_share:
        held = memory * (USABLE + 0.03)
    busy = min(0.98, stage.device_hours / fast / max(lasts, 1e-6)) if fast else 0.0
    used = min(device_gib(program, place), DEVICE_GIB.get(place.hardware.accelerator, 0.0) * 0.98)
    rate = stage.fetch_gib * 2**30 / max(lasts * 3600, 1.0)
    return Phase(piece * 3600, cores, min(held, memory * 0.985), stage.name, busy if fast else 0.0,
                 used if stage.device_hours and fast else 0.0, rate)  # fmt: skip


def _progress(job: Job, end: End, place: Place, values: Mapping[str, Any]) -> Iterator[Line]:
    """What the program prints on its way, in the manner of its framework; at most forty lines."""
    seconds, style = end.at * 3600, job.words.get("progress", "")
    program = job.program
    assert program is not None
    for number, line in enumerate(job.words.get("begins", ())):
        yield 3.0 + number, "INFO", line, "stderr" if "Warning" in line else "stdout"
    if place.hardware.count == 0 and program.wants == "wanted":
        yield 8.0, "WARNING", job.words["slow"], "stderr"
    if job.words.get("waits"):
        for part in range(1, 25):
            text = filled([job.words["waits"]], {**values, "n": part})[0]
            yield seconds * part / 25, "WARNING", text, "stderr"
    if not style or end.whole <= 0:
        return
    total = int(job.words.get("units", 2000))
    begun = total * (1 - end.whole / max(end.whole, _whole(job, place)))
    done = begun + (total - begun) * min(1.0, end.at / max(end.whole, 1e-9))
    if begun > 1:
        yield 20.0, "INFO", f"resuming from checkpoint at {int(begun)} of {total}", "stdout"
    for part in range(1, 31):
        unit = int(begun + (done - begun) * part / 30)
        if unit < 1:
            continue
        at = seconds * part / 30.5
        yield (
            at,
            "INFO",
            _unit(style, unit, total, at, seconds / 30),
            "stdout" if style != "tqdm" else "stderr",
        )


def _whole(job: Job, place: Place) -> float:
    assert job.program is not None
    return sum(stage_hours(one, place, job.data) for one in job.program.stages)


def _unit(style: str, unit: int, total: int, at: float, step: float) -> str:
    share = unit / total
    left = at / max(share, 1e-6) - at

    def clock(seconds: float) -> str:
        minutes, rest = divmod(int(seconds), 60)
        hours, minutes = divmod(minutes, 60)
        return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes:02}:{rest:02}"

    if style == "tqdm":
        bar = "#" * int(share * 10)
        return f"{share:4.0%}|{bar:<10}| {unit}/{total} [{clock(at)}<{clock(left)}, {at / max(unit, 1):.2f}s/it]"
    if style == "hf":
        return f"{{'loss': {2.5 - share:.4f}, 'grad_norm': 1.82, 'learning_rate': 4.1e-05, 'epoch': {share * 3:.2f}}}"
    if style == "keras":
        epoch = int(share * 20) + 1
        if unit % 2:
            return f"Epoch {min(epoch, 20)}/20"
        return f"812/812 ━━━━━━━━━━━━━━━━━━━━ {step:.0f}s {step * 1.2:.0f}ms/step - loss: {1.9 - share:.4f} - val_loss: {2.0 - share:.4f}"
    if style == "jax":
        return f"I1201 train.py:212] step {unit} of {total}, {1.0 / max(step, 1):.3f} steps/s, loss={3 - share:.3f}"
    if style == "bwa":
        return f"[M::mem_process_seqs] Processed {unit * 1000} reads in {at * 7:.3f} CPU sec, {at:.3f} real sec"
    if style == "spark":
        return f"[Stage 7:{'=' * int(share * 30)}> ({unit} + 8) / {total}]"
    return f"processed {unit} of {total} partitions"


# --- batches -----------------------------------------------------------------------------------------

_WRAPPED = "Post request fails. Cannot get predictions. Error: Exceeded retries: Non-OK result"


def _wrapped(code: str, body: str, took: float) -> str:
    return f"('{_WRAPPED} {code} ({body}) from server, retry=3, elapsed={took:.2f}s.', 16)"


def _batch(job: Job, end: End, place: Place) -> Run:
    server = job.server
    assert server is not None
    seconds, memory = end.at * 3600, shape(place.hardware).memory_gib
    chance = random.Random(f"visitors/{job.seed}/{job.name}/{place.batch}/{place.hardware.machine}")
    values = {"pid": chance.randrange(8, 90), "bucket": job.bucket}
    lines: list[Line] = [(30.0, "INFO", job.words["start"], "stdout")]
    if not end.why:
        return Run("JOB_STATE_SUCCEEDED", 300.0, seconds, None, tuple(lines),
                   machine=shape(place.hardware), gpus=place.hardware.count,
                   gpu_kind=place.hardware.accelerator, replicas=place.replicas,
                   successful=server.rows)  # fmt: skip
    if end.why == "slow_startup":
        lines = [
            (60.0 * n, "INFO", f"loading weights: file {n} of 40", "stdout") for n in range(1, 30)
        ]
    elif end.why == "accelerator_missing" and server.wants == "wanted":
        lines.append((31.0, "WARNING", job.words["slow"], "stderr"))
    code, said, last = _server_words(job, end.why, place)
    rows = place.batch if _WRAPPED in said else 0
    lines += [(seconds - 20, "ERROR", line, "stderr") for line in filled(last, values)]
    used = min(server_gib(server, place), memory * 0.9)
    used = memory * 0.97 if end.why == "memory_pressure" else used
    cores = min(shape(place.hardware).vcpus, server.row_cores) * 0.97
    return Run("JOB_STATE_FAILED", 300.0, seconds, (code, said), tuple(lines),
               (Phase(seconds, cores, used, "predict", 0.6 if place.hardware.count else 0.0, 0.0),),
               failed=rows, incomplete=-1, error_rows=((said, rows),) if rows else (),
               machine=shape(place.hardware), gpus=place.hardware.count,
               gpu_kind=place.hardware.accelerator, replicas=place.replicas)  # fmt: skip


def _server_words(job: Job, why: str, place: Place) -> tuple[int, str, Sequence[str]]:
    """A batch's error, and the server's last lines."""
    assert job.server is not None
    if why == "accelerator_missing" and job.server.wants == "required":
        said = 'Model server terminated: model server container terminated: exit_code: 1 reason: "Error"'
        return 9, said, job.words["no_device"]
    if why == "gpu_memory":
        has = DEVICE_GIB.get(place.hardware.accelerator, 16.0)
        values = {"ask": 1.5, "has": has, "free": 80.0, "near": has * 0.99, "alloc": has * 0.95}
        last = filled(words.DEVICE_MEMORY["torch"], values)
        return 13, _wrapped("500", '{"error": "CUDA out of memory."}', 11.2), last
    if why == "transient_backend":
        kind, what = job.words["down"]
        if kind == "service":
            return *what, ()
        body = {"429": "Too Many Requests"}.get(what[0], "Service Unavailable")
        return 13, _wrapped(what[0], body, 3.9), what[1]
    if why == "raises":
        result, body = job.words["refuses"]
        return 3 if result[0] == "4" else 13, _wrapped(result, body, 0.4), job.words["bug"]
    killed = (job.words["killed"],) if job.words["killed"] and why == "memory_pressure" else ()
    return *_OF_SERVERS[why], killed


_OF_SERVERS: Mapping[str, tuple[int, str]] = {
    "slow_startup": (9, (
        "Error: model server never became ready. Please validate that your model file or container "
        "configuration are valid.")),
    "memory_pressure": (13, _wrapped("503", (
        "upstream connect error or disconnect/reset before headers. reset reason: connection "
        "termination"), 18.7)),
    "payload": (13, _wrapped("413", "Request Entity Too Large", 0.31)),
    "request_too_large": (4, _wrapped("504", "upstream request timeout", 600.03)),
    "accelerator_missing": (4, _wrapped("504", "upstream request timeout", 600.03)),
}  # fmt: skip


def _gemini(job: Job, end: End) -> Run:
    if not end.why:
        return Run("JOB_STATE_SUCCEEDED", 60.0, 3600.0, None, (), successful=500)
    if end.why == "capacity_stockout":
        return Run("JOB_STATE_EXPIRED", 60.0, end.at * 3600, None, (), incomplete=-1)
    code, said = job.words["gemini"]
    said = filled([said], {"bucket": job.bucket})[0]
    return Run("JOB_STATE_FAILED", 60.0, end.at * 3600, (code, said), (), incomplete=-1)
