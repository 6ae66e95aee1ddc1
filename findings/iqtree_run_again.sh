#!/usr/bin/env bash
# Guess: IQ-TREE that is run again over what it has finished says so and ends with 0; over another alignment or model
#   of the same name it computes anew.
# Seen: it ends with 2. "Checkpoint (…) indicates that a previous run successfully finished" is all that it looks at:
#   another model or another alignment under the same prefix ends with 2 too, and the old tree stays in its place.
# Versions: iqtree 2.0.7+dfsg-1 (Debian 12); 2026-12-01.
# So: a step that failed behind IQ-TREE and is run again from the start fails, each time, with 2, though the tree is
#   there: no resource mends it, and to try again makes it certain. Pass over the step, or give it `-redo`.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
cd "$folder"
command -v dpkg-deb >/dev/null || exit 2
for package in iqtree=2.0.7+dfsg-1 libomp5-14; do apt-get download "$package" >/dev/null 2>&1 || exit 2; done
for file in *.deb; do dpkg-deb -x "$file" . || exit 2; done
LD_LIBRARY_PATH="$(dirname "$(find "$folder" -name 'libomp.so.5' | head -1)")"
export LD_LIBRARY_PATH
usr/bin/iqtree2 --version >/dev/null 2>&1 || exit 2

python3 - <<'PYTHON'
import random

random.seed(2)
root = [random.choice("ACGT") for _ in range(300)]
for name, last in (("a.fa", "t5"), ("renamed.fa", "other")):
    random.seed(3)
    with open(name, "w") as alignment:
        for number in range(6):
            taxon = last if number == 5 else f"t{number}"
            bases = [random.choice("ACGT") if random.random() < 0.03 * (number + 1) else base for base in root]
            alignment.write(f">{taxon}\n{''.join(bases)}\n")
PYTHON
seen=""
run() { # a name, then IQ-TREE's arguments
  local name="$1" code=0
  shift
  usr/bin/iqtree2 -nt 1 "$@" >log 2>&1 || code=$?
  echo "$name: exit code $code; $(grep -m 1 -oE 'indicates that a previous run successfully finished' log || true)"
  seen="$seen $code"
}
run "first run" -s a.fa -m JC
run "again" -s a.fa -m JC
run "another model" -s a.fa -m HKY
cp renamed.fa a.fa
run "another alignment" -s a.fa -m JC
grep -q "t5" a.fa.treefile && ! grep -q "other" a.fa.treefile || exit 1
run "with -redo" -s a.fa -m JC -redo
[ "$seen" = " 0 2 2 2 0" ] && grep -q "other" a.fa.treefile
