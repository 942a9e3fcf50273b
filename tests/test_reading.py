"""Reading audio files: formats, lengths, damage, notices and errors."""

from __future__ import annotations

import os
import re
import stat
import subprocess
import sys
import textwrap
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
import torch

from audiotransfer.audio.channels import default_layout, layout_name, to_stereo
from audiotransfer.audio.decoding import ffmpeg_decoders
from audiotransfer.audio.decoding.opening import find_ffmpeg
from audiotransfer.audio.formats import flac, mpeg
from audiotransfer.audio.reading import open_audio, probe_audio, read_audio
from audiotransfer.audio.tags import blocks
from audiotransfer.audio.tags.reading import read_tags
from audiotransfer.errors import AudioTransferError
from audiotransfer.pipeline.measuring import downmix_notice
from audiotransfer.pipeline.sources import FileSource

DATA = Path(__file__).parent / "data"
NOISE = np.random.default_rng(0)


def sines(channels: int, frames: int, rate: int = 44100) -> np.ndarray:
    """Samples [t, C], a tone of its own in each channel: 300 Hz, 500 Hz …"""
    time = np.arange(frames)[:, None] / rate
    return (0.3 * np.sin(2 * np.pi * (300 + 200 * np.arange(channels)) * time)).astype(np.float32)


