"""Blocked Gibbs sampling from the masked voice model, and repair of parallel fifths."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Generator, Tensor
from torch.nn import functional

from audiotransfer.symbolic.accompaniment.chorales import VOICES
from audiotransfer.symbolic.accompaniment.masked_voices import (
    CLASSES,
    FREE,
    LOWEST,
    RUNS,
    MaskedVoiceModel,
    classes_of,
    pitches_of,
    runs,
)
from audiotransfer.symbolic.accompaniment.voice_leading import alternatives, parallels

_ANNEALED = 0.75  # share of the passes over which the masked share falls


@dataclass(frozen=True)
class GibbsSettings:
    """Number of passes, share of steps sampled in the last ones, and temperature.

    Probabilities are raised to 1 / ``temperature``; at 0 the most probable note is taken.
    """

    passes: int = 96
    last_share: float = 0.05
    temperature: float = 1.0


@torch.no_grad()
def gibbs(
    network: MaskedVoiceModel,
    melody: Tensor,
    phases: Tensor,
    settings: GibbsSettings,
    generator: Generator,
    progress: Callable[[float], None] | None = None,
    given: Tensor | None = None,
) -> Tensor:
    """Samples alto, tenor and bass of a melody: int64 [B, T, 4], the melody first.

    The first pass samples all steps, each later one a smaller share, in runs of several lengths as
    in training. Below a share of a third each run is of one voice, given all others. Where the
    melody rests all voices rest. A sampled note never crosses a voice that was not masked.

    Args:
        melody: [B, T, V] of which the first voice counts, MIDI pitches or `REST` or `OUTSIDE`.
        phases: int64 [B, T].
        generator: on the CPU.
        progress: called with the share that is done, 0..1.
        given: pitches of the lower voices at steps that are not sampled, int64 [B, T, 3], negative
            elsewhere; ``None``: all are sampled.
    """
    top = melody[..., :1]
    voices = top.repeat(1, 1, len(VOICES))
    free = (top >= 0).repeat(1, 1, len(VOICES))
    if given is not None:
        held = given >= 0
        voices[..., 1:] = torch.where(held, given, voices[..., 1:])
        free[..., 1:] &= ~held
    beats = (phases == 0).cumsum(1)
    for number in range(settings.passes):
        share = max(settings.last_share, 1 - number / (_ANNEALED * settings.passes))
        masked = torch.zeros_like(voices, dtype=torch.bool)
        for example in masked:
            example[:, 1:] = _masked(len(example), share, generator)
        masked &= free
        logits = network(voices, ~masked, phases)
        logits = logits.masked_fill(~_below(voices, masked), -torch.inf)
        drawn = pitches_of(_draw(logits, beats, settings.temperature, generator))
        voices[..., 1:] = torch.where(masked[..., 1:], drawn, voices[..., 1:])
        if progress is not None:
            progress((number + 1) / settings.passes)
    return voices


@torch.no_grad()
def repair_parallels(
    network: MaskedVoiceModel,
    voices: Tensor,
    phases: Tensor,
    temperature: float,
    generator: Generator,
    given: Tensor | None = None,
) -> Tensor:
    """Resamples single notes of the lower voices to remove parallel fifths and octaves.

    Each note is sampled given all others, from the pitches that leave fewer parallels and no more
    crossings (`alternatives`), until there are none. The melody stays, and so do steps that are
    ``given`` (as in `gibbs`), unless parallels remain. Returns int64 [B, T, 4].

    Args:
        voices: [B, T, 4], MIDI pitches or `REST` or `OUTSIDE`.
        phases: int64 [B, T].
        temperature: as in `GibbsSettings`.
        generator: on the CPU.
    """
    voices = voices.clone()
    fixed = np.zeros(tuple(voices.shape), dtype=bool)
    if given is not None:
        fixed[..., 1:] = given.cpu().numpy() >= 0
    while True:
        chosen = [
            (piece, alternative)
            for piece, version in enumerate(voices.cpu().numpy())
            for alternative in alternatives(version, generator, fixed[piece])
        ]
        if not chosen and fixed.any() and parallels(voices.cpu().numpy()).any():
            fixed[:] = False
            continue
        if not chosen:
            return voices
        known = torch.ones_like(voices, dtype=torch.bool)
        for piece, alternative in chosen:
            known[piece, alternative.steps, alternative.voice] = False
        logits = network(voices, known, phases)
        for piece, alternative in chosen:
            mean = logits[piece, alternative.steps, alternative.voice - 1].mean(0).cpu()
            voices[piece, alternative.steps, alternative.voice] = _one(
                mean, torch.from_numpy(alternative.pitches), temperature, generator
            )


def _one(logits: Tensor, pitches: Tensor, temperature: float, generator: Generator) -> int:
    """Samples one of ``pitches`` by the logits of all classes."""
    scores = logits[classes_of(pitches)]
    if temperature <= 0:
        return int(pitches[scores.argmax()])
    shares = (scores / temperature).softmax(0)
    return int(pitches[shares.multinomial(1, generator=generator)])


def _masked(steps: int, share: float, generator: Generator) -> Tensor:
    """The masked steps of a pass: bool [T, 3], about ``share`` of them."""
    length = RUNS[int(torch.randint(len(RUNS), (), generator=generator))]
    if share * FREE > 1:
        return runs(steps, length, share, generator)
    count = steps // length + 2
    taken = torch.rand(count, 1, generator=generator) < share * FREE
    whose = functional.one_hot(torch.randint(FREE, (count,), generator=generator), FREE).bool()
    first = int(torch.randint(length, (), generator=generator))
    return (taken & whose).repeat_interleave(length, dim=0)[first : first + steps]


def _below(voices: Tensor, masked: Tensor) -> Tensor:
    """Mask [B, T, 3, classes] of classes that cross no unmasked voice; a rest never does."""
    pitches = torch.arange(CLASSES, device=voices.device) + (LOWEST - 1)
    silent = masked | (voices < 0)
    ceiling = torch.where(silent, 127, voices).cummin(2).values[..., :-1]
    floor = torch.where(silent, 0, voices).flip(2).cummax(2).values.flip(2)
    floor = torch.cat([floor[..., 2:], torch.zeros_like(floor[..., :1])], -1)
    allowed = (pitches <= ceiling[..., None]) & (pitches >= floor[..., None])
    allowed[..., 0] = True
    return allowed


def _draw(logits: Tensor, beats: Tensor, temperature: float, generator: Generator) -> Tensor:
    """Samples a class for each voice and step: [B, T, 3, classes] -> int64 [B, T, 3].

    The steps of a beat share their random numbers (Gumbel noise for each class), so that a note
    goes on where its probabilities do not change.
    """
    if temperature <= 0:
        return logits.argmax(-1)
    batch, _, *classes = logits.shape
    uniform = torch.rand(batch, int(beats.max()) + 1, *classes, generator=generator).clamp_min(
        1e-20
    )
    noise = -(-uniform.log()).log().to(logits.device)
    places = beats[..., None, None].expand_as(logits)
    return (logits / temperature + noise.gather(1, places)).argmax(-1)
