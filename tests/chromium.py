"""A page in real headless Chromium, spoken to over its own debugging pipe; no driver, no port."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.waiting import HANG_SECONDS

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
_FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe")


class Chromium:
    """One tab on one file. Commands and events are those of the DevTools protocol."""

    def __init__(self, page: Path, profile: Path) -> None:
        to_read, self._write = os.pipe()
        self._read, to_write = os.pipe()
        command = shlex.join([str(CHROMIUM), *_FLAGS, f"--user-data-dir={profile}", "about:blank"])
        self._process = subprocess.Popen(
            ["bash", "-c", f"exec {command} 3<&{to_read} 4>&{to_write}"],
            pass_fds=(to_read, to_write),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(to_read)
        os.close(to_write)
        self._serial = 0
        self._rest = b""
        self._session = ""
        self.events: list[dict[str, Any]] = []
        targets = self.ask("Target.getTargets")["targetInfos"]
        target = next(one["targetId"] for one in targets if one["type"] == "page")
        attached = self.ask("Target.attachToTarget", targetId=target, flatten=True)
        self._session = str(attached["sessionId"])
        for domain in ("Page", "Network", "Runtime"):
            self.ask(f"{domain}.enable")
        self.ask("Page.navigate", url=page.as_uri())
        self.hear_until(lambda told: told.get("method") == "Page.loadEventFired")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.terminate()
        self._process.wait(timeout=HANG_SECONDS)
        os.close(self._read)
        os.close(self._write)

    def ask(self, method: str, **params: Any) -> dict[str, Any]:
        """One command; its result. A command that Chromium refuses fails the test."""
        self._serial += 1
        serial = self._serial
        message = {"id": serial, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        answer = self.hear_until(lambda told: told.get("id") == serial)
        assert "error" not in answer, answer
        found: dict[str, Any] = answer["result"]
        return found

    def value(self, script: str) -> Any:
        """What a JavaScript expression evaluates to, outside the page's own policy."""
        answer = self.ask("Runtime.evaluate", expression=script, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def press(self, key: str, *, text: str = "") -> None:
        """A key goes down and up, with the letter it writes."""
        code = {"Tab": 9, "Enter": 13, " ": 32}.get(key, ord(key[0]))
        common = {"key": key, "code": key, "windowsVirtualKeyCode": code}
        written = text or {"Enter": "\r", " ": " "}.get(key, "")
        self.ask("Input.dispatchKeyEvent", type="keyDown", text=written, **common)
        self.ask("Input.dispatchKeyEvent", type="keyUp", **common)

    def write(self, words: str) -> None:
        """Text as from a keyboard, into whatever has the focus."""
        self.ask("Input.insertText", text=words)

    def size(self, width: int, height: int = 900) -> None:
        """The window in CSS pixels; a phone's below 600."""
        self.ask(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 600,  # about the widest phone
        )

    def scheme(self, name: str) -> None:
        """`light` or `dark`, as the reader prefers."""
        feature = {"name": "prefers-color-scheme", "value": name}
        self.ask("Emulation.setEmulatedMedia", features=[feature])

    def requested(self) -> list[str]:
        """Every address that was asked for so far."""
        return [
            one["params"]["request"]["url"]
            for one in self.events
            if one.get("method") == "Network.requestWillBeSent"
        ]

    def hear_until(self, wanted: Any) -> dict[str, Any]:
        while True:
            while b"\0" in self._rest:
                first, self._rest = self._rest.split(b"\0", 1)
                told: dict[str, Any] = json.loads(first)
                if "method" in told:
                    self.events.append(told)
                if wanted(told):
                    return told
            chunk = os.read(self._read, 1 << 16)
            assert chunk, "Chromium has gone"
            self._rest += chunk
