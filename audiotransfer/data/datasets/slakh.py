"""Slakh2100 and BabySlakh as they are distributed: rendered MIDI, a file per instrument.

E. Manilow, G. Wichern, P. Seetharaman, J. Le Roux: Cutting music source separation some Slakh,
2019.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from audiotransfer.data.datasets.base import SPLITS, Found, Skipped, Song, only
from audiotransfer.data.datasets.genre_folders import listed
from audiotransfer.errors import AudioTransferError

_ABOUT = "metadata.yaml"
_LICENCE = "CC BY 4.0"
_SOUNDS = (".flac", ".wav")


class Slakh:
    """``[SPLIT/]Track*/{metadata.yaml, mix, stems/S00…}``; instruments are added up to stems.

    Drums and basses by their class, the rest is ``other``. Of tracks of one MIDI file only the
    first is used, since the others could be in another split. ``omitted`` tracks are not read.
    """

    def recognises(self, folder: Path) -> bool:
        return bool(_tracks(folder))

    def find(self, folders: Sequence[Path], genres: Sequence[str]) -> Found:
        folder = only(folders, "Slakh")
        tracks = _tracks(folder)
        if not tracks:
            raise AudioTransferError(f"{folder} is no Slakh: it has no Track*/{_ABOUT}")
        songs: list[Song] = []
        skipped: list[Skipped] = []
        scores: dict[str, str] = {}
        for track, split in tracks:
            try:
                about = yaml.safe_load((track / _ABOUT).read_text(encoding="utf-8"))
                score = str(about.get("UUID") or track.name)
                song = _song(track, split, about)
            except (AudioTransferError, yaml.YAMLError, OSError, AttributeError) as error:
                skipped.append(Skipped(str(track), " ".join(str(error).split())))
                continue
            if score in scores:
                skipped.append(Skipped(str(track), f"the same score as {scores[score]}"))
                continue
            scores[score] = track.name
            songs.append(song)
        if not songs:
            raise AudioTransferError(f"no track of {folder} can be read: {skipped[0].why}")
        return Found(
            tuple(sorted(songs, key=lambda song: song.id)),
            tuple(skipped),
            ("songs have no genres: all are called 'slakh'",),
        )


def _song(track: Path, split: str, about: dict[str, Any]) -> Song:
    mix = _sound(track / "mix")
    info = next(info for _, info in listed([mix]))
    if isinstance(info, str):
        raise AudioTransferError(info)
    roles: dict[str, tuple[str, ...]] = {"mix": (str(mix.resolve()),)}
    for name, part in sorted(about["stems"].items() if about.get("stems") else ()):
        if not part.get("audio_rendered", True):
            continue
        stem = "drums" if part.get("is_drum") else _STEMS.get(part.get("inst_class"), "other")
        roles[stem] = (*roles.get(stem, ()), str(_sound(track / "stems" / name).resolve()))
    if len(roles) == 1:
        raise AudioTransferError(f"{track / _ABOUT} names no stems that were rendered")
    return Song(
        id=track.name,
        split=split,
        genre="slakh",
        artist=None,
        licence=_LICENCE,
        files=roles,
        seconds=info.frames / info.sample_rate,
        sample_rate=info.sample_rate,
    )


_STEMS = {"Drums": "drums", "Bass": "bass"}


def _sound(place: Path) -> Path:
    """Finds a sound by its name without suffix. Raises AudioTransferError where there is none."""
    for suffix in _SOUNDS:
        if (path := place.with_name(place.name + suffix)).is_file():
            return path
    raise AudioTransferError(f"{place}{_SOUNDS[0]} is missing; unpack the collection again")


def _tracks(folder: Path) -> list[tuple[Path, str]]:
    """Each track and the split in whose folder it is; "" where there are no such folders."""
    split = [
        (about.parent, name)
        for name in SPLITS
        for about in sorted((folder / name).glob(f"Track*/{_ABOUT}"))
    ]
    return split or [(about.parent, "") for about in sorted(folder.glob(f"Track*/{_ABOUT}"))]
