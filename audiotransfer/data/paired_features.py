"""Batches of pairs of precomputed spectrograms on disk, cropped by memory map."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from audiotransfer.errors import AudioTransferError
from audiotransfer.renamed import present_folder
from vocoder import SpectrogramSettings

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray

    Cells = NDArray[np.float32]

FOLDER = "features"
_FLOOR = math.log(SpectrogramSettings().floor)
_CURVES = 5


@dataclass
class FeatureSettings:
    """Sampling of crops. Gains in dB; shares are probabilities.

    ``separated_share``: the stem that a separator gave, else the rendered one. ``tone_share`` and
    ``tone_db``: how often and how much a random smooth equaliser changes the source alone.
    """

    batch: int = 8
    frames: int = 256
    seed: int = 0
    separated_share: float = 0.65
    gain_db: tuple[float, float] = (-9.0, 6.0)
    tone_share: float = 0.6
    tone_db: float = 3.0


def feature_songs(
    folder: Path, stems: Sequence[str], styles: Sequence[str], split: str
) -> list[Path]:
    """Finds the feature folders of a split's songs that have all the stems in every style.

    Raises AudioTransferError where there are none.
    """
    found = []
    folder = present_folder(folder)
    for card in sorted(folder.glob("*/song.json")):
        place = card.parent / FOLDER
        wanted = [place / f"{s}.{side}.npy" for s in stems for side in ("source", *styles)]
        if json.loads(card.read_text())["split"] == split and all(p.is_file() for p in wanted):
            found.append(place)
    if not found:
        raise AudioTransferError(
            f"{folder} holds no prepared {' and '.join(stems)} of split {split!r} in "
            f"{', '.join(styles)}; `audiotransfer prepare {folder}` makes them of rendered songs"
        )
    return found


class FeatureCrops:
    """Batches of the same crop of several stems, a function of the step.

    For each stem ``STEM/source`` ``[B, V, L]``, ``STEM/target`` ``[B, S, F, L]`` and ``STEM/keys``
    ``[B, 4, 88, ceil(L / 2)]``: the piano roll of the MIDI file in pairs of frames, keys of
    decaying and of sustained instruments that sound, and those that begin; only for stems that
    have it. ``bands_hz`` are, by stem, the frequencies of the source's ``V`` values.
    """

    def __init__(
        self,
        songs: Sequence[Path],
        styles: Sequence[str],
        bands_hz: Mapping[str, Tensor],
        settings: FeatureSettings,
    ) -> None:
        self.songs, self.styles = list(songs), tuple(styles)
        self.settings = settings
        self._curves = {stem: _curves(hertz.numpy()) for stem, hertz in bands_hz.items()}

    def batch(self, step: int) -> dict[str, Tensor]:
        """The batch of a step."""
        random = np.random.default_rng((self.settings.seed, step))
        drawn = [self._draw(random) for _ in range(self.settings.batch)]
        return {name: torch.from_numpy(np.stack([one[name] for one in drawn])) for name in drawn[0]}

    def _draw(self, random: Generator) -> dict[str, Cells]:
        settings = self.settings
        for _ in range(20):
            song = self.songs[int(random.integers(len(self.songs)))]
            firsts = [
                np.load(song / f"{stem}.{self.styles[0]}.npy", mmap_mode="r")
                for stem in self._curves
            ]
            start = 2 * int(random.integers(max(1, (len(firsts[0]) - settings.frames) // 2)))
            if max(float(one[start : start + settings.frames].max()) for one in firsts) > -4.0:
                break
        separated = random.random() < settings.separated_share
        gain = np.float32(random.uniform(*settings.gain_db) * np.log(10) / 20)
        tone = np.zeros(_CURVES)
        if random.random() < settings.tone_share:
            tone = random.normal(0, settings.tone_db * np.log(10) / 20, _CURVES)
        found = {}
        for stem, curves in self._curves.items():
            side = "source"
            if separated and (song / f"{stem}.separated.npy").is_file():
                side = "separated"
            source = self._cut(song, f"{stem}.{side}", start)[: curves.shape[1]]
            source += (tone @ curves).astype(np.float32)[:, None] + gain
            targets = [self._cut(song, f"{stem}.{style}", start) + gain for style in self.styles]
            found[f"{stem}/source"] = np.maximum(source, _FLOOR)
            found[f"{stem}/target"] = np.maximum(np.stack(targets), _FLOOR)
            keys = song / f"{stem}.keys.npy"
            if keys.is_file():
                half = np.load(keys, mmap_mode="r")[start // 2 : (start + settings.frames) // 2]
                found[f"{stem}/keys"] = np.moveaxis(half, 0, -1).astype(np.float32)
        return found

    def _cut(self, song: Path, name: str, start: int) -> Cells:
        """A crop ``[V, L]`` in single precision."""
        cells = np.load(song / f"{name}.npy", mmap_mode="r")
        cut: Cells = cells[start : start + self.settings.frames].T.astype(np.float32)
        return cut


def _curves(hertz: Cells) -> NDArray[np.float64]:
    """The basis of smooth equalisers ``[curves, V]``: cosines over ten octaves."""
    octaves = np.log2(np.maximum(hertz, 20.0) / 20.0) / 10.0
    curves: NDArray[np.float64] = np.cos(np.pi * np.arange(_CURVES)[:, None] * octaves[None])
    return curves
