"""CycleGAN's discriminators: of patches, as published, and of the whole spectrogram, as in
TimbreTron.
"""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from audiotransfer.errors import AudioTransferError
from audiotransfer.spectral.networks.generators import Norm, convolution, normalisation


class PatchGan(nn.Module):
    """A verdict on each patch of 70 x 70 cells: ``[B, 1, F, L] -> [B, 1, F', L']``, unbounded.

    Spectrograms of at least 32 x 32 cells. Source: Isola et al. 2017, Zhu et al. 2017.

    Args:
        width: channels of the first layer, doubled three times.
        norm: of the layers in between; "none" for a gradient penalty over single spectrograms.
    """

    def __init__(self, width: int = 64, norm: Norm = "instance") -> None:
        super().__init__()
        self.layers = nn.Sequential(
            *_layer(1, width, 2, "none"),
            *_layer(width, 2 * width, 2, norm),
            *_layer(2 * width, 4 * width, 2, norm),
            *_layer(4 * width, 8 * width, 1, norm),
            convolution(8 * width, 1, 4, padding=1),
        )

    def forward(self, spectrogram: Tensor) -> Tensor:
        verdict: Tensor = self.layers(spectrogram)
        return verdict


class SpectrogramDiscriminator(nn.Module):
    """One verdict on a whole spectrogram: ``[B, 1, F, L] -> [B, 1]``, unbounded.

    Nothing is normalised, as a gradient penalty wants it. Source: TimbreTron (Huang et al. 2019),
    where a discriminator of patches missed what belongs together across the spectrum.

    Args:
        bins, frames: F and L, which must be what the spectrograms have.
        width: channels of the first layer, doubled at each further level up to eight-fold.
        levels: halvings of both axes.

    Raises AudioTransferError for spectrograms that cannot be halved so often.
    """

    def __init__(self, bins: int, frames: int, width: int = 64, levels: int = 5) -> None:
        super().__init__()
        left = (bins // 2**levels) * (frames // 2**levels)
        if not left:
            raise AudioTransferError(
                f"a spectrogram of {bins} x {frames} cannot be halved {levels} times;"
                " take fewer levels"
            )
        sizes = [1, *(width * min(8, 2**level) for level in range(levels))]
        layers: list[nn.Module] = []
        for inputs, outputs in pairwise(sizes):
            layers += _layer(inputs, outputs, 2, "none")
        verdict = nn.Linear(sizes[-1] * left, 1, bias=False)
        self.layers = nn.Sequential(*layers, nn.Flatten(), verdict)

    def forward(self, spectrogram: Tensor) -> Tensor:
        verdict: Tensor = self.layers(spectrogram)
        return verdict


def _layer(inputs: int, outputs: int, stride: int, norm: Norm) -> list[nn.Module]:
    return [
        convolution(inputs, outputs, 4, stride, 1, bias=norm == "none"),
        normalisation(norm, outputs),
        nn.LeakyReLU(SLOPE),
    ]


SLOPE = 0.2


class FullFrequencyDiscriminator(nn.Module):
    """Judges a spectrogram through kernels that span all bins, then along time only.

    It knows which bins sound together (an instrument's spectrum) and hears about 23 frames at each
    of its places in time. Any length from 3 frames on; [B, 1, F, L] -> [B, 1, 1, L'], one verdict
    a place, unbounded: a hinge needs a linear head (tanh would saturate at its margins).

    Args:
        bins: F, which must be what the spectrograms have.
        width: channels.
        inputs: planes of the spectrogram; conditions may follow the spectrogram itself.

    Source: the discriminator of MelGAN-VC (Pasini 2019), with places in time instead of one
    verdict.
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

    def forward(self, spectrogram: Tensor) -> Tensor:
        verdict: Tensor = self.layers(spectrogram)
        return verdict


class PatchDiscriminator(nn.Module):
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

    def forward(self, spectrogram: Tensor) -> Tensor:
        verdict: Tensor = self.layers(spectrogram)
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
