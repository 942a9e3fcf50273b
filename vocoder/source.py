"""Sound from a picture and its source: the source's own phase and stereo, a bounded gain."""

from __future__ import annotations

import math

import torch
from torch import Generator, Tensor

from vocoder.base import require_shape
from vocoder.errors import VocoderError
from vocoder.griffinlim import imposer, iterate
from vocoder.pictures import Picture, to_bins
from vocoder.stft import Weave


class SourceInverter:
    """Reshapes the source until its picture is the wanted one.

    Picture [.., F, L] and source [.., C, T] -> sound [.., C, T]. The gain is the wanted picture
    minus the source's own (both logarithmic, one picture for all channels together), clamped to
    +-max_gain_db, carried from the picture's bins to the STFT's and multiplied onto every channel's
    complex STFT: panning and phase survive. Then `iterations` of fast Griffin-Lim from there, each
    channel with its own magnitudes, make the result consistent.

    The picture of the source itself gives the source back; silence stays silent; a source g times
    as loud with a picture log(g) higher gives g times the output wherever both stay above the
    picture's floor.
    """

    def __init__(
        self,
        expects: Picture,
        iterations: int = 8,
        max_gain_db: float = 35.0,
        momentum: float = 0.99,
    ) -> None:
        if iterations < 0:
            raise VocoderError(f"{iterations} Griffin-Lim iterations: use 0 or more")
        if not max_gain_db >= 0:
            raise VocoderError(f"max_gain_db {max_gain_db}: use 0 or more, usually 35")
        self.expects, self.iterations, self.momentum = expects, iterations, momentum
        self.max_gain_db = max_gain_db

    @torch.no_grad()
    def __call__(
        self,
        picture: Tensor,
        length: int,
        source: Tensor | None = None,
        generator: Generator | None = None,
    ) -> Tensor:
        """Raises VocoderError without a source, or where shapes do not fit `length`."""
        if source is None:
            raise VocoderError(
                "the source inverter was given no source: pass it, or use griffinlim"
            )
        require_shape(self.expects, picture, length)
        if source.shape[-1] != length or source.shape[:-2] != picture.shape[:-2] or source.ndim < 2:
            raise VocoderError(
                f"source of shape {list(source.shape)} for a picture of {list(picture.shape)}: "
                f"it must be {[*picture.shape[:-2], 'channels', length]}"
            )
        if source.numel() == 0:
            return source.clone()
        settings = self.expects
        weave = Weave(length, settings.n_fft, settings.hop_length, settings.padding, source.device)
        pictures = picture.reshape(-1, *picture.shape[-2:])
        sources = source.float().reshape(-1, *source.shape[-2:])
        sounds = [self._reshape(*pair, weave) for pair in zip(pictures, sources, strict=True)]
        return torch.stack(sounds).reshape(source.shape)

    def _reshape(self, picture: Tensor, source: Tensor, weave: Weave) -> Tensor:
        """Picture [F, L] and source [C, T] -> [C, T]."""
        settings = self.expects
        wanted = settings.log_values(picture).T
        own = settings.log_values(settings.stereo(source)).T if settings.kind == "cqt" else None
        bound = self.max_gain_db * math.log(10) / 20
        kept = weave.frames if self.iterations else 0
        magnitude = source.new_empty(source.shape[0], kept, settings.n_fft // 2 + 1)

        def change(spectrum: Tensor, frames: slice) -> Tensor:
            level = spectrum.abs()
            if own is None:
                mixed = level.square().mean(0).sqrt_()
                there = settings.logarithm(settings.frame_bands(mixed))
            else:
                there = own[frames]
            gain = (wanted[frames] - there).clamp_(-bound, bound)
            field = to_bins(settings, gain).exp_()
            if self.iterations:
                magnitude[:, frames] = level.mul_(field)
            return spectrum.mul_(field)

        sound = weave(source, change)
        if not self.iterations:
            return sound
        impose = imposer(magnitude)
        return iterate(lambda ahead: weave(ahead, impose), sound, self.iterations, self.momentum)
