#!/usr/bin/env bash
# Guess: a BAM that is read over HTTP and answered with an error names the status (`HTTP 503`), or at least
#   fails with one and the same I/O error.
# Seen: htslib turns the status into an errno and forgets it: 503 is told as `Device or resource busy`, 429
#   as `Invalid argument`, 408 and 504 as `Connection timed out`, 401 as `Operation not permitted`, 403 as
#   `Permission denied`, 404 as `No such file or directory`, 500 and 502 as `Input/output error`.
# Versions: pysam 0.24.1 (its own htslib), Python 3.11; 2026-11-29. samtools and bcftools 1.16 say the same.
# So: "Device or resource busy" beside a URL is a server that is overloaded, and "Invalid argument" one that
#   throttles: both pass by themselves, though they read like a bad file and a bad option. Beside a path on
#   disk the same words mean what they say.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv" || exit 2
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  pysam==0.24.1 || exit 2
cd "$folder"

"$folder/venv/bin/python" -W ignore - 2>/dev/null <<'PYTHON'
import errno
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pysam

SEEN = {
    401: errno.EPERM, 403: errno.EACCES, 404: errno.ENOENT, 408: errno.ETIMEDOUT, 429: errno.EINVAL,
    500: errno.EIO, 502: errno.EIO, 503: errno.EBUSY, 504: errno.ETIMEDOUT,
}


class Status(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(int(self.path.strip("/").removesuffix(".bam")))
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_HEAD = do_GET

    def log_message(self, *args):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Status)
threading.Thread(target=server.serve_forever, daemon=True).start()
changed = False
for status, expected in SEEN.items():
    try:
        pysam.AlignmentFile(f"http://127.0.0.1:{server.server_port}/{status}.bam")
        told = None
    except OSError as error:
        told = error.errno
        print(f"HTTP {status}: {type(error).__name__}: {error.strerror}")
    changed = changed or told != expected
sys.exit(changed)
PYTHON
