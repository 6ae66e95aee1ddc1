#!/usr/bin/env bash
# Guess: a NetCDF file that is made on a full disk raises "No space left on device" (errno 28), in each of its
#   formats, as h5py does.
# Seen: only the classic formats do. For NETCDF4, the default, it is `PermissionError: [Errno 13] Permission
#   denied`, for root as well; an empty file is left behind, so the directory could be written to.
# Versions: netCDF4 1.7.5.1.post1, numpy 2.4.6, h5py 3.16.0, Python 3.11; 2026-12-01.
# So: "Permission denied" with the name of a `.nc` file may be a full disk: roles and modes are looked at for
#   nothing. A mode denies h5py and NETCDF3 alike; where the file is there and empty, look at the disk.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
command -v unshare >/dev/null || exit 2
python3 -m venv "$folder/venv" || exit 2
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  netCDF4==1.7.5.1.post1 numpy==2.4.6 h5py==3.16.0 || exit 2
cd "$folder"

cat >write.py <<'PYTHON'
import sys
from pathlib import Path

import h5py
import netCDF4


def tell(make, name):
    path = Path("small", name)
    try:
        make(path)
    except OSError as error:
        size = path.stat().st_size if path.exists() else None
        print(f"{name}: {type(error).__name__}, errno {error.errno}, {size} bytes: {str(error).split(', filename')[0]}")
        return error.errno, size
    print(f"{name}: no error")
    return None, None


seen = {
    kind: tell(lambda path, kind=kind: netCDF4.Dataset(path, "w", format=kind).close(), f"{kind}.nc")
    for kind in ("NETCDF4", "NETCDF3_CLASSIC")
}
seen["h5py"] = tell(lambda path: h5py.File(path, "w").close(), "h5py.h5")
sys.exit(not (seen["NETCDF4"] == (13, 0) and seen["NETCDF3_CLASSIC"][0] == 28 and seen["h5py"][0] == 28))
PYTHON
mkdir small
cat >run.sh <<'SH'
mount -t tmpfs -o size=64k tmpfs small || exit 2
head -c 1M /dev/zero >small/checkpoint 2>/dev/null || true
venv/bin/python write.py
SH
unshare --user --map-root-user true || exit 2
unshare --user --map-root-user --mount bash run.sh
