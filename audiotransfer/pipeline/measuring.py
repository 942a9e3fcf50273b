"""The measuring pass: loudness, peaks and RMS of a whole song, before its first block."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from audiotransfer.audio.channels import default_layout, layout_name, to_stereo
from audiotransfer.audio.loudness import LoudnessMeter
from audiotransfer.audio.resampling import STEREO_RATE
from audiotransfer.audio.true_peak import TruePeakMeter
from audiotransfer.errors import AudioTransferError
from audiotransfer.pipeline.reporting import Tracker
from audiotransfer.pipeline.sources import PIECE, Source

WORKING_RMS = 0.1
"""RMS of the working level: every song is scaled to it before separation."""
_GATE_SECONDS = 0.4
_GATE = 1e-3  # of the mean power: pauses do not count
_SILENCE = 1e-10  # RMS, -200 dBFS: below it, float32 cannot bring a song to the working level
_INACTIVE = 1e-3  # of the loudest channel's peak: crosstalk of a codec or cable


@dataclass(frozen=True)
class Measured:
    """Global measurements of a song of one or two channels (more are downmixed to stereo)."""

    sample_rate: int
    channels: int
    frames: int
    loudness: float
    """LUFS; -inf for silence."""
    true_peak: float
    """Linear."""
    peaks: tuple[float, ...]
    """Largest sample of each channel, linear."""
    rms: float
    """Of the active channels without pauses; 0 for silence, below -200 dBFS."""

    @property
    def scale(self) -> float:
        """The gain that brings the song to :data:`WORKING_RMS`."""
        return WORKING_RMS / self.rms if self.rms > 0.0 else 1.0

    @property
    def active_channels(self) -> list[int]:
        """Channels that are not almost silent beside the loudest one."""
        return _active(self.peaks)

    @property
    def one_sided(self) -> bool:
        """Whether one of two channels is silent."""
        return self.channels == 2 and len(self.active_channels) == 1

    @property
    def working_frames(self) -> int:
        """Samples of the song at 44.1 kHz."""
        return -(-self.frames * STEREO_RATE // self.sample_rate)


def downmix(audio: Tensor, layout: Sequence[str] | None) -> Tensor:
    """Audio ``[C, T]`` with at most two channels: more are folded down to stereo."""
    return audio if audio.shape[0] <= 2 else to_stereo(audio, layout)


def downmix_notice(source: Source) -> str:
    """A notice that describes what `downmix` does to a song; "" for mono and stereo."""
    if source.channels <= 2:
        return ""
    if source.layout is None and source.channels > len(default_layout(8)):
        return (
            f"{source.name}: {source.channels} channels without a layout were folded to stereo by"
            " turns: the mean of the 1st, 3rd … on the left, of the 2nd, 4th … on the right"
        )
    speakers = source.layout or default_layout(source.channels)
    name = layout_name(speakers)
    described = f"{source.channels} channels ({name})" if name else f"{source.channels} channels"
    low = ", without the low-frequency one" if "LFE" in speakers else ""
    return f"{source.name}: {described} were folded to stereo (ITU-R BS.775){low}"


def measure(
    source: Source, tracker: Tracker, also: Callable[[Tensor], None] | None = None
) -> Measured:
    """Reads the song once; ``also`` is given the same samples ``[C, t]``, of two channels at most.

    Raises :class:`AudioTransferError` for NaN, damage, or no samples.
    """
    tracker.begin("transcribe" if also else "measure", max(1, source.frames))
    channels = min(2, source.channels)
    loudness = LoudnessMeter(source.sample_rate, channels)
    peak = TruePeakMeter(channels)
    power = _GatedRms(round(_GATE_SECONDS * source.sample_rate))
    frames = 0
    for piece in source.blocks(PIECE):
        audio = downmix(piece, source.layout)
        loudness.push(audio)
        peak.push(audio)
        power.push(audio)
        if also is not None:
            also(audio)
        frames += audio.shape[-1]
        tracker.advance(audio.shape[-1])
    if not frames:
        raise AudioTransferError(f"{source.name} has no samples: there is nothing to work on")
    peaks = peak.samples()
    rms = power.rms() * math.sqrt(channels / len(_active(peaks)))
    return Measured(
        source.sample_rate, channels, frames, loudness.integrated(), peak.peak(), peaks, rms
    )


def _active(peaks: tuple[float, ...]) -> list[int]:
    loudest = max(peaks)
    return [number for number, peak in enumerate(peaks) if peak >= _INACTIVE * loudest]


class _GatedRms:
    """RMS over the windows that are at most 30 dB below the mean: proportional to the song's gain,
    and not lowered by pauses.
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
        return rms if rms > _SILENCE else 0.0
