"""Excerpts of 30 s with their truth, of songs and a soundfont that no transcription trains on.

``python tests/benchmarks/transcription_songs.py MIDI COMPOSED OUT`` renders three folders of
``.npz`` (see `audiotransfer.data.rendering.excerpts`) under OUT with TimGM6mb: songs of the folder
COMPOSED (``NAME.mid`` with its truth in ``NAME.json``), songs of POP909's test artists and songs of
OpenEWLD, of the zip files in the folder MIDI. Basses, drums and mixes of the last two are made here
and not as for training. In a quarter of the songs the lead is 2 to 6 dB under the rest.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.random import Generator

from audiotransfer.data.rendering.excerpts.accompaniment import CHORD_TONES
from audiotransfer.data.rendering.excerpts.pieces import COUNTER, HARMONY, LEAD, monophonic
from audiotransfer.data.rendering.excerpts.readers import names_in, read_pop
from audiotransfer.data.rendering.excerpts.sound import (
    SAMPLE_RATE,
    Timbre,
    active_level,
    instruments,
)
from audiotransfer.data.rendering.production import room
from audiotransfer.midi.archives import contents, list_midi
from audiotransfer.midi.score import parse_score, read_score
from audiotransfer.synthesis.synthesizer import default_soundfont

SECONDS = 30.0
#: A remix, by another artist's name, of a song that is in training.
_REMIX = "018"
#: Melodies' programs; no choirs, which nothing tells from a singer.
_PROGRAMS = (0, 4, 11, 16, 21, 24, 25, 27, 29, 30, 40, 41, 42, 48, 56, 57, 60, 61, 64, 65, 66, 68,
             71, 73, 74, 75, 78, 79, 80, 81)  # fmt: skip
_QUALITIES = {"": 0, "m": 1, "7": 2, "maj7": 3, "m7": 4, "dim": 5, "sus4": 0, "sus2": 0}
#: Kick, snare and hi-hat on the quarters of a bar, by its number of beats.
_DRUMS = {
    4: {36: (0.0, 2.5), 38: (1.0, 3.0), 42: tuple(np.arange(0, 4, 0.5))},
    3: {36: (0.0,), 38: (2.0,), 42: (0.0, 1.0, 2.0)},
    2: {36: (0.0,), 38: (1.0,), 42: (0.0, 1 / 3, 2 / 3, 1.0, 4 / 3, 5 / 3)},
}


@dataclass
class Song:
    """A song in seconds: parts of a program with notes ``[N, 4]``, of which some are the lead."""

    collection: str
    name: str
    lead: np.ndarray
    lead_program: int
    parts: list[tuple[int, np.ndarray]]
    bass: np.ndarray
    bass_program: int
    drums: np.ndarray  # [N, 3]: s, key, velocity
    chords: np.ndarray  # [K, 3]: s, root or -1, quality
    beats: np.ndarray
    downbeats: np.ndarray
    start: float = 0.0
    number: int = 0
    about: dict[str, Any] = field(default_factory=dict)


def composed_songs(folder: Path) -> Iterator[Song]:
    """The songs of a folder, played by their own programs."""
    for number, path in enumerate(sorted(folder.glob("*.json"))):
        truth = json.loads(path.read_text())
        timed = read_score(path.with_suffix(".mid")).to("second")
        melody = np.array(truth["melody"], dtype=np.float64)
        tracks = [
            (track, np.array([(n.time, n.duration, n.pitch, n.velocity) for n in track.notes]))
            for track in timed.tracks
            if len(track.notes)
        ]
        drums = [rows[:, [0, 2, 3]] for track, rows in tracks if track.is_drum]
        pitched = [(track.program, rows) for track, rows in tracks if not track.is_drum]
        program, others = _without(melody, pitched)
        bass = [rows for number, rows in others if number // 8 == 4]
        bass_program = next((number for number, _ in others if number // 8 == 4), 33)
        parts = [(number, rows) for number, rows in others if number // 8 != 4]
        beats = np.array(truth["beats"])
        bars = np.array([bar[0] for bar in truth["bars"]])
        chords = np.array(
            [
                (np.interp(c[0], np.arange(len(beats)), beats),
                 -1 if c[2] is None else c[2], _QUALITIES.get(c[3], 0))
                for c in truth["chords"]
            ]
        )  # fmt: skip
        yield Song(
            "composed", truth["name"], melody, program, parts, _joined(bass), bass_program,
            _joined(drums, 3), chords, beats, beats[bars[bars < len(beats)]],
            start=10.0, number=number,
            about={"metre": truth["metre"], "tempo": truth["tempo"], "style": truth["feel"]},
        )  # fmt: skip


def _without(
    melody: np.ndarray, tracks: list[tuple[int, np.ndarray]]
) -> tuple[int, list[tuple[int, np.ndarray]]]:
    """The program that plays most of the melody, and the tracks without the melody's notes.

    A note of the melody is one note of one track: of those of its start, length and pitch that of
    the track with most of them.
    """

    def same(row: np.ndarray, rows: np.ndarray) -> np.ndarray:
        near = np.abs(rows[:, :2] - row[:2]).max(axis=1) < 0.03
        return np.flatnonzero(near & (rows[:, 2] == row[2]))

    counts = [sum(len(same(row, rows)) > 0 for row in melody) for _, rows in tracks]
    taken: list[set[int]] = [set() for _ in tracks]
    order = np.argsort(counts)[::-1]
    for row in melody:
        for place in order:
            found = same(row, tracks[place][1])
            if len(found):
                taken[place].add(int(found[0]))
                break
    kept = [
        (program, np.delete(rows, sorted(gone), axis=0))
        for (program, rows), gone in zip(tracks, taken, strict=True)
    ]
    return tracks[order[0]][0], kept


def _joined(rows: list[np.ndarray], columns: int = 4) -> np.ndarray:
    return np.concatenate(rows) if rows else np.zeros((0, columns))


def pop_songs(place: str, count: int) -> Iterator[Song]:
    """Songs of POP909's test artists: melody and piano, with a bass and drums made here."""
    names = names_in(place, "test")
    chosen = [names[round(i)] for i in np.linspace(0, len(names) - 1, min(count, len(names)))]
    for number, name in enumerate(chosen):
        if Path(name).stem == _REMIX:
            continue
        random = np.random.default_rng((909, number))
        piece = read_pop(place, name)
        beats = np.arange(round(piece.end) + 1) * 60.0 / piece.tempo
        lead, harmony = piece.layer(LEAD), piece.layer(HARMONY)
        assert lead is not None and harmony is not None
        counter = piece.layer(COUNTER)
        parts = [(0 if number % 2 else int(random.choice([4, 25, 27, 48])), harmony.notes)]
        if counter is not None and number % 4 == 0:
            parts.append((48, counter.notes))
        yield _banded("pop909", name, lead.notes, parts, piece.chords, piece.bars, beats,
                      number, random)  # fmt: skip


