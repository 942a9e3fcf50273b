"""The MelGAN-VC objective: loss terms by hand, gradients, and known errors of other versions."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from audiotransfer.spectral.networks.discriminators import (
    FullFrequencyDiscriminator,
    PatchDiscriminator,
)
from audiotransfer.spectral.objectives.melgan_vc import (
    MelGanVc,
    MelGanVcSettings,
    Siamese,
    discriminator_hinge,
    margin,
    tile_frames,
    travel,
)
from audiotransfer.training import Trainer, TrainerSettings
from audiotransfer.training.adversarial import smooth_norm

BINS, FRAMES = 16, 8
FLOOR = math.log(3e-5)


class TinyGenerator(nn.Module):
    """A change of level on top of the spectrogram, normalised spectrogram by spectrogram."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(1, 4, 3, padding=1), nn.InstanceNorm2d(4), nn.ReLU(), nn.Conv2d(4, 1, 1)
        )

    def forward(self, spectrogram: Tensor) -> Tensor:
        return spectrogram + self.layers(spectrogram[:, None])[:, 0]


class StemGenerator(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.level = nn.Parameter(torch.tensor([1.0, 10.0, 100.0]))

    def forward(self, spectrogram: Tensor, stem: Tensor) -> Tensor:
        return spectrogram + self.level[stem][:, None, None]


class Shift(nn.Module):
    """Adds a constant: a generator whose every loss can be worked out by hand."""

    def __init__(self, by: float) -> None:
        super().__init__()
        self.by = nn.Parameter(torch.tensor(by))

    def forward(self, spectrogram: Tensor) -> Tensor:
        return spectrogram + self.by


class Mean(nn.Module):
    """The mean of a spectrogram: as a discriminator [B, 1], as a siamese network a point on a
    line.
    """

    def __init__(self, gain: float = 1.0) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.tensor(gain))

    def forward(self, spectrogram: Tensor) -> Tensor:
        return self.gain * spectrogram.mean((2, 3))


def objective(seed: int = 0, **settings: float) -> MelGanVc:
    torch.manual_seed(seed)
    return MelGanVc(
        TinyGenerator(),
        {"full": FullFrequencyDiscriminator(BINS, 8), "patch": PatchDiscriminator(4)},
        Siamese(BINS, FRAMES, 8, 6),
        MelGanVcSettings(**settings),  # type: ignore[arg-type]
    )


def windows(batch: int, seed: int = 0) -> Tensor:
    noise = torch.randn(batch, BINS, 3 * FRAMES, generator=torch.Generator().manual_seed(seed))
    return -4 + 2 * noise


def batch_of(source: Tensor, target: Tensor | None = None) -> dict[str, Tensor]:
    return {"source": source, "target": windows(2, 9) if target is None else target}


def flat(*levels: float) -> Tensor:
    """One window whose three tiles are constant, [1, 2, 6]."""
    return torch.tensor(levels).repeat_interleave(2).expand(1, 2, 6)


def by_hand(shift: float = 0.5, **settings: float) -> MelGanVc:
    chosen = MelGanVcSettings(silence=-10, **settings)  # type: ignore[arg-type]
    return MelGanVc(Shift(shift), {"mean": Mean(1.0)}, Mean(2.0), chosen)


def test_hinge_by_hand() -> None:
    real, made = torch.tensor([[0.25, 2.0], [1.0, -1.0]]), torch.tensor([[-2.0, 0.5]])
    # relu(1 - real) = .75, 0, 0, 2; relu(1 + made) = 0, 1.5
    assert discriminator_hinge(real, made).item() == pytest.approx(0.5 * (2.75 / 4 + 1.5 / 2))
    only_first = torch.tensor([True, False])
    assert discriminator_hinge(real, made, only_first).item() == pytest.approx(0.5 * (0.375 + 0.75))


def test_travel_by_hand() -> None:
    source, converted = (
        torch.tensor([[3.0, 4.0], [1.0, 0.0]]),
        torch.tensor([[4.0, 3.0], [0.0, 2.0]]),
    )
    # squares: mean(1, 1) = 1 and mean(1, 4) = 2.5; cosines: 24 / 25 and 0
    expected = ((1 - 24 / 25) + 2.5) / 2
    assert travel(source, converted).item() == pytest.approx(expected, abs=1e-4)
    second = torch.tensor([False, True])
    assert travel(source, converted, second).item() == pytest.approx(2.5, abs=1e-4)


