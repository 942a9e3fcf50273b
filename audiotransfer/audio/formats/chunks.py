"""Announced and present samples of wav, RF64, BW64, W64, aiff, caf and au files."""

from __future__ import annotations

import mmap
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from audiotransfer.audio.channels import Layout, mask_order, of_core_audio
from audiotransfer.audio.formats.survey import Part, Piece, Survey, joined_notice

_UNKNOWN = 0x7FFFF000  # length in bytes from which on it is a placeholder of an unknown length
_PLAIN = (1, 3, 6, 7, 0xFFFE)  # wav formats whose samples have one size: PCM, float, companded
_PLAIN_AIFF = (b"NONE", b"twos", b"sowt", b"fl32", b"FL32", b"fl64", b"FL64")
_COMPANDED_AIFF = (b"alaw", b"ulaw", b"ALAW", b"ULAW")
_AU_BYTES = {1: 1, 2: 1, 3: 2, 4: 3, 5: 4, 6: 4, 7: 8, 27: 1}
_LONGEST_HEAD = 1 << 20
_FEW = 4096  # bytes that may be left out without a notice
_CODECS = {
    0x0002: "Microsoft ADPCM",
    0x0011: "IMA ADPCM",
    0x0031: "GSM",
    0x0050: "MPEG layer 1 or 2",
    0x0055: "mp3",
    0x0092: "AC-3",
    0x00FF: "AAC",
    0x0161: "WMA",
    0x0162: "WMA Pro",
    0x0163: "WMA lossless",
    0x0270: "ATRAC3",
    0x2000: "AC-3",
    0x2001: "DTS",
    0x566F: "Vorbis",
    0xF1AC: "flac",
}


@dataclass
class _Header:
    """The header before the sound."""

    begin: int = 0  # bytes
    stated: int | None = None  # bytes of sound; None: the header does not state it
    block: int = 1  # bytes of one sample of all channels
    codec: str | None = None  # where samples have no size of their own
    layout: Layout | None = None
    hidden: int | None = None  # offset of a chunk's name that libsndfile must not read
    wide_at: int | None = None  # offset of RF64's length
    channels: int = 0  # 0: not determined

    @property
    def size(self) -> int:
        return max(1, self.block)


def survey(path: Path, data: mmap.mmap, start: int, name: str) -> Survey:
    """Find the sound of a file; ``name`` is the format's name in `identify`."""
    first = _one(path, data, start, name)
    parts, at = list(first.parts), _end(data, start, name)
    if at is not None and first.parts and not first.parts[0].pieces and at < len(data):
        # libsndfile would read a second header in the middle
        parts[0] = replace(first.parts[0], pieces=((start, at),))
    while at is not None and first.whole and data[at : at + 4] == data[start : start + 4]:
        following = _one(path, data, at, name)
        if not following.parts or not following.whole or not following.parts[0].samples:
            break
        parts += following.parts
        at = _end(data, at, name)
    if len(parts) == 1:
        return first
    # FFmpeg plays the first only
    return replace(
        first,
        parts=tuple(parts),
        announced=None,
        parts_first=True,
        notices=(*first.notices, joined_notice(len(parts))),
    )


def _end(data: mmap.mmap, start: int, name: str) -> int | None:
    """End of a file that is followed by another."""
    size = data[start + 4 : start + 8]
    if name == "AU":
        header = _au(data, start)
        return None if header.stated is None else header.begin + header.stated
    if name not in ("wav", "AIFF"):
        return None
    length = int.from_bytes(size, "little" if data[start : start + 4] == b"RIFF" else "big")
    return start + 8 + length + (length & 1)


