"""Inversion by a gain on the source's STFT, which keeps the source's phase and stereo image."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Generator, Tensor

from vocoder.base import VocoderError, require_shape
from vocoder.griffinlim import imposer, iterate
from vocoder.spectrogram import TINY, SpectrogramSettings, to_bins
from vocoder.stft import OverlapAdd

Change = Callable[[Tensor, slice], Tensor]
_CANCELLED = 10 ** (-10 / 20)  # least share of the channels' mean magnitude in their power


class SpectralGainInverter:
    """Filters the source with time-varying gains until its spectrogram equals the target.

    Target [.., F, L] and source [.., C, T] to sound [.., C, T]. The gain is the target
    spectrogram minus the source's own (both logarithmic, one spectrogram for all channels
    together), clamped to +-max_gain_db, interpolated from the spectrogram's bins to the STFT's and
    multiplied onto every channel's complex STFT, which keeps panning and phase. Overlapping frames
    change the result again, so this is repeated `iterations` times, with the momentum of fast
    Griffin-Lim. For a "cqt" spectrogram, which no STFT equals, the gain is applied once, and the
    iterations keep the magnitudes that each channel then has.

    The spectrogram of the source itself returns the source; silence stays silent; a source g times
    as loud with a spectrogram log(g) higher returns g times the output wherever both stay above the
    spectrogram's floor.

    With `mean_channel` the target spectrogram is that of the mean of the channels, which then has
    it; all channels get the same gain. Where channels nearly cancel each other it counts as 10 dB
    below their power.
    """

    def __init__(
        self,
        expects: SpectrogramSettings,
        iterations: int = 8,
        max_gain_db: float = 35.0,
        momentum: float = 0.99,
        mean_channel: bool = False,
    ) -> None:
        if iterations < 0:
            raise VocoderError(f"{iterations} Griffin-Lim iterations: use 0 or more")
        if not max_gain_db >= 0:
            raise VocoderError(f"max_gain_db {max_gain_db}: use 0 or more, usually 35")
        self.expects, self.iterations, self.momentum = expects, iterations, momentum
        self.max_gain_db, self.mean_channel = max_gain_db, mean_channel
        self.reach = (1 + iterations) * expects.n_fft
        self._bound = max_gain_db * math.log(10) / 20

    @torch.no_grad()
    def __call__(
        self,
        spectrogram: Tensor,
        length: int,
        source: Tensor | None = None,
        generator: Generator | None = None,
    ) -> Tensor:
        """Spectrogram [.., F, L] and source [.., C, T] to sound [.., C, T].

        Raises VocoderError without a source, or where shapes do not fit `length`.
        """
        if source is None:
            raise VocoderError(
                "the source inverter was given no source: pass it, or use griffinlim"
            )
        require_shape(self.expects, spectrogram, length)
        if (
            source.shape[-1] != length
            or source.shape[:-2] != spectrogram.shape[:-2]
            or source.ndim < 2
        ):
            raise VocoderError(
                f"source of shape {list(source.shape)} for a spectrogram of"
                f" {list(spectrogram.shape)}: it must be"
                f" {[*spectrogram.shape[:-2], 'channels', length]}"
            )
        if source.numel() == 0:
            return source.clone()
        settings = self.expects
        overlap_add = OverlapAdd(
            length, settings.n_fft, settings.hop_length, settings.padding, source.device
        )
        spectrograms = spectrogram.reshape(-1, *spectrogram.shape[-2:])
        sources = source.float().reshape(-1, *source.shape[-2:])
        sounds = [
            self._reshape(*pair, overlap_add) for pair in zip(spectrograms, sources, strict=True)
        ]
        return torch.stack(sounds).reshape(source.shape)

    def _reshape(self, spectrogram: Tensor, source: Tensor, overlap_add: OverlapAdd) -> Tensor:
        """Spectrogram [F, L] and source [C, T] to sound [C, T]."""
        target = self.expects.log_values(spectrogram).T
        first, again = (
            self._once(target, source, overlap_add)
            if self.expects.kind == "cqt"
            else self._towards(target.clone())
        )
        sound = overlap_add(source, first)
        return iterate(
            lambda ahead: overlap_add(ahead, again), sound, self.iterations, self.momentum
        )

    def _towards(self, target: Tensor) -> tuple[Change, Change]:
        """Changes of frames towards the log spectrogram [L, F]: of the first pass, of later ones.

        The first pass replaces `target` by what is reachable within the gain bound, in place; later
        passes aim for that.
        """
        settings, bound = self.expects, self._bound

        def log_bands(spectrum: Tensor) -> Tensor:
            mixed = torch.view_as_real(spectrum).square().sum(-1).mean(0).sqrt_()
            if self.mean_channel:
                mixed = torch.maximum(spectrum.mean(0).abs(), mixed.mul_(_CANCELLED))
            return settings.frame_bands(mixed).clamp_min_(TINY).log_()

        def again(spectrum: Tensor, frames: slice) -> Tensor:
            gain = (target[frames] - log_bands(spectrum)).clamp_(-bound, bound)
            return spectrum.mul_(to_bins(settings, gain).exp_())

        def first(spectrum: Tensor, frames: slice) -> Tensor:
            own = log_bands(spectrum)
            # Below the spectrogram's floor the source keeps its own level, so that rounding errors
            # are not raised by the bound again on every pass.
            change = target[frames] - own.clamp_min(math.log(settings.floor))
            target[frames] = own + change.clamp_(-bound, bound)
            return again(spectrum, frames)

        return first, again

    def _once(
        self, target: Tensor, source: Tensor, overlap_add: OverlapAdd
    ) -> tuple[Change, Change]:
        """Changes of frames where the STFT cannot reach the spectrogram: first pass, later ones.

        The first pass applies the gain from the source's own log spectrogram to the target [L, F];
        later passes keep the magnitudes that it gave.
        """
        settings = self.expects
        own = settings.log_values(settings.stereo(source)).T
        gain = (target - own).clamp_(-self._bound, self._bound)
        magnitude = source.new_empty(source.shape[0], overlap_add.frames, settings.n_fft // 2 + 1)

        def first(spectrum: Tensor, frames: slice) -> Tensor:
            spectrum.mul_(to_bins(settings, gain[frames]).exp_())
            magnitude[:, frames] = spectrum.abs()
            return spectrum

        return first, imposer(magnitude)
