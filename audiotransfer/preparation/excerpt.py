"""A stretch of a song, as a song of its own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing

from torch import Tensor

from audiotransfer import files


class Excerpt:
    """``seconds`` of a file from ``start`` (a ``Source`` of the pipeline)."""

    def __init__(self, path: str, start: float, seconds: float) -> None:
        self.name = path
        info = files.probe(path)
        self.sample_rate, self.channels = info.sample_rate, info.channels
        self.layout: Sequence[str] | None = info.layout
        self.notices: Sequence[str] = info.notices
        self._start = round(start * info.sample_rate)
        self.frames = round(seconds * info.sample_rate)

    def blocks(self, frames: int) -> Iterator[Tensor]:
        """``[C, t]`` in order; less than announced where the file ends before."""
        left = self.frames
        with files.open_audio(self.name) as reader:
            if self._start:
                reader.skip(self._start)
            with closing(reader.blocks(frames)) as blocks:
                for block in blocks:
                    yield block[:, :left]
                    left -= block.shape[1]
                    if left <= 0:
                        return
