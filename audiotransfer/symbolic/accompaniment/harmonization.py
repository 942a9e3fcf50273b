"""Harmonization of a melody: lower voices by a network, and the score with all four."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Generator, Tensor

from audiotransfer.symbolic.accompaniment.cadences import Phrasing
from audiotransfer.symbolic.accompaniment.chorales import REST, VOICES, Voices
from audiotransfer.symbolic.accompaniment.masked_voices import MaskedVoiceModel
from audiotransfer.symbolic.accompaniment.melody import GridMelody, Tune
from audiotransfer.symbolic.accompaniment.roll_gan import RollGenerator, over_windows
from audiotransfer.symbolic.accompaniment.sampling import GibbsSettings, gibbs, repair_parallels
from audiotransfer.symbolic.accompaniment.voicings import set_cadences
from audiotransfer.weights import load_network, save_weights

Steps = NDArray[np.int64]
Accompanist = MaskedVoiceModel | RollGenerator
NETWORKS: dict[str, Callable[..., Accompanist]] = {
    network.kind: network for network in (MaskedVoiceModel, RollGenerator)
}
_METADATA = "accompanist"
_OCTAVE = 12
_LOWEST = 24  # MIDI: lowest pitch of the bass
_SOFTER = 0.8  # velocity of the lower voices, as a share of the melody's


@dataclass(frozen=True)
class Harmony:
    """Sampling temperature (0.5 gives the chorales' statistics) and number of Gibbs passes."""

    temperature: float = 0.5
    passes: int = GibbsSettings.passes
    cadences: bool = True
    """Whether phrases end with cadences that are chosen before the rest is sampled."""


def harmonise(
    network: Accompanist,
    melody: Tensor,
    phases: Tensor,
    harmony: Harmony,
    generator: Generator,
    progress: Callable[[float], None] | None = None,
    phrasings: Sequence[Phrasing] | None = None,
) -> Tensor:
    """Samples the lower voices of melodies: int64 [B, T, 4], the melody first and unchanged.

    With `Harmony.cadences` the masked voice model is given the chords at the ends of phrases
    (`choose_cadence`, `set_cadences`) and samples the other steps.

    Args:
        melody: MIDI pitches, -1 where it rests, int64 [B, T].
        phases: position of each step in its beat, int64 [B, T].
        generator: on the CPU.
        progress: called with the share that is done, 0..1.
        phrasings: of each melody; by default `Phrasing.of` it.
    """
    if isinstance(network, RollGenerator):
        return over_windows(network, melody, harmony.temperature, generator)
    settings = GibbsSettings(harmony.passes, temperature=harmony.temperature)
    given: Tensor | None = None
    if harmony.cadences:
        lines = melody.cpu().numpy()
        if phrasings is None:
            phrasings = [Phrasing.of(line) for line in lines]
        given = torch.stack(
            [
                set_cadences(
                    network,
                    melody[n],
                    phases[n],
                    phrasing.cadences(lines[n], generator),
                    harmony.temperature,
                    generator,
                )
                for n, phrasing in enumerate(phrasings)
            ]
        ).to(melody.device)
    voices = gibbs(network, melody[..., None], phases, settings, generator, progress, given)
    return repair_parallels(network, voices, phases, harmony.temperature, generator, given)


def back_in_register(voices: Voices, melody: GridMelody) -> Voices:
    """The lower voices [T, 3] in the melody's original register, from a model's voices [T, 4].

    Notes above the melody, where a note of it was transposed by further octaves, are moved below
    it. Where the bass would be too low, all lower voices stay octaves higher.
    """
    lower = np.where(voices[:, 1:] < 0, REST, voices[:, 1:] - melody.shift)
    depth = _LOWEST - int(lower[lower >= 0].min(initial=_LOWEST))
    if depth > 0:
        return np.where(lower < 0, REST, lower + _OCTAVE * -(-depth // _OCTAVE))
    ceiling = np.where(melody.original < 0, 127, melody.original)
    for line in lower.T:
        for begin, end in _runs(line):
            above = int(line[begin]) - int(ceiling[begin:end].min())
            if line[begin] >= 0 and above > 0:
                line[begin:end] -= _OCTAVE * -(-above // _OCTAVE)
    return np.where(lower < 0, REST, lower)


def score_with_voices(tune: Tune, lower: Voices) -> Any:
    """A score of four tracks: the melody's own, and one for each of the lower voices [T, 3].

    Notes of the voices begin and end at the ticks of the melody's notes on the same step, so that
    they follow its timing; held notes begin again at bar lines where the melody has an onset.
    Tempo, metre, keys and markers are the score's, the programs the melody's.
    """
    import symusic

    melody = tune.score.tracks[tune.track].copy()
    melody.name = VOICES[0]
    if len(tune.notes) != len(melody.notes):
        melody.notes = [symusic.Note(*note) for note in tune.notes.tolist()]
    starts, ticks, velocities = _timing(tune)
    again = np.intersect1d(tune.grid.bars - tune.melody.first, starts)
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
    score = tune.score.copy()
    score.tracks = tracks
    return score


def _timing(tune: Tune) -> tuple[Steps, Steps, Steps]:
    """The melody's timing: its onsets in steps [N], ticks of all steps [T + 1], velocities [T]."""
    notes, grid, first = tune.notes, tune.grid, tune.melody.first
    steps = len(tune.melody.original)
    ticks = grid.ticks[first : first + steps + 1].copy()
    velocities = np.zeros(steps, dtype=np.int64)
    starts = np.minimum(grid.nearest(notes[:, 0]), grid.steps - 1) - first
    # Backwards, so that of several notes in a step the first sets its tick.
    ticks[starts[::-1]] = notes[::-1, 0]
    velocities[starts[::-1]] = notes[::-1, 3]
    ticks[-1] = max(int((notes[:, 0] + notes[:, 1]).max()), int(ticks[-2]) + 1)
    held = np.maximum.accumulate(np.where(velocities > 0, np.arange(steps), 0))
    return starts, ticks, velocities[held]


def _runs(line: Voices, breaks: Steps | None = None) -> list[tuple[int, int]]:
    """Ranges of constant pitch in a line [T], split at ``breaks``."""
    edges = np.flatnonzero(np.diff(line)) + 1
    if breaks is not None:
        edges = np.union1d(edges, breaks[(breaks > 0) & (breaks < len(line))])
    bounds = [0, *edges.tolist(), len(line)]
    return list(pairwise(bounds))


def save_accompanist(path: Path, network: Accompanist) -> None:
    """Writes a network as half-precision safetensors."""
    shape = {"kind": network.kind, **network.shape()}
    save_weights(path, network.state_dict(), shape, _METADATA)


def load_accompanist(path: Path) -> Accompanist:
    """Reads what `save_accompanist` wrote. Raises AudioTransferError for anything else."""
    return load_network(path, NETWORKS, "accompaniment model", name=_METADATA).eval()
