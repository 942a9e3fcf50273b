"""Chord qualities: their tones, and how chord symbols are written and read."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

from audiotransfer.errors import AudioTransferError
from audiotransfer.leadsheet.spelling import name_of

if TYPE_CHECKING:
    from audiotransfer.leadsheet.leadsheet import Chord, Key

#: Quality -> tones in semitones above the root. The names are written after the root (``Dm7``).
QUALITIES: dict[str, tuple[int, ...]] = {
    "": (0, 4, 7),
    "m": (0, 3, 7),
    "dim": (0, 3, 6),
    "aug": (0, 4, 8),
    "sus2": (0, 2, 7),
    "sus4": (0, 5, 7),
    "5": (0, 7),
    "6": (0, 4, 7, 9),
    "m6": (0, 3, 7, 9),
    "7": (0, 4, 7, 10),
    "maj7": (0, 4, 7, 11),
    "m7": (0, 3, 7, 10),
    "mmaj7": (0, 3, 7, 11),
    "m7b5": (0, 3, 6, 10),
    "dim7": (0, 3, 6, 9),
    "aug7": (0, 4, 8, 10),
    "7b5": (0, 4, 6, 10),
    "7sus4": (0, 5, 7, 10),
    "add9": (0, 4, 7, 2),
    "69": (0, 4, 7, 9, 2),
    "9": (0, 4, 7, 10, 2),
    "maj9": (0, 4, 7, 11, 2),
    "m9": (0, 3, 7, 10, 2),
    "7b9": (0, 4, 7, 10, 1),
    "7#9": (0, 4, 7, 10, 3),
    "13": (0, 4, 7, 10, 2, 9),
}

#: No chord, as it is written.
NO_CHORD = "N.C."
_NO_CHORDS = frozenset(("n.c.", "nc", "n.c", "n", "-", "tacet", "no"))

# Signs of jazz charts, as words; longest first.
_SIGNS = {
    "maj7": ("maj7", "major7", "maj 7", "ma7", "mj7", "j7", "M7", "△7", "Δ7", "^7", "△", "Δ", "^"),
    "m7b5": ("ø7", "ø", "Ø7", "Ø", "h7", "m7-5", "-7b5", "min7b5", "mi7b5", "m7(b5)", "-7(b5)"),
    "dim": ("°", "º", "o"),
    "m": ("minor", "min", "mi", "-"),
    "maj": ("major", "Maj", "MAJ", "ma", "M", "j"),
    "aug": ("augmented", "+"),
}
# What remains after the signs -> quality.
_SPELLINGS = {
    **{name: name for name in QUALITIES},
    "maj": "",
    "dom7": "7",
    "dom": "7",
    "mm7": "mmaj7",
    "mmaj": "mmaj7",
    "maj6": "6",
    "maj13": "maj9",
    "maj7#11": "maj7",
    "maj11": "maj9",
    "m11": "m9",
    "m13": "m9",
    "maj69": "69",
    "m69": "m6",
    "11": "9",
    "7#5": "aug7",
    "7aug": "aug7",
    "7b13": "aug7",
    "aug9": "aug7",
    "maj7#5": "aug",
    "augmaj7": "aug",
    "9#5": "aug7",
    "7-5": "7b5",
    "7#11": "7",
    "7alt": "7#9",
    "alt": "7#9",
    "7-9": "7b9",
    "7b9b13": "7b9",
    "7b9#5": "7b9",
    "13b9": "7b9",
    "7aug9": "7#9",
    # The Weimar Jazz Database writes the sign of an altered tone behind it.
    "79": "9",
    "m79": "m9",
    "79b": "7b9",
    "79#": "7#9",
    "aug79#": "7#9",
    "7911#": "9",
    "7913": "13",
    "sus": "sus4",
    "7sus": "7sus4",
    "9sus": "7sus4",
    "9sus4": "7sus4",
    "13sus": "7sus4",
    "13sus4": "7sus4",
    "sus7": "7sus4",
    "sus9": "7sus4",
    "sus4,7": "7sus4",
    "2": "add9",
    "add2": "add9",
    "madd9": "m",
    "madd2": "m",
    "4": "sus4",
    "no3": "5",
    "omit3": "5",
    "b5": "7b5",
    "mb5": "dim",
    "m#5": "m",
    "m7#5": "m7",
    "m9b5": "m7b5",
    "m11b5": "m7b5",
    "dim9": "dim7",
    "mb6": "m",
}
_ROOT = re.compile(r"([A-Ga-g])([#b♯♭x]*)(.*)", re.S)
_STEPS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
_ALTERS = {"#": 1, "♯": 1, "b": -1, "♭": -1, "x": 2}


class UnknownChord(AudioTransferError):
    """A chord symbol that cannot be read; the message names it, not its line."""


def symbol(chord: Chord, key: Key | None = None) -> str:
    """The chord's symbol, as ``Bbmaj7`` or ``C/E``; its names are spelled as in the key."""
    if chord.root is None:
        return NO_CHORD
    text = name_of(chord.root, key) + chord.quality
    if chord.bass is not None and chord.bass != chord.root:
        text += f"/{name_of(chord.bass, key, over=chord.root)}"
    return text


