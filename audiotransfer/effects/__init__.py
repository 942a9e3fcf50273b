"""What an engineer does to a stem after it was played: amplifier, saturation, chorus, equaliser.

Effects take and give ``[C, T]`` at 44.1 kHz, in place and length. They know no time but what lies
within their reach (`chain.Kind`), and nothing of how loud a song is elsewhere: levels are absolute,
of a song at RMS 0.1, so that a song worked on in blocks equals the song in one piece.
"""

from audiotransfer.effects.chain import NO_EFFECTS, Chain, read_chain
from audiotransfer.effects.equaliser import equalise

__all__ = ["NO_EFFECTS", "Chain", "equalise", "read_chain"]
