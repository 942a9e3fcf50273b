"""Genre transfer of MIDI: phrases, networks, and edits of notes."""
