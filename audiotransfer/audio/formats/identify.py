"""Identification of a file's format by its content, whatever its suffix."""

from __future__ import annotations

import mmap
from pathlib import Path

from audiotransfer.audio.decoding import ffmpeg
from audiotransfer.audio.formats import chunks, flac, mpeg, ogg
from audiotransfer.audio.formats.survey import Survey
from audiotransfer.audio.tags import blocks
from audiotransfer.errors import AudioTransferError

_READS = "wav, flac, ogg, opus, mp3, aiff, m4a and aac"
_FFMPEG_READS = "wav, flac, ogg, opus, mp3, aiff, m4a, aac, wma, ac3, ape, wv, mka, webm and others"
_CHUNKS = {
    b"RIFF": "wav",
    b"RIFX": "wav",
    b"RF64": "RF64",
    b"BW64": "BW64",
    b"riff\x2e\x91\xcf\x11": "W64",
    b"FORM": "AIFF",
    b"caff": "CAF",
    b".snd": "AU",
}
_SOUND = {  # formats that FFmpeg may read
    b"\x1a\x45\xdf\xa3": "Matroska or WebM",
    b"\x30\x26\xb2\x75\x8e\x66\xcf\x11": "Windows Media (WMA)",
    b"#!AMR": "AMR",
    b"MAC ": "Monkey's Audio (APE)",
    b"wvpk": "WavPack",
    b"TTA1": "True Audio (TTA)",
    b"tBaK": "TAK",
    b"MPCK": "Musepack",
    b"MP+": "Musepack",
    b"DSD ": "DSF (DSD)",
    b"FRM8": "DSDIFF (DSD)",
    b"OFR ": "OptimFROG",
    b"ajkg": "Shorten",
    b".RMF": "RealMedia",
    b".ra\xfd": "RealAudio",
    b"Creative Voice File": "Creative Voice (VOC)",
    b"\x0b\x77": "AC-3",
    b"\x7f\xfe\x80\x01": "DTS",
    b"FLV\x01": "Flash video",
    b"#EXTM3U": "a playlist",
    b"\xff\xfe\x80\x01": "DTS",
}
_OTHER = {
    b"PK\x03\x04": "a zip archive",
    b"Rar!": "a rar archive",
    b"7z\xbc\xaf": "a 7z archive",
    b"\x1f\x8b": "a gzip archive",
    b"BZh": "a bzip2 archive",
    b"\xfd7zXZ": "an xz archive",
    b"%PDF": "a PDF document",
    b"\x89PNG": "a PNG picture",
    b"\xff\xd8\xff": "a JPEG picture",
    b"GIF8": "a GIF picture",
    b"MThd": "a MIDI file",
    b"\x7fELF": "a program",
    b"MZ": "a program",
    b"SQLite format 3": "a database",
    b"[playlist]": "a playlist",
    b"{\\rtf": "a document",
    b"\xd0\xcf\x11\xe0": "an Office document",
    b"IMPM": "a tracker module",
    b"Extended Module": "a tracker module",
}
_RIFF_OTHER = {
    b"RMID": "a MIDI file",
    b"WEBP": "a WebP picture",
    b"ACON": "an animated cursor",
    b"sfbk": "a SoundFont",
    b"DLS ": "a DLS instrument bank",
    b"PAL ": "a colour palette",
    b"CDR ": "a CorelDRAW drawing",
    b"CDDA": "a track list of an audio CD",
}
_MARKUP = (b"<!doctype html", b"<html", b"<head", b"<?xml", b"<svg", b"<body")


def readable() -> str:
    """The formats that can be read here, for messages."""
    return _FFMPEG_READS if ffmpeg.available() else _READS


def open_bytes(path: Path) -> int:
    """Size of a readable file in bytes.

    Raises AudioTransferError for a file that is missing, a folder, not regular, or empty.
    """
    if path.is_dir():
        raise AudioTransferError(f"{path} is a folder, not an audio file; name a file in it")
    try:
        size = path.stat().st_size
        if not path.is_file():
            raise AudioTransferError(
                f"{path} is not a regular file; copy its audio to a file first"
            )
        with path.open("rb") as file:
            file.read(1)
    except FileNotFoundError:
        raise AudioTransferError(f"{path} does not exist; check the name") from None
    except (OSError, ValueError) as error:  # a NUL in the name
        reason = getattr(error, "strerror", None) or error
        raise AudioTransferError(f"{path} cannot be read: {reason}") from None
    if size == 0:
        raise AudioTransferError(f"{path} is empty (0 bytes); it has to be copied or saved again")
    return size


