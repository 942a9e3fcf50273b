"""Rendered songs as a separator hears them, and as the pictures that generators learn from."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import torch

from audiotransfer import files
from audiotransfer.corpora.features import FOLDER
from audiotransfer.corpora.takes import mix
from audiotransfer.errors import AudioTransferError
from audiotransfer.recipes.features import write_features
from audiotransfer.sound import STEREO_RATE
from separation import Separator, create

Show = Callable[[str, float], None]

_LEVEL = 0.1
_SIDE = "separated"


def prepare_pairs(
    folder: Path, separator: str = "embedded", device: str = "cpu", show: Show | None = None
) -> int:
    """Separates the mix of every rendered song in ``folder`` once; returns how many were missing.

    Each song gets ``separated/{stem}.wav`` beside its ``source`` and ``target``, at the level that
    its mix has, and the pictures of all of them in ``features`` (see `write_features`). Songs that
    are there already are left alone, so a stopped run goes on.
    Raises AudioTransferError where the folder holds no rendered songs.
    """
    songs = sorted(card.parent for card in folder.glob("*/song.json"))
    if not songs:
        raise AudioTransferError(
            f"{folder} holds no rendered songs; `audiotransfer render` makes them"
        )
    missing = [song for song in songs if not (song / FOLDER).is_dir()]
    built = create(separator, device=device) if missing else None
    for number, song in enumerate(missing, start=1):
        assert built is not None
        if not (song / _SIDE).is_dir():
            _separate(song, built)
        write_features(song)
        if show is not None:
            show(song.name, number / len(missing))
    return len(missing)


def _separate(song: Path, separator: Separator) -> None:
    whole = mix(song / "source")
    level = float(whole.square().mean().sqrt()) + 1e-9
    stems = separator(whole * (_LEVEL / level), torch.Generator().manual_seed(0))
    part = song / f".{_SIDE}.part"
    part.mkdir(exist_ok=True)
    for stem, sound in stems.items():
        files.write(part / f"{stem}.wav", sound * (level / _LEVEL), STEREO_RATE, overwrite=True)
    os.replace(part, song / _SIDE)
