"""Fifteen folk tunes and well-known melodies in the public domain, written from memory as ABC."""

from __future__ import annotations

import re
from typing import Any

QUARTER = 480
_SHARPS = "FCGDAEB"
_NATURAL = {"C": 60, "D": 62, "E": 64, "F": 65, "G": 67, "A": 69, "B": 71}
_NOTE = re.compile(r"([_^=]?)([A-Ga-gz])([,']*)(\d*)")

#: Name -> metre, sharps of its key signature (flats below 0), tonic's pitch class, notes of which
#: 1 is an eighth.
TUNES: dict[str, tuple[str, int, int, str]] = {
    "twinkle": (
        "4/4", 0, 0,
        "C2C2G2G2|A2A2G4|F2F2E2E2|D2D2C4|G2G2F2F2|E2E2D4|G2G2F2F2|E2E2D4|"
        "C2C2G2G2|A2A2G4|F2F2E2E2|D2D2C4",
    ),
    "greensleeves": (
        "6/8", 0, 9,
        "z5A|c2de3|d2BG3|A2BcBA|B2^GE2A|c2de3|d2BG3|c2BA^GA|A6|"
        "g6|g2fe3|d2BG3|A2BcBA|B2^GE3|g6|g2fe3|d2BG3|c2BA^GA|A6",
    ),
    "scarborough fair": (
        "3/4", 0, 2,
        "D4D2|A4A2|E2F2E2|D6|z2A2c2|d4c2|A2B2G2|A6|z4d2|d4d2|c4A2|A2G2F2|E2C4|D4A2|"
        "G4F2|E2D2C2|D6",
    ),
    "auld lang syne": (
        "4/4", -1, 5,
        "z6C2|F3FF2A2|G3FG2A2|F3FA2c2|d6d2|c3AA2F2|G3FG2A2|F3DD2C2|F6d2|c3AA2F2|G3FG2d2|"
        "c3AA2c2|d6d2|c3AA2F2|G3FG2A2|F3DD2C2|F6z2",
    ),
    "amazing grace": (
        "3/4", 1, 7,
        "z4D2|G4BG|B4A2|G4E2|D4D2|G4BG|B4A2|d6|z4B2|d3BdB|G4D2|E3GGE|D4D2|G4BG|B4A2|G6",
    ),
    "drunken sailor": (
        "2/4", 0, 2,
        "A2AA|A2AA|ADFA|G2GG|G2GG|GCEG|A2AA|A2AA|ABcd|cAGE|D2D2|"
        "A4|A4|ADFA|G4|G4|GCEG|A4|A4|ABcd|cAGE|D2D2",
    ),
    "shenandoah": (
        "4/4", 2, 2,
        "z6A,2|D2D2D2EF|G2B2A4|z2d2c2B2|A2B2A2F2|A8|z2A2B2B2|B2F2A2F2|E2D2E4|z2D2E4|"
        "F2D2F2B2|A6D2|E2F2E4|D8",
    ),
    "danny boy": (
        "4/4", -1, 5,
        "z5EFG|A3GAdcA|GFD2zFAB|c3dcAFA|G5EFG|A3GAdcA|GFD2zEFG|A3BAGFG|F5cde|f3eedcd|"
        "cAF2zcde|f3eedcA|G5ccc|a3ggfdf|cAF2zEFG|AdcAGFDE|F8",
    ),
    "house of the rising sun": (
        "6/8", 0, 9,
        "z5A|A3B2c|e3d2A|A6|z5a|a3a2g|e2de3|z6|z5a|a3a2g|e3d2A|A6|z5A|A3A3|^G3B3|A6",
    ),
    "frere jacques": (
        "4/4", -1, 5,
        "F2G2A2F2|F2G2A2F2|A2B2c4|A2B2c4|cdcBA2F2|cdcBA2F2|F2C2F4|F2C2F4",
    ),
    "ode to joy": (
        "4/4", 2, 2,
        "F2F2G2A2|A2G2F2E2|D2D2E2F2|F3EE4|F2F2G2A2|A2G2F2E2|D2D2E2F2|E3DD4|"
        "E2E2F2D2|E2FGF2D2|E2FGF2E2|D2E2A,4|F2F2G2A2|A2G2F2E2|D2D2E2F2|E3DD4",
    ),
    "au clair de la lune": (
        "4/4", 1, 7,
        "G2G2G2A2|B4A4|G2B2A2A2|G8|G2G2G2A2|B4A4|G2B2A2A2|G8|A2A2A2A2|E4E4|A2G2F2E2|D8|"
        "G2G2G2A2|B4A4|G2B2A2A2|G8",
    ),
    "kalinka": (
        "2/4", 0, 9,
        "z2e2|d2Bc|d2Bc|d2cB|A2ee|d2Bc|d2Bc|d2cB|A4",
    ),
    "korobeiniki": (
        "4/4", -1, 2,
        "a2efg2fe|d2dfa2gf|e3fg2a2|f2d2d4|zg2bd'2c'b|a3fa2gf|e2efg2a2|f2d2d4",
    ),
    "loch lomond": (
        "4/4", 1, 7,
        "z6D2|G3AB2AG|A2GED2D2|G2B2d2e2|d6ed|B2d2BAG2|A2GED2D2|G2GAB2A2|G6z2",
    ),
}  # fmt: skip


def notes_of(name: str) -> list[tuple[int, int, int]]:
    """Notes of a tune: start and length in eighths, and MIDI pitch. Bars are checked."""
    metre, sharps, _, text = TUNES[name]
    beats, unit = map(int, metre.split("/"))
    altered = dict.fromkeys(_SHARPS[:sharps], 1) if sharps >= 0 else {}
    altered |= dict.fromkeys(_SHARPS[sharps:], -1) if sharps < 0 else {}
    found, now = [], 0
    for bar in text.split("|"):
        begin = now
        for sign, letter, marks, length in _NOTE.findall(bar):
            eighths = int(length or 1)
            if letter != "z":
                pitch = _NATURAL[letter.upper()] + 12 * letter.islower()
                pitch += 12 * (marks.count("'") - marks.count(","))
                own = {"^": 1, "_": -1, "=": 0}.get(sign, altered.get(letter.upper(), 0))
                found.append((now, eighths, pitch + own))
            now += eighths
        assert now - begin == beats * 8 // unit, f"{name}: {bar} is no bar of {metre}"
    return found


def score_of(name: str) -> Any:
    """A tune as a ``symusic.Score`` of one track."""
    import symusic

    made: Any = symusic.Score(QUARTER)
    made.tempos.append(symusic.Tempo(0, qpm=100.0))
    made.time_signatures.append(symusic.TimeSignature(0, *map(int, TUNES[name][0].split("/"))))
    track: Any = symusic.Track("Melody", 0, False)
    for start, length, pitch in notes_of(name):
        half = QUARTER // 2
        track.notes.append(symusic.Note(start * half, length * half, pitch, 90))
    made.tracks.append(track)
    return made
