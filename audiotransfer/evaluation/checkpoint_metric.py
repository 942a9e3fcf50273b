"""H on validation songs: the metric that selects a style's checkpoint and ends its training."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from audiotransfer.audio.resampling import STEREO_RATE
from audiotransfer.data.splits import spread
from audiotransfer.errors import AudioTransferError
from audiotransfer.evaluation import (
    GenreClassifier,
    content_score,
    harmonic,
    random_target_clip,
    rescaled,
    style_score,
)
from audiotransfer.evaluation.classifiers.audio_classifier import AudioClassifierSettings
from audiotransfer.evaluation.classifiers.genre import GenreObjective
from audiotransfer.evaluation.classifiers.genre_data import Clip, GenreWindowBatches, prepare
from audiotransfer.evaluation.validation_samples import (
    ValidationSample,
    ValidationSamples,
    rendered_samples,
)
from audiotransfer.spectral.models.base import SpectrogramModel
from audiotransfer.training import Objective
from vocoder import SpectrogramSettings

_FOLDER = "validation-classifier"
_CLIP_SECONDS, _COPY_SECONDS = 20.0, 6.0
#: Least difference of the style score between real songs of the target and the sources.
_LEAST_DIFFERENCE = 0.05
_SOURCE = "source"
_LOGGED_SAMPLES = 2  # of each stem, where H is not measured
logger = logging.getLogger(__name__)


@dataclass
class CheckpointMetricSettings:
    """Size of the validation: songs that H is measured on, and its genre classifier.

    Attributes:
        songs: number of validation songs; with 0 H is not measured.
        classifier_songs: training songs of each genre that the classifier is trained on. It is
            another network than the one that ships and reports final figures.
        classifier_steps: training steps of the classifier.
        seed: draws the classifier's initial weights.
    """

    songs: int = 4
    classifier_songs: int = 24
    classifier_steps: int = 250
    seed: int = 71


class CheckpointMetric:
    """H, style and content of validation samples converted by the present generators.

    Style and content are means over the samples, rescaled: style from 0 for the samples themselves
    to 1 for ``targets`` (real samples of each style), content from 0 for a random clip of these to
    1 for the samples themselves. H is their harmonic mean. Of several styles the mean counts. A
    style that the classifier does not distinguish from the sources has no H.
    """

    def __init__(
        self,
        samples: ValidationSamples,
        targets: Mapping[str, Sequence[ValidationSample]],
        classifier: Callable[[], GenreClassifier],
    ) -> None:
        """``classifier`` is called once, at the first measurement."""
        self.samples, self.targets, self.classifier = samples, dict(targets), classifier

    def __call__(self, _: Objective) -> dict[str, float]:
        if not self._scales:
            return {}
        converted = self.samples.convert(self.samples.samples)
        found = {style: scale.figures(converted[style]) for style, scale in self._scales.items()}
        figures = {
            name: float(np.mean([of[name] for of in found.values()]))
            for name in ("H", "style", "content")
        }
        if len(found) > 1:
            figures |= {f"H/{style}": of["H"] for style, of in found.items()}
        return figures

    @cached_property
    def _scales(self) -> dict[str, _Scale]:
        """The scale of each style that the classifier distinguishes from the sources."""
        try:
            classifier = self.classifier()
        except AudioTransferError as error:
            logger.warning("H is not measured, the last checkpoint is taken: %s", error)
            return {}
        sources = [sample.sound for sample in self.samples.samples]
        found = {
            style: _Scale.of(classifier, style, sources, [sample.sound for sample in samples])
            for style, samples in self.targets.items()
        }
        for style, scale in found.items():
            if scale.one - scale.zero < _LEAST_DIFFERENCE:
                logger.warning(
                    "no H for %s: the validation classifier gives its own songs %.2f and others"
                    " %.2f; more songs by other artists would help it to tell them apart",
                    style,
                    scale.one,
                    scale.zero,
                )
        return {
            s: scale for s, scale in found.items() if scale.one - scale.zero >= _LEAST_DIFFERENCE
        }


@dataclass(frozen=True)
class _Scale:
    """Rescaling of one style: style scores of the sources (``zero``) and of the target's songs
    (``one``), and the content score of random clips of the target (``random``).
    """

    classifier: GenreClassifier
    style: str
    sources: Sequence[Tensor]
    zero: float
    one: float
    random: float

    @classmethod
    def of(
        cls,
        classifier: GenreClassifier,
        style: str,
        sources: Sequence[Tensor],
        real: Sequence[Tensor],
    ) -> _Scale:
        generator = torch.Generator().manual_seed(0)
        clips = [random_target_clip(real, sound.shape[-1], generator) for sound in sources]
        zero, one = (_style(classifier, style, sounds) for sounds in (sources, real))
        return cls(classifier, style, sources, zero, one, _content(clips, sources))

    def figures(self, sounds: Sequence[Tensor]) -> dict[str, float]:
        """H, style and content of the converted sources."""
        score = _style(self.classifier, self.style, sounds)
        style = rescaled(score, zero=self.zero, one=self.one)
        content = rescaled(_content(sounds, self.sources), zero=self.random, one=1.0)
        return {"H": harmonic(style, content), "style": style, "content": content}


def _style(classifier: GenreClassifier, style: str, sounds: Sequence[Tensor]) -> float:
    return float(np.mean([style_score(classifier, sound, STEREO_RATE, style) for sound in sounds]))


def _content(sounds: Sequence[Tensor], sources: Sequence[Tensor]) -> float:
    pairs = zip(sounds, sources, strict=True)
    return float(np.mean([content_score(one, other, STEREO_RATE) for one, other in pairs]))


def validation_classifier(
    clips: Sequence[Clip], folder: Path, settings: CheckpointMetricSettings
) -> GenreClassifier:
    """A genre classifier trained once on the clips, and saved in ``folder/validation-classifier``.

    Griffin-Lim copies of every clip are in its training data, so that artefacts are no cue.
    """
    place = folder / _FOLDER
    report = {"clips": [str(clip.path) for clip in clips], "steps": settings.classifier_steps}
    try:
        classifier = GenreClassifier.load(place)
        if classifier.report == report:
            return classifier
    except AudioTransferError:  # there is none yet, or its writing was interrupted
        pass
    genres = tuple(sorted({clip.genre for clip in clips}))
    network = AudioClassifierSettings(genres, width=12)
    features = prepare(
        clips,
        place / "features",
        network,
        max_seconds=_CLIP_SECONDS,
        copy_seconds=_COPY_SECONDS,
        seed=settings.seed,
    )
    objective = GenreObjective(network, seed=settings.seed)
    groups = {clip.group for clip in clips}
    objective.learn(
        GenreWindowBatches(features, groups, batch_size=16, seed=settings.seed),
        settings.classifier_steps,
    )
    classifier = objective.classifier(report)
    classifier.save(place)
    return classifier


def some_of_each(clips: Sequence[Clip], count: int) -> list[Clip]:
    """``count`` clips of each genre, evenly spread."""
    genres = dict.fromkeys(clip.genre for clip in clips)
    return [
        clip
        for genre in genres
        for clip in spread([one for one in clips if one.genre == genre], count)
    ]


def rendered_validation(
    held_out: Sequence[Path],
    training: Sequence[Path],
    stems: Sequence[str],
    generators: Callable[[str], Mapping[str, SpectrogramModel]],
    styles: Sequence[str],
    spectrogram: SpectrogramSettings,
    settings: CheckpointMetricSettings,
    folder: Path,
) -> tuple[ValidationSamples, CheckpointMetric | None]:
    """Validation samples of rendered songs, and H where ``settings`` ask for it.

    Args:
        held_out: folders of the songs that samples are taken from, as separated where there are
            separated stems.
        training: folders of the songs that the classifier is trained on: the source's and the
            styles' renderings.
        generators: stem -> generators by style.
        folder: keeps the classifier.
    """

    def samples(*sides: str) -> list[ValidationSample]:
        count = settings.songs or _LOGGED_SAMPLES
        return [one for stem in stems for one in rendered_samples(held_out, sides, stem, count)]

    converted = ValidationSamples(samples("separated", _SOURCE), spectrogram, generators)
    if not settings.songs:
        return converted, None
    sides = {_SOURCE: _SOURCE, **{style: f"target/{style}" for style in styles}}
    clips = [
        Clip(path, genre, song.name)
        for genre, side in sides.items()
        for song in training
        for stem in stems
        if (path := song / side / f"{stem}.wav").is_file()
    ]
    chosen = some_of_each(clips, settings.classifier_songs * len(stems))
    targets = {style: samples(sides[style]) for style in styles}
    classifier = partial(validation_classifier, chosen, folder, settings)
    return converted, CheckpointMetric(converted, targets, classifier)
