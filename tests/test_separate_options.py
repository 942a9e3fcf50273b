"""Options of `separate`: stems, formats, sample rates and names of files."""

from __future__ import annotations

import io
import json
import math
import os
import tempfile
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import soundfile
import torch
from demucs.htdemucs import HTDemucs
from torch import Tensor

from audiotransfer import pipeline
from audiotransfer.audio.reading import read_audio
from audiotransfer.audio.writing import AudioWriter, write_audio
from audiotransfer.errors import AudioTransferError
from audiotransfer.pipeline import StemFormat, TransferOptions
from separation.demucs.checkpoints import save_bag

RATE = 44100
FOUR = ("drums", "bass", "other", "vocals")
Run = Callable[..., tuple[int, str, str]]


def a_song(seconds: float = 1.0, rate: int = RATE, channels: int = 2, level: float = 0.2) -> Tensor:
    """A chord and clicks: something for each stem, with sound up to half of the rate."""
    random = torch.Generator().manual_seed(7)
    time = torch.arange(round(seconds * rate)) / rate
    chord = torch.stack(
        [
            sum(torch.sin(2 * math.pi * f * time + c) for f in (82.4, 220.0, 329.6))
            for c in range(channels)
        ]
    )
    noise = torch.randn(channels, len(time), generator=random)
    return level * (0.3 * chord + 0.4 * noise * (-(time % 0.25) * 30).exp() + 0.02 * noise)


def write(path: Path, audio: Tensor, rate: int = RATE) -> Path:
    write_audio(path, audio, rate, encoding="float32")
    return path


def null_db(one: Tensor, other: Tensor) -> float:
    error = (one - other).double().square().mean()
    return 10 * math.log10(float(error / other.double().square().mean()) + 1e-30)


def read_all(folder: Path) -> dict[str, Tensor]:
    return {path.name: read_audio(path)[0] for path in sorted(folder.iterdir())}


def separate(song: Path, folder: Path, separator: Any = "hpss", **form: Any) -> pipeline.Report:
    options = TransferOptions(separator=separator, device="cpu", stem_format=StemFormat(**form))
    return pipeline.separate_file(song, folder, options)


def refusal(call: Callable[..., Any], *args: Any, **changes: Any) -> str:
    with pytest.raises(AudioTransferError) as raised:
        call(*args, **changes)
    message = str(raised.value)
    assert "\n" not in message
    return message


@pytest.fixture
def song(tmp_path: Path) -> Path:
    return write(tmp_path / "song.wav", a_song())


