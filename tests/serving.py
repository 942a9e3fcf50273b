"""A server in a process of its own, for tests."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any


class Running:
    """`audiotransfer serve` with its temporary files in a folder."""

    def __init__(self, temporary: Path, *words: str) -> None:
        temporary.mkdir(exist_ok=True)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "audiotransfer", "serve", "--json", *words],
            stdout=subprocess.PIPE,
            env=os.environ | {"TMPDIR": str(temporary)},
            text=True,
        )
        assert self.process.stdout is not None
        lines = ""
        while "}" not in lines:
            line = self.process.stdout.readline()
            assert line, "the server did not start"
            lines += line
        self.url = json.loads(lines)["url"]
        self.base, _, self.token = self.url.partition("/?token=")

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """The JSON of an answer; HTTPError where the request is refused."""
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        request = urllib.request.Request(f"{self.base}{path}", data, headers, method=method)
        with urllib.request.urlopen(request, timeout=300) as answer:
            return json.load(answer)

    def end(self, number: int = signal.SIGTERM) -> int:
        """Sends a signal; returns the exit code."""
        self.process.send_signal(number)
        return self.process.wait(timeout=60)
