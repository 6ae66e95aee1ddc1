"""The real functions-framework, started and ended by the twin."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from twin.cloud import Cloud
from twin.sink import Shape

MAIN = """
import base64, json, os
import flask
import functions_framework

@functions_framework.cloud_event
def hear(event):
    entry = json.loads(base64.b64decode(event.data["message"]["data"]))
    line = json.dumps({"heard": entry["textPayload"], "type": event["type"]})
    os.write(1, f"{line}\\n".encode())
    if entry["textPayload"] == "bad":
        flask.abort(503)

@functions_framework.http
def tell(request):
    return {"setting": os.environ.get("SETTING"), "leaked": os.environ.get("LEAK")}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "main.py").write_text(MAIN)
    return tmp_path


@pytest.mark.parametrize("shape", ["eventarc", "push"])
def test_a_sink_reaches_a_served_function_in_both_shapes(
    cloud: Cloud, folder: Path, shape: Shape
) -> None:
    served = cloud.serve(folder, "hear", cloud.env())
    sink = cloud.add_sink(served.url, "textPayload:*", shape=shape, max_attempts=2, backoff=0.01)
    cloud.log({"textPayload": "good"})
    cloud.log({"textPayload": "bad"})
    assert sink.wait_idle()
    assert [message.entry["textPayload"] for message in sink.delivered] == ["good"]
    assert [message.answers for message in sink.dead_letters] == [[503, 503]]
    heard = [json.loads(text) for text in served.output().splitlines() if text.startswith("{")]
    assert sorted(line["heard"] for line in heard) == ["bad", "bad", "good"]
    assert {line["type"] for line in heard} == {"google.cloud.pubsub.topic.v1.messagePublished"}
    served.stop()
    assert not served.is_alive


def test_a_served_function_sees_its_own_environment_only(
    cloud: Cloud, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LEAK", "1")
    served = cloud.serve(folder, "tell", {"SETTING": "here"}, workers=2)
    status, text = served.post({})
    assert (status, json.loads(text)) == (200, {"setting": "here", "leaked": None})
    served.kill()
    assert not served.is_alive


def test_a_function_that_does_not_start_says_why(cloud: Cloud, tmp_path: Path) -> None:
    (tmp_path / "main.py").write_text("raise SystemExit('a setting is missing')\n")
    with pytest.raises(RuntimeError, match="a setting is missing"):
        cloud.serve(tmp_path, "hear", {})
