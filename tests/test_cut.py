"""Transfer of a part of a song: exact to the sample, in every format, under its own name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import soundfile
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from audiotransfer import Song, pipeline, transfer
from audiotransfer.audio.reading import read_audio
from audiotransfer.audio.tags.reading import read_tags
from audiotransfer.audio.writing import write_audio
from audiotransfer.cli.arguments import seconds
from audiotransfer.errors import AudioTransferError
from audiotransfer.pipeline import Cut, TransferOptions
from audiotransfer.pipeline.sources import CutSource, FileSource, MemorySource

RATE = 44100
Run = Callable[..., tuple[int, str, str]]
KEEP: dict[str, Any] = {"gains_db": {"drums": 0.0}, "separator": "none"}


def a_song(length_s: float, rate: int = RATE, channels: int = 2) -> Tensor:
    random = torch.Generator().manual_seed(5)
    return 0.1 * torch.randn(channels, round(length_s * rate), generator=random)


def joined(source: Any, frames: int = 1000) -> Tensor:
    return torch.cat(list(source.blocks(frames)), -1)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder to stand in, with song.wav of 60 s."""
    place = tmp_path / "here"
    place.mkdir()
    write_audio(place / "song.wav", a_song(60.0, 8000, 1), 8000, encoding="float32")
    monkeypatch.chdir(place)


@settings(deadline=None)
@given(st.integers(1, 50), st.integers(0, 60), st.integers(1, 80), st.integers(1, 30))
def test_a_cut_is_these_samples(length: int, start: int, more: int, frames: int) -> None:
    audio = torch.arange(float(length))[None]
    song = MemorySource(audio, 8000, "song")
    cut = Cut(start / 8000, (start + more) / 8000)
    if start >= length:
        with pytest.raises(AudioTransferError, match="holds nothing"):
            CutSource(song, cut)
        return
    source = CutSource(song, cut)
    expected = audio[:, start : start + more]
    assert source.frames == expected.shape[1]
    assert torch.equal(joined(source, frames), expected)
    for skip in range(expected.shape[1]):
        assert torch.equal(torch.cat(list(source.blocks(frames, skip)), -1), expected[:, skip:])


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".ogg", ".mp3"])
@pytest.mark.parametrize(("start", "end"), [(0.0, 0.7), (0.31, 1.203), (1.0, None), (None, 99.0)])
def test_a_cut_is_exact_in_every_kind_of_file(
    tmp_path: Path, suffix: str, start: float | None, end: float | None
) -> None:
    path = tmp_path / f"song{suffix}"
    write_audio(path, a_song(2.0), RATE)
    whole, _ = read_audio(path)
    first = round((start or 0.0) * RATE)
    expected = whole[:, first : None if end is None else round(end * RATE)]
    found = joined(CutSource(FileSource(path), Cut(start, end)), 30000)
    assert found.shape == expected.shape
    assert torch.equal(found, expected)


@pytest.mark.parametrize("rate", [8000, 44100, 48000])
def test_what_is_done_to_a_cut_is_done_to_these_samples(tmp_path: Path, rate: int) -> None:
    audio = a_song(3.0, rate)
    write_audio(tmp_path / "song.wav", audio, rate, encoding="float32")
    part = audio[:, rate : 2 * rate + 7]
    write_audio(tmp_path / "part.wav", part, rate, encoding="float32")
    options = TransferOptions(
        gains_db={"drums": -6.0}, separator="hpss", encoding="float32", overwrite=True
    )
    report = pipeline.transfer_file(tmp_path / "part.wav", tmp_path / "a.wav", options)
    cut = TransferOptions(**{**vars(options), "cut": Cut(1.0, 2.0 + 7 / rate)})
    again = pipeline.transfer_file(tmp_path / "song.wav", tmp_path / "b.wav", cut)
    assert torch.equal(read_audio(tmp_path / "a.wav")[0], read_audio(tmp_path / "b.wav")[0])
    assert (again.frames, again.seconds) == (part.shape[1], part.shape[1] / rate)
    assert again.loudness_in == report.loudness_in
    for name, options_ in (("part", options), ("song", cut)):
        pipeline.separate_file(tmp_path / f"{name}.wav", tmp_path / name, options_)
    for path in (tmp_path / "part").iterdir():
        assert path.read_bytes() == (tmp_path / "song" / path.name).read_bytes()


def test_tags_are_those_of_the_song(tmp_path: Path) -> None:
    write_audio(tmp_path / "song.wav", a_song(1.0), RATE, tags={"title": "A song"})
    options = TransferOptions(**KEEP | {"gains_db": {"other": -1}}, cut=Cut(end=0.5))
    pipeline.transfer_file(tmp_path / "song.wav", tmp_path / "out.wav", options)
    assert read_tags(tmp_path / "out.wav").get("title") == "A song"


def test_songs_in_memory_can_be_cut() -> None:
    audio = a_song(1.0)
    cut = transfer(Song(audio, RATE), cut=Cut(0.25, 0.5), separator="none", gains_db={"other": -20})
    assert cut.audio.shape == (2, round(0.25 * RATE))


def test_damage_beyond_the_cut_does_not_matter(tmp_path: Path) -> None:
    audio = a_song(3.0)
    audio[0, 10] = audio[0, -1] = float("nan")
    soundfile.write(tmp_path / "song.wav", audio.T.numpy(), RATE, subtype="FLOAT")
    options = TransferOptions(separator="none", cut=Cut(1.0, 2.0))
    pipeline.separate_file(tmp_path / "song.wav", tmp_path / "stems", options)
    expected = audio[:, RATE : 2 * RATE]
    torch.testing.assert_close(read_audio(tmp_path / "stems" / "other.wav")[0], expected)


