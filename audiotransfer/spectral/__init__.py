"""Timbre transfer on spectrograms: `models` (shipped ones), `objectives` and `networks`."""
