#!/usr/bin/env bash
# Guess: reading a Zarr array of which a chunk's file is missing raises, as a truncated file would.
# Seen: the missing chunk reads as the fill value. `[1, 2, 3, 4]` without its second chunk is
#   `[1, 2, 0, 0]`, with neither error nor warning.
# Versions: zarr 3.1.6, numpy 2.4.6, Python 3.11; 2026-11-29.
# So: an array that a killed job left half written (a machine taken back, memory that ran out) opens as a
#   whole one, and the next step ends well on zeros. That the output is there is no proof that a job may
#   be passed over: count the chunks (`nchunks_initialized` against `nchunks`), or write it again.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv" || exit 2
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  zarr==3.1.6 numpy==2.4.6 || exit 2
cd "$folder"

"$folder/venv/bin/python" -W ignore - <<'PYTHON'
import os
import sys

import zarr

array = zarr.create_array("counts.zarr", shape=(4,), chunks=(2,), dtype="f4", compressors=None)
array[:] = [1, 2, 3, 4]
os.remove("counts.zarr/c/1")
again = zarr.open_array("counts.zarr", mode="r")
values, there, wanted = again[:].tolist(), again.nchunks_initialized, again.nchunks
print("read:", values, "chunks there:", there, "of", wanted)
sys.exit((values, there, wanted) != ([1.0, 2.0, 0.0, 0.0], 1, 2))
PYTHON
