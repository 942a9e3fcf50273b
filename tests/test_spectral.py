"""The spectral route: discriminator views, generator, paired objective, transfer of a stem."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn.utils import parametrize

from audiotransfer.errors import AudioTransferError
from audiotransfer.spectral.models.base import (
    CENTRE,
    SPREAD,
    STEMS,
    SpectrogramModel,
    fold,
    normalised,
)
from audiotransfer.spectral.models.unet import UNet
from audiotransfer.spectral.objectives.losses import DISCRIMINATOR_FLOOR
from audiotransfer.spectral.objectives.paired import PairedObjective
from audiotransfer.spectral.objectives.stem_spectrograms import StemSpectrograms
from audiotransfer.spectral.transfer import (
    SpectralTransfer,
    load,
    load_generator,
    save_generator,
)
from audiotransfer.training.distances import INAUDIBLE
from separation import GRID
from vocoder import GriffinLimInverter, SpectralGainInverter, SpectrogramSettings, VocoderError

CORE, MARGIN = SpectrogramModel.core, SpectrogramModel.margin
BINS = 32
SPECTROGRAM = SpectrogramSettings(bins=BINS)
SMALL = SpectrogramSettings(bins=16, n_fft=256, hop_length=64)


def small_generator(seed: int = 0, change: float = 0.3, bins: int = BINS) -> UNet:
    """Three levels, instance norms, and something that it does to every spectrogram."""
    torch.manual_seed(seed)
    generator = UNet(bins, (4, 6, 8))
    with torch.no_grad():
        generator.leave.weight.normal_(0, change)
    return generator


def song(seconds: float, seed: int = 0, noise: float = 0.01) -> Tensor:
    """Stereo notes and noise, unlike on both sides, at about RMS 0.1."""
    random = torch.Generator().manual_seed(seed)
    time = torch.arange(round(seconds * 44100)) / 44100
    notes = torch.zeros(2, len(time))
    for beat in range(int(seconds * 4) + 1):
        hertz = 110 * 2 ** (float(torch.randint(0, 36, (1,), generator=random)) / 12)
        since = time - beat / 4
        tone = torch.sin(2 * math.pi * hertz * time) * torch.exp(-6 * since) * (since >= 0)
        pan = torch.rand(2, 1, generator=random)
        notes += 0.3 * pan * tone
    return notes + noise * torch.randn(2, len(time), generator=random)


def transfer(
    generator: nn.Module,
    spectrogram: SpectrogramSettings = SPECTROGRAM,
    stem: str = "other",
    iterations: int = 4,
) -> SpectralTransfer:
    return SpectralTransfer(
        generator, spectrogram, SpectralGainInverter(spectrogram, iterations), stem, "cpu"
    )


def db(error: Tensor, reference: Tensor) -> float:
    power = float(error.double().square().mean() / reference.double().square().mean())
    return 10 * math.log10(power + 1e-30)


class Louder(SpectrogramModel):
    """Turns every cell up: what it does to sound is known exactly."""

    kind = "louder"

    def shape(self) -> dict[str, Any]:
        return {"nats": self.nats}

    def __init__(self, nats: float) -> None:
        super().__init__()
        self.nats = nats

    def predict(self, features: Tensor, stem: Tensor) -> Tensor:
        return features + self.nats

    forward = predict


# --- spectrograms


def test_levels_of_songs_suit_the_networks() -> None:
    """Stems at RMS 0.1 come out near zero mean and unit variance; floors lie in their order."""
    stem = song(3.0, noise=5e-4)
    seen = normalised(SpectrogramSettings().stereo(0.1 * stem / stem.square().mean().sqrt()))
    assert abs(float(seen.mean())) < 1.0 and 0.3 < float(seen.std()) < 1.7
    assert math.log(SPECTROGRAM.floor) < DISCRIMINATOR_FLOOR < INAUDIBLE < 0
    assert float(normalised(torch.tensor(CENTRE + SPREAD))) == 1.0


# --- generator


@pytest.mark.parametrize("frames", [4, 5, 7, 8, 33])
def test_a_new_generator_changes_nothing(frames: int) -> None:
    spectrogram = torch.randn(2, BINS, frames) * SPREAD + CENTRE
    made = UNet(BINS, (4, 6, 8))(spectrogram, torch.tensor([0, 2]))
    assert torch.equal(made, spectrogram)
    changed = small_generator()(spectrogram, torch.tensor([0, 2]))
    assert changed.shape == spectrogram.shape and not torch.allclose(
        changed, spectrogram, atol=0.01
    )


def test_the_stem_steers() -> None:
    generator = small_generator().eval()
    spectrogram = (torch.randn(1, BINS, 16) * SPREAD + CENTRE).expand(3, -1, -1)
    made = generator(spectrogram, torch.arange(3))
    for one, two in ((0, 1), (0, 2), (1, 2)):
        assert float((made[one] - made[two]).detach().abs().mean()) > 0.01


def test_a_batch_is_its_single_spectrograms() -> None:
    generator = small_generator().eval()
    spectrograms, stems = torch.randn(3, BINS, 16) * SPREAD + CENTRE, torch.tensor([2, 0, 1])
    together = generator(spectrograms, stems)
    for index in range(3):
        alone = generator(spectrograms[index : index + 1], stems[index : index + 1])[0]
        torch.testing.assert_close(together[index], alone, atol=1e-5, rtol=1e-5)


def test_every_convolution_is_held_by_its_spectral_norm() -> None:
    """All but the last one, which starts at zero; the largest singular value stays at most 1."""
    generator = UNet(BINS, (4, 6, 8))
    for _ in range(30):  # power iterations settle
        generator(torch.randn(1, BINS, 8), torch.tensor([0]))
    held = [n for n, m in generator.named_modules() if parametrize.is_parametrized(m)]
    convolutions = {n for n, m in generator.named_modules() if isinstance(m, nn.Conv2d)}
    assert set(held) == convolutions - {"leave"} and len(held) == 1 + 2 + 2 + 2
    with torch.no_grad():
        for name in held:
            module = generator.get_submodule(name)
            module.parametrizations.weight.original.mul_(7)  # type: ignore[union-attr, operator]
            for _ in range(30):
                weight = module.weight  # type: ignore[union-attr]
            largest = torch.linalg.svdvals(weight.flatten(1))[0]  # type: ignore[operator]
            assert float(largest) == pytest.approx(1.0, abs=0.02)


def test_folding_keeps_the_output() -> None:
    generator = small_generator()
    spectrogram, stem = torch.randn(2, BINS, 16) * SPREAD + CENTRE, torch.tensor([0, 1])
    for _ in range(5):
        generator(spectrogram, stem)
    before = generator.eval()(spectrogram, stem)
    fold(generator)
    assert not any(parametrize.is_parametrized(m) for m in generator.modules())
    torch.testing.assert_close(generator(spectrogram, stem), before, atol=1e-5, rtol=1e-5)


def test_bins_that_cannot_be_halved_are_refused() -> None:
    with pytest.raises(AudioTransferError, match="40 bins"):
        UNet(40, (4, 6, 8, 10, 12))


# --- the paired turn


def paired(adversarial_from: int | None = 0, generator: nn.Module | None = None) -> PairedObjective:
    weights = {"audible": 2.0, "deep": 0.4, "full": 1.0, "patch": 1.0}
    made = generator or small_generator(bins=SMALL.bins)
    return PairedObjective(made, StemSpectrograms(SMALL), weights, adversarial_from)


def pair_batch(frames: int = 16, level: float = 0.1) -> dict[str, Tensor]:
    length = SMALL.samples(frames) + SMALL.hop_length - 1
    random = torch.Generator().manual_seed(1)
    return {
        "source": level * torch.randn(3, 2, length, generator=random),
        "target": level * torch.randn(3, 2, length, generator=random),
        "stem": torch.tensor([0, 1, 2]),
    }


def test_paired_terms_by_hand() -> None:
    """Target e times as loud as the source, generator the identity: one nat where it is heard."""
    batch = pair_batch(level=3.0)
    batch["target"] = math.e * batch["source"]
    assert float(SMALL.stereo(batch["source"]).min()) > INAUDIBLE
    (turn,) = paired(1, Louder(0.0)).turns(batch, 0, torch.Generator())
    assert turn.group == "generator" and set(turn.terms) == {"audible", "deep"}
    assert float(turn.terms["deep"]) == pytest.approx(1.0, abs=1e-4)
    assert float(turn.terms["audible"]) == pytest.approx(1.0, abs=1e-4)
    batch["source"] = 5e-4 * batch["source"]
    batch["target"] = math.e * batch["source"]
    source, target = (SMALL.stereo(batch[side]) for side in ("source", "target"))
    assert float(target.max()) < INAUDIBLE
    difference = float((target - source).mean())
    assert 0.5 < difference <= 1.0
    (turn,) = paired(1, Louder(0.0)).turns(batch, 0, torch.Generator())
    assert float(turn.terms["audible"]) == 0  # both below what a mix lets through
    assert float(turn.terms["deep"]) == pytest.approx(difference, abs=1e-4)
    assert turn.weights["audible"] == 2.0 and turn.weights["deep"] == 0.4


def test_paired_discriminators_by_hand() -> None:
    class Verdict(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.bias = nn.Parameter(torch.zeros(()))

        def forward(self, seen: Tensor) -> Tensor:
            assert seen.shape[1] == 1 + len(STEMS)
            # The planes say which stem it is, cell by cell.
            assert torch.equal(seen[:, 1:].mean((2, 3)), torch.eye(3))
            return seen[:, :1].mean((2, 3)) + self.bias

    objective = paired(0, Louder(0.5))
    objective.discriminators["full"] = Verdict()
    del objective.discriminators["patch"]
    batch = pair_batch()
    source, target = SMALL.stereo(batch["source"]), SMALL.stereo(batch["target"])
    real = normalised(target.clamp_min(DISCRIMINATOR_FLOOR)).mean((1, 2))
    fake = normalised((source + 0.5).clamp_min(DISCRIMINATOR_FLOOR)).mean((1, 2))
    discriminators, made = objective.turns(batch, 0, torch.Generator())
    hinge = ((1 - real).clamp_min(0).mean() + (1 + fake).clamp_min(0).mean()) / 2
    assert discriminators.terms["full"].item() == pytest.approx(float(hinge), abs=1e-4)
    assert made.terms["full"].item() == pytest.approx(-float(fake.mean()), abs=1e-4)


def test_what_lies_below_their_floor_is_the_same_to_discriminators() -> None:
    objective = paired()
    deep = torch.full((1, SMALL.bins, 8), DISCRIMINATOR_FLOOR - 1.0)
    seen = objective._view(deep, torch.tensor([1]))
    assert torch.equal(seen, objective._view(deep - 0.4, torch.tensor([1])))
    assert not torch.equal(seen, objective._view(deep + 2.0, torch.tensor([1])))


def test_discriminators_wait_for_their_step() -> None:
    objective = paired(5)
    early = list(objective.turns(pair_batch(), 4, torch.Generator()))
    late = list(objective.turns(pair_batch(), 5, torch.Generator()))
    assert [t.group for t in early] == ["generator"]
    assert [t.group for t in late] == ["discriminators", "generator"]
    assert set(late[1].terms) == {"audible", "deep", "full", "patch"}


def test_without_their_step_there_are_no_discriminators() -> None:
    objective = paired(None)
    assert set(objective.networks) == set(objective.groups) == {"generator"}
    (turn,) = objective.turns(pair_batch(), 10**9, torch.Generator())
    assert turn.group == "generator" and set(turn.terms) == {"audible", "deep"}


def test_every_parameter_learns_in_its_turn_and_only_there() -> None:
    objective = paired()
    with torch.no_grad():
        for discriminator in objective.discriminators.values():
            # Beyond one margin: within both, the last bias moves neither, by symmetry.
            discriminator.layers[-1].bias.fill_(3.0)  # type: ignore[union-attr, operator, index]
    owned = {
        group: [p for name in settings.networks for p in objective.networks[name].parameters()]
        for group, settings in objective.groups.items()
    }
    everything = {id(p) for n in objective.networks.values() for p in n.parameters()}
    assert everything == {id(p) for parameters in owned.values() for p in parameters}
    for turn in objective.turns(pair_batch(), 0, torch.Generator()):
        loss = sum(turn.weights.get(n, 1.0) * term for n, term in turn.terms.items())
        gradients = torch.autograd.grad(loss, owned[turn.group], retain_graph=True)  # type: ignore[arg-type]
        assert all(bool(g.isfinite().all()) and bool(g.any()) for g in gradients)
        if (
            turn.group == "discriminators"
        ):  # discriminators must not teach the generator to please them
            assert torch.autograd.grad(loss, owned["generator"], allow_unused=True) == (  # type: ignore[arg-type]
                None,
            ) * len(owned["generator"])


@pytest.mark.parametrize("term", ["audible", "deep", "full", "patch"])
def test_every_term_teaches_the_generator(term: str) -> None:
    objective = paired()
    *_, turn = objective.turns(pair_batch(), 0, torch.Generator())
    gradients = torch.autograd.grad(
        turn.terms[term], list(objective.generator.parameters()), allow_unused=True
    )
    assert all(g is not None and bool(g.isfinite().all()) for g in gradients)
    assert any(bool(g.any()) for g in gradients if g is not None)


@pytest.mark.parametrize("silent", ["source", "target", "both"])
def test_silence_gives_numbers(silent: str) -> None:
    objective, batch = paired(), pair_batch()
    for side in ("source", "target"):
        if silent in (side, "both"):
            batch[side] = torch.zeros_like(batch[side])
    for turn in objective.turns(batch, 0, torch.Generator()):
        loss = sum(turn.terms.values())
        assert math.isfinite(float(loss))
        parameters = [
            p
            for name in objective.groups[turn.group].networks
            for p in objective.networks[name].parameters()
        ]
        found = torch.autograd.grad(loss, parameters, allow_unused=True)  # type: ignore[arg-type]
        assert all(bool(g.isfinite().all()) for g in found if g is not None)


def test_distances_and_preview_know_their_stems() -> None:
    objective, batch = paired(0, Louder(0.5)), pair_batch(level=3.0)
    batch["target"] = math.exp(0.5) * batch["source"]
    batch["target"][1] = batch["source"][1]
    figures = objective.distances(batch)
    assert set(figures) == {*STEMS, *(f"{s}/nothing" for s in STEMS)}
    assert figures["drums"] == pytest.approx(0, abs=1e-4)
    assert figures["drums/nothing"] == pytest.approx(0.5, abs=1e-3)
    assert figures["bass"] == pytest.approx(0.5, abs=1e-3) and figures["bass/nothing"] == 0
    only = {k: v[:1] for k, v in batch.items()}
    assert set(objective.distances(only)) == {"drums", "drums/nothing"}
    shown = objective.preview(batch, torch.Generator()).images
    assert set(shown) == {f"{s}/{v}" for s in STEMS for v in ("source", "output", "truth")}
    torch.testing.assert_close(shown["bass/output"], shown["bass/source"] + 0.5)


# --- a stem through its generator


def test_strength_zero_returns_the_stem() -> None:
    stem = song(1.0)
    assert torch.equal(transfer(small_generator())(stem, 0.0), stem)


def test_strength_grows_with_the_change() -> None:
    stem, whole = song(2.0), transfer(Louder(1.0))
    gains = [
        float(whole(stem, s).square().mean().sqrt() / stem.square().mean().sqrt())
        for s in (0.25, 0.5, 1.0)
    ]
    assert gains == pytest.approx([math.exp(0.25), math.exp(0.5), math.e], rel=0.02)
    transferred = transfer(small_generator())
    away = [float((transferred(stem, s) - stem).square().mean()) for s in (0.25, 0.5, 0.75, 1.0)]
    assert away == sorted(away) and away[0] > 0


def test_the_input_stays_untouched() -> None:
    stem = song(0.5)
    kept = stem.clone()
    transfer(small_generator())(stem)
    assert torch.equal(stem, kept)


@pytest.mark.parametrize("length", [0, 1, 2, 511, 512, 1023, 2047, 4409, GRID - 1, GRID + 1])
@pytest.mark.parametrize("channels", [1, 2])
def test_any_length(length: int, channels: int) -> None:
    stem = song(2.0)[:channels, :length]
    made = transfer(small_generator())(stem)
    assert made.shape == stem.shape and made.dtype == torch.float32
    assert bool(made.isfinite().all())


def test_silence_stays_silent() -> None:
    made = transfer(small_generator())(torch.zeros(2, 5000))
    assert made.shape == (2, 5000) and not made.any()


def test_swapped_channels_come_out_swapped() -> None:
    stem, transferred = song(2.0), transfer(small_generator())
    assert db(transferred(stem.flip(0)).flip(0) - transferred(stem), stem) < -90
    assert db(transferred(stem) - stem, stem) > -20  # something was done to it


def test_what_is_left_stays_left() -> None:
    stem = song(1.0)
    stem[1] = 0
    assert not transfer(small_generator())(stem)[1].any()


@pytest.mark.parametrize("rate", [22050, 16000])
def test_what_a_spectrogram_of_a_lower_rate_does_not_show_stays(rate: int) -> None:
    time = torch.arange(30001) / 44100
    low, high = (0.1 * torch.sin(2 * math.pi * f * time).expand(2, -1) for f in (440.0, 14000.0))
    spectrogram = SpectrogramSettings(sample_rate=rate, bins=BINS, f_max=rate / 2)
    transferred = transfer(Louder(math.log(2)), spectrogram)
    made, inner = transferred(low + high), slice(4000, -4000)
    assert made.shape == low.shape
    assert db((made - 2 * low - high)[:, inner], low) < -30
    assert torch.equal(transferred(low + high, 0.0), low + high)
    half = transferred(low + high, 0.5)
    assert db((half - 2**0.5 * low - high)[:, inner], low) < -30


def test_the_same_call_gives_the_same_samples() -> None:
    stem, transferred = song(1.5), transfer(small_generator())
    assert torch.equal(transferred(stem), transferred(stem))


def test_a_block_with_context_equals_the_whole() -> None:
    """Blocks on the grid see the tiles of the whole song, instance norms included."""
    stem = song(12.0)[:, : 7 * GRID + 12345]
    transferred = transfer(small_generator(), SPECTROGRAM, "drums")
    before = -(-transferred.context // transferred.grid) * transferred.grid
    whole = transferred(stem)
    assert db(whole - stem, stem) > -20
    for first, last in ((0, 2), (2, 4), (3, 4), (4, 8)):
        start, stop = first * GRID, min(last * GRID, stem.shape[1])
        left, right = max(0, start - before), min(stem.shape[1], stop + transferred.context)
        block = transferred(stem[:, left:right])[:, start - left : stop - left]
        assert db(block - whole[:, start:stop], whole[:, start:stop]) < -90


@pytest.mark.parametrize("rate", [22050, 11025])
def test_a_block_equals_the_whole_at_a_lower_rate(rate: int) -> None:
    spectrogram = SpectrogramSettings(sample_rate=rate, bins=BINS, f_max=rate / 2)
    transferred = transfer(small_generator(), spectrogram)
    grid = transferred.grid
    assert grid == 128 * spectrogram.hop_length * 44100 // rate
    stem = torch.cat([song(6.0)] * 8, dim=1)[:, : 3 * grid + 70001]
    whole, stop = transferred(stem), 2 * grid
    before = -(-transferred.context // grid) * grid
    block = transferred(stem[:, stop - before :])[:, before:]
    assert db(block - whole[:, stop:], whole[:, stop:]) < -80
    first = transferred(stem[:, : grid + transferred.context])[:, :grid]
    assert db(first - whole[:, :grid], whole[:, :grid]) < -80


def test_tiles_of_other_rates_have_no_grid_of_whole_samples() -> None:
    spectrogram = SpectrogramSettings(sample_rate=16000, bins=BINS, f_max=8000.0)
    assert transfer(small_generator(), spectrogram).grid == 1


def test_tiles_overlap_without_a_seam() -> None:
    """A known change comes out exactly, also where tiles meet; tiles that disagree cross-fade."""
    stem = song(5.0)
    made = transfer(Louder(0.7))(stem)
    assert db(made - math.exp(0.7) * stem, stem) < -60

    class Disagreeing(Louder):
        """Each tile of a batch gets another level."""

        def predict(self, features: Tensor, stem: Tensor) -> Tensor:
            return features + torch.arange(len(features))[:, None, None]

    transferred = transfer(Disagreeing(0.0))
    source = torch.zeros(BINS, 4 * CORE)
    level = transferred._predict(source, None)[0]
    flat = torch.arange(4.0).repeat_interleave(CORE - 2 * MARGIN)
    middle = torch.cat([level[i * CORE + MARGIN : (i + 1) * CORE - MARGIN] for i in range(4)])
    torch.testing.assert_close(middle, flat)
    # From tile to tile the level rises in a straight line over the shared frames.
    assert float(level.diff().min()) > -1e-5
    assert float(level.diff().max()) == pytest.approx(1 / (2 * MARGIN), abs=1e-4)


def test_progress_reaches_the_end() -> None:
    told: list[float] = []
    transfer(small_generator())(song(14.0), progress=told.append)
    assert told == sorted(told) and len(told) > 1 and told[-1] == 1.0


@pytest.mark.parametrize("channels", [1, 2])
def test_inverters_without_a_source_keep_the_channels(channels: int) -> None:
    """Griffin-Lim gets each channel's spectrogram: what is left stays left, loud stays loud."""
    stem = song(1.0)[:channels].clone()
    stem[-1] *= 0.1
    approximate = SpectralTransfer(
        Louder(math.log(2.0)),
        SPECTROGRAM,
        GriffinLimInverter(SPECTROGRAM, iterations=8),
        "other",
        "cpu",
    )
    made = approximate(stem, generator=torch.Generator().manual_seed(0))
    assert made.shape == stem.shape
    gain = made.square().mean(1).sqrt() / stem.square().mean(1).sqrt()
    assert bool((gain > 1.2).all()) and bool((gain < 3).all())
    again = approximate(stem, generator=torch.Generator().manual_seed(0))
    assert torch.equal(made, again)


