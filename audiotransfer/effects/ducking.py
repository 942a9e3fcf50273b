"""Makes room for the kick drum: what plays beside it bows whenever it sounds, and comes back."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from audiotransfer.effects.equaliser import SAMPLE_RATE, TAPS, equalise

_LOW = ((90.0, 0.0), (180.0, -40.0))
_HOP = 64
_LOUD = 0.08  # a kick's peak in a song at RMS 0.1
_RELEASE = 0.125  # seconds to 1 / e
#: Samples after which a kick is forgotten: it has died away by 100 dB.
MEMORY = round(12 * _RELEASE * SAMPLE_RATE) + TAPS


def duck(sound: Tensor, drums: Tensor | None, depth: float) -> Tensor:
    """Turns a stem ``[C, T]`` down by up to ``depth`` (0..1) while the lows of ``drums`` sound.

    The pump of dance music. Without drums ``[C, T]`` the stem stays as it is.
    """
    length = sound.shape[-1]
    if drums is None or length == 0:
        return sound
    low = equalise(drums, _LOW).abs().amax(0)
    low = functional.pad(low, (0, -length % _HOP)).unflatten(-1, (-1, _HOP)).amax(-1)
    # The fall of a long song leaves no room in float32 for what a level is more or less.
    fall = torch.arange(len(low), device=low.device).double() * (_HOP / SAMPLE_RATE / _RELEASE)
    # The loudest there was, less what has died away since then.
    level = torch.exp(torch.cummax(torch.log(low + 1e-6) + fall, 0).values - fall).to(low)
    gain = 1 - depth * torch.tanh(level / _LOUD)
    smooth = functional.interpolate(gain[None, None], scale_factor=_HOP, mode="linear")[0, 0]
    return sound * smooth[:length]
