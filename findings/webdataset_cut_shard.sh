#!/usr/bin/env bash
# Guess: a WebDataset shard that was cut while it was copied raises when it is read to its end.
# Seen: it depends on the byte. Cut inside a member's data it raises tarfile's ReadError; cut between two
#   members (or inside a header) it is read as a shorter shard: 3 of 10 samples, no error, no warning.
# Versions: webdataset 1.0.2, Python 3.11; 2026-11-30.
# So: an epoch that is shorter than it was is no progress, and a training that "finished early" may have
#   read half of its data. Compare the number of samples, or the object's size and checksum.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv" || exit 2
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  webdataset==1.0.2 numpy==2.3.5 || exit 2
cd "$folder"

"$folder/venv/bin/python" -W ignore - <<'PYTHON'
import io
import sys
import tarfile
from pathlib import Path

import webdataset

whole = io.BytesIO()
with tarfile.open(fileobj=whole, mode="w") as shard:
    for number in range(10):
        for suffix, data in (("txt", b"x" * 700), ("cls", b"1")):
            member = tarfile.TarInfo(f"{number:04d}.{suffix}")
            member.size = len(data)
            shard.addfile(member, io.BytesIO(data))

A_SAMPLE = 5 * 512  # a header and two blocks, a header and one block
seen = {}
for name, size in (("whole", None), ("between", 3 * A_SAMPLE), ("inside", 3 * A_SAMPLE + 700)):
    Path("shard.tar").write_bytes(whole.getvalue()[:size])
    try:
        seen[name] = len(list(webdataset.WebDataset("shard.tar", shardshuffle=False)))
    except tarfile.ReadError as err:
        seen[name] = type(err).__name__
    print(f"{name}: {seen[name]}")
sys.exit(seen != {"whole": 10, "between": 3, "inside": "ReadError"})
PYTHON
