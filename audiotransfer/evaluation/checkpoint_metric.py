"""H on songs that are not trained on: what chooses a style's checkpoint and ends its training."""

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

_JUDGE = "validation-judge"
_HEARD_SECONDS, _COPY_SECONDS = 20.0, 6.0
#: A judge that gives the target's own songs so little more than the source's tells nothing.
_TELLS = 0.05
logger = logging.getLogger(__name__)


@dataclass
class CheckpointMetricSettings:
    """How H is found during a training: on so many validation songs (0: it is not).

    Its judge learns for ``classifier_steps`` from ``classifier_songs`` songs that are trained on,
    of each genre; it is another one than the judge that reports, and ``seed`` draws its first
    weights.
    """

    songs: int = 4
    classifier_songs: int = 24
    classifier_steps: int = 250
    seed: int = 71


class CheckpointMetric:
    """H, style and content of what the present generators make of lines (see `measures`).

    Both are rescaled from means over the lines: style between what a judge says of them as they
    are and of the ``targets`` (real lines of each style), content between a random clip of these
    and the lines themselves. Of several styles the mean counts. A judge that cannot tell the
    target from the source gives no H.
    """

    def __init__(
        self,
        audition: ValidationSamples,
        targets: Mapping[str, Sequence[ValidationSample]],
        judge: Callable[[], GenreClassifier],
    ) -> None:
        self.audition, self.targets, self.judge = audition, dict(targets), judge

    def __call__(self, _: Objective) -> dict[str, float]:
        if not self._scales:
            return {}
        played = self.audition.play(self.audition.lines)
        found = {style: scale.figures(played[style]) for style, scale in self._scales.items()}
        figures = {
            name: float(np.mean([of[name] for of in found.values()]))
            for name in ("H", "style", "content")
        }
        if len(found) > 1:
            figures |= {f"H/{style}": of["H"] for style, of in found.items()}
        return figures

    @cached_property
    def _scales(self) -> dict[str, _Scale]:
        """Of the styles that the judge, which is made now, tells from the lines as they are."""
        try:
            judge = self.judge()
        except AudioTransferError as error:
            logger.warning("no H, so that the last weights are taken: %s", error)
            return {}
        sources = [line.sound for line in self.audition.lines]
        found = {
            style: _Scale.of(judge, style, sources, [line.sound for line in lines])
            for style, lines in self.targets.items()
        }
        for style, scale in found.items():
            if scale.goal - scale.nothing < _TELLS:
                logger.warning(
                    "no H for %s: the validation judge gives its own songs %.2f and others %.2f;"
                    " more songs by other artists would tell them apart",
                    style,
                    scale.goal,
                    scale.nothing,
                )
        return {s: scale for s, scale in found.items() if scale.goal - scale.nothing >= _TELLS}


@dataclass(frozen=True)
class _Scale:
    """What the judge says of sources (style 0) and of the target's own (1), and what content a
    random clip of the latter has (content 0).
    """

    judge: GenreClassifier
    style: str
    sources: Sequence[Tensor]
    nothing: float
    goal: float
    random: float

    @classmethod
    def of(
        cls, judge: GenreClassifier, style: str, sources: Sequence[Tensor], real: Sequence[Tensor]
    ) -> _Scale:
        generator = torch.Generator().manual_seed(0)
        clips = [random_target_clip(real, sound.shape[-1], generator) for sound in sources]
        nothing, goal = (_said(judge, style, sounds) for sounds in (sources, real))
        return cls(judge, style, sources, nothing, goal, _content(clips, sources))

    def figures(self, sounds: Sequence[Tensor]) -> dict[str, float]:
        """H and its two halves of what became of the sources."""
        said = _said(self.judge, self.style, sounds)
        style = rescaled(said, zero=self.nothing, one=self.goal)
        content = rescaled(_content(sounds, self.sources), zero=self.random, one=1.0)
        return {"H": harmonic(style, content), "style": style, "content": content}


def validation_classifier(
    clips: Sequence[Clip], folder: Path, settings: CheckpointMetricSettings
) -> GenreClassifier:
    """A judge of the clips' genres, taught once and kept in ``folder/validation-judge``.

    Griffin-Lim copies of every clip keep artefacts from being a cue.
    """
    place = folder / _JUDGE
    heard = {"clips": [str(clip.path) for clip in clips], "steps": settings.classifier_steps}
    try:
        judge = GenreClassifier.load(place)
        if judge.report == heard:
            return judge
    except AudioTransferError:  # there is none yet, or a kill tore it
        pass
    genres = tuple(sorted({clip.genre for clip in clips}))
    hearing = AudioClassifierSettings(genres, width=12)
    features = prepare(
        clips,
        place / "features",
        hearing,
        max_seconds=_HEARD_SECONDS,
        copy_seconds=_COPY_SECONDS,
        seed=settings.seed,
    )
    objective = GenreObjective(hearing, seed=settings.seed)
    groups = {clip.group for clip in clips}
    objective.learn(
        GenreWindowBatches(features, groups, batch_size=16, seed=settings.seed),
        settings.classifier_steps,
    )
    judge = objective.judge(heard)
    judge.save(place)
    return judge


def some_of_each(clips: Sequence[Clip], count: int) -> list[Clip]:
    """``count`` clips of each genre, spread over all of it."""
    genres = dict.fromkeys(clip.genre for clip in clips)
    return [
        clip
        for genre in genres
        for clip in spread([one for one in clips if one.genre == genre], count)
    ]


def _said(judge: GenreClassifier, style: str, sounds: Sequence[Tensor]) -> float:
    return float(np.mean([style_score(judge, sound, STEREO_RATE, style) for sound in sounds]))


def _content(sounds: Sequence[Tensor], sources: Sequence[Tensor]) -> float:
    pairs = zip(sounds, sources, strict=True)
    return float(np.mean([content_score(one, other, STEREO_RATE) for one, other in pairs]))


_SOURCE = "source"
_LINES = 2  # that are heard where none are judged


def rendered_validation(
    kept: Sequence[Path],
    taught: Sequence[Path],
    stems: Sequence[str],
    generators: Callable[[str], Mapping[str, SpectrogramModel]],
    styles: Sequence[str],
    spectrogram: SpectrogramSettings,
    settings: CheckpointMetricSettings,
    folder: Path,
) -> tuple[ValidationSamples, CheckpointMetric | None]:
    """Stems of ``kept`` songs, as a separator gives them where it has, played by the generators of
    styles; and H, by a judge that the ``taught`` songs teach who plays.
    """

    def lines(*sides: str) -> list[ValidationSample]:
        found = [rendered_samples(kept, sides, stem, settings.songs or _LINES) for stem in stems]
        return [line for of_stem in found for line in of_stem]

    audition = ValidationSamples(lines("separated", _SOURCE), spectrogram, generators)
    if not settings.songs:
        return audition, None
    sides = {_SOURCE: _SOURCE, **{style: f"target/{style}" for style in styles}}
    clips = [
        Clip(path, genre, song.name)
        for genre, side in sides.items()
        for song in taught
        for stem in stems
        if (path := song / side / f"{stem}.wav").is_file()
    ]
    heard = some_of_each(clips, settings.classifier_songs * len(stems))
    targets = {style: lines(sides[style]) for style in styles}
    return audition, CheckpointMetric(
        audition, targets, partial(validation_classifier, heard, folder, settings)
    )
