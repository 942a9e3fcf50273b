"""Synthesis of notes by soundfonts, and by random additive instruments."""

from audiotransfer.synthesis.soundfont import DRUM_BANK, SoundFont
from audiotransfer.synthesis.synthesizer import Part, Sampler, Synthesizer

__all__ = ["DRUM_BANK", "Part", "Sampler", "SoundFont", "Synthesizer"]
