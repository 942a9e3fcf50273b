"""WaveNet: dilated convolutions over samples with gates, residuals and skips.

A. van den Oord et al., "WaveNet: a generative model for raw audio", 2016. Causal, with the samples
before as its input, it predicts the distribution of the next one; with centred convolutions and a
tanh at its end it is a feed-forward network from sound to sound, or an encoder.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

Final = Literal["none", "tanh"]


class GatedLayer(nn.Module):
    """One dilated convolution with its gate; the residual and the skip are layers of 1 sample."""

    def __init__(
        self, channels: int, gates: int, skips: int, kernel: int, dilation: int, causal: bool
    ) -> None:
        super().__init__()
        self.dilation, self.kernel = dilation, kernel
        span = (kernel - 1) * dilation
        self.margins = (span, 0) if causal else (span // 2, span - span // 2)
        self.convolve = nn.Conv1d(channels, 2 * gates, kernel, dilation=dilation)
        self.leave = nn.Conv1d(gates, channels + skips, 1)

    def forward(self, x: Tensor, condition: Tensor | None) -> tuple[Tensor, Tensor]:
        """``[B, channels, T]`` and what is added before the gate, ``[B, 2 * gates, T]``."""
        z = self.convolve(functional.pad(x, self.margins))
        if condition is not None:
            z = z + condition
        signal, gate = z.chunk(2, dim=1)
        residual, skip = self.leave(torch.tanh(signal) * torch.sigmoid(gate)).split(
            [x.shape[1], self.leave.out_channels - x.shape[1]], dim=1
        )
        return (x + residual) * math.sqrt(0.5), skip


class WaveNet(nn.Module):
    """A stack of gated layers, whose dilations double from 1 in each of `stacks`.

    local: values per frame of a spectrogram that conditions all layers, 0 for none. It passes two
        convolutions over frames of width `frames`, and is interpolated linearly between frames.
    labels: size of a condition that holds for the whole sound, 0 for none.
    final: "tanh" for a feed-forward network whose output is sound.
    """

    def __init__(
        self,
        inputs: int = 1,
        outputs: int = 256,
        channels: int = 32,
        gates: int = 32,
        skips: int = 32,
        layers: int = 16,
        stacks: int = 2,
        kernel: int = 2,
        local: int = 0,
        labels: int = 0,
        frames: int = 128,
        causal: bool = True,
        final: Final = "none",
    ) -> None:
        super().__init__()
        self.shape = {
            "inputs": inputs, "outputs": outputs, "channels": channels, "gates": gates,
            "skips": skips, "layers": layers, "stacks": stacks, "kernel": kernel, "local": local,
            "labels": labels, "frames": frames, "causal": causal, "final": final,
        }  # fmt: skip
        if layers % stacks:
            raise ValueError(f"{layers} layers are no multiple of {stacks} stacks")
        self.causal, self.final = causal, final
        self.enter = nn.Conv1d(inputs, channels, 1)
        dilations = [2 ** (layer % (layers // stacks)) for layer in range(layers)]
        self.layers = nn.ModuleList(
            GatedLayer(channels, gates, skips, kernel, dilation, causal) for dilation in dilations
        )
        self.head = nn.Conv1d(skips, skips, 1)
        self.leave = nn.Conv1d(skips, outputs, 1)
        width = 2 * gates * layers
        if local:
            self.frames = nn.Sequential(
                nn.Conv1d(local, frames, 3, padding=1),
                nn.LeakyReLU(0.2),
                nn.Conv1d(frames, frames, 3, padding=1),
                nn.LeakyReLU(0.2),
            )
            self.to_layers = nn.Conv1d(frames, width, 1)
        if labels:
            self.label_to_layers = nn.Linear(labels, width, bias=False)
        #: Samples before one (on both sides together) that it depends on, itself included.
        self.field = 1 + (kernel - 1) * sum(dilations)

    def forward(
        self,
        x: Tensor,
        local: Tensor | None = None,
        label: Tensor | None = None,
        hop_length: int = 1,
    ) -> Tensor:
        """Sound ``[B, inputs, T]`` to ``[B, outputs, T]``; causal: of each sample, from it on.

        ``local`` ``[B, local, L]`` has a frame at every `hop_length` samples, the first at sample
        0; ``label`` is ``[B, labels]``.
        """
        conditions = self.conditions(local, label)
        x = self.enter(x)
        total: Tensor | None = None
        for number, layer in enumerate(self.layers):
            part = None
            if conditions is not None:
                part = between_frames(conditions[:, number], hop_length, x.shape[-1])
            x, skip = layer(x, part)
            total = skip if total is None else total + skip
        assert total is not None
        made = self.leave(functional.relu(self.head(functional.relu(total))))
        return torch.tanh(made) if self.final == "tanh" else made

    def conditions(self, local: Tensor | None, label: Tensor | None) -> Tensor | None:
        """What is added before the gates ``[B, layers, 2 * gates, L]``, L being 1 for labels."""
        total: Tensor | None = None
        if local is not None:
            total = self.to_layers(self.frames(local))
        if label is not None:
            of_label = self.label_to_layers(label)[..., None]
            total = of_label if total is None else total + of_label
        if total is None:
            return None
        return total.reshape(len(total), len(self.layers), -1, total.shape[-1])


def between_frames(frames: Tensor, hop_length: int, length: int) -> Tensor:
    """Frames ``[B, C, L]`` to samples ``[B, C, length]``; linear, the last frame is held."""
    if frames.shape[-1] == 1:
        return frames.expand(-1, -1, length)
    longer = torch.cat([frames, frames[..., -1:]], dim=-1)
    samples = functional.interpolate(
        longer, size=frames.shape[-1] * hop_length + 1, mode="linear", align_corners=True
    )
    return samples[..., :length]


def delayed(sound: Tensor) -> Tensor:
    """The sample before each, 0 before the first: what a causal network predicts from."""
    return functional.pad(sound, (1, 0))[..., :-1]
