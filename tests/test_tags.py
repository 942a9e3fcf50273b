"""Tags: read from every format, and written to every format that can hold them."""

from __future__ import annotations

import base64
import pickle
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tinytag import TinyTag

from audiotransfer.audio.reading import read_audio
from audiotransfer.audio.tags import id3
from audiotransfer.audio.tags.id3 import CoverArt
from audiotransfer.audio.tags.reading import read_tags
from audiotransfer.audio.tags.tags import FRAMES, Tags, fitting, frames_of
from audiotransfer.audio.writing import AudioWriter, write_audio

WRITTEN = ("wav", "flac", "ogg", "mp3")
JPEG = b"\xff\xd8\xff\xe0" + bytes(range(256)) * 20 + b"\xff\x00\xff\xd9"
PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(255, -1, -1)) * 300  # more than one Ogg page
FIELDS = {
    "title": "Größe 日本 🎵", "artist": ("A; B", "C"), "albumartist": "VA", "album": "Album",
    "composer": "Bach", "tracknumber": "4/9", "discnumber": "2/3", "date": "1999-05-01",
    "genre": ("Jazz", "Blues"), "comment": "a, b; c – d", "lyrics": "la\nla 日本", "isrc": "USABC",
    "bpm": "120", "copyright": "(c) 1999", "publisher": "Lbl", "language": "deu",
    "compilation": "1", "artistsort": "Sort, A", "titlesort": "Größe", "conductor": "Con",
    "website": "http://example.org/", "MY OWN FIELD": "ü",
}  # fmt: skip
TAGS = Tags(
    {name: (value,) if isinstance(value, str) else value for name, value in FIELDS.items()},
    (CoverArt(JPEG, "image/jpeg", 3, "cöver"), CoverArt(PNG, "image/png", 4, "")),
)


def sound(path: Path, tags: object = None, frames: int = 30_000) -> Path:
    noise = 0.1 * torch.randn(2, frames, generator=torch.Generator().manual_seed(0))
    write_audio(path, noise, 44100, tags=tags, overwrite=True)
    return path


def frame_2_2(name: str, body: bytes) -> bytes:
    return name.encode() + len(body).to_bytes(3, "big") + body


def frame_2_3(name: str, body: bytes, flags: int = 0) -> bytes:
    return name.encode() + struct.pack(">IH", len(body), flags) + body


def frame_2_4(name: str, body: bytes, flags: int = 0) -> bytes:
    return name.encode() + synchsafe(len(body)) + struct.pack(">H", flags) + body


def synchsafe(number: int) -> bytes:
    return bytes(number >> shift & 0x7F for shift in (21, 14, 7, 0))


def tag(version: int, body: bytes, flags: int = 0) -> bytes:
    return b"ID3" + bytes([version, 0, flags]) + synchsafe(len(body)) + body


def utf16(text: str) -> bytes:
    return b"\x01" + text.encode("utf-16")


def unsynchronised(data: bytes) -> bytes:
    """A zero behind every byte 255 that could be taken for a frame of sound."""
    out = bytearray()
    for byte, after in zip(data, data[1:] + b"\xff", strict=True):
        out.append(byte)
        if byte == 0xFF and (after >= 0xE0 or after == 0):
            out.append(0)
    return bytes(out)


# --- there and back --------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", WRITTEN)
def test_all_tags_come_back(tmp_path, suffix):
    path = sound(tmp_path / f"a.{suffix}", TAGS)
    back = read_tags(path)
    own = "my own field" if suffix in ("flac", "ogg") else "MY OWN FIELD"
    assert back.fields == {
        own if name not in FRAMES else name: values for name, values in TAGS.fields.items()
    }
    assert back.covers == TAGS.covers
    assert back.unread == ()
    plain = sound(tmp_path / f"plain.{suffix}")
    assert torch.equal(read_audio(path)[0], read_audio(plain)[0])  # the sound is the same
    assert read_tags(plain) == Tags()


