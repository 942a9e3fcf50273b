"""Writing tags into finished files: ID3v2.4 and RIFF INFO, Vorbis comments and flac cover art."""

from __future__ import annotations

import base64
import os
import shutil
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from audiotransfer.audio.formats.ogg import page_checksum
from audiotransfer.audio.tags import id3
from audiotransfer.audio.tags.id3 import CoverArt
from audiotransfer.audio.tags.tags import Tags, comments_of, frames_of

#: Field -> RIFF INFO chunk.
_INFO = {
    "title": b"INAM", "artist": b"IART", "album": b"IPRD", "date": b"ICRD", "genre": b"IGNR",
    "comment": b"ICMT", "copyright": b"ICOP", "tracknumber": b"ITRK", "composer": b"IMUS",
    "language": b"ILNG", "publisher": b"IPUB",
}  # fmt: skip
_COMMENT, _COVER = 4, 6  # flac metadata blocks


def put_tags(path: Path, suffix: str, tags: Tags, spare: Path) -> None:
    """Write tags that fit (see `fitting`) into a file of this suffix's format that has none.

    Formats that must be rewritten are written at ``spare``, a neighbour, and renamed. Raises
    OSError; the file is then unchanged, or a wav file with an incomplete chunk after its sound.
    """
    if not tags:
        return
    if suffix == ".wav":
        _append_chunks(path, tags)
        return
    rewrite: Callable[[BinaryIO, BinaryIO, Tags], None] = {
        ".mp3": _prepend_id3,
        ".flac": _rewrite_flac,
        ".ogg": _rewrite_ogg,
    }[suffix]
    try:
        with path.open("rb") as source, spare.open("wb") as target:
            rewrite(source, target, tags)
            shutil.copyfileobj(source, target, 1 << 20)
        os.replace(spare, path)
    finally:
        spare.unlink(missing_ok=True)


def size_in_wav(tags: Tags) -> int:
    """Bytes that tags take in a wav file."""
    if not tags:
        return 0
    return sum(map(len, _wav_chunks(tags)))


def _prepend_id3(source: BinaryIO, target: BinaryIO, tags: Tags) -> None:
    target.write(id3.tag(frames_of(tags)))


# --- wav: an id3 chunk with all tags, and LIST for programs that read nothing else -------------


def _append_chunks(path: Path, tags: Tags) -> None:
    with path.open("r+b") as file:
        end = file.seek(0, os.SEEK_END)
        if end % 2:
            file.write(b"\0")
        file.writelines(_wav_chunks(tags))
        size = file.tell() - 8
        file.seek(4)
        file.write(struct.pack("<I", size))


def _wav_chunks(tags: Tags) -> list[bytes]:
    texts = [
        _chunk(name, tags.get(field).encode() + b"\0")
        for field, name in _INFO.items()
        if field in tags.fields
    ]
    listed = [_chunk(b"LIST", b"INFO" + b"".join(texts))] if texts else []
    return [_chunk(b"id3 ", id3.tag(frames_of(tags))), *listed]


def _chunk(name: bytes, content: bytes) -> bytes:
    return name + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2)


# --- flac: metadata blocks --------------------------------------------------------------------


def _rewrite_flac(source: BinaryIO, target: BinaryIO, tags: Tags) -> None:
    source.read(4)
    blocks: list[tuple[int, bytes]] = []
    vendor, last = b"", False
    while not last:
        head = source.read(4)
        last = bool(head[0] & 0x80)
        kind, content = head[0] & 0x7F, source.read(int.from_bytes(head[1:], "big"))
        if kind == _COMMENT:
            vendor = _vendor(content)
        else:
            blocks.append((kind, content))
    blocks[1:1] = [
        (_COMMENT, _comments(vendor, comments_of(tags))),
        *((_COVER, _cover_block(cover)) for cover in tags.covers),
    ]
    target.write(b"fLaC")
    for number, (kind, content) in enumerate(blocks, 1):
        target.write(bytes([kind | 0x80 * (number == len(blocks))]))
        target.write(len(content).to_bytes(3, "big") + content)


def _vendor(comments: bytes) -> bytes:
    return comments[4 : 4 + int.from_bytes(comments[:4], "little")]


def _comments(vendor: bytes, comments: list[tuple[str, str]]) -> bytes:
    """Vorbis comments (https://xiph.org/vorbis/doc/v-comment.html) without the framing bit."""
    lines = [f"{name}={value}".encode() for name, value in comments]
    counted = (struct.pack("<I", len(line)) + line for line in lines)
    start = struct.pack("<I", len(vendor)) + vendor + struct.pack("<I", len(lines))
    return start + b"".join(counted)


def _cover_block(cover: CoverArt) -> bytes:
    """A flac picture block without image sizes.

    https://xiph.org/flac/format.html#metadata_block_picture
    """
    mime, text = cover.mime_type.encode("ascii", "replace"), cover.description.encode()
    return b"".join((
        struct.pack(">II", cover.kind, len(mime)), mime, struct.pack(">I", len(text)), text,
        bytes(16), struct.pack(">I", len(cover.data)), cover.data,
    ))  # fmt: skip


# --- ogg: the second packet of a Vorbis stream, and new page numbers after it -------------------


def _rewrite_ogg(source: BinaryIO, target: BinaryIO, tags: Tags) -> None:
    pages = _pages(source)
    first, _ = next(pages)
    target.write(first)
    packets: list[bytes] = []
    begun = b""
    while len(packets) < 2:  # comments and setup, which end a page together
        head, content = next(pages)
        place = 0
        for length in head[27:]:
            begun += content[place : place + length]
            place += length
            if length < 255:
                packets.append(begun)
                begun = b""
    listed = comments_of(tags) + [
        ("METADATA_BLOCK_PICTURE", base64.b64encode(_cover_block(cover)).decode())
        for cover in tags.covers
    ]
    comments = b"\x03vorbis" + _comments(_vendor(packets[0][7:]), listed) + b"\x01"
    number = 1
    for page in _paged([comments, packets[1]], first[14:18], number):
        target.write(page)
        number += 1
    for head, content in pages:
        target.write(_sealed(head[:18] + struct.pack("<I", number) + head[22:], content))
        number += 1


def _pages(file: BinaryIO) -> Iterator[tuple[bytes, bytes]]:
    """Yield header and content of each page; the first page is all header."""
    number = 0
    while len(head := file.read(27)) == 27:
        head += file.read(head[26])
        content = file.read(sum(head[27:]))
        yield (head, content) if number else (head + content, b"")
        number += 1


def _paged(packets: list[bytes], serial: bytes, number: int) -> Iterator[bytes]:
    """Header packets of a stream as pages, numbered from ``number``."""
    content = b"".join(packets)
    lacing = b"".join(
        b"\xff" * (len(packet) // 255) + bytes([len(packet) % 255]) for packet in packets
    )
    place, continued = 0, False
    for start in range(0, len(lacing), 255):
        segments = lacing[start : start + 255]
        length = sum(segments)
        # A page on which no packet ends has the position -1.
        position = b"\xff" * 8 if min(segments) == 255 else bytes(8)
        head = b"OggS\0" + bytes([continued]) + position + serial + struct.pack("<I", number)
        head += bytes(4) + bytes([len(segments)]) + segments
        yield _sealed(head, content[place : place + length])
        place, number, continued = place + length, number + 1, segments[-1] == 255


def _sealed(head: bytes, content: bytes) -> bytes:
    """A page with its checksum."""
    page = head + content
    return page[:22] + page_checksum(page) + page[26:]
