"""Recognizes files that the program wrote (songs in a style, stems) by tags, names and folders."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

from audiotransfer.audio.reading import AUDIO_SUFFIXES
from audiotransfer.audio.tags.reading import read_tags
from audiotransfer.audio.tags.tags import Tags

STEMS = ("drums", "bass", "other", "vocals")
STEMS_FOLDER = ".stems"
#: How outputs of the verbs end that have no style: ``song.bach.mid``, ``song.human.mid``.
_MIDI_LABELS = ("bach", "human")
_MIDI = ".mid"
DRY_STYLE = "dry"
#: The field of a song's tags that names the style which it was played in.
_FIELD = "audiotransfer"
_COMMENT = re.compile(r"audiotransfer stem=(?P<stem>\S+) version=(?P<version>.+)")


def is_own(path: Path, styles: Collection[str] = ()) -> bool:
    """Whether a file is an output, by its tags (see `marked`) or its name, ``song.jazz.wav`` with
    the style jazz among ``styles``; or a stem: in a folder ``song.stems``, beside the other three,
    or by its tag.
    """
    name = path.stem
    if path.suffix.lower() == _MIDI:
        styles = {*styles, *_MIDI_LABELS}
    elif name.lower().endswith(_MIDI):  # the sound of a MIDI file: song.jazz.mid.wav
        name = name[: -len(_MIDI)]
    if any(name.endswith(f".{style}") for style in styles):
        return True
    if path.parent.name.endswith(STEMS_FOLDER) or _has_other_stems(path):
        return True
    if path.suffix.lower() not in AUDIO_SUFFIXES:  # MIDI has no tags
        return False
    fields = read_tags(path).fields
    return _FIELD in fields or any(map(_COMMENT.fullmatch, fields.get("comment", ())))


def mark_tags(tags: Tags, style: str) -> Tags:
    """Adds to a song's tags the mark by which `is_own` recognizes the output under any name."""
    return replace(tags, fields={**tags.fields, _FIELD: (style,)})


def stem_comment(stem: str, style: str | None = None) -> str:
    """The tag ``comment`` of a stem's file: the stem's name, and dry or its style."""
    return f"audiotransfer stem={stem} version={style or DRY_STYLE}"


def read_stem_comment(path: Path) -> tuple[str, str] | None:
    """The stem and its version (dry or a style) in a file's tag; the inverse of `stem_comment`."""
    match = _COMMENT.fullmatch(read_tags(path).get("comment", ""))
    return (match["stem"], match["version"]) if match else None


def _has_other_stems(path: Path) -> bool:
    if _stem(path) not in STEMS:
        return False
    beside = path.parent.iterdir()
    return set(STEMS) <= {_stem(one) for one in beside if one.suffix.lower() == path.suffix.lower()}


def _stem(path: Path) -> str:
    return path.name.partition(".")[0]
