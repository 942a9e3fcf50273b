"""Templates of a model matched to songs without training: non-negative matrix factorisation whose
activations a trained network gives.

The network of a style says which templates sound when, also in songs of another instrument. With
these activations fixed, the templates are those that explain the songs' spectrograms best: by
multiplicative updates for the Kullback-Leibler divergence (Lee and Seung 2001), started from the
style's own. What a song hardly uses, such as keys that nobody plays in it, stays near its start,
which is the style's template through one equaliser.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from audiotransfer.errors import AudioTransferError
from audiotransfer.spectral.models.templates import TemplateModel

_ITERATIONS = 60
#: Weight of the start beside the songs, as a share of the power of an average template in them.
_PRIOR = 0.3
_SMOOTHING = 3.0  # bands, standard deviation of the equaliser's
_TINY = 1e-10
_LOUD = 1e-4  # power below the loudest frame's from which a frame counts (-40 dB)
_LEAST_FRAMES = 172  # two seconds


@dataclass(frozen=True)
class Matched:
    """A model of one style whose templates are matched, and how well it explains the songs.

    ``divergence`` is that of the songs from what the model gives for them, per unit of their power;
    ``before`` with the start's templates through the equaliser alone.
    """

    model: TemplateModel
    divergence: float
    before: float


def match_templates(
    model: TemplateModel, features: Sequence[Tensor], *, iterations: int = _ITERATIONS
) -> Matched:
    """A copy of a model of one style with templates matched to a stem of songs.

    Args:
        model: of one style, whose activations are taken.
        features: of the stem in each song (`TemplateModel.features`), ``[V, L]``.

    Raises:
        AudioTransferError: less than two seconds sound.
    """
    statistics = _Statistics(model.flat_templates().shape[-1])
    for one in features:
        statistics.add(model, one)
    if statistics.frames < _LEAST_FRAMES:
        raise AudioTransferError(
            f"{statistics.frames / 86:.1f} s of sound are too few to match templates to; give more"
        )
    with torch.no_grad():
        start = torch.exp(2 * model.flat_templates()[0].double()).T  # [F, K]
        start = start * _equaliser(start, statistics)[:, None]
        before = statistics.divergence(start)
        spectra = _updated(start, statistics, iterations)
        matched = _with_templates(model, torch.log(spectra.T.clamp_min(_TINY)) / 2)
    return Matched(matched, statistics.divergence(spectra), before)


class _Statistics:
    """Powers ``[F, L]`` of songs and activations ``[K, L]`` of templates in their loud frames."""

    def __init__(self, bins: int) -> None:
        self._powers: list[Tensor] = []
        self._activations: list[Tensor] = []
        self._bins = bins

    @property
    def frames(self) -> int:
        """The number of frames that count."""
        return sum(one.shape[-1] for one in self._powers)

    @torch.no_grad()
    def add(self, model: TemplateModel, features: Tensor) -> None:
        """Adds the frames of a song that are less than 40 dB below its loudest."""
        activations, _ = model.parts(features[None].float())
        power = torch.exp(2 * features[: self._bins].float())
        activity = torch.exp(2 * activations[0, 0].clamp(-12.0, 8.0))
        level = power.sum(0)
        loud = level > _LOUD * level.max()
        if bool(loud.any()) and float(level.max()) > _TINY:
            self._powers.append(power[:, loud])
            self._activations.append(activity[:, loud])

    def sums(self, spectra: Tensor) -> tuple[Tensor, Tensor]:
        """Of the update: ``(V / (W A)) A'`` ``[F, K]`` and the templates' activity ``[K]``."""
        found = torch.zeros_like(spectra)
        activity = torch.zeros(spectra.shape[1], dtype=spectra.dtype)
        weights = spectra.float()
        for power, active in zip(self._powers, self._activations, strict=True):
            ratio = power / (weights @ active).clamp_min(_TINY)
            found += (ratio @ active.T).double()
            activity += active.sum(1).double()
        return found, activity

    def mean_spectra(self, spectra: Tensor) -> tuple[Tensor, Tensor]:
        """Sums over all frames of the songs' power and of what templates give ``[F]``."""
        power = sum(one.sum(1).double() for one in self._powers)
        activity = sum(one.sum(1).double() for one in self._activations)
        return torch.as_tensor(power), spectra @ torch.as_tensor(activity)

    def divergence(self, spectra: Tensor) -> float:
        """Kullback-Leibler divergence of the songs from ``W A``, relative to their power."""
        weights, total, power_sum = spectra.float(), 0.0, 0.0
        for power, active in zip(self._powers, self._activations, strict=True):
            made = (weights @ active).clamp_min(_TINY)
            cells = power * torch.log(power.clamp_min(_TINY) / made) - power + made
            total += float(cells.double().sum())
            power_sum += float(power.double().sum())
        return total / max(power_sum, _TINY)


def _equaliser(spectra: Tensor, statistics: _Statistics) -> Tensor:
    """Power gains ``[F]``, smooth over bands, from what templates give on average to the songs."""
    power, made = statistics.mean_spectra(spectra)
    levels = torch.log(power.clamp_min(_TINY) / made.clamp_min(_TINY))
    places = torch.arange(len(levels), dtype=levels.dtype)
    kernel = torch.exp(-0.5 * ((places[:, None] - places[None]) / _SMOOTHING).square())
    return torch.exp((kernel @ levels) / kernel.sum(1))


def _updated(start: Tensor, statistics: _Statistics, iterations: int) -> Tensor:
    """Templates ``[F, K]`` after multiplicative updates that pull towards the start.

    A gamma prior with its mode near the start adds a pseudo-activity, in which the start is what
    was heard.
    """
    spectra = start.clone()
    for _ in range(iterations):
        found, activity = statistics.sums(spectra)
        pseudo = _PRIOR * float(activity.mean())
        spectra = (spectra * found + pseudo * start) / (activity + pseudo).clamp_min(_TINY)
    return spectra


def _with_templates(model: TemplateModel, flat: Tensor) -> TemplateModel:
    """A copy of a model of one style with templates ``[K, F]``, in the order of the flat ones."""
    copy = type(model)(**model.shape())
    copy.load_state_dict(model.state_dict())
    with torch.no_grad():
        shape = model.templates.shape
        if len(shape) == 4:  # [S, keys, spectra, F], which flat ones have the other way round
            flat = flat.view(shape[2], shape[1], shape[3]).transpose(0, 1)
        copy.templates.copy_(flat.float().reshape(shape[1:])[None])
    return copy.eval()
