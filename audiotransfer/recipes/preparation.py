"""Rendered songs as a separator hears them, and as the pictures that generators learn from."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import torch

from audiotransfer import files
from audiotransfer.corpora.features import FOLDER
from audiotransfer.corpora.takes import mix
from audiotransfer.errors import AudioTransferError
from audiotransfer.recipes.features import write_features
from audiotransfer.sound import STEREO_RATE
from separation import Separator, create, fingerprint

Show = Callable[[str, float], None]

_LEVEL = 0.1
_SIDE, _MAKER = "separated", "separator.txt"


def prepare_pairs(
    folder: Path, separator: str = "embedded", device: str = "cpu", show: Show | None = None
) -> int:
    """Separates the mix of every rendered song in ``folder`` once; returns how many were missing.

    Each song gets ``separated/{stem}.wav`` beside its ``source`` and ``target``, at the level that
    its mix has, and the pictures of all of them in ``features`` (see `write_features`). Songs that
    this separator took apart already are left alone, so a stopped run goes on; those that another
    one did, or nobody knows who, are done again.
    Raises AudioTransferError where the folder holds no rendered songs.
    """
    songs = sorted(card.parent for card in folder.glob("*/song.json"))
    if not songs:
        raise AudioTransferError(
            f"{folder} holds no rendered songs; `audiotransfer render` makes them"
        )
    built = create(separator, device=device)
    made_by = fingerprint(built)
    missing = [song for song in songs if _maker(song) != made_by or not (song / FOLDER).is_dir()]
    for number, song in enumerate(missing, start=1):
        if _maker(song) != made_by:
            _separate(song, built, made_by)
        write_features(song)
        if show is not None:
            show(song.name, number / len(missing))
    return len(missing)


def _maker(song: Path) -> str | None:
    """The fingerprint of the separator whose stems are there, where it is known."""
    try:
        return (song / _SIDE / _MAKER).read_text()
    except (OSError, UnicodeDecodeError):
        return None


def _separate(song: Path, separator: Separator, made_by: str) -> None:
    whole = mix(song / "source")
    level = float(whole.square().mean().sqrt()) + 1e-9
    stems = separator(whole * (_LEVEL / level), torch.Generator().manual_seed(0))
    part = files.temporary(song / _SIDE)
    part.mkdir(exist_ok=True)
    for stem, sound in stems.items():
        files.write(part / f"{stem}.wav", sound * (level / _LEVEL), STEREO_RATE, overwrite=True)
    (part / _MAKER).write_text(made_by)
    for old in (FOLDER, _SIDE):  # pictures first: they show what another separator gave
        if (song / old).is_dir():
            shutil.rmtree(song / old)
    os.replace(part, song / _SIDE)
