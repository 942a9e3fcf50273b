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

from audiotransfer.audio.channels import to_stereo
from audiotransfer.audio.layouts import default_layout, layout_name
from audiotransfer.audio.loudness import LoudnessMeter
from audiotransfer.audio.reading import open_audio, probe_audio
from audiotransfer.audio.true_peak import TruePeakMeter
from audiotransfer.errors import AudioTransferError
from audiotransfer.pipeline.cut import Cut
from audiotransfer.pipeline.progress import Tracker
from audiotransfer.pipeline.samples import check_rate, check_samples

PIECE = 1 << 18
"""Samples read at a time."""
WORKING_RMS = 0.1
"""Level at which separators and styles get every song, loud or quiet."""
_GATE_SECONDS = 0.4
_GATE = 1e-3  # of the mean power: pauses do not count
_NOTHING = 1e-10  # RMS, -200 dBFS: below it, float32 cannot bring a song to the working level
_SILENT = 1e-3  # of the loudest channel's peak: what a codec or a cable leaks into a dead one


class Source(Protocol):
    """A song that can be read from its beginning as often as one likes."""

    name: str
    sample_rate: int
    channels: int
    frames: int
    """As announced; the measuring pass counts."""
    layout: Sequence[str] | None
    """The channels' loudspeakers by WAV's names, where they are known."""

    @property
    def notices(self) -> Sequence[str]:
        """What a user should know of it, complete after a reading."""
        ...

    def blocks(self, frames: int, start: int = 0) -> Iterator[Tensor]:
        """``[C, t]`` in order from sample `start`. Raises :class:`AudioTransferError` on what is no
        sound.
        """
        ...


class FileSource:
    """A song in a file."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.name = str(path)
        info = probe_audio(self.path)
        self.sample_rate, self.channels, self.frames = info.sample_rate, info.channels, info.frames
        self.layout: Sequence[str] | None = info.layout
        self.notices: Sequence[str] = self._named(info.notices)

    def blocks(self, frames: int, start: int = 0) -> Iterator[Tensor]:
        with open_audio(self.path) as reader:
            if start:
                reader.skip(start)
            yield from reader.blocks(frames)
            self.notices = self._named(reader.notices)

    def _named(self, notices: Sequence[str]) -> Sequence[str]:
        return [f"{self.name}: {notice}" for notice in notices]


class MemorySource:
    """A song in memory, ``[C, T]`` (see :func:`check_samples`)."""

    def __init__(self, audio: Tensor, sample_rate: int, name: str) -> None:
        self.audio, self.name = check_samples(audio, name), name
        self.sample_rate = check_rate(sample_rate, name)
        self.channels, self.frames = self.audio.shape
        self.layout: Sequence[str] | None = None
        self.notices: Sequence[str] = ()

    def blocks(self, frames: int, start: int = 0) -> Iterator[Tensor]:
        yield from self.audio[:, start:].split(frames, -1)


class CutSource:
    """A part of a song, to the sample: what lies around it is not heard."""

    def __init__(self, song: Source, cut: Cut) -> None:
        self._song = song
        self.name, self.sample_rate, self.channels = song.name, song.sample_rate, song.channels
        self.layout = song.layout
        # A few files do not say how long they are.
        total = song.frames or sum(piece.shape[-1] for piece in song.blocks(PIECE))
        try:
            self._start, end = cut.samples(total, self.sample_rate)
        except AudioTransferError as error:
            raise AudioTransferError(f"{self.name}: {error}") from None
        self.frames = end - self._start

    @property
    def notices(self) -> Sequence[str]:
        """Those of the song, as far as it was read."""
        return self._song.notices

    def blocks(self, frames: int, start: int = 0) -> Iterator[Tensor]:
        remaining = self.frames - start
        # Pieces of one length, so that hardly anything behind the end is read: it may be damaged.
        pieces = max(1, -(-remaining // frames))
        for piece in self._song.blocks(max(1, -(-remaining // pieces)), self._start + start):
            yield piece[:, :remaining]
            remaining -= piece.shape[-1]
            if remaining <= 0:
                return


def part_of(song: Source, cut: Cut) -> Source:
    """The song, or the part of it that is wanted."""
    return CutSource(song, cut) if cut.label else song


@dataclass(frozen=True)
class Measured:
    """A whole song in figures, of its one or two channels (more are folded to stereo)."""

    frames: int
    channels: int
    loudness: float
    """LUFS; -inf for silence."""
    true_peak: float
    """Linear."""
    peaks: tuple[float, ...]
    """Largest sample of each channel, linear."""
    rms: float
    """Of what is not a pause, in the channels that sound; 0 for silence, below -200 dBFS."""

    @property
    def scale(self) -> float:
        """Brings the song to :data:`WORKING_RMS`."""
        return WORKING_RMS / self.rms if self.rms > 0.0 else 1.0

    @property
    def sounding(self) -> list[int]:
        """Channels that are not nearly nothing beside the loudest one."""
        return _sounding(self.peaks)


def folded(audio: Tensor, layout: Sequence[str] | None) -> Tensor:
    """Mono and stereo as they are, more channels as stereo."""
    return audio if audio.shape[0] <= 2 else to_stereo(audio, layout)


def folding(source: Source) -> str:
    """What `folded` does to a song, for people; "" for mono and stereo."""
    if source.channels <= 2:
        return ""
    if source.layout is None and source.channels > len(default_layout(8)):
        return (
            f"{source.name}: {source.channels} channels without a layout were folded to stereo by"
            " turns: the mean of the 1st, 3rd … on the left, of the 2nd, 4th … on the right"
        )
    speakers = source.layout or default_layout(source.channels)
    name = layout_name(speakers)
    said = f"{source.channels} channels ({name})" if name else f"{source.channels} channels"
    low = ", without the low-frequency one" if "LFE" in speakers else ""
    return f"{source.name}: {said} were folded to stereo (ITU-R BS.775){low}"


def measure(source: Source, tracker: Tracker) -> Measured:
    """Reads the song once. Raises :class:`AudioTransferError` on NaN, damage, or no samples."""
    tracker.begin("measure", max(1, source.frames))
    channels = min(2, source.channels)
    loudness = LoudnessMeter(source.sample_rate, channels)
    peak = TruePeakMeter(channels)
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
    peaks = peak.samples()
    rms = power.rms() * math.sqrt(channels / len(_sounding(peaks)))
    return Measured(frames, channels, loudness.integrated(), peak.peak(), peaks, rms)


def _sounding(peaks: tuple[float, ...]) -> list[int]:
    loudest = max(peaks)
    return [number for number, peak in enumerate(peaks) if peak >= _SILENT * loudest]


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
        rms = math.sqrt(float(loud.mean())) if loud.numel() else 0.0
        return rms if rms > _NOTHING else 0.0