def test_margin_by_hand() -> None:
    differences = torch.tensor([[0.3, 0.4], [3.0, 4.0]])  # lengths 0.5 and 5
    assert margin(differences, 2.0).item() == pytest.approx(1.5**2 / 2, abs=1e-3)


def test_smooth_norm_is_a_norm_up_to_its_epsilon() -> None:
    assert smooth_norm(torch.tensor([3.0, 4.0])).item() == pytest.approx(5, abs=1e-4)
    assert smooth_norm(torch.zeros(3)).item() == pytest.approx(0.01)


def test_every_term_of_the_objective_by_hand() -> None:
    """Tiles at 1, 0, -2 are lifted by 0.5; the discriminator sees means, the siamese twice the
    means.
    """
    toy = by_hand()
    batch = {"source": flat(1.0, 0.0, -2.0), "target": flat(0.25, 0.25, 0.25)}
    converted_mean = -1 / 3 + 0.5
    discriminator = toy.discriminator_terms(batch)
    assert discriminator["hinge_mean"].item() == pytest.approx(0.5 * (0.75 + 1 + converted_mean))
    terms = toy.generator_terms(batch)
    assert terms["adversarial_mean"].item() == pytest.approx(-converted_mean)
    # A constant cancels in the difference 2 * (1 - -2) = 6: same vector, cosine 1.
    assert terms["travel"].item() == pytest.approx(-1, abs=1e-5)
    assert terms["margin"].item() == 0
    assert terms["identity"].item() == pytest.approx(0.5)
    near = {"source": flat(0.25, 5.0, 0.0), "target": batch["target"]}
    assert toy.generator_terms(near)["margin"].item() == pytest.approx(1.5**2, abs=1e-3)


def test_the_weights_are_those_of_the_recipe() -> None:
    weights = objective().generator_weights
    assert weights == {
        "adversarial_full": 0.5,
        "adversarial_patch": 0.5,
        "travel": 10.0,
        "margin": 10.0,
        "identity": 0.5,
    }
    assert set(weights) == set(objective().generator_terms(batch_of(windows(2))))


def test_the_margin_looks_at_source_tiles_only() -> None:
    toy = by_hand()
    batch = {"source": flat(0.25, 0.0, 0.0), "target": flat(0.0, 0.0, 0.0)}
    (gradient,) = torch.autograd.grad(
        toy.generator_terms(batch)["margin"], toy.generator.parameters(), allow_unused=True
    )
    assert gradient is None


def test_the_generator_moves_every_third_step_with_the_siamese_network() -> None:
    toy = objective()
    batch, random = batch_of(windows(2)), torch.Generator()
    groups = [[turn.group for turn in toy.turns(batch, step, random)] for step in range(4)]
    assert groups == [
        ["discriminator", "generator"],
        ["discriminator"],
        ["discriminator"],
        ["discriminator", "generator"],
    ]
    assert toy.groups["generator"].networks == ("generator", "siamese")


def test_every_parameter_has_a_gradient_in_its_turn_and_only_there() -> None:
    toy = objective()
    for discriminator in toy.discriminators.values():  # verdicts beyond the hinge's corners as well
        with torch.no_grad():
            dict(discriminator.named_parameters())["layers.6.bias"].fill_(1.0)
    owners = {
        group: [p for name in made.networks for p in toy.networks[name].parameters()]
        for group, made in toy.groups.items()
    }
    assert sum(len(p) for p in owners.values()) == sum(
        len(list(network.parameters())) for network in toy.networks.values()
    )
    for turn in toy.turns(batch_of(windows(3)), 0, torch.Generator()):
        loss = sum(turn.weights.get(n, 1.0) * term for n, term in turn.terms.items())
        gradients = torch.autograd.grad(loss, owners[turn.group])  # type: ignore[arg-type]
        cancelled = {"layers.0.bias"}  # a constant, before instance norm
        names = [n for k in toy.groups[turn.group].networks for n, _ in _named(toy, k)]
        for name, gradient in zip(names, gradients, strict=True):
            assert gradient.isfinite().all()
            assert gradient.abs().max() > 0 or name in cancelled, name


