"""Three ways for a critic and a generator to disagree, by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from audiotransfer.spectral.melgan_vc import critic_hinge

Game = Literal["lsgan", "hinge", "wgan-gp"]


@dataclass(frozen=True)
class Rules:
    """What each side descends, from verdicts of any shape.

    critic: (on real, on made) -> loss; generator: on made -> loss; penalised: the critic's slope
    must be held near 1 besides (see `training.slopes`).
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