@lru_cache(maxsize=4096)
def parse_symbol(text: str) -> tuple[int | None, str, int | None]:
    """Root, quality and bass of a chord symbol in any usual spelling; root ``None`` for no chord.

    ``Dm7``, ``D-7``, ``Dmin7``, ``D7(b9)``, ``Dø``, ``C△``, ``CM7``, ``F#/A#``, ``N.C.`` are read;
    extensions that `QUALITIES` has not are left out (``maj7#11``: ``maj7``). Raises UnknownChord.
    """
    text = text.strip()
    if text.lower() in _NO_CHORDS:
        return None, "", None
    chord, bass = _without_bass(text)
    match = _ROOT.fullmatch(chord)
    if match is None:
        raise UnknownChord(f"{text!r} is no chord; write a symbol as Dm7, G7, Bbmaj7 or N.C.")
    root = _pitch_class(match[1], match[2])
    rest = match[3]
    quality = _quality(rest)
    if quality is None:
        known = " ".join(name for name in QUALITIES if name)
        raise UnknownChord(f"{text!r} has an unknown quality {rest!r}; known are {known}")
    return root, quality, None if bass == root else bass


def _without_bass(text: str) -> tuple[str, int | None]:
    """The symbol before a slash, and the pitch class behind it; the slash of 6/9 is none."""
    chord, slash, bass = text.rpartition("/")
    match = _ROOT.fullmatch(bass) if slash else None
    if match is None or match[3]:
        return text, None
    return chord, _pitch_class(match[1], match[2])


def _pitch_class(step: str, signs: str) -> int:
    return (_STEPS[step.upper()] + sum(_ALTERS[sign] for sign in signs)) % 12


def _quality(text: str) -> str | None:
    """The quality that is written behind a root; ``None`` for an unknown one."""
    plain = text.replace("♭", "b").replace("♯", "#").replace(" ", "").replace("/", "")
    for bracket in "()[]":
        plain = plain.replace(bracket, "")
    for candidate in (plain, plain.replace(",", "")):
        for reading in (candidate, _in_words(candidate), _in_words(candidate).lower()):
            if reading in _SPELLINGS:
                return _SPELLINGS[reading]
    return None


def _in_words(text: str) -> str:
    """A quality whose signs are replaced by the words of `_SPELLINGS`, from left to right."""
    words = ""
    signs = sorted(
        ((sign, word) for word, spelled in _SIGNS.items() for sign in (*spelled, word)),
        key=lambda pair: -len(pair[0]),
    )
    while text:
        for sign, word in signs:
            if text.startswith(sign):
                words, text = words + word, text[len(sign) :]
                break
        else:
            words, text = words + text[0], text[1:]
    return words


#: Names of a chord's tones, by `tone_index`.
TONES = ("root", "3rd", "5th", "7th or 6th", "other")
_DEGREES = ((0,), (3, 4), (6, 7, 8), (9, 10, 11))


def tone_index(degree: int, quality: str) -> int:
    """Index in `TONES` of a degree in semitones above the root, under a chord of this quality.

    Only tones of the quality are named: the sixth above a triad is ``other``.
    """
    if degree % 12 in QUALITIES[quality]:
        for index, degrees in enumerate(_DEGREES):
            if degree % 12 in degrees:
                return index
    return len(TONES) - 1
