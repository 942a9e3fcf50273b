"""CycleGAN, CUT and both forms of MelGAN-VC: loss terms by hand, and the objective's contract."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from audiotransfer.errors import AudioTransferError
from audiotransfer.spectral.models.unet import UNet
from audiotransfer.spectral.networks import ResNetGenerator
from audiotransfer.spectral.objectives import registry
from audiotransfer.spectral.objectives.cut import Cut, CutSettings, patch_nce
from audiotransfer.spectral.objectives.cycle_gan import CycleGan
from audiotransfer.spectral.objectives.registry import NetworkFactory
from audiotransfer.spectral.objectives.stem_cycle_gan import StemCycleGan
from audiotransfer.spectral.objectives.stem_spectrograms import StemSpectrograms
from audiotransfer.training import Objective, Trainer, TrainerSettings
from audiotransfer.training.adversarial import ADVERSARIAL_LOSSES, ImagePool, gradient_penalty
from audiotransfer.training.cycle_consistency import SIDES, CycleGanSettings
from audiotransfer.training.devices import launch
from audiotransfer.training.settings import learning_rate_factor
from audiotransfer.training.stepping import Stepper
from vocoder import SpectrogramSettings
from vocoder.spectrogram import to_unit

BINS, FRAMES = 32, 36
FLOOR = math.log(3e-5)
_RESNET = {"kind": "resnet", "width": 4, "blocks": 2}
_UNET = {"kind": "padded-unet", "channels": [4, 4, 6]}
_PATCH = {"patch": {"kind": "patch", "width": 4}}
_WINDOW = {"window": {"kind": "whole-frequency", "width": 6}}
_SIAMESE = {"width": 8, "size": 6}

#: Objective, generator, discriminators, settings.
FORMS: dict[str, tuple[str, dict[str, Any], dict[str, Any], dict[str, Any]]] = {
    "melgan-vc as published": (
        "melgan-vc",
        {"kind": "whole-frequency", "width": 8},
        _WINDOW,
        {"siamese": {**_SIAMESE, "norm": "batch"}},
    ),
    "melgan-vc, U-Net": (
        "melgan-vc",
        {**_UNET, "channels": [4, 6]},
        _WINDOW,
        {"siamese": _SIAMESE},
    ),
    "cycle-gan, lsgan": (
        "cycle-gan",
        _RESNET,
        {"p": {"kind": "patch-gan", "width": 2}},
        {"pool": 2},
    ),
    "cycle-gan, hinge": (
        "cycle-gan",
        _UNET,
        {**_PATCH, "places": {"kind": "places", "width": 4}},
        {"game": "hinge", "pool": 2},
    ),
    "cycle-gan, wgan-gp": (
        "cycle-gan",
        _RESNET,
        {"whole": {"kind": "spectrogram", "width": 4, "levels": 2}},
        {"game": "wgan-gp", "pool": 2},
    ),
    "cut": ("cut", _RESNET, _PATCH, {"patches": 12, "size": 8}),
    "cut, U-Net and hinge": ("cut", _UNET, _PATCH, {"patches": 12, "size": 8, "game": "hinge"}),
}


def make(form: str, seed: int = 0) -> Objective:
    name, generator, discriminators, settings = FORMS[form]
    with torch.random.fork_rng([]):
        torch.manual_seed(seed)
        return registry.create(
            name, NetworkFactory(BINS, FRAMES, generator, discriminators), settings
        )


def windows(batch: int = 2, seed: int = 0) -> Tensor:
    noise = torch.randn(batch, BINS, FRAMES, generator=torch.Generator().manual_seed(seed))
    return -4 + 1.5 * noise


def batch_of(seed: int = 0) -> dict[str, Tensor]:
    return {"source": windows(2, seed), "target": windows(2, 100 + seed) + 0.5}


class Shift(nn.Module):
    """Adds a constant: every loss can be worked out by hand."""

    def __init__(self, by: float) -> None:
        super().__init__()
        self.by = nn.Parameter(torch.tensor(by))

    def forward(self, spectrogram: Tensor) -> Tensor:
        return spectrogram + self.by


class Mean(nn.Module):
    def __init__(self, gain: float = 1.0) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.tensor(gain))

    def forward(self, spectrogram: Tensor) -> Tensor:
        return self.gain * spectrogram.mean((2, 3))


# --- games


def test_games_by_hand() -> None:
    real, made = torch.tensor([[0.5], [2.0]]), torch.tensor([[-1.0], [0.25], [0.75]])
    assert ADVERSARIAL_LOSSES["lsgan"].discriminator(real, made).item() == pytest.approx(
        0.5 * ((0.25 + 1) / 2 + (1 + 0.0625 + 0.5625) / 3)
    )
    assert ADVERSARIAL_LOSSES["lsgan"].generator(made).item() == pytest.approx(
        (4 + 0.5625 + 0.0625) / 3
    )
    assert ADVERSARIAL_LOSSES["hinge"].discriminator(real, made).item() == pytest.approx(
        0.5 * (0.5 / 2 + (0 + 1.25 + 1.75) / 3)
    )
    assert ADVERSARIAL_LOSSES["wgan-gp"].discriminator(real, made).item() == pytest.approx(0 - 1.25)
    for game in ("hinge", "wgan-gp"):
        assert ADVERSARIAL_LOSSES[game].generator(made).item() == pytest.approx(0.0)
    assert [ADVERSARIAL_LOSSES[g].penalised for g in ADVERSARIAL_LOSSES] == [False, False, True]


def test_gradient_penalty_by_hand() -> None:
    class Sum(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return 0.5 * x.sum((1, 2, 3))[:, None]

    real, made = torch.randn(3, 1, 2, 8), torch.randn(3, 1, 2, 8)
    found = gradient_penalty(Sum(), real, made, torch.Generator())
    assert found.item() == pytest.approx((0.5 * 4 - 1) ** 2, abs=1e-5)

    class Square(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return 0.5 * x.square().sum((1, 2, 3))[:, None]

    found = gradient_penalty(Square(), real, made, torch.Generator().manual_seed(3))
    share = torch.rand(3, 1, 1, 1, generator=torch.Generator().manual_seed(3))
    lengths = [float((r + s * (m - r)).norm()) for r, m, s in zip(real, made, share, strict=True)]
    assert found.item() == pytest.approx(sum((n - 1) ** 2 for n in lengths) / 3, rel=1e-5)


# --- the pool


def test_the_pool_by_an_independent_loop() -> None:
    pool, mine = ImagePool(3, 1, 1), []
    draws = torch.Generator().manual_seed(5)
    again = torch.Generator().manual_seed(5)
    for step in range(6):
        made = torch.arange(4.0).view(4, 1, 1) + 10 * step
        expected = []
        for value in made.flatten().tolist():
            if len(mine) < 3:
                mine.append(value)
                expected.append(value)
            elif float(torch.rand((), generator=again)) < 0.5:
                at = int(torch.randint(3, (), generator=again))
                expected.append(mine[at])
                mine[at] = value
            else:
                expected.append(value)
        assert pool(made, draws).flatten().tolist() == expected
    assert pool.images.flatten().tolist() == mine and int(pool.held) == 3


def test_an_empty_pool_hands_everything_on() -> None:
    made = windows()
    pool = ImagePool(0, BINS, FRAMES)
    for _ in range(3):
        assert torch.equal(pool(made, torch.Generator()), made)


# --- CycleGAN


def by_hand(game: str = "lsgan", **settings: Any) -> CycleGan:
    discriminators = {"target": {"mean": Mean(1.0)}, "source": {"mean": Mean(2.0)}}
    pools = {side: ImagePool(0, 2, 2) for side in SIDES}
    chosen = CycleGanSettings(game=game, **settings)  # type: ignore[arg-type]
    return CycleGan(Shift(0.5), Shift(-0.2), discriminators, pools, chosen, lambda x: x)


def test_every_term_of_cycle_gan_by_hand() -> None:
    """Source at 1, target at 3; forth adds 0.5, back takes 0.2; discriminators see one and two
    means.
    """
    batch = {"source": torch.full((2, 2, 2), 1.0), "target": torch.full((2, 2, 2), 3.0)}
    made, judged = by_hand().turns(batch, 0, torch.Generator())
    assert (made.group, judged.group) == ("generator", "discriminator")
    terms = {name: pytest.approx(value, abs=1e-5) for name, value in {
        "adversarial_target_mean": (1.5 - 1) ** 2,
        "adversarial_source_mean": (2 * 2.8 - 1) ** 2,
        "cycle_target": 0.3,
        "cycle_source": 0.3,
        "identity_target": 0.5,
        "identity_source": 0.2,
    }.items()}  # fmt: skip
    assert {name: float(term.detach()) for name, term in made.terms.items()} == terms
    assert float(judged.terms["discriminator_target_mean"].detach()) == pytest.approx(
        0.5 * ((3 - 1) ** 2 + 1.5**2)
    )
    assert float(judged.terms["discriminator_source_mean"].detach()) == pytest.approx(
        0.5 * ((2 - 1) ** 2 + 5.6**2)
    )
    assert set(judged.terms) == {"discriminator_target_mean", "discriminator_source_mean"}
    assert made.weights == {
        **dict.fromkeys(("adversarial_target_mean", "adversarial_source_mean"), 1.0),
        **dict.fromkeys(("cycle_target", "cycle_source"), 10.0),
        **dict.fromkeys(("identity_target", "identity_source"), 5.0),
        **dict.fromkeys(("penalty_target_mean", "penalty_source_mean"), 10.0),
    }


def test_the_penalty_is_a_term_of_its_own() -> None:
    batch = {"source": torch.full((2, 2, 2), 1.0), "target": torch.full((2, 2, 2), 3.0)}
    _, judged = by_hand("wgan-gp").turns(batch, 0, torch.Generator())
    # A mean over four cells has the slope 1/4 in each: length 1/2, and 1 for twice the mean.
    assert float(judged.terms["penalty_target_mean"].detach()) == pytest.approx(0.25, abs=1e-4)
    assert float(judged.terms["penalty_source_mean"].detach()) == pytest.approx(0, abs=1e-4)
    assert float(judged.terms["discriminator_target_mean"].detach()) == pytest.approx(1.5 - 3)


def test_the_identity_fades_and_is_then_not_computed() -> None:
    toy = by_hand(identity=5.0, identity_hold=100, identity_fade=50)
    weights = [toy.weights(step)["identity_target"] for step in (0, 100, 125, 150, 1000)]
    assert weights == pytest.approx([5.0, 5.0, 2.5, 0.0, 0.0])
    batch = {"source": torch.ones(1, 2, 2), "target": torch.ones(1, 2, 2)}
    late = next(iter(toy.turns(batch, 150, torch.Generator())))
    assert not any(name.startswith("identity") for name in late.terms)


def test_discriminators_share_the_adversarial_weight() -> None:
    objective = make("cycle-gan, hinge")
    assert isinstance(objective, CycleGan)
    assert objective.weights(0)["adversarial_target_patch"] == 0.5


def test_discriminators_meet_what_was_made_before() -> None:
    objective = make("cycle-gan, lsgan")
    assert isinstance(objective, CycleGan)
    for step in range(3):
        list(objective.turns(batch_of(step), step, torch.Generator().manual_seed(step)))
    pool = objective.pools["target"]
    assert int(pool.held) == 2 and bool(pool.images.any())


def test_a_cycle_gan_of_stems_conditions_both_networks() -> None:
    """The same spectrograms of another stem give other terms, by generators and discriminators."""
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        objective = StemCycleGan(
            UNet(BINS, (4, 6)),
            UNet(BINS, (4, 6)),
            StemSpectrograms(SpectrogramSettings(bins=BINS)),
            CycleGanSettings("hinge", pool=0),
        )
        for network in objective.generators.values():
            assert isinstance(network, UNet)
            torch.nn.init.normal_(network.leave.weight, std=0.1)
    random = torch.Generator().manual_seed(3)
    sounds = {side: 0.1 * torch.randn(1, 2, 32 * 512 - 1, generator=random) for side in SIDES}
    found = []
    for stem in (0, 2):
        batch = {**sounds, "stem": torch.tensor([stem])}
        made, judged = objective.turns(batch, 0, torch.Generator())
        found.append({name: float(t.detach()) for name, t in (made.terms | judged.terms).items()})
    assert set(found[0]) == {
        *(f"{term}_{side}" for term in ("cycle", "identity") for side in SIDES),
        *(f"adversarial_{side}_{name}" for side in SIDES for name in ("full", "patch")),
        *(f"discriminator_{side}_{name}" for side in SIDES for name in ("full", "patch")),
    }
    assert all(found[0][name] != found[1][name] for name in found[0])
    made, _ = objective.turns({**sounds, "stem": torch.tensor([1])}, 0, torch.Generator())
    made.terms["cycle_target"].backward()
    for network in objective.generators.values():
        assert isinstance(network, UNet) and network.code.weight.grad is not None
        assert [bool(row.any()) for row in network.code.weight.grad] == [False, True, False]
    preview = objective.preview({**sounds, "stem": torch.tensor([1])}, torch.Generator())
    assert preview.images["to target/back"].shape == (BINS, 32)
    with pytest.raises(AudioTransferError, match="set 0"):
        StemCycleGan(
            UNet(BINS, (4, 6)), UNet(BINS, (4, 6)), objective.spectrograms, CycleGanSettings()
        )


# --- CUT


def test_patch_nce_by_an_independent_loop() -> None:
    random = torch.Generator().manual_seed(1)
    query, key = (
        functional.normalize(torch.randn(2, 3, 4, generator=random), dim=-1) for _ in range(2)
    )
    total = 0.0
    for one, other in zip(query, key, strict=True):
        for place in range(3):
            scores = [math.exp(float(one[place] @ other[k]) / 0.5) for k in range(3)]
            total -= math.log(scores[place] / sum(scores))
    assert patch_nce(query, key, 0.5).item() == pytest.approx(total / 6, rel=1e-5)
    two = torch.eye(2)[None]
    assert patch_nce(two, two, 1.0).item() == pytest.approx(math.log(1 + math.exp(-1)), rel=1e-5)


class Direct(ResNetGenerator):
    """Compares the cells of the spectrogram with each other, as they are."""

    def __init__(self) -> None:
        super().__init__(2, width=2, blocks=1)
        self.by = nn.Parameter(torch.tensor(0.5))
        self.feature_channels = (1,)

    def forward(self, spectrogram: Tensor) -> Tensor:
        return spectrogram + self.by

    def encode(self, unit: Tensor) -> list[Tensor]:
        return [unit]


class Circle(nn.Module):
    """A cell's level as a point on a circle."""

    def forward(self, patches: list[Tensor]) -> list[Tensor]:
        return [torch.cat([one.cos(), one.sin()], -1) for one in patches]


