"""The interface of models that predict a stem's spectrogram, and the scale of their inputs."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from audiotransfer.errors import AudioTransferError
from audiotransfer.suggest import nearest
from vocoder.spectrogram import SpectrogramSettings, from_unit, to_unit

STEMS = ("drums", "bass", "other")
#: Mean and standard deviation, roughly, of natural-log mel levels of stems near RMS 0.1.
CENTRE, SPREAD = -5.0, 3.0


class SpectrogramModel(nn.Module):
    """A network that maps features of a stem to the spectrogram of the transferred stem.

    ``kind`` names the class in weights files. Songs are processed in tiles of ``core`` frames, 128
    or 256, with ``margin`` more frames on each side, over which neighbouring tiles cross-fade.
    """

    kind: ClassVar[str]
    core: ClassVar[int] = 128
    margin: ClassVar[int] = 16

    @property
    def reach(self) -> int:
        """Frames on each side that an output frame depends on.

        By default a whole tile; fewer for models without normalisation over time.
        """
        return self.core + 2 * self.margin

    @abstractmethod
    def shape(self) -> dict[str, Any]:
        """The constructor's arguments, as JSON takes them."""

    @staticmethod
    def features(sound: Tensor, spectrogram: SpectrogramSettings) -> Tensor:
        """The model's input for sound ``[C, T]``: ``[V, L]``, whose first F rows are the
        spectrogram of all channels together. By default there are no further rows.
        """
        return spectrogram.stereo(sound)

    @staticmethod
    def feature_reach(spectrogram: SpectrogramSettings) -> int:
        """Samples on each side of a frame's centre that its features depend on."""
        return spectrogram.reach

    @staticmethod
    def frequencies(spectrogram: SpectrogramSettings) -> Tensor:
        """The centre frequency of each feature row in Hz: ``[V]``."""
        return spectrogram.centres()

    @abstractmethod
    def predict(self, features: Tensor, stem: Tensor) -> Tensor:
        """Features ``[B, V, L]`` and stem indices ``[B]`` to spectrograms ``[B, F, L]``."""

    def predict_at(self, features: Tensor, stem: Tensor, strength: float) -> Tensor:
        """Predicts at a strength 0..1: the share of each cell's change of level that is applied.

        Models trained with strengths override this.
        """
        predicted = self.predict(features, stem)
        return torch.lerp(features[:, : predicted.shape[1]], predicted, strength)

    def only(self, style: str) -> SpectrogramModel:
        """The model of one style out of a model of several.

        Raises AudioTransferError where there is no such style.
        """
        raise AudioTransferError(f"these weights hold no style {style!r}; install the style again")


class SpectrogramNetwork(SpectrogramModel):
    """Maps log-level spectrograms ``[B, F, L]`` to new ones, bounded to 100 dB by tanh.

    A subclass implements `transform` on spectrograms ``[B, 1, F, L]`` in -1..1, and hands its
    settings to `__init__`, which `shape` returns.
    """

    def __init__(self, bins: int, **settings: Any) -> None:
        super().__init__()
        self.bins = bins
        self._settings = settings

    def forward(self, spectrogram: Tensor) -> Tensor:
        """``[B, F, L] -> [B, F, L]``, any length that the network takes."""
        output = torch.tanh(self.transform(to_unit(spectrogram)[:, None]))
        return from_unit(output[:, 0].float())

    def transform(self, unit: Tensor) -> Tensor:
        """``[B, 1, F, L]`` in -1..1 to the same shape, unbounded; tanh follows."""
        raise NotImplementedError

    def shape(self) -> dict[str, Any]:
        """The constructor's arguments, as JSON takes them."""
        return {"bins": self.bins, **self._settings}

    def predict(self, features: Tensor, stem: Tensor) -> Tensor:
        """As `forward`; the stem makes no difference."""
        predicted: Tensor = self(features)
        return predicted


def normalised(spectrogram: Tensor) -> Tensor:
    """Log levels (nats) scaled to about zero mean and unit variance."""
    return (spectrogram - CENTRE) / SPREAD


def fold(network: nn.Module) -> nn.Module:
    """Replaces spectral-norm parametrizations by the weights they give: the same output, faster."""
    for module in network.modules():
        if parametrize.is_parametrized(module):
            parametrize.remove_parametrizations(module, "weight")
    return network


def style_index(style: str, styles: Sequence[str]) -> int:
    """The index of a style among a model's. Raises AudioTransferError for an unknown one."""
    if style not in styles:
        near = nearest(style, styles) or styles
        raise AudioTransferError(f"no style {style!r} in these weights; {', '.join(near)}?")
    return styles.index(style)
