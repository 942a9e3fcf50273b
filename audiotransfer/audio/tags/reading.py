"""Reading tags: ID3v2 here, other tags by tinytag, and the rest by FFmpeg."""

from __future__ import annotations

import base64
import contextlib
import re
import warnings
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import soundfile

from audiotransfer.audio.tags import id3
from audiotransfer.audio.tags.id3 import CoverArt, Frame
from audiotransfer.audio.tags.tags import FIELDS, ONLY_ID3, TagCollector, Tags

#: ID3 frames about the file or its level, which are left out.
_OF_THE_FILE = frozenset({
    "AENC", "ASPI", "EQU2", "EQUA", "GRID", "LINK", "MLLT", "NCON", "POSS", "RBUF", "RGAD", "RVA2",
    "RVAD", "RVRB", "SEEK", "SIGN", "SYTC", "XRVA",
})  # fmt: skip
_UNREAD = {"CHAP": "chapters", "CTOC": "chapters", id3.ENCRYPTED: "encrypted frames"}
_UNREAD_CHUNKS = {b"bext": "broadcast data", b"cue ": "cue points", b"iXML": "iXML"}
#: tinytag's names of ID3's picture types, in their order.
_COVER_TYPES = (
    "generic", "icon", "alt_icon", "front_cover", "back_cover", "leaflet", "media", "lead_artist",
    "artist", "conductor", "band", "composer", "lyricist", "recording_location",
    "during_recording", "during_performance", "screen_capture", "bright_colored_fish",
    "illustration", "band_logo", "publisher_logo",
)  # fmt: skip
_FFMPEG_COVERS = {"mjpeg": "image/jpeg", "png": "image/png", "gif": "image/gif", "bmp": "image/bmp"}


def read_tags(path: str | Path) -> Tags:
    """All tags of a file; empty where there are none, or none that can be read."""
    collected = TagCollector()
    try:
        with open(path, "rb") as file:
            for frames in id3.find(file):
                collected.complete(_from_id3(frames))
            collected.unread += _unread_chunks(file)
            known = _from_tinytag(file, bool(collected.tags()))
    except OSError:
        return Tags()
    if known is not None:
        collected.complete(known)
    elif not collected.tags():
        collected.complete(_from_ffmpeg(str(path)))
    return collected.tags()


def _from_id3(frames: list[Frame]) -> TagCollector:
    collected = TagCollector()
    for frame in frames:
        name, body = frame
        if name == "TXXX":
            collected.add(*id3.described(body))
        elif name in ("COMM", "USLT"):
            description, values = id3.described(body, skip=3)
            plain = name == "USLT" or description.lower() in ("", "comment", "description")
            collected.add(FIELDS[name] if plain else description, values)
        elif name == "APIC":
            cover = id3.cover_art(body)
            if cover is None:
                collected.unread.append("a damaged picture")
            else:
                collected.add_cover(cover)
        elif name == "TCON":
            collected.add("genre", _genres(frame))
        elif name in ONLY_ID3:
            collected.frames.append(frame)
        elif name.startswith("W"):
            collected.add(name, [body.decode("latin-1")])
        elif name.startswith("T") or name in FIELDS:
            collected.add(name, id3.texts(body))
        elif name not in _OF_THE_FILE:
            collected.unread.append(_UNREAD.get(name, name))
    return collected


def _genres(frame: Frame) -> list[str]:
    """Genre names of a frame that may hold numbers, by tinytag's list."""
    from tinytag import TinyTag

    tag = TinyTag.get(file_obj=BytesIO(id3.tag([frame])), duration=False)
    return [tag.genre or "", *tag.other.get("genre", [])]


def _unread_chunks(file: BinaryIO) -> list[str]:
    """Names of the tag chunks of a wav file that are not read."""
    file.seek(0)
    if file.read(4) not in (b"RIFF", b"RF64", b"BW64"):
        return []
    return [_UNREAD_CHUNKS[name] for name, _ in id3.chunks(file) if name in _UNREAD_CHUNKS]


