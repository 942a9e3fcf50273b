"""Lead sheets: what a song is, apart from how it sounds."""

from audiotransfer.leadsheet.chords import QUALITIES
from audiotransfer.leadsheet.from_midi import lead_sheet
from audiotransfer.leadsheet.leadsheet import Bar, Chord, Key, LeadSheet, Note, Section

__all__ = ["QUALITIES", "Bar", "Chord", "Key", "LeadSheet", "Note", "Section", "lead_sheet"]
