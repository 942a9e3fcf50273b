"""MusicXML of lead sheets and arrangements: whole bars, ties, triplets, swing, chords."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from xml.etree import ElementTree as Xml

import numpy as np
import pytest

from audiotransfer.leadsheet import (
    QUALITIES,
    Bar,
    Chord,
    Key,
    LeadSheet,
    Note,
    Section,
    musicxml,
    write_musicxml,
)
from audiotransfer.leadsheet.quantising import DIVISIONS, swing_phase
from audiotransfer.synthesis.ensemble import EnsemblePart

VALUES = {"whole": 4, "half": 2, "quarter": 1, "eighth": 0.5, "16th": 0.25, "32nd": 0.125}


def sheet(bars: tuple[Bar, ...], notes: list[tuple[float, float, int]], **fields) -> LeadSheet:
    """A lead sheet at two beats a second; notes are start and length in beats, and pitch."""
    beats = bars[-1].beat + bars[-1].beats
    melody = tuple(Note(start / 2, length / 2, pitch) for start, length, pitch in notes)
    return LeadSheet(tuple(i / 2 for i in range(beats + 1)), bars, melody=melody, **fields)


def common(bars: int) -> tuple[Bar, ...]:
    return tuple(Bar(4 * index) for index in range(bars))


def tree(text: str) -> Xml.Element:
    return Xml.fromstring(text)


def notes_of(part: Xml.Element) -> list[tuple[float, float, int]]:
    """Start and length in quarters and pitch of the notes of a part, ties joined."""
    found: list[tuple[float, float, int]] = []
    bar = 0.0
    for measure in part.iter("measure"):
        at = longest = 0.0
        for element in measure:
            length = float(element.findtext("duration", "0")) / DIVISIONS
            if element.tag == "backup":
                at -= length
            if element.tag != "note":
                continue
            start = at - length if element.find("chord") is not None else at
            if element.find("chord") is None:
                at += length
            longest = max(longest, at)
            pitch = element.find("pitch")
            if pitch is None:
                continue
            steps = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
            key = steps[pitch.findtext("step", "")] + int(pitch.findtext("alter", "0"))
            key += 12 * (int(pitch.findtext("octave", "0")) + 1)
            if any(tie.get("type") == "stop" for tie in element.iter("tie")):
                index = max(i for i, n in enumerate(found) if n[2] == key)
                begin, before, _ = found[index]
                assert begin + before == pytest.approx(bar + start), "a tie has a gap"
                found[index] = (begin, before + length, key)
            else:
                found.append((bar + start, length, key))
        bar += longest
    return found


def check(text: str, bars: tuple[Bar, ...]) -> Xml.Element:
    """Checks that every voice fills every bar with values that are as long as they are written."""
    root = tree(text)
    assert root.tag == "score-partwise"
    identities = [part.get("id") for part in root.find("part-list").iter("score-part")]
    assert identities == [part.get("id") for part in root.iter("part")]
    for part in root.iter("part"):
        measures = list(part.iter("measure"))
        assert len(measures) == len(bars)
        for measure, bar in zip(measures, bars, strict=True):
            voices: Counter[str] = Counter()
            at = 0
            for element in measure:
                if element.tag == "backup":
                    at -= int(element.findtext("duration", ""))
                    assert at == 0
                if element.tag == "note":
                    written(element)
                    if element.find("chord") is None:
                        at += int(element.findtext("duration", ""))
                        voices[element.findtext("voice", "")] += int(
                            element.findtext("duration", "")
                        )
            assert set(voices.values()) == {round(bar.quarters * DIVISIONS)}, measure.get("number")
    return root


def written(note: Xml.Element) -> None:
    """A note's duration is that of its value, dots and triplet."""
    rest = note.find("rest")
    if rest is not None and rest.get("measure") == "yes":
        return
    length = VALUES[note.findtext("type", "")] * (1.5 if note.find("dot") is not None else 1)
    if note.find("time-modification") is not None:
        length *= 2 / 3
    assert int(note.findtext("duration", "")) == pytest.approx(length * DIVISIONS)


def test_a_melody_is_written_as_it_is() -> None:
    notes = [(0, 1, 60), (1, 0.5, 62), (1.5, 1, 64), (2.5, 1.5, 65), (4, 3, 67), (7, 2, 69)]
    song = sheet(common(3), notes, keys=(Key(0, 0),))
    part = check(musicxml(song), song.bars).find("part")
    assert notes_of(part) == [(float(a), float(b), c) for a, b, c in notes]


def test_triplets_are_written_as_such() -> None:
    notes = [(i / 3, 1 / 3, 60 + i) for i in range(3)] + [(1, 2 / 3, 64), (5 / 3, 1 / 3, 65)]
    song = sheet(common(1), notes)
    part = check(musicxml(song), song.bars).find("part")
    assert notes_of(part) == [pytest.approx(note) for note in notes]
    marks = [mark.get("type") for mark in part.iter("tuplet")]
    assert marks == ["start", "stop", "start", "stop"]


def test_swung_eighths_are_written_plain_under_a_direction() -> None:
    random = np.random.default_rng(0)
    notes = []
    for beat in range(32):
        wobble = random.normal(0, 0.02, 2)
        notes += [(max(beat + wobble[0], 0), 0.6, 60), (beat + 0.66 + wobble[1], 0.3, 62)]
    song = sheet(common(8), notes)
    root = check(musicxml(song), song.bars)
    assert notes_of(root.find("part")) == [(i / 2, 0.5, 60 + 2 * (i % 2)) for i in range(64)]
    assert [words.text for words in root.iter("words")] == ["Swing"]
    assert root.find(".//swing/first").text == "2"


