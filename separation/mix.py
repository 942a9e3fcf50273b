"""No separation: the whole mix is one stem."""

from __future__ import annotations

from typing import TYPE_CHECKING

from separation.base import check_mix, complete

if TYPE_CHECKING:
    import torch
    from torch import Tensor


class MixSeparator:
    """Hands the mix on as the stem `other`: nothing was claimed, so all of it is left over."""

    stems: tuple[str, ...] = ("other",)
    context = 0
    grid = 1

    def __init__(self, sample_rate: int = 44100) -> None:
        self.sample_rate = sample_rate

    def __call__(self, mix: Tensor, generator: torch.Generator | None = None) -> dict[str, Tensor]:
        """`[C, T]` to `{"other": [C, T]}`, a copy."""
        check_mix(mix)
        return complete(mix, {})
