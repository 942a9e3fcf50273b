"""Recordings of stems on disk, and random mixes of them for training a separator."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
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
from audiotransfer.data.rendering import production
from audiotransfer.data.voice_mixing import compressed_together, sung_level, with_formants
from audiotransfer.errors import AudioTransferError
from audiotransfer.renamed import present_folder

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray

    Sound = NDArray[np.float32]

STEMS = ("drums", "bass", "other", "vocals")
BAND = "band"
"""A whole recording without a voice, of which the stems are not known."""
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

    ``band_share``: drums, bass and other from one place in one song, and any voice. ``voice_db``:
    level of the voice while it sings relative to the rest, instead of a gain of its own.
    ``voice_semitones``: voices are moved by up to so many, apart from their formants, which move
    by up to two. ``squeezed_share``: mixes after a compressor.
    """

    batch: int = 6
    seconds: float = 3.0
    seed: int = 0
    real_share: float = 0.4
    song_share: float = 0.25
    silent_share: float = 0.12
    voiceless_share: float = 0.12
    mono_share: float = 0.15
    band_share: float = 0.0
    squeezed_share: float = 0.0
    voice_db: tuple[float, float] | None = None
    voice_semitones: float = 0.0
    gain_db: tuple[float, float] = (-10.0, 6.0)
    speed: tuple[float, float] = field(default=(0.85, 1.18))