def ewld_songs(place: str, count: int) -> Iterator[Song]:
    """Songs of OpenEWLD: melody and chords, with a bass and drums made here."""
    names = list_midi(place)
    for number, index in enumerate(np.linspace(0, len(names) - 1, count)):
        random = np.random.default_rng((1913, number))
        ((name, data),) = contents(place, [names[round(index)]])
        score = parse_score(data, name)
        signature = score.time_signatures[0] if score.time_signatures else None
        top = signature.numerator if signature else 4
        low = signature.denominator if signature else 4
        quarters = 4.0 * top / low
        unit = 1.5 if low == 8 and top % 3 == 0 and top > 3 else 1.0
        melody, chords = (
            np.array([(n.time / score.tpq / unit, n.duration / score.tpq / unit, n.pitch, 90)
                      for n in track.notes])
            for track in score.tracks[:2]
        )  # fmt: skip
        tempo = float(np.clip(score.tempos[0].qpm / unit if score.tempos else 120, 60, 190))
        tempo *= float(random.uniform(0.85, 1.2))
        end = np.ceil((melody[:, 0] + melody[:, 1]).max())
        # Short ones are played twice or more often.
        bar = quarters / unit
        end = float(np.ceil(end / bar - 1e-6) * bar)
        times = int(np.ceil((SECONDS + 4) / (end * 60 / tempo)))
        melody, chords = (
            np.concatenate([rows + np.array([end * time, 0, 0, 0]) for time in range(times)])
            for rows in (melody, chords)
        )
        end *= times
        bars = np.arange(0, end + 1e-6, bar)
        labels = np.array([(start, *_label(chords[np.isclose(chords[:, 0], start)]))
                           for start in np.unique(chords[:, 0])])  # fmt: skip
        beats = np.arange(int(end) + 2) * 60.0 / tempo
        program = int(random.choice([0, 0, 4, 24, 26, 48]))
        yield _banded("openewld", name, melody, [(program, chords)], labels, bars, beats,
                      number, random)  # fmt: skip


