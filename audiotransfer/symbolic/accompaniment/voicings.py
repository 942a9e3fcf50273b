"""Voicings of cadences below a melody: chosen by voice leading and a masked voice model."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Generator, Tensor

from audiotransfer.symbolic.accompaniment.cadences import Cadence, Chord
from audiotransfer.symbolic.accompaniment.chorales import RANGES, VOICES, Voices
from audiotransfer.symbolic.accompaniment.masked_voices import FREE, LOWEST, MaskedVoiceModel
from audiotransfer.symbolic.accompaniment.voice_leading import parallels

UNSET = -3  # a step of a lower voice that no cadence sets
_WIDEST = (12, 12, 19)  # semitones from soprano to alto, alto to tenor, tenor to bass
_TRIED = 48  # voicings of each chord, the likeliest
_LEAP = 0.25  # cost (nats) of each semitone beyond a whole tone in alto and tenor
_FALL = 1.0  # cost of a leading tone in an inner voice that falls to the fifth
_FURTHEST = 12  # semitones: largest leap of the bass
_COLDEST = 0.2  # lowest temperature at which voicings are sampled


@torch.no_grad()
def set_cadences(
    network: MaskedVoiceModel,
    melody: Tensor,
    phases: Tensor,
    cadences: Sequence[Cadence],
    temperature: float,
    generator: Generator,
) -> Tensor:
    """Alto, tenor and bass at the cadences of a melody: int64 [T, 3], `UNSET` elsewhere.

    Voicings are sampled by the model's probabilities given the melody alone, among those of
    `voicings` whose voices move without parallels and resolve the leading tone and the seventh. A
    cadence that has none is left out.

    Args:
        melody: MIDI pitches, int64 [T].
        phases: int64 [T].
        temperature: as in `GibbsSettings`.
        generator: on the CPU.
    """
    voices = melody[None, :, None].repeat(1, 1, len(VOICES))
    known = torch.zeros_like(voices, dtype=torch.bool)
    known[..., 0] = True
    scores = network(voices, known, phases[None])[0].log_softmax(-1)[..., 1:].cpu().numpy()
    line = melody.cpu().numpy()
    lower = np.full((len(line), FREE), UNSET, dtype=np.int64)
    for cadence in cadences:
        if (lower[cadence.begin : cadence.end] != UNSET).any():
            continue
        chosen = _voiced(cadence, line, scores, temperature, generator)
        if chosen is not None:
            first, last = chosen
            if first is not None:
                lower[cadence.begin : cadence.change] = first
            lower[cadence.change : cadence.end] = last
    return torch.from_numpy(lower)


def voicings(chord: Chord, melody: Voices) -> Voices:
    """Voicings of a chord below the notes of a melody: alto, tenor and bass, int64 [N, 3].

    The bass is in the chord's bass note, no voice crosses another or the melody, neighbours are at
    most an octave apart (tenor and bass 19 semitones), needed tones sound in some voice or the
    melody, and single ones in one only.
    """
    ceiling, last = int(melody.min()), int(melody[-1])
    alto, tenor, bass = (
        [p for p in range(low, high + 1) if p % 12 in tones]
        for (low, high), tones in zip(
            RANGES[1:], (chord.tones, chord.tones, (chord.bass,)), strict=True
        )
    )
    lines = np.array(list(product(alto, tenor, bass)), dtype=np.int64).reshape(-1, FREE)
    lines = lines[(lines[:, 0] <= ceiling) & (np.diff(lines, axis=1) <= 0).all(1)]
    four = np.column_stack([np.full(len(lines), last), lines])
    kept = (-np.diff(four, axis=1) <= np.array(_WIDEST)).all(1)
    above = set((melody % 12).tolist())
    sounding = (lines[:, :, None] % 12 == np.arange(12)).sum(1)
    for tone in set(chord.needed) - above:
        kept &= sounding[:, tone] > 0
    for tone in chord.single:
        kept &= sounding[:, tone] + (tone in above) <= 1
    return np.asarray(lines[kept])


def _voiced(
    cadence: Cadence,
    melody: Voices,
    scores: NDArray[np.float32],
    temperature: float,
    generator: Generator,
) -> tuple[NDArray[np.int64] | None, NDArray[np.int64]] | None:
    """Samples the voicings of both chords, the first None where it is free; None without any."""
    goal = slice(cadence.change, cadence.end)
    lasts, of_lasts = _likeliest(cadence.goal, melody[goal], scores[goal])
    if not len(lasts):
        return None
    if cadence.approach is None:
        return None, lasts[_sampled_index(of_lasts, temperature, generator)]
    before = slice(cadence.begin, cadence.change)
    firsts, of_firsts = _likeliest(cadence.approach, melody[before], scores[before])
    if not len(firsts):
        return None
    first, last = (n.ravel() for n in np.indices((len(firsts), len(lasts))))
    tops = np.broadcast_to(melody[[cadence.change - 1, cadence.change]], (len(first), 2))
    moves = np.concatenate([tops[..., None], np.stack([firsts[first], lasts[last]], 1)], 2)
    cost, allowed = _movement(moves, cadence.approach)
    allowed &= ~parallels(moves).any((1, 2))
    if not allowed.any():
        return None
    total = (of_firsts[first] + of_lasts[last] - cost)[allowed]
    chosen = np.flatnonzero(allowed)[_sampled_index(total, temperature, generator)]
    return firsts[first[chosen]], lasts[last[chosen]]


def _movement(moves: Voices, approach: Chord) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Costs [N] of the movements [N, 2, 4] of two chords, and whether they are allowed."""
    steps = moves[:, 1, 1:] - moves[:, 0, 1:]
    cost = _LEAP * np.maximum(0, np.abs(steps[:, :2]) - 2).sum(1)
    allowed = np.abs(steps[:, 2]) <= _FURTHEST
    for number, (tone, target) in enumerate(approach.resolve):
        holds = moves[:, 0, 1:] % 12 == tone
        resolved = (moves[:, 1, 1:] % 12 == target) & (np.abs(steps) <= 2)
        # The leading tone, which is the first, may fall to the fifth in an inner voice.
        falls = (number == 0) & (steps >= -4) & (steps < -2)
        allowed &= (~holds | resolved | falls).all(1)
        cost = cost + _FALL * (holds & falls).sum(1)
    return cost, allowed


def _likeliest(
    chord: Chord, melody: Voices, scores: NDArray[np.float32]
) -> tuple[Voices, NDArray[np.float64]]:
    """The likeliest voicings of a chord by log probabilities [T, 3, pitches], and their scores."""
    tried = voicings(chord, melody)
    of_pitches = scores.mean(0)
    found = of_pitches[np.arange(FREE), tried - LOWEST].sum(1).astype(np.float64)
    best = np.argsort(-found, kind="stable")[:_TRIED]
    return tried[best], found[best]


def _sampled_index(scores: NDArray[np.float64], temperature: float, generator: Generator) -> int:
    """Samples an index by log probabilities; the largest at temperature 0."""
    if temperature <= 0:
        return int(scores.argmax())
    shares = (torch.from_numpy(scores) / max(temperature, _COLDEST)).softmax(0)
    return int(shares.multinomial(1, generator=generator))
