"""Finishing of a mix that is kept on disk: one gain to the song's loudness, and a true-peak
limiter where the mix would exceed the ceiling.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from audiotransfer.audio.limiter import Limiter
from audiotransfer.audio.loudness import LoudnessMeter
from audiotransfer.audio.true_peak import TruePeakMeter
from audiotransfer.errors import AudioTransferError
from audiotransfer.pipeline.blocks import MixBlock
from audiotransfer.pipeline.reporting import Tracker
from audiotransfer.pipeline.sources import PIECE

_LIMIT_DB = 20.0  # largest gain: a nearly silent mix is not amplified to a song's level
_NEAR_LU = 0.2
_FAR_LU = 0.7
_ROUNDS = 5
_LEAST_SLOPE = 0.2
# Release of the limiter in dB per second. What is shorter than the gentle one's recovery, or all
# peaks, stays too soft with it however high the gain; the last one is nearly a soft clipper.
_RELEASES = (30.0, 300.0, 3000.0)
# Quantising to 16 bit may lift a peak by a few of its steps.
_MARGIN = 1e-4
_LOSSY = (".mp3", ".ogg")
_LOSSY_CEILING_DB = -1.0  # codecs overshoot
_BITS = {"int16": 16, "int24": 24}
_STEP = 2.0**-15  # of 16 bit: what is clipped by less is not clipped
_DECODED_DB = 1.0  # above full scale: usual in decoded mp3s of loud songs
_LIMITED_DB = 6.0  # above full scale: a limiter removes that much from a few peaks inaudibly


class Sink(Protocol):
    """Receives the finished song in consecutive pieces ``[C, t]``."""

    def write(self, audio: Tensor) -> None: ...


class Spool:
    """Samples ``[C, T]`` as float32 in an unnamed temporary file, which the system deletes when the
    process ends in any way. A context manager.
    """

    def __init__(self, folder: Path | None, channels: int) -> None:
        self._folder = folder or Path(tempfile.gettempdir())
        self._file = tempfile.TemporaryFile(dir=self._folder)  # noqa: SIM115 (closed by __exit__)
        self.channels, self.frames = channels, 0

    def __enter__(self) -> Spool:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def write(self, audio: Tensor) -> None:
        """Appends ``[C, t]``. Raises :class:`AudioTransferError` where the disk is full."""
        try:
            self._file.write(np.ascontiguousarray(audio.T.numpy(), np.float32).tobytes())
        except OSError as error:
            raise AudioTransferError(
                f"{self._folder} cannot hold unfinished sound ({error.strerror}): make room, or"
                " write elsewhere"
            ) from None
        self.frames += audio.shape[-1]

    def blocks(self, frames: int = PIECE) -> Iterator[Tensor]:
        """Yields everything from the beginning, ``[C, t]`` in order."""
        self._file.seek(0)
        while data := self._file.read(frames * self.channels * 4):
            yield torch.from_numpy(
                np.frombuffer(data, np.float32).reshape(-1, self.channels).T.copy()
            )


class MixFile(Spool):
    """The mix before its gain, on disk, with its loudness and true peak."""

    def __init__(
        self, folder: Path | None, sample_rate: int, channels: int, scale: float = 1.0
    ) -> None:
        super().__init__(folder, channels)
        self.sample_rate = sample_rate
        self.scale = scale
        """Loudness is measured after this gain: the meter's absolute gate must not cut quiet
        songs."""
        self.changed = False
        """Whether the mix differs from the song by more than rounding errors."""
        self._loudness = LoudnessMeter(sample_rate, channels)
        self._peak = TruePeakMeter(channels)

    def __enter__(self) -> MixFile:
        return self

    def write(self, audio: Tensor) -> None:
        if not audio.shape[-1]:
            return
        super().write(audio)
        self._loudness.push(audio * self.scale)
        self._peak.push(audio)

    def fill(self, blocks: Iterable[MixBlock]) -> None:
        """Writes a whole mix."""
        for block in blocks:
            self.write(block.mix)
            self.changed = block.changed

    @property
    def loudness(self) -> float:
        """LUFS of the scaled mix."""
        return self._loudness.integrated()

    @property
    def true_peak(self) -> float:
        """Linear, of the mix itself."""
        return self._peak.peak()


class LoudnessMeterSink:
    """Measures loudness and true peak of the sound that it passes to another sink."""

    def __init__(self, sink: Sink, sample_rate: int, channels: int) -> None:
        self._sink = sink
        self._loudness = LoudnessMeter(sample_rate, channels)
        self._peak = TruePeakMeter(channels)

    def write(self, audio: Tensor) -> None:
        self._loudness.push(audio)
        self._peak.push(audio)
        self._sink.write(audio)

    @property
    def loudness(self) -> float:
        """LUFS."""
        return self._loudness.integrated()

    @property
    def true_peak(self) -> float:
        """Linear."""
        return self._peak.peak()


@dataclass(frozen=True)
class Level:
    """Limits of an output's level: a first gain and a ceiling for true peaks, both linear, and a
    notice for the user.
    """

    gain: float
    ceiling: float
    notice: str | None = None


def level_for(peak: float, true_peak: float, *, changed: bool, encoding: str, suffix: str) -> Level:
    """Gain and ceiling for a song with these peaks (linear) in a file of this encoding.

    The ceiling is full scale, or the song's own true peak where that is higher and nothing was
    changed: peaks between samples are no reason to touch it. Samples above full scale are held by
    float32 only. Elsewhere a few dB of them are limited; a song that is further above is turned
    down as a whole. One that rounds to silence gets a notice. A song that was changed, or turned
    down, stays below what codecs overshoot.
    """
    if suffix not in _LOSSY and encoding == "float32":
        return Level(1.0, max(1.0, true_peak))
    full = 10.0 ** (_LOSSY_CEILING_DB / 20.0) if suffix in _LOSSY else 1.0
    if peak <= 1.0 + _STEP:
        notice = None
        if suffix not in _LOSSY and 0.0 < peak <= 2.0 ** -_BITS[encoding]:  # half a step
            notice = (
                f"the song's peak is {-20.0 * math.log10(peak):.0f} dB below full scale, less than"
                f" {suffix[1:]} of {encoding} can hold: nothing is left of it; --float32 keeps it"
                f"{'' if suffix == '.wav' else ' in a .wav'}"
            )
        return Level(1.0, full if changed else max(1.0, true_peak), notice)
    over = 20.0 * math.log10(peak)
    kind = suffix[1:] if suffix in _LOSSY else f"{suffix[1:]} of {encoding}"
    found = f"the song's peak is {over:.1f} dB above full scale, which {kind} cannot hold"
    kept = f"--float32 keeps its level{'' if suffix == '.wav' else ' in a .wav'}"
    if over > _LIMITED_DB:
        gain = full / true_peak
        lower = f"it was turned down by {-20.0 * math.log10(gain):.1f} dB"
        return Level(gain, full, f"{found}: {lower}; {kept}")
    usual = changed and over <= _DECODED_DB
    return Level(1.0, full, None if usual else f"{found}: its peaks were limited; {kept}")


def finish(
    mix: MixFile, gain: float, loudness: float | None, ceiling: float, tracker: Tracker
) -> Iterator[Tensor]:
    """Yields the mix ``[C, t]`` with one gain, through a true-peak limiter where it would
    exceed the ceiling.

    Args:
        gain: linear, to begin with.
        loudness: LUFS of the scaled mix after the limiter, for which the gain is raised where the
            limiter takes something away; ``None`` leaves the gain.
        ceiling: linear true peak.
    """
    limit = mix.true_peak * gain > ceiling * (1.0 + 1e-6)
    release = _RELEASES[0]
    if limit and loudness is not None and math.isfinite(loudness):
        gain, release = _settle(mix, gain, loudness, ceiling, tracker)
    tracker.begin("write", mix.frames)
    pieces = (
        _limited(mix, gain, ceiling, release) if limit else (piece * gain for piece in mix.blocks())
    )
    for piece in pieces:
        if piece.shape[-1]:  # the limiter looks ahead and may give nothing yet
            yield piece
        tracker.advance(piece.shape[-1])


def write(pieces: Iterable[Tensor], sink: Sink) -> None:
    """Writes all pieces ``[C, t]`` to a sink."""
    for piece in pieces:
        sink.write(piece)


def matching_gain(loudness: float, target: float) -> float:
    """Linear gain from one loudness to another (LUFS), within ±20 dB; 1 where one of them is
    silence.
    """
    if not (math.isfinite(loudness) and math.isfinite(target)):
        return 1.0
    gain: float = 10.0 ** (max(-_LIMIT_DB, min(_LIMIT_DB, target - loudness)) / 20.0)
    return gain


def _settle(
    mix: MixFile, first: float, loudness: float, ceiling: float, tracker: Tracker
) -> tuple[float, float]:
    """The gain at which the limited mix has the wanted loudness, and the slowest release with which
    it can.
    """
    most = first * 10.0 ** (_LIMIT_DB / 20.0)
    gain, release = first, _RELEASES[0]
    for release in _RELEASES:
        gain, step, lacking = first, 0.0, math.inf
        for _ in range(_ROUNDS):
            meter = LoudnessMeter(mix.sample_rate, mix.channels)
            for piece in _limited(mix, gain, ceiling, release):
                meter.push(piece * mix.scale)
                tracker.part(0.0)
            before, lacking = lacking, loudness - meter.integrated()
            if not abs(lacking) > _NEAR_LU:
                return gain, release
            # The limiter takes back a part of every step, which the next step makes up for.
            slope = (before - lacking) / step if step else 1.0
            step = lacking / min(1.0, max(_LEAST_SLOPE, slope))
            gain = min(most, gain * 10.0 ** (step / 20.0))
        if not lacking > _FAR_LU:
            break
    return gain, release


def _limited(mix: MixFile, gain: float, ceiling: float, release: float) -> Iterator[Tensor]:
    limiter = Limiter(mix.sample_rate, ceiling * (1.0 - _MARGIN), release)
    remaining = mix.frames
    for piece in mix.blocks():
        remaining -= piece.shape[-1]
        yield limiter.push(piece * gain, last=remaining == 0)
