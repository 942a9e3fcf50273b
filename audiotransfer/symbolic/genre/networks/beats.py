"""Sixteenths as channels: a roll on a coarser grid, with nothing lost."""

from __future__ import annotations

from torch import Tensor


def fold(roll: Tensor, steps: int) -> Tensor:
    """[B, C, S, P] -> [B, C * steps, S / steps, P]: each run of ``steps`` sixteenths in one."""
    if steps == 1:
        return roll
    batch, channels, _, pitches = roll.shape
    cut = roll.unflatten(2, (-1, steps)).transpose(2, 3)
    return cut.reshape(batch, channels * steps, -1, pitches)


def unfold(folded: Tensor, steps: int) -> Tensor:
    """Undo `fold`."""
    if steps == 1:
        return folded
    batch, channels, _, pitches = folded.shape
    cut = folded.unflatten(1, (channels // steps, steps)).transpose(2, 3)
    return cut.reshape(batch, channels // steps, -1, pitches)
