"""Audio files: round trips in every format, and one-line errors."""

from __future__ import annotations

import os
import resource
import signal
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import psutil
import pytest
import soundfile
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from audiotransfer.atomic import clear_own, clear_stale, temporary_path
from audiotransfer.audio.reading import find_audio, open_audio, probe_audio, read_audio
from audiotransfer.audio.tags.reading import read_tags
from audiotransfer.audio.writing import AudioWriter, check_output, write_audio
from audiotransfer.errors import AudioTransferError

DATA = Path(__file__).parent / "data"
TAGS = {
    "title": "Überall 日本",
    "artist": "Ärt",
    "album": "Album",
    "date": "1999",
    "tracknumber": "3/12",
    "genre": "Jazz",
    "comment": "a, b; c – d",
}


def tone(channels: int, frames: int, rate: int = 44100) -> torch.Tensor:
    time = torch.arange(frames, dtype=torch.float64) / rate
    waves = [0.3 * torch.sin(2 * torch.pi * 220 * (n + 1) * time) for n in range(channels)]
    return torch.stack(waves).float()


def refused(path: Path, *words: str) -> str:
    """Reading fails with one line that names the file and holds the words."""
    with pytest.raises(AudioTransferError) as caught, open_audio(path) as reader:
        for _ in reader.blocks(4096):
            pass
    message = str(caught.value)
    assert "\n" not in message and str(path) in message
    for word in words:
        assert word in message
    return message


# --- reading ---------------------------------------------------------------------------------

LOSSLESS = [
    ("wav", "WAV", "PCM_U8"),
    ("wav", "WAV", "PCM_16"),
    ("wav", "WAV", "PCM_24"),
    ("wav", "WAV", "PCM_32"),
    ("wav", "WAV", "FLOAT"),
    ("wav", "WAV", "DOUBLE"),
    ("wav", "WAVEX", "PCM_16"),
    ("wav", "WAVEX", "PCM_24"),
    ("wav", "WAVEX", "FLOAT"),
    ("wav", "RF64", "PCM_16"),
    ("flac", "FLAC", "PCM_16"),
    ("flac", "FLAC", "PCM_24"),
    ("aiff", "AIFF", "PCM_16"),
    ("aiff", "AIFF", "PCM_24"),
    ("aif", "AIFF", "FLOAT"),
]


@pytest.mark.parametrize(("suffix", "container", "subtype"), LOSSLESS)
@pytest.mark.parametrize("channels", [1, 2, 6, 8])
def test_lossless_formats_give_their_samples(tmp_path, suffix, container, subtype, channels):
    path = tmp_path / f"a.{suffix}"
    audio = tone(channels, 4099)
    soundfile.write(path, audio.T.numpy(), 44100, subtype, format=container)
    read, rate = read_audio(path)
    step = {"PCM_U8": 2.0**-7, "PCM_16": 2.0**-15}.get(subtype, 2.0**-22)
    assert rate == 44100 and read.dtype == torch.float32
    assert read.shape == audio.shape
    assert (read - audio).abs().max() <= step
    info = probe_audio(path)
    assert (info.channels, info.frames, info.suffix) == (channels, 4099, f".{suffix}")


