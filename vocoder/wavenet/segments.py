"""Long sounds from a causal WaveNet: overlapping segments that are sampled side by side."""

from __future__ import annotations

import torch
from torch import Tensor

from vocoder.wavenet.network import WaveNet
from vocoder.wavenet.sampling import sample

FRAMES = 32
"""Frames of the condition that belong to one segment."""
_FADE = 2  # frames in which neighbouring segments are mixed


def reach(network: WaveNet, hop_length: int) -> int:
    """Samples on each side that a sample depends on."""
    return int(network.field) + (FRAMES + 2 * _FADE) * hop_length


@torch.no_grad()
def sample_segments(
    network: WaveNet,
    local: Tensor,
    hop_length: int,
    uniform: Tensor,
    temperature: float = 1.0,
) -> Tensor:
    """Sounds ``[N, T]`` under conditions ``[N, local, L]``; ``uniform`` ``[2, T]`` are random.

    Segments are sampled each after a start of its own that is thrown away, and cross-faded. All
    items and segments draw the same random numbers at the same place.
    """
    length, frames = uniform.shape[-1], local.shape[-1]
    conditions = network.conditions(local, None)
    assert conditions is not None
    before = -(-network.field // hop_length)
    firsts = list(range(0, frames, FRAMES))
    starts = [(item, max(0, at - before)) for item in range(len(local)) for at in firsts]
    steps = (before + FRAMES + _FADE) * hop_length
    parts = sample(network, conditions, starts, steps, hop_length, uniform, temperature)
    return joined(parts.reshape(len(local), len(firsts), steps), before, hop_length)[:, :length]


def joined(parts: Tensor, before: int, hop_length: int) -> Tensor:
    """Segments ``[N, S, t]``, after at most ``before`` frames of start, to sounds ``[N, T]``."""
    own, fade = FRAMES * hop_length, _FADE * hop_length
    total = torch.zeros(len(parts), parts.shape[1] * own + fade)
    # The same random numbers make neighbours alike, or not: equal power is between both.
    rise = torch.linspace(0, torch.pi / 2, fade).sin()
    for number in range(parts.shape[1]):
        skipped = min(number * FRAMES, before) * hop_length
        part = parts[:, number, skipped : skipped + own + fade].clone()
        if number:
            part[:, :fade] *= rise
        part[:, own:] *= rise.flip(0)
        total[:, number * own : number * own + own + fade] += part
    return total
