"""Inspection of audio files by format: what they hold, and what of it is damaged."""
