#!/usr/bin/env bash
# Guess: `InferenceSession(model, providers=["CUDAExecutionProvider"])`, which names no CPU, raises where there is no
#   GPU or no GPU build; a name that no provider has (`CudaExecutionProvider`) raises everywhere.
# Seen: both run on the CPU. One Python warning ("Specified provider 'CUDAExecutionProvider' is not in available
#   provider names") is all; with `-W ignore` nothing. Only `session.get_providers()` tells.
# Versions: onnxruntime 1.32.0, numpy 2.4.6, Python 3.11; 2026-12-01.
# So: the image has `onnxruntime` where `onnxruntime-gpu` was meant, and the job pays for a GPU that idles while it runs
#   out of time, or the CPU is full: another accelerator changes nothing. The warning is positive evidence that a GPU
#   was wanted and the work ran without.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv" || exit 2
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  onnxruntime==1.32.0 numpy==2.4.6 || exit 2
cd "$folder"

"$folder/venv/bin/python" - <<'PYTHON'
import sys
import warnings

import numpy
import onnxruntime


def field(number, value):
    """One field of a protocol buffer: bytes with their length, or a small number."""
    if isinstance(value, int):
        return bytes([number << 3, value])
    return bytes([number << 3 | 2, len(value)]) + value


def vector(name):
    shape = field(2, field(1, field(1, 2)))
    return field(1, name) + field(2, field(1, field(1, 1) + shape))


node = field(1, b"x") + field(2, b"y") + field(4, b"Abs")
graph = field(1, node) + field(2, b"absolute") + field(11, vector(b"x")) + field(12, vector(b"y"))
model = field(1, 8) + field(7, graph) + field(8, field(2, 17))
if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
    sys.exit(2)
seen = []
for provider in ("CUDAExecutionProvider", "CudaExecutionProvider"):
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        session = onnxruntime.InferenceSession(model, providers=[provider])
    answer = session.run(None, {"x": numpy.array([-1, 2], numpy.float32)})[0].tolist()
    words = str(warned[0].message).split(".")[0]
    print(f"asked for {provider}: runs on {session.get_providers()}, answers {answer}; {words}")
    seen.append((session.get_providers(), answer, "is not in available provider names" in words))
sys.exit(seen != [(["CPUExecutionProvider"], [1.0, 2.0], True)] * 2)
PYTHON