def test_unknown_stems_are_refused() -> None:
    with pytest.raises(AudioTransferError, match="kazoo"):
        transfer(small_generator(), stem="kazoo")


# --- weights


def test_a_saved_generator_comes_back(tmp_path: Path) -> None:
    generator = small_generator()
    spectrogram, stem = torch.randn(1, BINS, 8) * SPREAD + CENTRE, torch.tensor([1])
    for _ in range(5):
        generator(spectrogram, stem)
    fold(generator.eval())
    save_generator(tmp_path / "g.safetensors", generator)
    loaded = load_generator(tmp_path / "g.safetensors")
    assert (loaded.bins, loaded.channels) == (BINS, (4, 6, 8))
    # Half precision: three decimal digits of every weight.
    difference = float((loaded(spectrogram, stem) - generator(spectrogram, stem)).abs().max())
    assert 0 < difference < 0.02 * SPREAD
    count = sum(p.numel() for p in generator.parameters())
    assert (tmp_path / "g.safetensors").stat().st_size < 2 * count + 8000


@pytest.mark.parametrize("vocoder", ["auto", "source", "griffinlim", "pghi"])
def test_a_card_entry_becomes_a_transfer(tmp_path: Path, vocoder: str) -> None:
    save_generator(tmp_path / "g.safetensors", fold(small_generator().eval()))  # type: ignore[arg-type]
    entry = {"weights": "g.safetensors", "spectrogram": SPECTROGRAM.to_dict(), "stem": "bass"}
    loaded = load(tmp_path, entry, "bass", "cpu", vocoder)
    stem = song(0.3)
    made = loaded(stem, generator=torch.Generator().manual_seed(0))
    assert made.shape == stem.shape and bool(made.isfinite().all())


