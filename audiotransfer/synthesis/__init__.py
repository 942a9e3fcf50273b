"""Notes to sound: SoundFont files and the sampler that plays them."""

from audiotransfer.synthesis.sampler import Sampler
from audiotransfer.synthesis.soundfont import DRUM_BANK, SoundFont

__all__ = ["DRUM_BANK", "Sampler", "SoundFont"]
