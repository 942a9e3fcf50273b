"""The HTTP API and the page."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path, PurePosixPath
from typing import Annotated, Any

from fastapi import FastAPI, HTTPException, Query, Request
from fastapi.responses import FileResponse, JSONResponse, Response, StreamingResponse
from fastapi.staticfiles import StaticFiles
from starlette.middleware import Middleware

from audiotransfer import __version__
from audiotransfer.server.access import UPLOADS, Access, Guard
from audiotransfer.server.jobs import LEVELS, Job, track_folder
from audiotransfer.server.requests import JobRequest, MixRequest, SheetEdits, Things
from audiotransfer.server.service import NotThere, QueueFull, Service
from audiotransfer.server.songs import Limits, NoRoom, Stalled, TooLarge
from audiotransfer.server.style_cards import style_cards
from audiotransfer.server.worker import TaskFailed
from audiotransfer.server.workspace import Workspace

STATIC = Path(__file__).with_name("static")


def create_app(workspace: Workspace, access: Access, limits: Limits | None = None) -> FastAPI:
    """The application of a server whose files are in the workspace."""
    limits = limits or Limits()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.service = Service(workspace, limits)
        await app.state.service.start()
        try:
            yield
        finally:
            await app.state.service.close()

    app = FastAPI(
        title="audiotransfer",
        version=__version__,
        summary="Songs in another style, over HTTP",
        lifespan=lifespan,
        docs_url=None,  # they would load scripts from elsewhere; static/api.html shows the same
        redoc_url=None,
        openapi_url="/api/openapi.json",
        middleware=[Middleware(Guard, access=access)],
    )
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    _add_songs(app)
    _add_jobs(app)

    @app.get("/", include_in_schema=False)
    def page() -> FileResponse:
        return FileResponse(STATIC / "index.html")

    @app.post("/api/closed", tags=["jobs"], status_code=204)
    async def closed(request: Request, things: Things) -> Response:
        """Has songs and jobs removed soon, unless somebody asks for them again."""
        _service(request).closed(things.ids)
        return Response(status_code=204)

    @app.get("/api/styles", tags=["styles"])
    def styles() -> list[dict[str, Any]]:
        """The styles, what one hears in each, and the modes that it has."""
        return style_cards()

    @app.exception_handler(NotThere)
    async def not_there(_: Request, error: NotThere) -> JSONResponse:
        return JSONResponse({"detail": str(error)}, 404)

    @app.exception_handler(TaskFailed)
    async def failed(_: Request, error: TaskFailed) -> JSONResponse:
        return JSONResponse({"detail": str(error)}, 422)

    return app


def _service(request: Request) -> Service:
    found: Service = request.app.state.service
    return found


def _add_songs(app: FastAPI) -> None:
    @app.post(UPLOADS, tags=["songs"], openapi_extra=_UPLOAD)
    async def upload(
        request: Request, name: Annotated[str, Query(max_length=1000)] = "song"
    ) -> dict[str, Any]:
        """Uploads a song, as the body of the request: audio or MIDI, found by its content."""
        service = _service(request)
        most = service.limits.upload_bytes
        announced = request.headers.get("content-length", "")
        if announced.isdecimal() and int(announced) > most:
            raise _too_large(most)
        try:
            return (await service.add_song(request.stream(), name)).view()
        except TooLarge:
            raise _too_large(most) from None
        except NoRoom as error:
            raise HTTPException(507, str(error)) from None
        except Stalled:
            raise HTTPException(408, "the upload does not go on; send it again") from None

    @app.post("/api/songs/demo", tags=["songs"])
    async def demo(request: Request) -> dict[str, Any]:
        """Takes the song that comes with the program."""
        return (await _service(request).add_demo()).view()

    @app.get("/api/songs/{id}", tags=["songs"])
    async def song(request: Request, id: str) -> dict[str, Any]:
        """An uploaded song: name, length, peaks of its waveform."""
        return _service(request).song(id).view()


def _too_large(most: int) -> HTTPException:
    return HTTPException(413, f"the file is larger than the {most / 1e6:.0f} MB that are taken")


_UPLOAD: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}


def _add_jobs(app: FastAPI) -> None:
    def view(request: Request, job: Job) -> dict[str, Any]:
        return job.view(_service(request).position(job))

    @app.post("/api/jobs", tags=["jobs"], status_code=201)
    async def create(request: Request, wanted: JobRequest) -> dict[str, Any]:
        """Starts a transfer."""
        try:
            return view(request, _service(request).add_job(wanted))
        except QueueFull:
            raise HTTPException(429, "the queue is full; try again later") from None

    @app.get("/api/jobs/{id}", tags=["jobs"])
    async def job(request: Request, id: str) -> dict[str, Any]:
        """State of a transfer, its tracks and files."""
        return view(request, _service(request).job(id))

    @app.delete("/api/jobs/{id}", tags=["jobs"])
    async def cancel(request: Request, id: str) -> dict[str, Any]:
        """Stops a transfer."""
        found = _service(request).job(id)
        await _service(request).cancel(found)
        return view(request, found)

    @app.get("/api/jobs/{id}/events", tags=["jobs"], response_class=StreamingResponse)
    async def events(request: Request, id: str) -> StreamingResponse:
        """State of a transfer at each change, as server-sent events, until it has ended."""
        found = _service(request).job(id)

        async def stream() -> AsyncIterator[str]:
            async for _ in found.changes():
                _service(request).job(id)
                yield f"data: {json.dumps(view(request, found))}\n\n"

        return StreamingResponse(stream(), media_type="text/event-stream")

    @app.get("/api/jobs/{id}/tracks/{name}", tags=["tracks"])
    async def track(request: Request, id: str, name: str) -> dict[str, Any]:
        """A track with its peaks."""
        return _track(_service(request).job(id), name)

    @app.get("/api/jobs/{id}/tracks/{name}/{segment}", tags=["tracks"], response_class=Response)
    async def segment(request: Request, id: str, name: str, segment: int) -> FileResponse:
        """Two seconds of a track, FLAC at 44.1 kHz."""
        found = _service(request).job(id)
        if not 0 <= segment < _track(found, name)["segments"]:
            raise NotThere("no such segment")
        path = track_folder(found.folder, name) / f"{segment}.flac"
        return FileResponse(path, media_type="audio/flac")

    @app.get("/api/jobs/{id}/levels", tags=["tracks"], response_class=Response)
    async def levels(request: Request, id: str) -> FileResponse:
        """K-weighted powers of all pairs of tracks each 0.1 s, float32 `[hops, N, N]`; the order of
        tracks is `levels` of the job.
        """
        path = _service(request).job(id).folder / LEVELS
        if not path.is_file():
            raise NotThere("the job has no levels yet")
        return FileResponse(path, media_type="application/octet-stream")

    @app.get("/api/jobs/{id}/result/{name}", tags=["results"], response_class=Response)
    async def result(request: Request, id: str, name: str) -> FileResponse:
        """A file of a transfer, by one of the names in `files`; `all` is a zip of all of them."""
        service = _service(request)
        found = service.job(id)
        if name == "all":
            path = await service.archive(found)
            shown = f"{PurePosixPath(found.files['mix'][1]).stem}.zip"
            return FileResponse(path, filename=shown)
        if name not in found.files:
            raise NotThere(f"no such file; there are {', '.join(found.files) or 'none yet'}")
        path, shown = found.files[name]
        return FileResponse(path, filename=PurePosixPath(shown).name)

    @app.post("/api/jobs/{id}/mix", tags=["results"])
    async def mix(request: Request, id: str, wanted: MixRequest) -> dict[str, str]:
        """Writes a mix of a transfer's tracks; `file` is its name in `result/`."""
        service = _service(request)
        return {"file": await service.mix(service.job(id), wanted)}

    @app.get("/api/jobs/{id}/spectrogram", tags=["results"], response_class=Response)
    async def spectrogram(request: Request, id: str) -> FileResponse:
        """Spectrograms of the song before and after, PNG."""
        service = _service(request)
        return FileResponse(await service.spectrogram(service.job(id)), media_type="image/png")

    @app.get("/api/jobs/{id}/sheet", tags=["covers"])
    async def sheet(request: Request, id: str) -> dict[str, Any]:
        """Bars, sections and chords of a cover's song, in seconds."""
        service = _service(request)
        return await service.sheet(service.job(id), ())

    @app.post("/api/jobs/{id}/sheet", tags=["covers"])
    async def corrected(request: Request, id: str, wanted: SheetEdits) -> dict[str, Any]:
        """The same with corrections, which a new transfer may be given (`sheet_of`, `edits`)."""
        service = _service(request)
        return await service.sheet(service.job(id), wanted.edits)


def _track(job: Job, name: str) -> dict[str, Any]:
    if name not in job.tracks:
        raise NotThere(f"no such track; there are {', '.join(job.tracks) or 'none yet'}")
    return job.tracks[name]