@pytest.mark.parametrize(
    ("suffix", "container", "subtype", "rates"),
    [
        ("ogg", "OGG", "VORBIS", (8000, 44100, 96000)),
        ("opus", "OGG", "OPUS", (8000, 16000, 48000)),
        ("mp3", "MP3", "MPEG_LAYER_III", (8000, 22050, 44100, 48000)),
    ],
)
@pytest.mark.parametrize("channels", [1, 2])
def test_lossy_formats_give_the_sound(tmp_path, suffix, container, subtype, rates, channels):
    for rate in rates:
        path = tmp_path / f"{rate}.{suffix}"
        audio = tone(channels, rate, rate)
        soundfile.write(path, audio.T.numpy(), rate, subtype, format=container)
        read, found = read_audio(path)
        assert found == rate and read.shape == audio.shape
        assert (read - audio).pow(2).mean() < 0.01 * audio.pow(2).mean()


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "mp3"])
def test_blocks_and_parts_are_the_whole(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    torch.manual_seed(0)
    write_audio(path, 0.1 * torch.randn(2, 60007), 44100)
    whole, _ = read_audio(path)
    with open_audio(path) as reader:
        blocks = list(reader.blocks(1013))
    assert all(block.shape[1] == 1013 for block in blocks[:-1])
    assert torch.equal(torch.cat(blocks, 1), whole)
    for start in (1, 20000, 45678):
        part, _ = read_audio(path, start=start, frames=3001)
        assert torch.equal(part, whole[:, start : start + 3001])
    rest, _ = read_audio(path, start=60000)
    assert rest.shape[1] == 7


def test_reading_past_the_end_is_refused(tmp_path):
    write_audio(tmp_path / "a.wav", tone(1, 100), 44100)
    with pytest.raises(AudioTransferError, match="no samples"):
        read_audio(tmp_path / "a.wav", start=100)


@pytest.mark.parametrize("name", ["song.mp3", "song.flac", "song"])
def test_the_content_decides_not_the_name(tmp_path, name):
    soundfile.write(tmp_path / name, tone(1, 5000).T.numpy(), 22050, "PCM_16", format="WAV")
    audio, rate = read_audio(tmp_path / name)
    assert rate == 22050 and audio.shape == (1, 5000)


def test_mp3_behind_a_large_id3_tag(tmp_path):
    write_audio(tmp_path / "a.mp3", tone(1, 44100), 44100)
    cover = 300_000
    size = bytes(cover >> shift & 0x7F for shift in (21, 14, 7, 0))
    tagged = tmp_path / "b.mp3"
    head = b"ID3\x04\0\0" + size + bytes(cover)
    tagged.write_bytes(head + (tmp_path / "a.mp3").read_bytes())
    assert torch.equal(read_audio(tagged)[0], read_audio(tmp_path / "a.mp3")[0])


# --- what cannot be read ---------------------------------------------------------------------


def test_missing_folder_and_empty(tmp_path):
    refused(tmp_path / "no.wav", "does not exist")
    refused(tmp_path, "folder")
    (tmp_path / "empty.wav").touch()
    refused(tmp_path / "empty.wav", "empty")


@pytest.mark.parametrize("suffix", ["wav", "mp3", "flac", "ogg", "m4a", "aac", "aiff", "raw"])
@pytest.mark.parametrize(
    "data",
    [
        b"hello, this is text\n" * 300,
        bytes(9000),
        np.random.default_rng(0).bytes(20_000),
        b"\xff\xfb",
    ],
    ids=["text", "zeros", "noise", "two bytes"],
)
def test_what_is_no_audio(tmp_path, capfd, suffix, data):
    path = tmp_path / f"a.{suffix}"
    path.write_bytes(data)
    refused(path, "no audio")
    assert capfd.readouterr() == ("", "")


def test_a_wav_header_alone_is_refused(tmp_path):
    write_audio(tmp_path / "a.wav", tone(1, 1000), 8000)
    (tmp_path / "b.wav").write_bytes((tmp_path / "a.wav").read_bytes()[:44])
    refused(tmp_path / "b.wav")


def test_a_wav_of_no_samples_is_refused(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.zeros((0, 2)), 44100)
    assert "no samples" in refused(tmp_path / "a.wav")
    with pytest.raises(AudioTransferError, match="no samples"):
        probe_audio(tmp_path / "a.wav")


def test_a_wav_written_to_a_pipe_is_read(tmp_path):
    write_audio(tmp_path / "a.wav", tone(2, 1000), 8000)
    data = bytearray((tmp_path / "a.wav").read_bytes())
    place = data.index(b"data") + 4
    data[place : place + 4] = data[4:8] = b"\xff" * 4
    (tmp_path / "a.wav").write_bytes(data)
    assert read_audio(tmp_path / "a.wav")[0].shape == (2, 1000)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("place", [0, 70_001, 99_999])
def test_samples_that_are_no_numbers_are_refused(tmp_path, value, place):
    audio = tone(2, 100_000)
    audio[1, place] = value
    soundfile.write(tmp_path / "a.wav", audio.T.numpy(), 44100, "FLOAT")
    assert f"channel 2, sample {place}" in refused(tmp_path / "a.wav")


def test_rates_outside_the_range_are_refused(tmp_path):
    for rate in (4000, 384_000):
        soundfile.write(tmp_path / "a.wav", np.zeros(100), rate)
        assert str(rate) in refused(tmp_path / "a.wav")


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10**6), kind=st.sampled_from(["wav", "flac", "ogg", "mp3", "m4a", "aac"])
)
@example(seed=327094, kind="flac")  # decoders find different numbers of channels
def test_damaged_bytes_give_sound_or_one_line(tmp_path_factory, seed, kind):
    folder = tmp_path_factory.getbasetemp() / "damaged"
    folder.mkdir(exist_ok=True)
    whole, path = folder / f"whole.{kind}", folder / f"damaged.{kind}"
    if not whole.exists():
        if kind in ("m4a", "aac"):
            whole.write_bytes((DATA / f"tone.{kind}").read_bytes())
        else:
            write_audio(whole, tone(2, 9001), 44100)
    rng = np.random.default_rng(seed)
    data = bytearray(whole.read_bytes())
    span = len(data) if seed % 2 else min(len(data), 300)  # anywhere, or in the header
    for place in rng.integers(0, span, size=int(rng.integers(1, 6))):
        data[place] = int(rng.integers(256))
    path.write_bytes(data)
    try:
        audio, _ = read_audio(path)
    except AudioTransferError as error:
        assert "\n" not in str(error)
    else:
        assert torch.isfinite(audio).all() and audio.shape[1] > 0


