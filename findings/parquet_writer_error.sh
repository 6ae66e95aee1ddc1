#!/usr/bin/env bash
# Guess: an exception within `with pq.ParquetWriter(…)` leaves a file without a footer, which nobody can
#   read: a job that failed half-way leaves nothing that looks complete.
# Seen: leaving the block writes the footer, exception or not. The file is valid and holds the batches up
#   to the error: 4 rows of 10.
# Versions: pyarrow 26.0.1, Python 3.11; 2026-11-29.
# So: a job that failed with an exception (MemoryError too) leaves a readable, shorter output; only one
#   that was killed leaves an unreadable one. "The output is there and opens" is no reason to pass over a
#   step when it is run again: write to another name and rename at the end.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv" || exit 2
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  pyarrow==26.0.1 || exit 2
cd "$folder"

"$folder/venv/bin/python" -W ignore - <<'PYTHON'
import sys

import pyarrow as pa
import pyarrow.parquet as pq

schema = pa.schema([("read", pa.int64())])
try:
    with pq.ParquetWriter("calls.parquet", schema) as writer:
        for number in range(5):
            if number == 2:
                raise MemoryError("the third batch does not fit")
            writer.write_batch(pa.record_batch([[number, number]], schema=schema))
except MemoryError as err:
    print("raised:", err)
rows = pq.read_table("calls.parquet").num_rows
print("rows in the file:", rows)
sys.exit(rows != 4)
PYTHON
