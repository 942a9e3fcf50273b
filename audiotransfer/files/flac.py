"""FLAC's blocks and frame headers: how many samples a file announces, and how many it holds
(RFC 9639).
"""

from __future__ import annotations

import mmap
import re
from pathlib import Path

from audiotransfer.files.speakers import mask_layout
from audiotransfer.files.survey import Part, Survey

_TAIL = 1 << 20  # bytes: frames of eight channels of 32 bit are no longer
_BLOCK_SIZES = {1: 192, **{n: 576 << n - 2 for n in range(2, 6)}, **{n: 256 << n - 8 for n in range(8, 16)}}  # fmt: skip  # noqa: E501
_BITS = (8, 16, 20, 24)  # what libsndfile reads
_MASK = re.compile(rb"WAVEFORMATEXTENSIBLE_CHANNEL_MASK=0x([0-9A-Fa-f]{1,8})", re.IGNORECASE)


def survey(path: Path, data: mmap.mmap, start: int) -> Survey:
    """Compare what the header says with the last frame."""
    info = data[start + 8 : start + 42]
    sound, comments = _blocks(data, start)
    if data[start + 4 : start + 8] != b"\0\0\0\x22" or len(info) < 34 or sound >= len(data):
        return Survey(path, "flac", demuxer="flac")
    longest = int.from_bytes(info[2:4], "big")
    packed = int.from_bytes(info[10:18], "big")
    channels, bits, announced = packed >> 41 & 7, (packed >> 36 & 31) + 1, packed & (1 << 36) - 1
    largest = int.from_bytes(info[7:10], "big") or 1 << 17  # bytes of a frame
    held = _held(data, sound, longest, largest + 16)
    joined = data.find(b"fLaC\0\0\0\x22", sound) >= 0
    mask = _MASK.search(comments)
    layout = mask_layout(int(mask[1], 16), channels + 1) if mask else None
    readable = bits in _BITS and announced and held and not joined
    notices: tuple[str, ...] = ("several recordings are joined in it",) if joined else ()
    if not announced and held:
        notices += (f"its header does not say how long it is; {held} samples were found",)
    # What libsndfile was told to be the end is the end to it.
    whole = bool(readable and held and held <= announced)
    return Survey(
        path,
        "flac",
        (Part(() if not start else ((start, len(data)),), held=held, layout=layout),)
        if readable
        else (),
        whole=whole,
        announced=announced or None,
        notices=notices,
        demuxer="flac",
    )


def _blocks(data: mmap.mmap, start: int) -> tuple[int, bytes]:
    """Where the frames begin, and the comments."""
    at, comments = start + 4, b""
    while at + 4 <= len(data):
        kind, length = data[at], int.from_bytes(data[at + 1 : at + 4], "big")
        if kind & 0x7F == 4:
            comments = data[at + 4 : at + 4 + length]
        at += 4 + length
        if kind & 0x80 or kind & 0x7F == 0x7F:
            break
    return at, comments


def _held(data: mmap.mmap, sound: int, longest: int, largest: int) -> int:
    """Samples up to the end of the last frame that begins and is not plainly cut; 0: none."""
    end = len(data)
    while True:
        at = data.rfind(b"\xff", max(sound, len(data) - _TAIL), end)
        if at < 0:
            return 0
        found = frame_header(data[at : at + 17], longest)
        if found is not None and _complete(data, at, largest):
            return sum(found)
        end = at


def _complete(data: mmap.mmap, at: int, largest: int) -> bool:
    """The frame's checksum comes out right somewhere behind it, or another frame follows."""
    crc = 0
    body = data[at : at + largest]
    for place, byte in enumerate(body):
        crc = (crc << 8 & 0xFF00) ^ _CRC16[crc >> 8 ^ byte]
        # a checksum over a frame and its own checksum is 0
        if not crc and place > 8 and _ends(data, at + place + 1):
            return True
    return False


def _ends(data: mmap.mmap, at: int) -> bool:
    return at == len(data) or data[at : at + 3] in (b"TAG", b"APE", b"ID3") or data[at] == 0xFF or not data[at : at + 4096].strip(b"\0")  # fmt: skip  # noqa: E501


def frame_header(head: bytes, longest: int = 0) -> tuple[int, int] | None:
    """The frame's first sample and its length; None where no frame begins."""
    if len(head) < 6 or head[0] != 0xFF or head[1] & 0xFE != 0xF8:
        return None
    size, rate = head[2] >> 4, head[2] & 15
    if not size or rate == 15 or head[3] & 1 or head[3] >> 4 > 10 or head[3] >> 1 & 7 == 3:
        return None
    extra = 0
    while head[4] << extra & 0x80:
        extra += 1
    if extra == 1 or extra > 7:
        return None
    number = head[4] & (0x7F >> extra)
    at = 5
    for byte in head[5 : 5 + max(0, extra - 1)]:
        if byte & 0xC0 != 0x80:
            return None
        number, at = number << 6 | byte & 0x3F, at + 1
    if size in (6, 7):
        length = int.from_bytes(head[at : at + size - 5], "big") + 1
        at += size - 5
    else:
        length = _BLOCK_SIZES[size]
    at += {12: 1, 13: 2, 14: 2}.get(rate, 0)
    if at >= len(head) or _crc8(head[:at]) != head[at]:
        return None
    return (number if head[1] & 1 else number * (longest or length)), length


def _crc8(data: bytes) -> int:
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc << 1 ^ (7 if crc & 0x80 else 0)) & 0xFF
    return crc


def _table() -> list[int]:
    table = []
    for byte in range(256):
        crc = byte << 8
        for _ in range(8):
            crc = (crc << 1 ^ (0x8005 if crc & 0x8000 else 0)) & 0xFFFF
        table.append(crc)
    return table


_CRC16 = _table()
