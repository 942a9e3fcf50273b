"""A song's tags, and the part of them that each output format can hold."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from audiotransfer.audio.tags import id3
from audiotransfer.audio.tags.id3 import CoverArt, Frame

#: Field, named as in Vorbis comments -> ID3v2.4 frame. Other fields are kept under their names.
FRAMES = {
    "title": "TIT2", "artist": "TPE1", "albumartist": "TPE2", "album": "TALB", "date": "TDRC",
    "tracknumber": "TRCK", "discnumber": "TPOS", "genre": "TCON", "composer": "TCOM",
    "comment": "COMM", "lyrics": "USLT", "isrc": "TSRC", "bpm": "TBPM", "copyright": "TCOP",
    "publisher": "TPUB", "label": "TPUB", "organization": "TPUB", "language": "TLAN",
    "compilation": "TCMP", "titlesort": "TSOT", "artistsort": "TSOP", "albumsort": "TSOA",
    "albumartistsort": "TSO2", "composersort": "TSOC", "conductor": "TPE3", "remixer": "TPE4",
    "lyricist": "TEXT", "grouping": "TIT1", "subtitle": "TIT3", "discsubtitle": "TSST",
    "mood": "TMOO", "media": "TMED", "initialkey": "TKEY", "originaldate": "TDOR",
    "originalartist": "TOPE", "originalalbum": "TOAL", "originallyricist": "TOLY",
    "releasedate": "TDRL", "movementname": "MVNM", "movement": "MVIN", "website": "WOAR",
    "license": "WCOP", "tipl": "TIPL", "tmcl": "TMCL", "towner": "TOWN", "tofn": "TOFN",
    "tpro": "TPRO", "trsn": "TRSN", "trso": "TRSO",
}  # fmt: skip
FIELDS = {"GRP1": "grouping", **{frame: name for name, frame in reversed(FRAMES.items())}}
#: ID3 frames that are no text and have no counterpart in other tags.
ONLY_ID3 = {
    "COMR": "offers", "ETCO": "event times", "GEOB": "attached files", "MCDI": "disc contents",
    "OWNE": "ownership", "PCNT": "play counts", "POPM": "ratings", "PRIV": "private data",
    "SYLT": "synchronised lyrics", "UFID": "file identifiers", "USER": "terms of use",
    "WXXX": "links",
}  # fmt: skip
#: Other names of the same fields, in lower case, without spaces, dashes and underscores.
_SYNONYMS = {
    **{frame.lower(): name for frame, name in FIELDS.items()},
    **{name: name for name in FRAMES},
    "albumartists": "albumartist", "author": "artist", "beatsperminute": "bpm",
    "cpil": "compilation", "disc": "discnumber", "key": "initialkey", "setsubtitle": "discsubtitle",
    "soaa": "albumartistsort", "soal": "albumsort", "soar": "artistsort", "soco": "composersort",
    "sonm": "titlesort", "totaldiscs": "disctotal", "totaltracks": "tracktotal",
    "track": "tracknumber", "unsyncedlyrics": "lyrics", "unsynchronisedlyrics": "lyrics",
    "url": "website", "year": "date",
}  # fmt: skip
#: Fields about the level, which changes.
_LEVEL = re.compile(r"replaygain_.*|r128_.*|mp3gain_.*|itunnorm")
#: Fields about the encoding of the file.
_CODING = frozenset({
    "compatiblebrands", "coverartmime", "creationtime", "encodedby", "encoder", "encoderoptions",
    "encodersettings", "encoding", "isft", "itunescddbids", "itunpgap", "itunsmpb", "length",
    "majorbrand", "minorversion", "pgap", "rtng", "software", "stik", "tden", "tdtg", "tenc",
    "tflt", "tlen", "tsiz", "tsse", "vendorid", "waveformatextensiblechannelmask",
})  # fmt: skip
_LONGEST = 1 << 20  # characters of one field
_LARGEST = {".flac": (1 << 24) - 256}  # bytes: the length of a flac metadata block has 24 bits
_LARGEST_ID3 = (1 << 28) - 256
_IMAGES = {
    b"\xff\xd8\xff": "image/jpeg", b"\x89PNG": "image/png", b"GIF8": "image/gif",
    b"RIFF": "image/webp", b"BM": "image/bmp",
}  # fmt: skip


@dataclass(frozen=True)
class Tags:
    """Text fields (name -> values), cover art, other ID3 frames, and names of what was not read.

    Fields are named as in Vorbis comments, in lower case (``albumartist``, ``isrc``), those that
    are not in `FRAMES` as in their file; ``tracknumber`` and ``discnumber`` are ``N`` or
    ``N/TOTAL``.
    """

    fields: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    covers: tuple[CoverArt, ...] = ()
    frames: tuple[Frame, ...] = ()
    unread: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.fields or self.covers or self.frames)

    def __getitem__(self, name: str) -> str:
        """A field in one line, its values joined by "; "; KeyError where there is none."""
        return "; ".join(self.fields[name])

    def get(self, name: str, default: str = "") -> str:
        """A field in one line; the default where there is none."""
        return self[name] if name in self.fields else default

    @classmethod
    def of(cls, tags: Tags | Mapping[str, str | Sequence[str]] | None) -> Tags:
        """Tags from a plain mapping such as ``{"title": "Song", "artist": ["A", "B"]}``."""
        if isinstance(tags, Tags):
            return tags
        collector = TagCollector()
        for name, values in (tags or {}).items():
            collector.add(name, [values] if isinstance(values, str) else values)
        return collector.tags()


class TagCollector:
    """Collects the tags of a song.

    Fields about the level, which changes, and about the file's encoding are left out.
    """

    def __init__(self) -> None:
        self.fields: dict[str, list[str]] = {}
        self.covers: list[CoverArt] = []
        self.frames: list[Frame] = []
        self.unread: list[str] = []

    def add(self, name: str, values: Iterable[str]) -> None:
        """Add values to a field, by any of its names."""
        name = name.replace("\0", " ").strip()
        plain = re.sub(r"[ _-]", "", name.lower())
        if not name or plain in _CODING or _LEVEL.fullmatch(name.lower()):
            return
        spelled = (there for there in self.fields if there.lower() == name.lower())
        name = _SYNONYMS.get(plain) or next(spelled, name)
        for value in values:
            text = value.replace("\0", " ").strip()
            if len(text) > _LONGEST:
                self.unread.append(f"{name} of {len(text)} characters")
            elif text and text not in self.fields.setdefault(name, []):
                self.fields[name].append(text)

    def add_cover(self, cover: CoverArt) -> None:
        """Add cover art that is not there yet."""
        if cover.data and all(cover.data != other.data for other in self.covers):
            found = (mime for head, mime in _IMAGES.items() if cover.data.startswith(head))
            mime = next(found, cover.mime_type) or "application/octet-stream"
            self.covers.append(cover._replace(mime_type=mime))

    def complete(self, other: TagCollector) -> None:
        """Add from a second source what is not there yet."""
        there = {name.lower() for name in self.fields}
        for name, values in other.fields.items():
            if name.lower() not in there:
                self.fields[name] = values
        self.covers = self.covers or other.covers
        self.frames = self.frames or other.frames
        self.unread += other.unread

    def tags(self) -> Tags:
        """The collected tags; track and disc numbers are joined with their totals."""
        fields = {name: tuple(values) for name, values in self.fields.items() if values}
        for number, total in (("tracknumber", "tracktotal"), ("discnumber", "disctotal")):
            there, of = fields.get(number, ()), fields.pop(total, ())
            if len(there) == 1 and of and "/" not in there[0]:
                fields[number] = (f"{there[0]}/{of[0]}",)
        unread = tuple(dict.fromkeys(self.unread))
        return Tags(fields, tuple(self.covers), tuple(self.frames), unread)


def fitting(tags: Tags, suffix: str) -> tuple[Tags, tuple[str, ...]]:
    """The part of the tags that a file of this suffix can hold, and the names of the rest."""
    fields, left_out = dict(tags.fields), list(tags.unread)
    if suffix in (".flac", ".ogg"):
        left_out += [ONLY_ID3.get(frame.name, frame.name) for frame in tags.frames]
        left_out += [name for name in fields if not re.fullmatch(r"[\x20-\x3c\x3e-\x7d]+", name)]
        tags = replace(tags, frames=())
    largest = room = _LARGEST.get(suffix, _LARGEST_ID3)
    for name, values in tags.fields.items():
        size = sum(len(value.encode()) + len(name.encode()) + 64 for value in values)
        if size > room:
            left_out.append(name)
        if name in left_out:
            del fields[name]
        else:
            room -= size
    covers: list[CoverArt] = []
    for cover in tags.covers:
        size = len(cover.data) + len(cover.description.encode()) + 1024
        room = largest if suffix == ".flac" else room  # one block each
        if size > room:
            left_out.append(f"a picture of {len(cover.data) >> 20} MB")
        else:
            covers.append(cover)
            room -= size
    return replace(tags, fields=fields, covers=tuple(covers)), tuple(dict.fromkeys(left_out))


def frames_of(tags: Tags) -> list[Frame]:
    """The tags as ID3v2.4 frames."""
    texts: dict[str, dict[str, None]] = {}
    others: list[Frame] = []
    language = tags.get("language").lower()
    language = language if re.fullmatch("[a-z]{3}", language) else "und"
    for name, values in tags.fields.items():
        frame = FRAMES.get(name, "")
        if frame in ("COMM", "USLT"):
            for number, value in enumerate(values):  # their descriptions must differ
                description = str(number + 1) if number else ""
                others.append(id3.comment_frame(frame, value, language, description))
        elif frame.startswith("W"):
            others += [id3.link_frame(frame, value) for value in values]
        elif frame:
            texts.setdefault(frame, {}).update(dict.fromkeys(values))
        else:
            others.append(id3.text_frame("TXXX", values, name))
    known = [id3.text_frame(frame, values) for frame, values in texts.items()]
    return [*known, *others, *tags.frames, *map(id3.cover_art_frame, _distinct(tags.covers))]


def comments_of(tags: Tags) -> list[tuple[str, str]]:
    """The tags as Vorbis comments, without cover art."""
    comments = []
    for name, values in tags.fields.items():
        for value in values:
            number, _, total = value.partition("/")
            if total and name in ("tracknumber", "discnumber"):
                comments += [(name, number), (name.replace("number", "total"), total)]
            else:
                comments.append((name, value))
    return [(name.upper(), value) for name, value in comments]


def _distinct(covers: Iterable[CoverArt]) -> list[CoverArt]:
    """Cover art with distinct descriptions, as ID3 requires."""
    distinct: dict[str, CoverArt] = {}
    for cover in covers:
        name, number = cover.description, 1
        while name in distinct:
            number += 1
            name = f"{cover.description} {number}".strip()
        distinct[name] = cover._replace(description=name)
    return list(distinct.values())
