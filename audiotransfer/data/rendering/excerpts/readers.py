"""Pieces in beats, read from scores and their annotations."""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from audiotransfer.data.rendering.excerpts.pieces import (
    BASS,
    COUNTER,
    HARMONY,
    LEAD,
    Layer,
    Piece,
    monophonic,
    no_rows,
)
from audiotransfer.errors import AudioTransferError
from audiotransfer.leadsheet.melody import melody_track
from audiotransfer.leadsheet.metre import timeline_of
from audiotransfer.leadsheet.tracks import TrackNotes, tracks_of
from audiotransfer.midi.archives import contents, list_midi
from audiotransfer.midi.score import parse_score

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Rows = NDArray[np.float64]

SPLITS = ("train", "validation", "test")
#: Shares of artists, composers or files that are kept for validation and for tests.
_VALIDATION, _TEST = 0.06, 0.10
_NOTE_NAMES = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
#: POP909's chord qualities -> index into CHORD_QUALITIES. Suspended chords count as major.
_QUALITIES = {"maj": 0, "min": 1, "7": 2, "maj7": 3, "min7": 4, "dim": 5, "hdim7": 5, "dim7": 5,
              "sus2": 0, "sus4": 0, "sus4(b7)": 2, "maj6": 0, "min6": 1, "aug": 0,
              "minmaj7": 1}  # fmt: skip


def split_of(names: Iterable[str]) -> dict[str, str]:
    """Split of each name (an artist, a composer, a file): a fixed random permutation."""
    ordered = sorted(set(names))
    order = np.random.default_rng(26).permutation(len(ordered))
    test = max(1, round(_TEST * len(ordered)))
    validation = max(1, round(_VALIDATION * len(ordered)))
    return {
        ordered[place]: "test" if rank < test
        else "validation" if rank < test + validation else "train"
        for rank, place in enumerate(order)
    }  # fmt: skip


def _group(place: str, name: str) -> str:
    """What a file is kept together with in one split."""
    path = Path(name)
    collection = Path(place).stem
    if collection == "pop_pop909":
        return _pop_artists(place).get(path.stem, path.stem)
    if collection == "jazz_wjd":
        return path.stem.split("_")[0]
    if collection == "classical_pianomidide":
        return path.parent.name
    return name


@lru_cache(maxsize=8)
def names_in(place: str, split: str) -> tuple[str, ...]:
    """The MIDI files of a zip or folder that are in a split; whole artists are in one split.

    Raises AudioTransferError for an unknown split, or a place without MIDI files.
    """
    if split not in SPLITS:
        raise AudioTransferError(f"split {split!r} is unknown; there are {', '.join(SPLITS)}")
    names = list_midi(place)
    groups = {name: _group(place, name) for name in names}
    splits = split_of(groups.values())
    return tuple(name for name in names if splits[groups[name]] == split)


def _data(place: str, name: str) -> bytes:
    ((_, data),) = contents(place, [name])
    return data


@lru_cache(maxsize=4)
def _pop_artists(place: str) -> dict[str, str]:
    text = _data(place, "pop_pop909/index.csv").decode("utf-8")
    rows = csv.DictReader(io.StringIO(text))
    return {row["song_id"].zfill(3): row["artist"] for row in rows if row["song_id"]}


@lru_cache(maxsize=2)
def _pop_beats(place: str) -> dict[str, NDArray[Any]]:
    with (
        zipfile.ZipFile(place) as archive,
        np.load(io.BytesIO(archive.read("pop_pop909/beats.npz"))) as arrays,
    ):
        return {key: arrays[key] for key in arrays}


def _notes(track: Any) -> Rows:
    return np.array(
        [(n.time, n.duration, n.pitch, n.velocity) for n in track.notes if n.velocity > 0],
        dtype=np.float64,
    ).reshape(-1, 4)


