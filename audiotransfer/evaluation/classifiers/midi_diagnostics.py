"""How far a judge of scores can be believed, and what it listens to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import combinations

import torch
from torch import Tensor

from audiotransfer.evaluation.baselines.midi import transpose
from audiotransfer.evaluation.classifiers.genre import Confusion
from audiotransfer.evaluation.classifiers.midi_genre import MidiGenreClassifier
from audiotransfer.midi.piano_rolls import LOWEST, ONSET, SOUND

#: Standard deviations of the noise on what is -1 and +1, as published.
NOISES = (0.0, 0.01, 0.1, 0.2, 0.3, 0.5)
_OCTAVE = 12
_MIDDLE = 48  # MIDI; what lies below is called bass
_BEAT = 4
_BINS = 10


def confusion(judge: MidiGenreClassifier, phrases: Mapping[str, Tensor]) -> Confusion:
    """Which genre the phrases [N, 2, 64, 84] of each genre are heard as."""
    rows = [
        judge.listen(phrases[genre]).shares.argmax(dim=1).bincount(minlength=len(judge.genres))
        for genre in judge.genres
    ]
    return Confusion(judge.genres, torch.stack(rows).numpy())


def pair_accuracies(
    judge: MidiGenreClassifier, phrases: Mapping[str, Tensor], noise: float = 0.0, seed: int = 0
) -> dict[str, float]:
    """Share heard right, of two genres alone, for each pair: the mean over both.

    ``noise`` is the standard deviation of what is added to phrases as the paper's network sees
    them, -1 and +1.
    """
    generator = torch.Generator().manual_seed(seed)
    heard = {
        genre: judge.listen(
            given + noise / 2 * torch.randn(given.shape, generator=generator) if noise else given
        )
        for genre, given in phrases.items()
    }
    return {
        f"{one}-{other}": sum(
            float(heard[genre].heard_as(genre, (one, other)).double().mean())
            for genre in (one, other)
        ) / 2
        for one, other in combinations(judge.genres, 2)
    }  # fmt: skip


def calibration_error(judge: MidiGenreClassifier, phrases: Mapping[str, Tensor]) -> float:
    """Expected calibration error: how far, on the mean, the probability of the likeliest genre is
    from the share of phrases in which it is right; every genre counts alike.
    """
    sure, right, weight = [], [], []
    for place, genre in enumerate(judge.genres):
        shares, heard = judge.listen(phrases[genre]).shares.max(dim=1)
        sure.append(shares)
        right.append((heard == place).double())
        weight.append(torch.full_like(shares, 1 / len(shares)))
    share, hit, heavy = torch.cat(sure), torch.cat(right), torch.cat(weight)
    bins = (share * _BINS).long().clamp(max=_BINS - 1)
    gaps = torch.zeros(_BINS, dtype=torch.float64).index_add_(0, bins, heavy * (hit - share))
    return float(gaps.abs().sum() / len(judge.genres))


def probes(
    judge: MidiGenreClassifier, phrases: Mapping[str, Tensor], seed: int = 0
) -> dict[str, dict[str, float]]:
    """What the judge makes of phrases that lack something: probe -> genre -> share heard right.

    What it can do without, it does not listen to.
    """
    found: dict[str, dict[str, float]] = {}
    for name, probe in PROBES.items():
        generator = torch.Generator().manual_seed(seed)
        found[name] = {}
        for genre in judge.genres:
            right = judge.listen(probe(phrases[genre], generator)).heard_as(genre)
            found[name][genre] = round(float(right.double().mean()), 3)
    return found


def _octave_up(phrases: Tensor, generator: torch.Generator) -> Tensor:
    return transpose(phrases, torch.full((len(phrases),), _OCTAVE))


def _octave_down(phrases: Tensor, generator: torch.Generator) -> Tensor:
    return transpose(phrases, torch.full((len(phrases),), -_OCTAVE))


def _eighth_late(phrases: Tensor, generator: torch.Generator) -> Tensor:
    return phrases.roll(_BEAT // 2, dims=2)


def _bars_shuffled(phrases: Tensor, generator: torch.Generator) -> Tensor:
    bars = phrases.unflatten(2, (4, -1))
    return bars[:, :, torch.randperm(4, generator=generator)].flatten(2, 3)


def _on_the_beat(phrases: Tensor, generator: torch.Generator) -> Tensor:
    """Every note begins on its beat: nothing is left of the rhythm within beats."""
    beats = phrases.unflatten(2, (-1, _BEAT)).amax(dim=3, keepdim=True)
    spread = beats.expand(-1, -1, -1, _BEAT, -1).clone()
    spread[:, ONSET, :, 1:] = 0
    return spread.flatten(2, 3)


def _pitches_exchanged(phrases: Tensor, generator: torch.Generator) -> Tensor:
    """The twelve pitch classes change places: rhythm and register stay, harmony goes."""
    order = torch.randperm(_OCTAVE, generator=generator)
    return phrases.unflatten(3, (-1, _OCTAVE))[..., order].flatten(3)


def _top_voice(phrases: Tensor, generator: torch.Generator) -> Tensor:
    """Only the highest note that sounds at each step."""
    above = phrases[:, SOUND].flip(-1).cumsum(dim=-1).flip(-1)
    return phrases * (above <= 1)[:, None]


def _no_bass(phrases: Tensor, generator: torch.Generator) -> Tensor:
    kept = phrases.clone()
    kept[..., : _MIDDLE - LOWEST] = 0
    return kept


Probe = Callable[[Tensor, torch.Generator], Tensor]

PROBES: dict[str, Probe] = {
    "as it is": lambda phrases, generator: phrases,
    "an octave up": _octave_up,
    "an octave down": _octave_down,
    "an eighth late": _eighth_late,
    "bars shuffled": _bars_shuffled,
    "on the beat": _on_the_beat,
    "pitch classes exchanged": _pitches_exchanged,
    "top voice alone": _top_voice,
    "without bass": _no_bass,
}
"""What is taken away -> phrases [N, 2, 64, 84] without it."""
