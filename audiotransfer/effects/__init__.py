"""Effects on stems: amplifier, saturation, chorus, ducking, equaliser, gain.

Effects map ``[C, T]`` to ``[C, T]`` at 44.1 kHz. An output sample depends only on samples within
the effect's reach, and levels are absolute, for a song at RMS 0.1: a song processed in blocks
equals the song in one piece.
"""

from audiotransfer.effects.chain import NO_EFFECTS, Chain, read_chain
from audiotransfer.effects.effects import equalise

__all__ = ["NO_EFFECTS", "Chain", "equalise", "read_chain"]
