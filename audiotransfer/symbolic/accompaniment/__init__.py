"""Harmonization of melodies with three lower voices, learned from four-part chorales."""
