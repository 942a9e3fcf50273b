"""Random crops of recordings, for networks that turn spectrograms back into sound."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy import signal
from torch import Tensor

from audiotransfer.data.stem_mixes import SAMPLE_RATE, StemRecording
from audiotransfer.errors import AudioTransferError

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray

    Sound = NDArray[np.float32]


@dataclass
class CropSettings:
    """Sampling of crops.

    ``seconds`` a crop; gains in dB around RMS 0.1; ``mixed_share``: the sum of crops of two
    recordings; ``side_share``: the difference of channels instead of one of them or their mean.
    """

    batch: int = 8
    seconds: float = 1.5
    seed: int = 0
    gain_db: tuple[float, float] = (-18.0, 9.0)
    speed: tuple[float, float] = (0.8, 1.25)
    mixed_share: float = 0.25
    side_share: float = 0.15


class SoundCrops:
    """Batches ``sound`` ``[B, T]`` at 44.1 kHz, a function of seed and step."""

    def __init__(self, recordings: Sequence[StemRecording], settings: CropSettings) -> None:
        self.recordings, self.settings = list(recordings), settings
        if not self.recordings:
            raise AudioTransferError("no recordings to train on; name a folder with audio")
        lengths = np.array([min(r.frames, 120 * SAMPLE_RATE) for r in self.recordings], dtype=float)
        self._shares = lengths / lengths.sum()

    def batch(self, step: int) -> dict[str, Tensor]:
        """The batch of a step."""
        random = np.random.default_rng((self.settings.seed, step))
        crops = [self._crop(random) for _ in range(self.settings.batch)]
        return {"sound": torch.from_numpy(np.stack(crops))}

    def _crop(self, random: Generator) -> Sound:
        settings = self.settings
        sound = self._part(random)
        if random.random() < settings.mixed_share:
            sound = sound + self._part(random) * 10 ** (random.uniform(-12, 0) / 20)
        if random.random() < 0.5:
            tilt = random.uniform(-0.6, 0.6)
            sound = signal.lfilter([1.0, tilt], [1.0], sound)
        level = float(np.sqrt(np.mean(np.square(sound))))
        gain = 0.1 / max(level, 1e-3) * 10 ** (random.uniform(*settings.gain_db) / 20)
        crop: Sound = np.asarray(sound * gain, dtype=np.float32)
        return crop

    def _part(self, random: Generator) -> Sound:
        """One channel, the mean or the difference of a recording's crop, a little faster or not."""
        settings = self.settings
        recording = self.recordings[random.choice(len(self.recordings), p=self._shares)]
        frames = round(settings.seconds * SAMPLE_RATE)
        speed = float(random.uniform(*settings.speed)) if random.random() < 0.5 else 1.0
        wanted = int(frames * speed) + 2
        start = int(random.integers(max(1, recording.frames - wanted)))
        left, right = recording.read(start, wanted)
        if random.random() < settings.side_share:
            mono = (left - right) / 2
        else:
            mono = (left, right, (left + right) / 2)[int(random.integers(3))]
        places = np.arange(frames) * speed
        first = places.astype(int)
        share = (places - first).astype(np.float32)
        part: Sound = mono[first] * (1 - share) + mono[first + 1] * share
        return part / max(1e-3, float(np.sqrt(np.mean(np.square(part))))) * np.float32(0.1)