def test_straight_eighths_and_triplets_are_not_swing() -> None:
    assert swing_phase(np.arange(32) / 2) is None
    assert swing_phase(np.arange(48) / 3) is None
    assert swing_phase(np.array([0, 0.66] * 8) + np.arange(16) // 2) == pytest.approx(0.66)
    song = sheet(common(4), [(i / 2, 0.5, 60) for i in range(32)])
    assert not list(tree(musicxml(song)).iter("swing"))


@pytest.mark.parametrize("metre", [(3, 4), (6, 8), (5, 4), (7, 8), (12, 8), (2, 2), (3, 16)])
def test_any_metre_has_whole_bars_for_any_notes(metre: tuple[int, int]) -> None:
    bar = Bar(0, *metre)
    bars = tuple(Bar(bar.beats * i, *metre) for i in range(6))
    random = np.random.default_rng(1)
    start = np.sort(random.uniform(0, 6 * bar.beats, 60))
    notes = [(float(s), float(random.uniform(0.05, 3)), int(random.integers(30, 90)))
             for s in start]  # fmt: skip
    root = check(musicxml(sheet(bars, notes)), bars)
    assert root.findtext(".//time/beats") == str(metre[0])
    assert len(notes_of(root.find("part"))) > 20


def test_changes_of_metre_key_and_tempo_and_a_pickup() -> None:
    bars = (Bar(0, 1, 4), Bar(1), Bar(5, 3, 4), Bar(8, 3, 4))
    song = sheet(bars, [(0, 1, 67)], keys=(Key(0, 0), Key(5, 3, "minor")))
    beats = (*song.beats[:6], *(song.beats[5] + np.arange(1, 7)))
    root = check(musicxml(LeadSheet(tuple(beats), bars, song.keys)), bars)
    measures = list(root.iter("measure"))
    assert [m.get("number") for m in measures] == ["0", "1", "2", "3"]
    assert measures[0].get("implicit") == "yes"
    assert [m.findtext(".//time/beats") for m in measures] == ["1", "4", "3", None]
    assert [m.findtext(".//fifths") for m in measures] == ["0", None, "-6", None]
    assert [m.findtext(".//per-minute") for m in measures] == ["120", None, "60", None]


def test_chords_sections_and_no_chord() -> None:
    chords = tuple(Chord(i * 2.0, 2.0, i % 12, q, (i + 4) % 12) for i, q in enumerate(QUALITIES))
    bars = common(len(chords) // 2)
    chords = (*chords[:-1], Chord(chords[-1].beat, 2.0, None))
    song = sheet(
        bars, [(0, 3, 60)], chords=chords, keys=(Key(0, 5),), sections=(Section(0, 52, "A"),)
    )
    root = check(musicxml(song), bars)
    harmonies = list(root.iter("harmony"))
    assert len(harmonies) == len(chords)
    names = [harmony.find("kind") for harmony in harmonies]
    assert names[-1].text == "none" and names[9].text == "dominant"
    assert [kind.get("text") for kind in names[:-1]] == list(QUALITIES)[:-1]
    # The second chord is under the note that began two beats before.
    assert harmonies[1].findtext("offset") == str(2 * DIVISIONS)
    assert root.findtext(".//rehearsal") == "A"


def test_an_arrangement_has_two_staves_for_a_piano_and_unpitched_drums(tmp_path: Path) -> None:
    grid = np.arange(16) / 2
    ones = np.ones(16)
    piano = np.concatenate(
        [np.stack([grid, 0.4 * ones, p * ones, 80 * ones], 1) for p in (40, 47, 72, 76)]
    )
    drums = np.concatenate(
        [np.stack([grid, 0.1 * ones, k * ones, 80 * ones], 1) for k in (51, 36, 81)]
    )
    parts = [
        EnsemblePart("comping", "piano", piano[np.argsort(piano[:, 0], kind="stable")]),
        EnsemblePart("bass", "bass_upright", piano[:16]),
        EnsemblePart("drums", "kit_jazz", drums[np.argsort(drums[:, 0], kind="stable")]),
        EnsemblePart("silent", "organ", np.zeros((0, 4))),
    ]
    song = sheet(common(4), [])
    write_musicxml(tmp_path / "a.musicxml", song, parts)
    text = (tmp_path / "a.musicxml").read_text()
    root = check(text, song.bars)
    first, bass, kit, silent = root.iter("part")
    assert first.findtext(".//staves") == "2"
    assert [clef.text for clef in first.iter("sign")] == ["G", "F"]
    assert sorted(notes_of(first)) == sorted(
        (b, 1.0, p) for b in range(16) for p in (40, 47, 72, 76)
    )
    assert bass.findtext(".//sign") == "F" and len(notes_of(bass)) == 16
    assert len(list(kit.iter("unpitched"))) == 48 and not list(kit.iter("pitch"))
    instruments = {i.get("id") for i in root.iter("score-instrument")}
    assert {i.get("id") for i in kit.iter("instrument")} == instruments
    assert not notes_of(silent)
