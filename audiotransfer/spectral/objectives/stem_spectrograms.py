"""Spectrograms of stems' sound, as what a generator starts from and as what it should reach."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional

from audiotransfer.spectral.models.base import STEMS, SpectrogramModel
from vocoder import SpectrogramSettings


def stem_planes(spectrogram: Tensor, stem: Tensor) -> Tensor:
    """Spectrograms ``[B, F, L]`` with their stems as one-hot planes: ``[B, 1 + stems, F, L]``."""
    planes = functional.one_hot(stem, len(STEMS)).to(spectrogram.dtype)[:, :, None, None]
    return torch.cat([spectrogram[:, None], planes.expand(-1, -1, *spectrogram.shape[-2:])], 1)


class StemSpectrograms:
    """The source and target spectrograms ``[B, F, L]`` of batches of stems.

    Args:
        settings: of the spectrograms.
        models: by stem, those whose predictions are the source, for a generator that refines
            them; without any it is the stem's own spectrogram. They are not trained.
        mean_channel: whether targets are of the channels' mean, as what such models predict, or of
            the power of both.
    """

    def __init__(
        self,
        settings: SpectrogramSettings,
        models: Mapping[str, SpectrogramModel] | None = None,
        mean_channel: bool = False,
    ) -> None:
        self.settings, self.mean_channel = settings, mean_channel
        self.models = {s: model.eval().requires_grad_(False) for s, model in (models or {}).items()}

    @torch.no_grad()
    def source(self, sound: Tensor, stem: Tensor) -> Tensor:
        """Of sound ``[B, 2, T]`` of stems ``[B]``, indices into ``STEMS``."""
        with torch.autocast(sound.device.type, enabled=False):
            if not self.models:
                return self.settings.stereo(sound)
            return torch.stack(
                [self._predicted(one, index) for one, index in zip(sound, stem, strict=True)]
            )

    @torch.no_grad()
    def target(self, sound: Tensor) -> Tensor:
        """Of sound ``[B, 2, T]``."""
        with torch.autocast(sound.device.type, enabled=False):
            return (
                self.settings(sound.mean(1)) if self.mean_channel else self.settings.stereo(sound)
            )

    def _predicted(self, sound: Tensor, stem: Tensor) -> Tensor:
        model = self.models[STEMS[int(stem)]].to(sound.device)
        return model.predict(model.features(sound, self.settings)[None], stem[None])[0]