def pitches(audio: np.ndarray, rate: int = 44100) -> list[int]:
    """Which tone of `sines` each channel [C, T] holds; -1: none."""
    found = []
    for channel in audio:
        spectrum = np.abs(np.fft.rfft(channel[: rate // 2]))
        loud = spectrum.max() > 100
        found.append(round((2 * int(spectrum.argmax()) - 300) / 200) if loud else -1)
    return found


def encode(
    path: Path,
    codec: str,
    audio: np.ndarray,
    rate: int = 44100,
    layout: str | None = None,
    container: str | None = None,
    **metadata: str,
) -> Path:
    """Write samples [t, C] through FFmpeg."""
    layout = layout or {1: "mono", 2: "stereo"}[audio.shape[1]]
    with av.open(str(path), "w", format=container) as out:
        out.metadata.update(metadata)
        stream = out.add_stream(codec, rate=rate, layout=layout)
        stream.bit_rate = 64_000 * max(2, audio.shape[1])
        if codec in ("wavpack", "tta"):
            stream.codec_context.format = {"wavpack": "s16p", "tta": "s16"}[codec]
        stream.codec_context.open()
        kind = stream.codec_context.format.name
        size = stream.codec_context.frame_size or 1024
        for start in range(0, len(audio), size):
            block = audio[start : start + size]
            if kind.startswith(("s16", "s32")):
                bits = int(kind[1:3])
                block = np.rint(block.astype(np.float64) * (2 ** (bits - 1) - 1))
                block = block.astype(f"int{bits}")
            block = block.T if kind.endswith("p") else block.reshape(1, -1)
            frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(block), kind, layout)
            frame.sample_rate, frame.pts = rate, start
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


def frames_of(path: Path) -> bytes:
    """An mp3's frames without tags and index."""
    data = path.read_bytes()
    (run,) = mpeg.scan(data, blocks.skip(data)).runs
    return b"".join(data[begin:end] for begin, end in run.ranges)[run.sound - run.start :]


def by_ffmpeg(path: Path) -> int:
    """Samples that FFmpeg decodes, errors left out."""
    count = 0
    with av.open(str(path)) as container:
        for packet in container.demux(container.streams.best("audio")):
            try:
                count += sum(frame.samples for frame in packet.decode())
            except av.error.FFmpegError:
                continue
    return count


def ogg_page(body: bytes, serial: int, number: int, flags: int, granule: int) -> bytes:
    """A page of one packet of at most 255·255 bytes, with its checksum."""
    lacing = bytes([255] * (len(body) // 255) + [len(body) % 255])
    head = b"OggS\0" + bytes((flags,)) + granule.to_bytes(8, "little", signed=True)
    head += serial.to_bytes(4, "little") + number.to_bytes(4, "little")
    page = head + bytes(4) + bytes((len(lacing),)) + lacing + body
    return page[:22] + ogg_sum(page).to_bytes(4, "little") + page[26:]


def ogg_sum(page: bytes) -> int:
    """The checksum of a page whose own is blank, bit by bit (RFC 3533 §6)."""
    register = 0
    for byte in page:
        register ^= byte << 24
        for _ in range(8):
            register = (register << 1 ^ (0x04C11DB7 if register & 1 << 31 else 0)) & 0xFFFFFFFF
    return register


def played(path: Path) -> tuple[torch.Tensor, tuple[str, ...]]:
    """All of a file, and what is said of it; the header's promise must agree."""
    with open_audio(path) as reader:
        audio = torch.cat(list(reader.blocks(5000)), 1)
        return audio, reader.notices


def refused(path: Path, *words: str) -> str:
    """Reading fails with one line that names the file and holds the words."""
    with pytest.raises(AudioTransferError) as caught:
        played(path)
    message = str(caught.value)
    assert "\n" not in message and str(path) in message
    for word in words:
        assert word in message, message
    return message


@pytest.fixture
def plain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An installation without FFmpeg."""
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setitem(sys.modules, "av", None)  # what cannot be imported
    ffmpeg_decoders.load_av.cache_clear()
    yield
    ffmpeg_decoders.load_av.cache_clear()


@pytest.fixture
def program(tmp_path: Path, plain: None) -> None:
    """An installation with a program `ffmpeg` on the PATH instead of PyAV: a stand-in for it."""
    script = tmp_path / "bin" / "ffmpeg"
    script.write_text(f"#!{sys.executable}\n{STAND_IN}")
    script.chmod(script.stat().st_mode | stat.S_IXUSR)


def test_what_is_there_beyond_libsndfile(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    found = find_ffmpeg()
    assert found is not None and found.startswith("PyAV")
    request.getfixturevalue("plain")
    assert find_ffmpeg() is None
    request.getfixturevalue("program")
    assert find_ffmpeg() == str(tmp_path / "bin" / "ffmpeg")


STAND_IN = textwrap.dedent(
    """
    import struct, sys
    import av
    words = sys.argv[1:]
    assert words[words.index("-f", words.index("-i")) + 1] == "wav", words
    raw = "+skip_manual" in words[: words.index("-i")]
    name = words[words.index("-i") + 1].removeprefix("file:")
    source = av.open(name, options={"ignore_editlist": "1"} if raw else {})
    stream, out, begun = source.streams.best("audio"), sys.stdout.buffer, False
    if raw:
        stream.codec_context.flags2 |= av.codec.context.Flags2.skip_manual
    for packet in source.demux(stream):
        try:
            frames = packet.decode()
        except av.error.FFmpegError as error:
            print(f"[{stream.name}] {error}", file=sys.stderr)
            continue
        for frame in frames:
            if not begun:
                begun, count = True, frame.layout.nb_channels
                masks = {1: 4, 2: 3, 6: 0x3F}
                body = struct.pack("<HHIIHHHHIH", 65534, count, frame.sample_rate,
                    4 * count * frame.sample_rate, 4 * count, 32, 22, 32, masks[count], 3)
                body += bytes.fromhex("000000001000800000aa00389b71")
                out.write(b"RIFF" + b"\\xff" * 4 + b"WAVEfmt " + struct.pack("<I", len(body)))
                out.write(body + b"LIST" + struct.pack("<I", 4) + b"INFO" + b"data" + b"\\xff" * 4)
            flat = av.AudioResampler("flt", frame.layout, frame.sample_rate).resample(frame)
            out.write(b"".join(piece.to_ndarray().astype("<f4").tobytes() for piece in flat))
    """
)


# --- kinds ------------------------------------------------------------------------------------

ENCODED = [  # suffix, codec, container, samples that a lossy codec may add at the end
    ("m4a", "aac", "ipod", 0),
    ("m4a", "alac", "ipod", 0),
    ("mp4", "aac", "mp4", 0),
    ("mka", "aac", "matroska", 2048),
    ("mka", "flac", "matroska", 0),
    ("aac", "aac", "adts", 3072),
    ("webm", "libopus", "webm", 2048),
    ("wma", "wmav2", "asf", 6144),
    ("ac3", "ac3", "ac3", 1536),
    ("mp2", "mp2", "mp2", 1152),
    ("tta", "tta", "tta", 0),
    ("wv", "wavpack", "wv", 0),
    ("oga", "flac", "ogg", 0),
    ("avi", "pcm_s16le", "avi", 0),
    ("mov", "pcm_s24be", "mov", 0),
]
LIBSNDFILE = [
    ("wav", "WAV", "PCM_16"),
    ("wav", "WAV", "IMA_ADPCM"),
    ("wav", "WAV", "ULAW"),
    ("wav", "RF64", "PCM_24"),
    ("w64", "W64", "PCM_16"),
    ("aiff", "AIFF", "PCM_16"),
    ("au", "AU", "PCM_16"),
    ("caf", "CAF", "PCM_24"),
    ("caf", "CAF", "ALAC_16"),
    ("flac", "FLAC", "PCM_16"),
    ("ogg", "OGG", "VORBIS"),
    ("opus", "OGG", "OPUS"),
    ("mp3", "MP3", "MPEG_LAYER_III"),
]


@pytest.mark.parametrize(("suffix", "codec", "container", "more"), ENCODED)
def test_what_ffmpeg_reads_is_played(
    tmp_path: Path, suffix: str, codec: str, container: str, more: int
) -> None:
    rate = 48000 if codec == "libopus" else 44100
    path = encode(tmp_path / f"a.{suffix}", codec, sines(2, rate, rate), rate, container=container)
    audio, notices = played(path)
    info = probe_audio(path)
    assert (info.sample_rate, info.channels, info.frames) == (rate, 2, audio.shape[1])
    assert rate - (1500 if codec == "wmav2" else 0) <= audio.shape[1] <= rate + more
    assert pitches(audio.numpy(), rate) == [0, 1]
    assert notices == info.notices == ()
    part, _ = read_audio(path, start=20_011, frames=3000)
    assert torch.equal(part, audio[:, 20_011:23_011])


@pytest.mark.parametrize(("suffix", "container", "subtype"), LIBSNDFILE)
def test_what_libsndfile_reads_is_played(
    tmp_path: Path, suffix: str, container: str, subtype: str
) -> None:
    rate, path = 48000, tmp_path / f"a.{suffix}"
    soundfile.write(path, sines(1, rate, rate), rate, subtype, format=container)
    audio, notices = played(path)
    more = 2100 if subtype == "IMA_ADPCM" else 0  # its last block is whole
    assert rate <= audio.shape[1] <= rate + more and pitches(audio.numpy(), rate) == [0]
    assert notices == probe_audio(path).notices == ()
    part, _ = read_audio(path, start=20_011, frames=3000)
    assert torch.equal(part, audio[:, 20_011:23_011])


@pytest.mark.parametrize("front", [b"", b"two tags"])
@pytest.mark.parametrize("behind", [b"", b"TAG" + bytes(125), b"APE"])
@pytest.mark.parametrize("suffix", ["mp3", "flac", "wav", "aac"])
def test_tags_around_the_sound(tmp_path: Path, suffix: str, front: bytes, behind: bytes) -> None:
    path, tagged = tmp_path / f"a.{suffix}", tmp_path / f"b.{suffix}"
    if suffix == "aac":
        encode(path, "aac", sines(1, 20_000), container="adts")
    else:
        soundfile.write(path, sines(1, 20_000), 44100)
    if front:
        cover = NOISE.bytes(140_000)
        front = b"ID3\3\0\0" + bytes((0, 8, 69, 96)) + cover + b"ID3\4\0\0\0\0\0\4abcd"
        assert len(cover) == 8 << 14 | 69 << 7 | 96
    if behind == b"APE":
        items = NOISE.bytes(3000)
        head = b"APETAGEX" + (2000).to_bytes(4, "little") + (3032).to_bytes(4, "little")
        behind = head + bytes(16) + items + head + bytes(16) + b"TAG" + bytes(125)
    tagged.write_bytes(front + path.read_bytes() + behind)
    assert torch.equal(played(tagged)[0], played(path)[0])
    assert played(tagged)[1] == ()


@pytest.mark.parametrize("bits", [12, 15, 20, 32])
def test_flac_of_unusual_width(tmp_path: Path, bits: int) -> None:
    path = tmp_path / "a.flac"
    values = np.rint(sines(1, 4000)[:, 0] * 2 ** (bits - 1)).astype(np.int64)
    path.write_bytes(verbatim_flac(values, bits))
    audio, notices = played(path)
    assert torch.allclose(audio[0], torch.from_numpy(values / 2.0 ** (bits - 1)).float())
    assert notices == ()


def verbatim_flac(values: np.ndarray, bits: int, rate: int = 44100) -> bytes:
    """A flac of one channel in verbatim frames of 1000 samples (RFC 9639)."""
    info = (1000).to_bytes(2, "big") * 2 + bytes(6)
    info += (rate << 44 | (bits - 1) << 36 | len(values)).to_bytes(8, "big") + bytes(16)
    data = b"fLaC\x80\0\0\x22" + info
    for number, start in enumerate(range(0, len(values), 1000)):
        block = values[start : start + 1000]
        head = bytes((0xFF, 0xF8, 0x70, 0x00, number)) + (len(block) - 1).to_bytes(2, "big")
        head += bytes((crc(head, 8, 0x07),))
        numbers = "00000010" + "".join(f"{int(v) & (1 << bits) - 1:0{bits}b}" for v in block)
        numbers += "0" * (-len(numbers) % 8)
        frame = head + int(numbers, 2).to_bytes(len(numbers) // 8, "big")
        data += frame + crc(frame, 16, 0x8005).to_bytes(2, "big")
    return data


def crc(data: bytes, width: int, polynomial: int) -> int:
    register = 0
    for byte in data:
        register ^= byte << width - 8
        for _ in range(8):
            over = register & 1 << width - 1
            register = (register << 1 ^ (polynomial if over else 0)) & (1 << width) - 1
    return register


# --- everything is played ---------------------------------------------------------------------


def test_joined_mp3s(tmp_path: Path) -> None:
    one, two, path = tmp_path / "1.mp3", tmp_path / "2.mp3", tmp_path / "joined.mp3"
    soundfile.write(one, sines(2, 44100), 44100)
    soundfile.write(two, sines(1, 44100, 22050), 22050)  # 2 s, of another rate, and mono
    path.write_bytes(one.read_bytes() + two.read_bytes())
    audio, notices = played(path)
    assert 3.0 <= audio.shape[1] / 44100 <= 3.1 and audio.shape[0] == 2
    assert probe_audio(path).frames == audio.shape[1]
    assert "2 recordings" in notices[0]
    assert pitches(audio[:, 70_000:].numpy()) == [0, 0]
    part, _ = read_audio(path, start=80_000, frames=3000)
    assert torch.equal(part, audio[:, 80_000:83_000])


@pytest.mark.usefixtures("plain")
def test_joined_mp3s_without_ffmpeg(tmp_path: Path) -> None:
    test_joined_mp3s(tmp_path)


@pytest.mark.parametrize("subtype", ["VORBIS", "OPUS"])
def test_an_ogg_chain(tmp_path: Path, subtype: str) -> None:
    one, two, path = tmp_path / "1.ogg", tmp_path / "2.ogg", tmp_path / "chain.ogg"
    soundfile.write(one, sines(2, 48000, 48000), 48000, subtype, format="OGG")
    soundfile.write(two, sines(1, 24000, 24000), 24000, subtype, format="OGG")
    path.write_bytes(one.read_bytes() + two.read_bytes() + one.read_bytes())
    audio, notices = played(path)
    assert audio.shape == (2, 3 * 48000) and probe_audio(path).frames == 3 * 48000
    assert "3 recordings" in notices[0]
    assert torch.equal(audio[:, :48000], played(one)[0])
    assert pitches(audio[:, 50_000:].numpy(), 48000) == [0, 0]
    for start in (20_011, 60_000, 100_000):
        part, _ = read_audio(path, start=start, frames=3000)
        assert torch.allclose(part, audio[:, start : start + 3000], atol=1e-6)


@pytest.mark.parametrize("suffix", ["wav", "aiff", "au", "flac"])
def test_other_files_one_behind_the_other(tmp_path: Path, suffix: str) -> None:
    one, path = tmp_path / f"1.{suffix}", tmp_path / f"joined.{suffix}"
    soundfile.write(one, sines(2, 20_000), 44100)
    path.write_bytes(one.read_bytes() * 2)
    audio, notices = played(path)
    assert audio.shape == (2, 40_000) and "2 recordings" in notices[0]
    assert torch.equal(audio[:, :20_000], audio[:, 20_000:])


@pytest.mark.parametrize("loud_first", [True, False])
@pytest.mark.parametrize("ffmpeg_there", [True, False])
@pytest.mark.parametrize("rate", [44100, 22050, 8000])
def test_an_mp3_without_an_index(
    tmp_path: Path, request: pytest.FixtureRequest, rate: int, ffmpeg_there: bool, loud_first: bool
) -> None:
    if not ffmpeg_there:
        request.getfixturevalue("plain")
    whole, bare = tmp_path / "a.mp3", tmp_path / "bare.mp3"
    level = np.linspace(0, 1, 150_000)[:, None] < 0.3
    noise = 0.3 * np.random.default_rng(1).standard_normal((150_000, 1)) * (level == loud_first)
    soundfile.write(whole, noise + 1e-5, rate, format="MP3", bitrate_mode="VARIABLE")
    bare.write_bytes(frames_of(whole))
    audio, notices = played(bare)
    assert audio.shape[1] == by_ffmpeg(bare) == probe_audio(bare).frames and notices == ()
    indexed, _ = played(whole)  # what the index's encoder delay takes off stands in front
    lag = 529 + 576
    middle = slice(20_000, 120_000)
    assert (audio[:, lag:][:, middle] - indexed[:, middle]).abs().max() < 1e-3


@pytest.mark.parametrize("kbps", [96, 200])
def test_an_mp3_in_free_format(tmp_path: Path, kbps: int) -> None:
    """Frames whose length only the next header tells: bit rates that no table holds."""
    path = tmp_path / "a.mp3"
    size = 144_000 * kbps // 44100
    head = b"\xff\xfb\x00\xc4" + bytes(17)
    path.write_bytes(head.ljust(size, b"\0") * 40)
    audio, notices = played(path)
    assert audio.shape == (1, 40 * 1152) and notices == ()


@pytest.mark.parametrize("length", [0, 0xFFFFFFFF, 0x7FFFFFFF])
@pytest.mark.parametrize("suffix", ["wav", "aiff", "au"])
def test_an_unfinished_recording(tmp_path: Path, suffix: str, length: int) -> None:
    path = tmp_path / f"a.{suffix}"
    soundfile.write(path, sines(2, 30_000), 44100)
    data = bytearray(path.read_bytes())
    place = {"wav": data.find(b"data") + 4, "aiff": data.find(b"SSND") + 4, "au": 8}[suffix]
    order = "little" if suffix == "wav" else "big"
    data[place : place + 4] = length.to_bytes(4, order)  # type: ignore[arg-type]
    if suffix != "au":
        data[4:8] = length.to_bytes(4, order)  # type: ignore[arg-type]
    path.write_bytes(data)
    audio, notices = played(path)
    assert audio.shape == (2, 30_000) and probe_audio(path).frames == 30_000
    assert "does not say how long" in notices[0]


def test_a_flac_that_does_not_say_how_long_it_is(tmp_path: Path) -> None:
    path = tmp_path / "a.flac"
    soundfile.write(path, sines(2, 100_003), 44100)
    data = bytearray(path.read_bytes())
    data[21] &= 0xF0  # STREAMINFO's 36 bits of total samples
    data[22:26] = bytes(4)
    path.write_bytes(data)
    audio, notices = played(path)
    assert audio.shape == (2, 100_003) and "does not say how long" in notices[0]
    data[25] = 10  # 10 samples
    path.write_bytes(data)
    audio, notices = played(path)
    assert audio.shape == (2, 100_003) and "announces 0.00 s" in notices[0]


@pytest.mark.usefixtures("plain")
def test_a_flac_of_unknown_length_without_ffmpeg(tmp_path: Path) -> None:
    test_a_flac_that_does_not_say_how_long_it_is(tmp_path)


def test_aac_that_changes_its_rate_and_channels(tmp_path: Path) -> None:
    one, two, path = tmp_path / "1.aac", tmp_path / "2.aac", tmp_path / "a.aac"
    encode(one, "aac", sines(2, 44100), 44100, container="adts")
    encode(two, "aac", sines(1, 22050, 22050), 22050, container="adts")
    path.write_bytes(one.read_bytes() + two.read_bytes() + one.read_bytes())
    audio, notices = played(path)
    assert audio.shape[0] == 2 and 3.0 <= audio.shape[1] / 44100 < 3.3
    assert len(notices) == 1 and "change" in notices[0]
    assert pitches(audio[:, 55_000:].numpy()) == [0, 0]
    part, _ = read_audio(path, start=60_000, frames=3000)
    assert torch.equal(part, audio[:, 60_000:63_000])
    with open_audio(path) as reader:  # and back again
        reader.skip(100_000)
        next(reader.blocks(1000))
        reader.skip(1000)
        assert torch.equal(next(reader.blocks(1000)), audio[:, 1000:2000])


def test_a_flac_that_begins_at_a_frame(tmp_path: Path) -> None:
    path = tmp_path / "a.flac"
    soundfile.write(path, sines(1, 20_000), 44100)
    data = path.read_bytes()
    path.write_bytes(data[data.find(b"\xff\xf8") :])
    assert played(path)[0].shape == (1, 20_000)


@pytest.mark.usefixtures("plain")
def test_a_flac_that_begins_at_a_frame_is_named(tmp_path: Path) -> None:
    with pytest.raises(AudioTransferError, match=r"is flac without a header.*\[ffmpeg\]"):
        test_a_flac_that_begins_at_a_frame(tmp_path)


def test_the_vorbis_of_a_video(tmp_path: Path) -> None:
    path = tmp_path / "a.ogg"
    soundfile.write(path, sines(1, 40_000), 44100)
    whole, _ = played(path)
    data = path.read_bytes()
    first = data.find(b"OggS", 4)
    video = [ogg_page(b"\x80theora" + bytes(35), 7, 0, 2, 0)]
    video += [ogg_page(b"video" * 40, 7, n, 4 * (n == 3), n) for n in (1, 2, 3)]
    pages = data[:first] + video[0] + video[1] + data[first:] + video[2] + video[3]
    path.write_bytes(pages)
    audio, notices = played(path)
    assert torch.equal(audio, whole) and notices == ()


def test_opus_gain_and_pre_skip(tmp_path: Path) -> None:
    path, quiet = tmp_path / "a.opus", tmp_path / "b.opus"
    soundfile.write(path, sines(1, 48000, 48000), 48000, "OPUS", format="OGG")
    data = bytearray(path.read_bytes())
    at = data.find(b"OpusHead")
    data[at + 16 : at + 18] = (-6 * 256).to_bytes(2, "little", signed=True)
    end = data.find(b"OggS", 4)
    data[22:26] = bytes(4)
    data[22:26] = ogg_sum(bytes(data[:end])).to_bytes(4, "little")
    quiet.write_bytes(data)
    loud, soft = played(path)[0], played(quiet)[0]
    assert loud.shape == soft.shape == (1, 48000)
    assert torch.allclose(soft, loud * 10 ** (-6 / 20), atol=1e-3)


def test_what_itunes_notes_of_delay_and_padding(tmp_path: Path) -> None:
    path = encode(tmp_path / "a.m4a", "aac", sines(1, 44100), container="ipod")
    data = path.read_bytes()
    at = data.find(b"edts")
    note = b" 00000000 00000400 000003BC 000000000000AC44" + b" 00000000" * 8
    path.write_bytes(data[:at] + b"free" + data[at + 4 :])  # without its edit list
    assert played(path)[0].shape[1] > 44100
    freed = itunes(path.read_bytes(), note)
    path.write_bytes(freed)
    audio, notices = played(path)
    assert audio.shape[1] == probe_audio(path).frames == 44100 and notices == ()
    assert np.abs(audio[0, 2000:42_000].numpy() - sines(1, 44100)[2000:42_000, 0]).max() < 0.05


def itunes(data: bytes, note: bytes) -> bytes:
    """An MP4 whose moov stands last, with a note as iTunes writes it."""

    def box(name: bytes, body: bytes) -> bytes:
        return (len(body) + 8).to_bytes(4, "big") + name + body

    words = box(b"mean", bytes(4) + b"com.apple.iTunes") + box(b"name", bytes(4) + b"iTunSMPB")
    words += box(b"data", (1).to_bytes(4, "big") + bytes(4) + note)
    handler = box(b"hdlr", bytes(8) + b"mdirappl" + bytes(10))
    user = box(b"udta", box(b"meta", bytes(4) + handler + box(b"ilst", box(b"----", words))))
    at = data.rfind(b"moov") - 4
    moov = data[at : at + int.from_bytes(data[at : at + 4], "big")]
    old = moov.rfind(b"udta")
    body = moov[8 : old - 4] if old >= 0 else moov[8:]
    return data[:at] + box(b"moov", body + user)


@pytest.mark.parametrize("decoder", ["library", "plain", "program"])
@pytest.mark.parametrize(
    ("name", "rate", "channels", "frames"),
    [
        ("tone.m4a", 48000, 1, 72000),
        ("tone_stereo.m4a", 44100, 2, 44100),
        ("tone_fragmented.m4a", 44100, 2, None),
        ("tone.aac", 44100, 2, None),
    ],
)
def test_aac_gives_the_sound(
    request: pytest.FixtureRequest,
    decoder: str,
    name: str,
    rate: int,
    channels: int,
    frames: int | None,
) -> None:
    if decoder != "library":
        request.getfixturevalue(decoder)
    audio, found = read_audio(DATA / name)
    assert (found, audio.shape[0]) == (rate, channels)
    if frames is not None:  # the edit list takes the encoder's run-in and padding away
        assert audio.shape[1] == frames == probe_audio(DATA / name).frames
    else:
        assert rate <= audio.shape[1] <= rate + 3 * 1024
    count = rate // 2
    time = torch.arange(count, dtype=torch.float64) / rate
    for channel in range(channels):  # the encoder was given this rising tone
        expected = 0.3 * torch.sin(2 * torch.pi * 220 * (channel + 1) * time + 30 * time**2)
        errors = [
            (audio[channel, lag : lag + count] - expected).pow(2).mean() / expected.pow(2).mean()
            for lag in ((0,) if frames is not None else (0, 1024, 2048))
        ]
        assert min(errors) < 0.01


@pytest.mark.usefixtures("plain")
@pytest.mark.parametrize("name", ["tone.m4a", "tone_stereo.m4a", "tone_fragmented.m4a", "tone.aac"])
def test_aac_in_blocks_is_the_whole(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, _ = read_audio(DATA / name)
    monkeypatch.setattr("audiotransfer.audio.decoding.aac._STRETCH", 7)
    with open_audio(DATA / name) as reader:
        blocks = list(reader.blocks(999))
    assert torch.equal(torch.cat(blocks, 1), whole)
    part, _ = read_audio(DATA / name, start=20011, frames=5000)
    assert torch.equal(part, whole[:, 20011:25011])


@pytest.mark.usefixtures("plain")
def test_itunes_note_without_ffmpeg(tmp_path: Path) -> None:
    test_what_itunes_notes_of_delay_and_padding(tmp_path)


@pytest.mark.usefixtures("program")
def test_the_program_reads_what_the_library_does(tmp_path: Path) -> None:
    path = tmp_path / "a.wv"
    encode(path, "wavpack", sines(2, 60_000))
    audio, notices = played(path)
    assert audio.shape == (2, 60_000) and notices == ()
    assert np.abs(audio.numpy().T - sines(2, 60_000)).max() < 2**-14
    part, _ = read_audio(path, start=20_011, frames=3000)
    assert torch.equal(part, audio[:, 20_011:23_011])
    soundfile.write(tmp_path / "6.caf", sines(6, 40_000), 44100, "ALAC_16")
    assert played(tmp_path / "6.caf")[0].shape == (6, 40_000)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2] + NOISE.bytes(3000) + data[len(data) // 2 + 3000 :])
    audio, notices = played(path)
    assert audio.shape[1] < 60_000 and "damaged" in notices[0]


@pytest.mark.parametrize(
    ("decoder", "name"),
    [
        *(("library", name) for name in ("a b.wv", "-a:b%d.wv", os.fsdecode(b"caf\xe9.wv"))),
        *(("program", name) for name in ("a b.wv", "-a:b%d.wv", "é日本.wv")),
    ],
)
def test_names_that_ffmpeg_is_given(
    tmp_path: Path, request: pytest.FixtureRequest, name: str, decoder: str
) -> None:
    encode(tmp_path / "a.wv", "wavpack", sines(1, 20_000))
    os.rename(tmp_path / "a.wv", tmp_path / name)
    if decoder != "library":
        request.getfixturevalue(decoder)
    assert played(tmp_path / name)[0].shape == (1, 20_000)


# --- what is damaged --------------------------------------------------------------------------

DAMAGED = ["wav", "w64", "aiff", "au", "caf", "flac", "ogg", "opus", "mp3"]
_FORM = {"w64": "W64", "caf": "CAF", "opus": "OGG"}


def noise_file(path: Path, seconds: float = 3.0) -> Path:
    suffix = path.suffix[1:]
    noise = 0.2 * np.random.default_rng(2).standard_normal((round(48000 * seconds), 2))
    subtype = "OPUS" if suffix == "opus" else None
    soundfile.write(path, noise, 48000, subtype, format=_FORM.get(suffix))
    return path


@pytest.mark.parametrize("ffmpeg_there", [True, False])
@pytest.mark.parametrize("suffix", DAMAGED)
@pytest.mark.parametrize("share", [0.5, 0.9])
def test_a_truncated_file_is_played_as_far_as_it_goes(
    tmp_path: Path,
    request: pytest.FixtureRequest,
    capfd: pytest.CaptureFixture[str],
    suffix: str,
    share: float,
    ffmpeg_there: bool,
) -> None:
    if not ffmpeg_there:
        request.getfixturevalue("plain")
    path = noise_file(tmp_path / f"a.{suffix}")
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    audio, notices = played(path)
    least = share * 3 * 48000 - 48000  # a page of Opus
    assert max(1, least) < audio.shape[1] <= share * 3 * 48000 + 5000
    assert len(notices) == 1
    assert "truncated" in notices[0] or "without an end mark" in notices[0]
    assert abs(probe_audio(path).frames - audio.shape[1]) <= 1152 and probe_audio(path).notices
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("how", ["noise", "zeros", "hole"])
@pytest.mark.parametrize("suffix", ["flac", "ogg", "opus", "mp3"])
def test_what_follows_a_damaged_stretch_is_played(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], suffix: str, how: str
) -> None:
    path = noise_file(tmp_path / f"a.{suffix}", 6.0)
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    filling = {"noise": NOISE.bytes(3000), "zeros": bytes(3000), "hole": b""}[how]
    data[middle : middle + 3000] = filling
    path.write_bytes(data)
    audio, notices = played(path)
    assert 4 * 48000 <= audio.shape[1] < 6.05 * 48000
    assert abs(audio.shape[1] - by_ffmpeg(path)) <= 48000 / 10
    assert len(notices) == 1 and "damaged" in notices[0]
    assert capfd.readouterr() == ("", "")


@pytest.mark.usefixtures("plain")
@pytest.mark.parametrize("suffix", ["flac", "ogg", "opus", "mp3"])
def test_a_damaged_stretch_without_ffmpeg(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], suffix: str
) -> None:
    path = noise_file(tmp_path / f"a.{suffix}", 6.0)
    data = bytearray(path.read_bytes())
    data[len(data) // 2 :][:3000] = NOISE.bytes(3000)
    data[len(data) // 2 : len(data) // 2 + 3000] = NOISE.bytes(3000)
    path.write_bytes(data)
    audio, notices = played(path)
    assert 4 * 48000 <= audio.shape[1] < 6.05 * 48000 and "damaged" in notices[0]
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("ffmpeg_there", [True, False])
@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24"])
@pytest.mark.parametrize(
    ("seconds", "where", "length", "lost"),
    [(0.5, 0.5, 50, 1), (3.0, 0.5, 60, 1), (3.0, 0.3, 60, 1), (6.0, 0.5, 30_000, 4)],
)
def test_silence_stands_for_lost_frames_of_a_flac(
    tmp_path: Path,
    request: pytest.FixtureRequest,
    seconds: float,
    where: float,
    length: int,
    lost: int,
    subtype: str,
    ffmpeg_there: bool,
) -> None:
    """Every sample around the damage stays where it was."""
    if not ffmpeg_there:
        request.getfixturevalue("plain")
    path = tmp_path / "a.flac"
    noise = NOISE.uniform(-0.3, 0.3, (round(seconds * 44100), 2)) + 0.35
    soundfile.write(path, noise, 44100, subtype)
    whole, _ = played(path)
    data = bytearray(path.read_bytes())
    middle = int(len(data) * where)
    data[middle : middle + length] = bytes(length)
    path.write_bytes(data)
    audio, notices = played(path)
    assert audio.shape == whole.shape
    silent = (audio == 0).all(0)
    assert 0 < int(silent.sum()) <= lost * 4096
    assert torch.equal(audio[:, ~silent], whole[:, ~silent])
    begin = int(silent.int().argmax())
    assert len(notices) == 1 and notices[0].startswith("damaged")
    assert f"{int(silent.sum()) / 44100:.2f} s of silence" in notices[0]
    assert f"from {begin / 44100:.2f} s" in notices[0]
    for start in (begin - 100, begin, begin + 100, begin + lost * 4096 + 100):
        part, _ = read_audio(path, start=max(0, start), frames=3000)
        assert torch.equal(part, audio[:, max(0, start) :][:, :3000])


@pytest.mark.parametrize("block", [b"\xf8", b"\xf9"])
def test_frame_numbers_of_a_repaired_flac(block: bytes) -> None:
    """Silent frames are read back as FLAC frame headers of the same place and length."""
    stream = flac.Stream(0, 0, 0, 16, 0, 0, None)
    for at in (0, 4096 * 127, 4096 * 2048, 4096 * 70_000, 4096 * 5_000_000):
        fixed = 4096 if block == b"\xf8" else 0
        frames = list(flac.silence(at, at + 5000, block[0], fixed, 2, stream))
        assert [flac.frame_header(frame[:17], 4096) for frame in frames] == [
            (at, 4096),
            (at + 4096, 904),
        ]
        assert all(list(flac.checked_ends(frame))[-1] == len(frame) for frame in frames)


def test_a_burst_that_damage_makes_of_a_lossy_codec_is_limited(tmp_path: Path) -> None:
    path = tmp_path / "a.mp3"
    soundfile.write(path, NOISE.uniform(-0.5, 0.5, 3 * 44100), 44100, format="MP3")
    whole, notices = played(path)
    assert not notices
    data = bytearray(path.read_bytes())
    (run,) = mpeg.scan(data).runs
    at = run.sound
    for _ in range(57):  # one frame takes 1152 samples
        frame = mpeg.parse(bytes(data[at : at + 4]))
        assert frame is not None
        at += frame.length
    side = int.from_bytes(data[at + 4 : at + 21], "big")
    gain = 17 * 8 - 9 - 5 - 4 - 12 - 9 - 8  # the first granule's global_gain: of a mono frame
    side += 24 << gain  # by 36 dB
    data[at + 4 : at + 21] = side.to_bytes(17, "big")
    path.write_bytes(data)
    assert np.abs(soundfile.read(path)[0]).max() > 10
    audio, notices = played(path)
    assert audio.shape == whole.shape and float(audio.abs().max()) <= 2
    assert len(notices) == 1 and notices[0].startswith("damaged (at 1.5 s")
    changed = ((audio - whole).abs() > 0.01).any(0).nonzero()
    assert 0 < len(changed) < 3000
    in_blocks = read_audio(path, start=int(changed[0]) + 100, frames=1000)[0]
    assert torch.allclose(in_blocks, audio[:, int(changed[0]) + 100 :][:, :1000], atol=1e-6)


def test_a_loud_lossy_file_is_left_alone(tmp_path: Path) -> None:
    """Up to 6 dB above full scale may come from an encoder that was given clipped music."""
    path = tmp_path / "a.ogg"
    soundfile.write(path, 4 * sines(1, 44100), 44100, format="OGG", subtype="VORBIS")
    audio, notices = played(path)
    assert 1.1 < float(audio.abs().max()) < 1.3 and not notices


@pytest.mark.parametrize(("subtype", "seconds"), [("VORBIS", 1.0), ("VORBIS", 6.0), ("OPUS", 6.0)])
def test_an_ogg_whose_last_page_ends_too_early(
    tmp_path: Path, subtype: str, seconds: float
) -> None:
    """libsndfile would stop at the position that the last page says."""
    path = tmp_path / "a.ogg"
    soundfile.write(path, sines(2, round(seconds * 48000)), 48000, format="OGG", subtype=subtype)
    data = path.read_bytes()
    assert not played(path)[1]
    pages = [found.start() for found in re.finditer(b"OggS", data)]
    page = bytearray(data[pages[-1] :])
    page[6:14] = (2944).to_bytes(8, "little")
    page[22:26] = bytes(4)
    page[22:26] = ogg_sum(bytes(page)).to_bytes(4, "little")
    path.write_bytes(data[: pages[-1]] + bytes(page))
    audio, notices = played(path)
    page_of_opus = 1.0 if subtype == "OPUS" else 0.1  # of which FFmpeg plays a part
    assert audio.shape[1] > (seconds - page_of_opus) * 48000
    assert len(notices) == 1 and "more samples than its last page says" in notices[0]
    assert probe_audio(path).frames == audio.shape[1]


def test_bytes_behind_a_wav_that_it_does_not_announce(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, sines(1, 30_000), 44100)
    data = bytearray(path.read_bytes())
    data[40:44] = (20_000).to_bytes(4, "little")
    path.write_bytes(data)
    audio, notices = played(path)
    assert audio.shape == (1, 10_000) and "40000 bytes" in notices[0]


# --- channels ---------------------------------------------------------------------------------

_SPEAKERS = {
    "3.0": "FL FR FC",
    "quad": "FL FR BL BR",
    "4.0": "FL FR FC BC",
    "5.0": "FL FR FC BL BR",
    "5.1": "FL FR FC LFE BL BR",
    "6.1": "FL FR FC LFE BC SL SR",
    "7.1": "FL FR FC LFE BL BR SL SR",
}
_CODECS = {
    "wav": "pcm_s16le",
    "w64": "pcm_s16le",
    "aiff": "pcm_s16be",
    "caf": "pcm_s16le",
    "flac": "flac",
    "opus": "libopus",
    "m4a": "aac",
    "mka": "flac",
}


# FFmpeg's encoder of Opus takes no 4.0, and puts 5.0 and 6.1 in a wrong order; AAC's no quad and
# 6.1; and PyAV makes no frame of eight channels one by one.
_NOT_MADE = {
    *(("opus", layout) for layout in ("4.0", "5.0", "6.1")),
    *(("m4a", layout) for layout in ("quad", "6.1", "7.1")),
}


@pytest.mark.parametrize(
    ("suffix", "layout"),
    [
        (suffix, layout)
        for suffix in _CODECS
        for layout in _SPEAKERS
        if (suffix, layout) not in _NOT_MADE
    ],
)
def test_every_speaker_goes_to_its_side(tmp_path: Path, suffix: str, layout: str) -> None:
    """ITU-R BS.775: centre and surround at −3 dB, a back centre at −6 dB, no low-frequency one."""
    names = _SPEAKERS[layout].split()
    path = tmp_path / f"a.{suffix}"
    encode(path, _CODECS[suffix], sines(len(names), 48000, 48000), 48000, layout)
    with open_audio(path) as reader:
        info, audio = reader.info, torch.cat(list(reader.blocks(48000)), 1)
    stereo = to_stereo(audio, info.layout)
    assert layout_name(info.layout or default_layout(len(names))) == layout
    half = 0.5**0.5
    left = {"FL": 1, "FC": half, "BL": half, "SL": half, "BC": 0.5}
    right = {"FR": 1, "FC": half, "BR": half, "SR": half, "BC": 0.5}
    for side, gains in zip(stereo, (left, right), strict=True):
        spectrum = np.abs(np.fft.rfft(side[:24000].numpy())) / 12000 / 0.3
        for number, name in enumerate(names):
            assert abs(spectrum[(300 + 200 * number) // 2] - gains.get(name, 0)) < 0.05, name


@pytest.mark.parametrize(
    ("suffix", "codec"), [("mov", "pcm_s16le"), ("mov", "pcm_s24be"), ("caf", "alac")]
)
def test_the_order_of_one_or_two_channels_is_no_obstacle(
    tmp_path: Path, suffix: str, codec: str
) -> None:
    """FFmpeg writes a chan atom or chunk also for mono and stereo."""
    for channels in (1, 2):
        path = encode(tmp_path / f"{channels}.{suffix}", codec, sines(channels, 40_960))
        assert b"chan" in path.read_bytes()
        audio, notices = played(path)
        assert audio.shape == (channels, by_ffmpeg(path)) and not notices
        assert pitches(audio.numpy()) == list(range(channels))


@pytest.mark.parametrize("suffix", ["mov", "caf"])
def test_what_only_the_program_reads_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    path = encode(tmp_path / f"a.{suffix}", "pcm_s16le", sines(6, 20_000), 44100, "5.1")
    data = bytearray(path.read_bytes())
    if suffix == "caf":  # a codec that libsndfile does not read
        data = data.replace(b"lpcm", b"ima4", 1)
    at = data.find(b"chan") + 12
    data[at : at + 4] = (147 << 16 | 6).to_bytes(4, "big")
    path.write_bytes(data)
    refused(path, "needs the program ffmpeg")


@pytest.mark.parametrize("channels", [9, 12, 16])
def test_many_channels_without_a_layout_go_left_and_right_by_turns(
    tmp_path: Path, channels: int
) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, sines(channels, 22_050), 44100, "FLOAT")
    source = FileSource(path)
    assert source.layout is None
    said = downmix_notice(source)
    assert f"{channels} channels without a layout" in said and "BS.775" not in said
    audio = played(path)[0]
    stereo = to_stereo(audio, source.layout)
    assert torch.allclose(stereo[0], audio[::2].mean(0), atol=1e-5)
    assert torch.allclose(stereo[1], audio[1::2].mean(0), atol=1e-5)


# --- what is refused --------------------------------------------------------------------------


def test_random_bytes_are_all_refused_alike(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    random = np.random.default_rng(3)
    suffixes = ["mp3", "wav", "aac", "m4a", "flac", "ogg", "ac3", "bin"]
    for number in range(160):
        path = tmp_path / f"a.{suffixes[number % 8]}"
        path.write_bytes(random.bytes(int(random.choice([100, 3000, 50_000, 200_000]))))
        refused(path, "holds no audio that can be read")
    assert capfd.readouterr() == ("", "")


def zipped(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("song.txt", "la la la")


OTHER: dict[str, Callable[[Path], object]] = {
    "zip archive": zipped,
    "web page": lambda path: path.write_text("\n <!DOCTYPE html>\n<html><body>404</body></html>"),
    "MIDI": lambda path: path.write_bytes(b"MThd\0\0\0\6\0\0\0\1\0\x60MTrk\0\0\0\4\0\xff\x2f\0"),
    "PDF": lambda path: path.write_bytes(b"%PDF-1.4\n" + bytes(3000)),
    "PNG": lambda path: path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(3000)),
    "JPEG": lambda path: path.write_bytes(b"\xff\xd8\xff\xe0\0\x10JFIF" + NOISE.bytes(30_000)),
}


@pytest.mark.parametrize("name", OTHER)
def test_what_holds_no_audio_is_named(tmp_path: Path, name: str) -> None:
    OTHER[name](tmp_path / "song.mp3")
    refused(tmp_path / "song.mp3", "holds no audio", name)


def video_only(path: Path) -> None:
    with av.open(str(path), "w") as out:
        stream = out.add_stream("mpeg4", rate=10)
        stream.width = stream.height = 32
        for _ in range(3):
            frame = av.VideoFrame(32, 32, "yuv420p")
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))


@pytest.mark.parametrize("ffmpeg_there", [True, False])
@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_a_video_without_sound(
    tmp_path: Path, request: pytest.FixtureRequest, suffix: str, ffmpeg_there: bool
) -> None:
    if not ffmpeg_there:
        request.getfixturevalue("plain")
    video_only(tmp_path / f"a.{suffix}")
    refused(tmp_path / f"a.{suffix}", "without sound")


@pytest.mark.usefixtures("plain")
@pytest.mark.parametrize(
    ("suffix", "codec", "container", "name"),
    [
        ("m4a", "alac", "ipod", "MP4 with ALAC"),
        ("mp4", "libmp3lame", "mp4", "MP4 with mp3"),
        ("mp4", "ac3", "mp4", "MP4 with AC-3"),
        ("mka", "aac", "matroska", "Matroska"),
        ("webm", "libopus", "webm", "Matroska"),
        ("wma", "wmav2", "asf", "WMA"),
        ("wv", "wavpack", "wv", "WavPack"),
        ("tta", "tta", "tta", "TTA"),
        ("ac3", "ac3", "ac3", "AC-3"),
        ("oga", "flac", "ogg", "Ogg FLAC"),
        ("avi", "pcm_s16le", "avi", "AVI"),
        ("flv", "aac", "flv", "Flash"),
    ],
)
def test_without_ffmpeg_a_format_is_named_with_the_way_out(
    tmp_path: Path, suffix: str, codec: str, container: str, name: str
) -> None:
    rate = 48000 if codec == "libopus" else 44100
    path = encode(tmp_path / f"a.{suffix}", codec, sines(2, 20_000), rate, container=container)
    refused(path, name, "audiotransfer[ffmpeg]")


@pytest.mark.parametrize("ffmpeg_there", [True, False])
def test_protected_music_is_named(
    tmp_path: Path, request: pytest.FixtureRequest, ffmpeg_there: bool
) -> None:
    if not ffmpeg_there:
        request.getfixturevalue("plain")
    data = (DATA / "tone_stereo.m4a").read_bytes()
    (tmp_path / "a.m4p").write_bytes(data.replace(b"mp4a", b"drms"))
    refused(tmp_path / "a.m4p", "DRM")


def test_one_frame_is_no_song(tmp_path: Path) -> None:
    (tmp_path / "a.mp2").write_bytes(b"\xff\xfd\xa0\xc0".ljust(626, b"\0"))
    message = refused(tmp_path / "a.mp2", "MPEG layer 2")
    assert "exist" not in message


@pytest.mark.parametrize("subtype", ["VORBIS", "OPUS"])
@pytest.mark.parametrize("size", [20, 100, 2000, 4000])
def test_an_ogg_that_is_cut_off_before_its_sound(tmp_path: Path, subtype: str, size: int) -> None:
    path = tmp_path / "a.ogg"
    soundfile.write(path, NOISE.uniform(-0.3, 0.3, 144_000), 48000, subtype, format="OGG")
    path.write_bytes(path.read_bytes()[:size])
    assert "End of file" not in refused(path, "cut off")


@pytest.mark.parametrize("lost", [1, 400, 10_000])
def test_the_lengths_of_a_truncated_file_differ_in_its_notice(tmp_path: Path, lost: int) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, sines(1, 13_230), 44100)
    path.write_bytes(path.read_bytes()[: -2 * lost])
    (notice,) = played(path)[1]
    assert notice.startswith("truncated")
    there, promised = re.findall(r"[\d.]+", notice)
    assert float(there) < float(promised)


@pytest.mark.parametrize("form", ["WEBP", "RMID", "sfbk", "ACON"])
def test_a_riff_file_that_is_no_wav_is_named(tmp_path: Path, form: str) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(b"RIFF" + (104).to_bytes(4, "little") + form.encode() + bytes(100))
    names = {"WEBP": "WebP", "RMID": "MIDI", "sfbk": "SoundFont", "ACON": "cursor"}
    refused(path, "holds no audio", names[form])


def test_what_is_readable_is_told_as_it_is(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(b"%PDF-1.7".ljust(100))
    refused(path, "readable are wav, flac", "wma")
    request.getfixturevalue("plain")
    assert "wma" not in refused(path, "readable are wav, flac")


@pytest.mark.parametrize("coding", ["cp1252", "utf-8"])
def test_texts_of_a_wav_in_an_older_coding(tmp_path: Path, coding: str) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, sines(1, 1000), 44100)
    info = b"INFO"
    for name, text in (
        (b"INAM", "Ti\xe9tle \u201cx\u201d"),
        (b"IART", "Bj\xf6rk"),
        (b"ICMT", "plain"),
    ):
        body = text.encode(coding) + b"\0"
        info += name + len(body).to_bytes(4, "little") + body + bytes(len(body) % 2)
    data = bytearray(path.read_bytes()) + b"LIST" + len(info).to_bytes(4, "little") + info
    data[4:8] = (len(data) - 8).to_bytes(4, "little")
    path.write_bytes(data)
    tags = read_tags(path)
    assert tags.fields["title"] == ("Ti\xe9tle \u201cx\u201d",)
    assert tags.fields["artist"] == ("Bj\xf6rk",) and tags.fields["comment"] == ("plain",)


# --- quiet ------------------------------------------------------------------------------------


def test_no_decoder_writes_to_the_terminal(tmp_path: Path) -> None:
    """In a process of its own, whose standard error is looked at as a file."""
    whole = tmp_path / "a.mp3"
    soundfile.write(whole, sines(2, 100_000), 44100)
    data = whole.read_bytes()
    middle = len(data) // 2
    cases = {
        "tag.mp3": data + b"APETAGEX" + NOISE.bytes(5000),
        "joined.mp3": data + data,
        "hole.mp3": data[:middle] + bytes(700) + data[middle + 300 :],
        "noise.mp3": NOISE.bytes(100_000),
        "cut.mp3": data[:middle],
    }
    for name, content in cases.items():
        (tmp_path / name).write_bytes(content)
    program = textwrap.dedent(
        """
        import sys
        from audiotransfer.audio.reading import probe_audio, read_audio
        from audiotransfer.errors import AudioTransferError
        for path in sys.argv[1:]:
            try:
                print(probe_audio(path).frames, read_audio(path)[0].shape[1])
            except AudioTransferError:
                print("refused")
        """
    )
    paths = [str(tmp_path / name) for name in cases]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", program, *paths], capture_output=True, text=True, env=environment
    )
    assert done.returncode == 0 and done.stderr == ""
    assert done.stdout.splitlines()[3] == "refused" and done.stdout.count("refused") == 1


def test_standard_error_is_there_again(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.mp3", sines(1, 10_000), 44100)
    read_audio(tmp_path / "a.mp3")
    os.write(2, b"still here")
    assert capfd.readouterr().err == "still here"
