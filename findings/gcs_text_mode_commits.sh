#!/usr/bin/env bash
# Guess: an exception within `with blob.open("w")` (google-cloud-storage) or `with fs.open(…, "wb")` (gcsfs) leaves no
#   object behind: Cloud Storage shows an object only when its upload is finished.
# Seen: the upload is finished, and the object holds what was written so far. google-cloud-storage gives it up only in
#   binary mode, `blob.open("wb")`; in text mode the same exception commits. gcsfs commits in both.
# Versions: google-cloud-storage 3.17.1, gcsfs 2026.10.1, Python 3.11; 2026-12-01.
# So: a job that died of an exception (MemoryError too) has replaced yesterday's object by a part of today's: a step
#   that asks whether its output exists is passed over, and the next reads fewer rows. Write to another name first.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv" || exit 2
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  google-cloud-storage==3.17.1 gcsfs==2026.10.1 || exit 2
cd "$folder"

GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT=false "$folder/venv/bin/python" -W ignore - <<'PYTHON'
import base64
import http.server
import json
import os
import sys
import threading
import urllib.parse

import google_crc32c

uploads = {}
objects = {}


class Bucket(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, status, document, **headers):
        body = json.dumps(document).encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def handle_request(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        asked = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(self.path).query))
        upload = uploads.get(asked.get("upload_id"))
        if self.command == "DELETE":
            self.answer(499, {})
        elif upload is None and self.command == "POST":
            number = str(len(uploads))
            uploads[number] = {"name": asked.get("name") or json.loads(body)["name"], "data": b""}
            self.answer(200, {}, Location=f"http://{self.headers['Host']}/upload?upload_id={number}")
        elif upload is not None:
            upload["data"] += body
            if self.headers["Content-Range"].endswith("/*"):
                self.answer(308, {}, Range=f"bytes=0-{len(upload['data']) - 1}")
            else:
                objects[upload["name"]] = upload["data"]
                checksum = google_crc32c.Checksum(upload["data"]).digest()
                self.answer(200, {"name": upload["name"], "crc32c": base64.b64encode(checksum).decode()})
        else:
            self.answer(404, {"error": {"code": 404, "message": "not found"}})

    do_GET = do_POST = do_PUT = do_DELETE = handle_request

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Bucket)
threading.Thread(target=server.serve_forever, daemon=True).start()
os.environ["STORAGE_EMULATOR_HOST"] = address = f"http://127.0.0.1:{server.server_port}"

import gcsfs
from google.auth.credentials import AnonymousCredentials
from google.cloud import storage

bucket = storage.Client(project="lab", credentials=AnonymousCredentials()).bucket("lab")
files = gcsfs.GCSFileSystem(project="lab", token="anon", endpoint_url=address)
seen = []
for name, row, open_output in (
    ("blob.open('wb')", b"row\n", lambda: bucket.blob("rows").open("wb")),
    ("blob.open('w')", "row\n", lambda: bucket.blob("rows").open("w")),
    ("gcsfs 'wb'", b"row\n", lambda: files.open("lab/rows", "wb")),
    ("gcsfs 'w'", "row\n", lambda: files.open("lab/rows", "w")),
):
    objects.clear()
    try:
        with open_output() as output:
            for number in range(1000):
                if number == 400:
                    raise MemoryError
                output.write(row)
    except MemoryError:
        committed = objects["rows"].count(b"\n") if "rows" in objects else None
    seen.append(committed)
    print(f"{name}: MemoryError after 400 of 1000 rows; rows in the object: {committed}")
sys.exit(seen != [None, 400, 400, 400])
PYTHON