@pytest.mark.parametrize("suffix", WRITTEN)
def test_another_reader_finds_them(tmp_path, suffix):
    path = sound(tmp_path / f"a.{suffix}", TAGS)
    read = TinyTag.get(path, image=True)
    assert (read.title, read.artist, read.albumartist) == ("Größe 日本 🎵", "A; B", "VA")
    assert (read.track, read.track_total, read.disc, read.disc_total) == (4, 9, 2, 3)
    assert (read.album, read.composer, read.year) == ("Album", "Bach", "1999-05-01")
    assert (read.genre, read.comment) == ("Jazz", "a, b; c – d")
    for name in ("isrc", "bpm", "copyright", "publisher", "lyrics", "language"):
        assert read.other[name] == [FIELDS[name]], name
    assert read.images.front_cover.data == JPEG and read.images.back_cover.data == PNG
    assert read.duration == pytest.approx(30_000 / 44100, abs=0.06)


@pytest.mark.parametrize("suffix", WRITTEN)
def test_ffmpeg_finds_them_and_all_of_the_sound(tmp_path, suffix):
    import av

    path = sound(tmp_path / f"a.{suffix}", TAGS)
    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        told = {**container.metadata, **stream.metadata}
        lower = {name.lower().removesuffix("-deu"): value for name, value in told.items()}
        assert lower["title"] == "Größe 日本 🎵" and lower["album_artist"] == "VA"
        assert "la\nla" in lower["lyrics"]
        covers = container.streams.video
        assert [cover.codec_context.name for cover in covers] == ["mjpeg", "png"]
        assert bytes(next(container.demux(covers[0]))) == JPEG
    with av.open(str(path)) as container:
        assert sum(frame.samples for frame in container.decode(audio=0)) == 30_000


def test_libsndfile_finds_what_a_list_chunk_holds(tmp_path):
    with soundfile.SoundFile(sound(tmp_path / "a.wav", TAGS)) as read:
        assert (read.title, read.album, read.date) == ("Größe 日本 🎵", "Album", "1999-05-01")


@pytest.mark.parametrize("suffix", ["wav", "flac"])
def test_same_tags_same_bytes(tmp_path, suffix):
    one, other = sound(tmp_path / f"a.{suffix}", TAGS), sound(tmp_path / f"b.{suffix}", TAGS)
    assert one.read_bytes() == other.read_bytes()


@pytest.mark.parametrize("frames", [1, 1151, 30_001])
@pytest.mark.parametrize("suffix", WRITTEN)
def test_short_and_odd_sounds_take_tags(tmp_path, suffix, frames):
    path = tmp_path / f"a.{suffix}"
    for encoding in ("int16", "int24"):
        write_audio(
            path, torch.zeros(1, frames), 44100, encoding=encoding, tags=TAGS, overwrite=True
        )
        assert read_audio(path)[0].shape == (1, frames)
        assert read_tags(path).covers == TAGS.covers


def test_a_tagged_wav_is_a_sound_riff_file(tmp_path):
    data = sound(tmp_path / "a.wav", TAGS, 999).read_bytes()
    assert struct.unpack("<I", data[4:8])[0] == len(data) - 8
    names, place = [], 12
    while place < len(data):
        size = struct.unpack("<I", data[place + 4 : place + 8])[0]
        names.append(data[place : place + 4])
        place += 8 + size + size % 2
    assert place == len(data) and names == [b"fmt ", b"data", b"id3 ", b"LIST"]


def test_a_tagged_ogg_is_sound_page_by_page(tmp_path):
    """Numbers without a gap, checksums as the page itself gives them, one end."""
    data, number = sound(tmp_path / "a.ogg", TAGS).read_bytes(), 0
    serials = set()
    while data:
        assert data[:5] == b"OggS\0"
        assert struct.unpack("<I", data[18:22])[0] == number
        assert (data[5] & 2 == 2) == (number == 0)
        serials.add(data[14:18])
        head = 27 + data[26]
        length = head + sum(data[27:head])
        crc = 0
        for byte in data[:22] + bytes(4) + data[26:length]:
            crc ^= byte << 24
            for _ in range(8):
                crc = (crc << 1 ^ 0x04C11DB7) & 0xFFFFFFFF if crc >> 31 else crc << 1
        assert crc == struct.unpack("<I", data[22:26])[0]
        last, data, number = data[5] & 4, data[length:], number + 1
        assert bool(last) == (not data)
    assert len(serials) == 1 and number > 5


