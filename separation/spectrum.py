"""The short-time spectrum in which the masking separators of this package work."""

from __future__ import annotations

import torch
from torch import Tensor

N_FFT = 4096
HOP_LENGTH = 1024


def spectrum(audio: Tensor) -> Tensor:
    """`[C, T]` to complex `[C, F, L]`: Hann window, frames centred, silence around the block."""
    window = torch.hann_window(N_FFT, device=audio.device)
    return torch.stft(
        audio, N_FFT, HOP_LENGTH, window=window, pad_mode="constant", return_complex=True
    )


def sound(bins: Tensor, length: int) -> Tensor:
    """Complex `[C, F, L]` to `[C, length]`, the inverse of `spectrum`."""
    window = torch.hann_window(N_FFT, device=bins.device)
    return torch.istft(bins, N_FFT, HOP_LENGTH, window=window, length=length)
