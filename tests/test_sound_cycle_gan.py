"""CycleGAN on samples: companding with a gradient, generators, objective and recipe."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from waveform_songs import TRAINER, music, songs

from audiotransfer import load_style, recipes
from audiotransfer.errors import AudioTransferError
from audiotransfer.styles import read_card
from audiotransfer.waveform.feed_forward import (
    FoldedGenerator,
    WaveNetDiscriminator,
    WaveNetGenerator,
    with_spectral_norm,
    without_spectral_norm,
)
from audiotransfer.waveform.framed import FramedWaveNetGenerator
from audiotransfer.waveform.generators import WaveformGenerator
from audiotransfer.waveform.quantisation import eight_bit, soft_argmax
from audiotransfer.waveform.sound_cycle_gan import SoundCycleGan, SoundCycleSettings
from audiotransfer.waveform.transfer import WaveformTransfer, load_generator, save_generator

__all__ = ["songs"]


def wavenet(soft: bool = False) -> WaveNetGenerator:
    torch.manual_seed(0)
    return WaveNetGenerator(16000, 6, 4, 2, 3, soft).eval()


def framed() -> FramedWaveNetGenerator:
    torch.manual_seed(0)
    made = FramedWaveNetGenerator(16000, 64, 16, 6, 4, 2)
    torch.nn.init.normal_(made.network.leave.weight, std=0.3)
    return made.eval()


def folded() -> FoldedGenerator:
    torch.manual_seed(0)
    return FoldedGenerator(16000, 16, 4, 1).eval()


class Gain(WaveformGenerator):
    """A generator that scales."""

    sample_rate, grid, reach = 16000, 1, 0

    def __init__(self, gain: float) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.tensor(gain))

    def forward(self, sound: Tensor) -> Tensor:
        return self.gain * sound

    def convert(self, sound: Tensor) -> Tensor:
        return self.gain * sound


def test_eight_bits_have_256_values_and_a_gradient() -> None:
    sound = torch.linspace(-1, 1, 40001, requires_grad=True)
    made = eight_bit(sound)
    assert len(made.detach().unique()) == 256
    error = (made - sound).abs().detach()
    assert float(error[(sound.abs() < 0.01).detach()].max()) < 3e-4  # quiet steps are fine
    assert float(error.max()) < 0.025
    made.sum().backward()
    assert sound.grad is not None
    # The slopes of companding and of expansion undo each other, but for the step between them.
    assert float(sound.grad[1000:-1000].mean()) == pytest.approx(1.0, abs=0.02)


def test_the_soft_argmax_is_the_likeliest_step_where_one_is_likely() -> None:
    steps = torch.tensor([[0, 64, 128, 200, 255]])
    logits = 50.0 * nn.functional.one_hot(steps, 256).transpose(1, 2).float()
    made = soft_argmax(logits)
    assert torch.allclose(eight_bit(made), made, atol=1e-5)
    assert float(made[0, 0]) == pytest.approx(-1.0) and float(made[0, 4]) == pytest.approx(1.0)
    even = soft_argmax(torch.zeros(1, 256, 3, requires_grad=True))
    assert torch.allclose(even, torch.zeros(1, 3), atol=1e-6)


@pytest.mark.parametrize("make", [wavenet, lambda: wavenet(True), framed, folded])
def test_generators_are_local_and_keep_the_length(make: object) -> None:
    generator = make()  # type: ignore[operator]
    sound = 0.3 * torch.randn(1, 3000)
    with torch.no_grad():
        whole = generator.convert(sound)
        assert whole.shape == sound.shape and float(whole.abs().max()) <= 1.0
        start = -(-(800 - generator.reach) // generator.grid) * generator.grid
        part = generator.convert(sound[:, max(0, start) :])
        assert torch.allclose(part[:, 800 - max(0, start) :], whole[:, 800:], atol=1e-5)
        changed = sound.clone()
        changed[:, 1500] += 0.5
        moved = (generator.convert(changed) - whole).abs()[0] > 1e-6
        places = moved.nonzero().flatten()
        assert 1500 - generator.reach <= int(places[0]) <= 1500 <= int(places[-1])
        assert int(places[-1]) <= 1500 + generator.reach + generator.grid


def test_a_framed_generator_begins_as_the_identity() -> None:
    sound = 0.1 * torch.randn(2, 1001)
    generator = FramedWaveNetGenerator(16000, 64, 16, 6, 4, 2)
    assert torch.allclose(generator(sound), torch.tanh(sound), atol=1e-5)
    frames = generator.filterbank(sound)
    assert torch.allclose(generator.filterbank.inverse(frames, 1001), sound, atol=1e-5)
    # A sine is in the pair of its frequency: 8 periods in a window of 64.
    sine = torch.sin(2 * math.pi * torch.arange(640) / 8)[None]
    middle = generator.filterbank(sine)[0, :, 20]
    power = (middle[:33].square() + functional.pad(middle[33:], (1, 1)).square()).detach()
    assert int(power.argmax()) == 8


def test_pairs_have_a_turn_of_their_own() -> None:
    gains = iter((2.0, 0.5))
    settings = SoundCycleSettings(game="hinge", pool=2, pairs=5.0, every=2)
    objective = SoundCycleGan(
        lambda: Gain(next(gains)), lambda: WaveNetDiscriminator(4, 2, 1, hop=4), 4000, settings
    )
    torch.manual_seed(0)
    sound = 0.2 * torch.randn(2, 4000)
    batch = {"source": sound, "target": sound, "pairs/source": sound, "pairs/target": 2 * sound}
    (only,) = objective.turns(batch, 1, torch.Generator().manual_seed(0))
    assert only.weights == {"pairs": 5.0} and float(only.terms["pairs"].detach()) < 1e-5
    batch["pairs/target"] = 6 * sound
    pairs, *others = objective.turns(batch, 2, torch.Generator().manual_seed(0))
    assert float(pairs.terms["pairs"].detach()) == pytest.approx(math.log(3), abs=0.1)
    assert [turn.group for turn in others] == ["generator", "discriminator"]


def test_discriminators_are_bounded_in_slope() -> None:
    torch.manual_seed(0)
    plain, normed = (WaveNetDiscriminator(4, 4, 2, 3, spectral) for spectral in (False, True))
    for one in (plain, normed):
        with torch.no_grad():
            for name, parameter in one.named_parameters():
                if "weight" in name:
                    parameter.mul_(10)
    sound = torch.randn(1, 1, 400)
    with torch.no_grad():
        assert float(normed(sound).std()) < float(plain(sound).std()) / 10


def test_spectral_norm_is_folded_for_shipping(tmp_path: Path) -> None:
    generator = wavenet()
    with_spectral_norm(generator)
    generator.eval()
    sound = 0.1 * torch.randn(1, 500)
    made = generator.convert(sound).detach()
    without_spectral_norm(generator)
    assert torch.allclose(generator.convert(sound), made, atol=1e-6)
    save_generator(tmp_path / "g.safetensors", generator)
    again = load_generator(tmp_path / "g.safetensors").eval()
    assert torch.allclose(again.convert(sound), made, atol=2e-2)


def test_a_transfer_at_a_lower_rate_keeps_length_and_stereo() -> None:
    transfer = WaveformTransfer(wavenet())
    sound = torch.stack([music(0.6), 0.5 * music(0.6)])
    made = transfer(sound)
    assert made.shape == sound.shape and bool(made.isfinite().all())
    half = transfer(sound, 1e-4)
    assert torch.allclose(half, sound, atol=5e-3)
    folded_made = WaveformTransfer(folded())(sound)
    assert folded_made.shape == sound.shape


def test_generators_that_undo_each_other_have_no_cycle_loss() -> None:
    gains = iter((2.0, 0.5))
    settings = SoundCycleSettings(game="hinge", pool=2)
    objective = SoundCycleGan(
        lambda: Gain(next(gains)), lambda: WaveNetDiscriminator(4, 2, 1), 600, settings
    )
    batch = {"source": 0.2 * torch.randn(2, 600), "target": 0.2 * torch.randn(2, 600)}
    generators, discriminators = objective.turns(batch, 0, torch.Generator().manual_seed(0))
    assert float(generators.terms["cycle_source"]) < 1e-6
    assert float(generators.terms["identity_target"]) > 0.05
    generators.terms["adversarial_target_samples"].backward(retain_graph=True)
    assert objective.forth.gain.grad is not None  # type: ignore[union-attr]
    assert float(objective.forth.gain.grad.abs()) > 0  # type: ignore[union-attr]
    hinge = float(discriminators.terms["discriminator_target_samples"])
    assert math.isfinite(hinge) and 0 < hinge < 2


SMALL = [
    *(f"sound_cycle_gan.discriminator.{one}" for one in ("channels=4", "layers=4", "stacks=2")),
    "sound_cycle_gan.seconds=0.3",
    "sound_cycle_gan.batch=2",
    "sound_cycle_gan.validation_songs=1",
    "sound_cycle_gan.settings.pool=2",
    "trainer.schedule=constant",
    "trainer.hold=0",
    "trainer.device=cpu",
]
WAVENET = ["generator.channels=4", "generator.layers=4", "generator.stacks=2"]
FRAMED = [*WAVENET, "generator.window=64", "generator.hop=16", "drawing.batch=1"]
FOLDED = ["generator.channels=4", "generator.blocks=1"]


@pytest.mark.parametrize(
    ("config", "small"),
    [
        ("wavenet-cycle-gan", FRAMED),
        ("wavenet-cycle-gan-paper", WAVENET),
        ("folded-cycle-gan", FOLDED),
    ],
)
@pytest.mark.usefixtures("every_branch")
def test_the_recipe_writes_a_style(
    config: str, small: list[str], songs: Path, tmp_path: Path
) -> None:
    data = f"sound_cycle_gan.data={songs}"
    overrides = [*SMALL, *(f"sound_cycle_gan.{one}" for one in small), *TRAINER, data]
    figures = recipes.train(config, overrides, tmp_path / "run")
    assert 0 < figures["validation/distance"] < 20
    name = "jazz-piano-folded-cycle" if "folded" in config else "jazz-piano-cycle"
    place = tmp_path / "run" / name
    entry = read_card(place).stems["other"]
    assert entry is not None and entry.route == "waveform"
    sound = torch.stack([music(0.4)] * 2)
    assert load_style(place).stems["other"](sound).shape == sound.shape


def test_an_unknown_generator_is_refused(songs: Path, tmp_path: Path) -> None:
    overrides = [*SMALL, *TRAINER, f"sound_cycle_gan.data={songs}"]
    with pytest.raises(AudioTransferError, match="wavenet, framed, folded"):
        recipes.train(
            "wavenet-cycle-gan",
            [*overrides, "sound_cycle_gan.generator.kind=organ"],
            tmp_path / "run",
        )
