"""Metrics of covers: the melody found again, chords, chroma and lead in sound of known notes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from audiotransfer.benchmark.arrangements import bars_of
from audiotransfer.evaluation.metrics import cover
from audiotransfer.leadsheet import Bar, Chord, LeadSheet, Note

RATE = 22050
BEAT = 0.5
ROOTS = (0, 5, 7, 9, 2, 7, 0, 4)
TRIADS = {0: (0, 4, 7), 5: (0, 4, 7), 7: (0, 4, 7), 9: (0, 3, 7), 2: (0, 3, 7), 4: (0, 3, 7)}
MELODY = (72, 74, 76, 77, 79, 77, 76, 74, 72, 71, 69, 71, 72, 76, 79, 76)


def known() -> LeadSheet:
    """Eight bars of four with a chord each, and a melody in half notes."""
    return LeadSheet(
        beats=tuple(BEAT * k for k in range(33)),
        bars=tuple(Bar(4 * k) for k in range(8)),
        chords=tuple(
            Chord(4 * k, 4, root, "" if TRIADS[root][1] == 4 else "m")
            for k, root in enumerate(ROOTS)
        ),
        melody=tuple(Note(2 * BEAT * k, 0.9, pitch) for k, pitch in enumerate(MELODY)),
    )


def tone(pitch: float, seconds: float) -> np.ndarray:
    """A decaying tone with some overtones."""
    times = np.arange(round(seconds * RATE)) / RATE
    hertz = 440 * 2 ** ((pitch - 69) / 12)
    waves = [np.sin(2 * np.pi * hertz * k * times) / k**2 for k in range(1, 5)]
    return np.sum(waves, axis=0) * np.exp(-times) * np.minimum(1, times / 0.01)


def rendered(sheet: LeadSheet, lead: float = 1.0, chords: float = 0.5) -> torch.Tensor:
    """The chords in root position with their bass, and the melody, as tones ``[1, T]``."""
    sound = np.zeros(round((sheet.seconds + 1) * RATE))

    def add(pitch: float, start: float, seconds: float, level: float) -> None:
        first, wave = round(start * RATE), level * tone(pitch, seconds)
        sound[first : first + len(wave)] += wave

    for chord in sheet.chords:
        start, seconds = chord.beat * BEAT, chord.beats * BEAT
        add(36 + chord.root, start, seconds, chords)
        for step in TRIADS[chord.root]:
            add(50 + (chord.root + step - 50) % 12, start, seconds, chords)
    for note in sheet.melody:
        add(note.pitch, note.start, note.duration, lead)
    return torch.from_numpy(sound[None].astype(np.float32))


def table(sheet: LeadSheet, semitones: int = 0, later: float = 0.0) -> np.ndarray:
    """The melody's notes in seconds."""
    rows = [(n.start + later, n.duration, n.pitch + semitones, 80) for n in sheet.melody]
    return np.array(rows, dtype=np.float64)


def test_the_melody_is_kept_in_any_octave_and_after_whole_bars() -> None:
    sheet = known()
    for notes in (table(sheet), table(sheet, 12), table(sheet, later=8 * BEAT)):
        assert cover.melody_kept(notes, sheet)[0] == 1.0


def test_a_swung_note_is_found_and_one_that_is_half_a_beat_late_is_not() -> None:
    sheet = known()
    assert cover.melody_kept(table(sheet, later=0.2 * BEAT), sheet)[0] == 1.0
    assert cover.melody_kept(table(sheet, later=0.5 * BEAT), sheet)[0] == 0.0


def test_another_melody_is_not_kept() -> None:
    sheet = known()
    kept, off = cover.melody_kept(table(sheet, 1), sheet)
    assert kept < 0.3 and off < 1.0
    assert cover.melody_kept(table(sheet), sheet)[1] < 0.2
    low = table(sheet)
    low[:, 2] -= 36  # all notes at MIDI 43 and below
    assert cover.melody_kept(low, sheet)[0] == 0.0
    assert cover.melody_kept(np.zeros((0, 4)), sheet) == (0.0, 0.0)


def test_half_of_a_melody_is_half_kept() -> None:
    sheet = known()
    assert cover.melody_kept(table(sheet)[::2], sheet)[0] == pytest.approx(0.5)


def test_without_a_known_melody_there_is_no_share() -> None:
    assert np.isnan(cover.melody_kept(table(known()), LeadSheet((0.0, 1.0), (Bar(0),)))[0])


def test_roots_of_rendered_chords_are_estimated() -> None:
    sheet = known()
    spans, roots = bars_of(sheet)
    found = cover.chord_roots(cover.spectrum(rendered(sheet), RATE), spans)
    assert np.mean(found == np.array(roots)) == 1.0
    assert np.mean(np.roll(found, 1) == np.array(roots)) < 0.3


def test_chroma_of_a_bar_correlates_with_itself_and_not_with_the_next() -> None:
    sheet = known()
    spans, _ = bars_of(sheet)
    one = cover.spectrum(rendered(sheet), RATE)
    assert cover.bar_chroma_correlation(one, one, spans) == pytest.approx(1.0)
    assert cover.bar_chroma_correlation(one, one, spans[:-1], spans[1:]) < 0.5


def test_a_loud_lead_stands_out_and_one_that_is_not_there_does_not() -> None:
    sheet = known()
    loud = cover.spectrum(rendered(sheet), RATE)
    assert cover.lead_stands_out(loud, sheet) > 0.9
    assert cover.lead_stands_out(loud, sheet, 1) < 0.35
    chords = cover.spectrum(rendered(sheet, lead=0.0), RATE)
    assert cover.lead_stands_out(chords, sheet) < cover.lead_stands_out(loud, sheet) - 0.2


def test_a_bar_with_two_roots_has_that_of_its_longer_part() -> None:
    sheet = LeadSheet(
        beats=tuple(range(9)),
        bars=(Bar(0), Bar(4)),
        chords=(
            Chord(0, 3, 2),
            Chord(3, 1, 7),
            Chord(4, 1.5, 0),
            Chord(5.5, 1.5, 5),
            Chord(7, 1, 9),
        ),
    )
    assert bars_of(sheet)[1] == [2, None]