def _to_beats(notes: Rows, beats: Rows) -> Rows:
    """Notes in seconds as notes in beats, of the times of beats 0, 1, 2 ..."""
    places = np.arange(len(beats), dtype=np.float64)
    made = notes.copy()
    made[:, 0] = np.interp(notes[:, 0], beats, places)
    made[:, 1] = np.interp(notes[:, 0] + notes[:, 1], beats, places) - made[:, 0]
    inside = (notes[:, 0] >= beats[0] - 0.05) & (notes[:, 0] < beats[-1])
    kept: Rows = made[inside & (made[:, 1] > 0.01)]
    return kept


def _pop_chords(text: str, beats: Rows) -> Rows:
    places = np.arange(len(beats), dtype=np.float64)
    rows: list[tuple[float, float, float]] = []
    for line in text.split("\n"):
        fields = line.split()
        if len(fields) < 3:
            continue
        root, quality = -1, 0
        if ":" in fields[2]:
            letter, kind = fields[2].split(":")
            root = (_NOTE_NAMES[letter[0]] + letter.count("#") - letter.count("b")) % 12
            quality = _QUALITIES.get(kind.split("/")[0], 0)
        start = round(float(np.interp(float(fields[0]), beats, places)))
        if rows and rows[-1][0] == start:
            rows.pop()
        rows.append((float(start), float(root), float(quality)))
    return np.array(rows).reshape(-1, 3)


def read_pop(place: str, name: str) -> Piece:
    """A song of POP909: melody, bridge and piano, with the annotated beats, bars and chords."""
    key = Path(name).stem
    arrays = _pop_beats(place)
    beats, flags = np.asarray(arrays[f"{key}_t"], np.float64), arrays[f"{key}_f"]
    downbeats = np.flatnonzero(flags & 2)
    if len(downbeats) > 2 and np.median(np.diff(downbeats)) == 6:
        # Bars of two times three beats are two bars of three.
        downbeats = np.flatnonzero(flags & 3)
    tempo = 60.0 / float(np.median(np.diff(beats)))
    timed = parse_score(_data(place, name), name).to("second")
    tracks = {track.name: _to_beats(_notes(track), beats) for track in timed.tracks}
    layers = [Layer(LEAD, monophonic(tracks["MELODY"]))]
    if len(tracks.get("BRIDGE", ())):
        layers.append(Layer(COUNTER, tracks["BRIDGE"]))
    layers.append(Layer(HARMONY, tracks["PIANO"]))
    text = _data(place, f"pop_pop909/annotations/{key}.chord_midi.txt").decode()
    bars = np.append(downbeats, len(beats) - 1).astype(np.float64)
    return Piece("pop909", key, tuple(layers), np.unique(bars), tempo,
                 chords=_pop_chords(text, beats))  # fmt: skip


@dataclass(frozen=True)
class _Score:
    """Tracks of a MIDI score; where its bars begin, with the end (beats); seconds of its beats."""

    tracks: list[TrackNotes]
    bars: Rows
    seconds: Rows
    division: int

    @property
    def tempo(self) -> float:
        return 60.0 / float(np.median(np.diff(self.seconds)))


