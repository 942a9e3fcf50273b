"""Networks of the unpaired objectives: published sizes, any input size, saving and loading."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from audiotransfer.errors import AudioTransferError
from audiotransfer.spectral.models.base import SpectrogramNetwork, fold
from audiotransfer.spectral.networks import (
    PaddedUNet,
    PatchGan,
    ProjectionHeads,
    ResNetGenerator,
    SpectrogramDiscriminator,
    WholeFrequencyDiscriminator,
    WholeFrequencyGenerator,
)
from audiotransfer.spectral.objectives.melgan_vc import Siamese
from audiotransfer.spectral.transfer import load_generator, save_generator
from vocoder.spectrogram import from_unit, to_unit

BINS = 24


def spectrograms(bins: int, frames: int, batch: int = 2) -> Tensor:
    random = torch.Generator().manual_seed(0)
    return -4 + 1.5 * torch.randn(batch, bins, frames, generator=random)


def convolved(network: nn.Module) -> int:
    """Weights of convolutions and dense layers."""
    return sum(p.numel() for p in network.parameters() if p.ndim > 1)


with torch.random.fork_rng():
    torch.manual_seed(0)
    GENERATORS: list[SpectrogramNetwork] = [
        WholeFrequencyGenerator(BINS, 8, "group"),
        PaddedUNet(BINS, (4, 6, 8)),
        ResNetGenerator(BINS, 4, blocks=2),
    ]


def test_the_unit_holds_100_db() -> None:
    levels = torch.tensor([-80.0, -30.0, 20.0, -200.0, 60.0]) * math.log(10) / 20
    assert to_unit(levels).tolist() == pytest.approx([-1, 0, 1, -1, 1], abs=1e-6)
    torch.testing.assert_close(from_unit(to_unit(levels[:3])), levels[:3])


def test_melgan_vcs_networks_have_the_published_sizes() -> None:
    """192 bins, tiles of 24 frames: 2.93 M, 4.50 M and 1.39 M weights, counted layer by layer."""
    first = 192 * 3 * 256
    generator = first + 256 * 256 * (9 + 7 + 7) + 512 * 256 * 9 + 512 * 192
    assert convolved(WholeFrequencyGenerator(192)) == generator == 2_932_736
    discriminator = 192 * 3 * 512 + 512 * 512 * (9 + 7) + 512 * 18
    assert convolved(WholeFrequencyDiscriminator(192, 72)) == discriminator == 4_498_432
    siamese = first + 256 * 256 * (9 + 7) + 256 * 6 * 128
    assert convolved(Siamese(192, 24, 256, 128, "batch")) == siamese == 1_392_640


def test_the_u_net_goes_down_84_x_938_as_the_recipe_says() -> None:
    network = PaddedUNet(84, (2,) * 6)
    spectrogram = spectrograms(84, 938, 1)
    sizes = [tuple(feature.shape[-2:]) for feature in network.encode(spectrogram[:, None])]
    assert sizes[1:] == [(42, 469), (21, 234), (10, 117), (5, 58), (2, 29), (1, 14)]
    assert network(spectrogram).shape == spectrogram.shape


def test_a_mirrored_cell_lies_at_alternating_sides() -> None:
    """A network that only doubles: what is missing is mirrored, so means hardly move."""
    from audiotransfer.spectral.networks.generators import _double

    x = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])
    low, high = _double(x, (5, 5), low=True), _double(x, (5, 5), low=False)
    assert low[0, 0, 0].tolist() == [1.0, 1.0, 1.0, 2.0, 2.0]
    assert high[0, 0, -1].tolist() == [3.0, 3.0, 4.0, 4.0, 4.0]
    assert torch.equal(
        _double(x, (4, 4), low=True), x.repeat_interleave(2, 2).repeat_interleave(2, 3)
    )


@pytest.mark.parametrize("generator", GENERATORS, ids=lambda g: g.kind)
@pytest.mark.parametrize("frames", [16, 21, 37])
def test_any_length_comes_back_within_100_db(generator: SpectrogramNetwork, frames: int) -> None:
    spectrogram = spectrograms(BINS, frames)
    made = generator(spectrogram)
    assert made.shape == spectrogram.shape and made.dtype == torch.float32
    quietest, loudest = from_unit(torch.tensor([-1.0, 1.0])).tolist()
    assert quietest <= float(made.min()) < float(made.max()) <= loudest


@pytest.mark.parametrize("generator", GENERATORS, ids=lambda g: g.kind)
def test_a_batch_is_its_single_spectrograms(generator: SpectrogramNetwork) -> None:
    spectrogram = spectrograms(BINS, 24)
    generator.eval()
    with torch.no_grad():
        torch.testing.assert_close(
            generator(spectrogram)[:1], generator(spectrogram[:1]), atol=1e-4, rtol=1e-4
        )


@pytest.mark.parametrize("generator", GENERATORS, ids=lambda g: g.kind)
def test_a_generator_comes_back_from_its_weights(
    generator: SpectrogramNetwork, tmp_path: Path
) -> None:
    made = type(generator)(**generator.shape())
    assert made.shape() == generator.shape() and made.shape()["bins"] == BINS
    spectrogram = spectrograms(BINS, 24)
    for _ in range(3):
        made(spectrogram)
    fold(made.eval())
    save_generator(tmp_path / "g.safetensors", made)
    loaded = load_generator(tmp_path / "g.safetensors").eval()
    assert type(loaded) is type(made)
    with torch.no_grad():
        difference = (
            (loaded.predict(spectrogram, torch.tensor([2, 2])) - made(spectrogram)).abs().max()
        )
    assert float(difference) < 0.05  # half precision, over 11.5 nats


def test_batch_statistics_come_back_too(tmp_path: Path) -> None:
    made = WholeFrequencyGenerator(BINS, 8, "batch")
    for _ in range(30):
        made(spectrograms(BINS, 24))
    fold(made.eval())
    save_generator(tmp_path / "g.safetensors", made)
    loaded = load_generator(tmp_path / "g.safetensors").eval()
    with torch.no_grad():
        one, two = (g.predict(spectrograms(BINS, 24), torch.tensor([0, 0])) for g in (made, loaded))
    assert float((one - two).abs().max()) < 0.05


def test_whole_frequency_networks_see_all_bins_at_once() -> None:
    spectrogram = spectrograms(BINS, 24, 1)[:, None].requires_grad_()
    discriminator = WholeFrequencyDiscriminator(BINS, 24, 8).eval()
    (gradient,) = torch.autograd.grad(discriminator(spectrogram).sum(), spectrogram)
    assert bool((gradient.abs().sum((0, 1, 3)) > 0).all())
    assert discriminator(spectrogram).shape == (1, 1)
    assert all(
        m.bias is None for m in discriminator.modules() if isinstance(m, nn.Conv2d | nn.Linear)
    )


def test_a_patch_is_70_cells_wide() -> None:
    discriminator = PatchGan(2, "none").eval()
    spectrogram = spectrograms(128, 128, 1)[:, None].requires_grad_()
    verdicts = discriminator(spectrogram)
    (gradient,) = torch.autograd.grad(verdicts[0, 0, 7, 7], spectrogram)
    seen = gradient[0, 0].abs().sum(0) > 0
    where = seen.nonzero().flatten()
    assert int(where[-1] - where[0]) + 1 == 70


def test_a_discriminator_of_the_whole_spectrogram_gives_one_verdict() -> None:
    discriminator = SpectrogramDiscriminator(20, 30, 2, levels=3)
    spectrogram = spectrograms(20, 30)[:, None].requires_grad_()
    assert discriminator(spectrogram).shape == (2, 1)
    (gradient,) = torch.autograd.grad(discriminator(spectrogram)[0, 0], spectrogram)
    assert bool(gradient[0].any()) and not bool(gradient[1].any())
    assert not any(
        isinstance(m, nn.InstanceNorm2d | nn.BatchNorm2d) for m in discriminator.modules()
    )


@pytest.mark.parametrize("generator", GENERATORS[1:], ids=lambda g: g.kind)
def test_features_and_heads_fit(generator: PaddedUNet | ResNetGenerator) -> None:
    features = generator.encode(to_unit(spectrograms(BINS, 24))[:, None])
    assert tuple(f.shape[1] for f in features) == generator.feature_channels
    patches = [feature.flatten(2)[..., :5].transpose(1, 2) for feature in features]
    for points in ProjectionHeads(generator.feature_channels, 6)(patches):
        assert points.shape == (2, 5, 6)
        torch.testing.assert_close(points.norm(dim=-1), torch.ones(2, 5))


def test_spectrograms_that_are_too_small_are_refused() -> None:
    with pytest.raises(AudioTransferError, match="4 bins cannot be halved 3 times"):
        PaddedUNet(4, (2, 2, 2))
    with pytest.raises(AudioTransferError, match="7 frames cannot be halved 3 times"):
        PaddedUNet(8, (2, 2, 2))(spectrograms(8, 7))
