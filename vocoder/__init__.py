"""Sound to picture and back: STFT, mel, CQT; Griffin-Lim and source-phase inversion."""

from vocoder.base import Inverter, create, names, require_equal
from vocoder.errors import VocoderError
from vocoder.griffinlim import GriffinLimInverter, griffin_lim
from vocoder.pictures import Picture, power_mean
from vocoder.source import SourceInverter

__all__ = [
    "GriffinLimInverter",
    "Inverter",
    "Picture",
    "SourceInverter",
    "VocoderError",
    "create",
    "griffin_lim",
    "names",
    "power_mean",
    "require_equal",
]