def test_every_term_of_cut_by_hand() -> None:
    settings = CutSettings(game="hinge", temperature=0.5, patches=100)
    toy = Cut(Direct(), {"mean": Mean(2.0)}, settings, lambda x: x)
    toy.heads = Circle()  # type: ignore[assignment]
    source, target = torch.tensor([[[-3.0, -6.0]]]), torch.tensor([[[-1.0, -2.0]]])
    discriminator, made = toy.turns({"source": source, "target": target}, 0, torch.Generator())
    # Means: target -1.5, output -4; the discriminator sees twice as much.
    assert float(discriminator.terms["discriminator_mean"].detach()) == pytest.approx(0.5 * (1 + 3))
    assert float(made.terms["adversarial_mean"].detach()) == pytest.approx(8.0)

    def nce(before: Tensor) -> float:
        keys, queries = to_unit(before)[0, 0].tolist(), to_unit(before + 0.5)[0, 0].tolist()
        total = 0.0
        for own, query in enumerate(queries):
            scores = [math.exp(math.cos(query - key) / 0.5) for key in keys]
            total -= math.log(scores[own] / sum(scores))
        return total / len(queries)

    assert float(made.terms["nce"].detach()) == pytest.approx(nce(source), rel=1e-4)
    assert float(made.terms["identity_nce"].detach()) == pytest.approx(nce(target), rel=1e-4)
    assert made.weights == {"adversarial_mean": 1.0, "nce": 0.5, "identity_nce": 0.5}


