"""Training data of the genre classifier: log-mel windows of clips and of degraded copies."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import librosa
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from audiotransfer.atomic import write_bytes
from audiotransfer.audio.channels import to_stereo
from audiotransfer.audio.reading import read_audio
from audiotransfer.audio.resampling import resample
from audiotransfer.errors import AudioTransferError
from audiotransfer.evaluation.classifiers.audio_classifier import (
    FLOOR,
    AudioClassifierSettings,
    LogMel,
    classifier_input,
)
from audiotransfer.evaluation.metrics.artefacts import griffin_lim_copy
from separation import Separator, fingerprint

_INDEX = "index.json"
_SHORTEST_SECONDS = 0.5
GRIFFIN_LIM_ITERATIONS = 16
_GRIFFIN_LIM_BANDS = 200
Copy = Callable[[Tensor, int, torch.Generator], Tensor]
"""Degrades a sound: ([C, T], sample rate, generator) -> [C, T] at the same rate."""


@dataclass(frozen=True)
class Clip:
    """An audio file, its genre, and the group (artist or piece) that is held out as a whole."""

    path: Path
    genre: str
    group: str


def split_groups(
    clips: Sequence[Clip], held_out: float = 0.25, seed: int = 0
) -> tuple[frozenset[str], frozenset[str]]:
    """Splits groups at random into those to train on and those held out.

    Every genre has at least one group on each side; genres with few groups are split first.
    Raises AudioTransferError for a genre with a single group.
    """
    generator = np.random.default_rng(seed)
    of_genre: dict[str, set[str]] = {}
    for clip in clips:
        of_genre.setdefault(clip.genre, set()).add(clip.group)
    out: set[str] = set()
    for genre in sorted(of_genre, key=lambda name: (len(of_genre[name]), name)):
        groups = of_genre[genre]
        wanted = max(1, round(held_out * len(groups)))
        for group in generator.permutation(sorted(groups - out)).tolist():
            if len(groups & out) >= wanted:
                break
            if all(len(other - out) > 1 for other in of_genre.values() if group in other):
                out.add(group)
        if not groups & out:
            raise AudioTransferError(
                f"genre '{genre}' has too few artists of its own to hold one out "
                f"({', '.join(sorted(groups))}): add clips by another"
            )
    return frozenset(set().union(*of_genre.values()) - out), frozenset(out)


def remix_copy(separator: Separator) -> Copy:
    """Degrades a sound by separation: its stems summed at random gains of −9 to +3 dB each."""

    def copy(audio: Tensor, sample_rate: int, generator: torch.Generator) -> Tensor:
        mix = resample(to_stereo(audio), sample_rate, separator.sample_rate)
        total = torch.zeros_like(mix)
        for stem in separator(mix, generator).values():
            total += stem * 10 ** ((12 * torch.rand(1, generator=generator) - 9) / 20)
        return resample(total, separator.sample_rate, sample_rate)

    return copy


def griffin_lim_mel_copy(audio: Tensor, sample_rate: int, generator: torch.Generator) -> Tensor:
    """Resynthesises a sound [C, T] from 200 mel bands by Griffin-Lim: [1, T]."""
    signal = audio.mean(dim=0).numpy()
    n_fft = 1024 if sample_rate < 32_000 else 2048
    filters = librosa.filters.mel(sr=sample_rate, n_fft=n_fft, n_mels=_GRIFFIN_LIM_BANDS, fmin=20)
    spectrum = librosa.stft(signal, n_fft=n_fft, hop_length=n_fft // 4, pad_mode="constant")
    back = np.maximum(np.linalg.pinv(filters) @ (filters @ np.abs(spectrum)), 0).astype(np.float32)
    seed = int(torch.randint(2**31, (1,), generator=generator))
    copy = griffin_lim_copy(
        back, len(signal), n_fft=n_fft, hop_length=n_fft // 4,
        iterations=GRIFFIN_LIM_ITERATIONS, seed=seed,
    )  # fmt: skip
    return torch.from_numpy(copy)[None]


@dataclass(frozen=True)
class Segment:
    """Frames [start, start + frames) of a genre's array: one file, or a degraded copy of one."""

    path: str
    genre: str
    group: str
    copy: str
    start: int
    frames: int


