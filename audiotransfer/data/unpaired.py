"""Windows of two sets of songs, sound or prepared spectrograms, for training without pairs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from audiotransfer.data.datasets.base import near
from audiotransfer.data.manifest import Manifest, load_manifest
from audiotransfer.data.stem_mixes import SAMPLE_RATE, StemRecording
from audiotransfer.errors import AudioTransferError
from vocoder import SpectrogramSettings

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Sound = NDArray[np.float32]
    from numpy.random import Generator
    from numpy.typing import NDArray

_LEVEL = 0.06  # RMS of a window: about what a stem has in a song at RMS 0.1
_SILENT = 2e-3
_TRIES = 10


class LevelledWindows:
    """Batches ``[B, 2, T]`` of sets of recordings: windows that are not silent, at one level.

    Songs are drawn in proportion to their length up to a minute. A function of seed and step.
    """

    def __init__(
        self,
        sets: Mapping[str, Sequence[StemRecording]],
        *,
        frames: int,
        batch: int = 4,
        seed: int = 0,
    ) -> None:
        self.sets = {name: list(recordings) for name, recordings in sets.items()}
        self.frames, self.batch_size, self.seed = frames, batch, seed

    def batch(self, step: int) -> dict[str, Tensor]:
        """The batch of a step."""
        random = np.random.default_rng((self.seed, step))
        return {
            name: torch.from_numpy(
                np.stack([self._window(recordings, random) for _ in range(self.batch_size)])
            )
            for name, recordings in self.sets.items()
        }

    def _window(self, recordings: list[StemRecording], random: np.random.Generator) -> Sound:
        weights = np.array(
            [min(recording.frames, 60 * SAMPLE_RATE) for recording in recordings], dtype=float
        )
        for _ in range(_TRIES):
            recording = recordings[random.choice(len(recordings), p=weights / weights.sum())]
            start = int(random.integers(max(1, recording.frames - self.frames)))
            window = recording.read(start, self.frames)
            if _rms(window) > _SILENT:
                break
        gain = np.float32(10 ** (random.uniform(-4, 4) / 20))
        return levelled(window) * gain


class UnpairedWindows(LevelledWindows):
    """`LevelledWindows` of two sets, ``source`` and ``target``."""

    def __init__(
        self,
        sources: Sequence[StemRecording],
        targets: Sequence[StemRecording],
        *,
        frames: int,
        batch: int = 4,
        seed: int = 0,
    ) -> None:
        sets = {"source": sources, "target": targets}
        super().__init__(sets, frames=frames, batch=batch, seed=seed)


class SpectrogramBatches:
    """Windows of sound as spectrograms ``[B, F, L]``, computed by the process that loads them."""

    def __init__(self, windows: UnpairedWindows, spectrogram: SpectrogramSettings) -> None:
        self.windows, self.spectrogram = windows, spectrogram

    def batch(self, step: int) -> dict[str, Tensor]:
        """The spectrograms of a step."""
        sounds = self.windows.batch(step)
        return {side: self.spectrogram.stereo(sound) for side, sound in sounds.items()}


def levelled(window: Sound) -> Sound:
    """Scales a window ``[2, T]`` to RMS 0.06, the level of stems in songs; silence stays silent."""
    return (window * (_LEVEL / max(_rms(window), _SILENT))).astype(np.float32)


def _rms(window: Sound) -> float:
    return float(np.sqrt((window**2).mean()))


#: As the first of the genres: all of the collection but the target.
ANY = "any"
_LONGEST_SECONDS = 60.0  # what a longer song counts as when songs are drawn


@dataclass(frozen=True)
class _Run:
    """A range without silence: frames [start, start + frames) of a song's file."""

    file: Path
    start: int
    frames: int
    song: str


