"""Transcription: activations of networks become the lead sheet of a recording, and MIDI in time."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import symusic
import torch
from activations import pitch_activations, rhythm_activations
from numpy.typing import NDArray

from audiotransfer.leadsheet import Bar, Chord, LeadSheet, Note, read_lead_sheet
from audiotransfer.leadsheet.files import from_json, is_whole, to_json
from audiotransfer.leadsheet.form import sections_of
from audiotransfer.leadsheet.to_midi import midi_file, write_midi
from audiotransfer.leadsheet.to_midi import table_of as note_table
from audiotransfer.synthesis.ensemble import Ensemble, EnsemblePart
from audiotransfer.transcription.beats import find_beats
from audiotransfer.transcription.chords import frame_means
from audiotransfer.transcription.confidence import confidence_of, doubt_of_sound
from audiotransfer.transcription.drums import drum_hits
from audiotransfer.transcription.dynamics import RATE, LoudnessCurve, bar_energy
from audiotransfer.transcription.lines import (
    clean_melody,
    notes_of,
    others_of,
    table_of,
)
from audiotransfer.transcription.registers import one_low_line, without_held
from audiotransfer.transcription.riffs import with_riffs
from audiotransfer.transcription.sheet import recording_sheet
from audiotransfer.transcription.transcriber import Transcriber, _highest_mean

#: Chords of a song in C: two halves that differ, of a bar each.
_SONG = ["C", "Am", "F", "G7", "C", "Am", "Dm7", "G7", "F", "G7", "Em", "Am", "F", "G7", "C", "C"]
_CHORDS = {
    "C": (0, ""),
    "Am": (9, "m"),
    "F": (5, ""),
    "G7": (7, "7"),
    "Dm7": (2, "m7"),
    "Em": (4, "m"),
}
_TONES = {"": (0, 4, 7), "m": (0, 3, 7), "7": (0, 4, 7, 10), "m7": (0, 3, 7, 10)}


def song(
    *, beats: int = 4, drift: float = 0.03, melody: bool = True, first: float = 0.4
) -> LeadSheet:
    """A song of 16 bars whose tempo drifts by ``drift`` around 110, from ``first`` seconds on."""
    count = beats * len(_SONG)
    tempo = 110 * (1 + drift * np.sin(np.arange(count) / count * 2 * np.pi))
    times = first + np.concatenate([[0.0], np.cumsum(60 / tempo)])
    lengths = np.diff(times)

    def note(beat: float, length: float, pitch: int) -> Note:
        start, end = np.interp([beat, beat + length], np.arange(count + 1), times)
        return Note(float(start), float(end - start), pitch)

    lead, bass, others, drums, chords = [], [], [], [], []
    for index, name in enumerate(_SONG):
        root, quality = _CHORDS[name]
        at = beats * index
        chords.append(Chord(at, beats, root, quality))
        tones = _TONES[quality]
        lead += [note(at + i, 0.9, 72 + (root + tones[i % 3]) % 12) for i in range(beats)]
        bass += [note(at + i, 0.9, 36 + root % 12) for i in range(0, beats, 2)]
        others += [note(at, beats - 0.1, 52 + (root + tone - 4) % 12) for tone in tones]
        drums += [note(at + i, 0.2, 36 if i % 2 == 0 else 38) for i in range(beats)]
        drums += [note(at + i / 2, 0.2, 42) for i in range(2 * beats)]
    assert lengths.min() > 0.4
    return LeadSheet(
        beats=tuple(times.tolist()),
        bars=tuple(Bar(beats * index, beats) for index in range(len(_SONG))),
        chords=_merged(chords),
        melody=tuple(lead) if melody else (),
        bass=tuple(bass),
        others=tuple(others),
        drums=tuple(sorted(drums, key=lambda hit: (hit.start, hit.pitch))),
    )


def _merged(chords: list[Chord]) -> tuple[Chord, ...]:
    merged: list[Chord] = []
    for chord in chords:
        if merged and merged[-1].root == chord.root and merged[-1].quality == chord.quality:
            merged[-1] = replace(merged[-1], beats=merged[-1].beats + chord.beats)
        else:
            merged.append(chord)
    return tuple(merged)


def decoded(sheet: LeadSheet, noise: float = 0.0) -> LeadSheet:
    """The sheet that is transcribed from the sheet's own activations."""
    random = np.random.default_rng(1) if noise else None
    pitch, rhythm = (
        pitch_activations(sheet, noise, random),
        rhythm_activations(sheet, noise, random),
    )
    grid = find_beats(rhythm, pitch)
    assert grid is not None
    levels = np.full(int(sheet.seconds * RATE), -20.0)
    return recording_sheet(pitch, grid, drum_hits(rhythm), levels, "song")


