"""Short-time Fourier transform of the masking separators: Hann window, 4096 samples, hop 1024."""

from __future__ import annotations

import torch
from torch import Tensor

N_FFT = 4096
HOP_LENGTH = 1024


def stft(audio: Tensor) -> Tensor:
    """Sound `[C, T]` to a complex spectrum `[C, F, L]`.

    Frames are centred; zeros surround the block.
    """
    window = torch.hann_window(N_FFT, device=audio.device)
    return torch.stft(
        audio, N_FFT, HOP_LENGTH, window=window, pad_mode="constant", return_complex=True
    )


def istft(spectrum: Tensor, length: int) -> Tensor:
    """Complex spectrum `[C, F, L]` to sound `[C, length]`, the inverse of `stft`."""
    window = torch.hann_window(N_FFT, device=spectrum.device)
    return torch.istft(spectrum, N_FFT, HOP_LENGTH, window=window, length=length)


def frame_count(length: int) -> int:
    """Frames L of a sound of `length` samples."""
    return length // HOP_LENGTH + 1
