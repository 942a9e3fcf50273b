"""The service behind the API: songs, the queue of jobs, worker processes, and what expires."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import time
from collections import deque
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from audiotransfer.server import songs
from audiotransfer.server.jobs import CANCELLED, DONE, FAILED, QUEUED, RUNNING, Job
from audiotransfer.server.requests import JobRequest, MixRequest
from audiotransfer.server.songs import Limits, UploadedSong
from audiotransfer.server.worker import TaskCancelled, TaskFailed, Worker
from audiotransfer.server.workspace import Workspace, folder_bytes, new_id

_TIDY_SECONDS = 5.0
_DEMO = "Paper lanterns.ogg"


class QueueFull(Exception):
    """As many jobs wait as the server takes."""


class NotThere(Exception):
    """A song, a job or a file that is not there, or no more."""


class Service:
    """Songs and jobs of all clients; who does not know an id does not get at what it names."""

    def __init__(self, workspace: Workspace, limits: Limits) -> None:
        self.limits = limits
        self._workspace = workspace
        self._songs: dict[str, UploadedSong] = {}
        self._jobs: dict[str, Job] = {}
        self._waiting: deque[Job] = deque()
        self._running: Job | None = None
        self._arrived = asyncio.Event()
        # Transfers one after the other; songs are inspected and mixes made beside them.
        self.transfers = Worker(workspace.cache, limits.idle_seconds)
        self.beside = Worker(workspace.cache, limits.idle_seconds)
        self._loops: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Starts to work on the queue."""
        self._loops = [asyncio.create_task(self._work()), asyncio.create_task(self._tidy())]

    async def close(self) -> None:
        """Stops everything, and ends the worker processes."""
        for loop in self._loops:
            loop.cancel()
        for loop in self._loops:
            with contextlib.suppress(asyncio.CancelledError):
                await loop
        await asyncio.gather(self.transfers.close(), self.beside.close())

    async def add_song(self, body: AsyncIterator[bytes], name: str) -> UploadedSong:
        """Receives and inspects a song; raises TooLarge, and TaskFailed for what is no song."""
        song = await songs.receive(body, name, self._workspace, self.limits)
        return await self._inspected(song)

    async def add_demo(self) -> UploadedSong:
        """The song that comes with the program."""
        song = songs.new_song(_DEMO, self._workspace, self.limits)
        return await self._inspected(song, demo=True)

    async def _inspected(self, song: UploadedSong, *, demo: bool = False) -> UploadedSong:
        task = {
            "kind": "inspect",
            "demo": demo,
            "path": str(song.path),
            "name": song.name,
            "longest": self.limits.song_seconds,
        }
        try:
            song.info = await self.beside.run(task, lambda _: None)
        except BaseException:
            shutil.rmtree(song.folder, ignore_errors=True)
            raise
        self._songs[song.id] = song
        # While its owner chooses a style, the other process imports what it will need.
        warm = asyncio.create_task(self._warm())
        warm.add_done_callback(lambda _: None)
        self._warming = warm
        return song

    async def _warm(self) -> None:
        if self._running is None:
            await self.transfers.start()

    def song(self, id: str) -> UploadedSong:
        """A song by its id. Raises NotThere."""
        found = self._songs.get(id)
        if found is None:
            raise NotThere("no such song; it may have been removed: upload it again")
        found.until = time.monotonic() + self.limits.kept_seconds
        return found

    def add_job(self, request: JobRequest) -> Job:
        """Puts a job into the queue. Raises NotThere and QueueFull."""
        song = self.song(request.song)
        if request.sheet_of is not None:
            self.job(request.sheet_of)
        if len(self._waiting) >= self.limits.queued:
            raise QueueFull
        job = Job(new_id(), song, request, self._workspace.new_folder(f"job-{new_id()}"))
        job.until = time.monotonic() + self.limits.kept_seconds
        self._jobs[job.id] = job
        self._waiting.append(job)
        self._arrived.set()
        return job

    def job(self, id: str) -> Job:
        """A job by its id, which it keeps for longer. Raises NotThere."""
        found = self._jobs.get(id)
        if found is None:
            raise NotThere("no such job; it may have been removed: start it again")
        found.until = time.monotonic() + self.limits.kept_seconds
        found.song.until = max(found.song.until, found.until)
        return found

    def position(self, job: Job) -> int:
        """The place of a job in the queue, 1 is next; 0 where it does not wait."""
        return self._waiting.index(job) + 1 if job in self._waiting else 0

    async def cancel(self, job: Job) -> None:
        """Stops a job, or takes it out of the queue."""
        if job in self._waiting:
            self._waiting.remove(job)
            job.update(state=CANCELLED)
            self._moved()
        elif job is self._running:
            await self.transfers.cancel()

    def closed(self, ids: list[str]) -> None:
        """Has songs and jobs removed soon, as the page that shows them was closed."""
        soon = time.monotonic() + self.limits.closed_seconds
        for id in ids:
            for thing in (self._jobs.get(id), self._songs.get(id)):
                if thing is not None:
                    thing.until = min(thing.until, soon)

    async def mix(self, job: Job, request: MixRequest) -> str:
        """Makes a mix of a job's tracks; returns the public name of its file."""
        raise NotImplementedError

    async def _work(self) -> None:
        while True:
            while not self._waiting:
                self._arrived.clear()
                await self._arrived.wait()
            self._running = job = self._waiting.popleft()
            self._moved()
            job.update(state=RUNNING, stage="loading")
            try:
                result = await self.transfers.run(self._task(job), job.report)
                job.files = {name: Path(path) for name, path in result.pop("files").items()}
                job.result = result
                job.update(state=DONE, share=1.0, left=0.0)
            except TaskCancelled:
                job.update(state=CANCELLED)
            except TaskFailed as error:
                job.update(state=FAILED, error=str(error))
            finally:
                self._running = None
                if job.state in (CANCELLED, FAILED):
                    shutil.rmtree(job.folder, ignore_errors=True)

    def _moved(self) -> None:
        for job in self._waiting:
            job.update()

    def _task(self, job: Job) -> dict[str, Any]:
        request = job.request
        return {
            "kind": "transfer",
            "path": str(job.song.path),
            "name": job.song.name,
            "folder": str(job.folder),
            "format": request.format,
            "cut": {"start": request.start, "end": request.end, "preview": request.preview},
            "options": {
                "style": request.style,
                "strength": request.strength,
                "mode": request.mode,
                "stems": request.stems,
                "gains_db": request.gains,
                "seed": request.seed,
                "lead": request.lead,
                "transpose": request.transpose,
                "swing": request.swing,
                "separator": request.separator,
                "effects": request.effects,
                "encoding": request.encoding,
            },
        }

    async def _tidy(self) -> None:
        """Removes what nobody has asked for in a while, and the oldest where there is too much."""
        while True:
            await asyncio.sleep(_TIDY_SECONDS)
            now = time.monotonic()
            for job in [job for job in self._jobs.values() if job.until < now]:
                await self._remove(job)
            used = {job.song.id for job in self._jobs.values()}
            for song in [song for song in self._songs.values() if song.until < now]:
                if song.id not in used:
                    del self._songs[song.id]
                    shutil.rmtree(song.folder, ignore_errors=True)
            ended = sorted((j for j in self._jobs.values() if j.ended), key=lambda j: j.until)
            while ended and self._stored() > self.limits.stored_bytes:
                await self._remove(ended.pop(0))

    async def _remove(self, job: Job) -> None:
        await self.cancel(job)
        if job is not self._running:
            self._jobs.pop(job.id, None)
            shutil.rmtree(job.folder, ignore_errors=True)

    def _stored(self) -> int:
        return folder_bytes(self._workspace.folder)


__all__ = ["QUEUED", "NotThere", "QueueFull", "Service"]