def names_at(sheet: LeadSheet, seconds: NDArray[np.float64]) -> list[tuple[int | None, str]]:
    """Root and quality of the chords at times."""
    starts = [chord.beat for chord in sheet.chords]
    at = np.searchsorted(starts, sheet.beat_at(seconds) + 1e-6, side="right") - 1
    return [(sheet.chords[i].root, sheet.chords[i].quality) for i in np.maximum(at, 0)]


def share_found(truth: tuple[Note, ...], found: tuple[Note, ...], near: float = 0.05) -> float:
    """Share of the true notes with a found one of their pitch that begins within ``near`` s."""
    return float(
        np.mean(
            [
                any(n.pitch == own.pitch and abs(n.start - own.start) <= near for n in found)
                for own in truth
            ]
        )
    )


def downbeats(sheet: LeadSheet) -> NDArray[np.float64]:
    return sheet.beat_times[sheet.bar_lines[:-1].astype(int)]


@pytest.mark.parametrize("beats", [4, 3])
def test_ideal_activations_give_back_the_sheet(beats: int) -> None:
    truth = song(beats=beats)
    found = decoded(truth)
    middles = (truth.beat_times[1:] + truth.beat_times[:-1]) / 2
    assert names_at(found, middles) == names_at(truth, middles)
    assert share_found(truth.melody, found.melody) == 1.0
    assert share_found(truth.bass, found.bass) == 1.0
    assert share_found(truth.others, found.others) > 0.95
    assert share_found(truth.drums, found.drums) > 0.95
    bars = downbeats(found)
    for time in downbeats(truth):
        assert np.abs(bars - time).min() < 0.01
    usual = [bar.beats for bar in found.bars]
    assert max(set(usual), key=usual.count) == beats
    assert len(found.melody) < 1.05 * len(truth.melody)
    assert [(key.tonic, key.mode) for key in found.keys] == [(0, "major")]


def test_noise_costs_little_by_little() -> None:
    truth = song()
    middles = (truth.beat_times[1:] + truth.beat_times[:-1]) / 2
    roots, notes = [], []
    for noise in (0.0, 1.0, 1.6):
        found = decoded(truth, noise)
        pairs = zip(names_at(found, middles), names_at(truth, middles), strict=True)
        roots.append(np.mean([a[0] == b[0] for a, b in pairs]))
        notes.append(share_found(truth.melody, found.melody))
    assert roots[0] == 1.0 and min(roots) >= 0.9
    assert notes[0] == 1.0 and notes[1] >= 0.95 and notes[2] >= 0.8


def test_chords_change_where_bars_do_and_have_their_bass() -> None:
    truth = song()
    # The third of the first chord lies in the bass: C/E.
    low = tuple(replace(n, pitch=40) if n.start < truth.beats[4] - 0.1 else n for n in truth.bass)
    found = decoded(replace(truth, bass=low))
    starts = {chord.beat for chord in found.chords[1:]}
    assert starts <= {float(bar.beat) for bar in found.bars}
    first = next(chord for chord in found.chords if chord.root == 0)
    assert (first.quality, first.bass) == ("", 4)
    assert all(chord.bass is None for chord in found.chords if chord is not first)


def test_a_riff_leads_where_there_is_no_melody_and_is_marked() -> None:
    truth = song(melody=False)
    riff = tuple(
        Note(truth.beats[i] + 0.02, 0.3, (64, 67, 69, 62)[i % 4]) for i in range(len(_SONG) * 4)
    )
    found = decoded(replace(truth, others=riff))
    assert share_found(riff, found.melody) > 0.9
    assert max(note.confidence for note in found.melody) <= 0.5
    led = decoded(song())
    assert min(note.confidence for note in led.melody) > 0.5