def _one(path: Path, data: mmap.mmap, start: int, name: str) -> Survey:
    """Inspect one recording that begins at ``start``."""
    parse = {"AU": _au, "CAF": _caf, "W64": _w64}.get(name, _chunked)
    header = parse(data, start)
    states_order = name in ("AIFF", "CAF") and b"chan" in data[start : start + 4096].lower()
    layout = header.layout if header else None
    odd = states_order and (layout is None or layout != mask_order(layout))
    odd = odd and (header is None or header.channels > 2)
    if header is None:
        return Survey(path, name, odd_order=odd)
    named = f"{name} with {header.codec}" if header.codec else name
    present = max(0, len(data) - header.begin)
    present -= present % header.size
    if name == "AU" and header.stated and present > header.stated:
        end = header.begin + header.stated
        if data[end : end + 4] != b".snd":  # the remaining bytes can only be sound
            return Survey(
                path,
                named,
                (
                    Part(
                        _au_to_its_end(data, start, header, present), samples=present // header.size
                    ),
                ),
                announced=header.stated // header.size,
            )
    open_end = header.stated is None or (header.stated == 0 and present > 0)
    samples = (
        present if open_end or header.stated is None else min(header.stated, present)
    ) // header.size
    notices: tuple[str, ...] = ()
    if open_end and samples:
        notices = (f"unfinished: its header does not say how long it is; {samples} samples found",)
    elif extra_bytes := _bytes_after_sound(data, start, header, name):
        notices = (f"{extra_bytes} bytes behind the sound that it announces are not played",)
    announced = None if open_end or header.stated is None else header.stated // header.size
    end = header.begin + samples * header.size
    pieces: tuple[Piece, ...] = ((start, max(end, _end(data, start, name) or 0)),) if start else ()
    if header.begin - start <= _LONGEST_HEAD and (
        open_end or header.hidden or (announced or 0) > samples
    ):
        # libsndfile rejects a length of 0, and in some formats one past the end
        head = _patched(data[start : header.begin], start, header, name, samples * header.size)
        pieces = (head, (header.begin, end))
    if header.codec:
        seen = (Part(((start, len(data)),) if start else (), unchecked=True),)
        return Survey(
            path, named, seen, not open_end and (header.stated or 0) <= present, odd_order=odd
        )
    part = Part(pieces, samples=samples, layout=header.layout)
    return Survey(path, named, (part,), announced=announced, notices=notices, odd_order=odd)


def _au_to_its_end(data: mmap.mmap, start: int, header: _Header, length: int) -> tuple[Piece, ...]:
    """Pieces of an au file up to its end, with the true length in the header."""
    head = _patched(data[start : header.begin], start, header, "AU", length)
    return head, (header.begin, header.begin + length)


def _bytes_after_sound(data: mmap.mmap, start: int, header: _Header, name: str) -> int:
    """Bytes after the sound of a wav or aiff file that are neither chunks, tags nor zeros."""
    if name not in ("wav", "AIFF") or header.stated is None:
        return 0
    order: Literal["big", "little"] = "little" if data[start : start + 4] == b"RIFF" else "big"
    at = header.begin + header.stated + (header.stated & 1)
    while at + 8 <= len(data):
        name_, length = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], order)
        if not all(32 <= byte < 127 for byte in name_) or at + length > len(data):
            rest = len(data) - at
            return rest if rest > _FEW and data[at : at + 65536].strip(b"\0") else 0
        at += 8 + length + (length & 1)
    return 0


