"""Voices below a melody, drawn from the voice-wise model by blocked Gibbs sampling, and mended."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Generator, Tensor
from torch.nn import functional

from audiotransfer.symbolic.accompaniment.chorales import VOICES
from audiotransfer.symbolic.accompaniment.masked_voices import (
    CLASSES,
    FREE,
    LOWEST,
    RUNS,
    VoiceWise,
    classes_of,
    pitches_of,
    runs,
)
from audiotransfer.symbolic.accompaniment.voice_leading import choices

_SETTLED = 0.75  # of the passes, after which the share drawn anew no longer falls


@dataclass(frozen=True)
class GibbsSettings:
    """How often the voices are drawn anew, how much of them in the last passes, and how boldly.

    Chances are taken to the power of 1 / `temperature`; at 0 the most probable note is taken.
    """

    passes: int = 96
    last_share: float = 0.05
    temperature: float = 1.0


@torch.no_grad()
def gibbs(
    network: VoiceWise,
    melody: Tensor,
    phases: Tensor,
    settings: GibbsSettings,
    generator: Generator,
    progress: Callable[[float], None] | None = None,
) -> Tensor:
    """Draw alto, tenor and bass: the melody and what stands below it, int64 [B, T, 4].

    All of them are drawn in the first pass, fewer in each later one, in runs of several lengths
    as in training; as soon as a third is enough, of one voice at a time, so that it is drawn for
    what the others do. Where the melody rests all rest. No voice goes above a voice that was there
    when it was drawn.

    Args:
        melody: [B, T, V] of which the first voice counts, MIDI pitches or `REST` or `OUTSIDE`.
        phases: int64 [B, T].
        generator: on the CPU.
        progress: is told the share that is done, 0..1.
    """
    top = melody[..., :1]
    voices = top.repeat(1, 1, len(VOICES))
    sounding = top >= 0
    beats = (phases == 0).cumsum(1)
    for number in range(settings.passes):
        share = max(settings.last_share, 1 - number / (_SETTLED * settings.passes))
        hidden = torch.zeros_like(voices, dtype=torch.bool)
        for example in hidden:
            example[:, 1:] = _hidden(len(example), share, generator)
        hidden &= sounding
        logits = network(voices, ~hidden, phases)
        logits = logits.masked_fill(~_below(voices, hidden), -torch.inf)
        drawn = pitches_of(_draw(logits, beats, settings.temperature, generator))
        voices[..., 1:] = torch.where(hidden[..., 1:], drawn, voices[..., 1:])
        if progress is not None:
            progress((number + 1) / settings.passes)
    return voices


@torch.no_grad()
def mend(
    network: VoiceWise, voices: Tensor, phases: Tensor, temperature: float, generator: Generator
) -> Tensor:
    """Draw notes of the lower voices anew, as whole ones, until there are no parallel fifths and
    octaves or no single note's other pitch leaves fewer: int64 [B, T, 4].

    Each is drawn for what all others do, from the pitches by which there are fewer and no more
    voices cross. The melody stays.

    Args:
        voices: [B, T, 4], MIDI pitches or `REST` or `OUTSIDE`.
        phases: int64 [B, T].
        temperature: as in `GibbsSettings`.
        generator: on the CPU.
    """
    voices = voices.clone()
    while True:
        chosen = [
            (piece, choice)
            for piece, version in enumerate(voices.cpu().numpy())
            for choice in choices(version, generator)
        ]
        if not chosen:
            return voices
        known = torch.ones_like(voices, dtype=torch.bool)
        for piece, choice in chosen:
            known[piece, choice.steps, choice.voice] = False
        logits = network(voices, known, phases)
        for piece, choice in chosen:
            said = logits[piece, choice.steps, choice.voice - 1].mean(0).cpu()
            voices[piece, choice.steps, choice.voice] = _one(
                said, torch.from_numpy(choice.pitches), temperature, generator
            )


def _one(logits: Tensor, pitches: Tensor, temperature: float, generator: Generator) -> int:
    """One of some pitches: logits of all classes."""
    scores = logits[classes_of(pitches)]
    if temperature <= 0:
        return int(pitches[scores.argmax()])
    chances = (scores / temperature).softmax(0)
    return int(pitches[chances.multinomial(1, generator=generator)])


def _hidden(steps: int, share: float, generator: Generator) -> Tensor:
    """What is drawn anew in a pass: bool [T, 3], about `share` of it."""
    length = RUNS[int(torch.randint(len(RUNS), (), generator=generator))]
    if share * FREE > 1:
        return runs(steps, length, share, generator)
    count = steps // length + 2
    taken = torch.rand(count, 1, generator=generator) < share * FREE
    whose = functional.one_hot(torch.randint(FREE, (count,), generator=generator), FREE).bool()
    first = int(torch.randint(length, (), generator=generator))
    return (taken & whose).repeat_interleave(length, dim=0)[first : first + steps]


def _below(voices: Tensor, hidden: Tensor) -> Tensor:
    """Which classes cross no voice that is known: bool [B, T, 3, classes]; a rest never does."""
    pitches = torch.arange(CLASSES, device=voices.device) + (LOWEST - 1)
    silent = hidden | (voices < 0)
    ceiling = torch.where(silent, 127, voices).cummin(2).values[..., :-1]
    floor = torch.where(silent, 0, voices).flip(2).cummax(2).values.flip(2)
    floor = torch.cat([floor[..., 2:], torch.zeros_like(floor[..., :1])], -1)
    allowed = (pitches <= ceiling[..., None]) & (pitches >= floor[..., None])
    allowed[..., 0] = True
    return allowed


def _draw(logits: Tensor, beats: Tensor, temperature: float, generator: Generator) -> Tensor:
    """One class each: [B, T, 3, classes] -> int64 [B, T, 3].

    The steps of a beat share their luck: each class has its own chances at every step, and where
    these stay the same the note goes on.
    """
    if temperature <= 0:
        return logits.argmax(-1)
    batch, _, *classes = logits.shape
    luck = torch.rand(batch, int(beats.max()) + 1, *classes, generator=generator).clamp_min(1e-20)
    noise = -(-luck.log()).log().to(logits.device)
    places = beats[..., None, None].expand_as(logits)
    return (logits / temperature + noise.gather(1, places)).argmax(-1)
