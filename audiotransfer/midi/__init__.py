"""MIDI files: read, edited message by message, written; no other package opens them.

Messages that are no notes, and notes that are not edited, are written as they were read.
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
