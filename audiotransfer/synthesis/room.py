"""The room: convolution with early reflections and exponentially decaying noise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from audiotransfer.synthesis.filters import butterworth

if TYPE_CHECKING:
    from numpy.typing import NDArray

_SEED = 20
_LOW_CUT = 120.0  # Hz; a room without bass keeps the bass clear
_SPLIT = 3000.0  # Hz, between what decays in time and what decays sooner
_EARLY = ((0.0113, 0.0147), (0.0191, 0.0173), (0.0267, 0.0291), (0.0379, 0.0351))
_EARLY_SHARE = 0.35  # of the impulse response's energy
_LATE_START = 0.02  # seconds
_SILENCE_DB = 66.0


@dataclass(frozen=True)
class Room:
    """A room's reverberation.

    ``decay_seconds`` is the time in which it decays by 60 dB, ``level_db`` its level below that of
    the direct sound. ``brightness`` 0..1 is the level of what lies above 3 kHz, which also decays
    sooner.
    """

    decay_seconds: float = 0.7
    level_db: float = -15.0
    brightness: float = 0.5

    def impulse_response(self, sample_rate: int) -> NDArray[np.float32]:
        """Left and right response ``[2, T]`` to an impulse, without the direct sound."""
        length = round(self.decay_seconds * _SILENCE_DB / 60.0 * sample_rate)
        length += round(_LATE_START * sample_rate)
        times = np.arange(length) / sample_rate
        noise = np.random.default_rng(_SEED).standard_normal((2, length))
        noise = butterworth(noise, "high", _LOW_CUT, sample_rate)
        low = butterworth(noise, "low", _SPLIT, sample_rate)
        late = np.maximum(0.0, times - _LATE_START)
        fall = np.log(1000.0) / self.decay_seconds
        dull = low * np.exp(-fall * late)
        bright = (noise - low) * np.exp(-fall * late * (2.0 - 0.7 * self.brightness))
        response = (dull + self.brightness * bright) * (times >= _LATE_START)
        response *= np.sqrt((1.0 - _EARLY_SHARE) / np.mean(np.sum(response**2, axis=1)))
        for reflection, pair in enumerate(_EARLY):
            for channel, seconds in enumerate(pair):
                place = round(seconds * sample_rate)
                if place < length:
                    gain = np.sqrt(_EARLY_SHARE) * 0.6**reflection * (-1.0) ** reflection
                    response[channel, place] += gain * np.sqrt(1.0 - 0.36)
        scaled: NDArray[np.float32] = (10.0 ** (self.level_db / 20.0) * response).astype(np.float32)
        return scaled


DEFAULT_ROOM = Room()


class RoomFilter:
    """Adds a room to successive blocks of sound, by fast convolution (overlap-add)."""

    def __init__(self, room: Room, sample_rate: int) -> None:
        response = room.impulse_response(sample_rate)
        self._length = response.shape[1]
        self._size = 1 << max(10, (4 * self._length - 1).bit_length() - 1)
        self._spectrum = np.fft.rfft(response, self._size)
        self._tail = np.zeros((2, self._length), dtype=np.float32)

    def __call__(self, sound: NDArray[np.float32]) -> NDArray[np.float32]:
        """Sound ``[2, T]`` with its reverberation and that of the blocks before it."""
        total = sound.shape[1]
        wet = np.zeros((2, total + self._length), dtype=np.float32)
        wet[:, : self._length] = self._tail
        hop = self._size - self._length
        for start in range(0, total, hop):
            piece = sound[:, start : start + hop]
            product = np.fft.rfft(piece, self._size) * self._spectrum
            end = piece.shape[1] + self._length
            wet[:, start : start + end] += np.fft.irfft(product, self._size)[:, :end]
        self._tail = wet[:, total:].copy()
        wet[:, :total] += sound
        return wet[:, :total]
