#!/usr/bin/env bash
# Guess: `SimpleITK.WriteImage` raises where the disk is full, in whatever format it writes.
# Seen: it depends on the file's name. For `.mha`, `.nrrd` and `.tif` it raises RuntimeError; for `.nii` and
#   `.nii.gz` it returns, and the file is empty. A line on stderr that names no file is all: "** ERROR: NWAD:
#   wrote only 0 of 1600000 bytes to file".
# Versions: simpleitk 2.5.7, numpy 2.4.6, Python 3.11; 2026-12-01.
# So: a segmentation whose masks are NIfTI, the usual format, ends with 0 and lost them on a full disk; what dies is
#   the step that reads them. "NWAD: wrote only" in a log is a full disk, whatever the exit code.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
command -v unshare >/dev/null || exit 2
python3 -m venv "$folder/venv" || exit 2
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  simpleitk==2.5.7 numpy==2.4.6 || exit 2
cd "$folder"

cat >write.py <<'PYTHON'
import sys

import numpy as np
import SimpleITK

image = SimpleITK.GetImageFromArray(np.random.default_rng(0).random((20, 100, 100)))
try:
    SimpleITK.WriteImage(image, f"small/mask.{sys.argv[1]}")
except RuntimeError:
    sys.exit(1)
PYTHON
mkdir small
cat >run.sh <<'SH'
mount -t tmpfs -o size=64k tmpfs small || exit 2
head -c 1M /dev/zero >small/checkpoint 2>/dev/null || true
changed=0
for case in nii:0 nii.gz:0 mha:1 nrrd:1 tif:1; do
  name="${case%:*}" code=0
  venv/bin/python write.py "$name" >log 2>&1 || code=$?
  size="$(stat -c %s "small/mask.$name" 2>/dev/null || echo no)"
  echo "mask.$name: exit code $code, $size bytes: $(grep -E 'NWAD' log | head -1)"
  [ "$code" = "${case#*:}" ] || changed=1
  [ "$code" = 1 ] || { [ "$size" = 0 ] && grep -q "NWAD: wrote only" log && ! grep -q "mask" log; } || changed=1
done
exit "$changed"
SH
unshare --user --map-root-user true || exit 2
unshare --user --map-root-user --mount bash run.sh
