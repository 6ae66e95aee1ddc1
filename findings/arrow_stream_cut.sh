#!/usr/bin/env bash
# Guess: an Arrow IPC stream whose end is missing raises when it is read whole, as a truncated Parquet
#   file does.
# Seen: the mark of the end is no part of what must be there. A stream of three batches that is cut
#   behind the second reads as two batches, with no error.
# Versions: pyarrow 26.0.1, Python 3.11; 2026-11-29.
# So: what a killed job had streamed out so far (`.arrow` and `.arrows` files, a pipe between two
#   processes) is taken for the whole by the next one: fewer rows, exit code 0. The file format
#   (`new_file`), which has a footer, raises.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv" || exit 2
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  pyarrow==26.0.1 || exit 2
cd "$folder"

"$folder/venv/bin/python" -W ignore - <<'PYTHON'
import io
import sys

import pyarrow as pa
from pyarrow import ipc

schema = pa.schema([("read", pa.int64())])


def cut(new):
    """What was written when two of three batches were out."""
    sink, ends = io.BytesIO(), []
    writer = new(sink, schema)
    for number in range(3):
        writer.write_batch(pa.record_batch([[number, number]], schema=schema))
        ends.append(sink.tell())
    writer.close()
    return sink.getvalue()[: ends[1]]


rows = ipc.open_stream(cut(ipc.new_stream)).read_all().num_rows
print("rows of a stream of 6, cut behind the second batch:", rows)
try:
    ipc.open_file(cut(ipc.new_file)).read_all()
    refused = ""
except pa.ArrowInvalid as err:
    refused = str(err)
print("the same as a file:", refused)
sys.exit(rows != 4 or not refused)
PYTHON
