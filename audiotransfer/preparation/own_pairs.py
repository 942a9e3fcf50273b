"""Pairs to learn a style of one's own from: a folder of songs, and their versions by other styles.

What is to be learned, the songs' sound, is the truth. What it is to be made of are the same songs
in the instruments of the styles that ship (back-translation, after Sennrich et al. 2016): the
errors of those conversions are on the side that is given, never on the side that is learned.
"""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from audiotransfer.atomic import temporary_path
from audiotransfer.audio.channels import to_stereo
from audiotransfer.audio.reading import AudioReader, probe_audio
from audiotransfer.audio.resampling import STEREO_RATE, resample
from audiotransfer.audio.writing import write_audio
from audiotransfer.errors import AudioTransferError
from audiotransfer.preparation.rendered_pairs import write_features
from audiotransfer.spectral.transfer import SpectralTransfer, load
from audiotransfer.styles import Installed, find_style, installed
from separation import SeparationError, Separator

SECONDS = 30.0
VERSIONS = 2
"""How many styles play each song."""
SONG_RMS = 0.1
"""Level of a song that is separated, and so of its stems' sum."""
_SILENT = 1e-4  # RMS of an excerpt
Show = Callable[[str, float], None]


@dataclass(frozen=True)
class SongLength:
    """A song's file and its length in seconds."""

    path: Path
    seconds: float


def song_lengths(paths: Sequence[Path]) -> tuple[list[SongLength], dict[str, str]]:
    """The songs that can be read, with their lengths, and those that cannot, with the reason."""
    found, refused = [], {}
    for path in paths:
        try:
            info = probe_audio(path)
        except AudioTransferError as error:
            refused[str(path)] = str(error)
        else:
            found.append(SongLength(path, info.frames / info.sample_rate))
    return found, refused


def pair_styles(styles: Sequence[str] = ()) -> dict[str, Installed]:
    """The styles that play the songs: those named, else all that change timbre by templates.

    Other networks with the same target would play the songs a second time alike.
    """
    named = {name: find_style(name) for name in styles}
    return named or {
        one.card.name: one
        for one in installed()
        if one.card.route == "spectral"
        and any("templates" in str(part.get("kind")) for part in one.card.networks.values())
    }


def excerpt(path: Path, seconds: float = SECONDS) -> Tensor:
    """The middle of a song ``[2, T]`` at 44.1 kHz."""
    with AudioReader(path) as reader:
        rate = reader.info.sample_rate
        wanted = round(seconds * rate)
        reader.skip(max(0, (reader.info.frames - wanted) // 2))
        pieces: list[Tensor] = []
        for block in reader.blocks(rate):
            pieces.append(block)
            if sum(piece.shape[-1] for piece in pieces) >= wanted:
                break
    sound = torch.cat(pieces, -1)[:, :wanted] if pieces else torch.zeros(2, 0)
    return to_stereo(resample(sound, rate, STEREO_RATE))


def separated(sound: Tensor, separator: Separator, stems: Sequence[str]) -> dict[str, Tensor]:
    """The stems of an excerpt at RMS 0.1 ``[2, T]``; silence for one that the separator lacks.

    Raises AudioTransferError for a silent excerpt.
    """
    level = float(sound.square().mean().sqrt()) if sound.numel() else 0.0
    if level < _SILENT:
        raise AudioTransferError("it is silent")
    with torch.no_grad():
        found = separator(sound * (SONG_RMS / level), torch.Generator().manual_seed(0))
    return {stem: found.get(stem, torch.zeros_like(sound)) for stem in stems}


def make_pairs(
    songs: Sequence[Path],
    name: str,
    folder: Path,
    separator: Separator,
    stems: Sequence[str],
    by: Sequence[str] = (),
    show: Show | None = None,
) -> dict[str, str]:
    """Writes each song twice into ``folder``, each time as another style plays it.

    The folders are those of rendered songs: ``song.json``, ``source``, ``target/NAME`` and
    ``features``; what is there already is kept. Returns the songs that were left out, with the
    reason. Raises AudioTransferError where pairs of other songs are there.
    """
    numbers = _numbers(songs, folder)
    transfers = {
        title: {
            stem: load(style.folder, entry.to_dict(), stem, "cpu", "auto")
            for stem in stems
            if (entry := style.card.stems.get(stem)) is not None
        }
        for title, style in pair_styles(by).items()
    }
    titles = list(transfers)
    refused: dict[str, str] = {}
    count = len(songs) * VERSIONS
    for done, song in enumerate(songs):
        number = numbers[done]
        versions = [
            (place, titles[(number + version) % len(titles)])
            for version in range(VERSIONS)
            if not (place := folder / f"{number:03d}-{version}" / "song.json").is_file()
        ]
        if not versions:
            continue
        if show is not None:
            show(song.name, done * VERSIONS / count)
        try:
            parts = separated(excerpt(song), separator, stems)
        except (AudioTransferError, SeparationError) as error:
            refused[str(song)] = str(error)
            continue
        for version, (card, title) in enumerate(versions, start=1):
            _write(card.parent, song, name, parts, transfers[title])
            if show is not None:
                show(song.name, (done * VERSIONS + version) / count)
    return refused


def paired_songs(folder: Path) -> dict[Path, int]:
    """The songs that have pairs in a folder, with their numbers there."""
    return {
        Path(os.path.abspath(json.loads(card.read_text())["song"])): int(card.parent.name[:-2])
        for card in sorted(folder.glob("*-?/song.json"))
    }


def check_pairs(songs: Sequence[Path], folder: Path) -> dict[Path, int]:
    """`paired_songs`; raises AudioTransferError where there are pairs of songs beside these."""
    known = paired_songs(folder)
    wanted = {Path(os.path.abspath(song)) for song in songs}
    if others := [song for song in known if song not in wanted]:
        raise AudioTransferError(
            f"{folder.parent} was prepared from other songs ({others[0]}); give the style another "
            "name or --out, or delete that folder"
        )
    return known


def _numbers(songs: Sequence[Path], folder: Path) -> list[int]:
    """A number for each song: those that have pairs keep theirs."""
    known = check_pairs(songs, folder)
    taken = set(known.values())
    free = (number for number in itertools.count() if number not in taken)
    return [
        known[place] if (place := Path(os.path.abspath(song))) in known else next(free)
        for song in songs
    ]


def _write(
    place: Path,
    song: Path,
    name: str,
    parts: dict[str, Tensor],
    transfers: dict[str, SpectralTransfer],
) -> None:
    """Writes one version of a song, all of it or nothing."""
    part = temporary_path(place)
    for stem, sound in parts.items():
        _stem(part / "target" / name / f"{stem}.wav", sound)
        if stem in transfers:
            sound = transfers[stem](sound)
        _stem(part / "source" / f"{stem}.wav", sound)
    about = {
        "id": place.name,
        "song": os.path.abspath(song),
        "split": "train",
        "stems": list(parts),
    }
    (part / "song.json").write_text(json.dumps(about), encoding="utf-8")
    write_features(part)
    os.replace(part, place)


def _stem(path: Path, sound: Tensor) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_audio(path, sound, STEREO_RATE, encoding="float32", overwrite=True)
