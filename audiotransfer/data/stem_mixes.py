"""Recordings of stems on disk, and random mixes of them for training a separator."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import soundfile
import torch
from scipy import signal
from torch import Tensor

from audiotransfer.audio.channels import to_stereo
from audiotransfer.audio.reading import find_audio, read_audio
from audiotransfer.audio.resampling import resample
from audiotransfer.audio.writing import write_audio
from audiotransfer.data.rendering import rendering
from audiotransfer.errors import AudioTransferError
from audiotransfer.renamed import present_folder

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray

    Sound = NDArray[np.float32]

STEMS = ("drums", "bass", "other", "vocals")
SAMPLE_RATE = 44100


@dataclass(frozen=True)
class StemRecording:
    """One stem of one song as a 44.1 kHz WAV file."""

    path: Path
    stem: str
    song: str
    frames: int
    real: bool

    def read(self, start: int, frames: int) -> Sound:
        """Reads ``[2, frames]`` from ``start``, with silence after the end."""
        sound, _ = soundfile.read(
            self.path,
            start=start,
            frames=max(0, min(frames, self.frames - start)),
            dtype="float32",
            always_2d=True,
        )
        stereo = np.zeros((2, frames), dtype=np.float32)
        stereo[:, : len(sound)] = sound.T if sound.shape[1] == 2 else sound.T.repeat(2, axis=0)
        return stereo


@dataclass
class MixSettings:
    """Sampling of random mixes.

    Gains in dB, ``seconds`` a crop; the shares are probabilities. ``song_share``: all stems
    from one place in one song; ``real_share``: a recording, not a rendering, where there is one.
    """

    batch: int = 6
    seconds: float = 3.0
    seed: int = 0
    real_share: float = 0.4
    song_share: float = 0.25
    silent_share: float = 0.12
    mono_share: float = 0.15
    gain_db: tuple[float, float] = (-10.0, 6.0)
    speed: tuple[float, float] = field(default=(0.85, 1.18))


class RandomMixes:
    """Batches ``stems`` ``[B, 4, 2, T]``, a function of seed and step."""

    def __init__(self, recordings: Sequence[StemRecording], settings: MixSettings) -> None:
        self.settings = settings
        self._by_stem = {
            stem: {
                real: [t for t in recordings if t.stem == stem and t.real == real]
                for real in (0, 1)
            }
            for stem in STEMS
        }
        songs: dict[str, list[StemRecording]] = {}
        for recording in recordings:
            songs.setdefault(recording.song, []).append(recording)
        self._songs = [s for s in songs.values() if len({t.stem for t in s}) >= 2]
        missing = [stem for stem, pool in self._by_stem.items() if not (pool[0] or pool[1])]
        if missing:
            raise AudioTransferError(
                f"no recording of {', '.join(missing)} was found; a separator needs all four stems"
            )

    def batch(self, step: int) -> dict[str, Tensor]:
        """The batch of a step."""
        random = np.random.default_rng((self.settings.seed, step))
        return {
            "stems": torch.from_numpy(
                np.stack([self._mix(random) for _ in range(self.settings.batch)])
            )
        }

    def _mix(self, random: Generator) -> NDArray[np.float32]:
        settings = self.settings
        frames = int(settings.seconds * SAMPLE_RATE)
        stems = np.zeros((4, 2, frames), dtype=np.float32)
        speed = float(random.uniform(*settings.speed)) if random.random() < 0.5 else 1.0
        if self._songs and random.random() < settings.song_share:
            song = self._songs[int(random.integers(len(self._songs)))]
            start = int(random.integers(max(1, min(t.frames for t in song) - frames)))
            reverse = random.random() < 0.2
            for recording in song:
                stems[STEMS.index(recording.stem)] += self._crop(
                    recording, start, frames, speed, reverse
                )
        else:
            for index, stem in enumerate(STEMS):
                if random.random() < settings.silent_share:
                    continue
                pool = self._by_stem[stem]
                real = bool(pool[1]) and (not pool[0] or random.random() < settings.real_share)
                choices = pool[1] if real else pool[0]
                weights = np.array([min(t.frames, 60 * SAMPLE_RATE) for t in choices], dtype=float)
                recording = choices[random.choice(len(choices), p=weights / weights.sum())]
                start = int(random.integers(max(1, recording.frames - frames)))
                own = speed if random.random() < 0.3 else float(random.uniform(*settings.speed))
                stems[index] = self._crop(recording, start, frames, own, random.random() < 0.2)
            if random.random() < 0.3:
                stems[3] = rendering.room(
                    stems[3], SAMPLE_RATE, random, random.uniform(0.2, 1.2), random.uniform(-20, -8)
                )
        return self._produce(stems, random)

    def _crop(
        self, recording: StemRecording, start: int, frames: int, speed: float, reverse: bool
    ) -> Sound:
        """A crop played ``speed`` times as fast (pitch follows), reversed where asked."""
        wanted = int(frames * speed) + 2
        sound = recording.read(min(start, max(0, recording.frames - wanted)), wanted)
        if speed != 1.0:
            at = np.arange(frames) * speed
            left = at.astype(int)
            share = (at - left).astype(np.float32)
            sound = sound[:, left] * (1 - share) + sound[:, left + 1] * share
        sound = sound[:, :frames]
        return sound[:, ::-1] if reverse else sound

    def _produce(self, stems: NDArray[np.float32], random: Generator) -> NDArray[np.float32]:
        """Random levels, filters, panning and polarity; then the mix at RMS 0.1 ± 6 dB."""
        settings = self.settings
        for index in range(len(STEMS)):
            level = float(np.sqrt((stems[index] ** 2).mean()))
            if level < 1e-4:
                stems[index] = 0.0
                continue
            gain = 10 ** (random.uniform(*settings.gain_db) / 20)
            # Towards a common level, yet a quiet passage stays quieter than a loud one.
            stems[index] *= gain * (0.1 / level) ** 0.7
            if random.random() < 0.5:
                tilt = random.uniform(-0.5, 0.5)
                stems[index] = signal.lfilter([1.0, tilt], [1.0], stems[index], axis=1)
            if random.random() < 0.35:
                pan = random.uniform(-0.7, 0.7)
                stems[index] *= np.array([[1 - max(0, pan)], [1 + min(0, pan)]], dtype=np.float32)
            if random.random() < 0.5:
                stems[index] = stems[index, ::-1].copy()
            if random.random() < 0.5:
                stems[index] *= -1
        if random.random() < settings.mono_share:
            stems = np.repeat(stems.mean(1, keepdims=True), 2, axis=1)
        level = float(np.sqrt((stems.sum(0) ** 2).mean()))
        if level > 1e-5:
            stems *= 0.1 / level * 10 ** (random.uniform(-6, 6) / 20)
        return np.ascontiguousarray(stems, dtype=np.float32)


def rendered_stems(folder: Path, split: str = "train") -> list[StemRecording]:
    """Finds stems of rendered songs: ``*/{source,target/STYLE}/{stem}.wav`` and ``song.json``."""
    recordings = []
    for card in sorted(present_folder(folder).glob("*/song.json")):
        if json.loads(card.read_text())["split"] != split:
            continue
        # Not `separated/`, which holds estimates of a separator.
        sides = [card.parent / "source", *sorted(card.parent.glob("target/*"))]
        for path in (path for side in sides for path in sorted(side.glob("*.wav"))):
            song = f"{card.parent.name}/{path.parent.name}"
            recordings.append(_recording(path, path.stem, song, real=False))
    return recordings


def song_stems(folder: Path, cache: Path, without: Iterable[str] = ()) -> list[StemRecording]:
    """Finds stems of recorded songs (``song/{stem}[_part].{ogg,wav,…}``); mixes add up parts.

    Songs or files whose name holds a word of ``without`` are left out.
    """
    recordings = []
    for path in find_audio(folder):
        stem = re.split(r"[_.]", path.name)[0]
        if stem in STEMS and not _held_out(path, without):
            recordings.append(_recording(_decoded(path, cache), stem, path.parent.name, real=True))
    return recordings


def solo_stems(
    folder: Path, stem: str, cache: Path, without: Iterable[str] = ()
) -> list[StemRecording]:
    """Finds recordings of one stem alone, such as solo singing or drum loops."""
    return [
        _recording(_decoded(path, cache), stem, f"solo/{path.stem}", real=True)
        for path in find_audio(folder)
        if not _held_out(path, without)
    ]


def folder_stems(folder: Path, stem: str, cache: Path) -> list[StemRecording]:
    """Lists every file of a folder as a stem. Raises AudioTransferError where there is none."""
    recordings = solo_stems(folder, stem, cache)
    if not recordings:
        raise AudioTransferError(f"folder {folder} holds no audio; name one with songs or stems")
    return recordings


def mix(folder: Path) -> Tensor:
    """The sum ``[C, T]`` of the stems in a folder."""
    stems = [read_audio(path)[0] for path in sorted(folder.glob("*.wav"))]
    if not stems:
        raise AudioTransferError(f"{folder} holds no stems: render the song again")
    return torch.stack(stems).sum(0)


def _held_out(path: Path, without: Iterable[str]) -> bool:
    return any(word in f"{path.parent.name}/{path.name}" for word in without)


def _recording(path: Path, stem: str, song: str, real: bool) -> StemRecording:
    return StemRecording(path, stem, song, soundfile.info(str(path)).frames, real)


def _decoded(path: Path, cache: Path) -> Path:
    """Path of a 44.1 kHz 16-bit copy, since random access to compressed files is slow."""
    name = f"{path.stem}-{hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:10]}.wav"
    copy = cache / name
    if not copy.is_file():
        cache.mkdir(parents=True, exist_ok=True)
        audio, rate = read_audio(path)
        if audio.shape[0] > 2:
            audio = to_stereo(audio)
        write_audio(copy, resample(audio, rate, SAMPLE_RATE), SAMPLE_RATE, overwrite=True)
    return copy
