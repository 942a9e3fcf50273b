"""Sample rate conversion (soxr, very high quality), whole or in a stream."""

from __future__ import annotations

import numpy as np
import soxr
import torch
from torch import Tensor

STEREO_RATE = 44_100  # Hz: sample rate of separators, styles and their spectrograms


class StreamResampler:
    """Resamples blocks; their concatenation equals `resample` of the whole exactly."""

    def __init__(self, from_rate: int, to_rate: int, channels: int) -> None:
        self._from, self._to, self._channels = from_rate, to_rate, channels
        self._taken = self._given = 0
        self._stream = None
        if from_rate != to_rate:
            self._stream = soxr.ResampleStream(
                from_rate, to_rate, channels, dtype="float32", quality="VHQ"
            )

    def push(self, block: Tensor, last: bool = False) -> Tensor:
        """Take a block [C, t] and return finished samples [C, u]; `last` ends the stream.

        In total ceil(T * to_rate / from_rate) samples are returned.
        """
        if self._stream is None:
            return block
        self._taken += block.shape[1]
        samples = block.detach().cpu().float().numpy().T
        if last:  # soxr may return one sample too few unless silence follows the end
            tail = 2 * (1 + self._from // self._to)
            samples = np.concatenate((samples, np.zeros((tail, self._channels), dtype=np.float32)))
        out = self._stream.resample_chunk(np.ascontiguousarray(samples), last=last)
        if last:
            out = out[: -(-self._taken * self._to // self._from) - self._given]
        self._given += len(out)
        return torch.from_numpy(np.ascontiguousarray(out.T))


def resample(audio: Tensor, from_rate: int, to_rate: int) -> Tensor:
    """Audio [C, T] at from_rate Hz as [C, ceil(T * to_rate / from_rate)] at to_rate Hz."""
    return StreamResampler(from_rate, to_rate, audio.shape[0]).push(audio, last=True)
