"""Sound to spectrogram and back: STFT, mel, CQT; Griffin-Lim and source-phase inversion."""

from vocoder.base import Inverter, create, names, require_equal
from vocoder.errors import VocoderError
from vocoder.griffinlim import GriffinLimInverter, griffin_lim
from vocoder.source import SourceInverter
from vocoder.spectrogram import SpectrogramSettings, power_mean

__all__ = [
    "GriffinLimInverter",
    "Inverter",
    "SourceInverter",
    "SpectrogramSettings",
    "VocoderError",
    "create",
    "griffin_lim",
    "names",
    "power_mean",
    "require_equal",
]