def test_a_bass_line_leads_an_octave_up_where_nothing_else_does() -> None:
    truth = song(melody=False)
    line = tuple(
        Note(truth.beats[i] + 0.02, 0.3, (40, 43, 45, 38)[i % 4]) for i in range(len(_SONG) * 4)
    )
    found = decoded(replace(truth, others=(), bass=line))
    assert share_found(tuple(replace(n, pitch=n.pitch + 24) for n in line), found.melody) > 0.9


def test_a_melody_that_rests_shortly_gets_no_riff() -> None:
    edges = np.arange(0.0, 33.0, 2.0)
    melody = table_of([Note(2.0 * bar, 1.8, 70) for bar in range(16) if bar % 4 != 3])
    others = table_of([Note(0.5 * i, 0.4, 60 + i % 3, confidence=1.0) for i in range(64)])
    whole = with_riffs(melody, others, others[:0], edges, [4] * 16)
    assert len(whole) == len(melody)
    assert len(with_riffs(melody[:6], others, others[:0], edges, [4] * 16)) > 6


def test_a_melody_with_hardly_any_notes_gets_a_riff_beside_them() -> None:
    edges = np.arange(0.0, 33.0, 2.0)
    few = table_of([Note(2.0 * bar + 0.5, 0.4, 70) for bar in range(16)])
    others = table_of([Note(0.5 * i, 0.45, 60 + i % 3, confidence=1.0) for i in range(64)])
    low = table_of([Note(0.5 * i + 0.25, 0.2, 45, confidence=1.0) for i in range(64)])
    both = np.concatenate([others, low])
    found = with_riffs(few, both[np.argsort(both[:, 0])], others[:0], edges, [4] * 16)
    assert (found[:, 2] == 70).sum() == len(few)  # they stay
    assert len(found) == 64 and (found[:, 2] >= 60).all()  # in place of the riff's second notes
    assert (found[1:, 0] >= found[:-1, 1] - 0.06).all()
    held = table_of([Note(2.0 * bar, 1.9, 70) for bar in range(16)])  # few notes, but long ones
    assert len(with_riffs(held, others, others[:0], edges, [4] * 16)) == len(held)
    more = table_of([Note(1.0 * i + 0.5, 0.3, 70) for i in range(32)])
    assert len(with_riffs(more, others, others[:0], edges, [4] * 16)) == len(more)


def test_low_notes_belong_to_one_line() -> None:
    bass = table_of([Note(0.0, 1.0, 28), Note(1.0, 1.0, 33), Note(2.0, 1.0, 36)])
    melody = [
        Note(0.1, 0.8, 40),  # the bass, an octave up
        Note(1.0, 0.9, 47),  # low, but in the melody's register
        Note(2.0, 0.9, 60),  # of the bass's pitch class, but high
        Note(3.1, 0.5, 39),  # in the bass's register, where it rests
        Note(4.0, 0.5, 35),  # too low for a melody
    ]
    led, low = one_low_line(table_of(melody), bass)
    assert [n.pitch for n in notes_of(led)] == [47, 60]
    assert [n.pitch for n in notes_of(low)] == [28, 33, 36, 39, 35]
    assert (low[1:, 0] >= low[:-1, 1]).all()
    sung = table_of([Note(0.5 * i, 0.4, pitch) for i, pitch in enumerate((45, 50, 47, 52))])
    assert len(one_low_line(sung, bass)[0]) == 4  # a low singer
    assert len(one_low_line(sung, bass[:0])[0]) == 4
    assert not len(one_low_line(bass[:0], bass)[0])


def test_a_note_of_more_than_two_bars_leads_nothing() -> None:
    notes = table_of([Note(0.0, 4.5, 70), Note(5.0, 3.9, 72), Note(9.0, 0.5, 74)])
    assert [n.pitch for n in notes_of(without_held(notes, 2.0))] == [72, 74]
    assert len(without_held(notes, 3.0)) == 3


