"""How steep a critic is: the penalty that makes it measure a Wasserstein distance."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Generator, Tensor
from torch.nn import functional


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
