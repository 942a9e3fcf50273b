"""Rates, channels, loudness, true peaks and cross-fades; all of it streams."""

from audiotransfer.sound.channels import (
    crossfade,
    default_layout,
    layout_name,
    to_channels,
    to_stereo,
)
from audiotransfer.sound.limiter import Limiter
from audiotransfer.sound.loudness import LoudnessMeter
from audiotransfer.sound.peaks import TruePeakMeter, true_peak
from audiotransfer.sound.resampling import STEREO_RATE, StreamResampler, resample

__all__ = [
    "STEREO_RATE",
    "Limiter",
    "LoudnessMeter",
    "StreamResampler",
    "TruePeakMeter",
    "crossfade",
    "default_layout",
    "layout_name",
    "resample",
    "to_channels",
    "to_stereo",
    "true_peak",
]
