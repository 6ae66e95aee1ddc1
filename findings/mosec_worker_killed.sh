#!/usr/bin/env bash
# Guess: when the kernel kills Mosec's only worker (SIGKILL, as for memory), its server starts another, or
#   ends with an exit code other than 0; the request is answered 500 or its connection breaks off.
# Seen: the whole server ends, "halted normally [0]", with exit code 0; no line names the signal, only "all
#   the … workers exited"; and the request is answered 408, "task was not completed in the expected time".
# Versions: mosec 0.9.8, Python 3.11; 2026-11-30.
# So: memory that ran out looks like a slow model (408) and an orderly end (0). A 408 beside "all the …
#   workers exited" is a dead worker, no time-out: look at the container's memory first.
set -euo pipefail
folder="$(mktemp -d)"
server=""
trap '[ -z "$server" ] || kill -9 -- "-$server" 2>/dev/null || true; rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv" || exit 2
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check mosec==0.9.8 || exit 2
cd "$folder"

cat >serve.py <<'PYTHON'
import os
import time
from pathlib import Path

from mosec import Server, Worker


class Ranker(Worker):
    def forward(self, data):
        Path("worker").write_text(str(os.getpid()))
        time.sleep(30)
        return {"score": 0.5}


if __name__ == "__main__":
    server = Server()
    server.append_worker(Ranker, num=1)
    server.run()
PYTHON
port="$("$folder/venv/bin/python" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')"
setsid bash -c 'code=0; venv/bin/python serve.py --address 127.0.0.1 --port "$0" --timeout 10000 || code=$?; echo "$code" >code' "$port" >log 2>&1 &
server=$!
"$folder/venv/bin/python" - "$port" <<'PYTHON'
import os
import signal
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

URL = f"http://127.0.0.1:{sys.argv[1]}"


def ask(path, body=None):
    try:
        with urllib.request.urlopen(URL + path, body, timeout=90) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code
    except OSError as error:
        return str(error)


def wait(condition):
    for _ in range(150):
        if condition():
            return
        time.sleep(0.2)
    print(Path("log").read_text())
    sys.exit(2)


wait(lambda: ask("/") == 200)
answers = []
client = threading.Thread(target=lambda: answers.append(ask("/inference", b"{}")))
client.start()
wait(Path("worker").exists)
time.sleep(0.5)
os.kill(int(Path("worker").read_text()), signal.SIGKILL)
wait(Path("code").exists)
client.join()
log = Path("log").read_text()
print("the request was answered:", answers[0])
print("the server's exit code:", Path("code").read_text().strip())
for line in log.splitlines()[-6:]:
    print("   ", line[:180])
named = "sigkill" in log.lower() or "signal 9" in log.lower() or "-9" in log
sys.exit(not (answers == [408] and Path("code").read_text().strip() == "0" and not named))
PYTHON
