#!/usr/bin/env bash
# Guess: `transfer_manager.download_many_to_path` raises NotFound when one of the objects is not there.
# Seen: it returns. The list that it returns has None for what was downloaded and the NotFound as a value for
#   what was not; `raise_exception=True` has to be asked for.
# Versions: google-cloud-storage 3.17.1, Python 3.11; 2026-11-30.
# So: a job that drops the result goes on with half of its files and dies later of one that "does not exist",
#   far from the download; the storage error stands nowhere in the log.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv" || exit 2
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  google-cloud-storage==3.17.1 || exit 2
cd "$folder"

"$folder/venv/bin/python" -W ignore - <<'PYTHON'
import http.server
import sys
import threading
from pathlib import Path

from google.api_core.exceptions import NotFound
from google.auth.credentials import AnonymousCredentials
from google.cloud import storage
from google.cloud.storage import transfer_manager


class Bucket(http.server.BaseHTTPRequestHandler):
    """A bucket with every object but one."""

    def do_GET(self):
        self.send_response(404 if "missing" in self.path else 200)
        self.send_header("Content-Length", "5")
        self.end_headers()
        self.wfile.write(b"hello")

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Bucket)
threading.Thread(target=server.serve_forever, daemon=True).start()
client = storage.Client(
    project="p",
    credentials=AnonymousCredentials(),
    client_options={"api_endpoint": f"http://127.0.0.1:{server.server_port}"},
)


def download(**more):
    return transfer_manager.download_many_to_path(
        client.bucket("b"),
        ["reads.txt", "missing.txt"],
        destination_directory="files",
        worker_type=transfer_manager.THREAD,
        **more,
    )


Path("files").mkdir()
seen = [type(one).__name__ for one in download()]
print("returns", seen, "with", sorted(path.name for path in Path("files").iterdir()))
try:
    download(raise_exception=True)
    raised = "nothing"
except NotFound:
    raised = "NotFound"
print("with raise_exception=True it raises", raised)
sys.exit((seen, raised) != (["NoneType", "NotFound"], "NotFound"))
PYTHON
