"""Tables of lead sheets from MIDI against annotations, on artists that no fit has read.

    python tests/benchmarks/lead_sheets.py data/midi [--songs 60]

Chords: share of the annotated time with the right root, and with the right root and major or minor
(others are left out), over the whole way from the file, as of its baselines: triad templates on
each beat, and the key's tonic throughout. Keys: share of the time. Downbeats: F1 within 70 ms.
Melody: share of songs whose track is right with names hidden, and F1 of its notes in melody and
piano merged into one track.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable
from itertools import islice
from pathlib import Path

import numpy as np
from lead_sheet_songs import Song, openewld, pop909, trios, weimar

from audiotransfer.evaluation import plain_table
from audiotransfer.leadsheet import QUALITIES, Chord, Key, LeadSheet, lead_sheet
from audiotransfer.leadsheet.melody import melody_track, top_line
from audiotransfer.leadsheet.metre import timeline_of
from audiotransfer.leadsheet.slots import Slots, chroma_of
from audiotransfer.leadsheet.tracks import onset_groups, tracks_of

_NEAR = 0.07  # seconds
_KRUMHANSL = {  # Krumhansl and Kessler 1982
    "major": (6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88),
    "minor": (6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17),
}


def third(quality: str) -> str:
    """``major``, ``minor``, or neither (empty)."""
    triad = QUALITIES.get(quality, ())[:3]
    return {(0, 4, 7): "major", (0, 3, 7): "minor"}.get(triad, "")


def chord_times(song: Song, sheet: LeadSheet, chords: Iterable[Chord]) -> np.ndarray:
    """Seconds with the right root, with root and third, with the exact quality, and in all."""
    sums = np.zeros(4)
    for chord in chords:
        begin, end = sheet.time_at([chord.beat, chord.beat + chord.beats])
        for low, high, root, quality in song.chords:
            length = min(high, end) - max(low, begin)
            if root is None or not third(quality) or length <= 0:
                continue
            right = chord.root == root
            same = right and third(chord.quality) == third(quality)
            sums += length * np.array([right, same, right and chord.quality == quality, 1.0])
    return sums


def template_chords(song: Song, sheet: LeadSheet) -> list[Chord]:
    """The triad of each beat with the largest inner product with its pitch classes."""
    chroma, slots = chroma_by_slot(song)
    templates = np.zeros((24, 12))
    for index in range(24):
        tones = (0, 4, 7) if index < 12 else (0, 3, 7)
        templates[index, [(index + tone) % 12 for tone in tones]] = 1
    best = (chroma @ templates.T).argmax(axis=1).tolist()
    return [
        Chord(float(start), float(end - start), index % 12, "" if index < 12 else "m")
        for start, end, index in zip(slots.edges[:-1], slots.edges[1:], best, strict=True)
    ]


def tonic_chords(sheet: LeadSheet) -> list[Chord]:
    """The tonic triad of the first key, throughout."""
    key = sheet.keys[0]
    total = float(len(sheet.beats) - 1)
    return [Chord(0.0, total, key.tonic, "m" if key.mode == "minor" else "")]


def chroma_by_slot(song: Song) -> tuple[np.ndarray, Slots]:
    timeline = timeline_of(song.score)
    notes = np.concatenate([t.beats for t in tracks_of(song.score, timeline) if not t.drums])
    slots = Slots.of(timeline.bars)
    return chroma_of(notes[np.lexsort((notes[:, 2], notes[:, 0]))], slots.edges)[0], slots


def key_times(song: Song, sheet: LeadSheet, keys: list[Key]) -> np.ndarray:
    """Seconds with the right key, and in all."""
    sums = np.zeros(2)
    ends = [*(key.beat for key in keys[1:]), len(sheet.beats) - 1]
    for key, until in zip(keys, ends, strict=True):
        begin, end = sheet.time_at([key.beat, until])
        for low, high, tonic, mode in song.keys:
            length = max(min(high, end) - max(low, begin), 0.0)
            sums += length * np.array([(key.tonic, key.mode) == (tonic, mode), 1.0])
    return sums


def profile_keys(song: Song) -> list[Key]:
    """One key by correlation with Krumhansl and Kessler's profiles."""
    chroma = chroma_by_slot(song)[0].sum(axis=0)
    scores = {
        (tonic, mode): np.corrcoef(chroma, np.roll(profile, tonic))[0, 1]
        for mode, profile in _KRUMHANSL.items()
        for tonic in range(12)
    }
    tonic, mode = max(scores, key=lambda one: scores[one])
    return [Key(0.0, tonic, mode)]


def f1(found: np.ndarray, true: np.ndarray) -> float:
    """F1 of times within 70 ms."""
    if not len(found) or not len(true):
        return 0.0
    near = np.abs(found[:, None] - true[None, :]) < _NEAR
    precision, recall = near.any(axis=1).mean(), near.any(axis=0).mean()
    return float(2 * precision * recall / max(precision + recall, 1e-9))