def test_specks_flickers_and_octave_jumps_are_cleaned() -> None:
    notes = [
        Note(0.0, 0.5, 67),
        Note(0.5, 0.06, 68),  # vibrato splits one note
        Note(0.56, 0.44, 67),
        Note(1.0, 0.05, 66),  # a glide into the next
        Note(1.05, 0.45, 67 - 2),
        Note(1.5, 0.4, 65 + 12, confidence=0.4),  # an octave too high, unsure
        Note(1.9, 0.4, 67),
        Note(2.6, 0.03, 80),  # a speck
        Note(3.0, 0.4, 67),
        Note(3.4, 0.4, 67),  # a repeated note
        Note(3.8, 0.4, 79),  # a leap that stays
        Note(4.2, 0.4, 81),
        Note(4.6, 0.4, 79),
        Note(5.0, 0.4, 78),
        Note(5.4, 0.4, 79),
        Note(5.8, 0.4, 67),  # a leap that comes back, but sure
        Note(6.2, 0.4, 79),
    ]
    clean = [(round(n.start, 2), n.pitch) for n in notes_of(clean_melody(table_of(notes)))]
    assert clean == [
        (0.0, 67),
        (1.0, 65),
        (1.5, 65),
        (1.9, 67),
        (3.0, 67),
        (3.4, 67),
        (3.8, 79),
        (4.2, 81),
        (4.6, 79),
        (5.0, 78),
        (5.4, 79),
        (5.8, 67),
        (6.2, 79),
    ]


def test_further_notes_are_without_melody_bass_and_overtones() -> None:
    melody, bass = table_of([Note(0.0, 1.0, 72)]), table_of([Note(0.0, 2.0, 40)])
    notes = table_of(
        [
            Note(0.02, 0.9, 72, confidence=0.9),
            Note(0.0, 1.9, 40, confidence=0.9),
            Note(0.01, 0.8, 84, confidence=0.4),  # its octave's partial
            Note(0.01, 0.8, 76, confidence=0.4),
            Note(1.2, 0.5, 72, confidence=0.9),
        ]
    )
    assert others_of(notes, melody, bass)[:, 2].tolist() == [76, 72]
    assert len(others_of(notes[:0], melody, bass)) == 0


@pytest.mark.parametrize("first", [0.0, 0.02, 0.31, 1.9, 11.3])
def test_midi_is_in_time_with_a_drifting_song(first: float) -> None:
    truth = song(drift=0.2, first=first)
    jitter = np.random.default_rng(2).normal(0.0, 0.01, len(truth.beats))
    jitter[0] = 0.0
    truth = replace(truth, beats=tuple((truth.beat_times + jitter).tolist()))
    score = symusic.Score.from_midi(midi_file(truth).to_bytes())
    seconds = score.to("second")
    tracks = {track.name: track for track in seconds.tracks}
    assert list(tracks) == ["melody", "chords", "bass", "further notes", "drums"]
    for name, notes in (("melody", truth.melody), ("drums", truth.drums), ("bass", truth.bass)):
        written = np.array([(n.time, n.pitch) for n in tracks[name].notes])
        order = np.lexsort((written[:, 1], np.round(written[:, 0], 2)))
        own = np.array(sorted((round(n.start, 2), n.pitch, n.start) for n in notes))
        assert np.array_equal(written[order, 1], own[:, 1])
        assert np.abs(written[order, 0] - own[:, 2]).max() < 0.002
    bars = bar_lines_of(score)
    late = [np.abs(bars - time).min() for time in downbeats(truth)]
    assert max(late) < 0.002
    assert len(bars) <= len(_SONG) + 1 + np.ceil(first / 1.5)


def bar_lines_of(score: symusic.Score) -> NDArray[np.float64]:
    """Times in seconds of the bar lines of a score, as its metres and tempos give them."""
    lines: list[float] = []
    signs = [*score.time_signatures]
    ends = [*(sign.time for sign in signs[1:]), score.end()]
    for sign, end in zip(signs, ends, strict=True):
        lines += np.arange(
            sign.time, end, score.tpq * 4 * sign.numerator / sign.denominator
        ).tolist()
    marks = symusic.Score(score.tpq)
    marks.tempos.extend(score.tempos)
    track = symusic.Track("lines")
    track.notes.extend([symusic.Note(round(line), 1, 60, 64) for line in lines])
    marks.tracks.append(track)
    return np.array([note.time for note in marks.to("second").tracks[0].notes])