@pytest.mark.parametrize(
    ("length", "cut", "expected"),
    [
        (60.0, Cut(preview=True), (20.0, 35.0)),
        (20.0, Cut(preview=True), (5.0, 20.0)),
        (15.0, Cut(preview=True), (0.0, 15.0)),
        (4.0, Cut(preview=True), (0.0, 4.0)),
        (60.0, Cut(10.0, preview=True), (10.0, 25.0)),
        (60.0, Cut(50.0, preview=True), (50.0, 60.0)),
        (60.0, Cut(10.0, 12.0, preview=True), (10.0, 12.0)),
        (90.0, Cut(end=30.0, preview=True), (10.0, 25.0)),
    ],
)
def test_a_preview_is_15_seconds_from_a_third_on(
    length: float, cut: Cut, expected: tuple[float, float]
) -> None:
    assert cut.samples(round(length * 1000), 1000) == tuple(round(1000 * t) for t in expected)


@pytest.mark.parametrize(
    "cut", [(2.0, 1.0), (1.0, 1.0), (None, 0.0), (-1.0, None), (float("nan"), None)]
)
def test_cuts_that_hold_nothing_are_refused(cut: tuple[float | None, float | None]) -> None:
    with pytest.raises(AudioTransferError) as raised:
        Cut(*cut)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", 0.0),
        ("90", 90.0),
        ("12.5", 12.5),
        (".5", 0.5),
        ("1:30", 90.0),
        ("0:05.25", 5.25),
        ("75:00", 4500.0),
        ("1:02:03.5", 3723.5),
    ],
)
def test_times_are_read(text: str, value: float) -> None:
    assert seconds(text) == value


# The command line


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--start", "1:75"), "'1:75' is no time"),
        (("--start", "x"), "give seconds or M:SS"),
        (("--start", "-1"), "--start"),
        (("--end", "1e3"), "is no time"),
        (("--start", "30", "--end", "0:30"), "let it end after its start"),
        (("--start", "2:00"), "song.wav: a song of 60.00 s holds nothing from 120 s on"),
    ],
)
@pytest.mark.parametrize("verb", ["transfer", "separate"])
def test_cuts_that_mean_nothing_are_one_line(
    run: Run, verb: str, words: tuple[str, ...], said: str
) -> None:
    also = ("--gain", "other=-3") if verb == "transfer" else ()
    code, out, err = run(verb, "song.wav", *words, *also, "--separator", "none")
    assert (code, out) == (2, "") and said in err and err.count("\n") == 1
    assert [path.name for path in Path().iterdir()] == ["song.wav"]


@pytest.mark.usefixtures("folder")
def test_a_part_never_takes_the_name_of_the_whole(run: Run) -> None:
    light = ("--separator", "none", "-q")
    changed = ("--gain", "other=-3", *light)
    assert run("song.wav", "--preview", *changed)[:2] == (0, "song.preview.mix.wav\n")
    assert soundfile.info("song.preview.mix.wav").duration == 15.0
    assert run("song.wav", "--start", "0:10", "--end", "12.5", *changed)[1] == "song.cut.mix.wav\n"
    assert soundfile.info("song.cut.mix.wav").duration == 2.5
    assert run("separate", "song.wav", "--preview", *light)[1] == "song.preview.stems\n"
    assert soundfile.info("song.preview.stems/other.wav").duration == 15.0
    named = ("--name", "{song} {stem}", "--end", "1")
    assert run("separate", "song.wav", *named, *light)[1] == "song.cut other.wav\n"
    named = ("--name", "{song} {style}", "--end", "1")
    assert run("song.wav", *named, *changed)[1] == "song.cut mix.wav\n"
    stems = ("--name", "{song} {stem} {style}", "--stems-out", "stems", "--preview", "-o", "o/")
    assert run("song.wav", *stems, *changed)[1] == "o/song.preview mix mix.wav\n"
    assert [path.name for path in Path("stems").iterdir()] == ["song.preview other dry.wav"]
    # A name that was given is taken as it is.
    assert run("song.wav", "-o", "x.wav", "--preview", *changed)[1] == "x.wav\n"


@pytest.mark.usefixtures("folder")
def test_previews_of_a_folder_are_not_taken_for_songs(run: Run) -> None:
    changed = ("--gain", "other=-3", "--separator", "none")
    assert run(".", "--preview", *changed)[1] == "song.preview.mix.wav\n"
    code, out, err = run(".", "--preview", "-f", *changed)
    assert (code, out) == (0, "song.preview.mix.wav\n") and "left out" in err


@pytest.mark.usefixtures("folder")
def test_midi_files_are_not_cut(run: Run) -> None:
    import mido

    tune = mido.MidiFile()
    track = mido.MidiTrack()
    tune.tracks.append(track)
    for note in (60, 64, 67, 72) * 8:
        track.append(mido.Message("note_on", note=note, velocity=80, time=0))
        track.append(mido.Message("note_off", note=note, time=240))
    tune.save("tune.mid")
    style = ("--style", "jazz", "--strength", "0")
    code, out, err = run("tune.mid", *style, "--preview")
    assert (code, out) == (2, "") and "MIDI files stay whole" in err and err.count("\n") == 1
    assert not Path("tune.jazz.mid").exists()
    both = ("song.wav", "tune.mid", *style, "--end", "1", "--separator", "none")
    code, out, err = run(*both)
    assert code == 0 and "MIDI files stay whole" in err
    assert set(out.split()) == {"song.cut.jazz.wav", "tune.jazz.mid"}
