"""Figures of arrangements of songs whose melody, chords and beats are known.

Notes of files are ``[N, 4]``: start and duration in seconds, MIDI pitch, velocity; notes in beats
have place and length there.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations, pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from audiotransfer.cover.counts import read_counts
from audiotransfer.evaluation.metrics import arrangement as counts
from audiotransfer.evaluation.metrics import cover, swing
from audiotransfer.leadsheet import Bar, Chord, LeadSheet, Note
from audiotransfer.midi.score import read_score
from audiotransfer.styles.find import SHIPPED

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    from audiotransfer.cover.arranger import Arrangement

# Counts of jazz trios and soloists that the jazz band draws from; their sources stand in the file.
_COUNTS = read_counts(SHIPPED / "jazz-midi" / "counts.json")
# Rows: beats 1 to 4; columns: `TONES` and `INTERVALS`.
BASS_TONES = _COUNTS["walking"]["tones"]["on_beat"]
BASS_INTERVALS = _COUNTS["walking"]["intervals"]["into_beat"]
COMPING = _COUNTS["comping"]["onsets"]["share"]
SIZES = _COUNTS["comping"]["sizes"]["share"]
TEMPI = (100, 130, 160, 190, 220, 250, 400)
RATIOS = {
    name: _COUNTS["swing"][counted]
    for name, counted in (
        ("drums", "drums"),
        ("bass", "bass"),
        ("piano lead", "piano_solo"),
        ("lead", "horn_solo"),
    )
}
SWING_TEMPI = (100.0, 200.0)  # between which off-beats are to be swung
_COMPING_ROLES = ("comping", "piano", "guitar")


@dataclass(frozen=True)
class Song:
    """A MIDI file and what is known of it."""

    path: Path
    known: LeadSheet


@dataclass
class Pool:
    """Counts over all songs, and figures of each."""

    figures: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    tables: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    rides: Counter[str] = field(default_factory=Counter)
    ratios: dict[tuple[str, int], list[float]] = field(default_factory=lambda: defaultdict(list))

    def add(self, figures: Mapping[str, float]) -> None:
        """Adds a song's figures; NaN is none."""
        for name, value in figures.items():
            if not np.isnan(value):
                self.figures[name].append(value)

    def count(self, name: str, table: NDArray[np.float64]) -> None:
        """Adds to a table of counts."""
        self.tables[name] = self.tables.get(name, 0) + table


def read_song(path: Path) -> Song:
    """A song by the path of its MIDI file."""
    values = json.loads(path.with_suffix(".json").read_text())
    sheet = LeadSheet(
        beats=tuple(values["beats"]),
        bars=tuple(Bar(*bar) for bar in values["bars"]),
        chords=tuple(Chord(*chord) for chord in values["chords"]),
        melody=tuple(Note(*note) for note in values["melody"]),
        title=path.stem,
    )
    return Song(path, sheet)


def pitched(path: Path) -> NDArray[np.float64]:
    """Pitched notes ``[N, 4]`` of a MIDI file: start and duration in seconds, pitch, velocity."""
    score = read_score(path).to("second")
    return table_of(
        [
            (note.start, note.duration, note.pitch, note.velocity)
            for track in score.tracks
            if not track.is_drum
            for note in track.notes
        ]
    )


def in_beats(notes: NDArray[np.float64], sheet: LeadSheet) -> NDArray[np.float64]:
    """NDArray[np.float64] in seconds as notes in beats."""
    if not len(notes):
        return np.zeros((0, 4))
    starts = sheet.beat_at(notes[:, 0])
    ends = sheet.beat_at(notes[:, 0] + notes[:, 1])
    return np.column_stack([starts, ends - starts, notes[:, 2:]])


def measure_file(path: Path, song: Song, pool: Pool) -> None:
    """Figures of a MIDI file's notes that need no arrangement: of the song itself, of a network."""
    notes = pitched(path)
    found = in_beats(notes, song.known)
    swung, straight, off = swing.swung_counts(found)
    figures = _melody(notes, song) | _clusters(found)
    if SWING_TEMPI[0] <= tempo_of(song.known) <= SWING_TEMPI[1]:
        figures |= {
            "swung, ride and lead": share(swung, off),
            "straight, ride and lead": share(straight, off),
        }
    low = _bottom(found)
    tones = counts.new_chord_tones(low, song.known.chords)
    figures["bass root on a new chord"] = share(tones[0], tones.sum())
    pool.add(figures)


