"""ID3v2 tags: read in all versions and places (2.2 to 2.4), written as 2.4 in UTF-8.

Frames have their names and layouts of ID3v2.4, whatever version they were read from.
https://id3.org/id3v2.4.0-structure, https://id3.org/id3v2.4.0-frames
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterable, Iterator
from typing import BinaryIO, NamedTuple

from audiotransfer.audio.tags.blocks import synchsafe

ENCRYPTED = "ENCR"
_HEADER = 10
_PADDING = 1 << 16  # bytes of zeros that may stand between two tags
_LARGEST = 1 << 28  # bytes: a tag's size has 28 bits
_ENCODINGS = ("latin-1", "utf-16", "utf-16-be", "utf-8")
#: ID3v2.2's names.
_NAMES_2_2 = {
    "BUF": "RBUF", "CNT": "PCNT", "COM": "COMM", "CRA": "AENC", "EQU": "EQUA", "ETC": "ETCO",
    "GEO": "GEOB", "GP1": "GRP1", "IPL": "IPLS", "LNK": "LINK", "MCI": "MCDI", "MLL": "MLLT",
    "MVI": "MVIN", "MVN": "MVNM", "PIC": "APIC", "POP": "POPM", "REV": "RVRB", "RVA": "RVAD",
    "SLT": "SYLT", "STC": "SYTC", "TAL": "TALB", "TBP": "TBPM", "TCM": "TCOM", "TCO": "TCON",
    "TCP": "TCMP", "TCR": "TCOP", "TDA": "TDAT", "TDY": "TDLY", "TEN": "TENC", "TFT": "TFLT",
    "TIM": "TIME", "TKE": "TKEY", "TLA": "TLAN", "TLE": "TLEN", "TMT": "TMED", "TOA": "TOPE",
    "TOF": "TOFN", "TOL": "TOLY", "TOR": "TORY", "TOT": "TOAL", "TP1": "TPE1", "TP2": "TPE2",
    "TP3": "TPE3", "TP4": "TPE4", "TPA": "TPOS", "TPB": "TPUB", "TRC": "TSRC", "TRD": "TRDA",
    "TRK": "TRCK", "TS2": "TSO2", "TSA": "TSOA", "TSC": "TSOC", "TSI": "TSIZ", "TSP": "TSOP",
    "TSS": "TSSE", "TST": "TSOT", "TT1": "TIT1", "TT2": "TIT2", "TT3": "TIT3", "TXT": "TEXT",
    "TXX": "TXXX", "TYE": "TYER", "UFI": "UFID", "ULT": "USLT", "WAF": "WOAF", "WAR": "WOAR",
    "WAS": "WOAS", "WCM": "WCOM", "WCP": "WCOP", "WPB": "WPUB", "WXX": "WXXX",
}  # fmt: skip
_NAMES_2_3 = {"IPLS": "TIPL", "TORY": "TDOR", "XSOA": "TSOA", "XSOP": "TSOP", "XSOT": "TSOT"}
_IMAGES_2_2 = {b"JPG": b"image/jpeg", b"PNG": b"image/png", b"BMP": b"image/bmp"}


class Frame(NamedTuple):
    """One frame, decompressed: its name of four letters and its content."""

    name: str
    body: bytes


class CoverArt(NamedTuple):
    """Cover art: image bytes, media type, ID3's type (3: front cover), description."""

    data: bytes
    mime_type: str
    kind: int = 3
    description: str = ""


def find(file: BinaryIO) -> list[list[Frame]]:
    """Frames of each ID3v2 tag at the start of a file, or in the chunks of a wav or aiff file."""
    file.seek(0)
    start = file.read(12)
    if start[:4] in (b"RIFF", b"RF64", b"BW64") or start[:4] == b"FORM":
        bodies = [
            file.read(size)
            for name, size in chunks(file)
            if name.lower() == b"id3 " and size <= _LARGEST
        ]
        return [frames(body) for body in bodies]
    found: list[list[Frame]] = []
    offset = 0
    while (length := _length(file, offset)) is not None:
        file.seek(offset)
        found.append(frames(file.read(length)))
        offset += length
        gap = file.read(_PADDING)
        if gap.lstrip(b"\0")[:3] != b"ID3":
            break
        offset += len(gap) - len(gap.lstrip(b"\0"))
    return found


