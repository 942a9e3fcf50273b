"""Spectrograms of collections without audio, scaled for training."""

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

_SONGS = 64  # whose cells give the levels
_QUANTILES = (0.001, 0.999)


@dataclass(frozen=True)
class Levels:
    """The levels between which nearly all cells of the spectrograms lie, in their own unit.

    They become the lowest and the highest level of the spectrograms that networks are made for.
    """

    lowest: float
    highest: float

    @classmethod
    def of(cls, manifest: Manifest, stem: str) -> Self:
        """The quantiles 0.001 and 0.999 of a stem in the training songs.

        Raises AudioTransferError where both are the same.
        """
        songs = spread([s for s in manifest.songs if s.split == "train"], _SONGS)
        places = [manifest.folder / song.features[stem].file for song in songs]
        cells = np.concatenate([np.load(place, mmap_mode="r").ravel() for place in places])
        lowest, highest = np.quantile(cells.astype(np.float32), _QUANTILES).tolist()
        if not lowest < highest:
            raise AudioTransferError(
                f"the spectrograms in {manifest.folder} have the one level {lowest:g}; prepare the"
                " collection again"
            )
        return cls(lowest, highest)

    def rescaled(self, spectrogram: Tensor) -> Tensor:
        """Spectrograms ``[.., F, L]`` in their own unit, as natural logarithms of magnitudes."""
        return BOTTOM + (spectrogram - self.lowest) * (
            (TOP - BOTTOM) / (self.highest - self.lowest)
        )


class ImportedWindows:
    """Batches of imported spectrograms, rescaled to the levels that networks expect."""

    def __init__(self, windows: PreparedWindows, levels: Levels) -> None:
        self.windows, self.levels = windows, levels

    def batch(self, step: int) -> dict[str, Tensor]:
        """The batch of a step."""
        found = self.windows.batch(step)
        return found | {side: self.levels.rescaled(found[side]) for side in ("source", "target")}


def why_silent(manifest: Manifest) -> str:
    """The reason, for a card, why a style of imported spectrograms cannot output sound."""
    return (
        f"it predicts {manifest.kind}'s spectrograms of {manifest.spectrogram['bins']} bands, and"
        " these cannot be turned back into music; playing songs, validation samples and the"
        " checkpoint metric H need recordings"
    )
