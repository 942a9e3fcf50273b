"""Lead sheets of MIDI scores: beats, chords, keys, form, melody and bass."""

from __future__ import annotations

import numpy as np
import pytest
import symusic

from audiotransfer.errors import AudioTransferError
from audiotransfer.leadsheet import Bar, Key, LeadSheet, lead_sheet, symbol
from audiotransfer.leadsheet.melody import top_line
from audiotransfer.leadsheet.tracks import onset_groups

QUARTER = 480
#: I vi ii V in C, one chord a bar of four beats: roots of the bass, and tones.
CHANGES = (
    (36, (60, 64, 67)),
    (45, (60, 64, 69)),
    (38, (62, 65, 69)),
    (43, (62, 65, 67, 71)),
)
NAMES = ("C", "Am", "Dm", "G7")
TUNE = (72, 74, 76, 79, 76, 74, 72, 71)


def note(beat: float, beats: float, pitch: int, velocity: int = 80) -> symusic.Note:
    return symusic.Note(round(beat * QUARTER), round(beats * QUARTER), pitch, velocity)


def track(name: str, program: int, notes: list[symusic.Note], drums: bool = False) -> symusic.Track:
    made = symusic.Track(name, program, drums)
    made.notes.extend(notes)
    return made


def song(
    bars: int = 16, beats: int = 4, names: tuple[str, ...] = ("flute", "piano", "bass")
) -> symusic.Score:
    """A melody of eighths and quarters, held chords and a bass of one note a bar, at 120."""
    score = symusic.Score(QUARTER)
    score.time_signatures.append(symusic.TimeSignature(0, beats, 4))
    score.tempos.append(symusic.Tempo(0, qpm=120.0))
    melody, chords, bass = [], [], []
    for bar in range(bars):
        start = bar * beats
        root, tones = CHANGES[bar % 4]
        bass.append(note(start, beats * 0.95, root, 85))
        chords += [note(start, beats * 0.95, tone, 60) for tone in tones]
        for beat in range(beats):
            melody.append(note(start + beat, 0.9, TUNE[(bar + beat) % 8], 100))
    for name, program, notes in zip(names, (73, 0, 32), (melody, chords, bass), strict=True):
        score.tracks.append(track(name, program, notes))
    return score


def chords_by_bar(sheet: LeadSheet) -> list[str]:
    """The chord that sounds in the middle of each bar."""
    names = []
    for bar in sheet.bars:
        middle = bar.beat + bar.beats / 2
        chord = next(c for c in sheet.chords if c.beat <= middle < c.beat + c.beats)
        names.append(symbol(chord, sheet.keys[0]))
    return names


