"""Fixed songs, as a training's generators play them: heard in its log, and judged."""

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
_HEARD = 2  # lines that the log has


@dataclass(frozen=True)
class ValidationSample:
    """What one stem of a song plays for some seconds: ``[2, T]`` at 44.1 kHz."""

    name: str
    stem: str
    sound: Tensor


class ValidationSamples:
    """Plays lines with the present generators, one for each style.

    ``generators`` gives those of a stem by the styles' names; called, it says what a log keeps of
    the first two lines.
    """

    def __init__(
        self,
        lines: Sequence[ValidationSample],
        spectrogram: SpectrogramSettings,
        generators: Callable[[str], Mapping[str, SpectrogramModel]],
    ) -> None:
        self.lines, self.spectrogram, self.generators = list(lines), spectrogram, generators

    def play(self, lines: Sequence[ValidationSample]) -> dict[str, list[Tensor]]:
        """What each style makes of lines, each ``[2, T]``."""
        stems = dict.fromkeys(line.stem for line in lines)
        generators = {stem: self.generators(stem) for stem in stems}
        played: dict[str, list[Tensor]] = {}
        for line in lines:
            for style, generator in generators[line.stem].items():
                device = str(next(generator.parameters()).device)
                play = stem_transfer(generator, self.spectrogram, line.stem, device)
                played.setdefault(style, []).append(play(line.sound))
        return played

    def __call__(self, _: Objective) -> dict[str, tuple[Tensor, int]]:
        lines = self.lines[:_HEARD]
        heard = {f"{line.name}/source": (line.sound, STEREO_RATE) for line in lines}
        for style, sounds in self.play(lines).items():
            for line, sound in zip(lines, sounds, strict=True):
                heard[f"{line.name}/{style}"] = (sound, STEREO_RATE)
        return heard


def prepared_samples(
    manifest: Manifest,
    songs: Sequence[PreparedSong],
    stem: str,
    count: int,
    seconds: float = SECONDS,
) -> list[ValidationSample]:
    """A stem's lines out of ``count`` songs that have it, from where it plays longest."""
    lines = []
    for song in spread([song for song in songs if stem in song.files], count):
        first, frames = max(song.features[stem].runs, key=lambda run: run[1])
        middle = (first + frames / 2) / manifest.frames_per_second
        sound = _around(manifest.folder / song.files[stem], seconds, middle)
        lines.append(ValidationSample(song.id, stem, sound))
    return lines


def rendered_samples(
    songs: Sequence[Path], sides: Sequence[str], stem: str, count: int, seconds: float = SECONDS
) -> list[ValidationSample]:
    """The middle of a stem out of ``count`` rendered songs, from the first of ``sides`` that has
    it."""
    found = []
    for song in songs:
        there = [path for side in sides if (path := song / side / f"{stem}.wav").is_file()]
        found += [(song.name, path) for path in there[:1]]
    return [
        ValidationSample(f"{name}/{stem}", stem, _around(path, seconds))
        for name, path in spread(found, count)
    ]


def recorded_samples(
    takes: Sequence[StemRecording], count: int, seconds: float = SECONDS
) -> list[ValidationSample]:
    """The middle of ``count`` recordings, spread over all, at the level of training windows."""
    frames = round(seconds * STEREO_RATE)
    lines = []
    for take in spread(takes, count):
        sound = levelled(take.read(max(0, (take.frames - frames) // 2), min(frames, take.frames)))
        lines.append(ValidationSample(take.path.stem, take.stem, torch.from_numpy(sound)))
    return lines


def _around(path: Path, seconds: float, middle: float | None = None) -> Tensor:
    """``seconds`` around a place in a file, its own middle by default; less where it is short."""
    sound, rate = read_audio(path)
    frames = round(seconds * rate)
    centre = sound.shape[1] // 2 if middle is None else round(middle * rate)
    start = min(max(0, centre - frames // 2), max(0, sound.shape[1] - frames))
    return sound[:, start : start + frames]
