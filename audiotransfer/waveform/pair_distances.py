"""Distance of what a waveform generator makes of rendered pairs to their true targets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from audiotransfer.data.domains import PAIRS
from audiotransfer.training.distances import audible_difference, frame_distance
from audiotransfer.waveform.generators import WaveformGenerator
from vocoder.spectrogram import SpectrogramSettings


def mel_of(sample_rate: int) -> SpectrogramSettings:
    """The log mel bands in which validation measures, at a sample rate."""
    if sample_rate == 44100:
        return SpectrogramSettings()
    return SpectrogramSettings(
        "mel", sample_rate, 1024, 256, bins=128, f_max=min(20000.0, 0.48 * sample_rate)
    )


def shorter_windows(sample_rate: int, sizes: Sequence[int]) -> tuple[SpectrogramSettings, ...]:
    """Log mel bands by other windows (samples); a sixteenth as many bands as samples."""
    top = min(20000.0, 0.48 * sample_rate)
    return tuple(
        SpectrogramSettings("mel", sample_rate, size, size // 4, size // 16, f_max=top)
        for size in sizes
    )


def window_difference(windows: Sequence[SpectrogramSettings], made: Tensor, true: Tensor) -> Tensor:
    """Mean absolute audible difference (nats) of sounds ``[B, T]`` by all of some windows."""
    return torch.stack([_difference(settings, made, true) for settings in windows]).mean()


def _difference(settings: SpectrogramSettings, made: Tensor, true: Tensor) -> Tensor:
    # A sine is as many times louder as its window is longer; audibility is meant for 2048.
    louder = torch.log(torch.tensor(2048.0 / settings.n_fft))
    return audible_difference(settings(made) + louder, settings(true) + louder).abs().mean()


@torch.no_grad()
def pair_distances(
    generator: WaveformGenerator, batches: Sequence[Mapping[str, Tensor]]
) -> dict[str, float]:
    """Mean frame distance (nats) of converted sources and of sources to the pairs' targets.

    ``distance`` and ``nothing``; ``score`` is minus their ratio.
    """
    settings = mel_of(generator.sample_rate)
    found: list[tuple[float, float]] = []
    for batch in batches:
        source, target = batch[f"{PAIRS}/source"], batch[f"{PAIRS}/target"]
        true = settings(target)
        made = settings(generator.convert(source))
        found.append(
            (
                float(frame_distance(made, true).mean()),
                float(frame_distance(settings(source), true).mean()),
            )
        )
    distance, nothing = (sum(column) / len(found) for column in zip(*found, strict=True))
    return {"distance": distance, "nothing": nothing, "score": -distance / nothing}