def test_a_band_gives_beats_chords_key_melody_and_bass() -> None:
    sheet = lead_sheet(song(), "Song")
    assert sheet.title == "Song" and len(sheet.bars) == 16
    assert np.diff(sheet.beats) == pytest.approx(0.5)
    assert chords_by_bar(sheet) == list(NAMES) * 4
    assert [(key.tonic, key.mode) for key in sheet.keys] == [(0, "major")]
    assert [n.pitch for n in sheet.melody] == [TUNE[(b // 4 + b % 4) % 8] for b in range(64)]
    assert [n.pitch for n in sheet.bass] == [CHANGES[b % 4][0] for b in range(16)]
    assert len(sheet.others) == 4 * (3 + 3 + 3 + 4) and not sheet.drums and not sheet.sung


@pytest.mark.parametrize("shift", range(12))
def test_every_transposition_gives_the_same_chords(shift: int) -> None:
    score = song()
    for own in score.tracks:
        own.shift_pitch(shift - 5, inplace=True)
    sheet, plain = lead_sheet(score), lead_sheet(song())
    moved = [(c.beat, (c.root - shift + 5) % 12, c.quality) for c in sheet.chords]
    assert moved == [(c.beat, c.root, c.quality) for c in plain.chords]
    assert (sheet.keys[0].tonic - shift + 5) % 12 == 0


def test_chords_have_no_gaps_and_their_confidences_are_probabilities() -> None:
    for sheet in (lead_sheet(song(13)), lead_sheet(song(7, beats=3))):
        for spans in (sheet.chords, sheet.sections):
            ends = [span.beat + span.beats for span in spans]
            assert [span.beat for span in spans] == [0, *ends[:-1]]
            assert ends[-1] == len(sheet.beats) - 1
        assert all(0 <= chord.confidence <= 1 for chord in sheet.chords)


def test_a_silent_bar_has_no_chord() -> None:
    score = song(12)
    for own in score.tracks:
        own.notes = [n for n in own.notes if not 16 * QUARTER <= n.time < 20 * QUARTER]
    sheet = lead_sheet(score)
    assert chords_by_bar(sheet)[3:6] == ["G7", "N.C.", "Am"]
    assert sheet.energy[4] == 0.0


def test_sevenths_are_written_only_where_they_are_played() -> None:
    score = song()
    score.tracks[1].notes = [n for n in score.tracks[1].notes if n.pitch != 65 or n.time % 7680]
    played = song()
    played.tracks[1].notes = [n for n in played.tracks[1].notes if n.pitch % 12 != 5]
    played.tracks[0].notes = [n for n in played.tracks[0].notes if n.pitch % 12 != 5]
    assert all("7" not in name for name in chords_by_bar(lead_sheet(played)) if name[0] == "G")
    assert "G7" in chords_by_bar(lead_sheet(score))


def test_inversions_have_their_bass() -> None:
    score = song(names=("melody", "piano", "bass"))
    for own in score.tracks[2].notes:
        if own.pitch == 36:
            own.pitch = 40
    first = lead_sheet(score).chords[0]
    assert (first.root, first.quality, first.bass) == (0, "", 4)


# Metre and tempo.


@pytest.mark.parametrize(
    ("metre", "beats", "division"), [((3, 4), 3, 2), ((6, 8), 2, 3), ((5, 4), 5, 2), ((7, 8), 7, 2)]
)
def test_metres_of_the_file_are_kept(metre: tuple[int, int], beats: int, division: int) -> None:
    score = symusic.Score(QUARTER)
    score.time_signatures.append(symusic.TimeSignature(0, *metre))
    score.tempos.append(symusic.Tempo(0, qpm=90.0))
    bar = 4 * metre[0] / metre[1]
    notes = [note(i * bar / 2, bar / 2, p) for i in range(16) for p in (60, 64, 67)]
    score.tracks.append(track("piano", 0, notes))
    sheet = lead_sheet(score)
    assert {(b.numerator, b.denominator, b.beats, b.division) for b in sheet.bars} == {
        (*metre, beats, division)
    }
    assert len(sheet.bars) == 8
    assert np.diff(sheet.beats) == pytest.approx(bar / beats * 60 / 90, abs=1e-5)


def test_a_change_of_metre_and_a_pickup_bar() -> None:
    score = song(8)
    score.time_signatures = [
        symusic.TimeSignature(0, 1, 4),
        symusic.TimeSignature(QUARTER, 4, 4),
        symusic.TimeSignature(17 * QUARTER, 3, 4),
    ]
    sheet = lead_sheet(score)
    assert [bar.beats for bar in sheet.bars[:7]] == [1, 4, 4, 4, 4, 3, 3]
    assert [bar.beat for bar in sheet.bars[:3]] == [0, 1, 5]


def test_tempo_changes_move_the_beats() -> None:
    score = song(4)
    score.tempos.append(symusic.Tempo(8 * QUARTER, qpm=60.0))
    beats = np.diff(lead_sheet(score).beats)
    assert beats[:8] == pytest.approx(0.5) and beats[8:] == pytest.approx(1.0)


def test_a_metre_of_one_beat_is_not_believed() -> None:
    score = song()
    score.time_signatures = [symusic.TimeSignature(0, 1, 4)]
    sheet = lead_sheet(score)
    assert {bar.beats for bar in sheet.bars} == {4} and len(sheet.bars) == 16


def test_a_metre_of_one_beat_with_bars_of_three() -> None:
    score = song(24, beats=3)
    score.time_signatures = [symusic.TimeSignature(0, 1, 4)]
    assert {bar.beats for bar in lead_sheet(score).bars} == {3}


def test_notes_shifted_by_less_than_a_sixteenth_move_the_beats() -> None:
    score = song()
    for own in score.tracks:
        own.notes = [symusic.Note(n.time + 40, n.duration, n.pitch, 80) for n in own.notes]
    sheet = lead_sheet(score)
    place = sheet.beat_at([n.start for n in sheet.bass])
    assert place == pytest.approx(np.round(place), abs=0.02)


def test_a_score_without_notes_is_refused() -> None:
    with pytest.raises(AudioTransferError, match="no notes"):
        lead_sheet(symusic.Score(QUARTER))


def test_drums_alone_give_beats_and_energy() -> None:
    score = symusic.Score(QUARTER)
    score.tracks.append(track("kit", 0, [note(b, 0.2, 36 + 2 * (b % 2)) for b in range(32)], True))
    sheet = lead_sheet(score)
    assert len(sheet.drums) == 32 and len(sheet.bars) == 8 and not sheet.melody and not sheet.keys
    assert [chord.root for chord in sheet.chords] == [None]
    assert len(sheet.energy) == 8 and min(sheet.energy) > 0


# Melody and form.


def test_the_melody_is_found_by_name_among_lines_that_are_alike() -> None:
    score = song()
    lower = [note(b, 0.9, TUNE[b % 7] - 5, 90) for b in range(64)]
    score.tracks.append(track("Lead vocal", 52, lower))
    sheet = lead_sheet(score)
    assert [n.pitch for n in sheet.melody] == [n.pitch for n in lower]
    assert sheet.sung == ((0.0, pytest.approx(31.95)),)
    score.tracks[3].name = "oboe 2"
    assert lead_sheet(score).melody[0].velocity == 100 and not lead_sheet(score).sung


def test_the_melody_is_found_by_its_notes_whatever_the_order_of_tracks() -> None:
    score = song(names=("a", "b", "c"))
    score.tracks = list(score.tracks)[::-1]
    sheet = lead_sheet(score)
    assert len(sheet.melody) == 64 and sheet.melody[0].velocity == 100


def test_the_top_line_of_a_piano_is_its_melody() -> None:
    score = song()
    notes = [n for own in score.tracks for n in own.notes]
    single = symusic.Score(QUARTER)
    single.time_signatures.append(symusic.TimeSignature(0, 4, 4))
    single.tempos.append(symusic.Tempo(0, qpm=120.0))
    single.tracks.append(track("piano", 0, notes))
    sheet = lead_sheet(single)
    wanted = [TUNE[(b // 4 + b % 4) % 8] for b in range(64)]
    assert [n.pitch for n in sheet.melody] == wanted
    assert [n.pitch for n in sheet.bass] == [CHANGES[b % 4][0] for b in range(16)]


def test_the_top_line_has_one_note_an_onset_and_is_in_order() -> None:
    random = np.random.default_rng(0)
    start = np.sort(random.integers(0, 64, 200) / 4)
    beats = np.stack([start, start + 0.5, random.integers(40, 84, 200), np.full(200, 80)], axis=1)
    beats = beats[np.lexsort((beats[:, 2], beats[:, 0]))]
    line = top_line(beats)
    assert len(np.unique(onset_groups(beats)[line])) == len(line) > 20
    assert (np.diff(beats[line, 0]) > 0).all()


def test_sections_that_repeat_have_one_name() -> None:
    score = song(32)
    for own in score.tracks:
        for n in own.notes:
            if 8 <= n.time // (4 * QUARTER) % 16 < 16:
                n.pitch += 5 if n.pitch > 50 else -2
                n.duration //= 2
    sheet = lead_sheet(score)
    assert [section.name for section in sheet.sections] == ["A", "B", "A", "B"]
    assert {section.beats for section in sheet.sections} == {32}


def test_energy_rises_with_density_and_velocity() -> None:
    score = song(16)
    score.tracks.append(
        track("kit", 0, [note(32 + b / 2, 0.2, 42, 110) for b in range(64)], drums=True)
    )
    energy = np.array(lead_sheet(score).energy)
    assert energy[8:].min() > energy[:8].max()
    assert energy.min() >= 0 and energy.max() <= 1


def test_the_same_score_gives_the_same_sheet() -> None:
    assert lead_sheet(song()) == lead_sheet(song())


def test_another_tracks_line_leads_where_the_melody_rests() -> None:
    score = song(bars=24)
    flute = score.tracks[0]
    kept = [n for n in flute.notes if not 32 * QUARTER <= n.time < 64 * QUARTER]
    flute.notes.clear()
    flute.notes.extend(kept)
    answer = [note(32 + beat, 0.9, 76 - beat % 5, 90) for beat in range(32)]
    score.tracks.append(track("trumpet", 56, [*answer, note(0, 0.9, 70), note(40, 0.9, 60)]))
    sheet = lead_sheet(score)
    alone = [n for n in sheet.melody if 16 <= n.start < 32]  # at 120: beats 32 to 64
    assert len(alone) >= 32 and {n.pitch for n in alone} >= {72, 73, 74, 75, 76}
    assert not any(n.pitch == 70 for n in sheet.melody)  # the flute leads there
    assert len(sheet.melody) + len(sheet.bass) + len(sheet.others) == score.note_num()


def test_chords_do_not_lead_where_the_melody_rests() -> None:
    score = song(bars=24)
    flute = score.tracks[0]
    kept = [n for n in flute.notes if not 32 * QUARTER <= n.time < 64 * QUARTER]
    flute.notes.clear()
    flute.notes.extend(kept)
    assert len(lead_sheet(score).melody) == len(kept)


def test_a_bass_is_no_melody_where_something_else_plays() -> None:
    score = song(names=("", "", ""))
    piano, bass = score.tracks[1], score.tracks[2]
    piano.notes.extend(score.tracks[0].notes)
    busy = [note(beat, 0.9, 36 + 2 * (beat % 5), 120) for beat in range(64)]
    bass.notes.clear()
    bass.notes.extend(busy)
    del score.tracks[0]
    for program in (33, 0):  # by its program, and by its register
        score.tracks[1].program = program
        sheet = lead_sheet(score)
        assert min(n.pitch for n in sheet.melody) >= 60


def test_bars_are_looked_up_by_beat_also_outside_of_the_song() -> None:
    bars = (Bar(0, 3, 4), Bar(3, 4, 4), Bar(7, 6, 8))
    sheet = LeadSheet(tuple(float(beat) for beat in range(10)), bars)
    assert sheet.bar_lines.tolist() == [0, 3, 7, 9]
    # What begins a rounding error before a bar line is in the bar after it.
    places = [-2.0, 0.0, 2.9, 3 - 1e-9, 3.0, 6.99, 8.0, 30.0]
    assert sheet.bar_at(places).tolist() == [0, 0, 0, 1, 1, 1, 2, 2]


def test_keys_are_looked_up_by_beat() -> None:
    bars = (Bar(0, 4, 4),)
    sheet = LeadSheet((0.0, 1.0), bars, keys=(Key(2.0, 0), Key(8.0, 9, "minor")))
    assert [sheet.key_at(beat).tonic for beat in (0.0, 2.0, 7.9, 8.0, 99.0)] == [0, 0, 0, 9, 9]
    assert LeadSheet((0.0, 1.0), bars).key_at(0.0) is None
    assert sheet.keys[0].scale == sheet.keys[1].scale == {0, 2, 4, 5, 7, 9, 11}
    assert Key(0.0, 7, "minor").scale == {7, 9, 10, 0, 2, 3, 5}
