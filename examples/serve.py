"""A song in another style over HTTP, with the standard library alone; from a DAW's script, say.

In another terminal: audiotransfer serve

    python examples/serve.py 'http://127.0.0.1:PORT/?token=TOKEN' song.mp3 jazz

Writes the song's first 15 s in the style, then again with its first chord corrected.
"""

from __future__ import annotations

import json
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any


class Server:
    """An `audiotransfer serve` by the address that it printed."""

    def __init__(self, page: str) -> None:
        parts = urllib.parse.urlsplit(page)
        self.base = f"{parts.scheme}://{parts.netloc}"
        self.token = urllib.parse.parse_qs(parts.query)["token"][0]

    def open(self, method: str, path: str, body: bytes | None = None, kind: str = "") -> Any:
        """The answer to a request; an error's reason is printed, and ends the program."""
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": kind}
        request = urllib.request.Request(f"{self.base}{path}", body, headers, method=method)
        try:
            return urllib.request.urlopen(request)
        except urllib.error.HTTPError as error:
            sys.exit(json.load(error)["detail"])

    def call(self, method: str, path: str, values: Any = None) -> Any:
        """A request with JSON, and the JSON of its answer."""
        body = None if values is None else json.dumps(values).encode()
        with self.open(method, path, body, "application/json") as answer:
            return json.load(answer)

    def upload(self, song: Path) -> dict[str, Any]:
        """A song that is uploaded: its id, its kind (audio or midi), its length."""
        path = f"/api/songs?name={urllib.parse.quote(song.name)}"
        with self.open("POST", path, song.read_bytes(), "application/octet-stream") as answer:
            return dict(json.load(answer))

    def events(self, job: str) -> Iterator[dict[str, Any]]:
        """The states of a job, until it has ended."""
        with self.open("GET", f"/api/jobs/{job}/events") as answer:
            for line in answer:
                if line.startswith(b"data:"):
                    yield json.loads(line[5:])

    def save(self, job: str, name: str, path: str) -> None:
        """Writes a file of a job."""
        with self.open("GET", f"/api/jobs/{job}/result/{name}") as answer:
            Path(path).write_bytes(answer.read())


def transferred(server: Server, request: dict[str, Any]) -> str:
    """The id of a job that is done."""
    job = str(server.call("POST", "/api/jobs", request)["id"])
    for state in server.events(job):
        print(f"{state['state']} {state['stage']} {state['share']:.0%}", file=sys.stderr)
        if state["error"]:
            sys.exit(state["error"])
    return job


def main(page: str, song: str, style: str) -> None:
    """Transfers a song's first 15 s, and has a chord played otherwise."""
    server = Server(page)
    uploaded = server.upload(Path(song))
    request: dict[str, Any] = {"song": uploaded["id"], "style": style}
    if uploaded["kind"] == "audio":  # MIDI files stay whole
        request |= {"start": 0, "preview": True}
    job = transferred(server, request)
    server.save(job, "mix", f"preview.{style}.wav")
    print(f"preview.{style}.wav")
    if not server.call("GET", f"/api/jobs/{job}")["has_sheet"]:
        return  # no cover
    chord = server.call("GET", f"/api/jobs/{job}/sheet")["chords"][0]
    correction = {"kind": "chord", "beat": chord["beat"], "symbol": "Dm7"}
    again = transferred(server, {**request, "sheet_of": job, "edits": [correction]})
    server.save(again, "mix", f"corrected.{style}.wav")
    print(f"corrected.{style}.wav ({chord['symbol']} became Dm7)")


if __name__ == "__main__":
    main(*sys.argv[1:])
