"""Baseline separators: the mix itself (lower bound), and ideal ratio masks (upper bound)."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from separation.base import SeparationError, check_mix, complete
from separation.stft import istft, stft


class MixSeparator:
    """Returns the whole mix as the stem `other`: no separation, the lower bound."""

    stems: tuple[str, ...] = ("other",)
    context = 0
    grid = 1

    def __init__(self, sample_rate: int = 44100) -> None:
        self.sample_rate = sample_rate

    def __call__(self, mix: Tensor, generator: torch.Generator | None = None) -> dict[str, Tensor]:
        """`[C, T]` to `{"other": [C, T]}`, a copy."""
        check_mix(mix)
        return complete(mix, {})


class OracleSeparator:
    """Masks the mix with the ratio of the true magnitudes, `|S| / sum |S|` in every bin.

    `stems` holds the true stems, `[C, T]` each; it separates mixes of exactly that shape. What a
    mix has beyond them goes to `other`. It is the upper bound of magnitude masks at this
    resolution, for tests and tables.

    The ideal ratio mask follows Wang, Narayanan and Wang, "On training targets for supervised
    speech separation" (2014), with magnitudes in place of powers.
    """

    context = 0
    grid = 1

    def __init__(self, stems: Mapping[str, Tensor], sample_rate: int = 44100) -> None:
        if not stems or len({stem.shape for stem in stems.values()}) != 1:
            shapes = {name: list(stem.shape) for name, stem in stems.items()}
            raise SeparationError(f"the true stems must have one common shape, not {shapes}")
        self.stems = tuple(dict.fromkeys([*stems, "other"]))
        self.sample_rate = sample_rate
        self._true = dict(stems)

    def __call__(self, mix: Tensor, generator: torch.Generator | None = None) -> dict[str, Tensor]:
        """Mix `[C, T]`, shaped as the true stems, to their estimates `[C, T]`."""
        check_mix(mix)
        shape = next(iter(self._true.values())).shape
        if mix.shape != shape:
            raise SeparationError(
                f"the oracle has stems of shape {list(shape)}, not {list(mix.shape)}: "
                "give it the whole mix at once"
            )
        length = mix.shape[-1]
        if length == 0:
            return {name: mix.clone() for name in self.stems}
        magnitudes = {name: stft(stem).abs() for name, stem in self._true.items()}
        total = torch.stack(list(magnitudes.values())).sum(0).clamp_min(1e-12)
        spectrum = stft(mix)
        estimates = {
            name: istft(spectrum * (magnitude / total), length)
            for name, magnitude in magnitudes.items()
        }
        return complete(mix, estimates)