# --- writing ---------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(
    frames=st.sampled_from([1, 2, 3, 511, 997, 8191]),
    channels=st.integers(1, 6),
    rate=st.sampled_from([8000, 11025, 22050, 44100, 48000, 96000, 192000]),
    suffix=st.sampled_from(["wav", "flac"]),
    encoding=st.sampled_from(["int16", "int24", "float32"]),
)
def test_lossless_round_trip(tmp_path_factory, frames, channels, rate, suffix, encoding):
    if (suffix, encoding) == ("flac", "float32"):
        encoding = "int24"
    path = tmp_path_factory.getbasetemp() / f"round.{suffix}"
    audio = tone(channels, frames, rate)
    write_audio(path, audio, rate, encoding=encoding, overwrite=True)
    read, found = read_audio(path)
    assert found == rate and read.shape == audio.shape
    half_step = {"int16": 2.0**-16, "int24": 2.0**-23}.get(encoding, 0.0)
    assert (read - audio).abs().max() <= half_step * 1.01
    write_audio(path, read, rate, encoding=encoding, overwrite=True)
    assert torch.equal(read_audio(path)[0], read)  # a second trip changes nothing


@pytest.mark.parametrize("suffix", ["ogg", "mp3"])
@pytest.mark.parametrize("frames", [1, 1151, 44101])
def test_lossy_round_trip_keeps_the_length(tmp_path, suffix, frames):
    path = tmp_path / f"a.{suffix}"
    audio = tone(2, frames)
    write_audio(path, audio, 44100)
    read, _ = read_audio(path)
    assert read.shape == audio.shape
    if frames > 40_000:
        assert (read - audio).pow(2).mean() < 1e-3 * audio.pow(2).mean()


def test_integers_are_clipped_and_floats_are_not(tmp_path):
    audio = torch.tensor([[1.5, -1.5, 0.5, 1e-9, -1e-9]])
    for encoding, top in (("int16", 1 - 2.0**-15), ("int24", 1 - 2.0**-23), ("float32", 1.5)):
        path = tmp_path / f"{encoding}.wav"
        write_audio(path, audio, 44100, encoding=encoding)
        read, _ = read_audio(path)
        lowest = -1.5 if encoding == "float32" else -1.0
        assert read[0, :3].tolist() == [top, lowest, 0.5]
        if encoding != "float32":
            assert not read[0, 3:].any()  # near-silence is silence, not -1 step


@pytest.mark.parametrize(
    ("suffix", "encoding"), [("wav", "float32"), ("wav", "int16"), ("flac", "int24")]
)
def test_same_samples_same_bytes(tmp_path, monkeypatch, suffix, encoding):
    for n in range(2):
        if n:  # in another second: libsndfile stamps float files with the time unless told not to
            import time

            time.sleep(1.1)
        write_audio(tmp_path / f"{n}.{suffix}", tone(2, 5000), 44100, encoding=encoding, tags=TAGS)
    assert (tmp_path / f"0.{suffix}").read_bytes() == (tmp_path / f"1.{suffix}").read_bytes()


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_nothing_is_left_when_writing_fails(tmp_path):
    path = tmp_path / "a.wav"
    with pytest.raises(KeyboardInterrupt), AudioWriter(path, 44100, 1) as writer:
        writer.write(tone(1, 1000))
        assert not path.exists()
        raise KeyboardInterrupt
    assert names(tmp_path) == []
    with pytest.raises(AudioTransferError, match="NaN"), AudioWriter(path, 44100, 1) as writer:
        writer.write(torch.full((1, 10), float("nan")))
    assert names(tmp_path) == []