# --- ID3v2 -----------------------------------------------------------------------------------

NEW = id3.tag([id3.Frame("TIT2", b"\x03new")])
FORMATS = {
    "2.2": tag(
        2,
        frame_2_2("TT2", utf16("Größe")) + frame_2_2("TP1", b"\0Art")
        + frame_2_2("TYE", b"\x001999") + frame_2_2("TCO", b"\0(8)") + frame_2_2("TP2", b"\0VA")
        + frame_2_2("ULT", b"\0eng\0words") + frame_2_2("PIC", b"\0JPG\x03\0" + JPEG) + bytes(70),
    ),
    "2.3": tag(
        3,
        frame_2_3("TIT2", utf16("Größe")) + frame_2_3("TPE1", b"\0Art")
        + frame_2_3("TYER", b"\x001999") + frame_2_3("TCON", b"\0(8)") + frame_2_3("TPE2", b"\0VA")
        + frame_2_3("USLT", b"\x01eng" + "".encode("utf-16") + b"\0\0" + "words".encode("utf-16"))
        + frame_2_3("APIC", b"\x01image/jpeg\0\x03" + "".encode("utf-16") + b"\0\0" + JPEG),
    ),
    "2.4": tag(
        4,
        frame_2_4("TIT2", b"\x03" + "Größe".encode()) + frame_2_4("TPE1", b"\x03Art\0")
        + frame_2_4("TDRC", b"\x031999") + frame_2_4("TCON", b"\x038") + frame_2_4("TPE2", b"\0VA")
        + frame_2_4("USLT", b"\x03eng\0words") + frame_2_4("APIC", b"\0image/jpeg\0\x03\0" + JPEG),
    ),
}  # fmt: skip
FORMATS["2.3 unsynchronised"] = tag(3, unsynchronised(FORMATS["2.3"][10:]), 0x80)
FORMATS["2.3 with an extended header"] = tag(
    3, struct.pack(">IHI", 6, 0, 0) + FORMATS["2.3"][10:], 0x40
)
FORMATS["2.4 with an extended header"] = tag(4, synchsafe(6) + b"\1\0" + FORMATS["2.4"][10:], 0x40)
FORMATS["2.4 with a footer"] = (
    tag(4, FORMATS["2.4"][10:], 0x10) + b"3DI\4\0\x10" + synchsafe(len(FORMATS["2.4"]) - 10)
)
FORMATS["2.3 packed"] = tag(
    3,
    FORMATS["2.3"][10 : -len(JPEG) - 27]
    + frame_2_3(
        "APIC",
        struct.pack(">I", 4000) + zlib.compress(b"\0image/jpeg\0\x03\0" + JPEG),
        0x80,
    ),
)
FORMATS["2.4 frames packed and unsynchronised"] = tag(
    4,
    b"".join(
        frame_2_4(frame.name, synchsafe(9) + unsynchronised(zlib.compress(frame.body)), 0x0B)
        for frame in id3.frames(FORMATS["2.4"])
    ),
)
FORMATS["2.4 with the plain sizes of old iTunes"] = tag(
    4, b"".join(frame_2_3(frame.name, frame.body) for frame in id3.frames(FORMATS["2.4"]))
)


@pytest.mark.parametrize("kind", FORMATS)
def test_id3_of_every_kind_is_read(tmp_path, kind):
    path = tmp_path / "a.mp3"
    path.write_bytes(FORMATS[kind] + sound(tmp_path / "plain.mp3").read_bytes())
    read = read_tags(path)
    assert read.fields == {
        "title": ("Größe",), "artist": ("Art",), "date": ("1999",), "genre": ("Jazz",),
        "albumartist": ("VA",), "lyrics": ("words",),
    }  # fmt: skip
    assert read.covers == (CoverArt(JPEG, "image/jpeg", 3, ""),)


