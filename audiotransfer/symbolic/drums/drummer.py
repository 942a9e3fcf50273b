"""A drummer at work: beats out of nothing, between two others, by hand, and in another style."""

from __future__ import annotations

import numpy as np
import torch
from torch import Generator, Tensor

from audiotransfer.errors import AudioTransferError
from audiotransfer.suggest import nearest_or_all
from audiotransfer.symbolic.drums.beats import BAR, Beat, joined
from audiotransfer.symbolic.drums.network import DrumVae, Touch

_AT_ONCE = 4  # bars that are felt together
_SOFTEST = 1 / 127
WIDEST = 0.45  # of a sixteenth: a hit stays the sixteenth's own
_PARALLEL = 1e-4
# Of the doubt about a hit's velocity and offset only this share is drawn anew for each hit: as much
# as validation drummers differ from bar to bar. The rest is doubt about who plays.
_RESTLESS = (0.35, 0.75)
_FAR = 2.0  # of the way from all styles' centre to one's, at full strength


class Drummer:
    """Plays with a network in evaluation mode, on the CPU; all that is drawn, by a generator."""

    def __init__(self, network: DrumVae) -> None:
        self.network = network.eval()

    @property
    def styles(self) -> tuple[str, ...]:
        """The styles that it knows by name."""
        return self.network.styles

    def style(self, name: str | None) -> int:
        """The index of a style, or of any. Raises AudioTransferError for one that it knows not."""
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
        """A beat of so many bars that nobody played, in a style or any."""
        index = torch.tensor([self.style(style)])
        points = self.network.imagine(bars, index, temperature, generator)
        return self._played(points, temperature, generator)

    @torch.no_grad()
    def between(
        self, first: Beat, last: Beat, count: int, temperature: float, generator: Generator
    ) -> list[Beat]:
        """``count`` beats from one to another of its length; these two are the ends, as they are.

        Those between are played from points on the arc between theirs (`slerp`).
        """
        ends = [self._points(beat, told=True) for beat in (first, last)]
        shares = np.linspace(0, 1, count)[1:-1]
        inner = [
            self._played(slerp(ends[0], ends[1], float(share)), temperature, generator)
            for share in shares
        ]
        return [first, *inner, last]

    @torch.no_grad()
    def humanise(self, beat: Beat, temperature: float, generator: Generator) -> Beat:
        """The same hits, as a drummer would play them: other velocities and offsets.

        At temperature 0 the likeliest ones.
        """
        parts = []
        for start in range(0, len(beat), _AT_ONCE * BAR):
            part = beat.section(start, start + _AT_ONCE * BAR)
            hits = torch.from_numpy(part.hits).float()[None]
            felt = self.network.feel_of(
                self.network.conducted(self._points(part, told=False)), hits
            )
            parts.append(_touched(felt, hits, temperature, generator))
        return joined(parts)

    @torch.no_grad()
    def restyle(
        self, beat: Beat, style: str, strength: float, generator: Generator | None = None
    ) -> Beat:
        """The beat with the hits that come and go when its points move toward a style's.

        What stays is played as it was. ``strength`` 0 moves nothing.
        """
        centres = self.network.centres
        move = strength * _FAR * (centres[self.style(style)] - centres[self.network.any_style])
        parts = []
        for start in range(0, len(beat), _AT_ONCE * BAR):
            part = beat.section(start, start + _AT_ONCE * BAR)
            points = self._points(part, told=True)
            conducted = self.network.conducted(points + move)
            # Against what comes back unmoved, so that what is lost on the way is no change.
            unmoved = self.network.draw(self.network.conducted(points), 0.0)
            moved = self.network.draw(conducted, 0.0)
            own = torch.from_numpy(part.hits).float()[None]
            hits = torch.where(moved != unmoved, moved, own)
            made = _touched(self.network.feel_of(conducted, hits), hits, 1.0, generator)
            parts.append(
                Beat(
                    made.hits,
                    np.where(part.hits & made.hits, part.velocities, made.velocities),
                    np.where(part.hits & made.hits, part.offsets, made.offsets),
                )
            )
        return joined(parts)

    def _points(self, beat: Beat, *, told: bool) -> Tensor:
        hits, velocities, offsets = (
            torch.from_numpy(cells).float()[None]
            for cells in (beat.hits, beat.velocities, beat.offsets)
        )
        return self.network.encode(hits, velocities, offsets, torch.tensor([float(told)])).mean

    def _played(self, points: Tensor, temperature: float, generator: Generator) -> Beat:
        conducted = self.network.conducted(points)
        hits = self.network.draw(conducted, temperature, generator)
        return _touched(self.network.feel_of(conducted, hits), hits, temperature, generator)


def slerp(first: Tensor, last: Tensor, share: float) -> Tensor:
    """The point at ``share`` (0..1) of the arc between two, seen from the origin.

    Where they point the same way or opposite ways, which leaves no arc or too many, along the
    line.
    """
    cosine = torch.nn.functional.cosine_similarity(first.flatten(), last.flatten(), dim=0)
    angle = cosine.clamp(-1, 1).acos()
    if angle.sin() < _PARALLEL:
        return torch.lerp(first, last, share)
    weights = ((1 - share) * angle).sin(), (share * angle).sin()
    return (weights[0] * first + weights[1] * last) / angle.sin()


def _touched(felt: Touch, hits: Tensor, temperature: float, generator: Generator | None) -> Beat:
    """The hits [1, S, 9] with velocities and offsets drawn from what they are felt to be."""
    struck = hits[0].bool()

    def drawn(
        location: Tensor, log_scale: Tensor, restless: float, low: float, high: float
    ) -> np.ndarray:
        uniform = torch.rand(location.shape, generator=generator) - 0.5
        noise = -uniform.sign() * torch.log1p(-2 * uniform.abs().clamp(max=0.4999))
        value = (location + restless * temperature * log_scale.exp() * noise).clamp(low, high)[0]
        return torch.where(struck, value, 0.0).numpy()

    return Beat(
        struck.numpy(),
        drawn(felt.velocity, felt.velocity_log_scale, _RESTLESS[0], _SOFTEST, 1.0),
        drawn(felt.offset, felt.offset_log_scale, _RESTLESS[1], -WIDEST, WIDEST),
    )
