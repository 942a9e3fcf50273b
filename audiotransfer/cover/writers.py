"""The functions that write the notes of roles, by the names that ``band.yaml`` files use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from audiotransfer.cover.pattern_drums import write_drums
from audiotransfer.cover.pattern_parts import write_bass, write_chords
from audiotransfer.cover.strings import write_strings

if TYPE_CHECKING:
    from audiotransfer.cover.plan import Writer

WRITERS: dict[str, Writer] = {
    "pattern_bass": write_bass,
    "pattern_chords": write_chords,
    "pattern_drums": write_drums,
    "strings": write_strings,
}