def survey(path: Path) -> Survey:
    """Identify a file and inspect it.

    Raises AudioTransferError for a file that is missing, a folder, not regular, empty, or of a
    format without sound.
    """
    open_bytes(path)
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        start = blocks.skip(data)
        head = data[start : start + 64]
        name = _named(head, _CHUNKS)
        if name == "wav" and head[8:12] == b"AVI ":
            return Survey(path, "AVI")
        if name == "wav" and head[8:12] in _RIFF_OTHER:
            raise _no_sound(path, _RIFF_OTHER[head[8:12]])
        if name == "AIFF" and head[8:12] not in (b"AIFF", b"AIFC"):
            name = "8SVX" if head[8:12] in (b"8SVX", b"16SV") else None
        if name is not None:
            return chunks.survey(path, data, start, name)
        if head[:4] == b"fLaC":
            return flac.survey(path, data, start)
        if head[:4] == b"OggS":
            return ogg.survey(path, data, start)
        if head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"):
            name = _mp4(data)
            # uncompressed sound with a channel layout makes PyAV crash
            odd = name == "MP4 with PCM" and data.find(b"chan") >= 0 and _mp4_channels(data) > 2
            locked = "DRM" in name or "encrypted" in name
            return Survey(path, name, odd_order=odd, locked=locked)
        if name := _named(head, _SOUND):
            return Survey(path, f"Matroska ({codec})" if (codec := _matroska(data)) else name)
        if name := _named(head, _OTHER):
            raise _no_sound(path, name)
        if head.lstrip(b"\xef\xbb\xbf \t\r\n").lower().startswith(_MARKUP):
            raise _no_sound(path, "a web page or other markup")
        if flac.frame_header(head[:17]):
            return Survey(path, "flac without a header", demuxer="flac")
        return mpeg.survey(path, data, start)


def _named(head: bytes, table: dict[bytes, str]) -> str | None:
    return next((name for magic, name in table.items() if head.startswith(magic)), None)


def _no_sound(path: Path, name: str) -> AudioTransferError:
    return AudioTransferError(
        f"{path} holds no audio: it is {name}, whatever its name says; readable are {readable()}"
    )


_MP4_CODECS = {
    b"alac": "ALAC",
    b"ac-3": "AC-3",
    b"ec-3": "E-AC-3",
    b"Opus": "Opus",
    b"fLaC": "flac",
    b".mp3": "mp3",
    b"samr": "AMR",
    b"sawb": "AMR",
    b"drms": "protected (DRM) AAC",
    b"enca": "encrypted sound",
    b"twos": "PCM",
    b"sowt": "PCM",
    b"lpcm": "PCM",
}
_AAC_TYPES = {1: "AAC Main", 2: "AAC", 3: "AAC SSR", 4: "AAC LTP", 5: "HE-AAC", 29: "HE-AAC v2", 34: "mp3", 42: "xHE-AAC"}  # fmt: skip  # noqa: E501


def _mp4(data: mmap.mmap) -> str:
    """Format of the first audio track by its sample description."""
    at = data.find(b"soun")
    if at < 0:
        return "an MP4 file without sound" if data.find(b"vide") >= 0 else "MP4"
    entry = data.find(b"stsd", at)
    codec = data[entry + 16 : entry + 20] if entry >= 0 else b""
    if codec != b"mp4a":
        named = _MP4_CODECS.get(codec) or codec.decode("latin-1").strip()
        return f"MP4 with {named}" if named.isprintable() and named else "MP4"
    at = data.find(b"esds", entry)
    body = data[at : at + 64]
    kind = body.find(b"\x04", 8)
    if kind >= 0:
        while body[kind + 1 : kind + 2] and body[kind + 1] & 0x80:
            kind += 1
        if body[kind + 2 : kind + 3] in (b"\x69", b"\x6b"):
            return "MP4 with mp3"
    config = body.find(b"\x05", kind + 15)
    if config < 0:
        return "MP4 with AAC"
    while body[config + 1 : config + 2] and body[config + 1] & 0x80:
        config += 1
    first = body[config + 2 : config + 4]
    return f"MP4 with {_AAC_TYPES.get(first[0] >> 3 if first else 2, 'AAC')}"


def _mp4_channels(data: mmap.mmap) -> int:
    """Channels of the first audio track by its sample description."""
    entry = data.find(b"stsd", data.find(b"soun")) + 12
    version = int.from_bytes(data[entry + 16 : entry + 18], "big")
    field = data[entry + 48 : entry + 52] if version == 2 else data[entry + 24 : entry + 26]
    return int.from_bytes(field, "big")


def _matroska(data: mmap.mmap) -> str | None:
    """Codec of the first audio track of a Matroska file."""
    if data[:4] != b"\x1a\x45\xdf\xa3":
        return None
    head = data[: 1 << 16]
    at = head.find(b"A_")
    if at < 0:
        return "without sound" if b"V_" in head else None
    codec = head[at + 2 : at + 20].split(b"\0")[0]
    name = "".join(chr(byte) for byte in codec if chr(byte).isalnum() or byte in b"/_")
    return name.title() if len(name) > 4 else name
