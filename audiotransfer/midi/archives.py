"""Folders and zip archives of MIDI files."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

import numpy as np

from audiotransfer.errors import AudioTransferError
from audiotransfer.midi.score import SUFFIXES


@cache
def list_midi(place: str) -> tuple[str, ...]:
    """Names of the MIDI files in a folder or zip, sorted.

    Raises AudioTransferError where there is none.
    """
    path = Path(place)
    if path.is_dir():
        found = [entry.relative_to(path).as_posix() for entry in path.rglob("*")]
    elif zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as file:
            found = file.namelist()
    else:
        raise AudioTransferError(f"scores {place} do not exist; name a folder or a zip of MIDI")
    names = sorted(name for name in found if name.lower().endswith(SUFFIXES))
    if not names:
        raise AudioTransferError(f"scores {place} hold no MIDI file")
    return tuple(names)


def contents(place: str, names: Iterable[str]) -> Iterator[tuple[str, bytes]]:
    """Yield each of the named files of a folder or zip with its bytes.

    Raises AudioTransferError where one is missing.
    """
    path = Path(place)
    try:
        if path.is_dir():
            for name in names:
                yield name, (path / name).read_bytes()
        else:
            with zipfile.ZipFile(path) as file:
                for name in names:
                    yield name, file.read(name)
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        raise AudioTransferError(f"{place} cannot be read ({error}); check the archive") from None


def in_split(names: tuple[str, ...], split: str, hold_out: float) -> list[str]:
    """Names of a split, "test" or "train", by a fixed random permutation; splits are disjoint."""
    order = np.random.default_rng(20).permutation(len(names))
    held = max(1, round(hold_out * len(names)))
    chosen = order[:held] if split == "test" else order[held:]
    return [names[i] for i in sorted(chosen)]
