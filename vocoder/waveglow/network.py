"""WaveGlow: invertible 1x1 convolutions and affine couplings over groups of samples.

R. Prenger, R. Valle and B. Catanzaro, "WaveGlow: a flow-based generative network for speech
synthesis", ICASSP 2019.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from vocoder.wavenet.network import WaveNet

_STEEPEST = 3.0  # greatest logarithm of a coupling's factor


class Flow(nn.Module):
    """A mixing of all channels, then half of them scaled and shifted by the other half."""

    def __init__(
        self, size: int, local: int, channels: int, layers: int, skips: int, kernel: int
    ) -> None:
        super().__init__()
        rotation = torch.linalg.qr(torch.randn(size, size))[0]
        self.mixing = nn.Parameter(rotation)
        self.kept = size // 2
        self.network = WaveNet(
            self.kept, 2 * (size - self.kept), channels, channels, skips, layers, 1, kernel,
            local, frames=2 * channels, causal=False,
        )  # fmt: skip
        nn.init.zeros_(self.network.leave.weight)
        assert self.network.leave.bias is not None
        nn.init.zeros_(self.network.leave.bias)

    def forward(self, x: Tensor, local: Tensor, hop: int) -> tuple[Tensor, Tensor]:
        """``[B, size, T]`` to the same shape, and the log of the change of volume ``[B]``."""
        with torch.autocast(x.device.type, enabled=False):  # the likelihood is that of exact values
            mixed = torch.einsum("ij,bjt->bit", self.mixing, x.float())
        kept, changed = mixed.split([self.kept, x.shape[1] - self.kept], dim=1)
        scale, shift = self._coupling(kept, local, hop)
        made = torch.cat([kept, changed * scale.exp() + shift], dim=1)
        volume = torch.linalg.slogdet(self.mixing.float())[1] * x.shape[-1]
        return made, scale.sum((1, 2)) + volume

    def inverse(self, y: Tensor, local: Tensor, hop: int) -> Tensor:
        """The input of `forward` that gives ``[B, size, T]``."""
        kept, changed = y.split([self.kept, y.shape[1] - self.kept], dim=1)
        scale, shift = self._coupling(kept, local, hop)
        mixed = torch.cat([kept, (changed - shift) * (-scale).exp()], dim=1)
        back = torch.linalg.inv(self.mixing.double()).to(y)
        return torch.einsum("ij,bjt->bit", back, mixed)

    def _coupling(self, kept: Tensor, local: Tensor, hop: int) -> tuple[Tensor, Tensor]:
        scale, shift = self.network(kept, local, None, hop).float().chunk(2, dim=1)
        return _STEEPEST * torch.tanh(scale / _STEEPEST), shift


class WaveGlow(nn.Module):
    """Flows over groups of `group` samples; `early` channels leave after every `early_every`."""

    def __init__(
        self,
        local: int = 256,
        hop_length: int = 512,
        group: int = 16,
        flows: int = 8,
        early: int = 2,
        early_every: int = 3,
        channels: int = 48,
        skips: int = 48,
        layers: int = 4,
        kernel: int = 3,
    ) -> None:
        super().__init__()
        self.shape = {
            "local": local, "hop_length": hop_length, "group": group, "flows": flows,
            "early": early, "early_every": early_every, "channels": channels, "skips": skips,
            "layers": layers, "kernel": kernel,
        }  # fmt: skip
        if hop_length % group:
            raise ValueError(f"hop_length {hop_length} is no multiple of group {group}")
        if group - (flows - 1) // early_every * early < 2:
            raise ValueError(f"no channels of {group} are left for {flows} flows: less early")
        self.group, self.early, self.early_every = group, early, early_every
        self.hop = hop_length // group  # groups a frame
        sizes = [group - number // early_every * early for number in range(flows)]
        self.flows = nn.ModuleList(
            Flow(size, local, channels, layers, skips, kernel) for size in sizes
        )
        #: Samples on each side that a sample depends on, but for the frames' own reach.
        field = 1 + (kernel - 1) * (2**layers - 1)
        self.reach = group * flows * (field // 2 + 1)

    def forward(self, sound: Tensor, local: Tensor) -> tuple[Tensor, Tensor]:
        """Sound ``[B, T]`` and frames ``[B, local, L]`` to noise ``[B, group, T // group]``.

        The second result is the logarithm of the change of volume ``[B]``. T is a multiple of
        `group`.
        """
        x = sound.unflatten(-1, (-1, self.group)).transpose(1, 2)
        early, total = [], torch.zeros(len(sound), device=sound.device)
        for number, flow in enumerate(self.flows):
            if number and number % self.early_every == 0:
                early.append(x[:, : self.early])
                x = x[:, self.early :]
            x, volume = flow(x, local, self.hop)
            total = total + volume
        return torch.cat([*early, x], dim=1), total

    def inverse(self, noise: Tensor, local: Tensor) -> Tensor:
        """Noise ``[B, group, T]`` and frames to the sound ``[B, T * group]`` that gives it."""
        flows = len(self.flows)
        left = (flows - 1) // self.early_every
        parts = list(noise[:, : left * self.early].split(self.early, dim=1)) if left else []
        x = noise[:, left * self.early :]
        for number in reversed(range(flows)):
            x = self.flows[number].inverse(x, local, self.hop)  # type: ignore[operator]
            if number and number % self.early_every == 0:
                x = torch.cat([parts.pop(), x], dim=1)
        return x.transpose(1, 2).flatten(1)
