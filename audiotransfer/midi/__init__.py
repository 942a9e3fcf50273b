"""The only place that opens MIDI files. They are edited message by message, not rebuilt: what is no
note, and every note that stays, is written as it was read.
"""

from audiotransfer.midi.editing import with_notes, with_tempo
from audiotransfer.midi.file import Event, MidiFile
from audiotransfer.midi.notes import Group, Notes, notes_of, with_ports
from audiotransfer.midi.reading import SUFFIXES, parse, read

__all__ = [
    "SUFFIXES",
    "Event",
    "Group",
    "MidiFile",
    "Notes",
    "notes_of",
    "parse",
    "read",
    "with_notes",
    "with_ports",
    "with_tempo",
]
