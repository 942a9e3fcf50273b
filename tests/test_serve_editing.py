"""Corrections of a lead sheet on the page, the command line of a request, and a song's tracks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from audiotransfer.audio.loudness import LoudnessMeter
from audiotransfer.audio.reading import read_audio
from audiotransfer.cli.arguments import cut
from audiotransfer.cli.verbs import load
from audiotransfer.errors import AudioTransferError
from audiotransfer.leadsheet import Bar, Chord, Key, LeadSheet, symbol
from audiotransfer.pipeline.recording_sheet import _of_song

pytest.importorskip("fastapi", reason="comes with the extra serve, which test brings")

from audiotransfer.server import live_stems
from audiotransfer.server.command import command_line
from audiotransfer.server.editing import edited, sheet_view, with_bar_line, with_chord
from audiotransfer.server.job_tracks import JobTracks
from audiotransfer.server.live_stems import about_stem
from audiotransfer.server.requests import JobRequest
from audiotransfer.server.tracks import SEGMENT, TrackWriter, peaks_of, power_matrices, shown

SHEET = LeadSheet(
    beats=tuple(0.5 * beat for beat in range(13)),
    bars=(Bar(0), Bar(4), Bar(8)),
    keys=(Key(0.0, 0),),
    chords=(Chord(0, 4, 0, "", None, 0.4), Chord(4, 4, 5, "", None, 0.5), Chord(8, 4, 7, "7")),
)
ID = "0" * 32


def nothing() -> None:
    """A check that stops nothing."""


def symbols(sheet: LeadSheet) -> list[tuple[float, float, str]]:
    return [(chord.beat, chord.beats, symbol(chord)) for chord in sheet.chords]


def test_a_chord_is_replaced_where_it_begins() -> None:
    sheet = with_chord(SHEET, 4, "Dm7")
    assert symbols(sheet) == [(0, 4, "C"), (4, 4, "Dm7"), (8, 4, "G7")]
    assert [chord.confidence for chord in sheet.chords] == [0.4, 1.0, 1.0]


def test_a_chord_in_the_middle_of_another_leaves_its_beginning() -> None:
    assert symbols(with_chord(SHEET, 6, "Fm")) == [
        (0, 4, "C"),
        (4, 2, "F"),
        (6, 2, "Fm"),
        (8, 4, "G7"),
    ]


def test_a_bar_line_takes_the_beats_around_it_along() -> None:
    sheet = with_bar_line(SHEET, 1, 2.4)
    assert np.allclose(sheet.beats[:5], np.linspace(0, 2.4, 5))
    assert np.allclose(sheet.beats[4:9], np.linspace(2.4, 4.0, 5))
    assert sheet.beats[9:] == SHEET.beats[9:]
    first = with_bar_line(SHEET, 0, 0.4)
    assert np.allclose(first.beats[:5], np.linspace(0.4, 2.0, 5))
    assert first.beats[5:] == SHEET.beats[5:]


@pytest.mark.parametrize(
    ("edit", "says"),
    [
        ({"kind": "chord", "beat": 4, "symbol": "H7x"}, "no chord"),
        ({"kind": "chord", "beat": 12, "symbol": "C"}, "outside"),
        ({"kind": "bar", "bar": 1, "seconds": 0.05}, "0.10 to 3.90"),
        ({"kind": "bar", "bar": 3, "seconds": 1.0}, "there is no bar 3"),
        ({"kind": "section", "bar": 3, "name": "B"}, "there is no bar 3"),
        ({"kind": "section", "bar": 1, "name": ""}, "give a name"),
    ],
)
def test_what_cannot_be_is_refused(edit: dict[str, object], says: str) -> None:
    with pytest.raises(AudioTransferError, match=says):
        edited(SHEET, [edit])


def test_sections_begin_are_named_and_joined() -> None:
    def names(sheet: LeadSheet) -> list[tuple[int, int, str]]:
        return [(section.beat, section.beats, section.name) for section in sheet.sections]

    two = edited(SHEET, [{"kind": "section", "bar": 1, "name": "B"}])
    assert names(two) == [(0, 4, "A"), (4, 8, "B")]
    assert names(edited(two, [{"kind": "section", "bar": 1, "name": "chorus"}]))[1][2] == "chorus"
    assert names(edited(two, [{"kind": "section", "bar": 1, "name": ""}])) == [(0, 12, "A")]
    assert names(edited(two, [{"kind": "section", "bar": 0, "name": "B"}]))[0] == (0, 4, "B")


def test_the_page_is_shown_times() -> None:
    view = sheet_view(SHEET)
    assert [bar["seconds"] for bar in view["bars"]] == [0.0, 2.0, 4.0]
    assert [(chord["seconds"], chord["symbol"]) for chord in view["chords"]] == [
        (0.0, "C"),
        (2.0, "F"),
        (4.0, "G7"),
    ]
    assert (view["end"], view["key"]) == (6.0, "C major")


def test_a_request_is_the_command_that_does_the_same() -> None:
    request = JobRequest(
        song=ID,
        style="jazz",
        mode="cover",
        strength=0.5,
        stems={"drums": "keep", "bass": "rock@0.3"},
        gains={"lead": 2.0},
        seed=7,
        start=1.5,
        preview=True,
        lead="trumpet",
        effects=False,
        format="flac",
        encoding="int24",
    )
    words = command_line(request, "my song.mp3").replace("'my song.mp3'", "my_song.mp3").split()
    _, parser = load("transfer")
    args = parser.read(words[1:])
    assert (args.songs, args.style, args.mode) == ([Path("my_song.mp3")], "jazz", "cover")
    assert (args.strength, args.seed, args.lead, args.format) == ("0.5", 7, "trumpet", "flac")
    assert args.stem == [("drums", "keep"), ("bass", "rock@0.3")]
    assert args.gain == [("lead", "+2")] and args.encoding == "int24" and not args.effects
    assert (cut(args).start, cut(args).preview) == (1.5, True)
    assert command_line(JobRequest(song=ID, style="jazz"), "-a.mp3").split()[1] == "./-a.mp3"


def test_a_command_has_all_digits_and_the_sound_of_midi() -> None:
    exact = {"strength": 0.123456789, "start": 1234.56789, "end": 4321.0, "swing": 1e-5}
    words = command_line(JobRequest(song=ID, style="jazz", gains={"a": -1.23456789}, **exact), "a")  # type: ignore[arg-type]
    given = words.split()
    for name, value in exact.items():
        text = given[given.index(f"--{name}") + 1]
        assert float(text) == value and "e" not in text
    assert given[given.index("--gain") + 1] == "a=-1.23456789"
    request = JobRequest(song=ID, style="jazz", format="flac")
    assert "--render" in command_line(request, "a.mid", midi=True).split()
    assert "--render" not in command_line(request, "a.mp3").split()


def test_the_command_of_a_corrected_part_has_the_parts_lead_sheet() -> None:
    whole = replace(SHEET, beats=tuple(2.0 * beat for beat in range(13)))
    part = replace(SHEET, beats=tuple(1.2 * beat for beat in range(13)))
    song = SimpleNamespace(frames=15, sample_rate=1, place=(5.0, 24.0))  # 5 s to 20 s of 24 s
    found = [_of_song(sheet, song, Path("a.json"), False) for sheet in (part, whole)]  # type: ignore[arg-type]
    assert found[0] is part
    assert found[1].beats[-1] <= 15.5 and len(found[1].beats) < len(whole.beats)


class Told:
    """Takes what a job's tracks report."""

    def __init__(self) -> None:
        self.tracks: list[dict[str, Any]] = []

    def check(self) -> None:
        pass

    def send(self, track: dict[str, Any]) -> None:
        self.tracks.append(track)


