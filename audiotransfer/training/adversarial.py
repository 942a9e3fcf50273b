"""What a generator made a while ago, so that critics do not forget it."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional


class ImagePool(nn.Module):
    """Keeps some made spectrograms and hands old ones out in place of new ones.

    While there is room every spectrogram is kept and handed on. Then each is handed on with
    probability ½, or else kept in place of an old one, which is handed out instead. A module
    without parameters, so that what it holds travels in checkpoints like a network's weights.

    Source: Shrivastava et al. 2017, as in CycleGAN (Zhu et al. 2017).

    Args:
        size: spectrograms that it keeps; 0 keeps none and hands every spectrogram on.
        shape: of a spectrogram, ``[F, L]`` say.
    """

    spectrograms: Tensor
    held: Tensor

    def __init__(self, size: int, *shape: int) -> None:
        super().__init__()
        self.register_buffer("spectrograms", torch.zeros(size, *shape))
        self.register_buffer("held", torch.zeros((), dtype=torch.long))

    @torch.no_grad()
    def forward(self, made: Tensor, generator: Generator) -> Tensor:
        """``[B, *shape] -> [B, *shape]``; `generator` is on the CPU."""
        size, held = len(self.spectrograms), int(self.held)
        handed = made.detach().clone()
        if not size:
            return handed
        for number, spectrogram in enumerate(made.detach()):
            if held < size:
                self.spectrograms[held] = spectrogram
                held += 1
            elif torch.rand((), generator=generator) < 0.5:
                place = int(torch.randint(size, (), generator=generator))
                handed[number] = self.spectrograms[place]
                self.spectrograms[place] = spectrogram
        self.held.fill_(held)
        return handed


def gradient_penalty(
    critic: Callable[[Tensor], Tensor], real: Tensor, made: Tensor, generator: Generator
) -> Tensor:
    """Return how far the critic's slope is from 1, squared, between real and made examples.

    Each pair's point lies at a random place on the straight line between both; a critic of many
    places is judged by its mean verdict.

    Source: Gulrajani et al., "Improved training of Wasserstein GANs", 2017.

    Args:
        critic: [B, ..] -> verdicts [B, ..].
        real, made: [B, ..] of equal shape.
        generator: on the CPU.
    """
    with torch.autocast(real.device.type, enabled=False):
        places = [1] * (real.ndim - 1)
        share = torch.rand(len(real), *places, generator=generator).to(real.device)
        between = torch.lerp(real.float(), made.float(), share).requires_grad_()
        verdicts = critic(between).reshape(len(real), -1).mean(1)
        (slope,) = torch.autograd.grad(verdicts.sum(), between, create_graph=True)
        return functional.mse_loss(
            smooth_norm(slope.flatten(1), 1e-8), torch.ones(len(real), device=real.device)
        )


def smooth_norm(vector: Tensor, epsilon: float = 1e-4) -> Tensor:
    """Return the length of each vector [.., D] -> [..], with a finite gradient at 0."""
    return (vector.square().sum(-1) + epsilon).sqrt()
