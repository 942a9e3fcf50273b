"""Where a song comes from, and the measuring pass: all that must be known of it before the work
begins.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from audiotransfer import files, sound
from audiotransfer.errors import AudioTransferError
from audiotransfer.pipeline.progress import Tracker

PIECE = 1 << 18
"""Samples read at a time."""
WORKING_RMS = 0.1
"""Level at which separators and styles get every song, loud or quiet."""
_GATE_SECONDS = 0.4
_GATE = 1e-3  # of the mean power: pauses do not count


class Source(Protocol):
    """A song that can be read from its beginning as often as one likes."""

    name: str
    sample_rate: int
    channels: int
    frames: int
    """As announced; the measuring pass counts."""
    layout: Sequence[str] | None
    """The channels' loudspeakers by WAV's names, where they are known."""
    notices: Sequence[str]
    """What a user should know of it, complete after a reading."""

    def blocks(self, frames: int) -> Iterator[Tensor]:
        """``[C, t]`` in order. Raises :class:`AudioTransferError` on what is no sound."""
        ...


class FileSource:
    """A song in a file."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.name = str(path)
        info = files.probe(self.path)
        self.sample_rate, self.channels, self.frames = info.sample_rate, info.channels, info.frames
        self.layout: Sequence[str] | None = info.layout
        self.notices: Sequence[str] = self._named(info.notices)

    def blocks(self, frames: int) -> Iterator[Tensor]:
        with files.open_audio(self.path) as reader:
            yield from reader.blocks(frames)
            self.notices = self._named(reader.notices)

    def _named(self, notices: Sequence[str]) -> Sequence[str]:
        return [f"{self.name}: {notice}" for notice in notices]


class MemorySource:
    """A song in memory, ``[C, T]``."""

    def __init__(self, audio: Tensor, sample_rate: int, name: str) -> None:
        if audio.ndim != 2 or not audio.shape[0] or not audio.shape[1]:
            raise AudioTransferError(
                f"{name} has the shape {tuple(audio.shape)}: expected [channels, samples]"
            )
        if not audio.isfinite().all():
            raise AudioTransferError(f"{name} contains NaN or infinite samples: repair it first")
        self.audio, self.sample_rate, self.name = audio, sample_rate, name
        self.channels, self.frames = audio.shape
        self.layout: Sequence[str] | None = None
        self.notices: Sequence[str] = ()

    def blocks(self, frames: int) -> Iterator[Tensor]:
        yield from self.audio.split(frames, -1)


@dataclass(frozen=True)
class Measured:
    """A whole song in figures, of its one or two channels (more are folded to stereo)."""

    frames: int
    channels: int
    loudness: float
    """LUFS; -inf for silence."""
    true_peak: float
    """Linear."""
    rms: float
    """Of what is not a pause; 0 for silence."""

    @property
    def scale(self) -> float:
        """Brings the song to :data:`WORKING_RMS`."""
        return WORKING_RMS / self.rms if self.rms > 0.0 else 1.0


def folded(audio: Tensor, layout: Sequence[str] | None) -> Tensor:
    """Mono and stereo as they are, more channels as stereo."""
    return audio if audio.shape[0] <= 2 else sound.to_stereo(audio, layout)


def folding(source: Source) -> str:
    """What `folded` does to a song, for people; "" for mono and stereo."""
    if source.channels <= 2:
        return ""
    speakers = source.layout or sound.default_layout(source.channels)
    name = sound.layout_name(speakers)
    said = f"{source.channels} channels ({name})" if name else f"{source.channels} channels"
    low = ", without the low-frequency one" if "LFE" in speakers else ""
    return f"{source.name}: {said} were folded to stereo (ITU-R BS.775){low}"


def measure(source: Source, tracker: Tracker) -> Measured:
    """Reads the song once. Raises :class:`AudioTransferError` on NaN, damage, or no samples."""
    tracker.begin("measure", max(1, source.frames))
    channels = min(2, source.channels)
    loudness = sound.LoudnessMeter(source.sample_rate, channels)
    peak = sound.TruePeakMeter(channels)
    power = _GatedPower(round(_GATE_SECONDS * source.sample_rate))
    frames = 0
    for piece in source.blocks(PIECE):
        audio = folded(piece, source.layout)
        loudness.push(audio)
        peak.push(audio)
        power.push(audio)
        frames += audio.shape[-1]
        tracker.advance(audio.shape[-1])
    if not frames:
        raise AudioTransferError(f"{source.name} has no samples: there is nothing to work on")
    return Measured(frames, channels, loudness.integrated(), peak.peak(), power.rms())


class _GatedPower:
    """RMS over the windows that are not more than 30 dB below the mean: the same for a song at any
    level.
    """

    def __init__(self, window: int) -> None:
        self._window = max(1, window)
        self._rest = torch.zeros(0, dtype=torch.float64)
        # Numbers, not tensors: small tensors kept between large ones that come and go would keep
        # the heap from shrinking, by gigabytes for a song of hours.
        self._powers: list[float] = []

    def push(self, audio: Tensor) -> None:
        energy = torch.cat((self._rest, audio.double().square().mean(0)))
        whole = energy.shape[0] // self._window * self._window
        self._powers += energy[:whole].reshape(-1, self._window).mean(-1).tolist()
        self._rest = energy[whole:].clone()

    def rms(self) -> float:
        powers = torch.tensor(self._powers, dtype=torch.float64)
        if not powers.any() and self._rest.any():  # shorter than a window, or a last sound
            powers = self._rest.mean(0, keepdim=True)
        loud = powers[powers > _GATE * powers.mean()] if powers.numel() else powers
        return math.sqrt(float(loud.mean())) if loud.numel() else 0.0
