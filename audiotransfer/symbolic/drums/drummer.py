"""Drum networks on disk, and their uses: sampling, interpolation, humanising, style transfer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Generator, Tensor

from audiotransfer.errors import AudioTransferError
from audiotransfer.suggest import nearest_or_all
from audiotransfer.symbolic.drums.beats import BAR, Beat, joined
from audiotransfer.symbolic.drums.music_vae import MusicVae
from audiotransfer.symbolic.drums.network import DrumVae, Expression
from audiotransfer.symbolic.drums.velocities import draw_strengths, vary_velocities
from audiotransfer.weights import load_weights, save_weights

Network = DrumVae | MusicVae
NETWORKS: dict[str, type[DrumVae] | type[MusicVae]] = {
    network.kind: network for network in (DrumVae, MusicVae)
}
SHIPPED = Path(__file__).parent.parent / "shipped" / "drums"
"""Folder of the drum network that ships: weights and card."""

_METADATA = "drums"
_CENTRES = "centres"
_AT_ONCE = 4  # bars that are encoded together
_SOFTEST = 1 / 127
WIDEST = 0.45  # of a sixteenth: a hit stays nearest to its sixteenth
_PARALLEL = 1e-4
# Share of the scale of velocities and offsets that is sampled for each hit: as much as validation
# drummers vary from bar to bar. The rest of the scale is variation between drummers.
_VARIATION = (0.35, 0.75)
_FAR = 2.0  # times the vector from the mean of all styles to a style's, at full strength


class Drummer:
    """Generates and changes beats by a network in evaluation mode, on the CPU."""

    def __init__(self, network: DrumVae) -> None:
        self.network = network.eval()

    @property
    def styles(self) -> tuple[str, ...]:
        """Names of the styles that the network was trained on."""
        return self.network.styles

    def style(self, name: str | None) -> int:
        """The index of a style, or of "any". Raises AudioTransferError for an unknown one."""
        if name is None:
            return self.network.any_style
        if name not in self.styles:
            hint = nearest_or_all(name, self.styles)
            raise AudioTransferError(f"drum style {name!r} is unknown; {hint}")
        return self.styles.index(name)

    @torch.no_grad()
    def imagine(
        self, bars: int, style: str | None, temperature: float, generator: Generator
    ) -> Beat:
        """Samples a beat of ``bars`` bars in a style, or in any."""
        index = torch.tensor([self.style(style)])
        codes = self.network.imagine(bars, index, temperature, generator)
        return self._decoded(codes, temperature, generator)

    @torch.no_grad()
    def between(
        self, first: Beat, last: Beat, count: int, temperature: float, generator: Generator
    ) -> list[Beat]:
        """Interpolates between two beats of one length: ``count`` beats, these two unchanged.

        The others are decoded from codes on the arc between theirs (`slerp`).
        """
        ends = [self._codes(beat, given=True) for beat in (first, last)]
        shares = np.linspace(0, 1, count)[1:-1]
        inner = [
            self._decoded(slerp(ends[0], ends[1], float(share)), temperature, generator)
            for share in shares
        ]
        return [first, *inner, last]

    @torch.no_grad()
    def humanise(self, beat: Beat, temperature: float, generator: Generator) -> Beat:
        """Samples velocities and offsets for given hits; at temperature 0 the likeliest.

        Velocities vary as those of drummers do (`vary_velocities`).
        """
        strengths = draw_strengths(generator)
        parts = []
        for start in range(0, len(beat), _AT_ONCE * BAR):
            part = beat.section(start, start + _AT_ONCE * BAR)
            hits = torch.from_numpy(part.hits).float()[None]
            expression = self.network.expression_of(
                self.network.conducted(self._codes(part, given=False)), hits
            )
            made = with_expression(expression, hits, temperature, generator)
            predicted = expression.velocity[0].numpy()
            varied = vary_velocities(predicted, strengths, temperature, generator)
            velocities = np.where(made.hits, varied, np.float32(0))
            parts.append(Beat(made.hits, velocities, made.offsets))
        return joined(parts)

    @torch.no_grad()
    def restyle(
        self, beat: Beat, style: str, strength: float, generator: Generator | None = None
    ) -> Beat:
        """Transfers a beat to a style: its codes are moved by the vector to the style's mean.

        Hits whose decoding changes are added or removed; the others keep velocity and offset.
        ``strength`` 0 changes nothing.
        """
        centres = self.network.centres
        move = strength * _FAR * (centres[self.style(style)] - centres[self.network.any_style])
        parts = []
        for start in range(0, len(beat), _AT_ONCE * BAR):
            part = beat.section(start, start + _AT_ONCE * BAR)
            codes = self._codes(part, given=True)
            conducted = self.network.conducted(codes + move)
            # Compared with the decoding of unmoved codes: reconstruction errors are no change.
            unmoved = self.network.draw(self.network.conducted(codes), 0.0)
            moved = self.network.draw(conducted, 0.0)
            own = torch.from_numpy(part.hits).float()[None]
            hits = torch.where(moved != unmoved, moved, own)
            made = with_expression(
                self.network.expression_of(conducted, hits), hits, 1.0, generator
            )
            parts.append(
                Beat(
                    made.hits,
                    np.where(part.hits & made.hits, part.velocities, made.velocities),
                    np.where(part.hits & made.hits, part.offsets, made.offsets),
                )
            )
        return joined(parts)

    def _codes(self, beat: Beat, *, given: bool) -> Tensor:
        hits, velocities, offsets = (
            torch.from_numpy(cells).float()[None]
            for cells in (beat.hits, beat.velocities, beat.offsets)
        )
        return self.network.encode(hits, velocities, offsets, torch.tensor([float(given)])).mean

    def _decoded(self, codes: Tensor, temperature: float, generator: Generator) -> Beat:
        conducted = self.network.conducted(codes)
        hits = self.network.draw(conducted, temperature, generator)
        return with_expression(
            self.network.expression_of(conducted, hits), hits, temperature, generator
        )


def slerp(first: Tensor, last: Tensor, share: float) -> Tensor:
    """Spherical interpolation of two points at ``share`` (0..1).

    Linear where they are parallel or opposite, which leaves no arc or too many.
    """
    cosine = torch.nn.functional.cosine_similarity(first.flatten(), last.flatten(), dim=0)
    angle = cosine.clamp(-1, 1).acos()
    if angle.sin() < _PARALLEL:
        return torch.lerp(first, last, share)
    weights = ((1 - share) * angle).sin(), (share * angle).sin()
    return (weights[0] * first + weights[1] * last) / angle.sin()


def with_expression(
    expression: Expression, hits: Tensor, temperature: float, generator: Generator | None
) -> Beat:
    """Hits [1, S, 9] with velocities and offsets sampled from Laplace distributions."""
    struck = hits[0].bool()

    def sampled(
        location: Tensor, log_scale: Tensor, variation: float, low: float, high: float
    ) -> np.ndarray:
        uniform = torch.rand(location.shape, generator=generator) - 0.5
        noise = -uniform.sign() * torch.log1p(-2 * uniform.abs().clamp(max=0.4999))
        value = (location + variation * temperature * log_scale.exp() * noise).clamp(low, high)[0]
        return torch.where(struck, value, 0.0).numpy()

    return Beat(
        struck.numpy(),
        sampled(expression.velocity, expression.velocity_log_scale, _VARIATION[0], _SOFTEST, 1.0),
        sampled(expression.offset, expression.offset_log_scale, _VARIATION[1], -WIDEST, WIDEST),
    )


def save_drums(path: Path, network: Network) -> None:
    """Writes a network as half-precision safetensors."""
    state = network.state_dict()
    if isinstance(network, DrumVae):
        state[_CENTRES] = network.centres
    save_weights(path, state, {"kind": network.kind, **network.shape()}, _METADATA)


def load_drums(path: Path) -> Network:
    """Reads what :func:`save_drums` wrote. Raises AudioTransferError for anything else."""
    shape, state = load_weights(path, _METADATA)
    try:
        network = NETWORKS[shape.pop("kind")](**shape)
        if isinstance(network, DrumVae):
            network.centres.copy_(state.pop(_CENTRES))
        network.load_state_dict(state)
    except (ValueError, KeyError, TypeError, RuntimeError) as error:
        raise AudioTransferError(
            f"{path} holds no drum network that this version knows; install it again"
        ) from error
    return network.eval()
