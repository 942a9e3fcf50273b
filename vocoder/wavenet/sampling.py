"""Sampling of a WaveNet one sample after the other, compiled, with what the layers saw kept.

Each layer keeps its last inputs in a ring buffer, so that a sample costs one pass through the
layers and not one over the whole receptive field (T. Le Paine et al., "Fast WaveNet generation
algorithm", 2016). Several sounds advance together as the columns of small matrix products; groups
of them run on threads of their own.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from numba import njit
from numpy.typing import NDArray
from torch import Tensor

from vocoder.wavenet.network import WaveNet, delayed
from vocoder.wavenet.outputs import LEAST_SCALE, MU, MuLaw, companded, output_of, quantised

COLUMNS = 32
"""Sounds that advance together on one thread."""
_MATHS = {"contract", "reassoc", "nsz", "arcp"}

Array = NDArray[np.float32]


def sample(
    network: WaveNet,
    conditions: Tensor,
    starts: list[tuple[int, int]],
    steps: int,
    hop_length: int,
    uniform: Tensor,
    temperature: float = 1.0,
    threads: int | None = None,
) -> Tensor:
    """Sounds ``[N, steps]`` of a causal network with one input, each from silence on.

    Args:
        conditions: of whole items, as `WaveNet.conditions` gives them, ``[B, layers, K, L]``.
        starts: item and first frame of each of the N sounds.
        uniform: random numbers of the samples of an item, ``[2, T]``; a sound that starts at a
            frame uses those from there on, and repeats the last where they end.
        threads: at most; by default as many as torch uses.
    """
    weights = _weights(network)
    frames = -(-steps // hop_length) + 1
    bias = torch.stack([layer.convolve.bias.detach() for layer in network.layers])  # type: ignore
    bases = (conditions + bias[:, :, None]).permute(0, 3, 1, 2).contiguous().numpy()
    numbers = np.ascontiguousarray(uniform.numpy(), dtype=np.float32)
    groups = [starts[at : at + COLUMNS] for at in range(0, len(starts), COLUMNS)]

    def run(group: list[tuple[int, int]]) -> Array:
        place = np.array([first for _, first in group])
        at = np.minimum(place[:, None] + np.arange(frames + 1), bases.shape[1] - 1)
        of_item = np.array([item for item, _ in group])[:, None]
        # [frames + 1, layers, K, columns]: the columns lie together.
        given = np.ascontiguousarray(np.moveaxis(bases[of_item, at], 0, -1))
        draws = np.minimum(place[:, None] * hop_length + np.arange(steps), numbers.shape[1] - 1)
        drawn = np.ascontiguousarray(np.moveaxis(numbers[:, draws], 1, -1))
        sound = np.zeros((steps, len(group)), np.float32)
        _advance(sound, given, drawn, hop_length, np.float32(temperature), *weights)
        return sound

    wanted = threads or torch.get_num_threads()
    with ThreadPoolExecutor(max(1, min(wanted, len(groups), os.cpu_count() or 1))) as pool:
        made = list(pool.map(run, groups))
    return torch.from_numpy(np.concatenate(made, axis=1).T.copy())


@torch.no_grad()
def sample_naively(
    network: WaveNet,
    local: Tensor | None,
    label: Tensor | None,
    hop_length: int,
    uniform: Tensor,
    temperature: float = 1.0,
) -> Tensor:
    """What `sample` gives from the first frame on, by a whole pass over the past for each sample.

    ``local`` is ``[B, local, L]``, ``uniform`` ``[2, T]``; returns ``[B, T]``.
    """
    rows = len(local) if local is not None else len(label) if label is not None else 1
    output = output_of(network.leave.out_channels)
    sound = torch.zeros(rows, uniform.shape[1])
    for at in range(sound.shape[1]):
        inputs = network_input(sound[:, : at + 1], output.size)
        values = network(delayed(inputs)[:, None], local, label, hop_length)[..., -1:]
        numbers = uniform[None, :, at : at + 1].expand(rows, -1, -1)
        sound[:, at] = output.draw(values, numbers, temperature)[:, 0]
    return sound


def network_input(sound: Tensor, outputs: int) -> Tensor:
    """Sound as a causal network's input: the steps of the mu law, within ±1, or as it is."""
    return quantised(companded(sound)) / MU * 2 - 1 if outputs == MuLaw.size else sound


