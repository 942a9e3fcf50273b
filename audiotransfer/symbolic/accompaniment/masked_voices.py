"""The masked voice model: distributions of masked steps of four voices, given the other steps.

After Coconet (Huang et al., "Counterpoint by convolution", 2017) and DeepBach (Hadjeres et al.
2017): a categorical distribution over pitches and a rest for each voice and step. Different here:
dilated convolutions along time only, over embeddings of each voice and pitch.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any, ClassVar, cast

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional

from audiotransfer.symbolic.accompaniment.chorales import BEAT, OUTSIDE, RANGES, VOICES

LOWEST = RANGES[-1][0]
PITCHES = RANGES[0][1] - LOWEST + 1
RESTS = 0  # class; pitch p is class p - LOWEST + 1
CLASSES = PITCHES + 1
_OUTSIDE, _UNKNOWN = CLASSES, CLASSES + 1
_CYCLE = 6  # dilations 1, 2, .. 32, and again
FREE = len(VOICES) - 1  # voices that are predicted: all but the first
_WIDEST = 24  # semitones; wider intervals share an entry
_INTERVALS = 2 * _WIDEST + 1
_PAIRS = tuple(combinations(range(len(VOICES)), 2))
_OTHERS = tuple(tuple(w for w in range(len(VOICES)) if w != v) for v in range(1, len(VOICES)))
_UPPER, _LOWER = ([pair[side] for pair in _PAIRS] for side in (0, 1))
_NO_PITCH = -1
_ANCHORS = FREE + 2  # the other voices, and the voice's own last and next known notes
RUNS = (1, 2, 4, 8, 16, 32)  # lengths of masked runs, in steps


@dataclass(frozen=True)
class MaskedVoiceModelSettings:
    """Width, number of blocks and dropout of the network."""

    width: int = 128
    blocks: int = 12
    dropout: float = 0.1


class MaskedVoiceModel(nn.Module):
    """Predicts masked steps of the lower voices, over a window or piece of any length."""

    kind: ClassVar[str] = "voice-wise"

    def __init__(self, width: int = 128, blocks: int = 12, dropout: float = 0.0) -> None:
        super().__init__()
        self.settings = MaskedVoiceModelSettings(width, blocks, dropout)
        self.notes = nn.Embedding(len(VOICES) * (CLASSES + 2), width)
        self.phases = nn.Embedding(BEAT, width)
        self.chords = nn.Embedding(len(_PAIRS) * (_INTERVALS + 1), width)
        self.motions = nn.Embedding(len(VOICES) * (_INTERVALS + 1), width)
        for embedding in (self.notes, self.phases, self.chords, self.motions):
            nn.init.normal_(embedding.weight, std=0.3)
        self.blocks = nn.ModuleList(
            _Block(width, 2 ** (n % _CYCLE), dropout) for n in range(blocks)
        )
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, FREE * CLASSES)
        self.relative = nn.Linear(width, FREE * _ANCHORS * _INTERVALS)
        nn.init.zeros_(self.relative.weight)
        nn.init.zeros_(self.relative.bias)

    def shape(self) -> dict[str, Any]:
        """Arguments that build the same network."""
        return {k: v for k, v in asdict(self.settings).items() if k != "dropout"}

    def forward(self, voices: Tensor, known: Tensor, phases: Tensor) -> Tensor:
        """Logits of alto, tenor and bass, [B, T, 3, classes].

        Args:
            voices: MIDI pitches, `REST` or `OUTSIDE`, int64 [B, T, 4].
            known: bool [B, T, 4]; False where a step is masked.
            phases: position of each step in its beat, int64 [B, T], 0 to 3.
        """
        tokens = torch.where(known, inputs_of(voices), _UNKNOWN)
        pitches = torch.where(known & (voices >= 0), voices, _NO_PITCH)
        upper, lower = pitches[..., _UPPER], pitches[..., _LOWER]
        before = torch.cat([torch.full_like(pitches[:, :1], _NO_PITCH), pitches[:, :-1]], 1)
        hidden = (
            _embedded(self.notes, tokens)
            + _embedded(self.chords, _intervals(upper, lower))
            + _embedded(self.motions, _intervals(pitches, before))
            + self.phases(phases)
        )
        for block in self.blocks:
            hidden = block(hidden)
        hidden = self.norm(hidden)
        logits: Tensor = self.head(hidden).unflatten(-1, (FREE, CLASSES))
        relative = self.relative(hidden).unflatten(-1, (FREE, _ANCHORS, _INTERVALS))
        return torch.cat(
            [logits[..., :1], logits[..., 1:] + _in_pitches(relative, _anchors(pitches))], -1
        )


class _Block(nn.Module):
    """A residual block: a dilated convolution over time, GELU, and a linear layer."""

    def __init__(self, width: int, dilation: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.around = nn.Conv1d(width, width, 3, padding=dilation, dilation=dilation)
        self.mix = nn.Linear(width, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, hidden: Tensor) -> Tensor:
        found = self.around(self.norm(hidden).transpose(1, 2)).transpose(1, 2)
        return cast(Tensor, hidden + self.dropout(self.mix(functional.gelu(found))))


def _embedded(table: nn.Embedding, entries: Tensor) -> Tensor:
    """Sum of the embeddings of N entries [B, T, N], each in its own part of the table."""
    parts = entries.shape[-1]
    each = table.num_embeddings // parts
    found: Tensor = table(entries + each * torch.arange(parts, device=entries.device))
    return found.sum(2)


def _intervals(one: Tensor, other: Tensor) -> Tensor:
    """Entries of the intervals between two pitches; the last entry where one is missing."""
    entries = (one - other).clamp(-_WIDEST, _WIDEST) + _WIDEST
    return torch.where((one < 0) | (other < 0), _INTERVALS, entries)


def _anchors(pitches: Tensor) -> Tensor:
    """Pitches that a lower voice's pitch is relative to, [B, T, 4] -> [B, T, 3, anchors]: the
    other voices at the step, and the voice's last and next known notes.
    """
    last = _carried(pitches)
    following = _carried(pitches.flip(1)).flip(1)
    own = torch.stack([last, following], -1)[:, :, 1:]
    others = torch.stack([pitches[..., list(others)] for others in _OTHERS], 2)
    return torch.cat([others, own], -1)


def _carried(pitches: Tensor) -> Tensor:
    """The last known pitch up to each step (forward fill), [B, T, V]."""
    steps = torch.arange(pitches.shape[1], device=pitches.device)[:, None]
    places = torch.where(pitches >= 0, steps, -1).cummax(1).values
    found = pitches.gather(1, places.clamp_min(0))
    return torch.where(places >= 0, found, _NO_PITCH)


def _in_pitches(relative: Tensor, anchors: Tensor) -> Tensor:
    """Logits of intervals [B, T, 3, anchors, intervals] as logits of pitches [B, T, 3, P]."""
    pitches = torch.arange(LOWEST, LOWEST + PITCHES, device=anchors.device)
    entries = (pitches - anchors[..., None]).clamp(-_WIDEST, _WIDEST) + _WIDEST
    logits = relative.gather(-1, entries)
    return torch.where(anchors[..., None] >= 0, logits, 0.0).sum(3)


def classes_of(voices: Tensor) -> Tensor:
    """MIDI pitches and rests as classes; `OUTSIDE` counts as a rest."""
    return torch.where(voices < 0, RESTS, voices - (LOWEST - 1))


def pitches_of(classes: Tensor) -> Tensor:
    """Classes as MIDI pitches, `REST` for a rest."""
    return torch.where(classes == RESTS, -1, classes + (LOWEST - 1))


def inputs_of(voices: Tensor) -> Tensor:
    """As `classes_of`, with an entry of its own for `OUTSIDE`."""
    return torch.where(voices == OUTSIDE, _OUTSIDE, classes_of(voices))


def mask(voices: Tensor, generator: Generator) -> Tensor:
    """Draws the masked steps of each example: bool [B, T, 4], False for the first voice.

    Each example has its own share, uniform from 0 to 1, and its own length of runs.
    """
    batch, steps, _ = voices.shape
    found = torch.zeros(batch, steps, len(VOICES), dtype=torch.bool)
    shares = torch.rand(batch, generator=generator)
    lengths = torch.randint(len(RUNS), (batch,), generator=generator)
    for example, (share, length) in enumerate(zip(shares.tolist(), lengths.tolist(), strict=True)):
        found[example, :, 1:] = runs(steps, RUNS[length], share, generator)
    return found.to(voices.device)


def runs(steps: int, length: int, share: float, generator: Generator) -> Tensor:
    """Runs of ``length`` steps, each masked with probability ``share``: bool [T, 3]."""
    count = steps // length + 2
    taken = torch.rand(count, len(VOICES) - 1, generator=generator) < share
    first = int(torch.randint(length, (), generator=generator))
    return taken.repeat_interleave(length, dim=0)[first : first + steps]


def phases_from_beat(voices: Tensor) -> Tensor:
    """Position of each step in its beat, where the first is on a beat: int64 [B, T]."""
    steps = torch.arange(voices.shape[1], device=voices.device) % BEAT
    return steps.expand(voices.shape[:2])
