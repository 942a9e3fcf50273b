"""What is hidden of the lower voices: runs of steps, in training as in sampling."""

from __future__ import annotations

import torch
from torch import Generator, Tensor

from audiotransfer.symbolic.bach.chorales import BEAT, VOICES

RUNS = (1, 2, 4, 8, 16, 32)  # steps that are hidden together


def hide(voices: Tensor, generator: Generator) -> Tensor:
    """Draw what is hidden of each example: bool [B, T, 4].

    Each example has its own share, evenly from 0 to 1, and its own length of runs.
    """
    batch, steps, _ = voices.shape
    found = torch.zeros(batch, steps, len(VOICES), dtype=torch.bool)
    shares = torch.rand(batch, generator=generator)
    lengths = torch.randint(len(RUNS), (batch,), generator=generator)
    for example, (share, length) in enumerate(zip(shares.tolist(), lengths.tolist(), strict=True)):
        found[example, :, 1:] = runs(steps, RUNS[length], share, generator)
    return found.to(voices.device)


def runs(steps: int, length: int, share: float, generator: Generator) -> Tensor:
    """Runs of `length` steps, each taken with chance `share`, for each lower voice: bool [T, 3]."""
    count = steps // length + 2
    taken = torch.rand(count, len(VOICES) - 1, generator=generator) < share
    first = int(torch.randint(length, (), generator=generator))
    return taken.repeat_interleave(length, dim=0)[first : first + steps]


def phases_from_beat(voices: Tensor) -> Tensor:
    """The place of each step in its beat, where the first one is on a beat: int64 [B, T]."""
    steps = torch.arange(voices.shape[1], device=voices.device) % BEAT
    return steps.expand(voices.shape[:2])