def rendered(sheet: LeadSheet) -> torch.Tensor:
    """The sound ``[2, T]`` of a sheet, played by a trumpet, a piano, a bass and a kit."""
    instruments = {
        "trumpet": sheet.melody,
        "piano_grand": sheet.others,
        "bass_electric": sheet.bass,
        "kit_rock": sheet.drums,
    }
    parts = [
        EnsemblePart(name, name, note_table(notes)) for name, notes in instruments.items() if notes
    ]
    return torch.from_numpy(Ensemble().render(parts, sheet.seconds + 0.7))


def test_midi_of_a_drifting_drummer_has_its_beats_and_bars() -> None:
    truth = song(drift=0.05, first=0.83)
    sound = rendered(truth)
    transcriber = Transcriber()
    for block in sound.split(100_003, dim=1):
        transcriber.push(block)
    found = transcriber.finish("song")
    assert found.sheet is not None and found.doubt is None
    score = symusic.Score.from_midi(midi_file(found.sheet).to_bytes())
    bars = bar_lines_of(score)
    late = np.array([np.abs(bars - time).min() for time in downbeats(truth)])
    assert late.max() < 0.01
    beats = found.sheet.beat_times
    late = np.array([np.abs(beats - time).min() for time in truth.beats[:-1]])
    assert late.max() < 0.01
    middles = (truth.beat_times[1:] + truth.beat_times[:-1]) / 2
    pairs = zip(names_at(found.sheet, middles), names_at(truth, middles), strict=True)
    assert np.mean([own[0] == other[0] for own, other in pairs]) > 0.9
    assert share_found(truth.melody, found.sheet.melody) > 0.8


