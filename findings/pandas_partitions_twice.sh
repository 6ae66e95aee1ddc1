#!/usr/bin/env bash
# Guess: `frame.to_parquet(path, partition_cols=[…])` over what an earlier run wrote to the same path replaces it, as
#   `to_parquet` without partitions and `to_csv` do.
# Seen: it adds. Each run names its files anew (`<random>-0.parquet`) beside the old ones: written twice, ten rows
#   are read as twenty, without a warning. polars' `partition_by` writes over files of the same
#   names; pandas does with `existing_data_behavior="delete_matching"`.
# Versions: pandas 3.1.1, pyarrow 26.0.1, polars 2.1.0, Python 3.11; 2026-12-01.
# So: a job that failed behind its last `to_parquet` and is run again succeeds with each row twice (or, where the
#   first run died between two partitions, with some of them twice). Empty the path before the second run, or give
#   each run its own.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv" || exit 2
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  pandas==3.1.1 pyarrow==26.0.1 polars==2.1.0 || exit 2
cd "$folder"

venv/bin/python - <<'PYTHON'
import sys
import warnings
from pathlib import Path

import pandas as pd
import polars as pl

warnings.simplefilter("error")
frame = pd.DataFrame({"read": range(10), "sample": ["a", "b"] * 5})
WRITES = {
    "pandas, one file": lambda path: frame.to_parquet(path),
    "pandas, partition_cols": lambda path: frame.to_parquet(path, partition_cols=["sample"]),
    "pandas, delete_matching": lambda path: frame.to_parquet(
        path, partition_cols=["sample"], existing_data_behavior="delete_matching"
    ),
    "polars, partition_by": lambda path: pl.from_pandas(frame).write_parquet(path, partition_by=["sample"]),
}
rows = {}
for number, (name, write) in enumerate(WRITES.items()):
    path = Path(f"out{number}")
    for _ in range(2):
        write(path)
    files = sorted(path.rglob("*.parquet")) if path.is_dir() else [path]
    rows[name] = sum(len(pd.read_parquet(file)) for file in files)
    print(f"{name}, written twice: {rows[name]} rows in {len(files)} file(s)")
assert len(pd.read_parquet("out1")) == rows["pandas, partition_cols"]
sys.exit(list(rows.values()) != [10, 20, 10, 10])
PYTHON
