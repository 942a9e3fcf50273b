"""Discriminators of spectrograms: of patches, of whole frequency ranges, of whole windows."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from audiotransfer.errors import AudioTransferError
from audiotransfer.spectral.networks.layers import SLOPE, Norm, convolution, normalisation


class PatchGan(nn.Module):
    """An output for each patch of 70 x 70 cells: ``[B, 1, F, L] -> [B, 1, F', L']``, unbounded.

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
        """Spectrograms to unbounded outputs, in the shapes that the class gives."""
        output: Tensor = self.layers(spectrogram)
        return output


class SpectrogramDiscriminator(nn.Module):
    """One output for a whole spectrogram: ``[B, 1, F, L] -> [B, 1]``, unbounded.

    No normalisation, as a gradient penalty requires. Source: TimbreTron (Huang et al. 2019), where
    a discriminator of patches missed dependencies across the spectrum.

    Args:
        bins, frames: F and L, which must be those of the spectrograms.
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
        last = nn.Linear(sizes[-1] * left, 1, bias=False)
        self.layers = nn.Sequential(*layers, nn.Flatten(), last)

    def forward(self, spectrogram: Tensor) -> Tensor:
        """Spectrograms to unbounded outputs, in the shapes that the class gives."""
        output: Tensor = self.layers(spectrogram)
        return output


class WholeFrequencyDiscriminator(nn.Module):
    """One output for a window of three tiles: ``[B, 1, F, L] -> [B, 1]``, unbounded.

    Spectral norm throughout, no bias anywhere. Source: Pasini, "MelGAN-VC", 2019, with 192 bins,
    windows of 72 frames and 4.50 M weights.

    Args:
        bins, frames: F and L, which must be those of the windows.
        width: channels.
    """

    def __init__(self, bins: int, frames: int, width: int = 512) -> None:
        super().__init__()
        left = frames - 2
        for _ in range(2):
            left = (left + 1) // 2
        last = nn.Linear(width * left, 1, bias=False)
        nn.init.kaiming_uniform_(last.weight, SLOPE)
        self.layers = nn.Sequential(
            convolution(1, width, (bins, 3), spectral=True),
            nn.LeakyReLU(SLOPE),
            convolution(width, width, (1, 9), (1, 2), (0, 4), spectral=True),
            nn.LeakyReLU(SLOPE),
            convolution(width, width, (1, 7), (1, 2), (0, 3), spectral=True),
            nn.LeakyReLU(SLOPE),
            nn.Flatten(),
            spectral_norm(last),
        )

    def forward(self, spectrogram: Tensor) -> Tensor:
        """Spectrograms to unbounded outputs, in the shapes that the class gives."""
        output: Tensor = self.layers(spectrogram)
        return output


class FullFrequencyDiscriminator(nn.Module):
    """An output for each place in time: ``[B, 1, F, L] -> [B, 1, 1, L']``, unbounded.

    The first kernels span all bins, so that outputs depend on which bins sound together (an
    instrument's spectrum); the others run along time. Each output depends on about 23 frames. Any
    length from 3 frames on.

    Args:
        bins: F, which must be that of the spectrograms.
        width: channels.
        inputs: planes: the spectrogram, and conditions that may follow it.

    Source: the discriminator of MelGAN-VC (Pasini 2019), with places in time instead of one
    output.
    """

    def __init__(self, bins: int, width: int = 128, inputs: int = 1) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            convolution(inputs, width, (bins, 3), bias=True, spectral=True),
            nn.LeakyReLU(SLOPE),
            convolution(width, width, (1, 9), (1, 2), (0, 4), bias=True, spectral=True),
            nn.LeakyReLU(SLOPE),
            convolution(width, width, (1, 7), (1, 2), (0, 3), bias=True, spectral=True),
            nn.LeakyReLU(SLOPE),
            convolution(width, 1, 1, bias=True, spectral=True),
        )

    def forward(self, spectrogram: Tensor) -> Tensor:
        """Spectrograms to unbounded outputs, in the shapes that the class gives."""
        output: Tensor = self.layers(spectrogram)
        return output


class PatchDiscriminator(nn.Module):
    """An output for each patch of about 22 x 22 cells: ``[B, 1, F, L] -> [B, 1, F', L']``.

    Unbounded; F and L from 8 on. It keeps attacks and partials sharp.

    Args:
        width: channels of the first layer; each further one doubles them.
        inputs: planes: the spectrogram, and conditions that may follow it.
    """

    def __init__(self, width: int = 32, inputs: int = 1) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            convolution(inputs, width, 4, 2, 1, bias=True, spectral=True),
            nn.LeakyReLU(SLOPE),
            convolution(width, 2 * width, 4, 2, 1, bias=True, spectral=True),
            nn.LeakyReLU(SLOPE),
            convolution(2 * width, 4 * width, 4, 2, 1, bias=True, spectral=True),
            nn.LeakyReLU(SLOPE),
            convolution(4 * width, 1, 1, bias=True, spectral=True),
        )

    def forward(self, spectrogram: Tensor) -> Tensor:
        """Spectrograms to unbounded outputs, in the shapes that the class gives."""
        output: Tensor = self.layers(spectrogram)
        return output


def _layer(inputs: int, outputs: int, stride: int, norm: Norm) -> list[nn.Module]:
    """Convolution of 4 x 4, normalisation and leaky ReLU."""
    return [
        convolution(inputs, outputs, 4, stride, 1, bias=norm == "none"),
        normalisation(norm, outputs),
        nn.LeakyReLU(SLOPE),
    ]
