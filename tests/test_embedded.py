"""The embedded separator: bands, masks, the loss computed by hand, and the separator contract."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

import separation
from separation import GRID, SeparationError
from separation.embedded.masking import Bands, MidSide, band_matrix
from separation.embedded.network import NETWORKS, REACH, STEMS, _Join, build, fold
from separation.embedded.objective import SeparatorObjective, band_energies
from separation.embedded.separator import (
    SHIPPED,
    EmbeddedSeparator,
    analyse,
    load,
)
from separation.stft import HOP_LENGTH, N_FFT

BINS = N_FFT // 2 + 1
BANDS = 384
NETWORK_NAMES = list(NETWORKS)


def noise(channels: int, length: int, seed: int = 0) -> Tensor:
    return 0.1 * torch.randn(channels, length, generator=torch.Generator().manual_seed(seed))


def music(length: int) -> Tensor:
    """Stereo tones that come and go, some left and some right, over a little noise."""
    time = torch.arange(length) / 44100
    sound = 0.02 * noise(2, length)
    for index, hertz in enumerate((55.0, 220.0, 1370.0, 5200.0)):
        beat = (torch.sin(2 * math.pi * (0.7 + index) * time) > 0).float()
        tone = 0.08 * beat * torch.sin(2 * math.pi * hertz * time)
        sound += torch.tensor([[1.0], [0.3 * index]]) * tone
    return sound


def awake(network: nn.Module) -> nn.Module:
    """Parts that start at zero, so as to change nothing, take part."""
    with torch.no_grad():
        for parameter in network.parameters():
            if not bool(parameter.any()):
                parameter.normal_(0, 0.05)
    return network


def lively(kind: str, seed: int = 0) -> nn.Module:
    """A network whose masks are far from even, with norms that have seen something."""
    torch.manual_seed(seed)
    network = awake(build(kind, BANDS)).train()
    network(0.5 * torch.rand(2, 2, BANDS, 32))
    with torch.no_grad():
        network.leave.weight.mul_(8)  # type: ignore[union-attr, operator]
    return network.eval()


@pytest.fixture(scope="module", params=NETWORK_NAMES)
def separator(request: pytest.FixtureRequest) -> EmbeddedSeparator:
    return EmbeddedSeparator(lively(request.param))


def db(error: Tensor, reference: Tensor) -> float:
    power = float(error.double().square().mean() / reference.double().square().mean())
    return 10 * math.log10(power + 1e-30)


# --- bands


@pytest.mark.parametrize(
    ("n_fft", "single", "wide"), [(4096, 256, 128), (1024, 64, 32), (256, 9, 5)]
)
def test_the_band_matrix(n_fft: int, single: int, wide: int) -> None:
    matrix = band_matrix(n_fft, single, wide)
    assert matrix.shape == (single + wide, n_fft // 2 + 1)
    assert bool((matrix >= 0).all())
    torch.testing.assert_close(matrix.sum(0), torch.ones(n_fft // 2 + 1))  # each bin once
    assert bool((matrix.sum(1) > 0).all())  # no empty band
    assert torch.equal(matrix[: single - 1, : single - 1], torch.eye(single - 1))
    assert bool((matrix[: single - 1, single - 1 :] == 0).all())
    assert bool(((matrix > 0).sum(0) <= 2).all())  # a bin lies between two centres
    centres = (matrix * torch.arange(n_fft // 2 + 1)).sum(1) / matrix.sum(1)
    assert bool((centres.diff() > 0).all())
    assert matrix[-1, -1] == 1  # the last band ends at the Nyquist frequency


def test_bands_do_what_the_matrix_says() -> None:
    bands, matrix = Bands(), band_matrix(N_FFT, 256, 128)
    assert bands.count == BANDS == len(matrix)
    bins = torch.rand(2, BINS, 5)
    torch.testing.assert_close(bands.energy(bins), matrix @ bins)
    level = (matrix @ bins.square() / matrix.sum(1)[:, None]).sqrt()
    torch.testing.assert_close(bands.reduce(bins), level)
    masks = torch.rand(2, BANDS, 5)
    torch.testing.assert_close(bands.expand(masks), matrix.T @ masks)


def test_bands_keep_what_is_even() -> None:
    """A flat spectrum has its level in every band; even masks stay even; energy is kept."""
    bands = Bands()
    flat = torch.full((2, BINS, 3), 0.7)
    torch.testing.assert_close(bands.reduce(flat), torch.full((2, BANDS, 3), 0.7))
    torch.testing.assert_close(
        bands.expand(torch.full((BANDS, 3), 0.25)), torch.full((BINS, 3), 0.25)
    )
    power = torch.rand(BINS, 3)
    torch.testing.assert_close(bands.energy(power).sum(0), power.sum(0))
    assert bool((bands.reduce(torch.zeros(2, BINS, 3)) > 0).all())  # logarithms can be taken


# --- spectra


def test_a_full_scale_sine_has_the_level_that_networks_expect() -> None:
    time = torch.arange(44100) / 44100
    # Bin 100 exactly, so that all of it lies in one bin.
    sine = torch.sin(2 * math.pi * 100 * 44100 / N_FFT * time)
    spectra = analyse(torch.stack([sine, sine])).abs()
    assert float(spectra[0, 100, 20]) == pytest.approx(16, rel=1e-3)
    assert float(spectra[1].max()) == 0  # mid holds all of it, side nothing
    left = analyse(torch.stack([sine, 0 * sine])).abs()
    torch.testing.assert_close(left[0], left[1])


@pytest.mark.parametrize("length", [1, 100, HOP_LENGTH, 4095, 4097, 44101])
def test_masks_of_one_give_the_mix_and_levels_are_the_spectrums(length: int) -> None:
    audio, bands = noise(2, length), Bands()
    frames = MidSide(audio)
    levels = frames.levels(bands)
    torch.testing.assert_close(levels, bands.reduce(analyse(audio).abs()), atol=1e-5, rtol=1e-4)
    masks = torch.stack([torch.ones_like(levels), torch.zeros_like(levels)])
    whole, nothing = frames.masked(masks, bands)
    torch.testing.assert_close(whole, audio, atol=1e-6, rtol=1e-5)
    assert not nothing.any()
    several = noise(6, length).view(3, 2, length)
    assert analyse(several).shape[:3] == (3, 2, BINS)


# --- networks


@pytest.mark.parametrize("kind", NETWORK_NAMES)
@pytest.mark.parametrize("frames", [1, 15, 16, 33])
def test_masks_sum_to_one(kind: str, frames: int) -> None:
    masks = lively(kind)(torch.rand(2, 2, BANDS, frames))
    assert masks.shape == (2, len(STEMS), 2, BANDS, frames) and masks.dtype == torch.float32
    torch.testing.assert_close(masks.sum(1), torch.ones(2, 2, BANDS, frames))
    assert bool((masks >= 0).all()) and masks.std().item() > 0.02  # and they say something


@pytest.mark.parametrize("kind", NETWORK_NAMES)
def test_a_batch_is_its_single_songs(kind: str) -> None:
    network, levels = lively(kind), torch.rand(3, 2, BANDS, 16)
    together = network(levels)
    for index in range(3):
        torch.testing.assert_close(
            together[index], network(levels[index : index + 1])[0], atol=1e-5, rtol=1e-4
        )


@pytest.mark.parametrize("kind", NETWORK_NAMES)
def test_weights_are_small_enough_to_ship(kind: str) -> None:
    values = sum(v.numel() for v in build(kind, BANDS).state_dict().values())
    assert 2 * values < 7e6  # half precision


def test_the_dense_network_starts_as_the_u_net() -> None:
    u_net, dense = lively("unet"), build("dense", BANDS).eval()
    missing = dense.load_state_dict(u_net.state_dict(), strict=False)
    assert missing.missing_keys and not missing.unexpected_keys
    levels = torch.rand(1, 2, BANDS, 20)
    torch.testing.assert_close(dense(levels), u_net(levels))


@pytest.mark.parametrize("stride", [(1, 1), (2, 1), (2, 2)])
def test_a_join_is_a_block_on_repeated_values_and_the_skip(stride: tuple[int, int]) -> None:
    torch.manual_seed(0)
    join = _Join(5, 3, stride)
    x, skip = torch.randn(2, 5, 6, 7), torch.randn(2, 3, 6 * stride[0], 7 * stride[1])
    conv, norm, bend = join
    repeated = x.repeat_interleave(stride[0], -2).repeat_interleave(stride[1], -1)
    torch.testing.assert_close(join(x, skip), bend(norm(conv(torch.cat([repeated, skip], 1)))))


@pytest.mark.parametrize("kind", NETWORK_NAMES)
def test_folded_norms_change_nothing(kind: str) -> None:
    network, levels = lively(kind), torch.rand(1, 2, BANDS, 32)
    before = network(levels)
    folded = fold(network)
    assert kind == "tcn" or sum(isinstance(m, nn.Identity) for m in folded.modules()) > 10
    torch.testing.assert_close(folded(levels), before, atol=1e-5, rtol=1e-4)


def test_an_unknown_network_is_refused() -> None:
    with pytest.raises(SeparationError, match="kazoo"):
        build("kazoo", BANDS)


# --- the objective


class Even(nn.Module):
    """Gives every stem the same share, times a learned gain."""

    def __init__(self) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(()))

    def forward(self, levels: Tensor) -> Tensor:
        batch, views, bands, frames = levels.shape
        return 0.25 * self.gain * torch.ones(batch, len(STEMS), views, bands, frames)


def stems_batch(batch: int = 2, seconds: float = 0.5) -> dict[str, Tensor]:
    length = round(44100 * seconds)
    return {"stems": torch.stack([noise(8, length, i).view(4, 2, length) for i in range(batch)])}


def test_the_loss_by_hand() -> None:
    """Root of the energy that the mask leaves in each band, from complex spectra bin by bin."""
    objective = SeparatorObjective()
    objective.separator = Even()
    batch = stems_batch(1)
    (turn,) = objective.turns(batch, 0, None)
    spectra = analyse(batch["stems"])
    error = 0.25 * spectra.sum(1, keepdim=True) - spectra
    expected = Bands().energy(error.abs().square()).sqrt().mean((0, 2, 3, 4))
    found = torch.stack([turn.terms[stem] for stem in STEMS]).detach()
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4)
    assert turn.group == "separator" and turn.weights == dict.fromkeys(STEMS, 1.0)


def test_right_masks_cost_nothing() -> None:
    objective = SeparatorObjective()

    class OnlyBass(Even):
        def forward(self, levels: Tensor) -> Tensor:
            masks = torch.zeros(len(levels), len(STEMS), *levels.shape[1:])
            masks[:, 1] = self.gain
            return masks

    objective.separator = OnlyBass()
    batch = stems_batch(1)
    batch["stems"][:, [0, 2, 3]] = 0
    (turn,) = objective.turns(batch, 0, None)
    assert all(term.item() < 2e-3 for term in turn.terms.values())
    objective.separator = Even()
    (turn,) = objective.turns(batch, 0, None)
    assert turn.terms["bass"].item() > 0.03


@pytest.mark.parametrize("kind", NETWORK_NAMES)
def test_every_parameter_learns(kind: str) -> None:
    torch.manual_seed(0)
    objective = SeparatorObjective(kind)
    awake(objective.separator)
    (turn,) = objective.turns(stems_batch(), 0, None)
    parameters = dict(objective.networks["separator"].named_parameters())
    owned = {n for group in objective.groups.values() for n in group.networks}
    assert owned == set(objective.networks)
    gradients = torch.autograd.grad(sum(turn.terms.values()), list(parameters.values()))  # type: ignore[arg-type]
    flat = [n for n, g in zip(parameters, gradients, strict=True) if not bool(g.any())]
    assert not flat and all(bool(g.isfinite().all()) for g in gradients)


@pytest.mark.parametrize("silent", [(0, 1, 2, 3), (3,), (0, 1, 2)])
def test_silence_gives_numbers(silent: tuple[int, ...]) -> None:
    objective, batch = SeparatorObjective("tcn"), stems_batch()
    batch["stems"][:, list(silent)] = 0
    (turn,) = objective.turns(batch, 0, None)
    loss = sum(turn.terms.values())
    gradients = torch.autograd.grad(loss, list(objective.separator.parameters()))  # type: ignore[arg-type]
    assert math.isfinite(loss.item()) and all(  # type: ignore[union-attr]
        bool(g.isfinite().all()) for g in gradients
    )


def test_stem_weights_are_the_turns_weights() -> None:
    objective = SeparatorObjective("tcn", stem_weights=(1.0, 2.0, 3.0, 4.0))
    (turn,) = objective.turns(stems_batch(1), 0, None)
    assert turn.weights == {"drums": 1.0, "bass": 2.0, "other": 3.0, "vocals": 4.0}


def test_of_grouped_mixes_only_the_sum_of_the_rest_counts() -> None:
    """Drums and bass that are taken for each other cost nothing there."""
    objective, batch = SeparatorObjective(), stems_batch(2)
    batch["stems"][:, [0, 1, 3]] = 0

    class Fixed(Even):
        def forward(self, levels: Tensor) -> Tensor:
            shares = self.gain * torch.tensor([0.5, 0.2, 0.3, 0.0])
            return shares.view(1, 4, 1, 1, 1).expand(len(levels), 4, *levels.shape[1:])

    objective.separator = Fixed()
    batch["grouped"] = torch.tensor([True, True])
    (turn,) = objective.turns(batch, 0, None)
    assert all(term.item() < 2e-3 for term in turn.terms.values())
    batch["grouped"] = torch.tensor([False, True])
    (turn,) = objective.turns(batch, 0, None)
    assert turn.terms["drums"].item() > 0.01 and turn.terms["vocals"].item() < 2e-3


@pytest.mark.parametrize(("level", "cost"), [(0.5, 2.0), (2.0, 1.0)])
def test_a_voice_that_is_missing_costs_more(level: float, cost: float) -> None:
    """``level`` is that of the masked voice, whose error costs more only where it is too low."""

    class Louder(Even):
        def forward(self, levels: Tensor) -> Tensor:
            masks = torch.zeros(len(levels), 4, *levels.shape[1:])
            masks[:, 3] = level * self.gain
            return masks

    batch = stems_batch(1)
    batch["stems"][:, :3] = 0
    terms = []
    for weight in (1.0, 2.0):
        objective = SeparatorObjective(missing_weight=weight)
        objective.separator = Louder()
        (turn,) = objective.turns(batch, 0, None)
        terms.append(turn.terms["vocals"].item())
    assert terms[1] / terms[0] == pytest.approx(cost, rel=0.01)


def test_energies_of_a_batch_may_be_given() -> None:
    objective, batch = SeparatorObjective("tcn", energy_weight=0.5), stems_batch(2)
    given = band_energies(batch["stems"], Bands())._asdict()
    one, two = (next(objective.turns(b, 0, None)).terms for b in (batch, given))
    for stem in STEMS:
        torch.testing.assert_close(one[stem], two[stem])
    plain = next(SeparatorObjective("tcn").turns(batch, 0, None)).terms
    assert set(plain) == set(one)


def test_the_energy_of_the_error_by_hand() -> None:
    objective, batch = SeparatorObjective(), stems_batch(1)
    objective.separator = Even()
    plain = next(objective.turns(batch, 0, None)).terms["bass"]
    objective.energy_weight = 0.5
    found = next(objective.turns(batch, 0, None)).terms["bass"] - plain
    spectra = analyse(batch["stems"])
    error = 0.25 * spectra.sum(1) - spectra[:, 1]
    expected = Bands().energy(error.abs().square()).mean().sqrt()
    torch.testing.assert_close(found, 0.5 * expected, rtol=1e-3, atol=1e-5)


def test_a_few_steps_teach_it_something() -> None:
    """Low tones are bass, high ones drums: the loss falls below that of even masks."""
    torch.manual_seed(0)
    objective = SeparatorObjective("tcn")
    time = torch.arange(11025) / 44100
    stems = torch.zeros(1, 4, 2, 11025)
    stems[:, 1] = 0.3 * torch.sin(2 * math.pi * 60 * time)
    stems[:, 0] = 0.3 * torch.sin(2 * math.pi * 4000 * time)
    parameters = list(objective.separator.parameters())
    losses = []
    for step in range(6):
        (turn,) = objective.turns({"stems": stems}, step, None)
        loss = sum(turn.terms.values())
        gradients = torch.autograd.grad(loss, parameters)  # type: ignore[arg-type]
        with torch.no_grad():
            for parameter, gradient in zip(parameters, gradients, strict=True):
                parameter.sub_(1e-3 * gradient.sign())
        losses.append(loss.item())  # type: ignore[union-attr]
    assert losses[-1] < 0.5 * losses[0]


def test_the_preview_shows_every_stem() -> None:
    objective, batch = SeparatorObjective("tcn"), stems_batch(2)
    shown = objective.preview(batch, None).images
    wanted = {"mix", *(f"{s}/{v}" for s in STEMS for v in ("true", "separated"))}
    assert set(shown) == wanted
    assert {tuple(p.shape) for p in shown.values()} == {(BANDS, 1 + 22050 // HOP_LENGTH)}
    assert all(bool(p.isfinite().all()) for p in shown.values())


# --- the separator


@pytest.mark.parametrize("length", [0, 1, 2, 1023, 4097, 44101])
@pytest.mark.parametrize("channels", [1, 2])
def test_stems_sum_to_the_mix(separator: EmbeddedSeparator, length: int, channels: int) -> None:
    mix = noise(channels, length)
    kept = mix.clone()
    stems = separator(mix)
    assert tuple(stems) == separator.stems == STEMS and torch.equal(mix, kept)
    assert all(s.shape == mix.shape and s.dtype == torch.float32 for s in stems.values())
    if length:
        assert db(sum(stems.values()) - mix, mix) < -100  # type: ignore[operator]
    if length > 4000:
        assert all(-60 < db(s, mix) < 0 for s in stems.values())  # every stem gets something


def test_silence_gives_silence(separator: EmbeddedSeparator) -> None:
    assert not any(s.any() for s in separator(torch.zeros(2, 5000)).values())


def test_swapped_channels_and_mono(separator: EmbeddedSeparator) -> None:
    """Mid does not know left from right, side only by sign: swapping goes through. Mono is mid."""
    mix = music(44100)
    there, swapped = separator(mix), separator(mix.flip(0))
    for stem in STEMS:
        assert db(swapped[stem].flip(0) - there[stem], mix) < -90
    mono = mix[:1]
    one, two = separator(mono), separator(mono.expand(2, -1).contiguous())
    for stem in STEMS:
        assert db(two[stem] - one[stem], mono) < -90


def test_a_block_with_context_equals_the_whole(separator: EmbeddedSeparator) -> None:
    mix = music(5 * GRID + 4321)
    whole, grid = separator(mix), separator.grid
    before = -(-separator.context // grid) * grid
    for first, last in ((0, 1), (3, 4), (4, 6)):
        start, stop = first * GRID, min(last * GRID, mix.shape[1])
        left, right = max(0, start - before), min(mix.shape[1], stop + separator.context)
        block = separator(mix[:, left:right])
        for stem in STEMS:
            inside = block[stem][:, start - left : stop - left]
            assert db(inside - whole[stem][:, start:stop], mix) < -80


@pytest.mark.parametrize("kind", NETWORK_NAMES)
def test_the_context_covers_all_that_a_mask_depends_on(kind: str) -> None:
    """By gradients, which are exact where differences fade: no frame farther away has any."""
    network, reach = lively(kind), 0
    for at in (192, 207):  # the coarsest level sees 16 frames as one
        levels = torch.rand(1, 2, BANDS, 384, requires_grad=True)
        network(levels)[..., at].square().sum().backward()
        assert levels.grad is not None
        affected = levels.grad.abs().amax((0, 1, 2)).nonzero().flatten()
        reach = max(reach, at - int(affected.min()), int(affected.max()) - at)
    assert 1 < reach <= REACH < 170  # the window was wide enough to tell
    # A frame's mask works on N_FFT samples, and a heard frame was made of as many.
    assert EmbeddedSeparator.context >= REACH * HOP_LENGTH + N_FFT


@pytest.mark.parametrize("mix", [torch.zeros(3, 100), torch.zeros(0, 100), torch.zeros(100)])
def test_what_is_no_stereo_mix_is_refused(separator: EmbeddedSeparator, mix: Tensor) -> None:
    with pytest.raises(SeparationError) as caught:
        separator(mix)
    assert "\n" not in str(caught.value)


# --- weights


def save(path: Path, network: nn.Module, about: object) -> Path:
    state = {k: v.half() if v.is_floating_point() else v for k, v in network.state_dict().items()}
    save_file(state, str(path), metadata={"separator": json.dumps(about)})
    return path


@pytest.mark.parametrize("kind", NETWORK_NAMES)
def test_saved_weights_come_back(tmp_path: Path, kind: str) -> None:
    network = lively(kind)
    path = save(tmp_path / "s.safetensors", network, {"network": kind})
    loaded = separation.create("embedded", weights=path)
    mix = music(22050)
    before, after = EmbeddedSeparator(network)(mix), loaded(mix)
    for stem in STEMS:
        assert db(after[stem] - before[stem], mix) < -35  # half precision


def refusal(path: Path) -> str:
    with pytest.raises(SeparationError, match=path.name) as caught:
        load(weights=path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("content", [None, b"", b"not safetensors at all", "cut", "folder"])
def test_damaged_weights_are_refused_in_one_line(tmp_path: Path, content: bytes | str) -> None:
    path = tmp_path / "broken.safetensors"
    if content == "cut":
        save(path, lively("tcn"), {"network": "tcn"})
        path.write_bytes(path.read_bytes()[:-1000])
    elif content == "folder":
        path.mkdir()
    elif isinstance(content, bytes):
        path.write_bytes(content)
    refusal(path)


def test_foreign_weights_are_refused_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "foreign.safetensors"
    save_file({"weight": torch.zeros(3)}, str(path))
    assert "no separator" in refusal(path)
    for about in ([], 5, "text", {"network": "kazoo"}, {"network": "unet"}, {"network": 3}):
        save(path, nn.Linear(3, 3), about)
        refusal(path)
    save(path, lively("tcn"), {"network": "unet"})
    assert "does not fit" in refusal(path)


def test_the_shipped_separator_works_and_is_small() -> None:
    assert SHIPPED.stat().st_size <= 7_000_000
    mix = music(44100)
    stems = load()(mix)
    assert db(sum(stems.values()) - mix, mix) < -100  # type: ignore[operator]
    # Even a test tone says that low notes are no singer's.
    low = 0.1 * torch.sin(2 * math.pi * 55 * torch.arange(88200) / 44100).expand(2, -1)
    found = load()(low.contiguous())
    assert found["bass"].square().mean() > 4 * found["vocals"].square().mean()