def _weights(network: WaveNet) -> tuple[Any, ...]:
    """A network's weights as the compiled loop takes them; rows and columns padded to fours."""

    def padded(matrix: Tensor) -> Array:
        rows, columns = matrix.shape
        wide = torch.nn.functional.pad(matrix.detach(), (0, -columns % 4, 0, -rows % 4))
        return np.ascontiguousarray(wide.float().numpy())

    channels = network.enter.out_channels
    if network.enter.in_channels != 1 or channels % 4 or not network.causal:
        raise ValueError("sampling takes causal networks of one input and 4 n channels")
    layers: Any = list(network.layers)
    # [2 * gates, kernel * channels], the oldest tap first.
    convolve = np.stack([padded(one.convolve.weight.permute(0, 2, 1).flatten(1)) for one in layers])
    leave = np.stack([padded(one.leave.weight[:, :, 0]) for one in layers])
    biases = np.stack([one.leave.bias.detach().numpy() for one in layers])
    dilations = np.array([one.dilation for one in layers])
    return (
        network.enter.weight.detach().numpy()[:, 0, 0].copy(),
        network.enter.bias.detach().numpy(),  # type: ignore[union-attr]
        convolve, leave, biases, dilations, layers[0].kernel,
        layers[0].convolve.out_channels // 2,
        padded(network.head.weight[:, :, 0]), network.head.bias.detach().numpy(),  # type: ignore[union-attr]
        padded(network.leave.weight[:, :, 0]), network.leave.bias.detach().numpy(),  # type: ignore[union-attr]
    )  # fmt: skip


@njit(nogil=True, fastmath=_MATHS, cache=True, error_model="numpy")
def _product(weights, x, y) -> None:  # type: ignore[no-untyped-def]
    """y += weights @ x, for numbers of rows and columns of `weights` that are multiples of 4."""
    rows, inner = weights.shape
    columns = x.shape[1]
    for row in range(0, rows, 2):
        one, two = y[row], y[row + 1]
        for at in range(0, inner, 4):
            a0, a1 = weights[row, at], weights[row, at + 1]
            a2, a3 = weights[row, at + 2], weights[row, at + 3]
            b0, b1 = weights[row + 1, at], weights[row + 1, at + 1]
            b2, b3 = weights[row + 1, at + 2], weights[row + 1, at + 3]
            x0, x1, x2, x3 = x[at], x[at + 1], x[at + 2], x[at + 3]
            for column in range(columns):
                p, q, r, s = x0[column], x1[column], x2[column], x3[column]
                one[column] += a0 * p + a1 * q + a2 * r + a3 * s
                two[column] += b0 * p + b1 * q + b2 * r + b3 * s


@njit(nogil=True, fastmath=_MATHS, cache=True, error_model="numpy", inline="always")
def _tanh(x):  # type: ignore[no-untyped-def]
    """A rational function of degree 13 over 6, right to 3e-7: compiled to vector instructions."""
    x = min(max(x, np.float32(-7.9)), np.float32(7.9))
    y = x * x
    top = np.float32(-2.76076847742355e-16)
    top = top * y + np.float32(2.00018790482477e-13)
    top = top * y + np.float32(-8.60467152213735e-11)
    top = top * y + np.float32(5.12229709037114e-08)
    top = top * y + np.float32(1.48572235717979e-05)
    top = top * y + np.float32(6.37261928875436e-04)
    top = top * y + np.float32(4.89352455891786e-03)
    low = np.float32(1.19825839466702e-06)
    low = low * y + np.float32(1.18534705686654e-04)
    low = low * y + np.float32(2.26843463243900e-03)
    low = low * y + np.float32(4.89352518554385e-03)
    return x * top / low


