"""Chord changes for tests of the jazz band, as `chart` reads them, and the counts it draws from."""

from __future__ import annotations

from pathlib import Path

import audiotransfer

COUNTS = Path(audiotransfer.__file__).parent / "styles/shipped/jazz-midi/counts.json"
AABA = (
    "Cmaj7 | Am7 | Dm7 | G7 | Em7 A7 | Dm7 G7 | C6 | Dm7 G7 | "
    "Cmaj7 | Am7 | Dm7 | G7 | Em7 A7 | Dm7 G7 | C6 | C6 | "
    "E7 | E7 | A7 | A7 | D7 | D7 | Dm7 | G7b9 | "
    "Cmaj7 | Am7 | Dm7 | G7 | Bm7b5 E7b9 | Dm7 G7 | C6 | C6"
)
POP = "C | G | Am | F | C | G | F | F | Am | F | C | G | F | G | C | C"
