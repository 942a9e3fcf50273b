"""The functions that write the notes of roles, by the names that ``band.yaml`` files use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from audiotransfer.cover.bass import write_walking_bass
from audiotransfer.cover.comping import write_comping
from audiotransfer.cover.drums import jazz_drums
from audiotransfer.cover.lead import melody
from audiotransfer.cover.pattern_bass import write_bass
from audiotransfer.cover.pattern_chords import write_chords
from audiotransfer.cover.pattern_drums import write_drums
from audiotransfer.cover.second_voice import write_second_voice
from audiotransfer.cover.strings import write_strings

if TYPE_CHECKING:
    from audiotransfer.cover.plan import Writer

WRITERS: dict[str, Writer] = {
    "comping": write_comping,
    "jazz_drums": jazz_drums,
    "melody": melody,
    "pattern_bass": write_bass,
    "pattern_chords": write_chords,
    "pattern_drums": write_drums,
    "second_voice": write_second_voice,
    "strings": write_strings,
    "walking_bass": write_walking_bass,
}
