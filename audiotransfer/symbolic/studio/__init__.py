"""Scores to sound: who plays what, with which soundfont, in which room."""
