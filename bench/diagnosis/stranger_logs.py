"""What programs print: each writer fills a span of a run with lines in one style.

Loops that compute (Python's logging, print, progress bars, JSON lines, Keras, Lightning, XGBoost,
Spark), sections by name, fetches, retries, waits, signs of life. Used by `strangers`.
"""

from __future__ import annotations

import random
from collections.abc import Callable

Line = tuple[float, str]
Writer = Callable[[random.Random, float, float, str], list[Line]]


def ticks(dice: random.Random, start: float, end: float, count: int) -> list[float]:
    step = (end - start) / count
    return [start + step * (i + 1) * 0.999 - dice.random() * step * 0.1 for i in range(count)]


def hms(seconds: float) -> str:
    m, s = divmod(int(seconds), 60)
    h, m = divmod(m, 60)
    return f"{h}:{m:02d}:{s:02d}" if h else f"{m:02d}:{s:02d}"


def python_logging(dice: random.Random, start: float, end: float, what: str) -> list[Line]:
    n = dice.randrange(60, 400)
    return [
        (
            t,
            f"2026-11-11 {int(t) // 3600 % 24:02d}:{int(t) // 60 % 60:02d}:{int(t) % 60:02d},{dice.randrange(1000):03d} - {what} - INFO - processed block {i} of {n * 2}, residual {dice.random():.4f}",
        )
        for i, t in enumerate(ticks(dice, start, end, n))
    ]


def printed(dice: random.Random, start: float, end: float, what: str) -> list[Line]:
    n = dice.randrange(30, 300)
    return [
        (t, f"{what}: item {i * 250}/{n * 400} done")
        for i, t in enumerate(ticks(dice, start, end, n))
    ]


def tqdm(dice: random.Random, start: float, end: float, what: str) -> list[Line]:
    n, total = dice.randrange(50, 300), 1000
    each = (end - start) / n
    return [
        (
            t,
            f"{what}: {100 * i // total:3d}%|{'█' * (10 * i // total):<10}| {i}/{total} [{hms(t - start)}<{hms((total - i) * each)}, {each:5.2f}s/it]",
        )
        for i, t in enumerate(ticks(dice, start, end, n), 1)
    ]


def json_lines(dice: random.Random, start: float, end: float, what: str) -> list[Line]:
    n = dice.randrange(40, 250)
    return [
        (
            t,
            f'{{"level": "info", "event": "{what}", "index": {i}, "rows": {dice.randrange(10**5)}, "score": {dice.random():.5f}}}',
        )
        for i, t in enumerate(ticks(dice, start, end, n))
    ]


def steps(dice: random.Random, start: float, end: float, what: str) -> list[Line]:
    n = dice.randrange(40, 200)
    each = (end - start) / (n * 100)
    return [
        (t, f"[{what}] step {100 * i}/{n * 180} {each:.2f} s/it loss={dice.random() + 0.1:.4f}")
        for i, t in enumerate(ticks(dice, start, end, n), 1)
    ]


def keras(dice: random.Random, start: float, end: float, _what: str) -> list[Line]:
    n = dice.randrange(6, 40)
    each = (end - start) / n
    lines: list[Line] = []
    for i, t in enumerate(ticks(dice, start, end, n), 1):
        lines.append((max(start, t - each + 0.5), f"Epoch {i}/{n * 2}"))
        lines.append(
            (
                t,
                f"1563/1563 [==============================] - {each:.0f}s {each / 1.563:.0f}ms/step - loss: {1 / i + 0.2:.4f} - accuracy: {1 - 1 / (i + 1):.4f}",
            )
        )
    return lines


def lightning(dice: random.Random, start: float, end: float, _what: str) -> list[Line]:
    n, per = dice.randrange(4, 15), 10
    each = (end - start) / (n * per)
    return [
        (
            t,
            f"Epoch {i // per}: {10 * (i % per):3d}%|{'#' * (i % per):<10}| {20 * (i % per)}/200 [{hms(each * (i % per))}<{hms(each * (per - i % per))}, {each / 20:5.2f}s/it, v_num=0, train_loss={dice.random():.3f}]",
        )
        for i, t in enumerate(ticks(dice, start, end, n * per))
    ]


def xgboost(dice: random.Random, start: float, end: float, _what: str) -> list[Line]:
    n = dice.randrange(40, 300)
    return [
        (t, f"[{i}]\ttrain-rmse:{1 / (i + 1) + 0.2:.5f}\teval-rmse:{1 / (i + 1) + 0.25:.5f}")
        for i, t in enumerate(ticks(dice, start, end, n))
    ]


def spark(dice: random.Random, start: float, end: float, _what: str) -> list[Line]:
    n = dice.randrange(60, 300)
    each = (end - start) / n * 1000
    return [
        (
            t,
            f"26/11/11 {int(t) // 3600 % 24:02d}:{int(t) // 60 % 60:02d}:{int(t) % 60:02d} INFO TaskSetManager: Finished task {i}.0 in stage 3.0 (TID {200 + i}) in {each * dice.uniform(0.8, 1.2):.0f} ms on 10.0.0.3 (executor driver) ({i + 1}/{n * 3})",
        )
        for i, t in enumerate(ticks(dice, start, end, n))
    ]