def _label(notes: np.ndarray) -> tuple[int, int]:
    """Root and quality of the chord whose tones notes are, its root rather in the bass."""
    played = np.zeros(12)
    played[notes[:, 2].astype(int) % 12] = 1.0
    lowest = int(notes[:, 2].min()) % 12
    scores = {
        (root, quality): sum(2 * played[(root + tone) % 12] - 1 for tone in tones)
        - (played.sum() - sum(played[(root + tone) % 12] for tone in tones))
        + 0.5 * (root == lowest)
        for root in range(12)
        for quality, tones in enumerate(CHORD_TONES)
    }
    return max(scores, key=lambda key: scores[key])


def _banded(
    collection: str, name: str, melody: np.ndarray, parts: list[tuple[int, np.ndarray]],
    chords: np.ndarray, bars: np.ndarray, beats: np.ndarray, number: int, random: Generator,
) -> Song:  # fmt: skip
    """A song in beats with roots and fifths in the bass and plain drums, in seconds.

    In every other song the tempo moves slowly by 3 %.
    """
    if number % 2:
        beats = beats + 0.03 * 14 / (2 * np.pi) * np.sin(2 * np.pi * beats / 14)
    at = np.arange(len(beats))
    bass, drums = [], []
    for start, end in pairwise(bars):
        length = round(end - start)
        for beat in (0.0, length / 2) if length % 2 == 0 else (0.0,):
            place = np.searchsorted(chords[:, 0], start + beat + 1e-6, side="right") - 1
            if place < 0 or chords[place, 1] < 0:
                continue
            fifth = beat > 0 and number % 3 == 0
            pitch = 28 + (chords[place, 1] + 7 * fifth - 28) % 12
            bass.append((start + beat, length / 2 * 0.9 if length % 2 == 0 else length * 0.9,
                         pitch, 95))  # fmt: skip
        lines = _DRUMS.get(length, _DRUMS[4])
        drums += [(start + step, key, 100 if key != 42 else 75)
                  for key, steps in lines.items() for step in steps if step < length]  # fmt: skip

    def seconds(rows: np.ndarray, length: bool = True) -> np.ndarray:
        made = rows.astype(np.float64).copy()
        made[:, 0] = np.interp(rows[:, 0], at, beats)
        if length:
            made[:, 1] = np.interp(rows[:, 0] + rows[:, 1], at, beats) - made[:, 0]
        return made

    whole = np.unique(np.round(bars[bars < len(beats)]).astype(int))
    hits = np.array(sorted(drums)).reshape(-1, 3)
    if number % 5 == 4:
        hits = hits[:0]
    first = max(0.0, float(np.interp(melody[0, 0], at, beats)) - 2.0)
    if beats[-1] - first < SECONDS + 5:
        first = 0.0
    return Song(
        collection, name, seconds(monophonic(melody)), int(random.choice(_PROGRAMS)),
        [(program, seconds(rows)) for program, rows in parts],
        seconds(np.array(bass).reshape(-1, 4)), int(random.choice([32, 33, 35, 38])),
        seconds(hits, False), seconds(chords, False), beats, beats[whole],
        start=first, number=number,
        about={"tempo": float(60 / np.median(np.diff(beats)))},
    )  # fmt: skip