def measure_arrangement(found: Arrangement, song: Song, lead: str, pool: Pool) -> None:
    """Figures of an arrangement's notes."""
    sheet = found.sheet
    parts = {part.name: in_beats(part.notes, sheet) for part in found.parts}
    seconds = [part.notes for part in found.parts if part.name != "drums"]
    together = np.concatenate(seconds) if seconds else np.zeros((0, 4))
    pool.add(_melody(together, song))
    alone = [part.notes for part in found.parts if part.name == "lead"]
    if alone:
        pool.add({"melody kept by the lead": cover.melody_kept(alone[0], song.known)[0]})
    harmony = np.concatenate([v for k, v in parts.items() if k != "drums"] or [np.zeros((0, 4))])
    pool.add(_clusters(harmony))
    tempo = tempo_of(sheet)
    drums = parts.get("drums", np.zeros((0, 4)))
    ride = drums[np.isin(drums[:, 2], swing.RIDE)]
    _swing(parts, ride, tempo, lead, pool)
    pool.rides += swing.ride_patterns(drums, sheet.bars)
    bass = parts.get("bass", np.zeros((0, 4)))
    if len(bass):
        pool.count("tones", counts.bass_tones(bass, sheet.chords, sheet.bars))
        pool.count("intervals", counts.bass_intervals(bass, sheet.bars))
        tones = counts.new_chord_tones(bass, sheet.chords)
        pool.add({"bass root on a new chord": share(tones[0], tones.sum())})
    comping = np.concatenate([parts[k] for k in _COMPING_ROLES if k in parts] or [np.zeros((0, 4))])
    if len(comping):
        pool.count("comping", counts.comping_onsets(comping, sheet.bars))
        pool.count("sizes", counts.voicing_sizes(comping))
        pool.count("anticipation", np.array(counts.anticipation(comping, sheet.chords)))
        bars = sum(bar.beats == 4 for bar in sheet.bars)
        pool.add({"chords a bar": counts.comping_onsets(comping, sheet.bars).sum() / max(bars, 1)})
    pool.add({"bars reharmonised": len(found.reharmonised) / len(sheet.bars)})
    pool.add({f"choruses alike: {k}": v for k, v in _choruses(parts, sheet).items()})


def measure_seeds(one: Arrangement, two: Arrangement, pool: Pool) -> None:
    """Share of bars that are the same with two seeds, by part."""
    others = {part.name: in_beats(part.notes, two.sheet) for part in two.parts}
    pairs = list(zip(one.sheet.bars, two.sheet.bars, strict=True))
    for part in one.parts:
        if part.name in others and part.name != "lead":
            notes = in_beats(part.notes, one.sheet)
            same = swing.alike(notes, others[part.name], pairs)
            pool.add({f"two seeds alike: {part.name}": share(*same)})


def measure_sound(
    audio: torch.Tensor, source: torch.Tensor, song: Song, left_out: frozenset[int], pool: Pool
) -> None:
    """Figures of a rendered output ``[2, T]`` at 44.1 kHz, beside the rendered source."""
    rate = 44100
    output, original = cover.spectrum(audio, rate), cover.spectrum(source, rate)
    spans, roots = bars_of(song.known)
    known = np.array([root is not None for root in roots])
    wanted = np.array([-1 if root is None else root for root in roots])
    found = cover.chord_roots(output, spans)
    kept = known & ~np.isin(np.arange(len(spans)), list(left_out))
    figures = {
        "lead stands out": cover.lead_stands_out(output, song.known),
        "lead stands out, a semitone off": cover.lead_stands_out(output, song.known, 1),
        "bar chroma": cover.bar_chroma_correlation(output, original, spans),
        "bar chroma, a bar off": cover.bar_chroma_correlation(
            output, original, spans[:-1], spans[1:]
        ),
    }
    if kept.any():
        figures["chord roots"] = float(np.mean((found == wanted)[kept]))
        figures["chord roots, a bar off"] = float(np.mean((np.roll(found, -1) == wanted)[kept]))
    if (known & ~kept).any():
        figures["chord roots, reharmonised bars"] = float(np.mean((found == wanted)[known & ~kept]))
    pool.add(figures)


