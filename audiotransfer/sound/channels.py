"""Between channel counts, and from one block to the next."""

from __future__ import annotations

import torch
from torch import Tensor

from audiotransfer.errors import AudioTransferError


def to_stereo(audio: Tensor) -> Tensor:
    """Audio [C, T] as [2, T]: mono doubled, stereo as it is, more channels folded.

    Folding takes the mean of channels 1, 3, 5… to the left and of 2, 4, 6… to the right.
    """
    if audio.shape[0] == 1:
        return audio.repeat(2, 1)
    if audio.shape[0] == 2:
        return audio
    return torch.stack((audio[0::2].mean(dim=0), audio[1::2].mean(dim=0)))


def to_channels(audio: Tensor, channels: int) -> Tensor:
    """Audio [C, T] as [channels, T], channels being 1 (the mean) or 2.

    Raises AudioTransferError for other counts, unless there is nothing to change.
    """
    if audio.shape[0] == channels:
        return audio
    if channels == 1:
        return audio.mean(dim=0, keepdim=True)
    if channels == 2:
        return to_stereo(audio)
    raise AudioTransferError(f"{audio.shape[0]} channels cannot become {channels}; ask for 1 or 2")


def crossfade(tail: Tensor, head: Tensor) -> Tensor:
    """Fade from tail [C, N] to head [C, N], linearly: equal signals stay as they are."""
    count = tail.shape[1]
    rise = (torch.arange(count, dtype=tail.dtype, device=tail.device) + 0.5) / max(1, count)
    return tail + (head - tail) * rise
