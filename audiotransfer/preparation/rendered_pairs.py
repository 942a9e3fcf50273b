"""Preparation of rendered songs: separated stems, and spectrograms and piano rolls of pairs."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from torch import Tensor

from audiotransfer.atomic import temporary_path
from audiotransfer.audio.reading import read_audio
from audiotransfer.audio.resampling import STEREO_RATE
from audiotransfer.audio.writing import write_audio
from audiotransfer.data.paired_features import FOLDER
from audiotransfer.data.stem_mixes import mix
from audiotransfer.errors import AudioTransferError
from audiotransfer.spectral.objectives.templates import TEMPLATE_MODELS
from audiotransfer.synthesis.synthesizer import sustains
from separation import Separator, create, fingerprint
from vocoder import SpectrogramSettings
from vocoder.pitch_layers import KEYS

Show = Callable[[str, float], None]

_LOWEST_KEY = 21
_LEVEL = 0.1  # RMS of the mix that is separated
_SIDE, _MAKER = "separated", "separator.txt"


def write_features(song: Path) -> None:
    """Writes spectrograms of a rendered song's stems into ``song/features``, all or none.

    ``STEM.source.npy`` and ``STEM.separated.npy`` are the input of the stem's template model
    ``[L, V]``, ``STEM.STYLE.npy`` spectrograms ``[L, F]`` of the mean of the channels, half
    precision; ``STEM.keys.npy``, for models that are trained with notes, is the piano roll
    ``[ceil(L / 2), 4, 88]``.
    """
    about = json.loads((song / "song.json").read_text())
    spectrogram = SpectrogramSettings()
    part = temporary_path(song / FOLDER)
    part.mkdir(exist_ok=True)
    for stem in about["stems"]:
        model, frames = TEMPLATE_MODELS[stem], 0
        for side in ("source", "separated"):
            if (song / side / f"{stem}.wav").is_file():
                values = model.features(_read(song / side / f"{stem}.wav"), spectrogram)
                frames = values.shape[-1]
                _save(part / f"{stem}.{side}.npy", values)
        for place in sorted((song / "target").iterdir()):
            _save(part / f"{stem}.{place.name}.npy", _of_target(place / f"{stem}.wav"))
        if model.learns_keys and (song / "notes.npz").is_file():
            notes = np.load(song / "notes.npz")[stem]
            rate = spectrogram.sample_rate / (2 * spectrogram.hop_length)
            np.save(part / f"{stem}.keys.npy", key_roll(notes, -(-frames // 2), rate))
    os.replace(part, song / FOLDER)


def _of_target(path: Path) -> Tensor:
    """The spectrogram ``[F, L]`` of the channels' mean."""
    return SpectrogramSettings()(_read(path).mean(0))


def _without_features(song: Path) -> list[Path]:
    """Targets' stems that have no spectrogram yet, in a song whose source has its own."""
    stems = sorted((song / "target").glob("*/*.wav"))
    return [stem for stem in stems if not _feature(song, stem).is_file()]


def _feature(song: Path, target: Path) -> Path:
    return song / FOLDER / f"{target.stem}.{target.parent.name}.npy"


def _add_features(song: Path) -> None:
    for target in _without_features(song):
        part = temporary_path(_feature(song, target))
        with part.open("wb") as file:
            _save(file, _of_target(target))
        os.replace(part, _feature(song, target))


def key_roll(notes: np.ndarray, frames: int, rate: float) -> np.ndarray:
    """The piano roll ``[L, 4, 88]`` (uint8) of notes ``[N, 5]``, at ``rate`` frames a second.

    Planes are keys of decaying and of sustained instruments that sound, then those that begin.
    """
    roll = np.zeros((frames, 4, KEYS), dtype=np.uint8)
    for start, duration, pitch, _, program in notes:
        key = int(pitch) - _LOWEST_KEY
        if not 0 <= key < KEYS:
            continue
        held = int(sustains(int(program)))
        first = round(start * rate)
        roll[first : max(first + 1, round((start + duration) * rate)), held, key] = 1
        roll[first : first + 1, 2 + held, key] = 1
    return roll


def _read(path: Path) -> Tensor:
    return read_audio(path)[0]


def _save(file: Path | BinaryIO, spectrogram: Tensor) -> None:
    np.save(file, spectrogram.T.half().contiguous().numpy())


def prepare_pairs(
    folder: Path, separator: str = "embedded", device: str = "cpu", show: Show | None = None
) -> int:
    """Separates the mix of every rendered song in ``folder`` once; returns how many were missing.

    Each song gets ``separated/{stem}.wav`` beside its ``source`` and ``target``, at the level that
    its mix has, and the spectrograms of all of them in ``features`` (see `write_features`). Songs
    that this separator has separated are skipped, so that a stopped run continues, but for the
    spectrograms of targets that were added since; those by another or an unknown one are separated
    again. Raises AudioTransferError where the folder holds no rendered songs.
    """
    songs = sorted(card.parent for card in folder.glob("*/song.json"))
    if not songs:
        raise AudioTransferError(
            f"{folder} holds no rendered songs; `audiotransfer render` makes them"
        )
    built = create(separator, device=device)
    made_by = fingerprint(built)
    missing = [song for song in songs if _maker(song) != made_by or _lacks_features(song)]
    for number, song in enumerate(missing, start=1):
        if _maker(song) != made_by:
            _separate(song, built, made_by)
        if (song / FOLDER).is_dir():
            _add_features(song)
        else:
            write_features(song)
        if show is not None:
            show(song.name, number / len(missing))
    return len(missing)


def _lacks_features(song: Path) -> bool:
    return not (song / FOLDER).is_dir() or bool(_without_features(song))


def _maker(song: Path) -> str | None:
    """The fingerprint of the separator that made the existing stems; None where it is unknown."""
    try:
        return (song / _SIDE / _MAKER).read_text()
    except (OSError, UnicodeDecodeError):
        return None


def _separate(song: Path, separator: Separator, made_by: str) -> None:
    whole = mix(song / "source")
    level = float(whole.square().mean().sqrt()) + 1e-9
    stems = separator(whole * (_LEVEL / level), torch.Generator().manual_seed(0))
    part = temporary_path(song / _SIDE)
    part.mkdir(exist_ok=True)
    for stem, sound in stems.items():
        write_audio(part / f"{stem}.wav", sound * (level / _LEVEL), STEREO_RATE, overwrite=True)
    (part / _MAKER).write_text(made_by)
    for old in (FOLDER, _SIDE):  # spectrograms first: they show what another separator gave
        if (song / old).is_dir():
            shutil.rmtree(song / old)
    os.replace(part, song / _SIDE)