def songs_of(folder: Path, most: int | None = None) -> list[Song]:
    """Songs of a folder, in the order of their names."""
    paths = sorted(p for p in folder.glob("*.mid") if p.with_suffix(".json").exists())
    return [read_song(path) for path in paths[:most]]


def tempo_of(sheet: LeadSheet) -> float:
    """Median tempo in beats per minute."""
    return float(60.0 / np.median(np.diff(sheet.beat_times)))


def bars_of(sheet: LeadSheet) -> tuple[NDArray[np.float64], list[int | None]]:
    """Spans of the bars in seconds ``[B, 2]``, and the root that fills at least half of each."""
    edges = [*(bar.beat for bar in sheet.bars), len(sheet.beats) - 1]
    roots = []
    for first, last in pairwise(edges):
        shares: dict[int | None, float] = defaultdict(float)
        for chord in sheet.chords:
            shares[chord.root] += max(
                0.0, min(last, chord.beat + chord.beats) - max(first, chord.beat)
            )
        root = max(shares, key=lambda key: shares[key], default=None)
        roots.append(root if shares and shares[root] >= (last - first) / 2 - 0.01 else None)
    times = sheet.beat_times[edges]
    return np.column_stack([times[:-1], times[1:]]), roots


def share(part: float, whole: float) -> float:
    """``part / whole``; NaN of nothing."""
    return float(part / whole) if whole else float("nan")


def _melody(notes: NDArray[np.float64], song: Song) -> dict[str, float]:
    kept, off = cover.melody_kept(notes, song.known)
    return {"melody kept": kept, "a semitone off": off}


def _clusters(notes: NDArray[np.float64]) -> dict[str, float]:
    return {
        "semitone clusters": share(*counts.struck_clusters(notes)),
        "semitone clusters, sounding": share(*counts.semitone_clusters(notes)),
    }


def _swing(
    parts: Mapping[str, NDArray[np.float64]],
    ride: NDArray[np.float64],
    tempo: float,
    lead: str,
    pool: Pool,
) -> None:
    """Swung shares of ride and lead, and the swing ratios of all parts."""
    melody = parts.get("lead", np.zeros((0, 4)))
    if SWING_TEMPI[0] <= tempo <= SWING_TEMPI[1]:
        each = {"ride": swing.swung_counts(ride), "lead": swing.swung_counts(melody)}
        for name, (swung, straight, off) in each.items():
            pool.add(
                {f"swung, {name}": share(swung, off), f"straight, {name}": share(straight, off)}
            )
        swung, straight, off = np.sum(list(each.values()), axis=0)
        pool.add(
            {
                "swung, ride and lead": share(swung, off),
                "straight, ride and lead": share(straight, off),
            }
        )
    index = int(np.searchsorted(TEMPI, tempo, side="right")) - 1
    if index < 0:
        return
    named = {"drums": ride, "bass": parts.get("bass", np.zeros((0, 4)))}
    named["piano lead" if "piano" in lead else "lead"] = melody
    for name, notes in named.items():
        pool.ratios[name, index].extend(swing.swing_ratios(notes).tolist())


def _choruses(parts: Mapping[str, NDArray[np.float64]], sheet: LeadSheet) -> dict[str, float]:
    """Share of bars that are the same in two sections of the same name, by part."""
    bars: dict[str, list[list[Bar]]] = defaultdict(list)
    for section in sheet.sections:
        inside = [b for b in sheet.bars if section.beat <= b.beat < section.beat + section.beats]
        bars[section.name].append(inside)
    pairs = [
        pair
        for same in bars.values()
        for one, two in combinations(same, 2)
        for pair in zip(one, two, strict=False)
    ]
    return {
        name: share(*swing.alike(notes, notes, pairs))
        for name, notes in parts.items()
        if name != "lead"
    }


def table_of(rows: Sequence[Sequence[float]]) -> NDArray[np.float64]:
    """Notes as a table ``[N, 4]``."""
    return np.array(rows, dtype=np.float64).reshape(-1, 4)


def _bottom(notes: NDArray[np.float64]) -> NDArray[np.float64]:
    """The lowest note of each onset below middle C."""
    groups = counts.chord_onsets(notes[notes[:, 2] < 60], least=1)
    return table_of([group[np.argmin(group[:, 2])].tolist() for group in groups])
