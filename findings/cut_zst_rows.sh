#!/usr/bin/env bash
# Guess: reading a `.csv.zst` whose copy broke off raises, as reading a `.csv.gz` does.
# Seen: pandas and duckdb read the rows up to the break and stop as at the end of a whole file: 5,447 of 20,000, with
#   no error and no warning. polars ("incomplete frame") and pyarrow ("Truncated compressed stream") raise; the same
#   break in a `.gz` raises in all four.
# Versions: pandas 3.1.1, zstandard 0.25.0, duckdb 2.0.1, polars 2.1.0, pyarrow 25.0.1, Python 3.11; 2026-12-01.
# So: one job that dies of "incomplete frame" says that its neighbours over the same file are wrong too, though they
#   SUCCEEDED; and a change of the input's compression from gz to zst takes away the only sign. Compare the size or the
#   checksum of the copy.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv" || exit 2
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  pandas==3.1.1 zstandard==0.25.0 duckdb==2.0.1 polars==2.1.0 pyarrow==25.0.1 || exit 2
cd "$folder"

"$folder/venv/bin/python" - 2>errors <<'PYTHON'
import gzip
import random
import sys
from pathlib import Path

import duckdb
import pandas
import polars
import pyarrow.csv
import zstandard

random.seed(1)
ROWS = 20_000
text = "id,reading\n" + "".join(f"{number},{random.random()}\n" for number in range(ROWS))
READERS = {
    "pandas": lambda path: len(pandas.read_csv(path)),
    "duckdb": lambda path: duckdb.sql(f"SELECT count(*) FROM read_csv('{path}')").fetchall()[0][0],
    "polars": lambda path: polars.read_csv(path).height,
    "pyarrow": lambda path: pyarrow.csv.read_csv(path).num_rows,
}


def read(reader, path):
    try:
        return READERS[reader](path)
    except Exception as error:
        return f"{type(error).__name__}: {error}"


silent = set()
for suffix, packed in (("gz", gzip.compress(text.encode())), ("zst", zstandard.compress(text.encode()))):
    whole, cut = f"whole.csv.{suffix}", f"cut.csv.{suffix}"
    Path(whole).write_bytes(packed)
    Path(cut).write_bytes(packed[: len(packed) // 2])
    for reader in READERS:
        if read(reader, whole) != ROWS:
            sys.exit(2)
        got = read(reader, cut)
        print(f"{cut}, {reader}: {got}")
        if isinstance(got, int) and 0 < got < ROWS:
            silent.add((suffix, reader))
sys.exit(silent != {("zst", "pandas"), ("zst", "duckdb")})
PYTHON
[ ! -s errors ]