def _named(toy: MelGanVc, network: str) -> list[tuple[str, nn.Parameter]]:
    return list(toy.networks[network].named_parameters())


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    "kind", ["silence", "identical tiles", "one silent tile", "constant", "clicks"]
)
def test_terms_and_gradients_are_finite_on_hard_spectrograms(kind: str, seed: int) -> None:
    tile = windows(2, seed)[..., :FRAMES]
    silence = torch.full_like(tile, FLOOR)
    click = silence.clone()
    click[..., 3] = 3.0
    source = {
        "silence": [silence] * 3,
        "identical tiles": [tile] * 3,
        "one silent tile": [silence, tile, tile],
        "constant": [torch.full_like(tile, -2.0)] * 3,
        "clicks": [click, silence, click],
    }[kind]
    toy = objective(seed)
    window = torch.cat(source, -1)
    for batch in (batch_of(window), batch_of(windows(2), window), batch_of(window, window)):
        for turn in toy.turns(batch, 0, torch.Generator()):
            parameters = [
                p for n in toy.groups[turn.group].networks for p in toy.networks[n].parameters()
            ]
            loss = torch.stack([*turn.terms.values()]).sum()
            assert all(term.isfinite() for term in turn.terms.values())
            for gradient in torch.autograd.grad(loss, parameters):
                assert gradient.isfinite().all()


def test_silent_tiles_take_no_part_in_travel_and_margin() -> None:
    toy, sounding = objective(), windows(2)
    silent = windows(1, 5)
    silent[..., -FRAMES:] = FLOOR
    with torch.no_grad():
        alone = toy.generator_terms(batch_of(sounding))
        mixed = toy.generator_terms(batch_of(torch.cat([sounding, silent])))
        none = toy.generator_terms(batch_of(silent))
    for name in ("travel", "margin"):
        torch.testing.assert_close(mixed[name], alone[name])
        assert none[name].item() == 0


def test_silent_windows_teach_the_discriminators_nothing() -> None:
    silence = torch.full((1, BINS, 3 * FRAMES), FLOOR)
    found = []
    for extra in ([], [silence]):
        toy = objective()  # anew: spectral norm turns its vectors a little at every call
        source, target = torch.cat([windows(2), *extra]), torch.cat([windows(3, 1), *extra])
        with torch.no_grad():
            found.append(toy.discriminator_terms(batch_of(source, target)))
    torch.testing.assert_close(found[0], found[1])


def test_source_and_target_of_unequal_number_are_used_to_the_last() -> None:
    toy = by_hand()
    source = torch.cat([flat(0.0, 0.0, 0.0), flat(3.0, 3.0, 3.0)])
    target = torch.cat([flat(0.0, 0.0, 0.0)] * 2 + [flat(-3.0, -3.0, -3.0)])
    hinge = toy.discriminator_terms({"source": source, "target": target})["hinge_mean"].item()
    assert hinge == pytest.approx(0.5 * ((1 + 1 + 4) / 3 + (1.5 + 4.5) / 2))


def test_nothing_is_normalised_over_the_batch() -> None:
    toy = objective()
    for network in toy.networks.values():
        assert not any(isinstance(m, nn.modules.batchnorm._BatchNorm) for m in network.modules())
        network.eval()
    pair, view = windows(2), windows(2)[:, None]
    with torch.no_grad():
        torch.testing.assert_close(toy.convert(pair, {})[:1], toy.convert(pair[:1], {}))
        for discriminator in toy.discriminators.values():
            torch.testing.assert_close(discriminator(view)[:1], discriminator(view[:1]))
        tile = view[..., :FRAMES]
        torch.testing.assert_close(toy.siamese(tile)[:1], toy.siamese(tile[:1]))


def test_the_floor_is_fixed_a_peak_elsewhere_changes_no_other_tile() -> None:
    """A floor that follows the peak would lift what a discriminator sees beside a loud bang."""
    seen: list[Tensor] = []

    class Watching(Mean):
        def forward(self, spectrogram: Tensor) -> Tensor:
            seen.append(spectrogram.detach())
            return super().forward(spectrogram)

    toy = MelGanVc(Shift(0.0), {"mean": Watching()}, Mean())
    quiet, loud = windows(1).clamp(min=FLOOR), windows(1).clamp(min=FLOOR)
    loud[..., -1] += 8
    for target in (quiet, loud):
        toy.discriminator_terms(batch_of(windows(1), target))
    real = seen[::2]
    torch.testing.assert_close(real[0][..., :-1], real[1][..., :-1], rtol=0, atol=0)
    assert real[0].shape == (1, 1, BINS, 3 * FRAMES)


