"""Distances of spectrograms: their values, and gradients that point to the louder note."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from audiotransfer.spectral.objectives.any_to_many import AnyToMany, AnyToManySettings
from audiotransfer.spectral.objectives.losses import visible_difference
from audiotransfer.spectral.objectives.melgan_vc import MelGanVc
from audiotransfer.spectral.objectives.paired import PairedObjective
from audiotransfer.spectral.objectives.stem_spectrograms import StemSpectrograms
from audiotransfer.spectral.objectives.templates import TemplateObjective
from audiotransfer.training.distances import audible_difference, frame_distance
from vocoder import SpectrogramSettings

#: made, true (nats), the loss and its gradient; nothing is heard below -6.
BY_HAND = [
    (-3.0, -2.0, 1.0, -1.0),
    (-2.0, -3.0, 1.0, 1.0),
    (-8.0, -2.0, 4.0, -1.0),  # a missed note: louder
    (-6.5, -5.5, 0.5, -1.0),
    (-2.0, -8.0, 4.0, 1.0),  # a note too many: softer
    (-8.0, -7.0, 0.0, 0.0),  # neither is heard
    (-7.0, -8.0, 0.0, 0.0),
    (-40.0, -2.0, 4.0, -1.0),
]


def gradient(loss: Tensor, made: Tensor) -> Tensor:
    return torch.autograd.grad(loss, made)[0]


@pytest.mark.parametrize(("made", "true", "loss", "slope"), BY_HAND)
def test_the_audible_difference_by_hand(
    made: float, true: float, loss: float, slope: float
) -> None:
    cell = torch.tensor(made, requires_grad=True)
    found = audible_difference(cell, torch.tensor(true)).abs()
    assert float(found.detach()) == loss and float(gradient(found, cell)) == slope


@pytest.mark.parametrize(("made", "true", "loss", "slope"), BY_HAND)
def test_the_difference_of_discriminator_views_by_hand(
    made: float, true: float, loss: float, slope: float
) -> None:
    """The same three nats lower, in units of three nats."""
    cell = torch.tensor(made - 3, requires_grad=True)
    found = visible_difference(cell, torch.tensor(true - 3)).abs()
    assert float(found.detach()) == pytest.approx(loss / 3, abs=1e-6)
    assert float(gradient(found, cell)) == pytest.approx(slope / 3)


def test_the_distance_of_a_frame_by_hand() -> None:
    """Two bands of one frame: one missed by 4 nats, one 3 too loud."""
    made = torch.tensor([[-8.0], [-1.0]], requires_grad=True)
    true = torch.tensor([[-2.0], [-4.0]])
    root = math.sqrt((16 + 9) / 2 + 1e-4)
    found = frame_distance(made, true)
    assert found.shape == (1,) and float(found.detach()) == pytest.approx(root)
    expected = torch.tensor([[-4 / (2 * root)], [3 / (2 * root)]])
    torch.testing.assert_close(gradient(found.sum(), made), expected)
    silent = torch.full((2, 1), -9.0, requires_grad=True)
    assert not gradient(frame_distance(silent, torch.full((2, 1), -7.0)).sum(), silent).any()


# --- in what is trained

MISSED, TRUE = -8.0, -2.0


class ConstantLevel(nn.Module):
    """Gives one level everywhere, whatever its input."""

    def __init__(self, level: float = MISSED, styles: int | None = None) -> None:
        super().__init__()
        self.level = nn.Parameter(torch.tensor(level))
        self.styles = styles

    def forward(self, spectrogram: Tensor, *told: Tensor) -> Any:
        flat = torch.zeros_like(spectrogram) + self.level
        if self.styles is None:
            return flat
        return flat[:, None].repeat(1, self.styles, 1, 1), None


def slopes(turn: Any, model: ConstantLevel) -> dict[str, float]:
    """The gradient of each term that depends on the level that it gives."""
    found = {}
    for name, term in turn.terms.items():
        (slope,) = torch.autograd.grad(term, model.level, retain_graph=True, allow_unused=True)
        if slope is not None:
            found[name] = float(slope)
    return found


def test_a_missed_note_teaches_every_term_of_templates() -> None:
    models = {stem: ConstantLevel(styles=2) for stem in ("bass", "drums")}
    objective = TemplateObjective(models, {}, [1.0, 1.0])
    batch = {f"{stem}/source": torch.full((1, 4, 8), -3.0) for stem in models}
    batch |= {f"{stem}/target": torch.full((1, 2, 4, 8), TRUE) for stem in models}
    (turn,) = objective.turns(batch, 0, torch.Generator())
    found = slopes(turn, models["bass"])
    assert found["bass/audible"] == found["bass/deep"] == pytest.approx(-1)
    assert found["bass/frame"] == pytest.approx(-1, abs=1e-4)
    assert found["together"] == pytest.approx(-0.5, abs=1e-4)  # half of the power is its own


def test_a_missed_note_teaches_every_term_of_pairs() -> None:
    spectrogram = SpectrogramSettings(bins=16, n_fft=512, hop_length=128)
    model = ConstantLevel()
    objective = PairedObjective(model, StemSpectrograms(spectrogram), {}, adversarial_from=10)
    random = torch.Generator().manual_seed(0)
    loud = 3 * torch.randn(3, 2, spectrogram.samples(8), generator=random)
    batch = {"source": loud, "target": loud, "stem": torch.arange(3)}
    batch |= {"mix": loud.sum(0)[None], "kept": 1e-9 * loud[:1]}
    assert float(spectrogram.stereo(loud).min()) > -6
    (turn,) = objective.turns(batch, 0, torch.Generator())
    found = slopes(turn, model)
    assert found["audible"] == found["deep"] == pytest.approx(-1)
    # The stems are three of four powers; what is kept lies at the spectrogram's floor.
    assert -1 <= found["together"] < -0.75


def test_a_missed_note_teaches_every_term_of_many_styles() -> None:
    model = ConstantLevel()
    settings = AnyToManySettings(whole=1.0, adversarial_from=10)
    objective = AnyToMany(model, nn.Identity(), ("jazz", "rock"), settings)  # type: ignore[arg-type]
    source = torch.full((1, 4, 6), TRUE)
    pairs = {"source": source, "target": torch.stack([source] * 2, 1), "stem": torch.tensor([0])}
    (turn,) = objective.turns(pairs, 0, torch.Generator())
    found = slopes(turn, model)
    assert found["audible"] == found["deep"] == pytest.approx(-1)
    assert found["frame"] == pytest.approx(-1, abs=1e-4)
    with torch.no_grad():
        model.level.fill_(-12.0)  # below what discriminators see, in which cycles are measured
    songs = {
        "source": source,
        "target": source,
        "stem": torch.tensor([0]),
        "style": torch.zeros(1).long(),
    }
    (turn,) = objective.turns(songs, 0, torch.Generator())
    found = slopes(turn, model)
    assert found["cycle"] == found["identity"] == pytest.approx(-1 / 3)


def test_a_missed_note_teaches_the_identity_without_pairs() -> None:
    model = ConstantLevel(-12.0)
    flat = torch.full((1, 4, 6), TRUE)
    objective = MelGanVc(model, {}, nn.Flatten(), difference=visible_difference)
    terms = objective.generator_terms({"source": flat, "target": flat})
    assert float(gradient(terms["identity"], model.level)) == pytest.approx(-1 / 3)
    assert float(terms["identity"].detach()) == pytest.approx((9 - 2) / 3)