def _chunked(data: mmap.mmap, start: int) -> _Header | None:
    """Header of wav in all widths, and of aiff."""
    magic = data[start : start + 4]
    order: Literal["big", "little"] = "big" if magic in (b"FORM", b"RIFX") else "little"

    def number(at: int, size: int) -> int:
        return int.from_bytes(data[at : at + size], order)

    header, at, chan = _Header(), start + 12, b""
    compressed = data[start + 8 : start + 12] == b"AIFC"
    while at + 8 <= len(data):
        name, length, body = data[at : at + 4], number(at + 4, 4), at + 8
        if name == b"ds64" and magic in (b"RF64", b"BW64"):
            header.wide_at = body + 8 - start
        elif name == b"fmt ":
            header.block, header.codec = number(body + 12, 2), _codec(number(body, 2))
            if header.block != number(body + 2, 2) * -(-number(body + 14, 2) // 8):
                header.codec = header.codec or "samples of an odd size"
        elif name == b"COMM":
            header.channels = number(body, 2)
            kind = data[body + 18 : body + 22] if compressed else b"NONE"
            width = 1 if kind in _COMPANDED_AIFF else -(-number(body + 6, 2) // 8)
            header.block = header.channels * width
            if kind not in _PLAIN_AIFF + _COMPANDED_AIFF:
                header.codec = kind.decode("latin-1").strip() or "an unknown codec"
        elif name == b"CHAN" and magic == b"FORM":
            # libsndfile 1.2 writes past its memory over them
            chan, header.hidden = data[body : body + 8], at - start
        elif name in (b"data", b"SSND"):
            offset = 8 + number(body, 4) if name == b"SSND" else 0
            header.begin = body + offset
            header.layout = of_core_audio(chan, header.channels) if chan else None
            if header.wide_at is not None:
                header.stated = int.from_bytes(data[start + header.wide_at :][:8], "little")
            elif length < _UNKNOWN or body + length <= len(data):
                header.stated = max(0, length - offset)
            return header
        at = body + length + (length & 1)
    return None


def _codec(tag: int) -> str | None:
    """Name of a wav codec; None for uncompressed samples."""
    return None if tag in _PLAIN else _CODECS.get(tag, f"codec {tag:#06x}")


def _w64(data: mmap.mmap, start: int) -> _Header | None:
    header, at = _Header(), start + 40
    while at + 24 <= len(data):
        name, length = data[at : at + 4], int.from_bytes(data[at + 16 : at + 24], "little")
        if name == b"fmt ":
            header.block = int.from_bytes(data[at + 36 : at + 38], "little")
            header.codec = _codec(int.from_bytes(data[at + 24 : at + 26], "little"))
        elif name == b"data":
            header.begin = at + 24
            header.stated = None if length >= 1 << 62 else max(0, length - 24)
            return header
        if length < 24:
            return None
        at += length + -length % 8
    return None


def _caf(data: mmap.mmap, start: int) -> _Header | None:
    header, at = _Header(), start + 8
    while at + 12 <= len(data):
        name, length = data[at : at + 4], int.from_bytes(data[at + 4 : at + 12], "big", signed=True)
        if name == b"desc":
            header.block = int.from_bytes(data[at + 28 : at + 32], "big")
            header.channels = int.from_bytes(data[at + 36 : at + 40], "big")
            kind = data[at + 20 : at + 24]
            header.codec = None if kind == b"lpcm" else kind.decode("latin-1").strip()
        elif name == b"chan":
            header.layout = of_core_audio(data[at + 12 : at + 20], header.channels)
        elif name == b"data":
            header.begin, header.stated = at + 16, None if length < 0 else max(0, length - 4)
            return header
        if length < 0:
            return None
        at += 12 + length
    return None


def _au(data: mmap.mmap, start: int) -> _Header:
    begin, stated, encoding, _, channels = (
        int.from_bytes(data[start + n : start + n + 4], "big") for n in range(4, 24, 4)
    )
    width = _AU_BYTES.get(encoding)
    return _Header(
        start + begin,
        None if stated >= _UNKNOWN and begin + stated > len(data) else stated,
        (width or 1) * channels,
        None if width else f"codec {encoding}",
    )


def _patched(old: bytes, start: int, header: _Header, name: str, length: int) -> bytes:
    """The header up to the sound, with the true length in it."""
    head = bytearray(old)
    if header.hidden is not None:
        head[header.hidden : header.hidden + 4] = b"JUNK"
    if name == "AU":
        head[8:12] = min(length, 0xFFFFFFFF).to_bytes(4, "big")
    elif name == "CAF":
        head[-12:-4] = (length + 4).to_bytes(8, "big")
    elif name == "W64":
        head[-8:] = (length + 24).to_bytes(8, "little")
    elif name == "AIFF":
        place = head.rfind(b"SSND") + 4
        head[4:8] = min(len(head) - 8 + length, 0xFFFFFFFF).to_bytes(4, "big")
        head[place : place + 4] = min(len(head) - place - 4 + length, 0xFFFFFFFF).to_bytes(4, "big")
        frames = head.find(b"COMM") + 10
        head[frames : frames + 4] = (length // header.size).to_bytes(4, "big")
    elif header.wide_at is not None:
        head[header.wide_at : header.wide_at + 8] = length.to_bytes(8, "little")
    else:
        order: Literal["big", "little"] = "big" if head[:4] == b"RIFX" else "little"
        head[4:8] = min(len(head) - 8 + length, 0xFFFFFFFF).to_bytes(4, order)
        head[-4:] = min(length, 0xFFFFFFFF).to_bytes(4, order)
    return bytes(head)