def test_discriminators_are_linear_at_the_end_and_bounded_in_gain() -> None:
    for discriminator in (FullFrequencyDiscriminator(BINS, 8), PatchDiscriminator(4)):
        assert not any(
            isinstance(m, nn.Tanh | nn.Sigmoid | nn.Softsign) for m in discriminator.modules()
        )
        with torch.no_grad():
            verdict = discriminator(1000 * windows(2)[:, None])
            assert verdict.abs().max() > 1
        for _ in range(50):
            discriminator(windows(2)[:, None])  # the power iteration settles
        for layer in discriminator.modules():
            if isinstance(layer, nn.Conv2d):
                largest = torch.linalg.matrix_norm(layer.weight.flatten(1), 2).item()
                assert largest == pytest.approx(1, abs=0.02)


def test_the_full_frequency_discriminator_sees_all_bins_at_once() -> None:
    discriminator = FullFrequencyDiscriminator(BINS, 8).eval()
    spectrogram = windows(1)[:, None].requires_grad_()
    (gradient,) = torch.autograd.grad(discriminator(spectrogram)[0, 0, 0, 2], spectrogram)
    assert (gradient.abs().sum((0, 1, 3)) > 0).all()
    assert discriminator(spectrogram).shape == (1, 1, 1, 6)
    shapes = [tuple(m.kernel_size) for m in discriminator.modules() if isinstance(m, nn.Conv2d)]
    assert shapes == [(BINS, 3), (1, 9), (1, 7), (1, 1)]


def test_a_tile_is_measured_in_seconds() -> None:
    at_16k, at_44k = tile_frames(0.8, 16000, 192), tile_frames(0.8, 44100, 512)
    for frames, rate, hop in ((at_16k, 16000, 192), (at_44k, 44100, 512)):
        assert frames % 16 == 0
        assert 0.8 <= frames * hop / rate < 0.8 + 16 * hop / rate
    assert tile_frames(0.001, 44100, 512) == 16
    assert tile_frames(0.5, 1000, 100, multiple=5) == 5


def test_frames_that_do_not_make_three_tiles_are_refused() -> None:
    with pytest.raises(ValueError, match="multiple of 3"):
        objective().discriminator_terms(batch_of(windows(1)[..., :-1]))


def test_a_conditional_generator_gets_the_condition_of_each_tile() -> None:
    toy = MelGanVc(StemGenerator(), {"mean": Mean()}, Mean(), condition="stem")
    source = torch.zeros(3, BINS, 3 * FRAMES)
    converted = toy.convert(source, {"stem": torch.tensor([2, 0, 1])})
    expected = torch.tensor([100.0, 1.0, 10.0])[:, None, None].expand_as(source)
    torch.testing.assert_close(converted, expected)


def test_the_view_is_what_genre_networks_see() -> None:
    plain = MelGanVc(Shift(0.5), {"mean": Mean()}, Mean())
    viewed = MelGanVc(Shift(0.5), {"mean": Mean()}, Mean(), view=lambda x: x / 2)
    batch = batch_of(windows(2))
    for name in ("adversarial_mean", "identity"):
        half = plain.generator_terms(batch)[name] / 2
        torch.testing.assert_close(viewed.generator_terms(batch)[name], half)


def test_the_preview_shows_one_of_each() -> None:
    preview = objective().preview(batch_of(windows(2)), torch.Generator())
    assert set(preview.images) == {"source", "converted", "target"}
    assert all(p.shape == (BINS, 3 * FRAMES) for p in preview.images.values())


class Spectrograms:
    """Source: noise; target: the same kind of noise, 1.5 louder."""

    def batch(self, step: int) -> dict[str, Tensor]:
        return {"source": windows(4, step), "target": windows(4, 1000 + step) + 1.5}


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_training_moves_the_source_toward_the_target(tmp_path: Path, precision: str) -> None:
    torch.manual_seed(0)
    toy = MelGanVc(
        Shift(0.0),
        {"full": FullFrequencyDiscriminator(BINS, 8)},
        Siamese(BINS, FRAMES, 8, 6),
        MelGanVcSettings(
            identity=0.0, generator_every=1, generator_rate=0.05, discriminator_rate=0.02
        ),
    )
    settings = TrainerSettings(steps=40, workers=0, precision=precision)  # type: ignore[arg-type]
    figures = Trainer(toy, Spectrograms(), settings, tmp_path).run()
    assert 0.4 < toy.generator.by.item() < 2.6
    assert {"discriminator/hinge_full", "generator/travel", "generator/margin"} <= set(figures)
