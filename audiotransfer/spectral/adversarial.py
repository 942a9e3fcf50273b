"""Three ways for a critic and a generator to disagree, by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional

from audiotransfer.spectral.melgan_vc import critic_hinge, smooth_norm

Game = Literal["lsgan", "hinge", "wgan-gp"]


@dataclass(frozen=True)
class Rules:
    """What each side descends, from verdicts of any shape.

    critic: (on real, on made) -> loss; generator: on made -> loss; penalised: the critic's slope
    must be held near 1 besides (see `gradient_penalty`).
    """

    critic: Callable[[Tensor, Tensor], Tensor]
    generator: Callable[[Tensor], Tensor]
    penalised: bool = False


def _least_squares(real: Tensor, made: Tensor) -> Tensor:
    return 0.5 * ((real.float() - 1).square().mean() + made.float().square().mean())


def _least_squares_generator(made: Tensor) -> Tensor:
    return (made.float() - 1).square().mean()


def _distance(real: Tensor, made: Tensor) -> Tensor:
    return made.float().mean() - real.float().mean()


def _raise(made: Tensor) -> Tensor:
    return -made.float().mean()


#: Mao et al. 2017; Lim and Ye 2017; Gulrajani et al. 2017.
RULES: dict[Game, Rules] = {
    "lsgan": Rules(_least_squares, _least_squares_generator),
    "hinge": Rules(critic_hinge, _raise),
    "wgan-gp": Rules(_distance, _raise, penalised=True),
}


def gradient_penalty(critic: nn.Module, real: Tensor, made: Tensor, generator: Generator) -> Tensor:
    """Return how far the critic's slope is from 1, squared, between real and made pictures.

    Each pair's point lies at a random place on the straight line between both; a critic of many
    places is judged by its mean verdict.

    Args:
        real, made: [B, 1, F, L] of equal shape.
        generator: on the CPU.
    """
    with torch.autocast(real.device.type, enabled=False):
        share = torch.rand(len(real), 1, 1, 1, generator=generator).to(real.device)
        between = torch.lerp(real.float(), made.float(), share).requires_grad_()
        verdicts = critic(between).flatten(1).mean(1)
        (slope,) = torch.autograd.grad(verdicts.sum(), between, create_graph=True)
        return functional.mse_loss(
            smooth_norm(slope.flatten(1), 1e-8), torch.ones(len(real), device=real.device)
        )
