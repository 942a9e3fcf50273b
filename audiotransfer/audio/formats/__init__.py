"""Inspection of audio files by format: their recordings, sample counts and damage."""
