"""Inspection of Ogg: the streams of each link of its chain, lost pages (RFC 3533)."""

from __future__ import annotations

import mmap
import zlib
from dataclasses import dataclass, field
from pathlib import Path

from audiotransfer.audio.formats.survey import Part, Survey

CUT = "it ends without an end mark: what came after is missing"
_CODECS = {
    b"\x01vorbis": "Vorbis",
    b"OpusHead": "Opus",
    b"\x7fFLAC": "FLAC",
    b"Speex   ": "Speex",
    b"\x80theora": "Theora",
    b"fishead\0": "Skeleton",
    b"BBCD\0": "Dirac",
    b"\x01video": "OGM video",
    b"\x80kate": "Kate",
    b"CELT    ": "CELT",
    b"PCM     ": "PCM",
}
_SOUND = ("Vorbis", "Opus", "FLAC", "Speex", "CELT", "PCM")
_DECODED = ("Vorbis", "Opus")  # by libsndfile
_ORDER = {  # Vorbis I specification §4.3.9; Opus keeps to it (RFC 7845 §5.1.1.2)
    3: ("FL", "FC", "FR"),
    4: ("FL", "FR", "BL", "BR"),
    5: ("FL", "FC", "FR", "BL", "BR"),
    6: ("FL", "FC", "FR", "BL", "BR", "LFE"),
    7: ("FL", "FC", "FR", "SL", "SR", "BC", "LFE"),
    8: ("FL", "FC", "FR", "SL", "SR", "BL", "BR", "LFE"),
}
_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


@dataclass
class _Stream:
    """One logical stream."""

    codec: str
    channels: int
    ranges: list[tuple[int, int]] = field(default_factory=list)
    next: int | None = None  # sequence number
    lost: int = 0  # pages
    ended: bool = False
    blocks: tuple[int, int] = (0, 0)  # samples of Vorbis' short and long blocks
    last: int = 0  # granule position
    early: bool = False  # the last position is less than its page's samples

    def add(self, at: int, end: int) -> None:
        """Add a page's byte range."""
        if self.ranges and self.ranges[-1][1] == at:
            self.ranges[-1] = self.ranges[-1][0], end
        else:
            self.ranges.append((at, end))


@dataclass
class _Link:
    """The streams of one link of a chain."""

    streams: dict[int, _Stream] = field(default_factory=dict)
    opening: bool = True

    @property
    def sound(self) -> _Stream | None:
        """The first audio stream."""
        return next((s for s in self.streams.values() if s.codec in _SOUND), None)


def survey(path: Path, data: mmap.mmap, start: int) -> Survey:
    """Inspect all pages of a file."""
    links, unread_bytes, cut = _links(data, start)
    sounds = [(link, link.sound) for link in links]
    sounding = [(link, sound) for link, sound in sounds if sound is not None]
    names = [sound.codec for _, sound in sounding]
    if not names:
        codecs = {stream.codec for link in links for stream in link.streams.values()}
        return Survey(path, f"Ogg with {', '.join(sorted(codecs)) or 'no stream'}")
    name = f"Ogg {' and '.join(dict.fromkeys(names))}"
    lost = sum(stream.lost for _, stream in sounding)
    notices = []
    if cut or not sounding[-1][1].ended:
        notices.append(CUT)
    if len(sounding) > 1:
        notices.append(f"{len(sounding)} recordings in a chain: they are joined in their order")
    parts: tuple[Part, ...] = ()
    if all(codec in _DECODED for codec in names):
        parts = tuple(
            Part(tuple(sound.ranges), lossy=True, layout=_ORDER.get(sound.channels))
            for _, sound in sounding
        )
    damage = f"{lost or 'some'} pages are missing or broken" if lost or unread_bytes else ""
    if not damage and any(sound.early for _, sound in sounding):
        damage = "it holds more samples than its last page says"
    return Survey(
        path,
        name,
        parts,
        whole=not damage,
        notices=tuple(notices),
        damage=damage,
        # FFmpeg reads only chains of one rate and one channel count
        parts_first=len(parts) > 1,
    )


def _links(data: mmap.mmap, start: int) -> tuple[list[_Link], int, bool]:
    """Links, number of bytes between pages, and whether the last page is cut off."""
    links: list[_Link] = []
    unread_bytes, at, size = 0, start, len(data)
    while at < size:
        if data[at : at + 4] != b"OggS":
            following = data.find(b"OggS", at)
            if following < 0:
                return links, unread_bytes, False  # tags, or zeros
            unread_bytes, at = unread_bytes + following - at, following
        head = data[at : at + 27]
        table = data[at + 27 : at + 27 + head[26]] if len(head) == 27 else b""
        end = at + 27 + len(table) + sum(table)
        if len(head) < 27 or len(table) < head[26] or end > size:
            following = data.find(b"OggS", at + 4)
            if following < 0:
                return links, unread_bytes, True
            unread_bytes, at = unread_bytes + following - at, following
            continue
        if page_checksum(data[at:end]) != data[at + 22 : at + 26]:
            following = data.find(b"OggS", at + 4)
            following = size if following < 0 else following
            unread_bytes, at = unread_bytes + following - at, following
            continue
        _add_page(links, data, at, end, head)
        at = end
    return links, unread_bytes, False


def _add_page(links: list[_Link], data: mmap.mmap, at: int, end: int, head: bytes) -> None:
    """Add a page to its stream."""
    serial, number = (int.from_bytes(head[n : n + 4], "little") for n in (14, 18))
    if head[5] & 2:  # a stream begins
        if not links or not links[-1].opening:
            links.append(_Link())
        body = data[at + 27 + head[26] : min(end, at + 27 + head[26] + 64)]
        codec = next((name for magic, name in _CODECS.items() if body.startswith(magic)), "unknown")
        channels = {"Vorbis": body[11:12], "Opus": body[9:10]}.get(codec) or b"\0"
        sizes = body[28:29] if codec == "Vorbis" else b""
        blocks = (1 << (sizes[0] & 15), 1 << (sizes[0] >> 4)) if sizes else (0, 0)
        links[-1].streams[serial] = _Stream(codec, channels[0], blocks=blocks)
    elif links:
        links[-1].opening = False
    stream = links[-1].streams.get(serial) if links else None
    if stream is None:
        return
    if stream.next is not None and number != stream.next:
        stream.lost += max(1, min(1000, number - stream.next))
    stream.next = number + 1
    stream.ended |= bool(head[5] & 4)
    if (position := int.from_bytes(head[6:14], "little", signed=True)) >= 0:
        packets = sum(length < 255 for length in data[at + 27 : at + 27 + head[26]])
        short, long = stream.blocks
        # the end may lie within the last block, whose samples are half of it
        least = max(0, packets - 1) * short // 2 - long // 2 if head[5] & 4 else 0
        stream.early = position < stream.last + max(0, least)
        stream.last = position
    stream.add(at, end)


def page_checksum(page: bytes) -> bytes:
    """Checksum of a page, four bytes: CRC-32 from the highest bit on, zlib's of reversed bits."""
    blank = page[:22] + bytes(4) + page[26:]
    reflected = zlib.crc32(blank.translate(_REVERSED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return reflected.to_bytes(4, "big").translate(_REVERSED)