@pytest.mark.parametrize("gap", [0, 1, 5000])
def test_several_id3_tags_are_one(tmp_path, gap):
    """The first that has a field, or pictures, counts."""
    first = tag(3, frame_2_3("TIT2", b"\0one"))
    second = tag(3, frame_2_3("TIT2", b"\0two") + frame_2_3("TALB", b"\0Album"))
    third = tag(4, frame_2_4("APIC", b"\0image/jpeg\0\x03\0" + JPEG * 40))
    path = tmp_path / "a.mp3"
    path.write_bytes(
        (bytes(gap)).join((first, second, third)) + sound(tmp_path / "plain.mp3").read_bytes()
    )
    read = read_tags(path)
    assert read.fields == {"title": ("one",), "album": ("Album",)}
    assert [len(shown.data) for shown in read.covers] == [len(JPEG) * 40]


def test_id3v1_fills_what_is_missing(tmp_path):
    end = b"TAG" + b"".join(text.ljust(30, b"\0") for text in (b"Title", b"Artist", b"Album"))
    end += b"1999" + b"com".ljust(28, b"\0") + b"\0\x07\x08"
    plain = sound(tmp_path / "plain.mp3").read_bytes()
    path = tmp_path / "a.mp3"
    path.write_bytes(plain + end)
    expected = {
        "title": ("Title",), "artist": ("Artist",), "album": ("Album",), "date": ("1999",),
        "comment": ("com",), "tracknumber": ("7",), "genre": ("Jazz",),
    }  # fmt: skip
    assert read_tags(path).fields == expected
    path.write_bytes(tag(3, frame_2_3("TIT2", b"\0A longer title")) + plain + end)
    assert read_tags(path).fields == {**expected, "title": ("A longer title",)}


def test_dates_of_id3v2_3_are_put_together(tmp_path):
    body = frame_2_3("TDAT", b"\x000105") + frame_2_3("TYER", b"\x001999")
    body += frame_2_3("TORY", b"\x001970")
    path = tmp_path / "a.mp3"
    path.write_bytes(tag(3, body) + sound(tmp_path / "plain.mp3").read_bytes())
    assert read_tags(path).fields == {"date": ("1999-05-01",), "originaldate": ("1970",)}


@pytest.mark.parametrize("container", ["wav", "aiff"])
def test_the_id3_chunk_of_wav_and_aiff(tmp_path, container):
    path = tmp_path / f"a.{container}"
    soundfile.write(path, np.zeros((1001, 2)), 44100, "PCM_16")
    order = "<" if container == "wav" else ">"
    name = b"id3 " if container == "wav" else b"ID3 "
    content = FORMATS["2.3 unsynchronised"]
    chunk = name + struct.pack(f"{order}I", len(content)) + content + bytes(len(content) % 2)
    data = path.read_bytes() + chunk
    path.write_bytes(data[:4] + struct.pack(f"{order}I", len(data) - 8) + data[8:])
    read = read_tags(path)
    assert read.get("title") == "Größe" and read.get("lyrics") == "words"
    assert read.covers == (CoverArt(JPEG, "image/jpeg", 3, ""),)


def test_frames_that_are_no_text_stay_in_id3_and_are_named_elsewhere(tmp_path):
    popularimeter = id3.Frame("POPM", b"a@b\0\xc8" + bytes(4))
    body = frame_2_3("POPM", popularimeter.body) + frame_2_3("CHAP", b"x\0" + bytes(16))
    body += frame_2_3("TIT2", b"\0T") + frame_2_3("RVAD", bytes(12))
    path = tmp_path / "a.mp3"
    path.write_bytes(tag(3, body) + sound(tmp_path / "plain.mp3").read_bytes())
    read = read_tags(path)
    assert read.frames == (popularimeter,) and read.unread == ("chapters",)
    for suffix in WRITTEN:
        writer = AudioWriter(tmp_path / f"b.{suffix}", 44100, 1, tags=read)
        with writer:
            writer.write(torch.zeros(1, 100))
        there = suffix in ("wav", "mp3")
        assert writer.unkept == (("chapters",) if there else ("chapters", "ratings"))
        assert read_tags(writer.path).frames == (read.frames if there else ())