def heartbeats(dice: random.Random, start: float, end: float, _what: str) -> list[Line]:
    n = dice.randrange(1200, 2500)
    text = dice.choice(["still alive", "heartbeat", "INFO:root:heartbeat ok", "ping"])
    return [(t, text) for t in ticks(dice, start, end, n)]


COMPUTE: list[Writer] = [
    python_logging,
    printed,
    tqdm,
    json_lines,
    steps,
    keras,
    lightning,
    xgboost,
    spark,
]
SECTION: list[Writer] = [python_logging, printed, tqdm, json_lines, steps]
SECTIONS = [
    "normalise_variants",
    "feature_engineering",
    "tokenize",
    "preprocess",
    "compute_distances",
    "parse_vcf",
    "resample",
    "dedupe",
]


def growing(dice: random.Random, start: float, end: float, what: str) -> list[Line]:
    n = dice.randrange(60, 160)
    lines: list[Line] = []
    span = end - start
    for i in range(1, n + 1):
        t = start + span * (i / n) ** 2
        took = span * ((i / n) ** 2 - ((i - 1) / n) ** 2)
        lines.append(
            (
                t,
                dice.choice(
                    ["{w}: chunk {i} merged in {s:.1f}s", "{w}: chunk {i} merged in {s:.1f}s"]
                ).format(w=what, i=i, s=took),
            )
        )
    return lines


# -- fetching ---------------------------------------------------------------------------------


def shards(dice: random.Random, start: float, end: float, _what: str) -> list[Line]:
    n = max(8, int((end - start) / dice.uniform(35, 120)))
    n = min(n, 400)
    each = (end - start) / n
    return [
        (t, f"downloaded shard {i}/{n + 200} in {each * dice.uniform(0.9, 1.0):.1f}s")
        for i, t in enumerate(ticks(dice, start, end, n), 1)
    ]


def gets(dice: random.Random, start: float, end: float, what: str) -> list[Line]:
    n = min(600, max(8, int((end - start) / dice.uniform(8, 40))))
    each = (end - start) / n
    return [
        (t, f"GET {what}/v1/records?page={i} 200 in {each * dice.uniform(0.9, 1.0):.1f}s")
        for i, t in enumerate(ticks(dice, start, end, n), 1)
    ]


def gs_copies(dice: random.Random, start: float, end: float, what: str) -> list[Line]:
    n = min(300, max(8, int((end - start) / dice.uniform(40, 200))))
    each = (end - start) / n
    bucket = what if what.startswith("gs://") else "gs://lab-archive"
    return [
        (
            t,
            f"2026-11-11 INFO reader: fetched {bucket}/part-{i:05d}.parquet ({dice.randrange(80, 400)} MiB) in {each * dice.uniform(0.9, 1.0):.1f} s",
        )
        for i, t in enumerate(ticks(dice, start, end, n), 1)
    ]


def httpx_ms(dice: random.Random, start: float, end: float, what: str) -> list[Line]:
    n = min(500, max(8, int((end - start) / dice.uniform(5, 30))))
    each = (end - start) / n
    return [
        (
            t,
            f'{{"event": "http_request", "url": "{what}/lookup/{dice.randrange(10**6)}", "status": 200, "elapsed_ms": {each * 1000 * dice.uniform(0.9, 1.0):.0f}}}',
        )
        for t in ticks(dice, start, end, n)
    ]


def retries(dice: random.Random, start: float, end: float, what: str) -> list[Line]:
    n = min(500, max(20, int((end - start) / 40)))
    host = what.split("/")[2]
    forms = [
        f"WARNING:urllib3.connectionpool:Retrying (Retry(total={{k}}, connect=None, read=None, redirect=None, status=None)) after connection broken by 'ReadTimeoutError(\"HTTPSConnectionPool(host='{host}', port=443): Read timed out. (read timeout=30)\")': /v2/batch",
        f"request to {what}/v2/batch timed out after 30.0s, retrying ({{k}} of 5)",
    ]
    form = dice.choice(forms)
    return [(t, form.format(k=i % 5)) for i, t in enumerate(ticks(dice, start, end, n))]


def waiting(dice: random.Random, start: float, end: float, what: str) -> list[Line]:
    n = min(500, max(20, int((end - start) / 30)))
    form = dice.choice(
        [
            f"waiting for response from {what} ({{s:.0f}}s so far)",
            f"still waiting for {what} to answer, {{s:.0f}} s elapsed",
            f"polling {what}/status: pending, waited {{s:.0f}}s",
        ]
    )
    return [(t, form.format(s=t - start)) for t in ticks(dice, start, end, n)]
