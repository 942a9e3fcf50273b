"""Critics of pictures: one that hears the whole spectrum at once, one that looks at patches."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

SLOPE = 0.2


class FullFrequencyCritic(nn.Module):
    """Judges a picture through kernels that span all bins, then along time only.

    It knows which bins sound together (an instrument's spectrum) and hears about 23 frames at each
    of its places in time. Any length from 3 frames on; [B, 1, F, L] -> [B, 1, 1, L'], one verdict
    a place, unbounded: a hinge needs a linear head (tanh would saturate at its margins).

    Args:
        bins: F, which must be what the pictures have.
        width: channels.
        inputs: planes of the picture; conditions may follow the picture itself.

    Source: the critic of MelGAN-VC (Pasini 2019), with places in time instead of one verdict.
    """

    def __init__(self, bins: int, width: int = 128, inputs: int = 1) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            _conv(inputs, width, (bins, 3), 1, (0, 0)),
            nn.LeakyReLU(SLOPE),
            _conv(width, width, (1, 9), (1, 2), (0, 4)),
            nn.LeakyReLU(SLOPE),
            _conv(width, width, (1, 7), (1, 2), (0, 3)),
            nn.LeakyReLU(SLOPE),
            _conv(width, 1, 1, 1, 0),
        )

    def forward(self, picture: Tensor) -> Tensor:
        verdict: Tensor = self.layers(picture)
        return verdict


class PatchCritic(nn.Module):
    """Judges the texture of patches of about 22 x 22 cells, wherever they lie.

    It keeps attacks and partials sharp. [B, 1, F, L] -> [B, 1, F', L'], F and L from 8 on,
    unbounded.

    Args:
        width: channels of the first layer; each further one doubles them.
        inputs: as above.
    """

    def __init__(self, width: int = 32, inputs: int = 1) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            _conv(inputs, width, 4, 2, 1),
            nn.LeakyReLU(SLOPE),
            _conv(width, 2 * width, 4, 2, 1),
            nn.LeakyReLU(SLOPE),
            _conv(2 * width, 4 * width, 4, 2, 1),
            nn.LeakyReLU(SLOPE),
            _conv(4 * width, 1, 1, 1, 0),
        )

    def forward(self, picture: Tensor) -> Tensor:
        verdict: Tensor = self.layers(picture)
        return verdict


def _conv(
    inputs: int,
    outputs: int,
    kernel: int | tuple[int, int],
    stride: int | tuple[int, int],
    padding: int | tuple[int, int],
) -> nn.Module:
    conv = nn.Conv2d(inputs, outputs, kernel, stride, padding)
    nn.init.kaiming_uniform_(conv.weight, SLOPE)
    return spectral_norm(conv)