class GenreFeatures:
    """Log-mel features of clips and copies on disk: a float16 array [L, F] for each genre."""

    def __init__(
        self, folder: Path, settings: AudioClassifierSettings, segments: Sequence[Segment]
    ) -> None:
        self.settings = settings
        self.segments = tuple(segments)
        self._arrays = {
            genre: np.load(folder / f"{index}.npy", mmap_mode="r")
            for index, genre in enumerate(settings.classes)
        }

    def window(self, segment: Segment, start: int) -> npt.NDArray[np.float32]:
        """The window [F, L] ``start`` frames into a segment; a short segment is repeated."""
        frames = self.settings.frames
        first = segment.start + start
        stop = min(first + frames, segment.start + segment.frames)
        window = np.asarray(self._arrays[segment.genre][first:stop], dtype=np.float32).T
        return np.pad(window, ((0, 0), (0, frames - window.shape[1])), mode="wrap")


def prepare(
    clips: Sequence[Clip],
    folder: str | Path,
    settings: AudioClassifierSettings,
    *,
    separator: Separator | None = None,
    max_seconds: float = 60.0,
    copy_seconds: float = 20.0,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> GenreFeatures:
    """Computes the log-mel features of clips into ``folder``; the same call again only loads them.

    Each file gives its middle ``max_seconds``, and a random excerpt of ``copy_seconds`` of these
    through Griffin-Lim and, where there is a ``separator``, through that (`remix_copy`): so that
    artefacts are no cue. Files shorter than half a second are left out.

    Raises:
        AudioTransferError: a genre is unknown or has no clip.
    """
    folder = Path(folder)
    missing = set(settings.classes) ^ {clip.genre for clip in clips}
    if missing:
        raise AudioTransferError(
            f"genres {', '.join(sorted(missing))} are named without clips, or have clips without "
            "being named: give both"
        )
    made_by = None if separator is None else fingerprint(separator)
    recipe = [max_seconds, copy_seconds, seed, made_by]
    separated = None if separator is None else remix_copy(separator)
    key = _key(clips, settings, recipe)
    if (kept := _load(folder, settings, key)) is not None:
        return kept
    folder.mkdir(parents=True, exist_ok=True)
    # The index goes first and comes back last: arrays of two calls can never be mixed up.
    (folder / _INDEX).unlink(missing_ok=True)
    front_end = LogMel(settings)
    segments: list[Segment] = []
    done = 0
    for index, genre in enumerate(settings.classes):
        spectrograms: list[npt.NDArray[np.float16]] = []
        position = 0
        for clip in (clip for clip in clips if clip.genre == genre):
            generator = torch.Generator().manual_seed(seed + _number(str(clip.path)))
            for name, sound in _variants(
                clip, settings, separated, max_seconds, copy_seconds, generator
            ):
                with torch.no_grad():
                    spectrogram = front_end(sound[None])[0].T.half().numpy()
                segments.append(
                    Segment(str(clip.path), genre, clip.group, name, position, len(spectrogram))
                )
                spectrograms.append(spectrogram)
                position += len(spectrogram)
            done += 1
            if progress is not None:
                progress(done, len(clips))
        if not spectrograms:
            raise AudioTransferError(f"genre '{genre}' has no clip longer than half a second")
        array = io.BytesIO()
        np.save(array, np.concatenate(spectrograms))
        write_bytes(folder / f"{index}.npy", array.getvalue(), overwrite=True)
    index_text = json.dumps({"key": key, "segments": [asdict(segment) for segment in segments]})
    write_bytes(folder / _INDEX, index_text.encode(), overwrite=True)
    return GenreFeatures(folder, settings, segments)


class GenreWindowBatches:
    """Random batches of 3 s windows: uniform over genres, then over groups, then over segments.

    Every window gets a smooth random equaliser (up to about ±8 dB), and three in ten a low-pass
    between 2 kHz and the top, whatever its genre. ``batch(step)`` depends on seed and step alone:
    {"features": [B, F, L], "labels": [B]}.
    """

    def __init__(
        self,
        features: GenreFeatures,
        groups: Collection[str],
        *,
        batch_size: int = 32,
        seed: int = 0,
    ) -> None:
        self.features = features
        self.batch_size = batch_size
        self.seed = seed
        self._by_genre: list[list[list[Segment]]] = []
        for genre in features.settings.classes:
            of_group: dict[str, list[Segment]] = {}
            for segment in features.segments:
                if segment.genre == genre and segment.group in groups:
                    of_group.setdefault(segment.group, []).append(segment)
            if not of_group:
                raise AudioTransferError(f"genre '{genre}' has no clip in the groups to train on")
            self._by_genre.append(list(of_group.values()))

    def batch(self, step: int) -> dict[str, Tensor]:
        """The batch of one step."""
        generator = np.random.default_rng([self.seed, step])
        labels = generator.integers(len(self._by_genre), size=self.batch_size)
        windows = np.stack([self._window(int(label), generator) for label in labels])
        return {
            "features": torch.from_numpy(windows),
            "labels": torch.from_numpy(labels.astype(np.int64)),
        }

    def _window(self, label: int, generator: np.random.Generator) -> npt.NDArray[np.float32]:
        groups = self._by_genre[label]
        segments = groups[generator.integers(len(groups))]
        segment = segments[generator.integers(len(segments))]
        last = max(0, segment.frames - self.features.settings.frames)
        window = self.features.window(segment, int(generator.integers(last + 1)))
        return coloured(window, self.features.settings, generator)


def coloured(
    window: npt.NDArray[np.float32],
    settings: AudioClassifierSettings,
    generator: np.random.Generator,
) -> npt.NDArray[np.float32]:
    """A log-mel window [F, L] through a random equaliser and, three times in ten, a low-pass.

    A filter on the sound adds a constant to each band's logarithm; the floor is applied again.
    """
    nepers = np.log(10) / 20
    place = np.linspace(0, 1, settings.bands)
    curve = np.zeros(settings.bands)
    for order in (0.5, 1, 1.5, 2, 3):
        curve += generator.normal(0, 2.5) * np.cos(
            np.pi * (order * place + generator.uniform(0, 2))
        )
    if generator.random() < 0.3:
        bands_below = generator.uniform(0.6, 1.0) * settings.bands
        curve -= 12.0 * np.maximum(0, np.arange(settings.bands) - bands_below)
    filtered: npt.NDArray[np.float32] = np.maximum(
        window + (curve * nepers)[:, None], np.log(FLOOR)
    ).astype(np.float32)
    return filtered


def held_out_windows(
    features: GenreFeatures, groups: Collection[str], *, copies: Collection[str] = ("plain",)
) -> dict[str, Tensor]:
    """All non-overlapping windows of the named groups: {"features": [N, F, L], "labels": [N]}."""
    settings = features.settings
    windows, labels = [], []
    for segment in features.segments:
        if segment.group not in groups or segment.copy not in copies:
            continue
        last = max(1, segment.frames - settings.frames + 1)
        for start in range(0, last, settings.frames):
            windows.append(features.window(segment, start))
            labels.append(settings.classes.index(segment.genre))
    if not windows:
        raise AudioTransferError(
            "nothing is held out: no clip belongs to the groups that were named"
        )
    return {"features": torch.from_numpy(np.stack(windows)), "labels": torch.tensor(labels)}


def _variants(
    clip: Clip,
    settings: AudioClassifierSettings,
    separated: Copy | None,
    max_seconds: float,
    copy_seconds: float,
    generator: torch.Generator,
) -> list[tuple[str, Tensor]]:
    """A clip and its copies as classifier inputs: (name of the copy, sound [T])."""
    audio, rate = read_audio(clip.path)
    audio = _middle(audio, round(max_seconds * rate))
    if audio.shape[-1] < _SHORTEST_SECONDS * rate or float(audio.abs().max()) == 0.0:
        return []
    plain = classifier_input(audio, rate, settings)
    stretch = round(copy_seconds * settings.sample_rate)
    start = int(torch.randint(max(0, len(plain) - stretch) + 1, (1,), generator=generator))
    rebuilt = griffin_lim_mel_copy(
        plain[None, start : start + stretch], settings.sample_rate, generator
    )
    variants = [
        ("plain", plain),
        ("griffin-lim", classifier_input(rebuilt, settings.sample_rate, settings)),
    ]
    if separated is not None:
        first = round(start / settings.sample_rate * rate)
        part = audio[:, first : first + round(copy_seconds * rate)]
        variants.append(
            ("separated", classifier_input(separated(part, rate, generator), rate, settings))
        )
    return variants


def _middle(audio: Tensor, length: int) -> Tensor:
    start = max(0, (audio.shape[-1] - length) // 2)
    return audio[:, start : start + length]


def _number(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")


def _key(clips: Sequence[Clip], settings: AudioClassifierSettings, recipe: list[Any]) -> str:
    listed = [[str(clip.path), clip.genre, clip.group, clip.path.stat().st_size] for clip in clips]
    text = json.dumps([listed, asdict(settings), recipe, GRIFFIN_LIM_ITERATIONS])
    return hashlib.sha256(text.encode()).hexdigest()


def _load(folder: Path, settings: AudioClassifierSettings, key: str) -> GenreFeatures | None:
    try:
        index = json.loads((folder / _INDEX).read_text(encoding="utf-8"))
        if index["key"] != key:
            return None
        return GenreFeatures(folder, settings, [Segment(**fields) for fields in index["segments"]])
    except (OSError, ValueError, KeyError, TypeError):
        return None
