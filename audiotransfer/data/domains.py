"""Batches of the domains of universal translation: sounds as they are, and augmented."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import librosa
import numpy as np
import torch
from torch import Tensor

from audiotransfer.audio.resampling import resample
from audiotransfer.data.paired import PairedStems
from audiotransfer.data.stem_mixes import SAMPLE_RATE, StemRecording
from audiotransfer.data.unpaired import LevelledWindows

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray

    Sound = NDArray[np.float32]

_PITCH_FFT = 1024
PAIRS = "pairs"


@dataclass(frozen=True)
class PitchAugmentation:
    """A span of a crop is moved in pitch, so that a code cannot copy its input exactly.

    ``span``: its least and greatest share of the crop; ``semitones``: up or down by at most so
    many. Source: Mor et al. 2019.
    """

    span: tuple[float, float] = (0.25, 0.5)
    semitones: float = 0.5


class DomainBatches:
    """Batches ``DOMAIN/clean`` and ``DOMAIN/augmented`` ``[B, T]``, a function of seed and step.

    Crops are the mean of a recording's channels, at the levels of `LevelledWindows`, at
    ``sample_rate``. Where there are rendered pairs, ``pairs/source`` and ``pairs/target`` are
    theirs.
    """

    def __init__(
        self,
        domains: Mapping[str, Sequence[StemRecording]],
        *,
        frames: int,
        batch: int,
        seed: int = 0,
        sample_rate: int = SAMPLE_RATE,
        augmentation: PitchAugmentation | None = None,
        pairs: PairedStems | None = None,
    ) -> None:
        self.windows = LevelledWindows(domains, frames=frames, batch=batch, seed=seed)
        self.sample_rate, self.seed = sample_rate, seed
        self.augmentation = augmentation or PitchAugmentation()
        self.pairs = pairs

    def batch(self, step: int) -> dict[str, Tensor]:
        """The batch of a step."""
        random = np.random.default_rng((self.seed, step, 1))
        made: dict[str, Tensor] = {}
        for name, windows in self.windows.batch(step).items():
            mono = windows.mean(1).numpy()
            augmented = [with_shifted_span(one, random, self.augmentation) for one in mono]
            made[f"{name}/clean"] = torch.from_numpy(mono)
            made[f"{name}/augmented"] = torch.from_numpy(np.stack(augmented))
        if self.pairs is not None:
            made |= pairs_of(self.pairs, step)
        return _at_rate(made, self.sample_rate)


def pairs_of(pairs: PairedStems, step: int, sample_rate: int = SAMPLE_RATE) -> dict[str, Tensor]:
    """``pairs/source`` and ``pairs/target`` ``[B, T]``: the mean of the channels, at a rate."""
    drawn = pairs.batch(step)
    found = {f"{PAIRS}/{side}": drawn[side].mean(1) for side in ("source", "target")}
    return _at_rate(found, sample_rate)


def _at_rate(sounds: dict[str, Tensor], sample_rate: int) -> dict[str, Tensor]:
    """Sounds at 44.1 kHz at another rate."""
    if sample_rate == SAMPLE_RATE:
        return sounds
    return {name: resample(sound, SAMPLE_RATE, sample_rate) for name, sound in sounds.items()}


def with_shifted_span(sound: Sound, random: Generator, settings: PitchAugmentation) -> Sound:
    """A sound ``[T]`` at 44.1 kHz with one span of it moved in pitch; the length is kept."""
    low, high = settings.span
    frames = int(len(sound) * random.uniform(low, high))
    start = int(random.integers(len(sound) - frames + 1))
    semitones = float(random.uniform(-settings.semitones, settings.semitones))
    if frames < _PITCH_FFT or semitones == 0.0:
        return sound
    span = librosa.effects.pitch_shift(
        sound[start : start + frames],
        sr=SAMPLE_RATE,
        n_steps=semitones,
        n_fft=_PITCH_FFT,
        res_type="soxr_mq",
    )
    shifted = sound.copy()
    shifted[start : start + frames] = span[:frames]
    return shifted
