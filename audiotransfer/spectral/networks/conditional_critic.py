"""A critic that is told what was wished for, and says itself which style it sees."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from audiotransfer.spectral.networks.condition import Condition
from audiotransfer.spectral.networks.layers import SLOPE, convolution


class ConditionalCritic(nn.Module):
    """Verdicts on the places of a picture, and one guess at its style.

    Layers that halve both axes are not told anything but where a bin lies; the verdict on a place
    is a direction in what they see there, plus one that the stem, style and strength turn to
    (projection). The guess, from the mean over all places, cannot be read off the wish.

    Source: StarGAN (Choi et al. 2018) for the two heads, Miyato and Koyama 2018 for the
    projection.

    Args:
        styles: how many there are.
        width: channels of the first layer, doubled at each further one up to eight-fold.
        levels: halvings of both axes.
        code: values of the wish (see `Condition`).
    """

    def __init__(self, styles: int, width: int = 32, levels: int = 4, code: int = 64) -> None:
        super().__init__()
        sizes = [2, *(width * min(8, 2**level) for level in range(levels))]
        layers: list[nn.Module] = []
        for inputs, outputs in pairwise(sizes):
            layers += [
                convolution(inputs, outputs, 4, 2, 1, bias=True, spectral=True),
                nn.LeakyReLU(SLOPE),
            ]
        self.layers = nn.Sequential(*layers)
        self.condition = Condition(styles, code)
        self.turn = nn.Linear(code, sizes[-1])
        self.verdict = convolution(sizes[-1], 1, 1, bias=True, spectral=True)
        self.guess = nn.Linear(sizes[-1], styles)

    def forward(
        self, picture: Tensor, stem: Tensor, style: Tensor, strength: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Pictures ``[B, F, L]`` in about -1..1 and what was wished for ``[B]`` each.

        To verdicts ``[B, 1, F', L']``, unbounded, and logits of styles ``[B, S]``.
        """
        bins = picture.shape[1]
        place = torch.linspace(-1, 1, bins, device=picture.device)[:, None].expand_as(picture)
        seen = self.layers(torch.stack([picture, place], 1))
        turned = self.turn(self.condition(stem, style, strength))[..., None, None]
        verdict = self.verdict(seen) + (seen * turned).mean(1, keepdim=True)
        return verdict, self.guess(seen.mean((2, 3)))