def test_segments_decode_to_the_samples_that_were_put_in(tmp_path: Path) -> None:
    steps = torch.randint(-(1 << 15), 1 << 15, (2, SEGMENT + 777)) / 32768.0
    writer = TrackWriter(tmp_path / "track")
    for piece in steps.split(33_333, -1):
        writer.push(piece)
    writer.finish()
    assert (writer.frames, writer.segments, writer.gains) == (steps.shape[-1], 2, {})
    found = [read_audio(tmp_path / "track" / f"{n}.flac")[0] for n in range(2)]
    assert torch.equal(torch.cat(found, -1), steps)
    assert len(writer.peaks) == -(-steps.shape[-1] // 882) and max(writer.peaks) <= 127


def test_a_segment_above_full_scale_is_divided_by_its_peak(tmp_path: Path) -> None:
    loud = torch.full((2, 2 * SEGMENT), 0.5)
    loud[0, SEGMENT + 1000] = -2.5
    writer = TrackWriter(tmp_path / "track")
    writer.push(loud)
    writer.finish()
    assert writer.gains == {"1": 2.5}
    found = [read_audio(tmp_path / "track" / f"{n}.flac")[0] for n in range(2)]
    assert torch.allclose(torch.cat([found[0], 2.5 * found[1]], -1), loud, atol=1e-4)


def test_a_track_grows_while_its_stem_is_made(tmp_path: Path) -> None:
    told = Told()
    tracks = JobTracks(tmp_path, told)  # type: ignore[arg-type]
    sound = 0.1 * torch.randn(2, 5 * SEGMENT // 2, generator=torch.Generator().manual_seed(0))
    tracks.begin("new-drums", role="new", stem="drums", gain_db=0.0, kept=False)
    for piece in sound.split(SEGMENT // 2 + 5, -1):
        tracks.grow({"new-drums": piece})
    tracks.finish()
    assert [(one["segments"], one["done"]) for one in told.tracks] == [
        (1, False), (2, False), (3, True)
    ]  # fmt: skip
    assert told.tracks[-1]["peaks"] == shown(peaks_of([sound], nothing)[0])
    # What is said of it at the end may be corrected, and its sound is not written again.
    tracks.add("new-drums", "new", lambda: iter([sound]), stem="drums", gain_db=-3.0)
    assert told.tracks[-1]["gain_db"] == -3.0 and len(told.tracks) == 4
    assert tracks.levels()["levels"]["tracks"] == ["new-drums"]


def stem_plan(action: str) -> SimpleNamespace:
    return SimpleNamespace(action=action, gain_db=1.0)


def test_what_is_said_of_a_stem_is_that_of_the_transfer_that_is_made(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    roles = [SimpleNamespace(name="lead", stems=("vocals",)), SimpleNamespace(name="drums")]
    cover = SimpleNamespace(roles=roles, gains_db={"lead": 2.0})
    timbre = SimpleNamespace(
        cover=None, fallback=None, stems={"drums": stem_plan("style"), "other": stem_plan("keep")}
    )
    plan: Any = SimpleNamespace(
        cover=cover,
        fallback=timbre,
        stems={"drums": stem_plan("cover"), "other": stem_plan("cover")},
    )
    monkeypatch.setattr(live_stems, "stems_of", lambda role: ("vocals",))
    band = [("lead", "jazz"), ("drums", "jazz")]
    assert about_stem(plan, "lead", "jazz", band) == {
        "stem": "vocals", "gain_db": 2.0, "kept": False
    }  # fmt: skip
    stems = [("drums", None), ("drums", "jazz"), ("other", None)]
    found = [about_stem(plan, *stem, stems) for stem in stems]
    assert [one["kept"] for one in found] == [False, False, True]
    assert all(one["gain_db"] == 1.0 for one in found)


def test_the_loudness_of_a_mix_follows_from_the_matrices() -> None:
    generator = torch.Generator().manual_seed(0)
    one = torch.randn(2, 3 * 44100, generator=generator) * torch.linspace(0.01, 0.3, 3 * 44100)
    other = 0.5 * one + 0.1 * torch.randn(one.shape, generator=generator)
    made = {"one": lambda: iter([one]), "other": lambda: iter(other.split(50_000, -1))}
    matrices = power_matrices(made, nothing).astype(np.float64)
    gains = np.array([0.7, 0.4])
    powers = np.einsum("i,hij,j->h", gains, matrices, gains)
    blocks = np.convolve(powers, np.full(4, 0.25), "valid")
    blocks = blocks[blocks > blocks.mean() * 0.1]  # the absolute gate lets all of them through
    meter = LoudnessMeter(44100, 2)
    meter.push(0.7 * one + 0.4 * other)
    assert -0.691 + 10 * np.log10(blocks.mean()) == pytest.approx(meter.integrated(), abs=0.01)
