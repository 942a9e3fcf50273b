"""Parts of adversarial training: losses, a pool of earlier outputs, and the gradient penalty."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional

Game = Literal["lsgan", "hinge", "wgan-gp"]


@dataclass(frozen=True)
class AdversarialLoss:
    """The losses of both sides of a GAN, from discriminator outputs of any shape.

    Args:
        discriminator: (on real, on generated) -> loss.
        generator: on generated -> loss.
        penalised: whether the discriminator needs a gradient penalty (`training.adversarial`).
    """

    discriminator: Callable[[Tensor, Tensor], Tensor]
    generator: Callable[[Tensor], Tensor]
    penalised: bool = False


def discriminator_hinge(
    real: Tensor, made: Tensor, use_real: Tensor | None = None, use_made: Tensor | None = None
) -> Tensor:
    """Half the sum of both hinges: outputs above 1 on real, below -1 on generated examples.

    Args:
        real, made: outputs ``[B, ..]``; the two B may differ.
        use_real, use_made: ``[B]``, which examples count; all by default.
    """
    above, below = torch.relu(1 - real.float()), torch.relu(1 + made.float())
    return 0.5 * (masked_mean(above, use_real) + masked_mean(below, use_made))


def masked_mean(values: Tensor, use: Tensor | None) -> Tensor:
    """The mean of ``[B, ..]`` over the examples to use ``[B]``; 0, with a gradient, for none."""
    each = values.float().flatten(1).mean(1) if values.ndim > 1 else values.float()
    if use is None:
        return each.mean()
    return (each * use).sum() / use.sum().clamp(min=1)


def _least_squares(real: Tensor, made: Tensor) -> Tensor:
    return 0.5 * ((real.float() - 1).square().mean() + made.float().square().mean())


def _least_squares_generator(made: Tensor) -> Tensor:
    return (made.float() - 1).square().mean()


def _wasserstein(real: Tensor, made: Tensor) -> Tensor:
    return made.float().mean() - real.float().mean()


def _negative_mean(made: Tensor) -> Tensor:
    return -made.float().mean()


#: Mao et al. 2017; Lim and Ye 2017; Gulrajani et al. 2017.
ADVERSARIAL_LOSSES: dict[Game, AdversarialLoss] = {
    "lsgan": AdversarialLoss(_least_squares, _least_squares_generator),
    "hinge": AdversarialLoss(discriminator_hinge, _negative_mean),
    "wgan-gp": AdversarialLoss(_wasserstein, _negative_mean, penalised=True),
}


class ImagePool(nn.Module):
    """Keeps earlier outputs of a generator and returns some of them in place of new ones.

    Until the pool is full every image is kept and returned. Then each is returned with probability
    1/2, or else kept in place of an earlier one, which is returned instead. A module without
    parameters, so that checkpoints hold its images like a network's weights.

    Source: Shrivastava et al. 2017, as in CycleGAN (Zhu et al. 2017).

    Args:
        size: images that it keeps; 0 keeps none and returns every image.
        shape: of an image, ``[F, L]`` say.
    """

    images: Tensor
    held: Tensor

    def __init__(self, size: int, *shape: int) -> None:
        super().__init__()
        self.register_buffer("images", torch.zeros(size, *shape))
        self.register_buffer("held", torch.zeros((), dtype=torch.long))

    @torch.no_grad()
    def forward(self, made: Tensor, generator: Generator) -> Tensor:
        """``[B, *shape] -> [B, *shape]``; `generator` is on the CPU."""
        size, held = len(self.images), int(self.held)
        returned = made.detach().clone()
        if not size:
            return returned
        for number, image in enumerate(made.detach()):
            if held < size:
                self.images[held] = image
                held += 1
            elif torch.rand((), generator=generator) < 0.5:
                place = int(torch.randint(size, (), generator=generator))
                returned[number] = self.images[place]
                self.images[place] = image
        self.held.fill_(held)
        return returned


def gradient_penalty(
    discriminator: Callable[[Tensor], Tensor], real: Tensor, made: Tensor, generator: Generator
) -> Tensor:
    """Returns the squared difference from 1 of the discriminator's gradient norm.

    It is taken at random points between each real and each generated example; of a discriminator
    with several outputs, for their mean.

    Source: Gulrajani et al., "Improved training of Wasserstein GANs", 2017.

    Args:
        discriminator: [B, ..] -> outputs [B, ..].
        real, made: [B, ..] of equal shape.
        generator: on the CPU.
    """
    with torch.autocast(real.device.type, enabled=False):
        places = [1] * (real.ndim - 1)
        share = torch.rand(len(real), *places, generator=generator).to(real.device)
        between = torch.lerp(real.float(), made.float(), share).requires_grad_()
        outputs = discriminator(between).reshape(len(real), -1).mean(1)
        (gradient,) = torch.autograd.grad(outputs.sum(), between, create_graph=True)
        return functional.mse_loss(
            smooth_norm(gradient.flatten(1), 1e-8), torch.ones(len(real), device=real.device)
        )


def smooth_norm(vector: Tensor, epsilon: float = 1e-4) -> Tensor:
    """Returns the norm of each vector [.., D] -> [..], with a finite gradient at 0."""
    return (vector.square().sum(-1) + epsilon).sqrt()
