"""Puts a recording's lead sheet together from its activations and beats."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from audiotransfer.leadsheet import Bar, LeadSheet, Note
from audiotransfer.leadsheet.form import sections_of_notes
from audiotransfer.leadsheet.keys import keys_of
from audiotransfer.leadsheet.leadsheet import bar_lines
from audiotransfer.leadsheet.slots import chroma_of
from audiotransfer.transcription.activations import LOWEST, LOWEST_BASS
from audiotransfer.transcription.beats import BeatGrid
from audiotransfer.transcription.chords import beat_chords
from audiotransfer.transcription.dynamics import bar_energy
from audiotransfer.transcription.lines import (
    END,
    PITCH,
    START,
    VELOCITY,
    clean_melody,
    notes_of,
    others_of,
    table_of,
)
from audiotransfer.transcription.notes import (
    bass_notes,
    lead_notes,
    polyphonic_notes,
    second_voice,
    sung_spans,
)
from audiotransfer.transcription.registers import one_low_line, without_held
from audiotransfer.transcription.riffs import with_riffs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from audiotransfer.transcription.activations import PitchActivations

_EVEN = 0.5  # seconds of a beat where none is found
_BREATH, _SYLLABLE = 1.0, 0.4  # seconds of a rest that ends a sung span, and of the shortest one


def recording_sheet(
    pitch: PitchActivations,
    grid: BeatGrid,
    drums: Sequence[Note],
    levels: NDArray[np.floating],
    title: str = "",
) -> LeadSheet:
    """The lead sheet of a recording.

    Args:
        pitch: activations of the whole recording.
        grid: its beats and bars, from its start to its end.
        drums: its drum hits.
        levels: its loudness curve in dB (see `audiotransfer.transcription.dynamics`).
        title: of the song.

    The melody is the detected lead without what is the bass (see `one_low_line`) or held for bars,
    and where it rests for long or hardly plays the strongest riff, of less confidence (see
    `with_riffs`). Further notes are all others
    but the bass's.
    """
    beats, bars = np.asarray(grid.beats), grid.bars
    lines = bar_lines(bars)
    bar_times = beats[lines.astype(np.int64)]
    lead = lead_notes(pitch)
    melody, bass = one_low_line(clean_melody(table_of(lead)), table_of(bass_notes(pitch)))
    melody = without_held(melody, float(np.median(np.diff(bar_times))))
    notes = _with_second_voice(table_of(polyphonic_notes(pitch)), second_voice(pitch, lead))
    others = others_of(notes, melody, bass)
    melody = with_riffs(melody, others, bass, bar_times, [bar.beats for bar in bars])
    others = others_of(others, melody, bass[:0])
    in_beats = _in_beats(np.concatenate([melody, bass, others]), beats)
    chroma, _ = chroma_of(in_beats, lines)
    return LeadSheet(
        beats=tuple(np.round(beats, 6).tolist()),
        bars=bars,
        keys=keys_of(chroma, bars),
        sections=sections_of_notes(_in_beats(melody, beats), in_beats, chroma, bars),
        chords=beat_chords(
            pitch.chords,
            _chroma(pitch.notes, LOWEST),
            _chroma(pitch.bass[:, :-1], LOWEST_BASS),
            pitch.rate,
            beats,
            bars,
        ),
        melody=notes_of(melody),
        bass=notes_of(bass),
        others=notes_of(others),
        drums=notes_of(table_of(drums)),
        energy=bar_energy(levels, bar_times),
        sung=_joined_spans(sung_spans(pitch)),
        tuning=round(pitch.tuning, 1),
        title=title,
    )


def even_grid(seconds: float) -> BeatGrid:
    """A grid of even beats for a recording without any: 4/4 at 120 beats a minute."""
    count = 4 * max(1, math.ceil(seconds / (4 * _EVEN)))
    bars = tuple(Bar(first) for first in range(0, count, 4))
    return BeatGrid(_EVEN * np.arange(count + 1, dtype=np.float64), bars, 0.0)


def _with_second_voice(notes: NDArray[np.float64], voice: Sequence[Note]) -> NDArray[np.float64]:
    """All notes, with those of the second voice that are not among them."""
    second = table_of(voice)
    return table_of(notes_of(np.concatenate([notes, others_of(second, notes, notes[:0])])))


def _chroma(frames: NDArray[np.floating], lowest: int) -> NDArray[np.float32]:
    """Pitch classes ``[L, 12]`` of probabilities of pitches ``[L, P]`` from ``lowest`` on."""
    chroma = np.zeros((len(frames), 12), dtype=np.float32)
    for index in range(frames.shape[1]):
        chroma[:, (lowest + index) % 12] += frames[:, index]
    return chroma


def _in_beats(notes: NDArray[np.float64], beats: NDArray[np.float64]) -> NDArray[np.float64]:
    """Notes ``[N, 4]`` as start and end in beats, pitch and velocity, sorted by start."""
    numbers = np.arange(len(beats))
    table = notes[:, [START, END, PITCH, VELOCITY]]
    for column in (0, 1):
        table[:, column] = np.interp(table[:, column], beats, numbers)
    return table[np.argsort(table[:, 0], kind="stable")]


def _joined_spans(spans: Sequence[tuple[float, float]]) -> tuple[tuple[float, float], ...]:
    """Spans in seconds without rests shorter than a breath, and none shorter than a syllable."""
    joined: list[tuple[float, float]] = []
    for start, end in spans:
        if joined and start - joined[-1][1] < _BREATH:
            joined[-1] = (joined[-1][0], end)
        else:
            joined.append((start, end))
    return tuple((round(a, 3), round(b, 3)) for a, b in joined if b - a >= _SYLLABLE)