@settings(max_examples=150, deadline=None)
@given(seed=st.integers(0, 10**6), kind=st.sampled_from(sorted(FORMATS)))
def test_damaged_tags_are_no_error(tmp_path_factory, seed, kind):
    rng = np.random.default_rng(seed)
    data = bytearray(FORMATS[kind] + b"\xff\xfb\x90\x00" + bytes(300))
    for place in rng.integers(0, 300 if seed % 2 else len(data), size=int(rng.integers(1, 8))):
        data[place] = int(rng.integers(256))
    path = tmp_path_factory.getbasetemp() / "damaged.mp3"
    path.write_bytes(data[: int(rng.integers(1, len(data)))] if seed % 3 else data)
    read = read_tags(path)
    id3.frames(id3.tag([id3.text_frame(FRAMES["title"], [read.get("title")])]))
    assert all(isinstance(value, str) for values in read.fields.values() for value in values)
    write_audio(path.with_name("b.mp3"), torch.zeros(1, 50), 44100, tags=read, overwrite=True)


# --- other kinds -----------------------------------------------------------------------------


def atom(name: bytes, *inside: bytes) -> bytes:
    content = b"".join(inside)
    return struct.pack(">I", 8 + len(content)) + name + content


def item(name: bytes, kind: int, value: bytes) -> bytes:
    return atom(name, atom(b"data", struct.pack(">II", kind, 0), value))


def freeform(name: str, value: str) -> bytes:
    return atom(
        b"----",
        atom(b"mean", bytes(4), b"com.apple.iTunes"),
        atom(b"name", bytes(4), name.encode()),
        atom(b"data", struct.pack(">II", 1, 0), value.encode()),
    )


def test_the_tags_of_mp4(tmp_path):
    items = (
        item(b"\xa9nam", 1, "Größe".encode()), item(b"aART", 1, b"VA"),
        item(b"\xa9wrt", 1, b"Bach"),
        item(b"trkn", 0, struct.pack(">4H", 0, 4, 9, 0)), item(b"tmpo", 21, b"\0\x78"),
        item(b"disk", 0, struct.pack(">3H", 0, 2, 3)), item(b"cpil", 21, b"\1"),
        item(b"\xa9lyr", 1, b"la\nla"), item(b"soar", 1, b"Sort"), item(b"covr", 13, JPEG),
        freeform("ISRC", "USABC"), freeform("LABEL", "Lbl"), freeform("iTunNORM", " 0000"),
        freeform("replaygain_track_gain", "-7 dB"), freeform("iTunSMPB", " 0 0"),
    )  # fmt: skip
    moov = atom(b"moov", atom(b"udta", atom(b"meta", bytes(4), atom(b"ilst", *items))))
    path = tmp_path / "a.m4a"
    path.write_bytes(atom(b"ftyp", b"M4A \0\0\0\0") + moov)
    read = read_tags(path)
    assert read.fields == {
        "title": ("Größe",), "albumartist": ("VA",), "composer": ("Bach",), "tracknumber": ("4/9",),
        "bpm": ("120",), "discnumber": ("2/3",), "compilation": ("1",), "lyrics": ("la\nla",),
        "artistsort": ("Sort",), "isrc": ("USABC",), "label": ("Lbl",),
    }  # fmt: skip
    assert read.covers == (CoverArt(JPEG, "image/jpeg", 3, ""),)


def test_vorbis_comments_by_their_many_names(tmp_path):
    path = sound(
        tmp_path / "a.flac",
        Tags({
            "album artist": ("VA",), "TRACKNUMBER": ("A1",), "year": ("1999",), "key": ("Am",),
            "REPLAYGAIN_TRACK_GAIN": ("-7 dB",), "R128_TRACK_GAIN": ("200",),
            "encoder": ("Lavf",), "unsyncedlyrics": ("la",), "totaldiscs": ("3",), "disc": ("2",),
        }),
    )  # fmt: skip
    assert b"REPLAYGAIN" in path.read_bytes()  # so that it is the reader who leaves it out
    assert read_tags(path).fields == {
        "albumartist": ("VA",), "tracknumber": ("A1",), "date": ("1999",), "initialkey": ("Am",),
        "lyrics": ("la",), "discnumber": ("2/3",),
    }  # fmt: skip