def test_patches_are_compared_at_one_place() -> None:
    """The same spectrogram again is nearer than the spectrogram with its frames reversed."""
    objective = make("cut")
    assert isinstance(objective, Cut)
    spectrogram = windows()
    same, reversed_ = (
        float(objective.content_loss(spectrogram, other, torch.Generator().manual_seed(0)).detach())
        for other in (spectrogram, spectrogram.flip(-1))
    )
    assert same < reversed_


def test_without_identity_the_target_is_not_converted() -> None:
    toy = Cut(Direct(), {"mean": Mean()}, CutSettings(nce=10, identity=0), lambda x: x)
    _, made = toy.turns(
        {"source": windows()[:, :2], "target": windows()[:, :2]}, 0, torch.Generator()
    )
    assert set(made.terms) == {"adversarial_mean", "nce"}


def test_cut_refuses_what_it_cannot_use() -> None:
    discriminators = {"p": {"kind": "patch", "width": 4}}
    whole = NetworkFactory(BINS, FRAMES, {"kind": "whole-frequency", "width": 4}, discriminators)
    with pytest.raises(AudioTransferError, match="no features"):
        registry.create("cut", whole, {})
    with pytest.raises(AudioTransferError, match="wgan-gp"):
        registry.create(
            "cut", NetworkFactory(BINS, FRAMES, _RESNET, discriminators), {"game": "wgan-gp"}
        )