@pytest.fixture(scope="module")
def small_demucs(tmp_path_factory: pytest.TempPathFactory) -> str:
    torch.manual_seed(0)
    made = HTDemucs(
        list(FOUR), channels=8, dconv_depth=1, t_layers=1, t_heads=2, segment=Fraction(1)
    )
    return f"demucs:{save_bag(tmp_path_factory.mktemp('bag'), 'small', [made.eval()])}"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder to stand in, with song.wav."""
    place = tmp_path / "here"
    place.mkdir()
    write(place / "song.wav", a_song())
    monkeypatch.chdir(place)


def here() -> set[str]:
    return {str(path) for path in Path().rglob("*") if path.is_file()}


# Which stems


@pytest.fixture(params=["hpss", "embedded", "none", "demucs"])
def separator(request: pytest.FixtureRequest, small_demucs: str) -> str:
    return small_demucs if request.param == "demucs" else request.param


def test_two_stems_sum_to_the_song_with_every_separator(
    song: Path, tmp_path: Path, separator: str
) -> None:
    one = "other" if separator == "none" else "vocals"
    report = separate(song, tmp_path / "two", separator, two_stems=one)
    found = read_all(tmp_path / "two")
    assert set(found) == {f"{one}.wav", f"no_{one}.wav"}
    assert null_db(sum(found.values()), read_audio(song)[0]) <= -60
    separate(song, tmp_path / "all", separator)
    everything = read_all(tmp_path / "all")
    assert torch.equal(found[f"{one}.wav"], everything[f"{one}.wav"])
    assert list(report.stems) == [one, f"no_{one}"]
    assert report.stems[f"no_{one}"].files == (str(tmp_path / "two" / f"no_{one}.wav"),)


def test_only_some_stems_with_every_separator(song: Path, tmp_path: Path, separator: str) -> None:
    wanted = ("other",) if separator == "none" else ("drums", "vocals")
    report = separate(song, tmp_path / "some", separator, stems=wanted)
    separate(song, tmp_path / "all", separator)
    found, everything = read_all(tmp_path / "some"), read_all(tmp_path / "all")
    assert set(found) == {f"{stem}.wav" for stem in wanted}
    assert all(torch.equal(found[name], everything[name]) for name in found)
    assert set(report.stems) == set(wanted)


def test_unknown_stems_are_named_with_the_nearest(song: Path, tmp_path: Path) -> None:
    forms: list[dict[str, Any]] = [{"stems": ("vocal",)}, {"two_stems": "vocal"}]
    for form in forms:
        message = refusal(separate, song, tmp_path / "stems", "embedded", **form)
        assert "unknown stem 'vocal'" in message and "did you mean vocals?" in message
        message = refusal(separate, song, tmp_path / "stems", "none", **form)
        assert "(separator none)" in message and "there are other" in message
    both = refusal(StemFormat, stems=("drums",), two_stems="vocals")
    assert "contradict" in both
    assert not (tmp_path / "stems").exists()


def test_two_stems_are_not_for_transfers(song: Path, tmp_path: Path) -> None:
    options = TransferOptions(
        gains_db={"drums": 1}, separator="hpss", stem_format=StemFormat(two_stems="drums")
    )
    message = refusal(pipeline.transfer_file, song, tmp_path / "o.wav", options)
    assert "separate" in message


# Rate, channels, kinds of file


@pytest.mark.parametrize("separator", ["hpss", "none"])
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("rate", [8000, 22050, 44100, 48000, 96000])
def test_stems_at_the_songs_own_rate_sum_to_it(
    tmp_path: Path, rate: int, channels: int, separator: str
) -> None:
    audio = a_song(0.731, rate, channels)
    song = write(tmp_path / "song.wav", audio, rate)
    separate(song, tmp_path / "stems", separator, rate="song")
    found = read_all(tmp_path / "stems")
    info = soundfile.info(tmp_path / "stems" / "other.wav")
    assert (info.samplerate, info.channels, info.frames) == (rate, channels, audio.shape[1])
    assert info.subtype == "FLOAT"
    assert all(stem.shape == audio.shape for stem in found.values())
    assert null_db(sum(found.values()), audio) <= -60
    if separator == "hpss":
        assert all(stem.abs().max() > 0.01 for stem in found.values())


@pytest.mark.parametrize("length", [1, 2, 147, 44099])
def test_odd_lengths_come_back_exactly(tmp_path: Path, length: int) -> None:
    audio = a_song(1.0, 48000)[:, :length]
    song = write(tmp_path / "song.wav", audio, 48000)
    separate(song, tmp_path / "stems", rate="song")
    assert null_db(sum(read_all(tmp_path / "stems").values()), audio) <= -60


def test_blocks_do_not_matter_at_the_songs_own_rate(tmp_path: Path) -> None:
    audio = a_song(8.0, 48000)
    song = write(tmp_path / "song.wav", audio, 48000)
    options = TransferOptions(
        separator="none", stem_format=StemFormat(rate="song", two_stems="other"), block=65536
    )
    pipeline.separate_file(song, tmp_path / "stems", options)
    found = read_all(tmp_path / "stems")
    assert null_db(found["other.wav"], audio) <= -100
    assert found["no_other.wav"].shape == audio.shape


def test_more_channels_come_out_stereo(tmp_path: Path) -> None:
    song = write(tmp_path / "song.wav", a_song(0.3, 48000, 6), 48000)
    report = separate(song, tmp_path / "stems", rate="song")
    assert soundfile.info(tmp_path / "stems" / "drums.wav").channels == 2
    assert any("folded to stereo" in notice for notice in report.notices)


@pytest.mark.parametrize(
    ("form", "subtype", "floor"),
    [
        ({"format": "wav"}, "FLOAT", -60),
        ({"format": "wav", "encoding": "int16"}, "PCM_16", -60),
        ({"format": "wav", "encoding": "int24"}, "PCM_24", -60),
        ({"format": "flac"}, "PCM_24", -60),
        ({"format": "flac", "encoding": "int16"}, "PCM_16", -60),
        ({"format": "ogg"}, "VORBIS", -15),
        ({"format": "mp3"}, "MPEG_LAYER_III", -15),
    ],
)
@pytest.mark.parametrize("rate", ["44100", "song"])
def test_kinds_of_files(
    tmp_path: Path, form: dict[str, str], subtype: str, floor: float, rate: str
) -> None:
    audio = a_song(1.0, 48000)
    song = write(tmp_path / "song.wav", audio, 48000)
    report = separate(song, tmp_path / "stems", rate=rate, **form)
    paths = sorted((tmp_path / "stems").iterdir())
    assert [path.name for path in paths] == [f"{stem}.{form['format']}" for stem in sorted(FOUR)]
    info = soundfile.info(paths[0])
    assert (info.subtype, info.samplerate) == (subtype, 48000 if rate == "song" else RATE)
    assert report.notices == []
    if rate == "song":
        found = [read_audio(path)[0][:, : audio.shape[1]] for path in paths]
        assert null_db(sum(found), audio) <= floor


def test_what_a_format_cannot_hold_is_refused_before_the_work(tmp_path: Path) -> None:
    song = write(tmp_path / "song.wav", a_song(0.2, 96000), 96000)
    stems = tmp_path / "stems"
    assert "96000 Hz" in refusal(separate, song, stems, format="mp3", rate="song")
    assert "float32" in refusal(separate, song, stems, format="flac", encoding="float32")
    assert "int24" in refusal(separate, song, stems, format="ogg", encoding="int24")
    assert "wav, flac" in refusal(separate, song, stems, format="aiff")
    assert not stems.exists()
    separate(song, stems, format="mp3")


@pytest.mark.parametrize("form", [{"format": "flac"}, {"encoding": "int16"}, {"format": "mp3"}])
def test_stems_above_full_scale_get_one_gain(tmp_path: Path, form: dict[str, str]) -> None:
    """A song at full scale has stems beyond it. They must stay in balance."""
    audio = a_song(level=1.0)
    song = write(tmp_path / "song.wav", audio * 3 / audio.abs().max())
    separate(song, tmp_path / "exact")
    report = separate(song, tmp_path / "stems", **form)
    (notice,) = report.notices
    assert "above full scale" in notice and "softer" in notice and "32-bit float" in notice
    exact = list(read_all(tmp_path / "exact").values())
    found = [stem[:, : audio.shape[1]] for stem in read_all(tmp_path / "stems").values()]
    peak = max(float(stem.abs().max()) for stem in exact)
    assert peak > 1
    if form.get("format") == "mp3":
        for stem, before in zip(found, exact, strict=True):
            gain = float(stem.square().mean().sqrt() / before.square().mean().sqrt())
            assert abs(20 * math.log10(gain * peak)) < 0.6  # the codec takes the highest octave
    else:
        for stem, before in zip(found, exact, strict=True):
            assert stem.abs().max() < 1
            assert null_db(stem * peak, before) < -70


def test_float_stems_keep_their_level_above_full_scale(tmp_path: Path) -> None:
    song = write(tmp_path / "song.wav", a_song(level=2.0))
    report = separate(song, tmp_path / "stems")
    assert report.notices == []
    assert null_db(sum(read_all(tmp_path / "stems").values()), read_audio(song)[0]) <= -60


def test_silence_has_silent_stems(tmp_path: Path) -> None:
    song = write(tmp_path / "song.wav", torch.zeros(1, 9000), 48000)
    separate(song, tmp_path / "stems", format="flac", rate="song")
    found = read_all(tmp_path / "stems")
    assert all(stem.shape == (1, 9000) and not stem.any() for stem in found.values())


# Beside a transfer


def shifted(rate: str = "song", **form: Any) -> TransferOptions:
    return TransferOptions(
        gains_db={"drums": -6.0},
        separator="hpss",
        encoding="float32",
        stem_format=StemFormat(rate=rate, **form),
    )


@pytest.mark.parametrize("form", ["wav", "flac"])
def test_stems_beside_a_transfer_are_written_alike(tmp_path: Path, form: str) -> None:
    from dataclasses import replace

    audio = a_song(1.0, 48000, 1)
    song = write(tmp_path / "song.wav", audio, 48000)
    options = replace(shifted(format=form), stems_out=tmp_path / "stems")
    report = pipeline.transfer_file(song, tmp_path / "out.wav", options)
    separate(song, tmp_path / "alone", format=form, rate="song")
    beside, alone = read_all(tmp_path / "stems"), read_all(tmp_path / "alone")
    assert set(beside) == set(alone) == {f"{stem}.{form}" for stem in FOUR}
    assert all(torch.equal(beside[name], alone[name]) for name in alone)
    assert null_db(sum(beside.values()), audio) <= -60
    assert report.stems["drums"].files == (str(tmp_path / "stems" / f"drums.{form}"),)


@pytest.mark.parametrize("rate", ["song", "44100"])
@pytest.mark.parametrize("channels", [1, 2])
def test_played_stems_at_the_songs_own_rate_remix_to_the_transfer(
    tmp_path: Path, channels: int, rate: str
) -> None:
    from dataclasses import replace

    from audiotransfer.styles import Keep, Style

    class Softer:
        context, grid = 0, 1

        def __call__(self, stem: Tensor, strength: float = 1.0, *_: Any, **__: Any) -> Tensor:
            return stem * (1 - 0.5 * strength)

    audio = a_song(1.0, 48000, channels)
    song = write(tmp_path / "song.wav", audio, 48000)
    style = Style("soft", {"drums": Softer(), "other": Keep()})
    options = replace(shifted(rate), style=style, gains_db={}, stems_out=tmp_path / "stems")
    pipeline.transfer_file(song, tmp_path / "out.wav", options)
    assert {"drums.wav", "drums.soft.wav", "other.wav"} <= set(read_all(tmp_path / "stems"))
    report = pipeline.remix(tmp_path / "stems", tmp_path / "again.wav", encoding="float32")
    again, found = read_audio(tmp_path / "again.wav")
    if rate == "song":
        assert (found, report.channels) == (48000, channels)
        assert null_db(again, read_audio(tmp_path / "out.wav")[0]) <= -60


# Back to a song


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("form", ["wav", "flac", "ogg", "mp3"])
@pytest.mark.parametrize("which", [{}, {"two_stems": "drums"}])
def test_remix_reads_back_what_was_separated(
    tmp_path: Path, channels: int, form: str, which: dict[str, str]
) -> None:
    audio = a_song(1.0, 48000, channels)
    song = write(tmp_path / "song.wav", audio, 48000)
    separate(song, tmp_path / "stems", format=form, rate="song", **which)
    report = pipeline.remix(tmp_path / "stems", tmp_path / "again.wav", encoding="float32")
    again, rate = read_audio(tmp_path / "again.wav")
    assert (rate, report.channels, again.shape[0]) == (48000, channels, channels)
    lossy = form in ("ogg", "mp3")
    assert null_db(again[:, : audio.shape[1]], audio) <= (-15 if lossy else -60)
    assert lossy or again.shape == audio.shape


def test_a_subset_is_mixed_as_it_is(song: Path, tmp_path: Path) -> None:
    separate(song, tmp_path / "stems", "embedded", stems=("drums", "vocals"))
    pipeline.remix(tmp_path / "stems", tmp_path / "again.wav", encoding="float32")
    expected = sum(read_all(tmp_path / "stems").values())
    assert null_db(read_audio(tmp_path / "again.wav")[0], expected) < -100


def test_what_would_be_mixed_twice_is_refused(song: Path, tmp_path: Path) -> None:
    stems, out = tmp_path / "stems", tmp_path / "again.wav"
    separate(song, stems, "embedded")
    separate_again = TransferOptions(
        separator="embedded", overwrite=True, stem_format=StemFormat(two_stems="vocals")
    )
    pipeline.separate_file(song, stems, separate_again)
    message = refusal(pipeline.remix, stems, out)
    assert "no_vocals holds bass, drums, other already" in message and "--mute" in message
    pipeline.remix(stems, out, mutes=["no_vocals"], encoding="float32")
    assert null_db(read_audio(out)[0], read_audio(song)[0]) <= -60


def test_stems_of_two_kinds_are_told_apart(song: Path, tmp_path: Path) -> None:
    separate(song, tmp_path / "stems")
    separate(song, tmp_path / "stems", format="flac")
    message = refusal(pipeline.remix, tmp_path / "stems", tmp_path / "again.wav")
    assert "bass.wav" in message and "bass.flac" in message


@pytest.mark.parametrize("name", ["{song} {stem}", "{stem} - {song}", "{style}/{stem}", "x.{stem}"])
def test_remix_knows_stems_by_any_name(tmp_path: Path, name: str) -> None:
    from dataclasses import replace

    from audiotransfer.styles import Keep, Style

    class Softer:
        context, grid = 0, 1

        def __call__(self, stem: Tensor, *_: Any, **__: Any) -> Tensor:
            return 0.5 * stem

    song = write(tmp_path / "01. A drum.wav", a_song())
    options = replace(
        shifted("44100", name=name),
        style=Style("soft", {"drums": Softer(), "other": Keep()}),
        gains_db={},
        stems_out=tmp_path / "stems",
    )
    pipeline.transfer_file(song, tmp_path / "out.wav", options)
    folder = tmp_path / "stems" / "dry" if "/" in name else tmp_path / "stems"
    known = pipeline.stem_versions(folder)
    assert set(known) == set(FOUR)
    assert set(known["drums"]) == ({"dry"} if "/" in name else {"dry", "soft"})
    if "/" in name:
        assert "stems/dry" in refusal(pipeline.stem_versions, tmp_path / "stems")
        assert [path.name for path in (tmp_path / "stems" / "soft").iterdir()] == ["drums.wav"]
    else:
        pipeline.remix(folder, tmp_path / "again.wav", encoding="float32")
        out = read_audio(tmp_path / "out.wav")[0]
        assert null_db(read_audio(tmp_path / "again.wav")[0], out) <= -60


def test_a_renamed_or_replaced_stem_goes_by_its_name(song: Path, tmp_path: Path) -> None:
    stems = tmp_path / "stems"
    separate(song, stems)
    (stems / "other.wav").rename(stems / "band.wav")
    (stems / "drums.wav").unlink()
    write(stems / "drums.mine.wav", a_song(0.5))
    known = pipeline.stem_versions(stems)
    assert set(known) == {"band", "drums", "bass", "vocals"}
    assert set(known["drums"]) == {"mine"}


# Names


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("{song} {stm}", "did you mean {stem}?"),
        ("{nothing}{stem}", "there are {song}, {stem}"),
        ("{0} {stem}", "unknown field {0}"),
        ("{} {stem}", "unknown field {}"),
        ("{stem.__class__}", "unknown field"),
        ("{stem!r}", "nothing else in braces"),
        ("{stem:>9}", "nothing else in braces"),
        ("{stem", "brace"),
        ("{song}", "lacks {stem}"),
        ("../{stem}", "below the folder"),
        ("/{stem}", "below the folder"),
        ("{stem}/", "below the folder"),
        ("{stem}.wav", "--format"),
    ],
)
def test_patterns_that_mean_nothing_are_refused(run: Run, pattern: str, said: str) -> None:
    before = here()
    code, out, err = run("separate", "song.wav", "--name", pattern, "--separator", "none")
    assert (code, out) == (2, "") and said in err and err.count("\n") == 1
    assert here() == before


@pytest.mark.usefixtures("folder")
def test_names_by_pattern(run: Run) -> None:
    light = ("--separator", "hpss")
    code, out, _ = run("separate", "song.wav", "--name", "{stem} of it", "-o", "a", *light)
    assert (code, out) == (0, "a\n")
    code, out, _ = run("separate", "song.wav", "--name", "{song} {stem}", "-o", "b", *light)
    assert (code, out.split("\n")[:2]) == (0, ["b/song drums.wav", "b/song bass.wav"])
    assert run("separate", "song.wav", "--name", "{song}/{{x}} {stem}", *light)[0] == 0
    assert here() == {
        "song.wav",
        *(f"a/{stem} of it.wav" for stem in FOUR),
        *(f"b/song {stem}.wav" for stem in FOUR),
        *(f"song/{{x}} {stem}.wav" for stem in FOUR),
    }
    code, _, err = run("separate", "song.wav", "--name", "{song} {stem}", "-o", "b", *light)
    assert code == 2 and "exists" in err


@pytest.mark.usefixtures("folder")
def test_stems_of_many_songs_in_one_folder(run: Run) -> None:
    for name in ("album/cd1/01.wav", "album/cd2/01.wav", "album/02 {x}.wav"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        write(Path(name), a_song(0.2))
    words = ("separate", "album", "-o", "parts", "--name", "{song} {stem}", "--separator", "hpss")
    code, out, err = run(*words)
    assert code == 0, err
    written = {str(path) for path in Path("parts").rglob("*.wav")}
    assert written == {
        f"parts/{song} {stem}.wav" for song in ("cd1/01", "cd2/01", "02 {x}") for stem in FOUR
    }
    assert set(out.split("\n")) == {*written, ""}
    for path in Path("parts/cd1").iterdir():
        path.unlink()
    code, out, err = run(*words, "--skip-existing")
    assert code == 0 and out.split("\n")[0] == "parts/cd1/01 drums.wav" and out.count("\n") == 4
    # What was written into the songs' folder is not taken for songs.
    Path("parts").rename("album/parts")
    code, _, err = run("separate", "album", "-o", "again", "--name", "{song} {stem}", *words[-2:])
    assert code == 0 and "left out" in err
    assert len(list(Path("again").rglob("*.wav"))) == 12


@pytest.mark.usefixtures("folder")
def test_transfers_are_named_by_pattern(run: Run) -> None:
    light = ("--gain", "drums=-3", "--separator", "hpss")
    code, out, _ = run("song.wav", "--name", "{style} of {song}", "-o", "out/", *light)
    assert (code, out) == (0, "out/mix of song.wav\n")
    named = ("--name", "{song} {stem} {style}", "--format", "flac")
    code, out, err = run("song.wav", *named, "--stems-out", "stems", *light)
    assert (code, out) == (0, "song mix mix.flac\n"), err
    assert {path.name for path in Path("stems").iterdir()} == {
        f"song {stem} dry.wav" for stem in FOUR
    }
    code, _, err = run("song.wav", "--name", "{song}", "-o", "x.wav", *light)
    assert code == 2 and "contradict" in err
    code, _, err = run("song.wav", "--name", "{sogn}", *light)
    assert code == 2 and "did you mean {song}?" in err
    # Never over the song itself.
    code, _, err = run("song.wav", "--name", "{song}", "-f", *light)
    assert code == 2 and "song itself" in err


# The command line


@pytest.mark.usefixtures("folder")
def test_separate_options_on_the_command_line(run: Run) -> None:
    write(Path("mono.wav"), a_song(0.5, 22050, 1), 22050)
    light = ("--separator", "hpss")
    wanted = ("--two-stems", "drums", "--format", "flac", "--int16", "--rate", "song")
    code, out, err = run("separate", "mono.wav", *wanted, *light, "--json")
    assert code == 0, err
    assert list(json.loads(out)["done"][0]["stems"]) == ["drums", "no_drums"]
    info = soundfile.info("mono.stems/no_drums.flac")
    assert (info.samplerate, info.channels, info.subtype) == (22050, 1, "PCM_16")
    code, out, _ = run("remix", "mono.stems", "-o", "again.wav", "--float32")
    assert (code, out) == (0, "again.wav\n")
    assert null_db(read_audio("again.wav")[0], read_audio("mono.wav")[0]) <= -60
    assert run("separate", "song.wav", "--stems", "other, drums", *light)[0] == 0
    assert {path.name for path in Path("song.stems").iterdir()} == {"drums.wav", "other.wav"}


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--stems", "drum"), "did you mean drums?"),
        (("--stems", "drums,,other"), "is not NAME"),
        (("--two-stems", "guitar"), "there are drums, bass, other, vocals"),
        (("--two-stems", "drums", "--stems", "drums"), "not allowed with"),
        (("--format", "mp3", "--int24"), "mp3 has no samples of int24"),
        (("--format", "flac", "--float32"), "flac cannot hold float32"),
        (("--rate", "48000"), "invalid choice"),
    ],
)
def test_requests_that_cannot_be_met_are_one_line(
    run: Run, words: tuple[str, ...], said: str
) -> None:
    before = here()
    code, out, err = run("separate", "song.wav", "--separator", "hpss", *words)
    assert (code, out) == (2, "") and said in err and err.count("\n") == 1
    assert here() == before


@pytest.mark.usefixtures("folder")
def test_remix_mutes(run: Run) -> None:
    assert run("separate", "song.wav", "--separator", "embedded")[0] == 0
    code, _, err = run("remix", "song.stems", "--mute", "vocals,bass", "-o", "a.wav", "--float32")
    assert code == 0, err
    parts = [read_audio(f"song.stems/{stem}.wav")[0] for stem in ("drums", "other")]
    assert null_db(read_audio("a.wav")[0], sum(parts)) < -100
    both = ("--mute", "vocals", "--mute", "bass", "--stem", "other=mute")
    assert run("remix", "song.stems", *both, "-o", "b.wav", "--float32")[0] == 0
    assert null_db(read_audio("b.wav")[0], parts[0]) < -100
    code, _, err = run("remix", "song.stems", "--mute", "vocal", "-o", "c.wav")
    assert code == 2 and "did you mean vocals?" in err
    code, _, err = run("remix", "song.stems", "--mute", ",".join(FOUR), "-o", "c.wav")
    assert code == 2 and "every stem is muted" in err


@pytest.mark.usefixtures("folder")
def test_stems_of_a_transfer_on_the_command_line(run: Run) -> None:
    write(Path("mono.wav"), a_song(0.5, 48000, 1), 48000)
    light = ("--gain", "drums=-3", "--separator", "hpss")
    wanted = ("--stems-out", "s", "--stems-format", "flac", "--stems-rate", "song")
    code, _, err = run("mono.wav", *light, *wanted)
    assert code == 0, err
    info = soundfile.info("s/drums.flac")
    assert (info.samplerate, info.channels, info.subtype) == (48000, 1, "PCM_24")
    code, _, err = run("mono.wav", "-f", *light, "--stems-rate", "song")
    assert code == 2 and "add --stems-out" in err


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("verb", ["transfer", "separate", "remix", "fetch"])
def test_help_fits_a_screen(run: Run, verb: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environ, "COLUMNS", "80")
    code, out, _ = run(verb, "--help")
    assert code == 0
    assert len(out.splitlines()) <= 50 and max(map(len, out.splitlines())) <= 80


def test_a_stop_leaves_nothing_of_made_folders(
    song: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(AudioWriter, "write", stopped)
    for form in ({"format": "flac"}, {}):
        with pytest.raises(KeyboardInterrupt):
            separate(song, tmp_path / "deep" / "er", name="{song}/{stem}", **form)
        assert [path.name for path in tmp_path.iterdir()] == ["song.wav"]


def test_a_full_disk_is_one_line(
    song: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Full(io.BytesIO):
        def write(self, _: Any) -> int:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(tempfile, "TemporaryFile", lambda **_: Full())
    message = refusal(separate, song, tmp_path / "stems", format="flac")
    assert "No space left" in message
    assert not (tmp_path / "stems").exists()
