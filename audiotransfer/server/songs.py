"""Songs that clients have uploaded: received into the workspace, limited, inspected, removed."""

from __future__ import annotations

import asyncio
import shutil
import time
import unicodedata
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from audiotransfer.server.workspace import Workspace, new_id

_LONGEST_NAME = 120
_FILE = "song"


class TooLarge(Exception):
    """An upload is larger than the server takes."""


class NoRoom(Exception):
    """There is no room on the disk for a song."""


class Stalled(Exception):
    """An upload does not go on."""


@dataclass(frozen=True)
class Limits:
    """What a server takes from its clients, and how long it keeps what it made."""

    upload_bytes: int = 300_000_000
    song_seconds: float = 1200.0
    queued: int = 8
    """Jobs that wait at a time."""
    stored_bytes: int = 8_000_000_000
    """All songs and results; the oldest results go first."""
    kept_seconds: float = 900.0
    """After the last request for a song or a job; an open page asks every minute."""
    closed_seconds: float = 90.0
    """After a page said that it is closed. One that is only reloaded asks again before, and so does
    a copy of it in another tab, each minute."""
    idle_seconds: float = 120.0
    """After which worker processes end."""
    stalled_seconds: float = 60.0
    """After the last bytes of an upload, which is then given up."""


@dataclass
class UploadedSong:
    """A song in the workspace."""

    id: str
    name: str
    """As the client calls it; never a path."""
    folder: Path
    info: dict[str, Any] = field(default_factory=dict)
    """Kind, length and peaks."""
    until: float = 0.0
    """Monotonic time at which it is removed."""

    @property
    def path(self) -> Path:
        """Its file."""
        return self.folder / _FILE

    def view(self) -> dict[str, Any]:
        """What its client is told."""
        return {"id": self.id, "name": self.name, **self.info}


def shown_name(name: str) -> str:
    """A client's file name as a title: its last part, without control characters."""
    last = name.replace("\\", "/").rpartition("/")[2]
    plain = "".join(
        letter for letter in last if letter.isprintable() and unicodedata.category(letter) != "Cf"
    )
    return plain.strip(". ")[-_LONGEST_NAME:] or "song"


def new_song(name: str, workspace: Workspace, limits: Limits) -> UploadedSong:
    """A song without a file yet, in a folder of its own."""
    folder = workspace.new_folder(f"song-{new_id()}")
    until = time.monotonic() + limits.kept_seconds
    return UploadedSong(new_id(), shown_name(name), folder, until=until)


async def receive(
    body: AsyncIterator[bytes], name: str, workspace: Workspace, limits: Limits
) -> UploadedSong:
    """Writes an upload into a folder of its own.

    Raises TooLarge, NoRoom and Stalled, with nothing left behind.
    """
    song = new_song(name, workspace, limits)
    size = 0
    try:
        with song.path.open("xb") as file:
            async for piece in _pieces(body, limits.stalled_seconds):
                size += len(piece)
                if size > limits.upload_bytes:
                    raise TooLarge
                file.write(piece)
    except OSError as error:
        shutil.rmtree(song.folder, ignore_errors=True)
        raise NoRoom(f"the song cannot be stored ({error.strerror})") from None
    except BaseException:
        shutil.rmtree(song.folder, ignore_errors=True)
        raise
    return song


async def _pieces(body: AsyncIterator[bytes], seconds: float) -> AsyncIterator[bytes]:
    """The pieces of a body. Raises Stalled where one takes longer than so many seconds."""
    pieces = aiter(body)
    while True:
        try:
            yield await asyncio.wait_for(anext(pieces), seconds)
        except StopAsyncIteration:
            return
        except TimeoutError:
            raise Stalled from None