# --- what all of them promise


def test_all_that_are_registered_are_tried() -> None:
    assert {form[0] for form in FORMS.values()} == set(registry.names())


@pytest.mark.parametrize("form", FORMS)
def test_a_turn_moves_every_parameter_of_its_networks_and_no_other(form: str) -> None:
    objective = make(form)
    stepper = Stepper(objective.networks, objective.groups, launch(TrainerSettings(steps=1)))
    owned = {
        (network, name)
        for group in objective.groups.values()
        for network in group.networks
        for name, _ in objective.networks[network].named_parameters()
    }
    everything = {
        (network, name): parameter
        for network, module in objective.networks.items()
        for name, parameter in module.named_parameters()
    }
    assert owned == set(everything)
    with torch.no_grad():
        for (network, name), parameter in everything.items():
            if network.startswith("discriminator") and name == "layers.6.bias":
                # Beyond one of the hinge's corners: within both it moves neither, by symmetry.
                parameter.fill_(3.0)
    turns = objective.turns(batch_of(), 0, torch.Generator().manual_seed(0))
    groups = []
    while (turn := stepper.next(turns)) is not None:
        before = {key: parameter.detach().clone() for key, parameter in everything.items()}
        stepper.take(turn, 1.0)
        groups.append(turn.group)
        for (network, name), parameter in everything.items():
            moved = not torch.equal(parameter, before[network, name])
            assert moved == (network in objective.groups[turn.group].networks), (network, name)
    assert sorted(groups) == sorted(objective.groups)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("silent", ["source", "target", "both"])
