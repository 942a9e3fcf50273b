"""Rendered songs as the pictures that note generators learn from."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from audiotransfer import files
from audiotransfer.corpora.features import FOLDER
from audiotransfer.spectral.notes import KEYS
from audiotransfer.symbolic.targets import sustains
from vocoder import Picture
from vocoder.pitch import PitchView, pitch_hz

_LOWEST_KEY = 21


@dataclass(frozen=True)
class Look:
    """How a stem is looked at: as a plain picture, or with a finer look at pitch."""

    pitched: bool
    picture: Picture = field(default_factory=Picture)

    def __call__(self, sound: Tensor) -> Tensor:
        """Sound ``[C, T]`` to ``[V, L]``."""
        return PitchView(self.picture)(sound) if self.pitched else self.picture.stereo(sound)

    def bands_hz(self) -> Tensor:
        """Frequency of each of the values of a frame (Hz)."""
        centres = self.picture.centres()
        return torch.cat([centres, pitch_hz()]) if self.pitched else centres


LOOKS = {"drums": Look(False), "bass": Look(True), "other": Look(True)}


def write_features(song: Path) -> None:
    """Pictures of a rendered song's stems, into ``song/features``, all or none.

    ``STEM.source.npy`` and ``STEM.separated.npy`` are views ``[L, V]`` (pictures of drums, which
    have no pitch), ``STEM.STYLE.npy`` pictures ``[L, F]``, half precision; ``STEM.keys.npy``
    says which keys sound and begin in each pair of frames, ``[ceil(L / 2), 4, 88]``.
    """
    about = json.loads((song / "song.json").read_text())
    part = song / f".{FOLDER}.part"
    part.mkdir(exist_ok=True)
    for stem in about["stems"]:
        look, frames = LOOKS[stem], 0
        for side in ("source", "separated"):
            if (song / side / f"{stem}.wav").is_file():
                seen = look(_read(song / side / f"{stem}.wav"))
                frames = seen.shape[-1]
                _save(part / f"{stem}.{side}.npy", seen)
        for place in sorted((song / "target").iterdir()):
            seen = look.picture.stereo(_read(place / f"{stem}.wav"))
            _save(part / f"{stem}.{place.name}.npy", seen)
        if look.pitched:
            notes = np.load(song / "notes.npz")[stem]
            rate = look.picture.sample_rate / (2 * look.picture.hop_length)
            np.save(part / f"{stem}.keys.npy", key_roll(notes, -(-frames // 2), rate))
    os.replace(part, song / FOLDER)


def key_roll(notes: np.ndarray, frames: int, rate: float) -> np.ndarray:
    """Notes ``[N, 5]`` as ``[L, 4, 88]`` (uint8): struck and held keys that sound, and begin."""
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
    return files.read(path)[0]


def _save(path: Path, picture: Tensor) -> None:
    np.save(path, picture.T.half().contiguous().numpy())
