"""Lead sheets as JSON, chord sheets in text, and chord symbols."""

from __future__ import annotations

import dataclasses
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from audiotransfer.errors import AudioTransferError
from audiotransfer.leadsheet import (
    QUALITIES,
    Bar,
    Chord,
    Key,
    LeadSheet,
    Note,
    Section,
    chord_sheet,
    parse_symbol,
    read_chord_sheet,
    read_lead_sheet,
    symbol,
    write_chord_sheet,
    write_lead_sheet,
)
from audiotransfer.leadsheet.chords import UnknownChord
from audiotransfer.leadsheet.files import from_json, to_json
from audiotransfer.leadsheet.spelling import name_of, signature, spelled


def sheet() -> LeadSheet:
    """Four bars of four beats and one of three, at 120; chords on beats and between them."""
    return LeadSheet(
        beats=tuple(i / 2 for i in range(20)),
        bars=(Bar(0), Bar(4), Bar(8), Bar(12), Bar(16, 3, 4)),
        keys=(Key(0.0, 10), Key(8.0, 7, "minor", 0.5)),
        sections=(Section(0, 8, "A"), Section(8, 11, "B")),
        chords=(
            Chord(0, 4, 10, "maj7", None, 0.9),
            Chord(4, 3, 0, "m7", None, 0.8),
            Chord(7, 1.5, 5, "7", 9, 0.4),
            Chord(8.5, 3.5, 7, "m"),
            Chord(12, 4, None),
            Chord(16, 3, 2, "7b9"),
        ),
        melody=(Note(0.0, 0.5, 70, 90), Note(0.5, 0.25, 74)),
        energy=(0.1, 0.2, 0.3, 0.4, 0.5),
        sung=((0.0, 1.5),),
        title="Tune",
    )


# Symbols.


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("Dm7", (2, "m7", None)), ("D-7", (2, "m7", None)), ("Dmin7", (2, "m7", None)),
        ("Dø", (2, "m7b5", None)), ("D-7b5", (2, "m7b5", None)), ("C△", (0, "maj7", None)),
        ("CM7", (0, "maj7", None)), ("Cmaj7", (0, "maj7", None)), ("Bb", (10, "", None)),
        ("B♭7", (10, "7", None)), ("F#", (6, "", None)), ("Gb", (6, "", None)),
        ("C/E", (0, "", 4)), ("Ebmaj7/G", (3, "maj7", 7)), ("C/C", (0, "", None)),
        ("N.C.", (None, "", None)), ("NC", (None, "", None)), ("G7(b9)", (7, "7b9", None)),
        ("C6/9", (0, "69", None)), ("C6/9/E", (0, "69", 4)), ("B°7", (11, "dim7", None)),
        ("C+", (0, "aug", None)), ("C7#5", (0, "aug7", None)), ("Csus", (0, "sus4", None)),
        ("Cm(maj7)", (0, "mmaj7", None)), ("C-Δ7", (0, "mmaj7", None)), ("c#m", (1, "m", None)),
        ("F7#11", (5, "7", None)), ("Abj7", (8, "maj7", None)),
    ],
)  # fmt: skip
def test_spellings_of_chords(text: str, says: tuple[int | None, str, int | None]) -> None:
    assert parse_symbol(text) == says


def test_every_quality_is_read_as_it_is_written() -> None:
    for quality in QUALITIES:
        for root in range(12):
            for key in (Key(0, 3), Key(0, 4), Key(0, 6, "minor")):
                text = symbol(Chord(0, 1, root, quality, (root + 4) % 12), key)
                assert parse_symbol(text) == (root, quality, (root + 4) % 12), text


@pytest.mark.parametrize("text", ["H7", "Cfoo", "", "|", "Dm7/x", "C7b10"])
def test_what_is_no_chord_is_refused(text: str) -> None:
    with pytest.raises(UnknownChord, match=re.escape(repr(text))):
        parse_symbol(text)


