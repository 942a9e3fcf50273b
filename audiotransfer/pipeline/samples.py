"""Sound that a caller hands over: brought to one form, or refused with the form that is wanted."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from audiotransfer.errors import AudioTransferError

RATES = (8_000, 192_000)
"""Hz, as in files."""
_CHANNELS = 24  # of 22.2, the widest layout there is: what has more is turned round


def check_samples(audio: Any, name: str) -> Tensor:
    """Samples as float32 ``[C, T]`` on the CPU; one dimension is one channel.

    Raises :class:`AudioTransferError` for other shapes, no samples, more channels than there are
    loudspeakers, numbers that are not floating-point, and NaN or infinite ones.
    """
    found = _floating(audio, name)
    shape = list(found.shape)
    samples = found[None] if found.ndim == 1 else found
    if samples.ndim != 2:
        raise AudioTransferError(
            f"{name} has the shape {shape}: expected [channels, samples], one song at a time"
        )
    if not samples.numel():
        raise AudioTransferError(
            f"{name} has the shape {shape} and no samples: expected [channels, samples]"
        )
    channels, length = samples.shape
    if channels > _CHANNELS and length <= _CHANNELS:
        raise AudioTransferError(
            f"{name} has the shape {shape}, [samples, channels]: expected [channels, samples]"
            f" = [{length}, {channels}]; transpose it (audio.T)"
        )
    if channels > _CHANNELS:
        raise AudioTransferError(
            f"{name} has the shape {shape}: expected [channels, samples], {_CHANNELS} channels at"
            " most"
        )
    if not samples.isfinite().all():
        raise AudioTransferError(f"{name} contains NaN or infinite samples: repair it first")
    return samples


def check_rate(sample_rate: Any, name: str) -> int:
    """A sample rate in Hz as an int; ``44100.0`` is one.

    Raises :class:`AudioTransferError` for what is no whole number from 8000 to 192000.
    """
    try:
        plain = sample_rate.item() if hasattr(sample_rate, "item") else sample_rate
    except (RuntimeError, ValueError):  # an array
        plain = None
    if isinstance(plain, bool) or not isinstance(plain, int | float):
        raise AudioTransferError(
            f"{name}: sample rate {sample_rate!r} is no number: give Hz, as 44100"
        )
    if not math.isfinite(plain) or plain != int(plain) or not RATES[0] <= plain <= RATES[1]:
        raise AudioTransferError(
            f"{name}: a sample rate of {plain} Hz cannot be: give a whole number from"
            f" {RATES[0]} to {RATES[1]}"
        )
    return int(plain)


def _floating(audio: Any, name: str) -> Tensor:
    if isinstance(audio, Tensor):
        if audio.is_floating_point():
            return audio.detach().to("cpu", torch.float32)
        kind = str(audio.dtype).removeprefix("torch.")
        largest = 0 if audio.is_complex() or audio.dtype == torch.bool else _largest(kind)
    else:
        try:
            array = np.asarray(audio)
        except ValueError:  # lists of different lengths
            raise AudioTransferError(
                f"{name} is no array of samples: expected [channels, samples]"
            ) from None
        if array.dtype.kind == "f":
            with np.errstate(over="ignore"):  # what is too large is refused as infinite
                return torch.from_numpy(np.array(array, dtype=np.float32, order="C"))
        kind = str(array.dtype)
        largest = _largest(kind) if array.dtype.kind in "iu" else 0
    remedy = f"divide them by {largest}" if largest else "give floating-point numbers"
    if largest and kind.startswith("u"):  # silence is half of the range
        largest //= 2
        remedy = f"convert them to float, subtract {largest}, then divide by {largest}"
    raise AudioTransferError(
        f"{name} has samples of the type {kind}: expected floating-point numbers with full scale"
        f" at 1; {remedy}"
    )


def _largest(kind: str) -> int:
    return int(np.iinfo(kind).max) + 1