def test_silence_gives_finite_terms_and_gradients(form: str, silent: str) -> None:
    objective, batch = make(form), batch_of()
    for side in SIDES:
        if silent in (side, "both"):
            batch[side] = torch.full_like(batch[side], FLOOR)
    for turn in objective.turns(batch, 0, torch.Generator()):
        assert all(bool(term.isfinite()) for term in turn.terms.values()), turn.terms
        networks = objective.groups[turn.group].networks
        parameters = [p for name in networks for p in objective.networks[name].parameters()]
        loss = torch.stack(list(turn.terms.values())).sum()
        for gradient in torch.autograd.grad(loss, parameters, allow_unused=True):
            assert gradient is None or bool(gradient.isfinite().all())


@pytest.mark.parametrize("form", [f for f in FORMS if not f.startswith("melgan")])
def test_a_deep_generator_learns_nothing_from_silence(form: str) -> None:
    """Else instance norms would turn rounding errors up to infinity."""
    objective, silence = make(form), torch.full((2, BINS, FRAMES), FLOOR)
    turns = objective.turns({"source": silence, "target": silence}, 0, torch.Generator())
    turn = next(turn for turn in turns if turn.group == "generator")
    parameters = list(objective.networks["generator"].parameters())
    loss = torch.stack(list(turn.terms.values())).sum()
    for gradient in torch.autograd.grad(loss, parameters, allow_unused=True):
        assert gradient is None or not bool(gradient.any())