def other_metadata(**metadata: Any) -> dict[str, str]:
    return {"generator": json.dumps(metadata)}


@pytest.mark.parametrize(
    "metadata",
    [
        None,
        other_metadata(),
        other_metadata(bins=BINS, channels=[4, 6]),
        other_metadata(bins=30, channels=[4, 6, 8]),
        other_metadata(bins="many", channels=[4, 6, 8]),
        other_metadata(bins=BINS, channels=[]),
        {"generator": "[1]"},
        {"generator": "{no json"},
    ],
)
def test_foreign_weights_are_refused_in_one_line(
    tmp_path: Path, metadata: dict[str, str] | None
) -> None:
    path = tmp_path / "other_metadata.safetensors"
    save_file({"weight": torch.zeros(3)}, str(path), metadata=metadata)
    with pytest.raises(AudioTransferError, match="other_metadata") as caught:
        load_generator(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [None, b"", b"not safetensors at all", "cut"])
def test_damaged_weights_are_refused_in_one_line(tmp_path: Path, content: bytes | str) -> None:
    path = tmp_path / "damaged.safetensors"
    if content == "cut":
        save_generator(path, fold(small_generator().eval()))  # type: ignore[arg-type]
        path.write_bytes(path.read_bytes()[:-100])
    elif isinstance(content, bytes):
        path.write_bytes(content)
    with pytest.raises(AudioTransferError, match="damaged") as caught:
        load_generator(path)
    assert "\n" not in str(caught.value)


def test_an_unknown_vocoder_is_refused(tmp_path: Path) -> None:
    save_generator(tmp_path / "g.safetensors", fold(small_generator().eval()))  # type: ignore[arg-type]
    entry = {"weights": "g.safetensors", "spectrogram": SPECTROGRAM.to_dict()}
    with pytest.raises(VocoderError, match="kazoo"):
        load(tmp_path, entry, "bass", "cpu", "kazoo")
