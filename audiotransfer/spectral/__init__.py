"""Timbre transfer on spectrograms: what ships in `models`, research in `objectives`, `networks`."""
