"""Lead sheets from MIDI scores."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from audiotransfer.leadsheet.energy import energy_of
from audiotransfer.leadsheet.form import sections_of_notes
from audiotransfer.leadsheet.harmony import chords_of
from audiotransfer.leadsheet.keys import keys_of
from audiotransfer.leadsheet.leadsheet import LeadSheet, Note
from audiotransfer.leadsheet.melody import (
    SUNG_WORDS,
    bass_track,
    bottom_line,
    lead_in,
    melody_line,
    melody_track,
)
from audiotransfer.leadsheet.metre import timeline_of
from audiotransfer.leadsheet.slots import Slots, chroma_of
from audiotransfer.leadsheet.spans import joined
from audiotransfer.leadsheet.tracks import TrackNotes, tracks_of
from audiotransfer.midi import MidiFile
from audiotransfer.midi.score import score_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

_LONG_REST = 8.0  # beats
_BREATH = 2.0  # seconds of rest in a sung line that end a span


def lead_sheet(song: MidiFile | Any, title: str = "") -> LeadSheet:
    """The lead sheet of a MIDI file, or of a ``symusic.Score`` in ticks.

    The melody is the track that is most like one by its name and notes, of several notes at a time
    the top line; the bass is its track, else the lowest notes. Beats are those of the file's tempo
    map and metre; where its metre has bars of one beat, bars are estimated. Raises
    AudioTransferError for files without pitched notes or drums.
    """
    score = score_of(song) if isinstance(song, MidiFile) else song
    timeline = timeline_of(score)
    tracks = tracks_of(score, timeline)
    parts = _parts(tracks)
    pitched = _stacked([t.beats for t in tracks if not t.drums])
    slots = Slots.of(timeline.bars)
    chroma, _ = chroma_of(pitched, slots.edges)
    per_bar = np.zeros((len(timeline.bars), 12))
    np.add.at(per_bar, slots.bars, chroma * np.diff(slots.edges)[:, None])
    return LeadSheet(
        beats=tuple(np.round(timeline.seconds, 6).tolist()),
        bars=timeline.bars,
        keys=keys_of(per_bar, timeline.bars),
        sections=sections_of_notes(parts["melody"], pitched, per_bar, timeline.bars),
        chords=chords_of(pitched, slots),
        melody=_notes(parts["melody"]),
        bass=_notes(parts["bass"]),
        others=_notes(parts["others"]),
        drums=_notes(parts["drums"]),
        energy=energy_of(tracks, timeline.bars),
        sung=_sung(tracks, parts["melody"]),
        title=title,
    )


def _parts(tracks: Sequence[TrackNotes]) -> dict[str, NDArray[np.float64]]:
    """Notes ``[N, 6]`` (beats as of `TrackNotes`, then seconds) of melody, bass, drums, others."""
    tables = [np.concatenate([t.beats, t.seconds], axis=1) for t in tracks]
    melody = melody_track(tracks)
    bass = bass_track(tracks, melody)
    parts = {"drums": _stacked([t for t, own in zip(tables, tracks, strict=True) if own.drums], 6)}
    rest = {
        index: table
        for index, table in enumerate(tables)
        if index not in (melody, bass) and not tracks[index].drums
    }
    parts["melody"] = np.zeros((0, 6))
    if melody is not None:
        parts["melody"], rest[melody] = _line(tables[melody])
        end = max(float(table[:, 1].max(initial=0.0)) for table in tables)
        for first, last in _rests(parts["melody"], end):
            other = lead_in(
                [replace(t, beats=rest.get(i, t.beats[:0])[:, :4]) for i, t in enumerate(tracks)],
                first,
                last,
            )
            if other is not None:
                table = rest[other]
                inside = (table[:, 0] >= first) & (table[:, 1] <= last + 1e-6)
                parts["melody"] = _stacked([parts["melody"], table[inside]], 6)
                rest[other] = table[~inside]
    others = _stacked(list(rest.values()), 6)
    if bass is not None:
        parts["bass"] = tables[bass]
    else:
        low = bottom_line(others[:, :4])
        parts["bass"], others = others[low], np.delete(others, low, axis=0)
    parts["others"] = others
    return parts


def _rests(melody: NDArray[np.float64], end: float) -> list[tuple[float, float]]:
    """Spans in beats, of `_LONG_REST` or more, in which a melody rests."""
    until = np.maximum.accumulate(np.concatenate([[0.0], melody[:, 1]]))
    starts = np.concatenate([melody[:, 0], [end]])
    return [
        (float(first), float(last))
        for first, last in zip(until, starts, strict=True)
        if last - first >= _LONG_REST
    ]


def _line(table: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The melody of a track, and its other notes."""
    line = melody_line(table[:, :4])
    return table[line], np.delete(table, line, axis=0)


def _stacked(tables: Sequence[NDArray[np.float64]], columns: int = 4) -> NDArray[np.float64]:
    table = np.concatenate([np.zeros((0, columns)), *tables])
    return table[np.lexsort((table[:, 2], table[:, 0]))]


def _notes(table: NDArray[np.float64]) -> tuple[Note, ...]:
    return tuple(
        Note(round(start, 6), round(end - start, 6), int(pitch), int(velocity))
        for _, _, pitch, velocity, start, end in table.tolist()
    )


def _sung(
    tracks: Sequence[TrackNotes], melody: NDArray[np.float64]
) -> tuple[tuple[float, float], ...]:
    """Spans in seconds in which the melody is sung: where its track, or lyrics, say so."""
    if not len(melody):
        return ()
    sung = np.zeros(len(melody), dtype=bool)
    for track in tracks:
        words = track.lyrics
        if len(words) > 1:
            near = np.abs(melody[:, :1] - words[None, :]).min(axis=1)
            sung |= near < 1.0
        if not track.drums and SUNG_WORDS.search(track.name):
            sung |= np.isin(melody[:, 4], track.seconds[:, 0])
    spans = joined(melody[sung][:, 4:6], _BREATH)
    return tuple((round(start, 3), round(end, 3)) for start, end in spans)
