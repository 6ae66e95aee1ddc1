#!/usr/bin/env bash
# Guess: Apache Beam's `ReadFromText` over a `.gz` whose copy broke off fails the pipeline, as Python's gzip does
#   ("Compressed file ended before the end-of-stream marker was reached").
# Seen: it reads the lines up to the break and ends well: about half of them of gzip, xz and zstd, none at all of bzip2.
#   No error, no warning, state DONE.
# Versions: apache-beam 2.77.0, zstandard 0.25.0, Python 3.11; 2026-12-01. Run by its own direct runner.
# So: a Dataflow job or a pipeline's step over a broken copy SUCCEEDS on half of its data, and zero rows of a `.bz2` are
#   no empty input. What fails is the training behind it. Compare the object's size or checksum, or count the lines.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv" || exit 2
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  apache-beam==2.77.0 zstandard==0.25.0 || exit 2
cd "$folder"

cat >lines.py <<'PYTHON'
import bz2
import gzip
import lzma
import random
import sys
from pathlib import Path

import apache_beam as beam
import zstandard

random.seed(1)
LINES = 20_000
text = "".join(f"{number},{random.random()}\n" for number in range(LINES)).encode()
PACKED = {
    "gz": gzip.compress(text),
    "bz2": bz2.compress(text),
    "xz": lzma.compress(text),
    "zst": zstandard.compress(text),
}


def count(path):
    try:
        with beam.Pipeline(runner="DirectRunner") as pipeline:
            counted = pipeline | beam.io.ReadFromText(path) | beam.combiners.Count.Globally()
            counted | beam.Map(lambda number: Path("count").write_text(str(number)))
    except Exception as error:
        return type(error).__name__
    return int(Path("count").read_text())


seen = {}
for suffix, packed in PACKED.items():
    Path(f"whole.{suffix}").write_bytes(packed)
    Path(f"cut.{suffix}").write_bytes(packed[: len(packed) // 2])
    if count(f"whole.{suffix}") != LINES:
        sys.exit(2)
    seen[suffix] = count(f"cut.{suffix}")
    print(f"cut.{suffix}: {seen[suffix]} of {LINES} lines", flush=True)
short = all(isinstance(seen[suffix], int) and 0 < seen[suffix] < LINES for suffix in ("gz", "xz", "zst"))
sys.exit(not short or seen["bz2"] != 0)
PYTHON
"$folder/venv/bin/python" -W ignore lines.py 2>errors
! grep -qiE "truncat|end-of-stream|EOF|corrupt" errors
