"""A MIDI file at a finer resolution, another tempo, in another key, or with bars in front."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from audiotransfer.midi.file import Event, MidiFile

_TEMPO, _METRE, _KEY = b"\xff\x51", b"\xff\x58", b"\xff\x59"
_USUAL_TEMPO = 500_000  # microseconds a quarter note, where a file names none
_SLOWEST = (1 << 24) - 1
_FINEST = 32767  # largest number of ticks per quarter in a file's header
_SECOND = 1_000_000  # microseconds
_FIFTHS = 7  # sharps that a semitone up adds
_MOST_FLATS = -5


def in_quarters(file: MidiFile, least: int = 480) -> MidiFile:
    """The file with at least so many ticks per quarter note, and the same times in seconds.

    A file that counts SMPTE frames gets quarter notes of half a second, without other tempos.
    """
    if file.ticks_a_second is not None:
        factor = 2 * least / file.ticks_a_second
        file = _retimed(_without(file, _TEMPO), lambda tick: round(tick * factor))
        return replace(file, division=least)
    factor = -(-least // file.division)
    return file.finer(min(factor, max(1, _FINEST // file.division)))


def tempo_map(file: MidiFile) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The tempo map of a file in quarter notes: ticks ``[K]`` from 0 on, and seconds per tick."""
    found = {0: _USUAL_TEMPO}
    events = sorted(
        (tick, number, message[2:5])
        for number, track in enumerate(file.tracks)
        for tick, message in track
        if message[:2] == _TEMPO and int.from_bytes(message[2:5], "big")
    )
    found |= {tick: int.from_bytes(data, "big") for tick, _, data in events}
    ticks = np.array(sorted(found), dtype=np.int64)
    rates = np.array([found[tick] for tick in ticks.tolist()]) / _SECOND / file.division
    return ticks, rates


def ticks_at(file: MidiFile, seconds: ArrayLike) -> NDArray[np.float64]:
    """Fractional ticks of times in seconds, by the tempo map; it goes on before and behind."""
    ticks, rates = tempo_map(file)
    at = np.concatenate([[0.0], np.cumsum(np.diff(ticks) * rates[:-1])])
    times = np.asarray(seconds, dtype=np.float64)
    place = np.maximum(np.searchsorted(at, times, side="right") - 1, 0)
    found: NDArray[np.float64] = ticks[place] + (times - at[place]) / rates[place]
    return found


def with_tempo_factor(file: MidiFile, factor: float) -> MidiFile:
    """The file ``factor`` times as fast: every tempo is scaled, one that is implied is written."""
    if factor == 1.0:
        return file

    def scaled(message: bytes) -> bytes:
        value = round(int.from_bytes(message[2:5], "big") / factor)
        return _TEMPO + min(max(value, 1), _SLOWEST).to_bytes(3, "big")

    if not any(tick == 0 and m[:2] == _TEMPO for track in file.tracks for tick, m in track):
        file = with_event(file, (0, _TEMPO + _USUAL_TEMPO.to_bytes(3, "big")))
    return _changed(file, _TEMPO, scaled)


def with_tempos(file: MidiFile, ticks: ArrayLike, quarters: ArrayLike) -> MidiFile:
    """The file with further tempos, in quarter notes per minute, from these ticks on."""
    for tick, tempo in zip(np.asarray(ticks).tolist(), np.asarray(quarters).tolist(), strict=True):
        value = min(max(round(60 * _SECOND / tempo), 1), _SLOWEST)
        file = with_event(file, (int(tick), _TEMPO + value.to_bytes(3, "big")))
    return file


def transposed_keys(file: MidiFile, semitones: int) -> MidiFile:
    """The file with its key signatures ``semitones`` higher, with five flats to six sharps."""

    def moved(message: bytes) -> bytes:
        sharps = int.from_bytes(message[2:3], "big", signed=True) + _FIFTHS * semitones
        sharps = (sharps - _MOST_FLATS) % 12 + _MOST_FLATS
        return _KEY + sharps.to_bytes(1, "big", signed=True) + message[3:]

    return file if semitones % 12 == 0 else _changed(file, _KEY, moved)


def begun_later(
    file: MidiFile, ticks: int, *, metre_again: bool = False, metre: tuple[int, int] | None = None
) -> MidiFile:
    """The file with its music ``ticks`` later; what stands at its very beginning stays there.

    Messages at tick 0 that are no notes (names, tempo, metre, key, programs, controllers) stay;
    with ``metre_again`` the metre is written a second time where the music begins, so that a bar
    begins there. ``metre`` is that of what is added in front, where it is not the file's first one.
    """
    if ticks <= 0:
        return file
    tracks = []
    for track in file.tracks:
        events: list[Event] = []
        for tick, message in track[:-1]:
            note = 0x80 <= message[0] < 0xB0
            events.append((tick + ticks if tick or note else 0, message))
        events.append((track[-1][0] + ticks, track[-1][1]))
        tracks.append(tuple(sorted(events, key=lambda event: event[0])))
    own = [m for track in file.tracks for tick, m in track if tick == 0 and m[:2] == _METRE]
    first = own[-1] if own else _METRE + bytes((4, 2, 24, 8))
    front = first
    if metre is not None and metre != (first[2], 2 ** first[3]):
        front = _METRE + bytes((metre[0], metre[1].bit_length() - 1, 24, 8))
    file = replace(file, tracks=tuple(tracks))
    if front != first:
        kept = [tuple(e for e in t if e[0] or e[1][:2] != _METRE) for t in file.tracks]
        file = with_event(replace(file, tracks=tuple(kept)), (0, front))
    if metre_again or front != first:
        file = with_event(file, (ticks, first))
    return file


def with_event(file: MidiFile, event: Event) -> MidiFile:
    """The file with a further message in its first track, behind those of the same tick."""
    first = file.tracks[0]
    *own, end = first
    at = sum(tick <= event[0] for tick, _ in own)
    own.insert(at, event)
    end = (max(end[0], event[0]), end[1])
    return replace(file, tracks=((*own, end), *file.tracks[1:]))


def _without(file: MidiFile, kind: bytes) -> MidiFile:
    tracks = [tuple(e for e in track if e[1][:2] != kind) for track in file.tracks]
    return replace(file, tracks=tuple(tracks))


def _changed(file: MidiFile, kind: bytes, change: Callable[[bytes], bytes]) -> MidiFile:
    """The file with every meta message of a kind that has all its data changed."""
    least = 5 if kind == _TEMPO else 4
    tracks = [
        tuple((t, change(m) if m[:2] == kind and len(m) >= least else m) for t, m in track)
        for track in file.tracks
    ]
    return replace(file, tracks=tuple(tracks))


def _retimed(file: MidiFile, change: Callable[[int], int]) -> MidiFile:
    tracks = [tuple((change(tick), message) for tick, message in track) for track in file.tracks]
    return replace(file, tracks=tuple(tracks))
