"""Jobs: one transfer each, with its progress, tracks and files, and those who watch it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audiotransfer.server.command import command_line

if TYPE_CHECKING:
    from audiotransfer.server.requests import JobRequest
    from audiotransfer.server.songs import UploadedSong

QUEUED, RUNNING, DONE, FAILED, CANCELLED = "queued", "running", "done", "failed", "cancelled"
ENDED = (DONE, FAILED, CANCELLED)
#: The file of loudness matrices in a job's folder.
LEVELS = "levels.f32"
_LEAST_SECONDS = 0.2  # between two events of one watcher
_ALIVE_SECONDS = 15.0  # after which an event is sent although nothing changed


def track_folder(folder: Path, name: str) -> Path:
    """Where a track's segments are in a job's folder."""
    return folder / f"track-{name}"


@dataclass
class Job:
    """A transfer that waits, runs or has ended."""

    id: str
    song: UploadedSong
    request: JobRequest
    folder: Path
    state: str = QUEUED
    stage: str = ""
    share: float = 0.0
    left: float | None = None
    error: str | None = None
    tracks: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Name -> role, frames, segments, their gains and peaks; they grow while it works."""
    files: dict[str, tuple[Path, str]] = field(default_factory=dict)
    """Public name -> file, and what a client may call it."""
    result: dict[str, Any] = field(default_factory=dict)
    until: float = 0.0
    """Monotonic time at which it is removed."""
    version: int = 0
    mixes: dict[str, str] = field(default_factory=dict)
    """Public names of the mixes that were written from its tracks, by what was asked for."""
    created: float = field(default_factory=time.monotonic)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen to it."""
        return self.state in ENDED

    def update(self, **values: Any) -> None:
        """Sets fields, and wakes those who watch."""
        for name, value in values.items():
            setattr(self, name, value)
        self.version += 1
        self._changed.set()
        self._changed = asyncio.Event()

    def report(self, report: dict[str, Any]) -> None:
        """Takes what a worker process reports of it."""
        if "progress" in report:
            self.update(**report["progress"])
        elif "track" in report:
            track = dict(report["track"])
            self.tracks[track["name"]] = {**self.tracks.get(track["name"], {}), **track}
            self.update()

    def view(self, position: int = 0) -> dict[str, Any]:
        """What its client is told; ``position`` is that in the queue, 1 is next."""
        return {
            "id": self.id,
            "song": self.song.id,
            "name": self.song.name,
            "kind": self.song.info.get("kind"),
            "state": self.state,
            "position": position,
            "stage": self.stage,
            "share": round(self.share, 4),
            "left": self.left,
            "error": self.error,
            "request": self.request.model_dump(exclude_defaults=True),
            # Peaks are fetched once, not with each event.
            "tracks": [
                {key: value for key, value in track.items() if key != "peaks"}
                for track in self.tracks.values()
            ],
            "files": {name: shown for name, (_, shown) in self.files.items()},
            "command": command_line(
                self.request,
                self.song.name,
                self.files.get("sheet-json", (None, None))[1],
                midi=self.song.info.get("kind") == "midi",
            ),
            **{key: value for key, value in self.result.items() if key != "sheet"},
            "has_sheet": bool(self.result.get("sheet")),
        }

    async def changes(self) -> AsyncIterator[int]:
        """Yields its version now, after each change, and now and then, until it has ended."""
        while True:
            changed, version = self._changed, self.version
            yield version
            if self.ended:
                return
            await asyncio.sleep(_LEAST_SECONDS)
            if self.version == version:
                try:
                    await asyncio.wait_for(changed.wait(), _ALIVE_SECONDS)
                except TimeoutError:
                    continue
