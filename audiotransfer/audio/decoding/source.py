"""The protocol of decoded sources, and several sources joined to one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np

from audiotransfer.audio.channels import Layout

Resampling = Callable[[np.ndarray, bool], np.ndarray]
"""Resamples blocks [t, C]; the flag marks the last one."""


class Undecodable(Exception):
    """A decoder cannot start or continue; the message says why, where it is known.

    ``samples`` [t, C] are those already decoded of the requested block.
    """

    def __init__(self, reason: str, samples: np.ndarray | None = None) -> None:
        super().__init__(reason)
        self.samples = samples


class Source(Protocol):
    """Audio that is decoded from start to end, [t, C] at a time."""

    sample_rate: int
    channels: int
    subtype: str
    layout: tuple[str, ...] | None
    """Loudspeakers by WAV's names; None where the file does not name them."""
    frames: int | None
    """Number of samples that will be read; None where only decoding can tell."""

    @property
    def notices(self) -> tuple[str, ...]:
        """Remarks for the user about what was read so far."""
        ...

    @property
    def faults(self) -> int:
        """Number of stretches that could not be decoded so far."""
        ...

    def read(self, count: int) -> np.ndarray:
        """The next samples; fewer than `count` only at the end. Raises Undecodable."""
        ...

    def seek(self, sample: int) -> None:
        """Seek to a sample; the same samples follow as when reading from the beginning."""
        ...

    def close(self) -> None: ...


class Joined:
    """Several sources played one after the other, at the rate and in the channels of the first."""

    def __init__(self, sources: Sequence[Source], lost: int = 0) -> None:
        self._lost = lost  # recordings that cannot be decoded
        first = sources[0]
        self._sources = sources
        self.sample_rate, self.channels = first.sample_rate, first.channels
        self.subtype, self.layout = first.subtype, first.layout
        known = [self._length(source) for source in sources]
        self.frames = None if None in known else sum(length or 0 for length in known)
        self._start(0)

    @property
    def faults(self) -> int:
        """Number of stretches that could not be decoded so far."""
        return self._lost + sum(source.faults for source in self._sources)

    @property
    def notices(self) -> tuple[str, ...]:
        """Notices of all sources so far."""
        return tuple(dict.fromkeys(note for source in self._sources for note in source.notices))

    def _length(self, source: Source) -> int | None:
        """Length of a source in samples at the joint rate."""
        return source.frames and -(-source.frames * self.sample_rate // source.sample_rate)

    def _start(self, number: int) -> None:
        self._number = number
        source = self._sources[number]
        source.seek(0)
        self._resample: Resampling | None = None
        if source.sample_rate != self.sample_rate:
            self._resample = resampler(source.sample_rate, self.sample_rate, self.channels)
        self._buffer = np.zeros((0, self.channels), np.float32)
        self._ended = False

    def read(self, count: int) -> np.ndarray:
        """The next samples [t, C]; fewer than `count` only at the end."""
        parts = []
        while count > 0:
            if not len(self._buffer):
                if self._ended and self._number + 1 == len(self._sources):
                    break
                if self._ended:
                    self._start(self._number + 1)
                self._more()
                continue
            parts.append(self._buffer[:count])
            self._buffer = self._buffer[count:]
            count -= len(parts[-1])
        return np.concatenate(parts) if parts else self._buffer

    def _more(self) -> None:
        source = self._sources[self._number]
        block = source.read(1 << 16)
        self._ended = len(block) < 1 << 16
        block = matched_channels(block, self.channels, source.layout, self.layout)
        self._buffer = self._resample(block, self._ended) if self._resample else block

    def seek(self, sample: int) -> None:
        """Seek to a sample; the same samples follow as when reading from the beginning."""
        number = 0
        for source in self._sources[:-1]:
            length = self._length(source)
            if length is None or sample < length:
                break
            sample -= length
            number += 1
        self._start(number)
        if self._resample is None:
            self._sources[number].seek(sample)
            return
        while sample > 0 and (got := len(self.read(min(sample, 1 << 16)))):
            sample -= got

    def close(self) -> None:
        for source in self._sources:
            source.close()


def resampler(from_rate: int, to_rate: int, channels: int) -> Resampling:
    """A streaming resampler of blocks [t, C]."""
    import torch

    from audiotransfer.audio.resampling import StreamResampler

    stream = StreamResampler(from_rate, to_rate, channels)

    def push(block: np.ndarray, last: bool) -> np.ndarray:
        resampled = stream.push(torch.from_numpy(np.ascontiguousarray(block.T)), last=last)
        return np.ascontiguousarray(resampled.numpy().T)

    return push


def matched_channels(
    block: np.ndarray, channels: int, layout: Layout | None, wanted: Layout | None
) -> np.ndarray:
    """Samples [t, C] in another number of channels.

    Mono is doubled, stereo averaged, more channels are folded down.
    """
    if block.shape[1] == channels and (layout == wanted or layout is None or wanted is None):
        return block
    if block.shape[1] == channels and layout is not None and wanted is not None:
        if set(layout) == set(wanted):
            return np.ascontiguousarray(block[:, [layout.index(name) for name in wanted]])
        return block
    import torch

    from audiotransfer.audio.channels import to_channels, to_stereo

    audio = torch.from_numpy(np.ascontiguousarray(block.T))
    stereo = audio if audio.shape[0] == 1 else to_stereo(audio, layout)
    if channels <= 2:
        return np.ascontiguousarray(to_channels(stereo, channels).numpy().T)
    wide = np.zeros((len(block), channels), np.float32)
    wide[:, :2] = to_stereo(stereo).numpy().T  # front left and right
    return wide
