"""Song tags: tinytag reads them, libsndfile writes them, for mp3 an ID3v2.4 header of our own."""

from __future__ import annotations

import warnings
from pathlib import Path

import soundfile

NAMES = ("title", "artist", "album", "date", "tracknumber", "genre", "comment")
_ID3 = {
    "title": "TIT2",
    "artist": "TPE1",
    "album": "TALB",
    "date": "TDRC",
    "tracknumber": "TRCK",
    "genre": "TCON",
}
_LONGEST = 1000  # characters: what every header has room for


def read_tags(path: str | Path) -> dict[str, str]:
    """The common tags of a file, of those in `NAMES` that it has; {} where none can be read."""
    from tinytag import TinyTag, TinyTagException

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = TinyTag.get(str(path), tags=True, duration=False)
    except (TinyTagException, OSError, ValueError, LookupError):
        return {}  # a song without readable tags is still a song
    number = str(found.track) if found.track else ""
    if number and found.track_total:
        number += f"/{found.track_total}"
    values = (
        found.title,
        found.artist,
        found.album,
        found.year,
        number,
        found.genre,
        found.comment,
    )
    return clean(dict(zip(NAMES, (value or "" for value in values), strict=True)))


def clean(tags: dict[str, str]) -> dict[str, str]:
    """The tags that can be written: known names, not empty, without NULs, of bounded length."""
    kept = {
        name: tags[name].replace("\0", " ").strip()[:_LONGEST] for name in NAMES if name in tags
    }
    return {name: value for name, value in kept.items() if value}


def set_tags(sound: soundfile.SoundFile, tags: dict[str, str]) -> None:
    """Hand tags to libsndfile before the first sample is written."""
    for name, value in tags.items():
        setattr(sound, name, value)


def id3(tags: dict[str, str]) -> bytes:
    """An ID3v2.4 header in UTF-8 (libsndfile's own garbles every letter beyond ASCII)."""
    body = b""
    for name, value in tags.items():
        text = b"\x03" + (b"XXX\0" if name == "comment" else b"") + value.encode()
        frame = b"COMM" if name == "comment" else _ID3[name].encode()
        body += frame + _synchsafe(len(text)) + b"\0\0" + text
    return b"ID3\x04\0\0" + _synchsafe(len(body)) + body if body else b""


def _synchsafe(number: int) -> bytes:
    return bytes(number >> shift & 0x7F for shift in (21, 14, 7, 0))
