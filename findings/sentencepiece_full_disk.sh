#!/usr/bin/env bash
# Guess: `SentencePieceTrainer.train` raises where it cannot write its model because the disk is full, as XGBoost,
#   LightGBM, faiss and tokenizers do.
# Seen: it returns. The model and the vocabulary are empty files, the log's last lines are "Saving model" and
#   "Saving vocabs", and nothing says that it failed. Loading them says "unk is not defined".
# Versions: sentencepiece 0.2.3, Python 3.11; 2026-12-01.
# So: hours of training a tokenizer end with 0 and without a model; the job that fails is the next one, of "unk is
#   not defined", which reads like a bad vocabulary. Look at the size of the `.model` file, and at the first job's disk.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
command -v unshare >/dev/null || exit 2
python3 -m venv "$folder/venv" || exit 2
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  sentencepiece==0.2.3 || exit 2
cd "$folder"

cat >train.py <<'PYTHON'
import random
from pathlib import Path

from sentencepiece import SentencePieceTrainer

random.seed(0)
Path("reads.txt").write_text(
    "\n".join(" ".join(str(random.randrange(500)) for _ in range(8)) for _ in range(2000))
)
SentencePieceTrainer.train(input="reads.txt", model_prefix="small/pieces", vocab_size=100)
PYTHON
cat >load.py <<'PYTHON'
from sentencepiece import SentencePieceProcessor

print(SentencePieceProcessor(model_file="small/pieces.model").get_piece_size())
PYTHON
mkdir small
cat >run.sh <<'SH'
mount -t tmpfs -o size=64k tmpfs small || exit 2
head -c 1M /dev/zero >small/checkpoint 2>/dev/null || true
trained=0 loaded=0
venv/bin/python train.py >train.log 2>&1 || trained=$?
model="$(stat -c %s small/pieces.model)" vocabulary="$(stat -c %s small/pieces.vocab)"
venv/bin/python load.py >load.log 2>&1 || loaded=$?
echo "train.py: exit code $trained, model $model bytes, vocabulary $vocabulary bytes; its log ends:"
tail -2 train.log | sed 's/.*\] /    /'
echo "load.py: exit code $loaded: $(tail -1 load.log)"
[ "$trained $model $vocabulary $loaded" = "0 0 0 1" ] && ! grep -qiE "space left|error|fail" train.log &&
  grep -q "unk is not defined" load.log
SH
venv/bin/python train.py >before.log 2>&1 && venv/bin/python load.py && rm small/* || exit 2 # with room it works
unshare --user --map-root-user true || exit 2
unshare --user --map-root-user --mount bash run.sh
