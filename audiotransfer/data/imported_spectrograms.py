"""Spectrograms that come with a collection instead of sound: trained on as they are, never
heard.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from torch import Tensor

from audiotransfer.data.manifest import Manifest
from audiotransfer.data.splits import spread
from audiotransfer.data.unpaired import PreparedWindows
from audiotransfer.errors import AudioTransferError
from vocoder.spectrogram import BOTTOM, TOP

_SONGS = 64  # that tell how loud and how soft the spectrograms get
_ENDS = (0.001, 0.999)


@dataclass(frozen=True)
class Levels:
    """Between which levels nearly all cells of the spectrograms lie, in their own unit.

    Networks here are made for 100 dB above a floor: these levels become its ends.
    """

    lowest: float
    highest: float

    @classmethod
    def of(cls, manifest: Manifest, stem: str) -> Self:
        """From the songs that are trained on. Raises AudioTransferError where all is alike."""
        songs = spread([s for s in manifest.songs if s.split == "train"], _SONGS)
        places = [manifest.folder / song.features[stem].file for song in songs]
        cells = np.concatenate([np.load(place, mmap_mode="r").ravel() for place in places])
        lowest, highest = np.quantile(cells.astype(np.float32), _ENDS).tolist()
        if not lowest < highest:
            raise AudioTransferError(
                f"the spectrograms in {manifest.folder} have the one level {lowest:g}; prepare the"
                " collection again"
            )
        return cls(lowest, highest)

    def known(self, spectrogram: Tensor) -> Tensor:
        """A spectrogram in its own unit as log levels ``[.., F, L]`` that networks know."""
        return BOTTOM + (spectrogram - self.lowest) * (
            (TOP - BOTTOM) / (self.highest - self.lowest)
        )


class ImportedWindows:
    """Batches of such spectrograms at levels that networks know."""

    def __init__(self, windows: PreparedWindows, levels: Levels) -> None:
        self.windows, self.levels = windows, levels

    def batch(self, step: int) -> dict[str, Tensor]:
        """The batch of a step."""
        found = self.windows.batch(step)
        return found | {side: self.levels.known(found[side]) for side in ("source", "target")}


def why_silent(manifest: Manifest) -> str:
    """What spectrograms without sound cannot do, for people."""
    return (
        f"it paints {manifest.kind}'s spectrograms of {manifest.spectrogram['bins']} bands, and"
        " these cannot be turned back into music; playing songs, listening and the headline H need"
        " recordings"
    )
