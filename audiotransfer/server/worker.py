"""A worker process seen from the server: starts it, gives it one task at a time, stops it.

Tasks and what is reported of them are lines of JSON on the process's standard input and output.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

#: Reports of a running task: ``{"progress": ...}``, ``{"track": ...}`` and so on.
OnReport = Callable[[dict[str, Any]], None]
_STOP_SECONDS = 5.0
_LINE_BYTES = 1 << 26  # a report holds peaks of a track


class TaskFailed(Exception):
    """A task's error, in one line for its client."""


class TaskCancelled(Exception):
    """A task was stopped because its client asked for it."""


class Worker:
    """A worker process that starts with its first task and ends when it was idle for a while."""

    def __init__(self, cache: Path, idle_seconds: float) -> None:
        self._cache, self._idle_seconds = cache, idle_seconds
        self._process: asyncio.subprocess.Process | None = None
        self._lock = asyncio.Lock()
        self._idle: asyncio.TimerHandle | None = None
        self._cancelled = False
        self._number = 0

    @property
    def pid(self) -> int | None:
        """The number of the process, while there is one."""
        return self._process.pid if self._alive and self._process else None

    @property
    def _alive(self) -> bool:
        return self._process is not None and self._process.returncode is None

    async def start(self) -> None:
        """Starts the process, so that the next task need not wait for its imports."""
        async with self._lock:
            await self._ensure()
            self._expire()

    async def run(self, task: dict[str, Any], on_report: OnReport) -> dict[str, Any]:
        """Does one task, and returns its result.

        Raises TaskFailed, TaskCancelled. A process that dies is another TaskFailed; the next task
        gets a new one.
        """
        self._cancelled = False  # before it waits for its turn: it may be cancelled meanwhile
        async with self._lock:
            if self._idle is not None:
                self._idle.cancel()
            self._number += 1
            await self._ensure()
            try:
                return await self._do(task, on_report)
            except (TaskFailed, TaskCancelled):
                raise
            except BaseException:  # the server stops, or the process says what it should not
                await self._end()
                raise
            finally:
                self._expire()

    async def cancel(self) -> None:
        """Stops the running task; the process ends where it does not stop by itself."""
        self._cancelled = True
        process = self._process
        if process is None or process.stdin is None:
            return
        await self._send({"cancel": self._number})
        asyncio.get_running_loop().call_later(_STOP_SECONDS, self._kill_if_busy, process)

    async def close(self) -> None:
        """Ends the process."""
        if self._idle is not None:
            self._idle.cancel()
        await self._end()

    def _kill_if_busy(self, process: asyncio.subprocess.Process) -> None:
        if self._cancelled and self._lock.locked() and process.returncode is None:
            process.kill()

    async def _do(self, task: dict[str, Any], on_report: OnReport) -> dict[str, Any]:
        process = self._process
        assert process is not None and process.stdout is not None
        await self._send({**task, "number": self._number})
        if self._cancelled:  # cancelled while the process started
            await self._send({"cancel": self._number})
        while line := await process.stdout.readline():
            report = json.loads(line)
            if "result" in report:
                return dict(report["result"])
            if "cancelled" in report:
                raise TaskCancelled
            if "error" in report:
                raise TaskFailed(report["error"])
            on_report(report)
        await process.wait()
        if self._cancelled:
            raise TaskCancelled
        raise TaskFailed(
            "the process that worked on this was ended by the system, most likely for want of"
            f" memory; try a shorter part (exit code {process.returncode})"
        )

    async def _send(self, message: dict[str, Any]) -> None:
        assert self._process is not None and self._process.stdin is not None
        with contextlib.suppress(ConnectionError):
            self._process.stdin.write(json.dumps(message).encode() + b"\n")
            await self._process.stdin.drain()

    async def _ensure(self) -> None:
        if self._alive:
            return
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "audiotransfer.server.process",
            os.fspath(self._cache),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=_LINE_BYTES,
            start_new_session=True,  # Ctrl-C is the server's to handle
        )

    def _expire(self) -> None:
        loop = asyncio.get_running_loop()
        if self._idle is not None:
            self._idle.cancel()
        self._idle = loop.call_later(self._idle_seconds, lambda: loop.create_task(self._rest()))

    async def _rest(self) -> None:
        """Ends an idle process, whose networks and libraries take hundreds of megabytes."""
        if not self._lock.locked():
            async with self._lock:
                await self._end()

    async def _end(self) -> None:
        process, self._process = self._process, None
        if process is None or process.returncode is not None:
            return
        if process.stdin is not None:
            process.stdin.close()  # the process ends when there are no more tasks
        try:
            await asyncio.wait_for(process.wait(), _STOP_SECONDS)
        except TimeoutError:
            process.kill()
            await process.wait()
