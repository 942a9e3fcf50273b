"""Recognizes what the program itself wrote: songs in a style, and stems."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

STEMS = ("drums", "bass", "other", "vocals")
STEMS_FOLDER = ".stems"
#: How outputs of the verbs end that have no style: ``song.bach.mid``, ``song.human.mid``.
_MIDI_LABELS = ("bach", "human")
_MIDI = ".mid"


def is_own(path: Path, styles: Collection[str] = ()) -> bool:
    """Whether a file is an output by its name, ``song.jazz.wav`` with the style jazz among
    ``styles``, or a stem: in a folder ``song.stems``, or beside the other three.
    """
    name = path.stem
    if path.suffix.lower() == _MIDI:
        styles = {*styles, *_MIDI_LABELS}
    elif name.lower().endswith(_MIDI):  # the sound of a MIDI file: song.jazz.mid.wav
        name = name[: -len(_MIDI)]
    if any(name.endswith(f".{style}") for style in styles):
        return True
    return _is_stem(path)


def _is_stem(path: Path) -> bool:
    folder = path.parent
    if folder.name.endswith(STEMS_FOLDER):
        return True
    stem = _stem(path)
    if stem not in STEMS:
        return False
    return set(STEMS) <= {
        _stem(other) for other in folder.iterdir() if other.suffix.lower() == path.suffix.lower()
    }


def _stem(path: Path) -> str:
    return path.name.partition(".")[0]
