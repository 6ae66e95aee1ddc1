#!/usr/bin/env bash
# Guess: `StructuredLogHandler` writes a level of the program's own (45, between ERROR and CRITICAL) as the
#   severity below it, ERROR.
# Seen: it writes `"severity": "Level 45"`, or the name that `logging.addLevelName` gave the level, such as
#   `"FATALITY"`. Neither is one of Cloud Logging's severities.
# Versions: google-cloud-logging 3.17.0, Python 3.11; 2026-11-29.
# So: such a line is no error for whoever selects or counts by severity names (`severity>=ERROR`), though
#   it is worse than one. A reader of a job's log must judge an entry of no known severity by its text.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv" || exit 2
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  google-cloud-logging==3.17.0 || exit 2
cd "$folder"

"$folder/venv/bin/python" -W ignore - <<'PYTHON'
import io
import json
import logging
import sys

from google.cloud.logging.handlers import StructuredLogHandler
from google.logging.type.log_severity_pb2 import LogSeverity

lines = io.StringIO()
logger = logging.getLogger("trainer")
logger.propagate = False
logger.addHandler(StructuredLogHandler(stream=lines, project_id="lab"))
logging.addLevelName(46, "FATALITY")
for level in (40, 45, 46, 50):
    logger.log(level, "level %d", level)
said = [json.loads(line) for line in lines.getvalue().splitlines()]
seen = {one["message"]: one["severity"] for one in said if "message" in one}
known = set(LogSeverity.keys())
for message, severity in seen.items():
    print(f"{message}: severity {severity!r}, known to Cloud Logging: {severity in known}")
wanted = {"level 40": "ERROR", "level 45": "Level 45", "level 46": "FATALITY", "level 50": "CRITICAL"}
sys.exit(seen != wanted or {"Level 45", "FATALITY"} & known != set())
PYTHON