def _from_tinytag(file: BinaryIO, tagged: bool) -> TagCollector | None:
    """Tags of Vorbis comments, MP4, ASF, RIFF, AIFF and ID3v1; ``None`` for damaged or other files.

    With ``tagged``, for files with an ID3v2 tag, frames that tinytag has no name for are left out.
    """
    from tinytag import TinyTag, TinyTagException

    file.seek(0)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            readable = _info_in_utf8(file)
            tag = TinyTag.get(file_obj=readable, tags=True, duration=False, image=True)
    except (TinyTagException, ValueError, LookupError):
        return None
    collected = TagCollector()
    for name in ("title", "artist", "albumartist", "album", "composer", "genre", "comment"):
        collected.add(name, [getattr(tag, name) or ""])
    collected.add("date", [tag.year or ""])
    numbers = {
        "tracknumber": tag.track, "tracktotal": tag.track_total,
        "discnumber": tag.disc, "disctotal": tag.disc_total,
    }  # fmt: skip
    for name, number in numbers.items():
        collected.add(name, [str(number)] if number else [])
    for name, values in tag.other.items():
        if name == "xmp":
            collected.unread.append("XMP")
        elif name == "coverart":  # the predecessor of METADATA_BLOCK_PICTURE
            with contextlib.suppress(ValueError):
                collected.add_cover(CoverArt(base64.b64decode(values[0]), ""))
        elif not (tagged and re.fullmatch(r"[a-z][a-z0-9]{2,3}", name)):
            collected.add(name, values)
    for name, images in tag.images.as_dict().items():
        kind = _COVER_TYPES.index(name) if name in _COVER_TYPES else 0
        for image in images:
            text = image.description or ""
            collected.add_cover(CoverArt(image.data, image.mime_type or "", kind, text))
    if not collected.fields.get("tracknumber"):  # tinytag reads only numbers, not A1
        collected.add("tracknumber", [_track_side(file)])
    return collected


def _info_in_utf8(file: BinaryIO) -> BinaryIO:
    """The tag chunks of a wav file, INFO texts of Windows-1252 as UTF-8; other files unchanged.

    tinytag decodes all INFO texts as UTF-8.
    """
    file.seek(0)
    head = file.read(12)
    if head[:4] != b"RIFF":
        file.seek(0)
        return file
    made = bytearray(head)
    for name, size in id3.chunks(file):
        if name in (b"LIST", b"id3 ", b"ID3 ", b"_PMX"):
            body = file.read(size)
            body = _texts_in_utf8(body) if body[:4] == b"INFO" else body
            made += name + len(body).to_bytes(4, "little") + body + bytes(len(body) % 2)
    return BytesIO(made)


def _texts_in_utf8(info: bytes) -> bytes:
    """INFO texts as UTF-8."""
    made, at = info[:4], 4
    while len(head := info[at : at + 8]) == 8:
        size = int.from_bytes(head[4:], "little")
        text = info[at + 8 : at + 8 + size]
        try:
            text.decode()
        except UnicodeDecodeError:
            text = text.decode("cp1252", "replace").encode()
        made += head[:4] + len(text).to_bytes(4, "little") + text + bytes(len(text) % 2)
        at += 8 + size + size % 2
    return made


def _track_side(file: BinaryIO) -> str:
    """Track number of flac and ogg as libsndfile reads it."""
    file.seek(0)
    if file.read(4) not in (b"fLaC", b"OggS"):
        return ""
    file.seek(0)
    try:
        with soundfile.SoundFile(file) as sound:
            return str(sound.tracknumber)
    except soundfile.SoundFileError:
        return ""


def _from_ffmpeg(path: str) -> TagCollector:
    """Tags of formats unknown to tinytag (APE, WavPack, Matroska…), where PyAV is installed."""
    collected = TagCollector()
    try:
        import av
    except ImportError:
        return collected
    try:
        with av.open(path) as container:
            sources = [container.metadata, *(stream.metadata for stream in container.streams.audio)]
            for name, value in (item for metadata in sources for item in metadata.items()):
                collected.add(name, [value])
            for stream in container.streams.video:
                mime = _FFMPEG_COVERS.get(stream.codec_context.name)
                if mime and stream.disposition & av.stream.Disposition.attached_pic:
                    packet = next(container.demux(stream))
                    collected.add_cover(CoverArt(bytes(packet), mime))
    except (av.FFmpegError, OSError, ValueError, StopIteration):
        pass
    return collected
