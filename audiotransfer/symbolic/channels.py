"""MIDI channels for scores of more parts than there are channels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

_DRUMS = 9
_PITCHED = [channel for channel in range(16) if channel != _DRUMS]
_HEADER = 14  # bytes of the header chunk
_ONE_BYTE = (0xC0, 0xD0)  # program and channel pressure are followed by one byte, others by two


def channels_of(tracks: Sequence[Any]) -> list[int] | None:
    """A channel for each track: its own while there are enough, else one for each program.

    None where channels in the order of tracks do: for few tracks, or more programs than channels.
    """
    players = [index for index, track in enumerate(tracks) if not track.is_drum]
    if len(players) > len(_PITCHED):
        players = [track.program for track in tracks if not track.is_drum]
    kinds = list(dict.fromkeys(players))
    if len(tracks) <= len(_PITCHED) or len(kinds) > len(_PITCHED):
        return None
    pitched = iter(players)
    return [_DRUMS if track.is_drum else _PITCHED[kinds.index(next(pitched))] for track in tracks]


def with_channels(data: bytes, channels: Sequence[int]) -> bytes:
    """A MIDI file whose tracks play on other channels, one for each track."""
    midi = bytearray(data)
    chunk = _HEADER
    for channel in channels:
        end = chunk + 8 + int.from_bytes(midi[chunk + 4 : chunk + 8], "big")
        at, status = chunk + 8, 0
        while at < end:
            at = _after_number(midi, at)
            if midi[at] >= 0x80:
                status = midi[at]
                if status < 0xF0:
                    midi[at] = (status & 0xF0) | channel
                at += 1
            if status == 0xFF:  # an event about the piece: its kind, its length, its bytes
                at = _after_bytes(midi, at + 1)
            elif status >= 0xF0:
                at = _after_bytes(midi, at)
            else:
                at += 1 if status & 0xF0 in _ONE_BYTE else 2
        chunk = end
    return bytes(midi)


def _after_number(midi: bytearray, at: int) -> int:
    """Behind a number of variable length."""
    while midi[at] & 0x80:
        at += 1
    return at + 1


def _after_bytes(midi: bytearray, at: int) -> int:
    """Behind a length and as many bytes."""
    length, end = 0, _after_number(midi, at)
    for byte in midi[at:end]:
        length = length << 7 | byte & 0x7F
    return end + length