def test_a_killed_run_leaves_nothing_under_the_name(tmp_path):
    code = (
        "import sys, time, torch; from audiotransfer.audio.writing import AudioWriter\n"
        f"with AudioWriter({str(tmp_path / 'a.wav')!r}, 44100, 1) as writer:\n"
        "    writer.write(torch.zeros(1, 100000)); print('ready', flush=True); time.sleep(60)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert process.stdout is not None and process.stdout.readline() == b"ready\n"
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    left = temporary_path(tmp_path / "a.wav").name.replace(str(os.getpid()), str(process.pid))
    assert names(tmp_path) == [left]
    # What a live process writes is left alone, and what other computers do, alive or not.
    alive = left.replace(str(process.pid), str(os.getppid()))
    host = left.split(".")[-2].partition("-")[0]
    elsewhere = [left.replace(host, other) for other in ("0a1b2c3d", "another-machine")]
    others = [alive, *elsewhere, f".a.wav.{process.pid}.part"]
    for name in others:
        (tmp_path / name).touch()
    (tmp_path / left.replace("a.wav", "folder") / "inner").mkdir(parents=True)
    assert find_audio(tmp_path) == []
    write_audio(tmp_path / "b.wav", tone(1, 10), 44100)
    assert names(tmp_path) == sorted([*others, "b.wav"])


@pytest.mark.parametrize("letter", ["a", "é", "音", "\udce9"])  # the last is a byte, not UTF-8
def test_a_temporary_name_is_as_short_as_the_longest_that_is_allowed(tmp_path, letter):
    longest = os.pathconf(tmp_path, "PC_NAME_MAX")
    wide = len(os.fsencode(letter))
    path = tmp_path / f"{letter * ((longest - 4) // wide)}.wav"
    part = temporary_path(path)
    assert part.parent == path.parent and part.name != path.name
    assert len(os.fsencode(part.name)) <= longest
    part.touch()
    clear_stale(tmp_path)
    assert names(tmp_path) == [part.name]
    clear_own(tmp_path)
    assert names(tmp_path) == []
    assert temporary_path(path.with_suffix(".ogg")) != part
    for suffix in (".wav", ".mp3"):
        write_audio(path.with_suffix(suffix), tone(1, 10), 44100, tags={"title": "x"})
    assert names(tmp_path) == sorted([path.name, path.with_suffix(".mp3").name])


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "mp3"])
def test_a_full_disk_is_one_line(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    torch.manual_seed(0)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    try:
        with pytest.raises(AudioTransferError, match=r"cannot be written") as caught:
            write_audio(path, torch.randn(2, 400_000), 44100)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert "\n" not in str(caught.value)
    assert "(File too large)" in str(caught.value)
    assert names(tmp_path) == []


def test_overwriting_is_asked_for(tmp_path):
    path = tmp_path / "a.wav"
    write_audio(path, tone(1, 10), 44100)
    kept = path.read_bytes()
    with pytest.raises(AudioTransferError, match="exists"):
        write_audio(path, tone(1, 20), 44100)
    assert path.read_bytes() == kept
    write_audio(path, tone(1, 20), 44100, overwrite=True)
    assert probe_audio(path).frames == 20


def test_a_file_can_be_written_over_its_own_source(tmp_path):
    path = tmp_path / "a.wav"
    write_audio(path, tone(1, 100_000), 44100)
    whole, _ = read_audio(path)
    with open_audio(path) as reader, AudioWriter(path, 44100, 1, overwrite=True) as writer:
        for block in reader.blocks(10_000):
            writer.write(-block)
    assert torch.equal(read_audio(path)[0], -whole)


@pytest.mark.parametrize(
    ("name", "wanted", "words"),
    [
        ("a.xyz", {}, "suffix"),
        ("a", {}, "suffix"),
        ("a.m4a", {}, "suffix"),
        ("missing/a.wav", {}, "not a folder"),
        ("file.txt/a.wav", {}, "not a folder"),
        ("x" * 252 + ".wav", {}, "cannot be written"),
        ("x" * 300 + "/a.wav", {}, "not a folder"),
        ("a\0.wav", {}, "cannot be written"),
        ("a.flac", {"encoding": "float32"}, "float32"),
        ("a.wav", {"encoding": "int8"}, "int8"),
        ("a.mp3", {"sample_rate": 96000}, "96000"),
        (
            "a.mp3",
            {"sample_rate": 39000},
            r"39000 Hz: it holds 8000, .*32000, 44100, 48000; use .fl",
        ),
        ("a.flac", {"sample_rate": 88201}, "88201 Hz: above 65535 Hz it holds multiples of 10"),
        ("a.ogg", {"channels": 9}, "9 channels"),
        ("a.mp3", {"channels": 6}, "6 channels"),
        ("folder.wav", {}, "folder"),
    ],
)
def test_outputs_that_cannot_be_written_are_refused_first(tmp_path, name, wanted, words):
    (tmp_path / "file.txt").touch()
    (tmp_path / "folder.wav").mkdir()
    before = names(tmp_path)
    with pytest.raises(AudioTransferError, match=words) as caught:
        check_output(tmp_path / name, **wanted)
    assert "\n" not in str(caught.value)
    assert names(tmp_path) == before


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "mp3"])
@pytest.mark.parametrize("rate", [8000, 12345, 39000, 44100, 65535, 65536, 88201, 96001, 192000])
def test_a_rate_that_is_not_refused_can_be_written(tmp_path, suffix, rate):
    path = tmp_path / f"a.{suffix}"
    try:
        check_output(path, sample_rate=rate)
    except AudioTransferError:
        with pytest.raises(AudioTransferError, match="sample rate"):
            write_audio(path, tone(1, 3000), rate)
        return
    write_audio(path, tone(1, 3000), rate)
    assert probe_audio(path).sample_rate == rate and probe_audio(path).frames == 3000


