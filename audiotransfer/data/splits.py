"""Splits of songs into training, validation and test, without an artist in two of them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from audiotransfer.data.datasets.base import HELD_OUT, SPLITS, Skipped, Song
from audiotransfer.data.manifest import PreparedSong

Item = TypeVar("Item")

_FEWEST = 3  # artists that a genre must have to hold any of them out


def split_songs(
    songs: Iterable[Song],
    seed: int,
    held_out: Mapping[str, float] = HELD_OUT,
    before: Iterable[PreparedSong] = (),
) -> list[Song]:
    """Draws a split for each song that has none; all songs of an artist get the same one.

    A song without an artist is drawn by itself. Songs and artists that were in a split ``before``
    stay there: a network must never be tested on its training songs. Of each genre the shares
    ``held_out`` of its artists are held out, at least one each, and at least one is trained on; of
    a genre with fewer than three artists none is held out.
    """
    listed = list(songs)
    of_genre: dict[str, set[str]] = {}
    for song in listed:
        if not song.split:
            of_genre.setdefault(song.genre, set()).add(_group(song))
    split = _known(listed, before)
    # Small genres first: a large one finds others where an artist plays in both.
    for genre in sorted(of_genre, key=lambda name: (len(of_genre[name]), name)):
        groups = of_genre[genre]
        if len(groups) < _FEWEST:
            split |= {group: "train" for group in groups if group not in split}
            continue
        free = sorted((g for g in groups if g not in split), key=lambda g: _draw(seed, g))
        if free and not any(split.get(group) == "train" for group in groups):
            split[free.pop()] = "train"
        for name, share in held_out.items():
            missing = max(1, round(share * len(groups)))
            missing -= sum(split.get(group) == name for group in groups)
            while free and missing > 0:
                split[free.pop()] = name
                missing -= 1
    return [replace(song, split=song.split or split.get(_group(song), "train")) for song in listed]


def hold_apart(songs: Iterable[Song]) -> tuple[list[Song], list[Skipped]]:
    """Leaves out the songs whose artist is also in a split that is held out.

    For collections whose own splits divide songs, not artists. The test split keeps its songs
    before the validation split.
    """
    listed = list(songs)
    holder: dict[str, str] = {}
    for split in SPLITS:  # the last one that an artist is in holds them
        holder |= {song.artist: split for song in listed if song.artist and song.split == split}
    kept, skipped = [], []
    for song in listed:
        held = holder[song.artist] if song.artist else song.split
        if held == song.split:
            kept.append(song)
        else:
            skipped.append(Skipped(song.id, f"{song.artist} is in the {held} split as well"))
    return kept, skipped


def unique(songs: Sequence[Song]) -> tuple[list[Song], list[Skipped]]:
    """Keeps the first song of each id; the others are skipped."""
    kept: dict[str, Song] = {}
    skipped = []
    for song in songs:
        if song.id in kept:
            skipped.append(Skipped(song.sources[0], f"the same name as {kept[song.id].sources[0]}"))
        else:
            kept[song.id] = song
    return list(kept.values()), skipped


def spread(songs: Sequence[Item], count: int | None) -> list[Item]:
    """Picks ``count`` items evenly from a list, or all of them."""
    if count is None or count >= len(songs):
        return list(songs)
    return [songs[index * len(songs) // count] for index in range(count)]


def _known(songs: Iterable[Song], before: Iterable[PreparedSong]) -> dict[str, str]:
    """The splits that artists, or songs without an artist, had before.

    Where there are several, as for an artist that was not known before, training comes first.
    """
    of_song, of_artist = {}, {}
    for one in sorted(before, key=lambda one: SPLITS.index(one.split), reverse=True):
        of_song[one.id] = one.split
        of_artist[one.artist] = one.split
    claims: dict[str, set[str]] = {}
    for song in songs:
        found = (of_song.get(song.id), of_artist.get(song.artist) if song.artist else None)
        claims.setdefault(_group(song), set()).update(filter(None, found))
    return {group: min(of, key=SPLITS.index) for group, of in claims.items() if of}


def _group(song: Song) -> str:
    return f"artist {song.artist}" if song.artist else f"song {song.id}"


def _draw(seed: int, name: str) -> str:
    return hashlib.sha256(f"{seed}/{name}".encode()).hexdigest()