class Spectrograms:
    def batch(self, step: int) -> dict[str, Tensor]:
        return batch_of(step)


def trained(form: str, folder: Path, stop: int | None = None) -> dict[str, Tensor]:
    objective = make(form)
    settings = TrainerSettings(steps=4, workers=0, checkpoint_every=2, log_every=1)
    trainer = Trainer(objective, Spectrograms(), settings, folder)
    trainer.run(should_stop=lambda: trainer.step == stop)
    return {
        f"{network}.{name}": value.clone()
        for network, module in objective.networks.items()
        for name, value in module.state_dict().items()
    }


@pytest.mark.parametrize("form", FORMS)
def test_a_stopped_training_goes_on_to_the_same_bits(form: str, tmp_path: Path) -> None:
    """Pools of made spectrograms included; and two trainings alike are alike."""
    whole = trained(form, tmp_path / "whole")
    trained(form, tmp_path / "parts", stop=3)
    parts = trained(form, tmp_path / "parts")
    assert whole.keys() == parts.keys()
    for name, value in whole.items():
        assert torch.equal(value, parts[name]), name


@pytest.mark.parametrize("form", FORMS)
def test_a_preview_shows_source_and_output(form: str) -> None:
    objective = make(form)
    for network in objective.networks.values():
        network.eval()
    with torch.no_grad():
        shown = objective.preview(batch_of(), torch.Generator()).images
    for wanted in ("source", "converted"):
        assert any(name.split("/")[-1] == wanted for name in shown)
    assert all(p.shape == (BINS, FRAMES) and bool(p.isfinite().all()) for p in shown.values())


def test_timbretrons_schedule() -> None:
    """Up by equal ratios over 2500 steps, level to 100 000, along a line to 0 at 1.5 million."""
    rates = [learning_rate_factor(s, 1_500_000, "linear", 2500, "exponential", 100_000) for s in (
        0, 1249, 2499, 2500, 99_999, 100_000, 800_000, 1_499_999
    )]  # fmt: skip
    assert rates[0] == pytest.approx(0.01 ** (2499 / 2500))
    assert rates[1] == pytest.approx(0.1)
    assert rates[2:6] == [1.0] * 4
    assert rates[6] == pytest.approx(0.5) and rates[7] < 1e-6


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        ("cut", {"patchs": 3}, "settings.patches"),
        ("cycel-gan", {}, "cycle-gan"),
        ("judge", {}, "no objective"),
    ],
)
def test_unknown_names_and_settings_are_refused(
    name: str, change: dict[str, int], words: str
) -> None:
    with pytest.raises(AudioTransferError, match=words):
        registry.create(name, NetworkFactory(BINS, FRAMES, _RESNET, _PATCH), change)


@pytest.mark.parametrize(
    ("factory", "words"),
    [
        (NetworkFactory(BINS, FRAMES, {"kind": "resnt"}, _PATCH), "did you mean 'resnet'"),
        (NetworkFactory(BINS, FRAMES, {}, _PATCH), "there are whole-frequency"),
        (NetworkFactory(BINS, FRAMES, _RESNET | {"depth": 3}, _PATCH), "depth"),
        (NetworkFactory(BINS, FRAMES, _RESNET, {}), "at least one discriminator"),
        (NetworkFactory(4, FRAMES, _UNET, _PATCH), "4 bins cannot be halved 3 times"),
        (
            NetworkFactory(BINS, 8, _RESNET, {"w": {"kind": "spectrogram", "levels": 4}}),
            "32 x 8 cannot be halved 4 times",
        ),
    ],
)
def test_networks_that_cannot_be_are_refused_in_one_line(
    factory: NetworkFactory, words: str
) -> None:
    with pytest.raises(AudioTransferError, match=words) as caught:
        registry.create("cycle-gan", factory, {})
    assert "\n" not in str(caught.value)
