"""The tracks of one job: written for the page, and reported each as it is done."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from audiotransfer.server.jobs import LEVELS, track_folder
from audiotransfer.server.tracks import TrackWriter, power_matrices

if TYPE_CHECKING:
    from audiotransfer.server.process import Reports


class JobTracks:
    """Makes the tracks of a job, whole or as they grow."""

    def __init__(self, folder: Path, reports: Reports) -> None:
        self._folder, self._reports = folder, reports
        self._made: dict[str, Callable[[], Iterator[Tensor]]] = {}
        self._about: dict[str, dict[str, Any]] = {}
        self._growing: dict[str, TrackWriter] = {}

    def __contains__(self, name: str) -> bool:
        return name in self._about

    def add(
        self,
        name: str,
        role: str,
        blocks: Callable[[], Iterator[Tensor]],
        *,
        stem: str = "",
        gain_db: float = 0.0,
        kept: bool = False,
    ) -> None:
        """Writes a track's segments; of one that has grown already only what is said about it.

        Args:
            role: ``mix``, ``original``, ``new`` or ``dry``.
            blocks: yields it, ``[2, t]`` at 44.1 kHz, as often as it is called.
            stem: the song's stem that it is, or stands for.
            gain_db: what it has in the mix.
            kept: a stem of the song that is in the mix as it is.
        """
        self._made[name] = blocks
        about: dict[str, Any] = {"name": name, "role": role, "stem": stem}
        about |= {"gain_db": gain_db, "kept": kept}
        grown = name in self
        if grown and self._about[name] == about:
            return
        if grown:
            self._about[name] = about
            self._reports.send(track=about)
            return
        with _one_thread():
            self.begin(**about)
            for block in blocks():
                self._reports.check()
                self._growing[name].push(block)
            self.finish([name])

    def begin(self, name: str, **about: Any) -> None:
        """Starts a track that grows; ``about`` is what `add` takes."""
        self._about[name] = {"name": name, **about}
        self._growing[name] = TrackWriter(track_folder(self._folder, name))

    def grow(self, pieces: Mapping[str, Tensor]) -> None:
        """Appends to tracks, ``[2, t]`` at 44.1 kHz, and reports them as far as they are there."""
        for name, piece in pieces.items():
            before = self._growing[name].segments
            self._growing[name].push(piece)
            self._reports.check()
            if self._growing[name].segments > before:
                self._report(name, done=False)

    def finish(self, names: Iterable[str] | None = None) -> None:
        """Ends tracks that grow: all, or those of these names."""
        for name in list(self._growing if names is None else names):
            self._growing[name].finish()
            self._report(name, done=True)
            del self._growing[name]

    def _report(self, name: str, *, done: bool) -> None:
        made = self._growing[name]
        self._reports.send(
            track={
                **self._about[name],
                "frames": made.frames,
                "segments": made.segments,
                "gains": dict(made.gains),
                "peaks": list(made.peaks),
                "done": done,
            }
        )

    def levels(self) -> dict[str, Any]:
        """Writes what the loudness of any mix follows from; returns the order of tracks in it."""
        with _one_thread():
            matrices = power_matrices(self._made, self._reports.check)
        (self._folder / LEVELS).write_bytes(matrices.tobytes())
        return {"levels": {"tracks": list(self._made), "hops": len(matrices)}}


@contextmanager
def _one_thread() -> Iterator[None]:
    """Computes with one thread: pieces are so short that several wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