def file_downbeats(song: Song) -> np.ndarray:
    """Every fourth quarter of the file from its start on."""
    ends = max(int(n.end) for t in song.score.tracks for n in t.notes)
    ticks = np.arange(0, ends, 4 * song.score.tpq)
    from audiotransfer.leadsheet.metre import seconds_of

    return seconds_of(song.score, ticks)


def harmony_table(songs: list[Song]) -> list[dict[str, object]]:
    """Chords, keys and downbeats of songs with all annotations."""
    chords = {name: np.zeros(4) for name in ("lead sheet", "templates", "tonic")}
    keys = {name: np.zeros(2) for name in ("lead sheet", "templates")}
    downbeats: dict[str, list[float]] = {"lead sheet": [], "templates": []}
    for song in songs:
        sheet = lead_sheet(song.score)
        chords["lead sheet"] += chord_times(song, sheet, sheet.chords)
        chords["templates"] += chord_times(song, sheet, template_chords(song, sheet))
        chords["tonic"] += chord_times(song, sheet, tonic_chords(sheet))
        if song.keys:
            keys["lead sheet"] += key_times(song, sheet, list(sheet.keys))
            keys["templates"] += key_times(song, sheet, profile_keys(song))
        if song.beats is not None and song.downbeats is not None:
            true = song.beats[song.downbeats]
            starts = sheet.time_at([bar.beat for bar in sheet.bars])
            downbeats["lead sheet"].append(f1(starts, true))
            downbeats["templates"].append(f1(file_downbeats(song), true))
    rows: list[dict[str, object]] = []
    for name, sums in chords.items():
        row: dict[str, object] = {"system": name}
        if sums[3]:
            for column, value in zip(("root", "majmin", "exact"), sums, strict=False):
                row[column] = round(float(value / sums[3]), 3)
        if name in keys and keys[name][1]:
            row["key"] = round(float(keys[name][0] / keys[name][1]), 3)
        if downbeats.get(name):
            row["downbeats"] = round(float(np.mean(downbeats[name])), 3)
        rows.append(row)
    return rows


def melody_row(name: str, songs: list[Song]) -> dict[str, object]:
    """Melody tracks with names hidden, and notes of the merged track."""
    right, highest, fitted, skyline = [], [], [], []
    for song in songs:
        tracks = tracks_of(song.score, timeline_of(song.score))
        wanted = song.score.tracks[song.melody].name
        names = [track.name for track in tracks]
        if wanted not in names or len(tracks) < 2:
            continue
        index = names.index(wanted)
        right.append(melody_track(tracks, names=False) == index)
        highest.append(int(np.argmax([t.beats[:, 2].mean() for t in tracks])) == index)
        used = [track for track in tracks if track.name != "BRIDGE"]
        beats = np.concatenate([track.beats for track in used])
        true = np.concatenate([np.full(len(t.beats), t.name == wanted) for t in used])
        order = np.lexsort((beats[:, 2], beats[:, 0]))
        beats, true = beats[order], true[order]
        fitted.append(overlap(top_line(beats), true))
        groups = onset_groups(beats)
        tops = np.searchsorted(groups, np.arange(groups[-1] + 1), side="right") - 1
        skyline.append(overlap(tops, true))
    return {
        "songs": f"{name} ({len(right)})",
        "track right": round(float(np.mean(right)), 3),
        "highest track": round(float(np.mean(highest)), 3),
        "note F1": round(float(np.mean(fitted)), 3),
        "skyline F1": round(float(np.mean(skyline)), 3),
    }


def overlap(line: np.ndarray, true: np.ndarray) -> float:
    """F1 of the notes of a line."""
    hits = true[line].sum()
    return float(2 * hits / max(len(line) + true.sum(), 1))


def main() -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, metavar="DATA", help="folder of the zip files")
    parser.add_argument("--songs", type=int, default=60, metavar="N", help="at most so many a set")
    args = parser.parse_args()

    def held_out(read: Callable[[Path], Iterable[Song]]) -> list[Song]:
        return list(islice((song for song in read(args.data) if song.held_out), args.songs))

    pop, jazz, sheets, piano = map(held_out, (pop909, weimar, openewld, trios))
    for name, songs in (("POP909", pop), ("Weimar Jazz Database", jazz), ("JTD piano", piano)):
        print(f"\n{name}: {len(songs)} songs\n{plain_table(harmony_table(songs))}")
    sets = (("POP909", pop), ("Weimar", jazz), ("OpenEWLD", sheets))
    print(f"\nMelody\n{plain_table([melody_row(name, songs) for name, songs in sets])}")


if __name__ == "__main__":
    main()
