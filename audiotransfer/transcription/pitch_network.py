"""The pitch network: lead, notes, bass, chords and voice from variable-Q frames."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from audiotransfer.transcription.activations import (
    BASSES,
    CHORD_QUALITIES,
    LOWEST,
    LOWEST_BASS,
    PITCHES,
)
from audiotransfer.transcription.pitch_features import (
    BINS,
    FINE_BINS,
    FRAME_RATE,
    LOWEST_BIN,
    LOWEST_FINE_BIN,
    PER_SEMITONE,
)
from audiotransfer.weights import load_network, save_weights

if TYPE_CHECKING:
    from pathlib import Path

CHORDS = 12 * len(CHORD_QUALITIES) + 1
#: Frames of features that the network reads, and answers, together.
FRAMES = 2
#: Harmonics whose bins are stacked at each pitch.
HARMONICS = (0.5, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0)
#: Frames to each side within which the loudest sets the level.
LEVEL_REACH = round(3.0 * FRAME_RATE)

_RANGE = 75.0  # dB below the level that are told apart
_LOUDEST_FLOOR = -55.0  # dB: quieter frames count as silence
_PER_PITCH = ("lead", "lead_onsets", "notes", "note_onsets", "bass")
_OCTAVE = 12


def normalised(features: Tensor) -> Tensor:
    """Frames ``[B, L, 378]`` in dB as 0..1: 75 dB below the loudest of 3 s on each side.

    A frame's level is that of its power over all bins of the transform; quiet ones are raised no
    further than from -55 dB.
    """
    power = torch.logsumexp(features[..., :BINS] * (math.log(10.0) / 10.0), -1)
    level = power * (10.0 / math.log(10.0)) - 10.0
    reach = LEVEL_REACH
    top = F.max_pool1d(level[:, None], 2 * reach + 1, 1, padding=reach)[:, 0]
    top = top.clamp_min(_LOUDEST_FLOOR)
    return ((features - top[..., None]) / _RANGE + 1.0).clamp(0.0, 1.0)


class PitchNetwork(nn.Module):
    """Logits by frame and pitch from normalised frames ``[B, L, 378]``, L even.

    Each pitch sees the bins of its harmonics; residual blocks of convolutions over pitch and time
    (some dilated by an octave) carry the pitches' own features. A side branch without pitches
    sees about 3 s to each side: it answers bass, chords and the lead's rests, and tells the pitches
    what it found. Whether a voice sings is answered from what the likeliest lead's pitch sees, its
    partials and their movement; nothing else learns from that answer. The output is ``lead``
    ``[B, L, 89]`` (last: none), ``lead_onsets``, ``notes`` and ``note_onsets`` ``[B, L, 88]``,
    ``bass`` ``[B, L, 39]``, ``chords`` ``[B, L, 73]`` and ``voice`` ``[B, L]``.
    """

    kind = "pitch"

    def __init__(
        self,
        channels: int = 48,
        head: int = 32,
        side: int = 144,
        reduced: int = 12,
        told: int = 4,
        voice: int = 48,
    ) -> None:
        super().__init__()
        self.channels, self.head, self.side = channels, head, side
        self.reduced, self.told, self.voice_channels = reduced, told, voice
        stacked = (len(HARMONICS) + 1) * PER_SEMITONE * FRAMES
        self.first = nn.Conv2d(stacked, channels, 3, padding=1)
        self.blocks = nn.ModuleList(_PitchBlock(channels, dilation) for dilation in (1, 2, 4))
        self.reduce = nn.Conv2d(channels, reduced, 1)
        self.flat = nn.Conv1d(reduced * PITCHES, side, 1)
        self.times = nn.ModuleList(_TimeBlock(side, 2**power) for power in range(6))
        self.tell = nn.Conv1d(side, told * PITCHES, 1)
        self.mixed = nn.Conv2d(channels + told, head, 3, padding=1)
        self.pitches = nn.Conv2d(head, len(_PER_PITCH) * FRAMES, 1)
        # None of the lead; bass and none; chords.
        self.sizes = (FRAMES, (BASSES + 1) * FRAMES, CHORDS)
        self.voice = _VoiceBranch(channels + stacked, voice)
        self.whole = nn.Conv1d(side, sum(self.sizes), 1)
        self._bins: Tensor
        self.register_buffer("_bins", _stacked_bins(), persistent=False)
        for layer in self.modules():
            if isinstance(layer, nn.Conv1d | nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
                assert layer.bias is not None
                nn.init.zeros_(layer.bias)
        for block in (*self.blocks, *self.times, *self.voice.times):
            nn.init.zeros_(block.last.weight)
        for layer in (self.pitches, self.whole, self.tell, self.voice.answer):
            nn.init.normal_(layer.weight, std=0.01)
        assert self.pitches.bias is not None
        with torch.no_grad():  # most pitches do not sound, and fewer begin
            for place, odds in (("lead_onsets", -5.0), ("notes", -3.0), ("note_onsets", -5.0)):
                first = FRAMES * _PER_PITCH.index(place)
                self.pitches.bias[first : first + FRAMES] = odds

    def shape(self) -> dict[str, Any]:
        """The arguments that build this network again."""
        names = ("channels", "head", "side", "reduced", "told")
        return {name: getattr(self, name) for name in names} | {"voice": self.voice_channels}

    def forward(self, frames: Tensor) -> dict[str, Tensor]:
        batch, length, _ = frames.shape
        stack = F.pad(frames, (0, 1))[..., self._bins]  # [B, L, S, 88]
        stack = stack.reshape(batch, length // FRAMES, -1, PITCHES)
        stack = stack.permute(0, 2, 3, 1).contiguous(memory_format=torch.channels_last)
        own = F.relu(self.first(stack))
        for block in self.blocks:
            own = block(own)
        side = F.relu(self.reduce(own)).flatten(1, 2)
        side = F.relu(self.flat(side))
        for block in self.times:
            side = block(side)
        told = self.tell(side).unflatten(1, (self.told, PITCHES))
        mixed = F.relu(self.mixed(torch.cat((own, told), 1)))
        by_pitch = _by_frame(self.pitches(mixed), len(_PER_PITCH))  # [B, 5, L, 88]
        found = dict(zip(_PER_PITCH, by_pitch.unbind(1), strict=True))
        none, bass, chords = self.whole(side).float().split(self.sizes, 1)
        found["lead"] = torch.cat((found["lead"], _by_frame(none[:, :, None], 1)[:, 0]), -1)
        bass = _by_frame(bass[:, :, None], BASSES + 1)[..., 0].transpose(1, 2)
        low = LOWEST_BASS - LOWEST
        found["bass"] = bass + F.pad(found["bass"][..., low : low + BASSES], (0, 1))
        found["chords"] = chords.transpose(1, 2).repeat_interleave(FRAMES, 1)
        found["voice"] = self.voice(torch.cat((own, stack), 1).detach(), by_pitch[:, 0].detach())
        return found


class _PitchBlock(nn.Module):
    """Residual block of convolutions over pitch and time, one of them over octaves."""

    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__()
        self.near = nn.Conv2d(channels, channels, 3, padding=(1, dilation), dilation=(1, dilation))
        self.octaves = nn.Conv2d(
            channels, channels, (7, 1), padding=(3 * _OCTAVE, 0), dilation=(_OCTAVE, 1)
        )
        self.last = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, own: Tensor) -> Tensor:
        between = F.relu(self.near(own))
        between = F.relu(self.octaves(between) + between)
        return F.relu(own + self.last(between))


class _VoiceBranch(nn.Module):
    """Logits of a voice ``[B, L]`` from features by pitch and the logits of the lead's pitch."""

    def __init__(self, features: int, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv1d(features, channels, 1)
        self.times = nn.ModuleList(_TimeBlock(channels, 2**power) for power in range(5))
        self.answer = nn.Conv1d(channels, FRAMES, 1)

    def forward(self, features: Tensor, lead: Tensor) -> Tensor:
        shares = lead.unflatten(1, (-1, FRAMES)).mean(2).softmax(-1)  # [B, L / FRAMES, 88]
        pooled = torch.einsum("bcpl,blp->bcl", features.float(), shares)
        voice = F.relu(self.first(pooled))
        for block in self.times:
            voice = block(voice)
        return _by_frame(self.answer(voice)[:, :, None], 1)[:, 0, :, 0]


class _TimeBlock(nn.Module):
    """Residual block of a dilated convolution over time."""

    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__()
        self.far = nn.Conv1d(channels, channels, 3, padding=dilation, dilation=dilation)
        self.last = nn.Conv1d(channels, channels, 1)

    def forward(self, side: Tensor) -> Tensor:
        return F.relu(side + self.last(F.relu(self.far(side))))


def save_pitch_network(path: Path, network: PitchNetwork) -> None:
    """Writes the network's weights and shape. Raises AudioTransferError where it cannot."""
    save_weights(path, network.state_dict(), {"kind": network.kind, **network.shape()})


def load_pitch_network(path: Path) -> PitchNetwork:
    """Reads what `save_pitch_network` wrote.

    Raises AudioTransferError: the file cannot be read, or holds something else.
    """
    network = load_network(path, {PitchNetwork.kind: PitchNetwork}, "pitch network")
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return network.eval()


def _by_frame(values: Tensor, outputs: int) -> Tensor:
    """``[B, outputs * FRAMES, P, L / FRAMES]`` as ``[B, outputs, L, P]`` in single precision."""
    values = values.float().unflatten(1, (outputs, FRAMES)).permute(0, 1, 4, 2, 3)
    return values.flatten(2, 3)


def _stacked_bins() -> Tensor:
    """The bins of features that each pitch sees, ``[S, 88]``; one past the last where none is."""
    pitches = torch.arange(LOWEST, LOWEST + PITCHES)
    nothing = BINS + FINE_BINS
    rows = []
    for harmonic in HARMONICS:
        shift = round(_OCTAVE * PER_SEMITONE * math.log2(harmonic))
        for beside in range(-(PER_SEMITONE // 2), PER_SEMITONE // 2 + 1):
            bins = PER_SEMITONE * (pitches - LOWEST_BIN) + shift + beside
            rows.append(torch.where((bins >= 0) & (bins < BINS), bins, nothing))
    for beside in range(-(PER_SEMITONE // 2), PER_SEMITONE // 2 + 1):
        bins = PER_SEMITONE * (pitches - LOWEST_FINE_BIN) + beside
        inside = (bins >= 0) & (bins < FINE_BINS)
        rows.append(torch.where(inside, BINS + bins, nothing))
    return torch.stack(rows)
