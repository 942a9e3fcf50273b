"""The tracks of one job: written for the page, and reported each as it is done."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from audiotransfer.server.jobs import LEVELS, track_folder
from audiotransfer.server.tracks import power_matrices, write_track

if TYPE_CHECKING:
    from audiotransfer.server.process import Reports


class JobTracks:
    """Makes the tracks of a job."""

    def __init__(self, folder: Path, reports: Reports) -> None:
        self._folder, self._reports = folder, reports
        self._made: dict[str, Callable[[], Iterator[Tensor]]] = {}

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
        """Writes a track's segments.

        Args:
            role: ``mix``, ``original``, ``new`` or ``dry``.
            blocks: yields it, ``[2, t]`` at 44.1 kHz, as often as it is called.
            stem: the song's stem that it is, or stands for.
            gain_db: what it has in the mix.
            kept: a stem of the song that is in the mix as it is.
        """
        with _one_thread():
            made = write_track(blocks, track_folder(self._folder, name), self._reports.check)
        self._made[name] = blocks
        about = {"name": name, "role": role, "stem": stem, "gain_db": gain_db, "kept": kept}
        self._reports.send(track={**about, **made})

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
