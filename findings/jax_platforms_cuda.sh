#!/usr/bin/env bash
# Guess: JAX_PLATFORMS=cuda without a GPU (the usual `jax` wheel) fails with a RuntimeError that names the
#   backend: "Unable to initialize backend 'cuda'".
# Seen: `jax.devices()` ends in a bare `AssertionError` without a word, at `assert _default_backend is not
#   None` in xla_bridge.py; no line of the output names CUDA, a GPU or a driver.
# Versions: jax 0.10.2, jaxlib 0.10.2, Python 3.11; 2026-11-29.
# So: an AssertionError whose last frame is jax/_src/xla_bridge.py is no bug of the user's code: the platform
#   that the job asks for is not in the image or not in the machine. JAX_PLATFORMS=cpu shows which.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv" || exit 2
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  jax==0.10.2 jaxlib==0.10.2 || exit 2
cd "$folder"

code=0
JAX_PLATFORMS=cuda "$folder/venv/bin/python" -c "import jax; print(jax.devices())" >out 2>&1 || code=$?
tail -n 4 out
echo "exit code $code; lines that name CUDA, GPU or a driver: $(grep -ciE 'cuda|gpu|driver' out || true)"
JAX_PLATFORMS=cpu "$folder/venv/bin/python" -c "import jax; print(jax.devices())" || exit 2
[ "$code" = 1 ] && [ "$(tail -n 1 out)" = "AssertionError" ] && ! grep -qiE "cuda|gpu|driver" out
