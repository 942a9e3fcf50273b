"""Levels beyond full scale, silent channels, and the notices about them."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import soundfile
import torch
from torch import Tensor

from audiotransfer.audio.loudness import LoudnessMeter
from audiotransfer.audio.reading import read_audio
from audiotransfer.audio.tags.id3 import Frame
from audiotransfer.audio.tags.reading import read_tags
from audiotransfer.audio.tags.tags import Tags
from audiotransfer.audio.true_peak import measure_true_peak
from audiotransfer.audio.writing import write_audio
from audiotransfer.pipeline import Song, TransferOptions, remix, transfer, transfer_file
from audiotransfer.pipeline.finishing import level_for
from audiotransfer.pipeline.measuring import measure
from audiotransfer.pipeline.reporting import Tracker
from audiotransfer.pipeline.sources import MemorySource
from audiotransfer.styles import Style
from separation.baselines import MixSeparator

RATE = 44100


class Leaks:
    """A transfer that knows the sides, and lets something of each be heard on the other."""

    context = 64
    grid = 1

    def __call__(self, stem: Tensor, strength: float = 1.0, *_: Any, **__: Any) -> Tensor:
        late = torch.nn.functional.pad(stem, (13, 0))[..., : stem.shape[-1]]
        return stem + strength * (0.4 * late + 0.3 * stem.flip(0))


def a_style() -> Style:
    leaks = Leaks()
    return Style("stub", {name: leaks for name in ("drums", "bass", "other", "vocals", "mix")})


def options(**changes: Any) -> TransferOptions:
    wanted = {"style": a_style(), "separator": MixSeparator(), "device": "cpu", **changes}
    return TransferOptions(**wanted)


def a_song(seconds: float = 2.0, peak_db: float = -6.0, channels: int = 2) -> Tensor:
    """Decaying notes and noise, the loudest sample as asked for."""
    time = torch.arange(round(seconds * RATE)) / RATE
    random = torch.Generator().manual_seed(channels)
    song = torch.stack([torch.sin(2 * math.pi * (220 + 90 * c) * time) for c in range(channels)])
    song = song * torch.exp(-3 * (time % 0.5)) + 0.05 * torch.randn(song.shape, generator=random)
    return song * 10 ** (peak_db / 20) / song.abs().max()


def loudness(audio: Tensor) -> float:
    meter = LoudnessMeter(RATE, audio.shape[0])
    meter.push(audio)
    return meter.integrated()


def null_db(one: Tensor, other: Tensor) -> float:
    error = (one - other).double().square().mean()
    return 10 * math.log10(float(error / other.double().square().mean()) + 1e-30)


def written(tmp_path: Path, song: Tensor, name: str, **changes: Any) -> tuple[Tensor, list[str]]:
    """What a float file of the song becomes, and the notices."""
    source = tmp_path / "song.wav"
    write_audio(source, song, RATE, encoding="float32", overwrite=True)
    report = transfer_file(source, tmp_path / name, options(overwrite=True, **changes))
    return read_audio(tmp_path / name)[0], report.notices


# --- above full scale ------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "encoding"), [("a.wav", "int16"), ("a.flac", "int24")])
@pytest.mark.parametrize("over", [6.5, 9.0, 12.0, 30.0])
def test_a_song_far_above_full_scale_is_turned_down(tmp_path, name, encoding, over):
    song = a_song(peak_db=over)
    out, notices = written(tmp_path, song, name, strength=0.0, encoding=encoding)
    gain = float((out * song).sum() / song.square().sum())
    assert null_db(out, gain * song) < -70
    assert measure_true_peak(out) == pytest.approx(1.0, abs=1e-3)
    (notice,) = notices
    assert f"{over:.1f} dB above full scale" in notice and "--float32" in notice
    assert f"turned down by {-20 * math.log10(gain):.1f} dB" in notice


@pytest.mark.parametrize("over", [0.3, 1.0, 5.9])
@pytest.mark.parametrize(("name", "encoding"), [("a.wav", "int16"), ("a.flac", "int24")])
def test_a_song_just_above_full_scale_is_limited(tmp_path, name, encoding, over):
    song = a_song(3.0)
    struck = slice(RATE, RATE + 500)
    song[:, struck] *= 10 ** (over / 20) / song[:, struck].abs().max()
    out, notices = written(tmp_path, song, name, strength=0.0, encoding=encoding)
    assert measure_true_peak(out) <= 1.0 + 1e-4
    assert int((out.abs() > 0.9999).sum()) < 3  # nothing is clipped
    step = 2.0**-15
    for same in (slice(0, RATE - 300), slice(2 * RATE, None)):  # the rest is let alone
        assert float((out - song)[:, same].abs().max()) < step
    (notice,) = notices
    assert f"{over:.1f} dB above full scale" in notice and "limited" in notice
    assert "--float32" in notice


def test_float32_keeps_what_is_above_full_scale(tmp_path):
    song = a_song(peak_db=9.0)
    out, notices = written(tmp_path, song, "a.wav", strength=0.0, encoding="float32")
    assert torch.equal(out, song) and notices == []
    assert torch.equal(transfer(Song(song, RATE), options().style, strength=0.0).audio, song)


@pytest.mark.parametrize("over", [0.3, 5.0, 12.0])
def test_a_song_in_memory_is_written_below_full_scale(tmp_path, caplog, over):
    song = Song(a_song(peak_db=over), RATE)
    song.write(tmp_path / "a.flac")
    assert "--float32" in caplog.text and f"{over:.1f} dB" in caplog.text
    out = read_audio(tmp_path / "a.flac")[0]
    assert measure_true_peak(out) <= 1.0 + 1e-4
    turned = song.audio / (measure_true_peak(song.audio) if over > 6 else 1.0)
    assert loudness(out) == pytest.approx(loudness(turned), abs=3.0 if over == 5.0 else 0.2)
    song.write(tmp_path / "a.wav", encoding="float32")
    assert torch.equal(read_audio(tmp_path / "a.wav")[0], song.audio)


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "mp3"])
def test_writing_says_nothing(tmp_path, capfd, suffix):
    written(tmp_path, a_song(), f"a.{suffix}")
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("suffix", ["ogg", "mp3"])
def test_codecs_get_no_more_than_full_scale(tmp_path, suffix):
    out, notices = written(tmp_path, a_song(peak_db=9.0), f"a.{suffix}", strength=0.0)
    assert measure_true_peak(out) < 1.0
    assert f"which {suffix} cannot hold" in notices[0] and "--float32" in notices[0]


def test_peaks_between_samples_are_no_reason_to_touch_a_song(tmp_path):
    time = torch.arange(RATE) / RATE
    song = torch.sin(2 * math.pi * RATE / 4 * time + math.pi / 4)[None] * 1.41
    song = (song * 32767 / 32768 / song.abs().max() * 32768).round() / 32768
    assert measure_true_peak(song) > 1.3
    out, notices = written(tmp_path, song, "a.wav", strength=0.0)
    assert torch.equal(out, song) and notices == []


@pytest.mark.parametrize("over", [0.5, 4.0, 7.0, 12.0])
def test_a_transferred_song_above_full_scale_is_as_loud_as_the_song_turned_down(tmp_path, over):
    song = a_song(peak_db=over)
    out, notices = written(tmp_path, song, "a.wav")
    assert measure_true_peak(out) <= 1.0 + 1e-4
    turned = song / measure_true_peak(song) if over > 6 else song
    assert loudness(out) == pytest.approx(loudness(turned), abs=1.0)
    assert len(notices) == (over > 1)  # decoders of mp3 give that much


def test_levels_below_full_scale_are_as_they_were():
    for suffix, changed, ceiling in (
        (".wav", False, 1.2), (".wav", True, 1.0), (".mp3", False, 1.2), (".mp3", True, 0.891),
    ):  # fmt: skip
        level = level_for(0.99, 1.2, changed=changed, encoding="int16", suffix=suffix)
        assert level.gain == 1.0 and level.notice is None
        assert level.ceiling == pytest.approx(ceiling, abs=1e-3)


def test_remixed_stems_above_full_scale_are_turned_down(tmp_path):
    stems = tmp_path / "song.stems"
    stems.mkdir()
    song = a_song(peak_db=9.0)
    for name, share in (("drums", 0.25), ("vocals", 0.75)):
        write_audio(stems / f"{name}.wav", share * song, RATE, encoding="float32")
    report = remix(stems, tmp_path / "a.wav")
    out = read_audio(tmp_path / "a.wav")[0]
    assert null_db(out, song / measure_true_peak(song)) < -60
    assert "9.0 dB above full scale" in report.notices[0]


# --- channels without a sound ----------------------------------------------------------------


@pytest.mark.parametrize("dead", [0, 1])
@pytest.mark.parametrize("left_over", [0.0, 1e-4])
def test_a_channel_without_a_sound_stays_without(dead, left_over):
    """The other one becomes what it would be in a mono song, as loud."""
    mono = a_song(channels=1)
    song = torch.cat((mono, mono))
    random = torch.Generator().manual_seed(5)
    song[dead] = (
        left_over * mono.abs().max() * (2 * torch.rand(mono.shape[1], generator=random) - 1)
    )
    style, separator = a_style(), MixSeparator()
    out = transfer(Song(song, RATE), style, separator=separator, device="cpu").audio
    alone = transfer(Song(mono, RATE), style, separator=separator, device="cpu").audio
    assert null_db(out[1 - dead], alone[0]) < -60
    assert loudness(out) == pytest.approx(loudness(song), abs=0.1)
    if left_over:
        gain = float((out[dead] * song[dead]).sum() / song[dead].square().sum())
        assert null_db(out[dead], gain * song[dead]) < -60 and 0.3 < gain < 1.5
    else:
        assert not out[dead].any()


def test_the_stems_of_a_dead_channel_are_dead_too(tmp_path):
    song = a_song()
    song[1] = 0.0
    source = tmp_path / "song.wav"
    write_audio(source, song, RATE, encoding="float32")
    folder = tmp_path / "stems"
    transfer_file(source, tmp_path / "a.wav", options(stems_out=folder))
    for path in folder.iterdir():
        stem = read_audio(path)[0]
        assert stem[0].any() and not stem[1].any()
    assert not read_audio(tmp_path / "a.wav")[0][1].any()


def test_sides_that_sound_one_after_the_other_are_both_alive():
    song = a_song(4.0)
    song[0, : 2 * RATE] = 0.0
    song[1, 2 * RATE :] = 0.0
    measured = measure(MemorySource(song, RATE, "song"), Tracker(None))
    assert measured.active_channels == [0, 1]
    out = transfer(Song(song, RATE), a_style(), separator=MixSeparator(), device="cpu").audio
    assert out[0, : 2 * RATE].any()  # the style lets it


def test_silence_has_no_dead_channel():
    measured = measure(MemorySource(torch.zeros(2, 1000), RATE, "song"), Tracker(None))
    assert measured.active_channels == [0, 1] and measured.rms == 0.0


# --- tags ------------------------------------------------------------------------------------


def test_one_notice_names_the_tags_that_are_not_kept(tmp_path):
    source = tmp_path / "song.mp3"
    tags = Tags({"title": ("T",)}, frames=(Frame("POPM", b"a\0\1\0\0\0\0"),))
    write_audio(source, a_song(), RATE, tags=tags)
    for suffix, notices in (
        ("flac", ["tags that a.flac does not hold: ratings"]), ("mp3", []),
    ):  # fmt: skip
        report = transfer_file(source, tmp_path / f"a.{suffix}", options(strength=0.0))
        assert report.notices == notices
        assert read_tags(tmp_path / f"a.{suffix}").get("title") == "T"


@pytest.mark.parametrize("level", [1e-40, 1e-30, 1e-12])
def test_a_song_at_the_level_of_denormals_counts_as_silent(tmp_path, level):
    soundfile.write(tmp_path / "a.wav", a_song().double().numpy().T * level, RATE, "DOUBLE")
    asked = TransferOptions(style="jazz", separator="embedded", device="cpu", encoding="float32")
    report = transfer_file(tmp_path / "a.wav", tmp_path / "b.wav", asked)
    assert "the song is silent: so is the result" in report.notices
    audio, _ = read_audio(tmp_path / "b.wav")
    assert audio.shape == a_song().shape and audio.abs().max() <= level


@pytest.mark.parametrize(("encoding", "peak_db"), [("int16", -110.0), ("int24", -160.0)])
def test_a_song_that_rounds_to_silence_gets_a_notice(tmp_path, encoding, peak_db):
    Song(a_song(peak_db=peak_db), RATE).write(tmp_path / "a.wav", encoding="float32")
    asked = options(encoding=encoding)
    report = transfer_file(tmp_path / "a.wav", tmp_path / "b.wav", asked)
    (notice,) = report.notices
    assert f"{-peak_db:.0f} dB below full scale" in notice and "--float32" in notice
    assert not read_audio(tmp_path / "b.wav")[0].any()
    report = transfer_file(tmp_path / "a.wav", tmp_path / "c.wav", options(encoding="float32"))
    assert report.notices == [] and read_audio(tmp_path / "c.wav")[0].any()
