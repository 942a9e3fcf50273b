"""Names of pitch classes by key: sharps or flats, on the line of fifths."""

from __future__ import annotations

from typing import TYPE_CHECKING

from audiotransfer.leadsheet.leadsheet import SCALES

if TYPE_CHECKING:
    from audiotransfer.leadsheet.leadsheet import Key

_LETTERS = "FCGDAEB"
# Semitones above the tonic -> fifths above it: raised fourth, all other chromatic degrees lowered;
# in minor the leading note, and the sixth and third of major, are raised ones.
_DEGREES = {0: 0, 1: -5, 2: 2, 3: -3, 4: 4, 5: -1, 6: 6, 7: 1, 8: -4, 9: 3, 10: -2, 11: 5}
_SIMPLE = (-6, 10)  # Gb to A#: names without double accidentals, Cb, Fb, E# and B#
# Sharps (or flats, negative) of the key signature, by pitch class of the tonic.
_MAJOR = (0, -5, 2, -3, 4, -1, -6, 1, -4, 3, -2, 5)
_MINOR = (-3, 4, -1, -6, 1, -4, 3, -2, 5, 0, -5, 2)


def signature(key: Key | None) -> int:
    """Sharps of the key's signature, flats negative (-6 to 5); 0 without a key."""
    if key is None:
        return 0
    return (_MINOR if key.mode == "minor" else _MAJOR)[key.tonic % 12]


def spelled(pitch_class: int, key: Key | None = None) -> tuple[str, int]:
    """Letter and accidental (semitones, -2 to 2) of a pitch class as it is written in the key."""
    fifths = _fifths(pitch_class % 12, key)
    return _LETTERS[(fifths + 1) % 7], (fifths + 1) // 7


def spelled_over(pitch_class: int, root: int, key: Key | None = None) -> tuple[str, int]:
    """Letter and accidental of a tone of a chord, as over its root: F# over D in any key."""
    fifths = _fifths(root % 12, key) + _DEGREES[(pitch_class - root) % 12]
    low, high = _SIMPLE
    if not low - 1 <= fifths <= high + 1:  # double accidentals
        return spelled(pitch_class, key)
    return _LETTERS[(fifths + 1) % 7], (fifths + 1) // 7


def name_of(pitch_class: int, key: Key | None = None, over: int | None = None) -> str:
    """Name of a pitch class in a key, as ``Bb`` or ``F#``; ``over`` the root of its chord."""
    if over is None:
        letter, alter = spelled(pitch_class, key)
    else:
        letter, alter = spelled_over(pitch_class, over, key)
    return letter + ("#" * alter if alter > 0 else "b" * -alter)


def key_name(key: Key) -> str:
    """A key as it is written: ``Bb major``."""
    return f"{name_of(key.tonic, key)} {key.mode}"


def _fifths(pitch_class: int, key: Key | None) -> int:
    """Place of a pitch class on the line of fifths (C = 0, G = 1, F = -1)."""
    mode = "major" if key is None else key.mode
    tonic = signature(key) + (3 if mode == "minor" else 0)
    degree = (pitch_class - (0 if key is None else key.tonic)) % 12
    fifths = tonic + _DEGREES[degree]
    low, high = _SIMPLE
    if degree in SCALES[mode] and -8 <= fifths <= 12:
        return fifths
    while fifths < low:
        fifths += 12
    while fifths > high:
        fifths -= 12
    return fifths
