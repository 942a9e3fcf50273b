"""The Melon Playlist Dataset as it is distributed: spectrograms of 649,091 songs, without audio.

A. Ferraro et al.: Melon Playlist Dataset, ICASSP 2021. It does not state the settings of its
spectrograms: those here are inferred from shape and length.
"""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from audiotransfer.data.datasets.base import Found, Skipped, Song, choose_genres, near, only
from audiotransfer.errors import AudioTransferError

BANDS = 48
SAMPLE_RATE, HOP_LENGTH = 16_000, 256
SPECTROGRAM: dict[str, float | str] = {
    "kind": "melon",
    "sample_rate": SAMPLE_RATE,
    "hop_length": HOP_LENGTH,
    "bins": BANDS,
}
NOTES = (
    "Melon has spectrograms of 48 bands and no sound: they cannot be turned back into music, so "
    "separation, the genre classifier and styles for songs need another collection",
    "inferred, as nothing states it: 16 kHz, hop 256 (1876 frames are 30.0 s), logarithmic mel; "
    "values are kept as they are",
)
_LICENCE = "research only, by Kakao's terms"
_META, _NAMES = "song_meta.json", "genre_gn_all.json"
_FOLDER, _TARS = "arena_mel", "arena_mel_*.tar"
_INSIDE = "::"  # between a tar file and the member


class Melon:
    """``song_meta.json``, ``genre_gn_all.json`` and ``arena_mel_*.tar`` or ``arena_mel/N/ID.npy``.

    Genres are named by code (GN1700) or by its name; a song of several chosen genres is left out.
    """

    def recognises(self, folder: Path) -> bool:
        return (folder / _META).is_file() and (folder / _NAMES).is_file()

    def find(self, folders: Sequence[Path], genres: Sequence[str]) -> Found:
        folder = only(folders, "Melon")
        if not self.recognises(folder):
            raise AudioTransferError(f"{folder} is no Melon: it needs {_META} and {_NAMES}")
        named: dict[str, str] = _json(folder / _NAMES)
        if not genres:
            main = (f"{code} {name}" for code, name in named.items() if code.endswith("00"))
            raise AudioTransferError(
                f"{folder} has {len(named)} genres: name two or more with --genres, by code or"
                f" name ({', '.join(main)})"
            )
        codes = {_code(genre, named): genre for genre in genres}
        choose_genres(list(codes), list(codes), folder)
        where = _spectrograms(folder)
        songs: list[Song] = []
        several, missing = 0, 0
        for about in _json(folder / _META):
            of = codes.keys() & {*about["song_gn_gnr_basket"], *about["song_gn_dtl_gnr_basket"]}
            if len(of) > 1:
                several += 1
            elif of and about["id"] not in where:
                missing += 1
            elif of:
                genre = codes[of.pop()]
                songs.append(_song(about, genre, where[about["id"]]))
        for genre in codes.values():
            if not any(song.genre == genre for song in songs):
                raise AudioTransferError(
                    f"genre {genre!r} is empty: {folder} has no spectrogram of it"
                )
        counted = (
            (several, "of more than one of these genres"),
            (missing, "without a spectrogram"),
        )
        skipped = tuple(Skipped(f"{count} songs", why) for count, why in counted if count)
        return Found(tuple(songs), skipped, NOTES, spectrogram=SPECTROGRAM)


def read_spectrogram(place: str) -> npt.NDArray[np.float32]:
    """Reads a spectrogram ``[L, 48]`` from a file or from ``TAR::MEMBER``.

    Raises AudioTransferError for a damaged file or another shape.
    """
    archive, inside, member = place.partition(_INSIDE)
    try:
        if inside:
            offset, size = _members(archive)[member]
            with open(archive, "rb") as file:
                file.seek(offset)
                data = file.read(size)
            spectrogram = np.load(io.BytesIO(data), allow_pickle=False)
        else:
            spectrogram = np.load(place, allow_pickle=False)
    except (OSError, ValueError, EOFError, KeyError, tarfile.TarError) as error:
        raise AudioTransferError(f"{place} cannot be read ({error}); unpack it again") from None
    if spectrogram.ndim != 2 or spectrogram.shape[0] != BANDS or not np.isfinite(spectrogram).all():
        raise AudioTransferError(
            f"{place} has the shape {list(spectrogram.shape)} or values that are no numbers:"
            f" expected [{BANDS}, frames]"
        )
    return np.ascontiguousarray(spectrogram.T, dtype=np.float32)


def _song(about: dict[str, Any], genre: str, place: str) -> Song:
    artists = about.get("artist_id_basket") or []
    return Song(
        id=str(about["id"]),
        split="",
        genre=genre,
        artist=str(artists[0]) if artists else None,
        licence=_LICENCE,
        files={"features": (place,)},
        seconds=0.0,  # known when the spectrogram is opened
    )


def _code(genre: str, named: dict[str, str]) -> str:
    if genre in named:
        return genre
    found = [code for code, name in named.items() if name == genre]
    if len(found) > 1:
        raise AudioTransferError(f"genre {genre!r} is all of {', '.join(found)}: name one by code")
    if not found:
        known = [*named, *named.values()]
        raise AudioTransferError(f"Melon has no genre {genre!r}: {near(genre, known)}")
    return found[0]


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise AudioTransferError(f"{path} cannot be read ({error}); unpack it again") from None


def _spectrograms(folder: Path) -> dict[int, str]:
    """Song number -> place of its spectrogram; unpacked files are preferred to packed ones."""
    found: dict[int, str] = {}
    for archive in sorted(folder.glob(_TARS)):
        for member in _members(str(archive.resolve())):
            found[int(Path(member).stem)] = f"{archive.resolve()}{_INSIDE}{member}"
    root = (folder / _FOLDER).resolve()
    found |= {int(path.stem): str(path) for path in root.glob("*/*.npy") if path.stem.isdigit()}
    if not found:
        raise AudioTransferError(f"{folder} has no spectrograms: it needs {_TARS} or {_FOLDER}/")
    return found


@lru_cache(maxsize=64)
def _members(archive: str) -> dict[str, tuple[int, int]]:
    """Member of a tar file -> offset and size in bytes, for each spectrogram."""
    try:
        with tarfile.open(archive) as tar:
            return dict(_arrays(tar))
    except (OSError, tarfile.TarError) as error:
        raise AudioTransferError(f"{archive} is damaged ({error}); copy it again") from None


def _arrays(tar: tarfile.TarFile) -> Iterator[tuple[str, tuple[int, int]]]:
    for member in tar:
        path = Path(member.name)
        if member.isfile() and path.suffix == ".npy" and path.stem.isdigit():
            yield member.name, (member.offset_data, member.size)
