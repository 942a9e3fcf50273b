"""Sound that waits on disk until all of it is known."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from audiotransfer.errors import AudioTransferError
from audiotransfer.pipeline.sources import PIECE


class Spool:
    """Samples ``[C, T]`` as float32 in a file without a name, gone with the process however it
    ends. A context manager.
    """

    def __init__(self, folder: Path | None, channels: int) -> None:
        self._folder = folder or Path(tempfile.gettempdir())
        self._file = tempfile.TemporaryFile(dir=self._folder)  # noqa: SIM115 (closed by __exit__)
        self.channels, self.frames = channels, 0

    def __enter__(self) -> Spool:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def write(self, audio: Tensor) -> None:
        """Adds ``[C, t]``. Raises :class:`AudioTransferError` where the disk is full."""
        try:
            self._file.write(np.ascontiguousarray(audio.T.numpy(), np.float32).tobytes())
        except OSError as error:
            raise AudioTransferError(
                f"{self._folder} cannot hold unfinished sound ({error.strerror}): make room, or"
                " write elsewhere"
            ) from None
        self.frames += audio.shape[-1]

    def blocks(self, frames: int = PIECE) -> Iterator[Tensor]:
        """Everything from the beginning, ``[C, t]`` in order."""
        self._file.seek(0)
        while data := self._file.read(frames * self.channels * 4):
            yield torch.from_numpy(
                np.frombuffer(data, np.float32).reshape(-1, self.channels).T.copy()
            )