def _read_score(place: str, name: str) -> _Score:
    score = parse_score(_data(place, name), name)
    timeline = timeline_of(score)
    bars = np.array([bar.beat for bar in timeline.bars] + [len(timeline.ticks) - 1], np.float64)
    division = timeline.bars[len(timeline.bars) // 2].division
    return _Score(tracks_of(score, timeline), np.unique(bars), timeline.seconds, division)


def _rows(track: TrackNotes) -> Rows:
    rows = track.beats.copy()
    rows[:, 1] -= rows[:, 0]
    return rows[rows[:, 1] > 0.01]


def _hits(tracks: Iterable[TrackNotes]) -> Rows:
    hits = [track.beats[:, [0, 2, 3]] for track in tracks if track.drums]
    return np.concatenate(hits) if hits else no_rows(3)


def read_band(place: str, name: str) -> Piece:
    """A score for a band, with all its parts.

    The lead is known where the track most like a melody plays one note at a time.
    """
    score = _read_score(place, name)
    pitched = [track for track in score.tracks if not track.drums]
    lead = melody_track(pitched) if pitched else None
    layers, known = [], {"notes", "drums", "beats"}
    for number, track in enumerate(pitched):
        rows = _rows(track)
        single = len(np.unique(np.round(rows[:, 0], 2))) > 0.92 * len(rows)
        role = BASS if track.program // 8 == 4 and single else HARMONY
        if number == lead and single:
            role = LEAD
            known.add("lead")
        notes = monophonic(rows) if role in (LEAD, BASS) else rows
        layers.append(Layer(role, notes, (track.program,)))
    basses = [layer for layer in layers if layer.role == BASS]
    if len(basses) == 1:
        known.add("bass")
    else:
        layers = [replace(layer, role=HARMONY) if layer.role == BASS else layer
                  for layer in layers]  # fmt: skip
    return Piece(
        "freedoom", Path(name).stem, tuple(layers), score.bars, score.tempo, score.division,
        drums=_hits(score.tracks), known=frozenset(known), style="rock",
    )  # fmt: skip


def read_solo(place: str, name: str) -> Piece:
    """A jazz solo over chords and a bass, which the data base has 7 semitones too high."""
    score = _read_score(place, name)
    layers = []
    for track in score.tracks:
        rows = _rows(track)
        if track.name.startswith("solo"):
            layers.append(Layer(LEAD, monophonic(rows), (track.program,)))
        elif track.name == "bass":
            rows[:, 2] -= 7
            layers.append(Layer(BASS, monophonic(rows), (32, 32, 33, 35)))
        else:
            layers.append(Layer(HARMONY, rows, (0, 0, 1, 4, 5, 11, 26, 26)))
    return Piece("wjd", Path(name).stem, tuple(layers), score.bars, score.tempo, score.division,
                 known=frozenset({"lead", "notes", "beats", "drums"}), style="jazz")  # fmt: skip


def read_chorale(place: str, name: str) -> Piece:
    """A chorale: the soprano leads, the bass is its bass; its bars are not known."""
    score = _read_score(place, name)
    roles = {"S": LEAD, "A": HARMONY, "T": HARMONY, "B": BASS}
    layers = tuple(
        Layer(roles[track.name], monophonic(_rows(track)), _CHORALE) for track in score.tracks
    )
    return Piece("jsb", Path(name).stem, layers, score.bars, score.tempo * 0.8, score.division,
                 known=frozenset({"lead", "notes", "bass", "drums"}), style="chorale")  # fmt: skip


_CHORALE = (16, 19, 20, 21, 48, 49, 52, 53, 56, 57, 58, 60, 61, 66, 68, 71, 73, 40, 41, 42, 0, 6)


def read_piano(place: str, name: str) -> Piece:
    """A piano piece of which the notes are known, and the beats in its own tempo."""
    score = _read_score(place, name)
    rows = np.concatenate([_rows(track) for track in score.tracks])
    layers = (Layer(HARMONY, rows, (0, 0, 0, 0, 1, 3, 4, 6, 24)),)
    return Piece("piano", Path(name).stem, layers, score.bars, score.tempo, score.division,
                 known=frozenset({"notes", "beats", "drums"}), style="classical",
                 lengths=np.diff(score.seconds))  # fmt: skip


#: Collection (the stem of its file's name) -> its reader.
READERS: dict[str, Callable[[str, str], Piece]] = {
    "pop_pop909": read_pop,
    "rock_freedoom": read_band,
    "jazz_wjd": read_solo,
    "jsb_chorales": read_chorale,
    "classical_pianomidide": read_piano,
}


@lru_cache(maxsize=64)
def read_performance(place: str, name: str) -> Rows:
    """Hits of a drum performance ``[N, 3]``: beat, General MIDI key, velocity."""
    roland = {22: 42, 26: 46, 58: 43}
    score = parse_score(_data(place, name), name)
    hits = [
        (n.time / score.tpq, roland.get(n.pitch, n.pitch), n.velocity)
        for track in score.tracks
        for n in track.notes
        if n.velocity > 0
    ]
    return np.array(sorted(hits), dtype=np.float64) if hits else no_rows(3)