def render(song: Song, font: Path) -> dict[str, Any]:
    """30 s of a song as the arrays of an excerpt."""
    random = np.random.default_rng((30, song.number))
    quiet = song.number % 4 == 3
    lead_db = float(random.uniform(-6, -2) if quiet else random.uniform(-2, 6))
    band = instruments()

    def cut(rows: np.ndarray) -> np.ndarray:
        inside = (rows[:, 0] >= song.start) & (rows[:, 0] < song.start + SECONDS - 0.03)
        made = rows[inside].copy()
        made[:, 0] -= song.start
        return made

    def noted(rows: np.ndarray) -> np.ndarray:
        made = cut(rows)
        made[:, 1] = np.minimum(made[:, 1], SECONDS - made[:, 0])
        return made[np.lexsort((made[:, 2], made[:, 0]))]

    def triples(rows: np.ndarray) -> np.ndarray:
        return np.column_stack([rows[:, 0], rows[:, 0] + rows[:, 1], rows[:, 2]]).astype(np.float32)

    lead, bass, hits = noted(song.lead), noted(song.bass), cut(song.drums)
    others = [(program, noted(rows)) for program, rows in song.parts]
    rest = np.zeros(round(SECONDS * SAMPLE_RATE), dtype=np.float32)
    for program, rows in others:
        rest += band.play(rows, Timbre(program, font), SECONDS)
    rest += 1.2 * band.play(bass, Timbre(song.bass_program, font), SECONDS)
    struck = np.column_stack([hits[:, 0], np.full(len(hits), 0.1), hits[:, 1:]])
    rest += 0.8 * band.play(struck, Timbre(0, font), SECONDS, drums=True)
    melody = band.play(lead, Timbre(song.lead_program, font), SECONDS)
    level = active_level(melody)
    if level:
        melody *= np.float32(active_level(rest) / level * 10 ** (lead_db / 20))
    decay, wet = float(random.uniform(0.3, 1.2)), float(random.uniform(-20, -13))
    mix = room((rest + melody)[None], SAMPLE_RATE, random, decay, wet)[0]
    mix *= 0.8 / (np.abs(mix).max() + 1e-9)
    chords = song.chords[song.chords[:, 0] < song.start + SECONDS].copy()
    before = np.flatnonzero(chords[:, 0] <= song.start)
    chords = chords[before[-1] if len(before) else 0 :]
    chords[:, 0] = np.maximum(0.0, chords[:, 0] - song.start)
    notes = np.concatenate([triples(rows) for rows in (lead, bass, *(r for _, r in others))])
    beats = [
        (t[(t >= song.start) & (t < song.start + SECONDS)] - song.start).astype(np.float32)
        for t in (song.beats, song.downbeats)
    ]
    about = {"set": song.collection, "source": song.name, "split": "test",
             "soundfont": font.name, "lead_db": round(lead_db, 2), "quiet": quiet,
             "start": round(song.start, 3), "tuning_cents": 0.0,
             "programs": {"lead": song.lead_program, "bass": song.bass_program},
             **song.about}  # fmt: skip
    return {
        "audio": np.round(mix * 32767).astype(np.int16),
        "lead": triples(lead),
        "notes": notes[np.lexsort((notes[:, 2], notes[:, 0]))],
        "bass": triples(bass),
        "drums": hits[:, :2].astype(np.float32),
        "chords": chords.astype(np.float32),
        "beats": beats[0],
        "downbeats": beats[1],
        "sung": np.zeros((0, 2), dtype=np.float32),
        **{f"has_{name}": np.bool_(True)
           for name in ("lead", "notes", "bass", "chords", "beats", "drums")},
        "about": np.array(json.dumps(about)),
    }  # fmt: skip


def main() -> None:
    """Renders the three test sets."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("midi", type=Path)
    parser.add_argument("composed", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--count", type=int, default=40)
    args = parser.parse_args()
    sets = {
        "composed": composed_songs(args.composed),
        "pop909": pop_songs(str(args.midi / "pop_pop909.zip"), args.count),
        "openewld": ewld_songs(str(args.midi / "jazz_openewld.zip"), args.count),
    }
    for name, songs in sets.items():
        folder = args.out / name
        folder.mkdir(parents=True, exist_ok=True)
        for song in songs:
            stem = f"{song.number:02d}-{Path(song.name).stem[:60]}"
            np.savez(folder / f"{stem}.npz", **render(song, default_soundfont()))
        print(name, len(list(folder.glob("*.npz"))))


if __name__ == "__main__":
    main()
