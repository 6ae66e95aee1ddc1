#!/usr/bin/env bash
# Guess: a CatBoost training that goes on from its snapshot (`save_snapshot=True`) with another learning rate
#   raises, as it does with another depth or other data.
# Seen: the learning rate and the number of trees are the two that are not compared. The run adds 30 trees at 0.9 to
#   the 30 at 0.1, and `get_all_params()` says 0.9 for all. Asked for 10 trees it returns the 30 of the snapshot.
# Versions: catboost 1.2.10, numpy 2.4.6, Python 3.11; 2026-12-01. Another depth: "Current training params differ
#   from the params saved in snapshot".
# So: a failed training that is made again with a smaller learning rate, over the same snapshot, keeps the trees
#   that went wrong, and its own record denies it. Whoever changes the rate for a retry must drop the snapshot.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv" || exit 2
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  catboost==1.2.10 numpy==2.4.6 || exit 2
cd "$folder"

cat >train.py <<'PYTHON'
import shutil
import sys

import numpy as np
from catboost import CatBoostClassifier, CatBoostError

draws = np.random.default_rng(0)
table = draws.random((500, 20))
labels = (table[:, 0] + 0.3 * draws.random(500) > 0.6).astype(int)


def train(trees, rate, depth=4):
    model = CatBoostClassifier(
        iterations=trees,
        learning_rate=rate,
        depth=depth,
        verbose=0,
        thread_count=1,
        save_snapshot=True,
        snapshot_file="snapshot",
        snapshot_interval=0,
    )
    return model.fit(table, labels)


def leaves(model, first, last):
    return np.array(model.get_leaf_values()).reshape(model.tree_count_, -1)[first:last]


def begin():
    shutil.rmtree("catboost_info", ignore_errors=True)
    return train(30, 0.1)


snapshot = begin()
resumed = train(60, 0.9)
begin()
steady = train(60, 0.1)
same_start = np.allclose(leaves(resumed, 0, 30), leaves(snapshot, 0, 30))
same_end = np.allclose(leaves(resumed, 30, 60), leaves(steady, 30, 60))
told = resumed.get_all_params()["learning_rate"]
print(f"30 trees at 0.1, then 60 asked for at 0.9: {resumed.tree_count_} trees, learning_rate told as {told:.1f}")
print(f"the first 30 are the snapshot's: {same_start}; the last 30 as at 0.1: {same_end}")
begin()
fewer = train(10, 0.1)
print(f"10 asked for: {fewer.tree_count_} trees, iterations told as {fewer.get_all_params()['iterations']}")
begin()
try:
    train(60, 0.1, depth=3)
    other_depth = "no error"
except CatBoostError as error:
    other_depth = str(error).rpartition(": ")[2]
print("another depth:", other_depth)
sys.exit(
    not (
        (resumed.tree_count_, round(told, 3), same_start, same_end) == (60, 0.9, True, False)
        and (fewer.tree_count_, fewer.get_all_params()["iterations"]) == (30, 10)
        and "differ" in other_depth
    )
)
PYTHON
venv/bin/python train.py
