"""Recognizes what the program itself wrote: songs in a style, and stems, which carry a tag."""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path

from audiotransfer.files.tag_reading import read_tags

STEMS = ("drums", "bass", "other", "vocals")
STEMS_FOLDER = ".stems"
#: How outputs of the verbs end that have no style: ``song.bach.mid``, ``song.human.mid``.
_MIDI_LABELS = ("bach", "human")
_MIDI = ".mid"
DRY = "dry"
_COMMENT = re.compile(r"audiotransfer stem=(?P<stem>\S+) version=(?P<version>.+)")


def is_own(path: Path, styles: Collection[str] = ()) -> bool:
    """Whether a file is an output by its name, ``song.jazz.wav`` with the style jazz among
    ``styles``, or a stem: in a folder ``song.stems``, beside the other three, or by its tag.
    """
    name = path.stem
    if path.suffix.lower() == _MIDI:
        styles = {*styles, *_MIDI_LABELS}
    elif name.lower().endswith(_MIDI):  # the sound of a MIDI file: song.jazz.mid.wav
        name = name[: -len(_MIDI)]
    if any(name.endswith(f".{style}") for style in styles):
        return True
    return _is_stem(path)


def stem_comment(stem: str, style: str | None = None) -> str:
    """The tag ``comment`` of a stem's file, as it was separated or in a style."""
    return f"audiotransfer stem={stem} version={style or DRY}"


def read_stem_comment(path: Path) -> tuple[str, str] | None:
    """The stem and its version (:data:`DRY` or a style) that a file's tag names."""
    match = _COMMENT.fullmatch(read_tags(path).get("comment", ""))
    return (match["stem"], match["version"]) if match else None


def _is_stem(path: Path) -> bool:
    folder = path.parent
    if folder.name.endswith(STEMS_FOLDER):
        return True
    # Tags are read only of what may be a stem: reading those of a whole collection takes long.
    if any(stem in path.stem for stem in STEMS) and read_stem_comment(path):
        return True
    stem = _stem(path)
    if stem not in STEMS:
        return False
    return set(STEMS) <= {
        _stem(other) for other in folder.iterdir() if other.suffix.lower() == path.suffix.lower()
    }


def _stem(path: Path) -> str:
    return path.name.partition(".")[0]
