"""The short-time spectrum in which the masking separators of this package work."""

from __future__ import annotations

import hashlib
from typing import Any

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


#: Where it computes and whom it tells is not what it makes.
_NO_MATTER = ("device", "progress")


def fingerprint(separator: Any) -> str:
    """Hexadecimal digits that differ for separators whose stems differ, in this process and others.

    Counted are the class, its `version` where it has one (to be raised when what it makes changes
    without its weights), and of its attributes networks, tensors and plain values.
    """
    from torch import Tensor, nn  # the package answers without it

    kind = type(separator)
    digest = hashlib.blake2b(digest_size=16)
    digest.update(f"{kind.__module__}.{kind.__qualname__} {getattr(kind, 'version', '')}".encode())
    for name, value in sorted(vars(separator).items()):
        if name.lstrip("_") in _NO_MATTER:
            continue
        if isinstance(value, nn.Module):
            for key, tensor in sorted(value.state_dict().items()):
                digest.update(f"{name}.{key}".encode() + _bytes(tensor))
        elif isinstance(value, Tensor):
            digest.update(name.encode() + _bytes(value))
        elif not callable(value) and "0x" not in (shown := repr(value)):  # no address in memory
            digest.update(f"{name}={shown}".encode())
    return digest.hexdigest()


def _bytes(value: Any) -> bytes:
    import torch

    if not isinstance(value, torch.Tensor):  # what modules keep beside their tensors
        return repr(value).encode()
    plain = value.detach().cpu().contiguous().flatten()
    return f"{value.dtype}{tuple(value.shape)}".encode() + plain.view(torch.uint8).numpy().tobytes()