def chunks(file: BinaryIO) -> Iterator[tuple[bytes, int]]:
    """Yield name and size of each chunk of a RIFF or FORM file, which is at the chunk's content."""
    file.seek(0)
    order = ">" if file.read(12)[:4] == b"FORM" else "<"
    place = 12
    while len(head := file.read(8)) == 8:
        name, size = struct.unpack(f"{order}4sI", head)
        yield name, size
        place += 8 + size + size % 2
        file.seek(place)


def frames(tag: bytes) -> list[Frame]:
    """The frames of one tag up to any damage; encrypted frames have no content."""
    if len(tag) < _HEADER or tag[:3] != b"ID3" or tag[3] not in (2, 3, 4):
        return []
    version, flags, body = tag[3], tag[5], tag[_HEADER : _HEADER + synchsafe(tag[6:10])]
    if version < 4 and flags & 0x80:
        body = _synchronised(body)
    if version > 2 and flags & 0x40:  # an extended header
        size = int.from_bytes(body[:4], "big") + 4 if version == 3 else synchsafe(body[:4])
        body = body[size:]
    found = list(_split(body, version, bool(flags & 0x80)))
    return _renamed(found) if version < 4 else found


def texts(body: bytes) -> list[str]:
    """Strings of a text frame: a byte for the encoding, then zero-terminated strings."""
    return [text for text in _decoded(body[1:], body[:1]) if text] if body else []


def described(body: bytes, skip: int = 0) -> tuple[str, list[str]]:
    """Description and strings of a TXXX, COMM or USLT frame.

    COMM and USLT have a language of three bytes, which ``skip=3`` leaves out.
    """
    description, *values = _decoded(body[1 + skip :], body[:1]) or [""]
    return description, values


def cover_art(body: bytes) -> CoverArt | None:
    """The cover art of an APIC frame; ``None`` where it is damaged."""
    mime, _, rest = body[1:].partition(b"\0")
    if len(rest) < 2:
        return None
    width = 2 if body[0] in (1, 2) else 1
    end = 1
    while end < len(rest) and rest[end : end + width].strip(b"\0"):
        end += width
    description = (_decoded(rest[1:end], body[:1]) or [""])[0]
    data = rest[end + width :]
    return CoverArt(data, mime.decode("latin-1").lower(), rest[0], description) if data else None


def text_frame(name: str, values: Iterable[str], description: str | None = None) -> Frame:
    """A text frame with one or more strings; TXXX begins with a description."""
    strings = values if description is None else (description, *values)
    return Frame(name, b"\x03" + "\0".join(strings).encode())


def link_frame(name: str, address: str) -> Frame:
    """A frame with an address (W… but WXXX), which is always Latin-1."""
    return Frame(name, address.encode("latin-1", "replace"))


def comment_frame(name: str, text: str, language: str = "und", description: str = "") -> Frame:
    """A comment (COMM) or lyrics (USLT) frame, in a language of ISO 639-2."""
    return Frame(name, b"\x03" + language.encode() + f"{description}\0{text}".encode())


def cover_art_frame(cover: CoverArt) -> Frame:
    """The APIC frame of cover art."""
    head = b"\x03" + cover.mime_type.encode("latin-1", "replace") + b"\0" + bytes([cover.kind])
    return Frame("APIC", head + cover.description.encode() + b"\0" + cover.data)


def tag(frames: Iterable[Frame]) -> bytes:
    """An ID3v2.4 tag; empty without frames."""
    body = b"".join(
        name.encode("latin-1") + _synchsafe_bytes(len(content)) + b"\0\0" + content
        for name, content in frames
    )
    return b"ID3\x04\0\0" + _synchsafe_bytes(len(body)) + body if body else b""


def _length(file: BinaryIO, offset: int) -> int | None:
    """Bytes of the tag at an offset, with header and footer; ``None`` where there is none."""
    file.seek(offset)
    head = file.read(_HEADER)
    if len(head) < _HEADER or head[:3] != b"ID3" or max(head[6:10]) > 0x7F:
        return None
    footer = _HEADER if head[3] == 4 and head[5] & 0x10 else 0
    return _HEADER + synchsafe(head[6:10]) + footer


def _split(body: bytes, version: int, unsynchronised: bool) -> Iterator[Frame]:
    width = 3 if version == 2 else 4
    head = 6 if version == 2 else 10
    place = 0
    while place + head <= len(body):
        name = body[place : place + width]
        if not re.fullmatch(rb"[A-Z][A-Z0-9]{2,3} ?", name):
            return  # padding, or damage
        size = int.from_bytes(body[place + width : place + 2 * width], "big")
        if version == 4:
            size = _size_2_4(body, place, size)
        content = body[place + head : place + head + size]
        if len(content) < size:
            return
        flags = body[place + 9] if version > 2 else 0
        place += head + size
        opened = _opened(content, version, flags, unsynchronised)
        letters = name.decode("latin-1").strip()
        yield Frame(ENCRYPTED, b"") if opened is None else Frame(letters, opened)


