"""Rendered songs as the pictures that note generators learn from."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
from torch import Tensor

from audiotransfer import files
from audiotransfer.corpora.features import FOLDER
from audiotransfer.spectral.bands import PLAYERS
from audiotransfer.spectral.notes import KEYS
from audiotransfer.symbolic.studio.targets import sustains
from vocoder import Picture

_LOWEST_KEY = 21


def write_features(song: Path) -> None:
    """Pictures of a rendered song's stems, into ``song/features``, all or none.

    ``STEM.source.npy`` and ``STEM.separated.npy`` are what the stem's player sees ``[L, V]``,
    ``STEM.STYLE.npy`` pictures ``[L, F]``, half precision; ``STEM.keys.npy``, for players who are
    told, says which keys sound and begin in each pair of frames, ``[ceil(L / 2), 4, 88]``.
    """
    about = json.loads((song / "song.json").read_text())
    picture = Picture()
    part = files.temporary(song / FOLDER)
    part.mkdir(exist_ok=True)
    for stem in about["stems"]:
        player, frames = PLAYERS[stem], 0
        for side in ("source", "separated"):
            if (song / side / f"{stem}.wav").is_file():
                seen = player.look(_read(song / side / f"{stem}.wav"), picture)
                frames = seen.shape[-1]
                _save(part / f"{stem}.{side}.npy", seen)
        for place in sorted((song / "target").iterdir()):
            seen = picture.stereo(_read(place / f"{stem}.wav"))
            _save(part / f"{stem}.{place.name}.npy", seen)
        if player.told_keys:
            notes = np.load(song / "notes.npz")[stem]
            rate = picture.sample_rate / (2 * picture.hop_length)
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
