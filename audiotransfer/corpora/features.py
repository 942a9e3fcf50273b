"""Pairs as pictures on disk: cut out by memory map, so that a step never waits for a transform."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from audiotransfer.errors import AudioTransferError
from vocoder import Picture

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray

    Cells = NDArray[np.float32]

FOLDER = "features"
_FLOOR = math.log(Picture().floor)
_CURVES = 5


@dataclass
class FeatureSettings:
    """How crops are drawn. Gains in dB; shares are probabilities.

    ``separated_share``: the stem as a separator gave it, else as it was rendered. ``tone_share``
    and ``tone_db``: how often and how much a smooth equaliser changes the source alone.
    """

    batch: int = 8
    frames: int = 256
    seed: int = 0
    separated_share: float = 0.65
    gain_db: tuple[float, float] = (-9.0, 6.0)
    tone_share: float = 0.6
    tone_db: float = 3.0


def feature_songs(folder: Path, stem: str, styles: Sequence[str], split: str) -> list[Path]:
    """Feature folders of the songs of a split that have a stem, in every style.

    Raises AudioTransferError where there is none.
    """
    found = []
    for card in sorted(folder.glob("*/song.json")):
        place = card.parent / FOLDER
        wanted = [place / f"{stem}.{side}.npy" for side in ("source", *styles)]
        if json.loads(card.read_text())["split"] == split and all(p.is_file() for p in wanted):
            found.append(place)
    if not found:
        raise AudioTransferError(
            f"{folder} holds no prepared {stem} of split {split!r} in {', '.join(styles)}; "
            f"`audiotransfer prepare {folder}` makes them of rendered songs"
        )
    return found


class FeatureCrops:
    """Batches ``source`` ``[B, V, L]``, ``target`` ``[B, S, F, L]`` and ``keys`` by step.

    ``bands_hz`` are the frequencies of the source's ``V`` values. ``keys`` are what the score
    says of each frame pair: ``[B, 4, 88, ceil(L / 2)]``, struck and held keys that sound, and
    those that begin; only for stems that have them.
    """

    def __init__(
        self,
        songs: Sequence[Path],
        stem: str,
        styles: Sequence[str],
        bands_hz: Tensor,
        settings: FeatureSettings,
    ) -> None:
        self.songs, self.stem, self.styles = list(songs), stem, tuple(styles)
        self.settings = settings
        octaves = np.log2(np.maximum(bands_hz.numpy(), 20.0) / 20.0) / 10.0
        self._values = len(bands_hz)
        self._curves = np.cos(np.pi * np.arange(_CURVES)[:, None] * octaves[None])

    def batch(self, step: int) -> dict[str, Tensor]:
        """The batch of a step."""
        random = np.random.default_rng((self.settings.seed, step))
        drawn = [self._draw(random) for _ in range(self.settings.batch)]
        return {name: torch.from_numpy(np.stack([one[name] for one in drawn])) for name in drawn[0]}

    def _draw(self, random: Generator) -> dict[str, Cells]:
        settings = self.settings
        for _ in range(20):
            song = self.songs[int(random.integers(len(self.songs)))]
            first = np.load(song / f"{self.stem}.{self.styles[0]}.npy", mmap_mode="r")
            start = 2 * int(random.integers(max(1, (len(first) - settings.frames) // 2)))
            if float(first[start : start + settings.frames].max()) > -4.0:
                break
        separated = song / f"{self.stem}.separated.npy"
        side = "source"
        if separated.is_file() and random.random() < settings.separated_share:
            side = "separated"
        gain = random.uniform(*settings.gain_db) * np.log(10) / 20
        tone = np.float32(0.0)
        if random.random() < settings.tone_share:
            depth = settings.tone_db * np.log(10) / 20
            tone = (random.normal(0, depth, _CURVES) @ self._curves).astype(np.float32)[:, None]
        source = self._cut(song, side, start) + tone + np.float32(gain)
        targets = [self._cut(song, style, start) + np.float32(gain) for style in self.styles]
        found = {
            "source": np.maximum(source, _FLOOR).astype(np.float32),
            "target": np.maximum(np.stack(targets), _FLOOR).astype(np.float32),
        }
        keys = song / f"{self.stem}.keys.npy"
        if keys.is_file():
            half = np.load(keys, mmap_mode="r")[start // 2 : (start + settings.frames) // 2]
            found["keys"] = np.moveaxis(half, 0, -1).astype(np.float32)
        return found

    def _cut(self, song: Path, side: str, start: int) -> Cells:
        """``[V, L]`` in single precision."""
        cells = np.load(song / f"{self.stem}.{side}.npy", mmap_mode="r")
        return cells[start : start + self.settings.frames, : self._values].T.astype(np.float32)
