"""Spectrograms of sound (STFT, mel, CQT) and their inversion (Griffin-Lim, spectral gain)."""

from vocoder.base import Inverter, VocoderError, create, names, require_equal
from vocoder.griffinlim import GriffinLimInverter, griffin_lim
from vocoder.panning import panned
from vocoder.spectral_gain import SpectralGainInverter
from vocoder.spectrogram import SpectrogramSettings, power_mean

__all__ = [
    "GriffinLimInverter",
    "Inverter",
    "SpectralGainInverter",
    "SpectrogramSettings",
    "VocoderError",
    "create",
    "griffin_lim",
    "names",
    "panned",
    "power_mean",
    "require_equal",
]
