"""The part of a song that is transferred, and the label of its outputs' names."""

from __future__ import annotations

import math
from dataclasses import dataclass

from audiotransfer.errors import AudioTransferError

PREVIEW_SECONDS = 15.0


@dataclass(frozen=True)
class Cut:
    """The part of a song that is transferred as if it were a song; by default all of it."""

    start: float | None = None
    """Seconds."""
    end: float | None = None
    """Seconds; the song's end where that comes first."""
    preview: bool = False
    """15 s from the start, else from a third of the song."""

    def __post_init__(self) -> None:
        for name in ("start", "end"):
            value = getattr(self, name)
            if value is not None and not 0.0 <= value < math.inf:
                raise AudioTransferError(f"{name} {value} s: give seconds from 0")
        if self.end is not None and self.end <= (self.start or 0.0):
            raise AudioTransferError(
                f"the cut from {self.start or 0.0:g} s to {self.end:g} s holds nothing: let it end"
                " after its start"
            )

    @property
    def label(self) -> str:
        """Text added to an output's name, which keeps it apart from the whole song's output."""
        if self.preview:
            return ".preview"
        return "" if self.start is None and self.end is None else ".cut"

    def samples(self, total: int, sample_rate: int) -> tuple[int, int]:
        """Range of samples (start, stop) in a song of ``total`` samples.

        Raises AudioTransferError where the song ends before the cut begins.
        """
        start = round((self.start or 0.0) * sample_rate)
        end = total if self.end is None else min(total, round(self.end * sample_rate))
        if start >= total:
            raise AudioTransferError(
                f"a song of {total / sample_rate:.2f} s holds nothing from {self.start:g} s on"
            )
        if self.preview:
            length = round(PREVIEW_SECONDS * sample_rate)
            if self.start is None:
                start = max(0, min(end // 3, end - length))
            end = min(end, start + length)
        return start, max(end, start + 1)
