"""Runs the server until it is stopped."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Callable

import uvicorn

from audiotransfer.errors import AudioTransferError
from audiotransfer.server.access import Access, new_token
from audiotransfer.server.app import create_app
from audiotransfer.server.songs import Limits
from audiotransfer.server.workspace import Workspace

_CLOSE_SECONDS = 2
_DEBUG = "AUDIOTRANSFER_DEBUG"


def serve(
    host: str, port: int, limits: Limits, started: Callable[[str], None], token: str | None = None
) -> None:
    """Serves the page and the API at a host and port (0: any free one), until a signal comes.

    ``started`` is called with the URL, which holds a token that is new with each start. Raises
    AudioTransferError where the address cannot be used.
    """
    access = Access.of(token or new_token(), host)
    listening = _bound(host, port)
    with listening, Workspace() as workspace:
        config = uvicorn.Config(
            create_app(workspace, access, limits),
            log_level="error" if os.environ.get(_DEBUG) else "critical",
            access_log=False,  # it would hold the token
            server_header=False,
            timeout_graceful_shutdown=_CLOSE_SECONDS,
            lifespan="on",
        )
        server = uvicorn.Server(config)

        async def run() -> None:
            serving = asyncio.create_task(server.serve([listening]))
            while not (server.started or serving.done()):
                await asyncio.sleep(0.01)
            if server.started:
                started(url(host, listening.getsockname()[1], access.token))
            await serving

        with contextlib.suppress(KeyboardInterrupt):
            asyncio.run(run())


def url(host: str, port: int, token: str) -> str:
    """The address of the page."""
    name = f"[{host}]" if ":" in host else host
    return f"http://{name}:{port}/?token={token}"


def _bound(host: str, port: int) -> socket.socket:
    """A listening socket. Raises AudioTransferError."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        found = socket.socket(family, socket.SOCK_STREAM)
        try:
            found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            found.bind((host, port))
            found.listen(128)
        except BaseException:
            found.close()
            raise
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise AudioTransferError(
            f"{host} port {port} cannot be served on ({reason}); give another --host or --port"
        ) from None
    return found
