#!/usr/bin/env bash
# Guess: `soundfile.read` of a recording whose copy broke off raises, or warns as scipy does ("Reached EOF
#   prematurely").
# Seen: only FLAC raises. A WAV is shorter (and `soundfile.info` says so too, against its own header), an MP3 is
#   shorter than its `info` says, and an OGG is an empty array: 0 frames, no error, no warning.
# Versions: soundfile 0.14.0 (its own libsndfile), numpy 2.4.6, scipy 1.17.1, Python 3.11; 2026-12-01.
# So: a speech job over a broken copy trains on halves and silences, or dies far away of an array of size 0 ("cannot
#   reshape", "max() arg is an empty sequence"), which reads like a bug. Compare the size of the file with its
#   source.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv" || exit 2
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  soundfile==0.14.0 numpy==2.4.6 scipy==1.17.1 || exit 2
cd "$folder"

"$folder/venv/bin/python" - <<'PYTHON'
import sys
import warnings
from pathlib import Path

import numpy
import scipy.io.wavfile
import soundfile

FRAMES = 160_000
tone = 0.3 * numpy.sin(numpy.arange(FRAMES) / 20)
seen = {}
with warnings.catch_warnings(record=True) as warned:
    warnings.simplefilter("always")
    for suffix in ("wav", "flac", "mp3", "ogg"):
        soundfile.write(f"whole.{suffix}", tone, 16_000)
        if len(soundfile.read(f"whole.{suffix}")[0]) != FRAMES:
            sys.exit(2)
        whole = Path(f"whole.{suffix}").read_bytes()
        Path(f"cut.{suffix}").write_bytes(whole[: len(whole) // 2])
        try:
            seen[suffix] = (len(soundfile.read(f"cut.{suffix}")[0]), soundfile.info(f"cut.{suffix}").frames)
        except soundfile.LibsndfileError as error:
            seen[suffix] = str(error)
        print(f"cut.{suffix}, frames read and in info: {seen[suffix]}")
quiet = not warned
with warnings.catch_warnings(record=True) as warned:
    warnings.simplefilter("always")
    scipy.io.wavfile.read("cut.wav")
print("scipy over cut.wav:", *(str(warning.message) for warning in warned))
wav, mp3 = seen["wav"], seen["mp3"]
changed = (
    not quiet
    or not (0 < wav[0] < FRAMES and wav[1] == wav[0])
    or not (0 < mp3[0] < FRAMES and mp3[1] == FRAMES)
    or seen["ogg"] != (0, 0)
    or not isinstance(seen["flac"], str)
    or "prematurely" not in str(warned[0].message)
)
sys.exit(changed)
PYTHON