class PreparedWindows:
    """Batches of spectrograms ``source`` and ``target`` ``[B, F, L]`` with ``stem`` and ``style``.

    ``genres``: the source, or ``any``, and one or more targets. A row is of one stem on both
    sides, an index ``[B]`` into ``stems``; ``style`` ``[B]`` is the target genre's index into
    ``targets``. Stems, targets and sources are drawn evenly, songs in proportion to the length
    that sounds up to a minute, and windows from random crops where the collection asks for it. A
    function of seed and step; spectrograms stay on disk.

    Raises AudioTransferError for a genre that is not there or has no song in ``split``, one genre
    only, a stem that is not there, and windows longer than anything that sounds.
    """

    def __init__(
        self,
        manifest: Manifest | str | Path,
        genres: Sequence[str],
        frames: int,
        batch: int = 16,
        seed: int = 0,
        *,
        stems: Sequence[str] = (),
        split: str = "train",
    ) -> None:
        held = manifest if isinstance(manifest, Manifest) else load_manifest(manifest)
        self.frames, self.batch_size, self.seed = frames, batch, seed
        self.targets = tuple(genres[1:])
        if not self.targets or genres[0] in self.targets:
            raise AudioTransferError(
                f"one genre only ({', '.join(genres)}): name a source, or {ANY!r}, and a target"
            )
        self.stems = tuple(stems or held.stems)
        for stem in self.stems:
            if stem not in held.stems:
                raise AudioTransferError(
                    f"{held.folder} has no stem {stem!r}: {near(stem, held.stems)}"
                )
        sources = held.genres if genres[0] == ANY else [genres[0]]
        self._sources = [[one for one in sources if one != target] for target in self.targets]
        if not all(self._sources):
            raise AudioTransferError(f"{held.folder} has one genre only: {', '.join(held.genres)}")
        crop = held.sampling.crop_seconds
        self._crop = crop and tuple(round(s * held.frames_per_second) for s in crop)
        self._longest = round(_LONGEST_SECONDS * held.frames_per_second)
        self._pools = {
            (genre, stem): self._pool(held, genre, stem, split)
            for genre in dict.fromkeys((*sources, *self.targets))
            for stem in self.stems
        }

    def batch(self, step: int) -> dict[str, Tensor]:
        """The batch of a step."""
        random = np.random.default_rng((self.seed, step))
        stems = random.integers(len(self.stems), size=self.batch_size)
        styles = random.integers(len(self.targets), size=self.batch_size)
        rows: dict[str, list[NDArray[np.float32]]] = {"source": [], "target": []}
        for stem, style in zip(stems, styles, strict=True):
            sources = self._sources[style]
            source = sources[int(random.integers(len(sources)))]
            rows["source"].append(self._window(source, self.stems[stem], random))
            rows["target"].append(self._window(self.targets[style], self.stems[stem], random))
        spectrograms = {name: torch.from_numpy(np.stack(row)) for name, row in rows.items()}
        return {**spectrograms, "stem": torch.from_numpy(stems), "style": torch.from_numpy(styles)}

    def _window(self, genre: str, stem: str, random: Generator) -> NDArray[np.float32]:
        runs, cumulative = self._pools[genre, stem]
        run = runs[int(np.searchsorted(cumulative, random.random(), side="right"))]
        start, length = 0, run.frames
        if self._crop:
            wanted = max(self.frames, int(random.integers(self._crop[0], self._crop[1] + 1)))
            length = min(length, wanted)
            start = int(random.integers(run.frames - length + 1))
        start += run.start + int(random.integers(length - self.frames + 1))
        spectrogram = _open(run.file)[start : start + self.frames]
        return np.ascontiguousarray(spectrogram.T, dtype=np.float32)

    def _pool(
        self, held: Manifest, genre: str, stem: str, split: str
    ) -> tuple[list[_Run], NDArray[np.float64]]:
        """Runs long enough for a window, and their cumulative sampling probabilities."""
        runs: list[_Run] = []
        of_song: dict[str, int] = {}
        longest = 0
        for song in held.of(genre, split):
            if stem not in song.features:
                continue
            start = 0
            for _, frames in song.features[stem].runs:
                if frames >= self.frames:
                    path = held.folder / song.features[stem].file
                    runs.append(_Run(path, start, frames, song.id))
                    of_song[song.id] = of_song.get(song.id, 0) + frames
                longest = max(longest, frames)
                start += frames
        if not runs:
            raise AudioTransferError(
                f"nothing of {stem} in {genre!r} sounds for {self.frames} frames (at most"
                f" {longest}): draw shorter windows, or leave out that stem"
            )
        weights = np.array(
            [run.frames * min(1.0, self._longest / of_song[run.song]) for run in runs]
        )
        cumulative = np.cumsum(weights / weights.sum())
        cumulative[-1] = 1.0
        return runs, cumulative


@lru_cache(maxsize=4096)
def _open(path: Path) -> NDArray[np.float16]:
    """Maps a spectrogram ``[L, F]`` on disk into memory, once a process."""
    spectrogram: NDArray[np.float16] = np.load(path, mmap_mode="r", allow_pickle=False)
    return spectrogram
