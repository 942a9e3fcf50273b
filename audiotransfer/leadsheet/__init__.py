"""Lead sheets: what a song is, apart from how it sounds."""

from audiotransfer.leadsheet.chord_sheet import chord_sheet, read_chord_sheet, write_chord_sheet
from audiotransfer.leadsheet.chords import QUALITIES, parse_symbol, symbol
from audiotransfer.leadsheet.files import read_lead_sheet, write_lead_sheet
from audiotransfer.leadsheet.from_midi import lead_sheet
from audiotransfer.leadsheet.leadsheet import Bar, Chord, Key, LeadSheet, Note, Section
from audiotransfer.leadsheet.musicxml import musicxml, write_musicxml

__all__ = [
    "QUALITIES",
    "Bar",
    "Chord",
    "Key",
    "LeadSheet",
    "Note",
    "Section",
    "chord_sheet",
    "lead_sheet",
    "musicxml",
    "parse_symbol",
    "read_chord_sheet",
    "read_lead_sheet",
    "symbol",
    "write_chord_sheet",
    "write_lead_sheet",
    "write_musicxml",
]
