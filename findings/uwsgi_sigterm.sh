#!/usr/bin/env bash
# Guess: uWSGI ends when it gets SIGTERM, as every other server does, at the latest when its workers have.
# Seen: its master kills the workers, says "binary reloading uWSGI" and starts them all anew: after SIGTERM it serves as
#   before. SIGINT ends it, and SIGTERM does where `--die-on-term` was given.
# Versions: uwsgi-core 2.0.21-5.1, uwsgi-plugin-python3 2.0.21-5.1 (Debian 12); 2026-12-01.
# So: a container that is told to stop loads its model a second time, drops the requests that it had, and is killed when
#   the time of grace is over: exit code 137, with the memory of two models for a moment. "binary reloading" before a
#   137 is the stop of a healthy server, no lack of memory.
set -euo pipefail
folder="$(mktemp -d)"
server=""
trap '[ -z "$server" ] || kill -9 -- "-$server" 2>/dev/null || true; rm -rf "$folder"' EXIT
cd "$folder"
command -v curl >/dev/null || exit 2
command -v dpkg-deb >/dev/null || exit 2
# uWSGI itself is pinned; the libraries that it is linked with are the release's
apt-get download uwsgi-core=2.0.21-5.1 uwsgi-plugin-python3=2.0.21-5.1 libpython3.11 libpython3.11-stdlib \
  libpython3.11-minimal libpcre3 libyajl2 libyaml-0-2 libzmq5 libxml2 libicu72 libsodium23 libpgm-5.3-0 libnorm1 \
  libbsd0 libmd0 >/dev/null 2>&1 || exit 2
for package in *.deb; do dpkg-deb -x "$package" . || exit 2; done
export LD_LIBRARY_PATH="$folder/usr/lib/x86_64-linux-gnu:$folder/lib/x86_64-linux-gnu" PYTHONHOME="$folder/usr"
usr/bin/uwsgi-core --version >/dev/null 2>&1 || exit 2

cat >app.py <<'PYTHON'
print("the model is loaded")


def application(environ, start_response):
    start_response("200 OK", [])
    return [b"prediction"]
PYTHON
seen=""
run() { # a name, then uWSGI's arguments: what does it do on SIGTERM?
  local name="$1" port answer alive code=0
  shift
  port="$(env -u PYTHONHOME -u LD_LIBRARY_PATH python3 -c \
    'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')"
  set -m
  usr/bin/uwsgi-core --plugins-dir usr/lib/uwsgi/plugins --plugin python311 --master --processes 1 \
    --http-socket "127.0.0.1:$port" --wsgi-file app.py "$@" >log 2>&1 &
  server=$!
  set +m
  for _ in $(seq 60); do
    ! grep -q "spawned uWSGI worker" log || break
    sleep 0.5
  done
  [ "$(env -u LD_LIBRARY_PATH curl -s --max-time 5 "http://127.0.0.1:$port/")" = prediction ] || exit 2
  kill -TERM "$server"
  for _ in $(seq 60); do
    kill -0 "$server" 2>/dev/null && [ "$(grep -c 'the model is loaded' log)" -lt 2 ] || break
    sleep 0.5
  done
  sleep 1
  answer="$(env -u LD_LIBRARY_PATH curl -s --max-time 5 "http://127.0.0.1:$port/" || echo none)"
  kill -0 "$server" 2>/dev/null && alive=alive || alive=ended
  echo "$name: $alive, the model was loaded $(grep -c 'the model is loaded' log) time(s), answer: $answer"
  seen="$seen $alive/$answer"
  kill -INT "$server" 2>/dev/null || true
  wait "$server" || code=$?
  server=""
}
run "SIGTERM"
grep -o "binary reloading uWSGI" log || exit 1
run "SIGTERM, --die-on-term" --die-on-term
[ "$seen" = " alive/prediction ended/none" ]
