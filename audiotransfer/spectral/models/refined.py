"""A spectrogram model whose prediction a second one refines."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from audiotransfer.spectral.models.base import SpectrogramModel
from vocoder.spectrogram import SpectrogramSettings


class RefinedModel(SpectrogramModel):
    """Predicts with ``first``, and then with ``refiner`` from that: the stem's ``[B, F, L]``.

    Its weights are two files, those of the two models (see `spectral.transfer.load`).
    """

    kind = "refined"

    def __init__(self, first: SpectrogramModel, refiner: SpectrogramModel) -> None:
        super().__init__()
        self.first, self.refiner = first, refiner
        # Class variables of other models: tiles are those of the first.
        self.core, self.margin = first.core, first.margin  # type: ignore[misc]

    def shape(self) -> dict[str, Any]:
        """Both shapes, with their kinds."""
        parts = {"first": self.first, "refiner": self.refiner}
        return {name: {"kind": part.kind, **part.shape()} for name, part in parts.items()}

    def features(self, sound: Tensor, spectrogram: SpectrogramSettings) -> Tensor:  # type: ignore[override]
        """Those of the first model."""
        return self.first.features(sound, spectrogram)

    def feature_reach(self, spectrogram: SpectrogramSettings) -> int:  # type: ignore[override]
        """That of the first model."""
        return self.first.feature_reach(spectrogram)

    def frequencies(self, spectrogram: SpectrogramSettings) -> Tensor:  # type: ignore[override]
        """Those of the first model."""
        return self.first.frequencies(spectrogram)

    def predict(self, features: Tensor, stem: Tensor) -> Tensor:
        """Features ``[B, V, L]`` and stem indices ``[B]`` to spectrograms ``[B, F, L]``."""
        return self.refiner.predict(self.first.predict(features, stem), stem)
