"""Puts one channel where another sound's channels have their levels, band by band."""

from __future__ import annotations

from torch import Tensor

from vocoder import stft
from vocoder.base import require_frames
from vocoder.spectrogram import TINY, SpectrogramSettings, to_bins
from vocoder.stft import OverlapAdd


def panned(sound: Tensor, like: Tensor, settings: SpectrogramSettings) -> Tensor:
    """Sound [T] panned like the channels of a sound [C, T]: [C, T], whose mean is the sound.

    Each channel gets, in every band of the spectrogram and frame, its share of the channels' summed
    magnitude. All channels have the phase of the sound, so reverberation becomes narrower. Raises
    VocoderError for a "cqt" spectrogram.
    """
    require_frames(settings, "panning")
    channels, length = like.shape
    if channels == 1 or not length:
        return sound.expand(channels, length).clone()
    bands = stft.mean_power(
        like[:, None],
        settings.n_fft,
        settings.hop_length,
        settings.padding,
        lambda power: settings.frame_bands((power + TINY).sqrt()),
    )
    shares = channels * bands / bands.sum(0)
    overlap_add = OverlapAdd(
        length, settings.n_fft, settings.hop_length, settings.padding, sound.device
    )
    return overlap_add(
        sound.expand(channels, length),
        lambda spectrum, frames: spectrum.mul_(to_bins(settings, shares[:, frames])),
    )