@njit(nogil=True, fastmath=_MATHS, cache=True, error_model="numpy")
def _advance(  # type: ignore[no-untyped-def]
    sound, given, drawn, hop, temperature,
    enter, enter_bias, convolve, leave, biases, dilations, kernel, gates,
    head, head_bias, last, last_bias,
) -> None:  # fmt: skip
    """Writes the sounds [steps, columns] by conditions [frames, layers, 2 * gates, columns]."""
    steps, columns = sound.shape
    layers, channels = len(dilations), len(enter)
    skips, outputs = len(head_bias), len(last_bias)
    span = (kernel - 1) * dilations
    begins = np.zeros(layers + 1, np.int64)
    for layer in range(layers):
        begins[layer + 1] = begins[layer] + span[layer]
    kept = np.zeros((begins[layers] * channels, columns), np.float32)
    taps = np.zeros((convolve.shape[2], columns), np.float32)
    z = np.zeros((convolve.shape[1], columns), np.float32)
    gated = np.zeros((leave.shape[2], columns), np.float32)
    left = np.zeros((leave.shape[1], columns), np.float32)
    x = np.zeros((channels, columns), np.float32)
    total = np.zeros((head.shape[1], columns), np.float32)
    inner = np.zeros((max(head.shape[0], last.shape[1]), columns), np.float32)
    values = np.zeros((last.shape[0], columns), np.float32)
    inputs = np.zeros(columns, np.float32)
    root, half = np.float32(np.sqrt(0.5)), np.float32(0.5)
    for step in range(steps):
        frame = step // hop
        way = np.float32((step - frame * hop) / hop)
        for channel in range(channels):
            for column in range(columns):
                x[channel, column] = enter[channel] * inputs[column] + enter_bias[channel]
        total[:] = 0.0
        for layer in range(layers):
            # Taps, the oldest first; the newest is x itself, and takes the oldest one's place.
            for tap in range(kernel - 1):
                age = (kernel - 1 - tap) * dilations[layer]
                place = (step - age) % span[layer]
                row = (begins[layer] + place) * channels
                taps[tap * channels : (tap + 1) * channels] = kept[row : row + channels]
            taps[(kernel - 1) * channels : kernel * channels] = x
            row = (begins[layer] + step % span[layer]) * channels
            kept[row : row + channels] = x
            here, there = given[frame, layer], given[frame + 1, layer]
            for gate in range(2 * gates):
                for column in range(columns):
                    base = here[gate, column]
                    z[gate, column] = base + way * (there[gate, column] - base)
            _product(convolve[layer], taps, z)
            for gate in range(gates):
                for column in range(columns):
                    opened = half + half * _tanh(half * z[gates + gate, column])
                    gated[gate, column] = _tanh(z[gate, column]) * opened
            for at in range(channels + skips):
                left[at, :] = biases[layer, at]
            _product(leave[layer], gated, left)
            for channel in range(channels):
                for column in range(columns):
                    x[channel, column] = (x[channel, column] + left[channel, column]) * root
            for at in range(skips):
                for column in range(columns):
                    total[at, column] += left[channels + at, column]
        for at in range(skips):
            for column in range(columns):
                total[at, column] = max(total[at, column], np.float32(0.0))
            inner[at, :] = head_bias[at]
        _product(head, total, inner)
        for at in range(skips):
            for column in range(columns):
                inner[at, column] = max(inner[at, column], np.float32(0.0))
        for at in range(outputs):
            values[at, :] = last_bias[at]
        _product(last, inner[: last.shape[1]], values)
        for column in range(columns):
            if outputs == 256:
                chosen = _draw(values[:outputs], column, drawn[0, step, column], temperature)
                value = np.float32(chosen) / np.float32(MU) * np.float32(2.0) - np.float32(1.0)
                inputs[column] = value
                magnitude = np.float32(np.expm1(abs(value) * np.log1p(MU)) / MU)
                sound[step, column] = magnitude if value >= 0 else -magnitude
            else:
                mixtures = outputs // 3
                chosen = _draw(values[:mixtures], column, drawn[0, step, column], np.float32(1.0))
                scale = max(values[2 * mixtures + chosen, column], np.float32(LEAST_SCALE))
                within = min(max(drawn[1, step, column], 1e-5), 1 - 1e-5)
                spread = temperature * np.exp(scale) * np.log(within / (1 - within))
                value = values[mixtures + chosen, column] + np.float32(spread)
                inputs[column] = min(max(value, np.float32(-1.0)), np.float32(1.0))
                sound[step, column] = inputs[column]


@njit(nogil=True, cache=True, error_model="numpy")
def _draw(values, column, uniform, temperature):  # type: ignore[no-untyped-def]
    """The first of logits [K, columns] whose cumulative probability exceeds a uniform number."""
    size = values.shape[0]
    top = values[0, column]
    for at in range(1, size):
        top = max(top, values[at, column])
    total = 0.0
    for at in range(size):
        total += np.exp((values[at, column] - top) / temperature)
    wanted, reached = uniform * total, 0.0
    for at in range(size):
        reached += np.exp((values[at, column] - top) / temperature)
        if reached > wanted:
            return at
    return size - 1