@pytest.mark.parametrize("mode", ["major", "minor"])
@pytest.mark.parametrize("tonic", range(12))
def test_scales_have_each_letter_once_and_as_many_accidentals_as_the_key(
    tonic: int, mode: str
) -> None:
    key = Key(0, tonic, mode)
    degrees = (0, 2, 4, 5, 7, 9, 11) if mode == "major" else (0, 2, 3, 5, 7, 8, 10)
    names = [spelled((tonic + degree) % 12, key) for degree in degrees]
    assert len({letter for letter, _ in names}) == 7
    assert sum(alter for _, alter in names) == signature(key)


def test_chromatic_names_follow_the_key() -> None:
    assert [name_of(p, Key(0, 0)) for p in (1, 3, 6, 8, 10)] == ["Db", "Eb", "F#", "Ab", "Bb"]
    assert [name_of(p, Key(0, 4)) for p in (1, 3, 6, 8)] == ["C#", "D#", "F#", "G#"]
    assert name_of(8, Key(0, 9, "minor")) == "G#"
    assert symbol(Chord(0, 1, 2, "7", 6), Key(0, 10)) == "D7/F#"
    assert symbol(Chord(0, 1, 1, "", 5), Key(0, 8)) == "Db/F"


# JSON.


def test_json_keeps_everything(tmp_path: Path) -> None:
    write_lead_sheet(sheet(), tmp_path / "a.json")
    assert read_lead_sheet(tmp_path / "a.json") == sheet()
    with pytest.raises(AudioTransferError, match="exists"):
        write_lead_sheet(sheet(), tmp_path / "a.json")


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("schema", 7, "schema 7"),
        ("beats", [0.0], "fewer than 2"),
        ("beats", [0.0, 1.0, 0.5], "later than"),
        ("bars", [], "at least one bar"),
        ("bars", [{"beat": 1}], "bars before end at 0"),
        ("bars", [{"beat": 0, "numerator": 0}], "no metre"),
        ("chords", [{"beat": 0, "beats": 19, "root": 12}], "chords[0].root is 12"),
        ("chords", [{"beat": 0, "beats": 19, "root": 0, "quality": "maj8"}], "nearest is maj"),
        ("chords", [{"beat": 1, "beats": 18, "root": 0}], "must begin at 0"),
        ("chords", [{"beat": 0, "beats": 3, "root": 0}], "must end at 19"),
        ("chords", [{"beat": 0, "beats": "4", "root": 0}], "chords[0].beats"),
        ("sections", [{"beat": 0, "beats": 19}], "sections[0].name is missing"),
        ("keys", [{"beat": 0, "tonic": 0, "mode": "dorian"}], "major or minor"),
        ("melody", [{"start": 0, "duration": 1, "pitch": 128}], "melody[0]"),
        ("melody", [{"start": float("nan"), "duration": 1, "pitch": 60}], "melody[0]"),
        ("energy", [0.5], "energy has 1 values"),
        ("cords", [], "nearest is chords"),
        ("beats", 3, "beats is 3, but must be a list of numbers"),
        ("chords", 3, "must be a list of mappings with beat, beats, root, quality"),
        ("sung", [[1]], "sung[0] is [1], but must be a list of 2 numbers"),
    ],
)
def test_wrong_values_are_named_in_one_line(key: str, value: object, says: str) -> None:
    values = json.loads(to_json(sheet()))
    values[key] = value
    with pytest.raises(AudioTransferError) as error:
        from_json(json.dumps(values), "x.json")
    assert says in str(error.value) and str(error.value).startswith("x.json")
    assert len(str(error.value).splitlines()) == 1


