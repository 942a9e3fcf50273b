"""Voices below a melody as a score: four tracks, the first of them the melody as it was."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Generator, Tensor

from audiotransfer.errors import AudioTransferError
from audiotransfer.symbolic.accompaniment.chorales import REST, VOICES, Voices
from audiotransfer.symbolic.accompaniment.masked_voices import VoiceWise
from audiotransfer.symbolic.accompaniment.melody import Heard, Tune
from audiotransfer.symbolic.accompaniment.roll_gan import RollGenerator, over_windows
from audiotransfer.symbolic.accompaniment.sampling import GibbsSettings, gibbs, mend
from audiotransfer.weights import load_weights, save_weights

Steps = NDArray[np.int64]

_OCTAVE = 12
_LOWEST = 24  # MIDI: what lies deeper is no note of a bass
_SOFTER = 0.8  # velocity, as a share of the melody's


def back_in_register(voices: Voices, heard: Heard) -> Voices:
    """The lower voices [T, 3] where the melody is, from those that a model set, [T, 4].

    Where a note of the melody was moved by octaves of its own, notes that would stand above it go
    below. Where the bass would be too deep, all lower voices stay octaves higher.
    """
    lower = np.where(voices[:, 1:] < 0, REST, voices[:, 1:] - heard.shift)
    depth = _LOWEST - int(lower[lower >= 0].min(initial=_LOWEST))
    if depth > 0:
        return np.where(lower < 0, REST, lower + _OCTAVE * -(-depth // _OCTAVE))
    melody = np.where(heard.played < 0, 127, heard.played)
    for line in lower.T:
        for begin, end in _runs(line):
            above = int(line[begin]) - int(melody[begin:end].min())
            if line[begin] >= 0 and above > 0:
                line[begin:end] -= _OCTAVE * -(-above // _OCTAVE)
    return np.where(lower < 0, REST, lower)


def set_score(tune: Tune, lower: Voices) -> Any:
    """A score of four tracks: the melody's own, and the voices [T, 3] below it.

    Notes of the voices begin and end with those of the melody where they share a step, so that
    they follow its timing; held notes are struck again at bar lines together with the melody.
    Tempo, metre, keys and markers are the score's; the programs, those of the melody.
    """
    import symusic

    melody = tune.score.tracks[tune.track].copy()
    melody.name = VOICES[0]
    if len(tune.notes) != len(melody.notes):
        melody.notes = [symusic.Note(*note) for note in tune.notes.tolist()]
    starts, ticks, velocities = _timing(tune)
    again = np.intersect1d(tune.grid.bars - tune.heard.first, starts)
    tracks = [melody]
    for name, line in zip(VOICES[1:], lower.T, strict=True):
        part: Any = symusic.Track(name, melody.program, False)
        for begin, end in _runs(line, again):
            if line[begin] >= 0:
                length = int(ticks[end] - ticks[begin])
                velocity = max(1, round(_SOFTER * int(velocities[begin])))
                note = symusic.Note(int(ticks[begin]), length, int(line[begin]), velocity)
                part.notes.append(note)
        tracks.append(part)
    made = tune.score.copy()
    made.tracks = tracks
    return made


def _timing(tune: Tune) -> tuple[Steps, Steps, Steps]:
    """The steps at which the melody's notes begin [N], the tick of each step where the melody puts
    it [T + 1], and the velocity that it has there [T].
    """
    notes, grid, first = tune.notes, tune.grid, tune.heard.first
    steps = len(tune.heard.played)
    ticks = grid.ticks[first : first + steps + 1].copy()
    velocities = np.zeros(steps, dtype=np.int64)
    starts = np.minimum(grid.nearest(notes[:, 0]), grid.steps - 1) - first
    # From the last to the first: of several notes in a step the first says when it is.
    ticks[starts[::-1]] = notes[::-1, 0]
    velocities[starts[::-1]] = notes[::-1, 3]
    ticks[-1] = max(int((notes[:, 0] + notes[:, 1]).max()), int(ticks[-2]) + 1)
    held = np.maximum.accumulate(np.where(velocities > 0, np.arange(steps), 0))
    return starts, ticks, velocities[held]


def _runs(line: Voices, breaks: Steps | None = None) -> list[tuple[int, int]]:
    """Where a pitch begins and ends in a line [T], and at ``breaks`` besides."""
    edges = np.flatnonzero(np.diff(line)) + 1
    if breaks is not None:
        edges = np.union1d(edges, breaks[(breaks > 0) & (breaks < len(line))])
    bounds = [0, *edges.tolist(), len(line)]
    return list(pairwise(bounds))


Accompanist = VoiceWise | RollGenerator
KINDS: dict[str, Callable[..., Accompanist]] = {k.kind: k for k in (VoiceWise, RollGenerator)}
_METADATA = "accompanist"


@dataclass(frozen=True)
class Harmony:
    """How boldly a melody is set (0.5 is as calm as the chorales), in how many Gibbs passes."""

    temperature: float = 0.5
    passes: int = GibbsSettings.passes


def harmonise(
    network: Accompanist,
    melody: Tensor,
    phases: Tensor,
    harmony: Harmony,
    generator: Generator,
    progress: Callable[[float], None] | None = None,
) -> Tensor:
    """Set voices below melodies: int64 [B, T, 4], the melody first and as it was.

    Args:
        melody: MIDI pitches, -1 where it rests, int64 [B, T].
        phases: the place of each step in its beat, int64 [B, T].
        generator: on the CPU.
        progress: is told the share that is done, 0..1.
    """
    if isinstance(network, RollGenerator):
        return over_windows(network, melody, harmony.temperature, generator)
    settings = GibbsSettings(harmony.passes, temperature=harmony.temperature)
    voices = gibbs(network, melody[..., None], phases, settings, generator, progress)
    return mend(network, voices, phases, harmony.temperature, generator)


def save_accompanist(path: Path, network: Accompanist) -> None:
    """Write a network as half-precision safetensors."""
    shape = {"kind": network.kind, **network.shape()}
    save_weights(path, network.state_dict(), shape, _METADATA)


def load_accompanist(path: Path) -> Accompanist:
    """Read what `save_accompanist` wrote. Raises AudioTransferError for anything else."""
    shape, state = load_weights(path, _METADATA)
    try:
        network = KINDS[shape.pop("kind")](**shape)
        network.load_state_dict(state)
    except (ValueError, KeyError, TypeError, RuntimeError) as error:
        raise AudioTransferError(
            f"{path} holds no accompanist that this version knows; install it again"
        ) from error
    return network.eval()