def test_covers_of_old_ogg_files(tmp_path):
    old = {"coverart": base64.b64encode(JPEG).decode(), "coverartmime": "image/jpeg"}
    path = sound(tmp_path / "a.ogg", Tags({name: (value,) for name, value in old.items()}))
    assert read_tags(path) == Tags(covers=(CoverArt(JPEG, "image/jpeg", 3, ""),))


def test_kinds_that_only_ffmpeg_reads(tmp_path):
    import av

    path = tmp_path / "a.mka"
    with av.open(str(path), "w", format="matroska") as container:
        container.metadata.update({"title": "Größe", "album_artist": "VA", "ISRC": "USABC"})
        stream = container.add_stream("pcm_s16le", rate=44100)
        stream.layout = "mono"
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1000), np.int16), "s16", "mono")
        frame.sample_rate = 44100
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            container.mux(packet)
    read = read_tags(path)
    assert (read.get("title"), read.get("albumartist"), read.get("isrc")) == (
        "Größe",
        "VA",
        "USABC",
    )
    assert "encoder" not in read.fields


def test_no_tags(tmp_path):
    for suffix in WRITTEN:
        path = sound(tmp_path / f"a.{suffix}", {"title": " \0"})
        assert read_tags(path) == Tags()
    (tmp_path / "text.mp3").write_text("no tags here")
    (tmp_path / "empty.mp3").touch()
    for name in ("text.mp3", "empty.mp3", "missing.mp3"):
        assert not read_tags(tmp_path / name)
    assert not read_tags(tmp_path)


# --- what is handed over ---------------------------------------------------------------------


def test_tags_from_a_mapping():
    found = Tags.of({"Album Artist": "VA", "artist": ["A", "B", "A"], "tracknumber": "3", "x": ""})
    assert found.fields == {"albumartist": ("VA",), "artist": ("A", "B"), "tracknumber": ("3",)}
    assert found.get("artist") == found["artist"] == "A; B" and found.get("title") == "" and found
    assert Tags.of(None) == Tags() and not Tags()
    assert Tags.of(TAGS) is TAGS
    assert pickle.loads(pickle.dumps(TAGS)) == TAGS


@pytest.mark.parametrize("suffix", WRITTEN)
def test_long_tags_do_not_stop_a_song(tmp_path, suffix):
    path = sound(tmp_path / f"a.{suffix}", {"comment": "la " * 100_000, "title": "ß"})
    read = read_tags(path)
    assert read.get("title") == "ß" and read.get("comment") == ("la " * 100_000).strip()
    assert Tags.of({"comment": "l" * (1 << 21)}).unread == ("comment of 2097152 characters",)


def test_a_cover_too_large_for_flac_is_named(tmp_path):
    large = Tags({"title": ("T",)}, (CoverArt(JPEG[:4] + bytes(17 << 20), "image/jpeg"),))
    assert fitting(large, ".flac") == (Tags({"title": ("T",)}), ("a picture of 17 MB",))
    for suffix in (".mp3", ".wav", ".ogg"):
        assert fitting(large, suffix) == (large, ())
    with AudioWriter(tmp_path / "a.flac", 44100, 1, tags=large) as writer:
        writer.write(torch.zeros(1, 10))
    assert read_tags(tmp_path / "a.flac") == Tags({"title": ("T",)})


def test_names_that_vorbis_comments_cannot_hold():
    assert fitting(Tags({"größe": ("1",), "a=b": ("2",), "ok": ("3",)}), ".ogg") == (
        Tags({"ok": ("3",)}),
        ("größe", "a=b"),
    )


def test_covers_and_comments_with_one_description_stay_apart():
    """ID3 tells frames apart by their descriptions."""
    both = (CoverArt(JPEG, "image/jpeg", 3, ""), CoverArt(PNG, "image/png", 3, ""))
    frames = frames_of(Tags({"comment": ("one", "two")}, both))
    shown = [id3.cover_art(frame.body) for frame in frames if frame.name == "APIC"]
    assert [(one.data, one.description) for one in shown if one] == [(JPEG, ""), (PNG, "2")]
    said = [id3.described(frame.body, 3) for frame in frames if frame.name == "COMM"]
    assert said == [("", ["one"]), ("2", ["two"])]
