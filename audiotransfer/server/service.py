"""The service behind the API: songs, the queue of jobs, worker processes, and what expires."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import shutil
import time
import uuid
import zipfile
from collections import deque
from collections.abc import AsyncIterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from audiotransfer.errors import failure
from audiotransfer.server import songs
from audiotransfer.server.jobs import CANCELLED, DONE, FAILED, RUNNING, Job
from audiotransfer.server.requests import Edit, JobRequest, MixRequest
from audiotransfer.server.songs import Limits, NoRoom, UploadedSong
from audiotransfer.server.worker import TaskCancelled, TaskFailed, Worker
from audiotransfer.server.workspace import Workspace, folder_bytes, new_id

_TIDY_SECONDS = 5.0
_SHEET = "sheet.json"
_DEMO = "Paper lanterns.ogg"


class QueueFull(Exception):
    """As many jobs wait as the server takes."""


class NotThere(Exception):
    """A song, a job or a file that is not there, or no more."""


class Service:
    """Songs and jobs of all clients; who does not know an id does not get at what it names."""

    def __init__(
        self,
        workspace: Workspace,
        limits: Limits,
        transfers: Worker | None = None,
        beside: Worker | None = None,
    ) -> None:
        """Workers other than its own are for tests."""
        self.limits = limits
        self._workspace = workspace
        self._songs: dict[str, UploadedSong] = {}
        self._jobs: dict[str, Job] = {}
        self._waiting: deque[Job] = deque()
        self._running: Job | None = None
        self._arrived = asyncio.Event()
        # Transfers one after the other; songs are inspected and mixes made beside them.
        self.transfers = transfers or Worker(workspace.cache, limits.idle_seconds)
        self.beside = beside or Worker(workspace.cache, limits.idle_seconds)
        self._loops: list[asyncio.Task[None]] = []
        self._zipping = asyncio.Lock()

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
        """Receives and inspects a song.

        Raises TooLarge, Stalled, NoRoom, and TaskFailed for what is no song.
        """
        await self._make_room()
        if self._stored() > self.limits.stored_bytes:
            raise NoRoom("the server has no room for another song; try again later")
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
        """Puts a job into the queue.

        Raises NotThere and QueueFull, and TaskFailed for what cannot be done with this song.
        """
        song = self.song(request.song)
        if song.info["kind"] == "midi" and any(_cut(request).values()):
            raise TaskFailed(
                f"{song.name}: start, end and preview cut recordings, and MIDI files stay whole;"
                " leave them out"
            )
        if request.sheet_of is not None:
            base = self.job(request.sheet_of)
            if not base.result.get("sheet"):
                raise NotThere("the job whose lead sheet is to be used is no cover, or not done")
            if base.song is not song or _cut(base.request) != _cut(request):
                raise TaskFailed("that lead sheet is of another song, or of another part of it")
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
        """Writes a mix of a job's tracks; returns the public name of its file.

        The job's own mix, as it was written, is that file. Raises NotThere for an unknown track.
        """
        unknown = [name for name in request.gains if name not in job.tracks]
        if not job.result or unknown:
            raise NotThere(f"no such track: {', '.join(unknown) or 'none is there yet'}")
        own, shown = job.files["mix"]
        format = (request.format, request.encoding)
        if request.gains == {"mix": 1.0} and format == (job.request.format, job.request.encoding):
            return "mix"
        key = request.model_dump_json()
        if key in job.mixes:  # it is there already
            return job.mixes[key]
        name = f"mix-{uuid.uuid4().hex[:8]}"
        path = job.folder / f"{name}.{request.format}"
        task = {
            "kind": "mix",
            "path": str(job.song.path),
            "name": job.song.name,
            "folder": str(job.folder),
            "mix": str(own),
            "midi": job.song.info["kind"] == "midi",
            "cut": _cut(job.request),
            "files": _track_files(job),
            "gains": request.gains,
            "encoding": request.encoding,
            "output": str(path),
        }
        await self.beside.run(task, lambda _: None)
        stem = PurePosixPath(shown).with_suffix("")
        label = f"{stem}" if request.gains == {"mix": 1.0} else f"{stem}.mix"
        taken = {called for _, called in job.files.values()}
        numbers = (f"{label}-{n}.{request.format}" for n in itertools.count(2))
        named = itertools.chain([f"{label}.{request.format}"], numbers)
        job.files[name] = path, next(one for one in named if one not in taken)
        job.mixes[key] = name
        return name

    async def sheet(self, job: Job, edits: Sequence[Edit]) -> dict[str, Any]:
        """The lead sheet of a cover with edits, as the page shows it. Raises NotThere."""
        if not job.result.get("sheet"):
            raise NotThere("the job has no lead sheet: only covers have one")
        if not edits:
            return dict(job.result["sheet"])
        task = {
            "kind": "edit",
            "sheet": str(job.folder / _SHEET),
            "edits": [edit.model_dump() for edit in edits],
        }
        return await self.beside.run(task, lambda _: None)

    async def spectrogram(self, job: Job) -> Path:
        """A picture of the song before and after. Raises NotThere."""
        if not job.result:
            raise NotThere("the job is not done")
        path = job.folder / "spectrogram.png"
        if not path.is_file():
            task = {
                "kind": "spectrogram",
                "folder": str(job.folder),
                "before": "original",
                "after": "mix",
                "style": job.request.style,
            }
            await self.beside.run(task, lambda _: None)
        return path

    async def archive(self, job: Job) -> Path:
        """A zip file of all files of a job. Raises NotThere."""
        if not job.result:
            raise NotThere("the job is not done")
        async with self._zipping:  # two requests would write into one file
            files = dict(job.files.values())
            path = job.folder / f"all-{len(files)}.zip"
            if not path.is_file():
                await asyncio.to_thread(_zipped, path, files)
        return path

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
                job.files = {
                    name: (Path(path), shown) for name, (path, shown) in result.pop("files").items()
                }
                job.result = result
                job.update(state=DONE, share=1.0, left=0.0)
            except TaskCancelled:
                job.update(state=CANCELLED)
            except TaskFailed as error:
                job.update(state=FAILED, error=str(error))
            except Exception as error:  # the next jobs must not wait for ever
                logging.exception("a job failed")
                job.update(state=FAILED, error=failure(job.song.name, error))
            finally:
                self._running = None
                if job.state in (CANCELLED, FAILED):
                    shutil.rmtree(job.folder, ignore_errors=True)

    def _moved(self) -> None:
        for job in self._waiting:
            job.update()

    def _task(self, job: Job) -> dict[str, Any]:
        request = job.request
        base = None if request.sheet_of is None else self._jobs.get(request.sheet_of)
        if request.sheet_of is not None and base is None:
            raise TaskFailed("the version that was corrected was removed meanwhile: start anew")
        return {
            "kind": "midi" if job.song.info["kind"] == "midi" else "recording",
            "path": str(job.song.path),
            "name": job.song.name,
            "folder": str(job.folder),
            "format": request.format,
            "cut": _cut(request),
            "sheet": None if base is None else str(base.folder / _SHEET),
            "edits": [edit.model_dump() for edit in request.edits],
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
            await self._make_room()

    async def _make_room(self) -> None:
        """Removes the oldest results while there is too much."""
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


def _cut(request: JobRequest) -> dict[str, Any]:
    return {"start": request.start, "end": request.end, "preview": request.preview}


def _track_files(job: Job) -> dict[str, str]:
    """The file of each track at full quality; the original's is the song itself."""
    found = {"mix": str(job.files["mix"][0]), "original": str(job.folder / "original.wav")}
    for name, track in job.tracks.items():
        if track["role"] in ("new", "dry"):
            part = name.partition("-")[2]
            for ending in (track["role"], "separated"):
                if (key := f"stem-{part}-{ending}") in job.files:
                    found.setdefault(name, str(job.files[key][0]))
    return found


def _zipped(path: Path, files: dict[Path, str]) -> None:
    """Writes files under their public names; sound is compressed hardly any further."""
    part = path.with_suffix(".part")
    with zipfile.ZipFile(part, "w", zipfile.ZIP_STORED) as archive:
        for file, shown in files.items():
            archive.write(file, shown)
    part.replace(path)