def _size_2_4(body: bytes, place: int, plain: int) -> int:
    """A frame's size: synchsafe, or the plain number that old iTunes wrote instead."""
    raw = body[place + 4 : place + 8]
    if max(raw) > 0x7F:
        return plain
    size = synchsafe(raw)
    if size == plain or _frame_or_end(body, place + 10 + size):
        return size
    return plain if _frame_or_end(body, place + 10 + plain) else size


def _frame_or_end(body: bytes, place: int) -> bool:
    name = body[place : place + 4]
    return place == len(body) or bool(re.fullmatch(rb"[A-Z][A-Z0-9]{3}|\0+", name))


def _opened(content: bytes, version: int, flags: int, unsynchronised: bool) -> bytes | None:
    """A frame's content without group, unsynchronisation and compression; None if encrypted."""
    if version == 3:
        encrypted, packed, skip = flags & 0x40, flags & 0x80, 4 * bool(flags & 0x80)
        skip += bool(flags & 0x20)
    else:
        encrypted, packed = flags & 0x04, flags & 0x08
        skip = bool(flags & 0x40) + 4 * bool(flags & 0x01)
        if version == 4 and (unsynchronised or flags & 0x02):
            content = _synchronised(content)
    if encrypted:
        return None
    content = content[skip:]
    if not packed:
        return content
    try:
        return zlib.decompressobj().decompress(content, _LARGEST)
    except zlib.error:
        return b""


def _renamed(found: list[Frame]) -> list[Frame]:
    """Frames of ID3v2.2 and 2.3 as those of 2.4."""
    renamed = []
    dates: dict[str, str] = {}
    for name, body in found:
        if len(name) == 3:
            if name == "PIC":
                body = body[:1] + _IMAGES_2_2.get(body[1:4].upper(), b"image/") + b"\0" + body[4:]
            name = _NAMES_2_2.get(name, f"{name} ")
        name = _NAMES_2_3.get(name, name)
        if name in ("TYER", "TDAT", "TIME"):
            dates[name] = next(iter(texts(body)), "").strip()
        else:
            renamed.append(Frame(name, body))
    date = _date(dates.get("TYER", ""), dates.get("TDAT", ""), dates.get("TIME", ""))
    if date and not any(frame.name == "TDRC" for frame in renamed):
        renamed.append(text_frame("TDRC", [date]))
    return renamed


def _date(year: str, day_month: str, time: str) -> str:
    if not (re.fullmatch(r"\d{4}", year) and re.fullmatch(r"\d{4}", day_month)):
        return year
    clock = f"T{time[:2]}:{time[2:]}" if re.fullmatch(r"\d{4}", time) else ""
    return f"{year}-{day_month[2:]}-{day_month[:2]}{clock}"


def _decoded(data: bytes, encoding: bytes) -> list[str]:
    """Zero-terminated strings; the last one need not be terminated."""
    number = encoding[0] if encoding else 0
    name = _ENCODINGS[number] if number < len(_ENCODINGS) else "latin-1"
    if number not in (1, 2):
        return data.decode(name, "replace").removesuffix("\0").split("\0")
    units = [data[n : n + 2] for n in range(0, len(data) - 1, 2)]
    strings, begin = [], 0
    for place in (*(n for n, unit in enumerate(units) if unit == b"\0\0"), len(units)):
        strings.append(b"".join(units[begin:place]))
        begin = place + 1
    if len(strings) > 1 and not strings[-1]:
        strings.pop()
    order = name
    decoded = []
    for string in strings:
        if number == 1 and string[:2] in (b"\xff\xfe", b"\xfe\xff"):
            order = "utf-16-le" if string[:2] == b"\xff\xfe" else "utf-16-be"
            string = string[2:]
        elif order == "utf-16":
            order = "utf-16-le"
        decoded.append(string.decode(order, "replace"))
    return decoded


def _synchronised(data: bytes) -> bytes:
    return data.replace(b"\xff\x00", b"\xff")


def _synchsafe_bytes(number: int) -> bytes:
    return bytes(number >> shift & 0x7F for shift in (21, 14, 7, 0))
