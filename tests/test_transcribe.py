"""``audiotransfer transcribe``: lead sheets of MIDI files, written and corrected."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import symusic

from audiotransfer.leadsheet import read_lead_sheet

Run = Callable[..., tuple[int, str, str]]
FILES = ("tune.leadsheet.json", "tune.chords.txt", "tune.musicxml")


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to stand in, with tune.mid: C, G, C, G under a melody."""
    monkeypatch.chdir(tmp_path)
    score = symusic.Score(480)
    score.time_signatures.append(symusic.TimeSignature(0, 4, 4))
    score.tempos.append(symusic.Tempo(0, qpm=100.0))
    melody, chords = symusic.Track("tune", 73), symusic.Track("piano", 0)
    for bar in range(4):
        for tone in ((48, 60, 64, 67), (43, 59, 62, 67))[bar % 2]:
            chords.notes.append(symusic.Note(1920 * bar, 1900, tone, 60))
        for beat in range(4):
            melody.notes.append(symusic.Note(1920 * bar + 480 * beat, 450, 74 - beat % 3, 90))
    score.tracks.extend([melody, chords])
    score.dump_midi(str(tmp_path / "tune.mid"))
    return tmp_path


def test_three_files_are_written_beside_where_one_stands(run: Run, place: Path) -> None:
    code, out, err = run("transcribe", "tune.mid")
    assert (code, err) == (0, "") and out.split() == list(FILES)
    sheet = read_lead_sheet(place / FILES[0])
    assert sheet.title == "tune" and len(sheet.bars) == 4 and len(sheet.melody) == 16
    assert "| C | G | C | G |" in (place / FILES[1]).read_text()
    assert "<score-partwise" in (place / FILES[2]).read_text()


def test_a_corrected_chord_is_read_with_the_song(run: Run, place: Path) -> None:
    run("transcribe", "tune.mid", "-q")
    sheet = read_lead_sheet(place / FILES[0])
    text = (place / FILES[1]).read_text().replace("| C | G | C | G |", "| C | E-7 A7 | C | G |")
    (place / FILES[1]).write_text(text)
    chords = [(c.root, c.quality) for c in read_lead_sheet(place / FILES[1], sheet).chords]
    assert chords == [(0, ""), (4, "m7"), (9, "7"), (0, ""), (7, "")]


def test_files_are_overwritten_only_when_told_to(run: Run, place: Path) -> None:
    (place / FILES[2]).write_text("mine")
    code, out, err = run("transcribe", "tune.mid")
    assert (code, out, err.count("\n")) == (2, "", 1) and "tune.musicxml exists" in err
    assert not (place / FILES[0]).exists() and (place / FILES[2]).read_text() == "mine"
    assert run("transcribe", "tune.mid", "-f")[0] == 0
    assert (place / FILES[2]).read_text() != "mine"


def test_a_folder_that_is_named_is_made_and_json_tells_the_result(run: Run, place: Path) -> None:
    code, out, _ = run("transcribe", "tune.mid", "-o", "new/deep", "--json")
    told = json.loads(out)
    assert code == 0 and told["outputs"] == [f"new/deep/{name}" for name in FILES]
    assert (told["key"], told["metre"], told["tempo"], told["bars"]) == ("C major", "4/4", 100.0, 4)
    assert told["chords"] == ["C", "G", "C", "G"] and told["melody"] == 16


@pytest.mark.parametrize(
    ("name", "data", "says"),
    [
        ("gone.mid", None, "does not exist"),
        ("song.wav", b"RIFF", "cannot be decoded"),
        ("text.mid", b"hello", "text.mid"),
        ("empty.mid", b"", "empty"),
        ("silent.mid", b"MThd\0\0\0\6\0\0\0\1\1\xe0MTrk\0\0\0\4\0\xff\x2f\0", "no notes"),
    ],
)
def test_what_is_no_score_is_refused(
    run: Run, place: Path, name: str, data: bytes | None, says: str
) -> None:
    if data is not None:
        (place / name).write_bytes(data)
    code, out, err = run("transcribe", name)
    assert (code, out, err.count("\n")) == (2, "", 1) and says in err
    assert sorted(path.name for path in place.iterdir()) == sorted(
        ["tune.mid", *([name] if data is not None else [])]
    )


def test_a_folder_is_refused(run: Run, place: Path) -> None:
    code, _, err = run("transcribe", str(place))
    assert code == 2 and "is a folder" in err


def test_a_file_of_drums_has_a_lead_sheet_and_a_notice(run: Run, place: Path) -> None:
    score = symusic.Score(480)
    kit = symusic.Track("kit", 0, True)
    kit.notes.extend([symusic.Note(480 * beat, 60, 38, 80) for beat in range(8)])
    score.tracks.append(kit)
    score.dump_midi(str(place / "kit.mid"))
    code, out, err = run("transcribe", "kit.mid")
    assert code == 0 and len(out.split()) == 3 and "no pitched notes" in err