def test_midi_holds_metres_keys_chords_and_sections() -> None:
    from audiotransfer.leadsheet import Key, Section

    sheet = LeadSheet(
        beats=tuple(0.5 * np.arange(12.0)),
        bars=(Bar(0, 3), Bar(3, 6, 8), Bar(5, 6, 8), Bar(7, 4)),
        keys=(Key(0, 2), Key(7, 9, "minor")),
        sections=(Section(0, 7, "A"), Section(7, 4, "B")),
        chords=(Chord(0, 7, 2, "maj7"), Chord(7, 2, 9, "m", 0), Chord(9, 2, None)),
        melody=(Note(0.0, 0.4, 74),),
        title="Lied",
    )
    score = symusic.Score.from_midi(midi_file(sheet).to_bytes())
    signs = [(s.time // 960, s.numerator, s.denominator) for s in score.time_signatures]
    assert signs == [(0, 3, 4), (3, 6, 8), (9, 4, 4)]
    assert [(k.time // 960, k.key, k.tonality) for k in score.key_signatures] == [
        (0, 2, 0),
        (9, 0, 1),
    ]
    marks = [(mark.time // 960, mark.text) for mark in score.markers]
    assert marks == [(0, "[A]"), (0, "Dmaj7"), (9, "[B]"), (9, "Am/C"), (11, "N.C.")]
    chords = next(track for track in score.tracks if track.name == "chords")
    assert [note.pitch % 12 for note in chords.notes[:4]] and len(chords.notes) == 7
    # A beat of 6/8 is a dotted quarter, which lasts as long as the quarter before.
    tempos = [(tempo.time // 960, round(tempo.qpm)) for tempo in score.tempos]
    assert tempos == [(0, 120), (3, 180), (9, 120)]


def test_an_edited_midi_file_is_read_as_a_lead_sheet(tmp_path: Path) -> None:
    truth = song(first=0.31)
    write_midi(tmp_path / "song.mid", truth)
    assert is_whole(tmp_path / "song.mid")
    found = read_lead_sheet(tmp_path / "song.mid")
    middles = (truth.beat_times[1:] + truth.beat_times[:-1]) / 2
    assert names_at(found, middles) == names_at(truth, middles)
    assert share_found(truth.melody, found.melody, 0.002) == 1.0
    for time in downbeats(truth):
        assert np.abs(downbeats(found) - time).min() < 0.002


def test_silence_and_what_is_too_short_are_told() -> None:
    assert doubt_of_sound(np.full(600, -90.0)) == "it is silent"
    assert doubt_of_sound(np.zeros(0)) == "it is silent"
    assert "5.0 s" in (doubt_of_sound(np.full(100, -20.0)) or "")
    assert doubt_of_sound(np.full(600, -20.0)) is None


def test_confidence_falls_where_the_beats_are_not_steady_or_the_chords_not_clear() -> None:
    truth = song()
    sheet = decoded(truth)
    rhythm = rhythm_activations(truth)
    sure = confidence_of(sheet, rhythm, 0.8)
    assert sure.doubt() is None and min(sure.beats, sure.chords, sure.lead) > 0.7
    # Every beat is played up to 40 ms early or late.
    late = np.random.default_rng(0).uniform(-0.04, 0.04, len(truth.beats))
    loose = replace(truth, beats=tuple(np.sort(truth.beat_times + late).tolist()))
    unsteady = confidence_of(sheet, rhythm_activations(loose), 0.8)
    assert unsteady.beats < 0.2 and unsteady.doubt() == "it has no steady beat"
    unclear = replace(sheet, chords=tuple(replace(c, confidence=0.15) for c in sheet.chords))
    assert confidence_of(unclear, rhythm, 0.8).doubt() == "its chords are not clear"
    nothing = confidence_of(replace(sheet, chords=(), melody=()), rhythm, 0.0)
    assert (nothing.beats, nothing.chords, nothing.lead) == (0.0, 0.0, 0.0)
    assert nothing.doubt() == "it has no steady beat, and its chords are not clear"


@pytest.mark.parametrize("samples", [0, 1, 441, 30_000, 90_000])
def test_any_length_is_transcribed_and_read_back(samples: int) -> None:
    transcriber = Transcriber()
    noise = torch.randn(2, samples, generator=torch.Generator().manual_seed(0))
    transcriber.push(0.1 * noise)
    found = transcriber.finish("noise")
    assert found.doubt is not None
    assert (found.sheet is None) == (samples == 0)
    if found.sheet is not None:
        assert from_json(to_json(found.sheet), "noise") == found.sheet
        assert found.sheet.seconds >= samples / 44_100 - 0.05
        midi_file(found.sheet)


def test_energy_follows_the_level_in_bounds() -> None:
    levels = np.repeat([-60.0, -30.0, -24.0, -18.0, -18.0], 2 * RATE)
    energy = bar_energy(levels, np.arange(0.0, 12.0, 2.0))
    assert energy[0] == 0.0 and list(energy) == sorted(energy) and max(energy) > 0.9
    steady = bar_energy(np.full(8 * RATE, -20.0), np.arange(0.0, 10.0, 2.0))
    assert steady == (0.5,) * 4
    assert bar_energy(np.zeros(0), np.arange(3.0)) == (0.0, 0.0)


def test_the_loudness_curve_does_not_depend_on_the_blocks() -> None:
    sound = np.random.default_rng(0).normal(0.0, 0.1, 22050 * 2 + 77)
    curves = []
    for size in (10**6, 997):
        curve = LoudnessCurve(22050)
        for start in range(0, len(sound), size):
            curve.push(sound[start : start + size])
        curve.push(np.zeros(0), last=True)
        curves.append(curve.levels())
    assert np.allclose(*curves) and len(curves[0]) == 41
    assert np.abs(curves[0][:-1] + 20.0).max() < 1.0


def test_means_of_frames_reach_beyond_both_ends() -> None:
    frames = np.arange(10.0)[:, None]
    assert frame_means(frames, 10.0, np.array([0.0, 0.5, 1.0, 2.0]))[:, 0].tolist() == [2.0, 7.0, 0]
    assert frame_means(frames[:0], 10.0, np.array([0.0, 1.0])).tolist() == [[0.0]]


def test_the_form_of_a_song_of_hours_needs_no_matrix_of_its_bars() -> None:
    features = np.random.default_rng(0).random((6_000, 32))
    bars = [Bar(4 * index) for index in range(len(features))]
    tracemalloc.start()
    sections = sections_of(features, bars)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert sum(section.beats for section in sections) == 24_000
    assert peak < 20e6  # a matrix would have 288 MB


def test_the_voice_is_that_of_the_seconds_with_most_of_it() -> None:
    values = np.concatenate([np.zeros(50), np.full(10, 0.6), np.zeros(40)])
    assert _highest_mean(values, 20) == pytest.approx(0.3)
    assert _highest_mean(values, 1000) == pytest.approx(0.06)
    assert _highest_mean(values[:0], 20) == 0.0
