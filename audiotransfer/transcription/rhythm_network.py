"""A temporal convolutional network for beats, downbeats and drum hits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from audiotransfer.transcription.activations import DRUM_CLASSES
from audiotransfer.transcription.rhythm_features import BANDS
from audiotransfer.weights import load_network, save_weights

_SLOPE = 2  # frames over which a level's rise is taken
_BAND_STEPS = (4, 2)  # steps in bands of the two layers of the front end
#: Outputs, in their order: beats, downbeats, and the classes of drums.
OUTPUTS = 2 + len(DRUM_CLASSES)


class _Block(nn.Module):
    """A residual layer of dilated convolution over time, with its skip output."""

    def __init__(self, width: int, dilation: int, dropout: float) -> None:
        super().__init__()
        self.dilated = nn.Conv1d(width, width, 5, padding=2 * dilation, dilation=dilation)
        self.norm = nn.BatchNorm1d(width)
        self.mixed = nn.Conv1d(width, width, 1)
        self.dropout = nn.Dropout1d(dropout)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x + self.mixed(self.dropout(F.relu(self.norm(self.dilated(x)))))
        return out


class RhythmNetwork(nn.Module):
    """Logits of beats, downbeats and drum hits: levels ``[B, BANDS, L]`` to ``[B, OUTPUTS, L]``.

    A convolutional front end over bands and time reads levels and their rises; at half its frame
    rate a stack of dilated convolutions follows (in the manner of Boeck and Davies 2020), whose
    receptive field of some 24 s holds several bars; the heads see both, so that they stay exact to
    a frame.
    """

    kind = "rhythm"

    def __init__(
        self,
        width: int = 64,
        front: tuple[int, int] = (16, 24),
        layers: int = 8,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.width, self.front, self.layers = width, tuple(front), layers
        self.dropout = dropout
        first, second = self.front
        bands = BANDS // _BAND_STEPS[0] // _BAND_STEPS[1]
        self.low = nn.Conv2d(2, first, (8, 3), stride=(_BAND_STEPS[0], 1), padding=(2, 1))
        self.low_norm = nn.BatchNorm2d(first)
        self.high = nn.Conv2d(first, second, (3, 3), stride=(_BAND_STEPS[1], 1), padding=1)
        self.high_norm = nn.BatchNorm2d(second)
        self.local = nn.Conv1d(second * bands, width, 3, padding=1)
        self.local_norm = nn.BatchNorm1d(width)
        self.halved = nn.Conv1d(width, width, 4, stride=2, padding=1)
        self.blocks = nn.ModuleList(_Block(width, 2**n, dropout) for n in range(layers))
        self.joined = nn.Conv1d(2 * width, width, 3, padding=1)
        self.heads = nn.Conv1d(width, OUTPUTS, 1)

    @property
    def context(self) -> int:
        """Frames on each side of a frame that its output depends on."""
        return 4 * ((1 << self.layers) - 1) + 8

    def shape(self) -> dict[str, Any]:
        """The arguments that build this network again."""
        return {
            "width": self.width,
            "front": self.front,
            "layers": self.layers,
            "dropout": self.dropout,
        }

    def forward(self, levels: Tensor) -> Tensor:
        length = levels.shape[-1]
        x = F.pad(levels, (0, length % 2))
        rises = F.pad((x[..., _SLOPE:] - x[..., :-_SLOPE]).clamp(min=0), (_SLOPE, 0))
        x = torch.stack([x, 4 * rises], 1)
        x = F.relu(self.low_norm(self.low(x)))
        x = F.relu(self.high_norm(self.high(x))).flatten(1, 2)
        local = F.relu(self.local_norm(self.local(x)))
        wide = self.halved(local)
        for block in self.blocks:
            wide = block(wide)
        wide = wide.repeat_interleave(2, -1)
        out: Tensor = self.heads(F.relu(self.joined(torch.cat([local, wide], 1))))
        return out[..., :length]


def save_rhythm(path: Path, network: RhythmNetwork) -> None:
    """Writes the network's weights and shape. Raises AudioTransferError where it cannot."""
    save_weights(path, network.state_dict(), {"kind": network.kind, **network.shape()})


def load_rhythm(path: Path) -> RhythmNetwork:
    """Reads what `save_rhythm` wrote.

    Raises AudioTransferError: the file cannot be read, or holds something else.
    """
    network = load_network(path, {RhythmNetwork.kind: RhythmNetwork}, "rhythm network")
    return network.eval()
