"""What networks share that hear a stem and play it with the spectra of several bands."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar, Self

import torch
from torch import Tensor, nn

from audiotransfer.spectral.models.base import SpectrogramModel, place_of

#: Adam moves every weight as far a step, whatever its gradient. Spectra have nats to go where a
#: layer's weights go hundredths: they are kept this much smaller than they are.
SWIFT = 16.0
QUIET = -7.0


class ChannelNorm(nn.Module):
    """Scales every cell's channels to unit power: no cell's level hides another's."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        """``[B, C, ..]`` to the same shape."""
        gain = self.gain.view(-1, *[1] * (x.dim() - 2))
        return x * torch.rsqrt(x.square().mean(1, keepdim=True) + 1e-4) * gain


class TemplateModel(SpectrogramModel):
    """A network whose ``hands`` say, per style, how loudly each learned spectrum sounds.

    ``log_spectra`` ``[S, ..]`` are the styles' spectra, `SWIFT` times smaller than they are. A
    built network's are silent: `begin` sets what training starts from, weights files the rest.
    """

    core, margin = 256, 32
    told_keys: ClassVar[bool] = False
    """Whether it learns from the score which keys sound."""
    styles: tuple[str, ...]
    hands: nn.Conv1d | nn.Conv2d
    log_spectra: nn.Parameter

    @abstractmethod
    def begin(self) -> Self:
        """Sets the spectra that learning starts from, played quietly; returns the network."""

    def only(self, style: str) -> Self:
        """The same network for one style alone: what ships with it.

        Raises AudioTransferError for a style that it does not know.
        """
        index = place_of(style, self.styles)
        single = type(self)(**{**self.shape(), "styles": [style]})
        state = self.state_dict()
        for name in ("hands.weight", "hands.bias"):
            state[name] = state[name].unflatten(0, (len(self.styles), -1))[index]
        state["log_spectra"] = state["log_spectra"][index : index + 1]
        single.load_state_dict(state)
        return single

    @torch.no_grad()
    def _begin(self, spectra: Tensor, quiet: Tensor, shape: Sequence[int]) -> None:
        """Every style starts from the same spectra; hands that are not ``quiet`` start at 0."""
        nn.init.zeros_(self.hands.weight)
        assert self.hands.bias is not None
        self.hands.bias.view(*shape).copy_(quiet)
        self.log_spectra.copy_(spectra[None] / SWIFT)


def played(loud: Tensor, log_spectra: Tensor, source: Tensor, stays: Tensor) -> Tensor:
    """The sum of what is played and of what stays of the source, as powers.

    Log levels ``[B, S, K, L]`` of spectra ``[S, K, F]``, the source ``[B, F, L]`` and how much of
    it stays ``[B, S, F, L]`` (nats) to spectrograms ``[B, S, F, L]``.
    """
    power = torch.exp(2 * SWIFT * log_spectra.float()).transpose(1, 2) @ torch.exp(
        2 * loud.clamp(-12.0, 8.0)
    )
    kept = torch.exp(2 * (source.float()[:, None] + stays).clamp(-12.0, 8.0))
    return torch.log(power + kept + 1e-9) / 2
