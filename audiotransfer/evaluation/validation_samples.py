"""Fixed samples of validation songs, and their conversion by generators in training."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from audiotransfer.audio.reading import read_audio
from audiotransfer.audio.resampling import STEREO_RATE
from audiotransfer.data.manifest import Manifest, PreparedSong
from audiotransfer.data.splits import spread
from audiotransfer.data.stem_mixes import StemRecording
from audiotransfer.data.unpaired import levelled
from audiotransfer.spectral.models.base import SpectrogramModel
from audiotransfer.spectral.transfer import stem_transfer
from audiotransfer.training import Objective
from vocoder import SpectrogramSettings

SECONDS = 6.0
_LOGGED = 2  # samples


@dataclass(frozen=True)
class ValidationSample:
    """An excerpt of one stem of a song: ``sound`` [2, T] at 44.1 kHz."""

    name: str
    stem: str
    sound: Tensor


class ValidationSamples:
    """Converts samples with the present generators, one for each style.

    ``generators`` maps a stem to its generators by style. Calling it gives the sounds that a
    training logs: the first two samples, and each style's version of them.
    """

    def __init__(
        self,
        samples: Sequence[ValidationSample],
        spectrogram: SpectrogramSettings,
        generators: Callable[[str], Mapping[str, SpectrogramModel]],
    ) -> None:
        self.samples, self.spectrogram, self.generators = list(samples), spectrogram, generators

    def convert(self, samples: Sequence[ValidationSample]) -> dict[str, list[Tensor]]:
        """The samples in each style: style -> sounds [2, T], in the samples' order."""
        stems = dict.fromkeys(sample.stem for sample in samples)
        generators = {stem: self.generators(stem) for stem in stems}
        converted: dict[str, list[Tensor]] = {}
        for sample in samples:
            for style, generator in generators[sample.stem].items():
                device = str(next(generator.parameters()).device)
                transfer = stem_transfer(generator, self.spectrogram, sample.stem, device)
                converted.setdefault(style, []).append(transfer(sample.sound))
        return converted

    def __call__(self, _: Objective) -> dict[str, tuple[Tensor, int]]:
        samples = self.samples[:_LOGGED]
        logged = {f"{sample.name}/source": (sample.sound, STEREO_RATE) for sample in samples}
        for style, sounds in self.convert(samples).items():
            for sample, sound in zip(samples, sounds, strict=True):
                logged[f"{sample.name}/{style}"] = (sound, STEREO_RATE)
        return logged


def prepared_samples(
    manifest: Manifest,
    songs: Sequence[PreparedSong],
    stem: str,
    count: int,
    seconds: float = SECONDS,
) -> list[ValidationSample]:
    """Excerpts of a stem from ``count`` prepared songs, around the middle of its longest run."""
    samples = []
    for song in spread([song for song in songs if stem in song.files], count):
        first, frames = max(song.features[stem].runs, key=lambda run: run[1])
        middle = (first + frames / 2) / manifest.frames_per_second
        sound = _excerpt(manifest.folder / song.files[stem], seconds, middle)
        samples.append(ValidationSample(song.id, stem, sound))
    return samples


def rendered_samples(
    songs: Sequence[Path], sides: Sequence[str], stem: str, count: int, seconds: float = SECONDS
) -> list[ValidationSample]:
    """The middle of a stem from ``count`` rendered songs, of the first of ``sides`` that has it."""
    found = []
    for song in songs:
        paths = [path for side in sides if (path := song / side / f"{stem}.wav").is_file()]
        found += [(song.name, path) for path in paths[:1]]
    return [
        ValidationSample(f"{name}/{stem}", stem, _excerpt(path, seconds))
        for name, path in spread(found, count)
    ]


def recorded_samples(
    recordings: Sequence[StemRecording], count: int, seconds: float = SECONDS
) -> list[ValidationSample]:
    """The middle of ``count`` stem files, evenly spread, at the level of training windows."""
    frames = round(seconds * STEREO_RATE)
    samples = []
    for recording in spread(recordings, count):
        sound = levelled(
            recording.read(max(0, (recording.frames - frames) // 2), min(frames, recording.frames))
        )
        samples.append(
            ValidationSample(recording.path.stem, recording.stem, torch.from_numpy(sound))
        )
    return samples


def _excerpt(path: Path, seconds: float, middle: float | None = None) -> Tensor:
    """``seconds`` of a file around ``middle`` (s; its own middle by default), or all of it."""
    sound, rate = read_audio(path)
    frames = round(seconds * rate)
    centre = sound.shape[1] // 2 if middle is None else round(middle * rate)
    start = min(max(0, centre - frames // 2), max(0, sound.shape[1] - frames))
    return sound[:, start : start + frames]