def test_tags_fit_beside_the_longest_name(tmp_path):
    longest = max(n for n in range(200, 256) if len(f".{'x' * n}.mp3.{os.getpid()}.part") <= 255)
    path = tmp_path / f"{'x' * longest}.mp3"
    write_audio(path, tone(1, 3000), 44100, tags=TAGS)
    assert read_tags(path).get("title") == TAGS["title"]
    assert names(tmp_path) == [path.name]


def test_a_folder_that_refuses_is_one_line(tmp_path, monkeypatch):
    def deny(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "touch", deny)  # root may write everywhere, so the system is played
    with pytest.raises(AudioTransferError, match="Permission denied"):
        check_output(tmp_path / "a.wav")


def test_wrong_channel_count_is_refused(tmp_path):
    with (
        pytest.raises(AudioTransferError, match=r"\[2, t\]"),
        AudioWriter(tmp_path / "a.wav", 44100, 2) as writer,
    ):
        writer.write(tone(1, 10))
    assert names(tmp_path) == []


def test_a_wav_longer_than_its_header_can_say_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("audiotransfer.audio.writing._WAV_LIMIT", 1000)
    with pytest.raises(AudioTransferError, match="4 GB"):
        write_audio(tmp_path / "a.wav", tone(1, 501), 44100)
    assert names(tmp_path) == []


def test_finding_audio(tmp_path):
    (tmp_path / "b").mkdir()
    (tmp_path / ".hidden").mkdir()
    for name in ("z.WAV", "b/a.mp3", "notes.txt", ".hidden/x.wav", ".y.wav.12.part", "c.opus"):
        (tmp_path / name).touch()
    found = [str(path.relative_to(tmp_path)) for path in find_audio(tmp_path)]
    assert found == ["b/a.mp3", "c.opus", "z.WAV"]
    with pytest.raises(AudioTransferError, match="not a folder"):
        find_audio(tmp_path / "z.WAV")


def test_chunks_of_odd_length_before_the_sound(tmp_path):
    write_audio(tmp_path / "a.wav", tone(1, 100), 8000)
    data = (tmp_path / "a.wav").read_bytes()
    odd = data[:12] + b"junk" + struct.pack("<I", 3) + b"abc\0" + data[12:]
    (tmp_path / "a.wav").write_bytes(odd[:4] + struct.pack("<I", len(odd) - 8) + odd[8:])
    assert read_audio(tmp_path / "a.wav")[0].shape == (1, 100)


def test_reading_is_bounded_in_memory(tmp_path):
    """A block of a long file costs a block, not the file."""
    path = tmp_path / "long.wav"
    with AudioWriter(path, 44100, 2) as writer:
        for _ in range(60):
            writer.write(torch.zeros(2, 44100 * 10))
    process = psutil.Process()
    before = most = process.memory_info().rss
    frames = 0
    with open_audio(path) as reader:
        for block in reader.blocks(44100):
            frames += block.shape[1]
            most = max(most, process.memory_info().rss)
    assert frames == 44100 * 600
    assert most - before < 50_000_000  # the samples of the file are 200 MB