class RandomMixes:
    """Batches ``stems`` ``[B, 4, 2, T]``, a function of seed and step.

    Where there are recordings of bands, ``grouped`` ``[B]`` says of which mixes all but the voice
    is in ``other``, since its stems are not known.
    """

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
        several = [s for s in songs.values() if len({t.stem for t in s}) >= 2]
        self._songs = {real: [s for s in several if s[0].real == real] for real in (0, 1)}
        bands = [[t for t in s if t.stem != "vocals"] for s in songs.values()]
        bands = [b for b in bands if any(t.stem in (BAND, "other") for t in b)]
        self._bands = {real: [b for b in bands if b[0].real == real] for real in (0, 1)}
        self._grouped = any(t.stem == BAND for t in recordings)
        missing = [stem for stem, pool in self._by_stem.items() if not (pool[0] or pool[1])]
        if missing:
            raise AudioTransferError(
                f"no recording of {', '.join(missing)} was found; a separator needs all four stems"
            )

    def batch(self, step: int) -> dict[str, Tensor]:
        """The batch of a step."""
        random = np.random.default_rng((self.settings.seed, step))
        mixes = [self._mix(random) for _ in range(self.settings.batch)]
        batch = {"stems": torch.from_numpy(np.stack([stems for stems, _ in mixes]))}
        if self._grouped:
            batch["grouped"] = torch.tensor([grouped for _, grouped in mixes])
        return batch

    def _mix(self, random: Generator) -> tuple[NDArray[np.float32], bool]:
        """A mix's stems ``[4, 2, T]``, and whether those of its band are grouped in ``other``."""
        settings = self.settings
        frames = int(settings.seconds * SAMPLE_RATE)
        stems = np.zeros((4, 2, frames), dtype=np.float32)
        speed = float(random.uniform(*settings.speed)) if random.random() < 0.5 else 1.0
        kind, grouped = random.random(), False
        if any(self._songs.values()) and kind < settings.song_share:
            song = self._song(self._songs, random)
            self._together(stems, song, speed, random)
            if speed != 1.0 and settings.voice_semitones:
                stems[3] = with_formants(stems[3], random.uniform(0.9, 1.1) / speed, SAMPLE_RATE)
        else:
            if kind < settings.song_share + settings.band_share:
                band = self._song(self._bands, random)
                self._together(stems, band, speed, random)
                grouped = band[0].stem == BAND
                separate: tuple[str, ...] = STEMS[3:]
            else:
                separate = STEMS
            for stem in separate:
                silent = settings.voiceless_share if stem == "vocals" else settings.silent_share
                if random.random() >= silent:
                    stems[STEMS.index(stem)] = self._alone(stem, frames, speed, random)
            if random.random() < 0.3:
                stems[3] = production.room(
                    stems[3], SAMPLE_RATE, random, random.uniform(0.2, 1.2), random.uniform(-20, -8)
                )
        return self._produce(stems, random), grouped

    def _song(
        self, pools: dict[int, list[list[StemRecording]]], random: Generator
    ) -> list[StemRecording]:
        pool = pools[self._real(pools, random)]
        return pool[int(random.integers(len(pool)))]

    def _real(self, pools: Mapping[int, Sequence[object]], random: Generator) -> bool:
        """Whether to take a recording, not a rendering."""
        return bool(pools[1]) and (not pools[0] or random.random() < self.settings.real_share)

    def _together(
        self, stems: Sound, song: list[StemRecording], speed: float, random: Generator
    ) -> None:
        """Adds recordings of a song to ``stems`` from one place."""
        frames = stems.shape[-1]
        start = int(random.integers(max(1, min(t.frames for t in song) - frames)))
        reverse = random.random() < 0.2
        for recording in song:
            stem = "other" if recording.stem == BAND else recording.stem
            stems[STEMS.index(stem)] += self._crop(recording, start, frames, speed, reverse)

    def _alone(self, stem: str, frames: int, speed: float, random: Generator) -> Sound:
        """A crop ``[2, T]`` of any recording of a stem."""
        settings = self.settings
        pool = self._by_stem[stem]
        choices = pool[self._real(pool, random)]
        weights = np.array([min(t.frames, 60 * SAMPLE_RATE) for t in choices], dtype=float)
        recording = choices[random.choice(len(choices), p=weights / weights.sum())]
        own = speed if random.random() < 0.3 else float(random.uniform(*settings.speed))
        moved = stem == "vocals" and settings.voice_semitones > 0
        if moved:
            own = 2 ** (random.uniform(-1, 1) * settings.voice_semitones / 12)
        crop = np.zeros((2, frames), dtype=np.float32)
        # A voice pauses: of three places the first where it sings is taken.
        for _ in range(3 if stem == "vocals" else 1):
            start = int(random.integers(max(1, recording.frames - frames)))
            crop = self._crop(recording, start, frames, own, random.random() < 0.2)
            if np.abs(crop).max() > 1e-3:
                break
        if moved:
            crop = with_formants(crop, 2 ** (random.uniform(-2, 2) / 12) / own, SAMPLE_RATE)
        return crop

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
            if random.random() < (0.1 if index == 3 and settings.voice_db else 0.35):
                pan = random.uniform(-0.7, 0.7)
                stems[index] *= np.array([[1 - max(0, pan)], [1 + min(0, pan)]], dtype=np.float32)
            if random.random() < 0.5:
                stems[index] = stems[index, ::-1].copy()
            if random.random() < 0.5:
                stems[index] *= -1
        if settings.voice_db is not None:
            _set_voice(stems, random.uniform(*settings.voice_db))
        if random.random() < settings.squeezed_share:
            stems = compressed_together(stems, SAMPLE_RATE, random)
        if random.random() < settings.mono_share:
            stems = np.repeat(stems.mean(1, keepdims=True), 2, axis=1)
        level = float(np.sqrt((stems.sum(0) ** 2).mean()))
        if level > 1e-5:
            stems *= 0.1 / level * 10 ** (random.uniform(-6, 6) / 20)
        return np.ascontiguousarray(stems, dtype=np.float32)


def _set_voice(stems: Sound, level_db: float) -> None:
    """Scales the voice of stems ``[4, 2, T]`` to a level relative to the rest, if both sound."""
    voice, rest = sung_level(stems[3]), float(np.sqrt(np.square(stems[:3].sum(0)).mean()))
    if voice > 0 and rest > 1e-4:
        stems[3] *= rest / voice * 10 ** (level_db / 20)


def rendered_stems(folder: Path, split: str = "train", bank: str = "") -> list[StemRecording]:
    """Finds stems of rendered songs: ``*/{source,target/STYLE}/{stem}.wav`` and ``song.json``.

    ``bank``: only songs whose targets' instruments are of this one.
    """
    recordings = []
    for card in sorted(present_folder(folder).glob("*/song.json")):
        about = json.loads(card.read_text())
        if about["split"] != split or (bank and about.get("target_bank") != bank):
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