@pytest.mark.parametrize("key", [field.name for field in dataclasses.fields(LeadSheet)])
def test_a_missing_or_wrong_key_is_named_without_python_types(key: str) -> None:
    for wrong in ({}, {key: {"a": 1}}):
        values = {**json.loads(to_json(sheet())), **wrong}
        if not wrong:
            del values[key]
        try:
            from_json(json.dumps(values), "x.json")
        except AudioTransferError as error:
            assert key in str(error)
            assert not re.search(r"tuple|audiotransfer\.|class", str(error))


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"beats": []}'])
def test_other_files_are_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(AudioTransferError, match=r"x\.json"):
        read_lead_sheet(tmp_path / "x.json")


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(AudioTransferError, match="UTF-8"):
        read_lead_sheet(tmp_path / "x.txt", sheet())
    with pytest.raises(AudioTransferError, match="cannot be read"):
        read_lead_sheet(tmp_path / "gone.txt", sheet())


# Chord sheets.


def test_a_chord_sheet_reads_back_as_it_was(tmp_path: Path) -> None:
    write_chord_sheet(sheet(), tmp_path / "a.txt")
    back = read_lead_sheet(tmp_path / "a.txt", sheet())
    assert back == replace(sheet(), keys=(Key(0.0, 10), Key(8.0, 7, "minor")))


def test_a_chord_sheet_is_as_a_musician_writes_it() -> None:
    lines = [line for line in chord_sheet(sheet()).splitlines() if line[:1] != "#"]
    assert [line for line in lines if line] == [
        "title: Tune", "key: Bb major", "metre: 4/4", "tempo: 120.0", "[A]",
        "| Bbmaj7 | Cm7 . . F7/A |", "[B]", "key: G minor", "| F7/A Gm . . . . . . | N.C. |",
        "metre: 3/4", "| D7b9 |",
    ]  # fmt: skip


def test_corrected_chords_replace_those_of_the_song() -> None:
    text = """
        [Verse]
        | BbM7 | C-7 F7 | % | Gm7 . . D7 |
        # a note of the musician's
        [Chorus]
        key: Dm
        ||: D F#/C# . :|
    """
    back = read_chord_sheet(text, sheet())
    assert [(c.beat, c.beats, symbol(c)) for c in back.chords] == [
        (0, 4, "Bbmaj7"), (4, 2, "Cm7"), (6, 2, "F7"), (8, 2, "Cm7"), (10, 2, "F7"),
        (12, 3, "Gm7"), (15, 1, "D7"), (16, 1, "D"), (17, 2, "F#/C#"),
    ]  # fmt: skip
    assert [(s.beat, s.beats, s.name) for s in back.sections] == [
        (0, 16, "Verse"), (16, 3, "Chorus")
    ]  # fmt: skip
    assert back.keys == (Key(16.0, 2, "minor"),)
    assert back.melody == sheet().melody and back.title == "Tune"


def test_unchanged_chords_keep_their_confidence() -> None:
    text = chord_sheet(sheet()).replace("Cm7 . . F7/A", "C7 . . F7/A")
    back = read_chord_sheet(text, sheet())
    assert back.chords[0].confidence == 0.9 and back.chords[1].confidence == 1.0


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("| C | H7 |", "line 2: 'H7' is no chord"),
        ("| C D E |", "3 chords for 4 beats"),
        ("| |", "a bar is empty"),
        ("| . |", "begins with a dot"),
        ("| C | D | E | F | G | A |", "bar 6 is beyond"),
        ("| C | D |", "has 2 bars, but the song has 5"),
        ("composer: me", "field 'composer'"),
        ("key: H major", "no key"),
        ("Dm7 G7", "no bar, section or field"),
    ],
)
def test_wrong_lines_are_named_by_their_number(line: str, says: str) -> None:
    with pytest.raises(AudioTransferError) as error:
        read_chord_sheet(f"title: x\n{line}\n", sheet(), "a.txt")
    assert says in str(error.value) and str(error.value).startswith("a.txt")
    assert len(str(error.value).splitlines()) == 1


def test_chords_as_text_need_their_song(tmp_path: Path) -> None:
    write_chord_sheet(sheet(), tmp_path / "a.txt")
    with pytest.raises(AudioTransferError, match="give its song"):
        read_lead_sheet(tmp_path / "a.txt")
