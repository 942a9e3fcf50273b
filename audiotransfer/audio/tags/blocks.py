"""Extent of tags before and after the sound (ID3v1, ID3v2, APE, Lyrics3)."""

from __future__ import annotations

import mmap


def length(data: mmap.mmap | bytes, at: int) -> int:
    """Bytes of the tag that begins at ``at``; 0 where none does."""
    head = data[at : at + 32]
    if head[:3] in (b"ID3", b"3DI") and len(head) >= 10 and max(head[6:10]) < 0x80:
        size = 10 + synchsafe(head[6:10])
        return size + (10 if head[5] & 0x10 else 0)
    if head[:3] == b"TAG":
        rest = len(data) - at
        return rest if rest == 128 else 227 if head[:4] == b"TAG+" else 128 if rest > 128 else rest
    if head[:8] == b"APETAGEX" and len(head) == 32:
        size = int.from_bytes(head[12:16], "little")
        header = int.from_bytes(head[20:24], "little") & 1 << 29
        return 32 + size if header else 32
    if head[:11] == b"LYRICSBEGIN":
        for mark in (b"LYRICS200", b"LYRICSEND"):
            end = data.find(mark, at)
            if end >= 0:
                return end + 9 - at
    return 0


def synchsafe(digits: bytes) -> int:
    """ID3's synchsafe integer: seven bits per byte, most significant first."""
    number = 0
    for byte in digits:
        number = number << 7 | byte & 0x7F
    return number


def skip(data: mmap.mmap | bytes) -> int:
    """Offset of the file's content after any number of tags."""
    at = 0
    while step := length(data, at):
        at += step
    return at


def end(data: mmap.mmap | bytes) -> int:
    """End of the file's content before any number of tags."""
    at = len(data)
    while at >= 32:
        if data[at - 128 : at - 125] == b"TAG":
            at -= 128
        elif data[at - 32 : at - 24] == b"APETAGEX":
            size = int.from_bytes(data[at - 20 : at - 16], "little")
            if not 32 <= size <= at:
                break
            at -= size
            if at >= 32 and data[at - 32 : at - 24] == b"APETAGEX":  # its header
                at -= 32
        elif data[at - 9 : at] == b"LYRICS200" and data[at - 15 : at - 9].isdigit():
            at -= min(at, 15 + int(data[at - 15 : at - 9]))
        elif data[at - 9 : at] == b"LYRICSEND":
            begin = data.rfind(b"LYRICSBEGIN", max(0, at - 5200), at)
            if begin < 0:
                break
            at = begin
        else:
            break
    return at
