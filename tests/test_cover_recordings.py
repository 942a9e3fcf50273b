"""Laws of covers of recordings, on small songs whose lead sheets are given."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import audiotransfer
from audiotransfer import load_style, transfer
from audiotransfer.audio.loudness import LoudnessMeter
from audiotransfer.audio.reading import read_audio
from audiotransfer.audio.writing import write_audio
from audiotransfer.cli.main import main
from audiotransfer.cover.span import part_of_sheet, prolonged
from audiotransfer.errors import AudioTransferError
from audiotransfer.leadsheet import LeadSheet, Note, write_lead_sheet
from audiotransfer.midi.score import read_score
from audiotransfer.pipeline import Song, remix, transfer_file
from audiotransfer.pipeline.cache import Cache
from audiotransfer.pipeline.options import from_fields
from audiotransfer.pipeline.plan import prepare
from audiotransfer.pipeline.recording_cover import cover_recording
from audiotransfer.styles import Style
from audiotransfer.transcription import Transcription

RATE = 44100
SECONDS = 9.0
BPM = 120.0
SHIPPED = Path(audiotransfer.__file__).parent / "styles/shipped"
Run = Callable[..., tuple[int, str, str]]


class Shares:
    """Separates a mix into fixed shares of it; counts its calls."""

    stems = ("drums", "bass", "other", "vocals")
    sample_rate = RATE
    context, grid = 0, 1
    identity = "shares"

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, mix: Tensor, generator: torch.Generator | None = None) -> dict[str, Tensor]:
        self.calls += 1
        shares = (0.125, 0.125, 0.25, 0.5)
        return {name: share * mix for name, share in zip(self.stems, shares, strict=True)}


@pytest.fixture
def sheet(chart: Callable[..., LeadSheet]) -> LeadSheet:
    """Four bars in C with a melody and a bass, in a song of nine seconds."""
    plain = chart("C | Am | F | G7", bpm=BPM)
    tones = (72, 76, 74, 77, 79, 76, 74, 72)
    melody = tuple(Note(float(at), 0.9, tone) for at, tone in enumerate(tones))
    bass = tuple(Note(2.0 * bar, 1.8, root) for bar, root in enumerate((36, 33, 41, 43)))
    return replace(plain, melody=melody, bass=bass, energy=(0.5,) * 4)


@pytest.fixture
def sung(sheet: LeadSheet) -> LeadSheet:
    """The same, with singing in its second half."""
    return replace(sheet, sung=((4.0, 8.0),))


@pytest.fixture
def given(sheet: LeadSheet, sung: LeadSheet, tmp_path: Path) -> dict[str, Path]:
    """The lead sheets as files."""
    paths = {"plain": tmp_path / "a.leadsheet.json", "sung": tmp_path / "b.leadsheet.json"}
    write_lead_sheet(sheet, paths["plain"])
    write_lead_sheet(sung, paths["sung"])
    return paths


def jazz() -> Style:
    """The jazz band, without the networks of its timbre."""
    return Style("jazz", {}, band=SHIPPED / "jazz-midi" / "band.yaml")


def sound(seconds: float = SECONDS, rate: int = RATE, channels: int = 2) -> Tensor:
    """Chords of sines with an attack at each beat."""
    time = torch.arange(round(seconds * rate)) / rate
    beat = time % (60 / BPM)
    tones = [torch.sin(2 * math.pi * tone * time) for tone in (130.8, 261.6, 329.6, 392.0)]
    mono = 0.1 * torch.stack(tones).sum(0) * torch.exp(-3.0 * beat)
    sides = torch.stack([mono, mono.roll(20)])
    return sides[:channels].clone()


def cover(audio: Tensor, rate: int = RATE, **options: Any) -> Tensor:
    """The cover of a song, by default with a separator that costs nothing."""
    options = {"style": jazz(), "separator": Shares(), **options}
    return transfer(Song(audio, rate), **options).audio


def loudness(audio: Tensor, rate: int = RATE) -> float:
    meter = LoudnessMeter(rate, audio.shape[0])
    meter.push(audio)
    return meter.integrated()


@pytest.mark.parametrize(("rate", "channels"), [(44100, 2), (22050, 1), (48000, 2)])
def test_length_rate_channels_and_loudness_are_the_songs(
    given: dict[str, Path], rate: int, channels: int
) -> None:
    audio = sound(rate=rate, channels=channels)[:, :-7]
    out = cover(audio, rate, leadsheet=given["plain"])
    assert out.shape == audio.shape and out.isfinite().all()
    assert loudness(out, rate) == pytest.approx(loudness(audio, rate), abs=0.5)
    similar = torch.corrcoef(torch.stack([out[0], audio[0]]))[0, 1]
    assert abs(float(similar)) < 0.3


def test_strength_0_is_the_song(given: dict[str, Path]) -> None:
    audio = sound(3.0)
    options = {"strength": 0.0, "leadsheet": given["sung"], "gains_db": {"lead": 3.0}}
    assert torch.equal(cover(audio, **options), audio)


def test_the_same_seed_gives_the_same_samples(given: dict[str, Path]) -> None:
    first, again, other = (
        cover(sound(), leadsheet=given["plain"], seed=seed) for seed in (3, 3, 4)
    )
    assert torch.equal(first, again) and not torch.equal(first, other)


def test_blocks_equal_the_whole(given: dict[str, Path]) -> None:
    options = {"leadsheet": given["sung"], "cache": False}
    whole, blocks = cover(sound(), **options), cover(sound(), **options, block=16384)
    assert torch.allclose(whole, blocks, atol=1e-5)


def test_a_silent_song_and_silences_stay_silent(given: dict[str, Path]) -> None:
    assert not cover(torch.zeros(2, RATE), leadsheet=given["plain"]).any()
    audio = sound()
    audio[:, 3 * RATE : 5 * RATE] = 0.0
    out = cover(audio, leadsheet=given["plain"])
    assert not out[:, round(3.2 * RATE) : round(4.8 * RATE)].any()
    assert out[:, 2 * RATE : 3 * RATE].any() and out[:, 5 * RATE : 6 * RATE].any()


def test_a_fade_out_is_followed(given: dict[str, Path]) -> None:
    audio = sound()
    audio *= 10 ** (-torch.linspace(0, 2, audio.shape[1]).clamp_min(0.5) + 0.5)  # 30 dB at the end
    out = cover(audio, leadsheet=given["plain"])
    ends = [float(out[:, at * RATE : (at + 1) * RATE].square().mean()) for at in (1, 7)]
    assert 10 * math.log10(ends[0] / ends[1]) > 15.0


def test_the_last_chord_is_held_while_the_song_rings(given: dict[str, Path]) -> None:
    out = cover(sound(), leadsheet=given["plain"])  # whose lead sheet ends at 8 s
    assert float(out[:, round(8.3 * RATE) : round(8.7 * RATE)].abs().amax()) > 0.005


class FakeTranscriber:
    """A transcriber with a fixed answer."""

    answer: Transcription
    pushed = 0

    def push(self, mix: Tensor) -> None:
        type(self).pushed += mix.shape[-1]

    def finish(self, title: str = "") -> Transcription:
        return self.answer


@pytest.fixture
def transcriber(sung: LeadSheet, monkeypatch: pytest.MonkeyPatch) -> type[FakeTranscriber]:
    """Stands in for the networks: confident, unless a test gives another answer."""

    class Answer(FakeTranscriber):
        answer = Transcription(sung, 0.9, 0.8, 0.7)

    monkeypatch.setattr("audiotransfer.pipeline.recording_sheet.Transcriber", Answer)
    return Answer


def report_of(tmp_path: Path, **options: Any) -> Any:
    """The report of a song that is transferred from a file to another."""
    song, out = tmp_path / "song.wav", tmp_path / "out.wav"
    write_audio(song, sound(), RATE, encoding="float32", overwrite=True)
    asked = {"separator": Shares(), "overwrite": True, "cache": False, **options}
    return transfer_file(song, out, from_fields(**asked))


def test_auto_takes_what_the_card_says(transcriber: type[FakeTranscriber], tmp_path: Path) -> None:
    report = report_of(tmp_path, style="jazz")
    assert (report.mode, report.stems["bass"].action) == ("cover", "cover")
    assert report.cover.confidence == {"beats": 0.9, "chords": 0.8, "lead": 0.7}
    assert (report.cover.tempo, report.cover.metre, report.cover.key) == (120.0, "4/4", "C major")
    assert len(report.cover.chords) == 4 and report.cover.sung == 9.0  # the vocals are loud
    assert abs(transcriber.pushed - SECONDS * RATE) <= 1
    transcriber.answer = replace(transcriber.answer, voice=0.05)
    assert report_of(tmp_path, style="jazz").cover.sung == 0.0  # a solo instrument
    assert prepare(from_fields(style="rock", separator=Shares())).cover is None
    assert prepare(from_fields(style="bossa", separator=Shares())).cover is not None


def test_auto_takes_timbre_where_the_transcription_is_in_doubt(
    transcriber: type[FakeTranscriber], tmp_path: Path
) -> None:
    transcriber.answer = replace(transcriber.answer, doubt="no steady beat")
    report = report_of(tmp_path, style="jazz", strength=0.0, stems={"bass": "jazz@0"})
    assert report.mode == "timbre"  # at strength 0 nothing is transcribed
    plan = prepare(from_fields(style="jazz", separator=Shares()))
    assert plan.fallback is not None and plan.fallback.cover is None
    quick = Style("jazz", {"other": _Half()}, jazz_card(), band=jazz().band)
    report = report_of(tmp_path, style=quick)
    (notice,) = [line for line in report.notices if "timbre" in line]
    assert report.mode == "timbre" and "no steady beat" in notice
    assert report.stems["other"].action == "style"


def test_a_cover_that_is_asked_for_is_made_despite_doubt(
    transcriber: type[FakeTranscriber], tmp_path: Path
) -> None:
    transcriber.answer = replace(transcriber.answer, doubt="no steady beat")
    report = report_of(tmp_path, style="jazz", mode="cover")
    assert report.mode == "cover" and report.cover.doubt == "no steady beat"
    assert any("the cover may be off: no steady beat" in line for line in report.notices)
    transcriber.answer = Transcription(None, doubt="speech")
    with pytest.raises(AudioTransferError, match=r"nothing to arrange \(speech\)"):
        report_of(tmp_path, style="jazz", mode="cover")
    assert report_of(tmp_path, style=Style("x", {"other": _Half()}, jazz_card(), band=jazz().band))


class _Half:
    """A timbre that halves a stem."""

    context, grid = 0, 1

    def __call__(self, stem: Tensor, *_: Any, **__: Any) -> Tensor:
        return 0.5 * stem


def jazz_card() -> Any:
    """A card whose auto mode is cover."""
    from audiotransfer.styles import Card

    return Card("jazz", "", {}, {}, band="band.yaml", auto="cover")


def parts_of(sheet: LeadSheet, **options: Any) -> dict[str, Any]:
    """The parts of a cover by name, without their sound."""
    plan = prepare(from_fields(style=jazz(), separator=Shares(), **options))
    assert plan.cover is not None
    made = cover_recording(Transcription(sheet), plan.cover, (0.0, SECONDS))
    return {part.name: part for part in made.parts}


def leads(parts: dict[str, Any]) -> tuple[int, int]:
    """Numbers of notes that the lead begins before 4 s, and after."""
    starts = parts["lead"].notes[:, 0] if "lead" in parts else np.zeros(0)
    return int((starts < 3.9).sum()), int((starts >= 3.9).sum())


def test_the_lead_plays_what_it_stands_for(sung: LeadSheet) -> None:
    before, after = leads(parts_of(sung))
    assert before > 0 and after == 0
    assert min(leads(parts_of(sung, stems={"vocals": "cover"}))) > 0
    before, after = leads(parts_of(sung, stems={"vocals": "mute"}))
    assert before > 0 and after == 0
    before, after = leads(parts_of(sung, stems={"vocals": "cover", "other": "keep"}))
    assert before == 0 and after > 0
    assert set(parts_of(sung, stems={"vocals": "cover", "other": "keep"})) == {
        "lead",
        "bass",
        "drums",
    }


def test_own_drums_are_followed_straight(sheet: LeadSheet) -> None:
    keep = parts_of(sheet, stems={"drums": "keep"})
    assert "drums" not in keep
    straight = parts_of(sheet, swing=0.0)
    assert np.array_equal(keep["comping"].notes, straight["comping"].notes)
    swung = parts_of(sheet)
    assert not np.array_equal(keep["comping"].notes[:, 0], swung["comping"].notes[:, 0])


@pytest.mark.parametrize("bpm", [60.0, 150.0, 290.0])
def test_the_band_is_on_the_songs_own_beats(chart: Callable[..., LeadSheet], bpm: float) -> None:
    plain = chart("C | Am | F | G7", times=4, bpm=bpm)
    drift = 1.0 + 0.05 * np.sin(np.arange(len(plain.beats)) / 5.0)
    times = np.r_[0.0, np.cumsum(60.0 / bpm * drift[1:])] + 0.7
    sheet = replace(plain, beats=tuple(times.tolist()), energy=(0.6,) * len(plain.bars))
    plan = prepare(from_fields(style=jazz(), separator=Shares()))
    assert plan.cover is not None
    made = cover_recording(Transcription(sheet), plan.cover, (0.7, float(times[-1])))
    bass = next(part for part in made.parts if part.name == "bass").notes[:, 0]
    lines = sheet.time_at(sheet.bar_lines[:-1])
    nearest = np.abs(bass[:, None] - lines).min(0)
    assert np.median(nearest) < 0.04 and np.mean(nearest < 0.08) > 0.9


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"tempo": 90.0}, "tempo: a cover of a recording has the song's own beats"),
        ({"intro": 2}, "intro: a cover of a recording"),
        ({"transpose": 2, "stems": {"bass": "keep"}}, "bass of the song would keep its key"),
        ({"mode": "timbre"}, "style 'jazz' changes no timbre"),
        ({"stems": {"bass": "timbre"}}, "stem bass=timbre: style 'jazz' has none"),
        ({"gains_db": {"leed": 1}}, "did you mean lead"),
        ({"lead": "trumpett"}, "did you mean trumpet"),
        ({"stems": {name: "mute" for name in Shares.stems}}, "every stem is muted"),
        ({"mode": "network"}, "a recording has cover or timbre"),
        ({"style": Style("x", {"other": _Half()}), "mode": "cover"}, "style 'x' has no band"),
        ({"style": Style("x", {"other": _Half()}), "stems": {"bass": "cover"}}, "has no band"),
        ({"style": None, "stems": {"bass": "cover"}}, "needs the style whose band plays"),
    ],
)
def test_what_contradicts_itself_is_refused(options: dict[str, Any], says: str) -> None:
    with pytest.raises(AudioTransferError) as caught:
        prepare(from_fields(**{"style": jazz(), "separator": Shares(), **options}))
    assert says in str(caught.value) and "\n" not in str(caught.value)


def test_a_kept_singer_cannot_be_transposed(given: dict[str, Path]) -> None:
    with pytest.raises(AudioTransferError, match="somebody sings"):
        cover(sound(), leadsheet=given["sung"], transpose=2)
    assert cover(sound(), leadsheet=given["sung"], transpose=2, stems={"vocals": "cover"}).any()


def test_stems_are_the_parts_and_sum_to_the_cover(given: dict[str, Path], tmp_path: Path) -> None:
    folder = tmp_path / "stems"
    options = {"leadsheet": given["sung"], "encoding": "float32"}
    report = report_of(tmp_path, style=jazz(), stems_out=folder, **options)
    names = {path.name for path in folder.iterdir()}
    assert names >= {"lead.jazz.wav", "comping.jazz.wav", "bass.jazz.wav", "vocals.wav"}
    assert not names & {"bass.wav", "other.wav", "drums.wav"}
    assert report.cover.parts["bass"].files == (str(folder / "bass.jazz.wav"),)
    total = torch.stack([read_audio(folder / name)[0] for name in sorted(names)]).sum(0)
    out, _ = read_audio(tmp_path / "out.wav")
    gain = float((total * out).sum() / total.square().sum())
    assert abs(20 * math.log10(gain)) < 4.5  # shares of one mix add up to more than voice and band
    assert torch.allclose(gain * total, out, atol=1e-4)
    voice, _ = read_audio(folder / "vocals.wav")
    assert voice[:, 5 * RATE : 7 * RATE].any()
    report_of(tmp_path, style=jazz(), **options)
    same = read_audio(tmp_path / "out.wav")[0]  # with or without stems
    assert torch.allclose(same, out, atol=1e-5)
    remix(folder, tmp_path / "mix.wav", mutes=["lead"], encoding="float32")
    lead, _ = read_audio(folder / "lead.jazz.wav")
    assert torch.allclose(read_audio(tmp_path / "mix.wav")[0], total - lead, atol=1e-4)


def test_the_arrangement_is_written_as_midi(given: dict[str, Path], tmp_path: Path) -> None:
    place = tmp_path / "cover.mid"
    report = report_of(tmp_path, style=jazz(), leadsheet=given["plain"], midi_out=place)
    score = read_score(place)
    assert score.note_num() == sum(part.notes for part in report.cover.parts.values())
    assert score.to("second").end() == pytest.approx(SECONDS, abs=0.6)
    with pytest.raises(AudioTransferError, match=r"end it in \.mid"):
        report_of(tmp_path, style=jazz(), midi_out=tmp_path / "cover.wav")


def test_the_command_names_the_files_that_it_wrote(
    given: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    song, out, notes = (str(tmp_path / name) for name in ("song.wav", "out.wav", "notes.mid"))
    write_audio(Path(song), sound(), RATE)
    words = [song, "--style", "jazz", "--separator", "hpss", "--leadsheet", str(given["plain"])]
    assert main([*words, "-o", out, "--midi-out", notes, "--no-cache"]) == 0
    assert capsys.readouterr().out.splitlines() == [out, notes]


def test_options_of_covers_are_named_where_there_is_none(tmp_path: Path) -> None:
    plan = prepare(from_fields(style=Style("x", {"other": _Half()}), separator=Shares(), swing=0.5))
    assert plan.notices[-1] == "swing: for covers only; mode timbre goes without"


def test_gains_are_those_of_parts(given: dict[str, Path], tmp_path: Path) -> None:
    options = {"style": jazz(), "leadsheet": given["plain"], "stems_out": tmp_path / "stems"}
    report_of(tmp_path, **options)
    before, _ = read_audio(tmp_path / "out.wav")
    report_of(tmp_path, **options, gains_db={"lead": -60.0})
    after, _ = read_audio(tmp_path / "out.wav")
    lead, _ = read_audio(tmp_path / "stems" / "lead.jazz.wav")

    def share(mix: Tensor) -> float:
        return float((mix * lead).sum() / lead.square().sum())

    assert share(before) > 0.5 and abs(share(after)) < 0.2


def test_the_cache_changes_no_sample(
    given: dict[str, Path], transcriber: type[FakeTranscriber], tmp_path: Path, cache: Path
) -> None:
    separator = Shares()
    options = {"separator": separator, "mode": "cover", "seed": 1}
    fresh = cover(sound(), **options, cache=False)
    kept = Cache(cache)
    kept.clear()
    assert torch.equal(cover(sound(), **options), fresh)
    calls, pushed = separator.calls, transcriber.pushed
    assert calls > 0 and kept.size > 0
    assert torch.equal(cover(sound(), **options), fresh)
    assert not torch.equal(cover(sound(), **{**options, "seed": 2}), fresh)
    assert (separator.calls, transcriber.pushed) == (calls, pushed)
    assert torch.equal(cover(0.5 * sound(), **options).abs() > 0, fresh.abs() > 0)
    assert separator.calls > calls and transcriber.pushed > pushed  # another song


@pytest.mark.parametrize("limit", [0, 10**9])
def test_a_song_with_a_singer_is_separated_once(
    transcriber: type[FakeTranscriber],
    cache: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    limit: int,
) -> None:
    """Without a cache, and where a song is too long for it, by a file of its own."""
    Cache(cache).clear()
    folder = tmp_path / "out"
    options = {"mode": "cover", "stems": {"vocals": "keep"}}
    kept, without, small = Shares(), Shares(), Shares()
    fresh = cover(sound(), separator=kept, **options)
    assert torch.equal(cover(sound(), separator=without, cache=False, **options), fresh)
    monkeypatch.setattr(Cache, "keeps", lambda self, size: size < limit)
    Cache(cache).clear()
    assert torch.equal(cover(sound(), separator=small, stems_out=folder, **options), fresh)
    assert read_audio(folder / "vocals.wav")[0].any()
    assert (kept.calls, without.calls, small.calls) == (1, 1, 1)


def test_damaged_entries_are_written_anew(transcriber: type[FakeTranscriber], cache: Path) -> None:
    separator = Shares()
    options = {"separator": separator, "mode": "cover"}
    Cache(cache).clear()
    fresh = cover(sound(), **options)
    for entry in cache.iterdir():
        data = bytearray(entry.read_bytes())
        data[len(data) // 2] ^= 1
        entry.write_bytes(data)
    calls, pushed = separator.calls, transcriber.pushed
    assert torch.equal(cover(sound(), **options), fresh)
    assert separator.calls > calls and transcriber.pushed > pushed
    for entry in cache.iterdir():
        entry.write_bytes(entry.read_bytes()[:-9])
    assert torch.equal(cover(sound(), **options), fresh)


def test_the_cache_keeps_what_was_used_last(tmp_path: Path) -> None:
    import os

    cache = Cache(tmp_path / "cache", limit=1000)
    for age, key in enumerate("abcd"):
        cache.write(key, bytes(300))
        os.utime(tmp_path / "cache" / f"{key}.entry", (100 + age, 100 + age))
    assert cache.read("a") is None and cache.read("b") == bytes(300)
    cache.write("e", bytes(300))
    assert [key for key in "bcde" if cache.read(key) is not None] == ["b", "d", "e"]
    cache.write("f", bytes(600))  # more than half of the limit
    assert cache.read("f") is None
    assert cache.clear() == 3 * 304 and cache.size == 0
    (tmp_path / "file").touch()
    Cache(tmp_path / "file").write("a", b"1")  # no folder: nothing is kept, nothing is raised
    assert list(tmp_path.rglob("*.part")) == []


def test_a_style_can_be_called_on_sound(given: dict[str, Path]) -> None:
    style = load_style("bossa")
    audio = sound().numpy()
    out = style(audio, RATE, leadsheet=given["plain"])
    assert out.shape == audio.shape and not np.array_equal(out, audio)
    with pytest.raises(AudioTransferError, match="changes no timbre"):
        style(audio, RATE, mode="timbre")


def test_a_cut_has_its_part_of_the_lead_sheet(given: dict[str, Path], tmp_path: Path) -> None:
    from audiotransfer.pipeline import Cut

    report = report_of(tmp_path, style=jazz(), leadsheet=given["plain"], cut=Cut(2.0, 6.0))
    assert report.seconds == 4.0 and len(report.cover.chords) == 2
    assert report.cover.chords[0].startswith("Am")


@pytest.mark.parametrize("kept", [{}, {"stems": {"other": "keep"}}])
def test_a_cover_has_the_same_samples_with_stems_and_without(
    given: dict[str, Path], tmp_path: Path, kept: dict[str, Any]
) -> None:
    asked = {"style": jazz(), "leadsheet": given["plain"], **kept}
    report_of(tmp_path, **asked)
    samples = read_audio(tmp_path / "out.wav")[0]
    report = report_of(tmp_path, stems_out=tmp_path / "stems", **asked)
    assert len(list((tmp_path / "stems").iterdir())) > 2 and report.mode == "cover"
    assert torch.equal(read_audio(tmp_path / "out.wav")[0], samples)


@pytest.mark.parametrize("of_part", [False, True])
def test_the_lead_sheet_that_a_cover_was_made_from_gives_it_again(
    given: dict[str, Path], tmp_path: Path, of_part: bool
) -> None:
    """Also that of a part, which begins with it and not with the song."""
    from audiotransfer.pipeline import Cut

    cut = Cut(2.0, 6.0) if of_part else Cut()
    asked = {"style": jazz(), "cut": cut, "sheet_out": tmp_path / "sheet.json"}
    first = report_of(tmp_path, leadsheet=given["plain"], **asked)
    samples = read_audio(tmp_path / "out.wav")[0]
    again = {**asked, "leadsheet": tmp_path / "sheet.json", "leadsheet_of_part": of_part}
    second = report_of(tmp_path, keep_parts=True, **{**again, "sheet_out": None})
    assert torch.equal(read_audio(tmp_path / "out.wav")[0], samples)
    assert second.cover.chords == first.cover.chords


def test_parts_of_lead_sheets_and_longer_ones(sung: LeadSheet) -> None:
    part = part_of_sheet(sung, 3.0, 3.6)
    assert np.allclose(part.beats, np.arange(8) / 2)
    assert [(bar.beat, bar.beats) for bar in part.bars] == [(0, 2), (2, 4), (6, 1)]
    assert [(chord.beat, chord.root) for chord in part.chords] == [(0, 9), (2, 5), (6, 7)]
    assert [note.start for note in part.melody] == [0.0, 1.0, 2.0, 3.0]
    assert part.sung == ((1.0, 3.6),)
    longer = prolonged(replace(sung, beats=tuple(beat + 1.6 for beat in sung.beats)), 0.0, 12.0)
    assert np.allclose(longer.beats[:4], (0.1, 0.6, 1.1, 1.6))
    assert np.allclose(longer.beats[-1], 9.6 + 4 * 0.5 + 0.0)
    assert [(bar.beat, bar.beats) for bar in longer.bars][:2] == [(0, 3), (3, 4)]
    assert sum(bar.beats for bar in longer.bars) == len(longer.beats) - 1
    ends = [chord.beat + chord.beats for chord in longer.chords]
    assert ends[-1] == len(longer.beats) - 1 and longer.chords[0].beat == 0
    assert prolonged(sung, 0.0, 8.0) is sung


@pytest.fixture
def place(
    given: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Path]:
    """A folder with a song and its lead sheets, in which commands run."""
    write_audio(tmp_path / "song.wav", sound(rate=22050, channels=1), 22050)
    monkeypatch.chdir(tmp_path)
    yield tmp_path


def test_the_command_makes_a_cover(run: Run, place: Path) -> None:
    words = ("--style", "jazz", "--mode", "cover", "--leadsheet", "a.leadsheet.json")
    code, out, err = run("song.wav", *words, "--lead", "trumpet", "--gain", "lead=-3", "--json")
    assert (code, err) == (0, "")
    (done,) = json.loads(out)["done"]
    assert (done["output"], done["mode"], done["separator"]) == ("song.jazz.wav", "cover", "none")
    assert done["cover"]["parts"]["lead"] == {
        "instrument": "trumpet",
        "notes": done["cover"]["parts"]["lead"]["notes"],
        "gain_db": -3.0,
        "files": [],
    }
    audio, rate = read_audio(place / "song.jazz.wav")
    assert (audio.shape, rate) == (read_audio(place / "song.wav")[0].shape, 22050)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--tempo", "90"), "tempo: a cover of a recording"),
        (("--leadsheet", "gone.json"), "gone.json does not exist"),
        (("--stem", "bass=covers"), "stem bass: unknown style 'covers'"),
        (("--stem", "bass=covers"), "keep, mute, cover and timbre are taken as well"),
        (("--mode", "timbre", "--stem", "bass=cover@1"), "expected keep, mute, cover, timbre"),
    ],
)
def test_a_line_says_what_is_wrong(
    run: Run, place: Path, words: tuple[str, ...], says: str
) -> None:
    code, out, err = run("song.wav", "--style", "jazz", *words)
    assert (code, out) == (2, "") and says in err and len(err.splitlines()) == 1


def test_doctor_shows_and_clears_the_cache(run: Run, cache: Path) -> None:
    kept = Cache(cache)
    kept.write("a", bytes(2_000_000))
    code, out, _ = run("doctor", "--clear-cache", "--json")
    assert code == 0 and json.loads(out)["removed"] >= 2_000_000 and kept.size == 0
