"""The network from mel bands to bins, its loss, its inverter and its recipe, at toy size."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from test_vocoder import RATE, SMALL, decibels, music
from torch import Tensor

from audiotransfer import recipes
from audiotransfer.recipes.inverters import export_inverter
from vocoder import SpectrogramSettings, VocoderError
from vocoder.neural.inverter import NeuralInverter
from vocoder.neural.network import MagnitudeNetwork
from vocoder.neural.objective import MagnitudeObjective, degraded, first_levels


def network(settings: SpectrogramSettings = SMALL, seed: int = 0) -> MagnitudeNetwork:
    """A small network that changes something."""
    torch.manual_seed(seed)
    made = MagnitudeNetwork(settings.bins, settings.n_fft // 2 + 1, 24, 32, 2)
    torch.nn.init.normal_(made.leave.weight, std=0.05)
    return made.eval()


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    export_inverter(tmp_path / "v.safetensors", network(), SMALL, "neural")
    return tmp_path / "v.safetensors"


def test_the_network_is_local_and_follows_gain() -> None:
    levels = torch.randn(1, SMALL.bins, 90)
    first = first_levels(SMALL, levels)
    made = network()
    whole = made(levels, first)
    assert whole.shape == (1, SMALL.n_fft // 2 + 1, 90)
    part = made(levels[..., 20:70], first[..., 20:70])
    inner = slice(made.reach, 50 - made.reach)
    assert torch.allclose(part[..., inner], whole[..., 20:70][..., inner], atol=1e-4)
    assert torch.allclose(made(levels + 1.5, first + 1.5), whole + 1.5, atol=1e-4)


def test_the_loss_of_true_magnitudes_is_zero(monkeypatch: pytest.MonkeyPatch) -> None:
    sound = music(0.4)
    objective = MagnitudeObjective(SMALL, network())
    true = torch.log(SMALL.spectrum(sound).abs() + 1e-9)
    monkeypatch.setattr(objective.network, "forward", lambda levels, first: true)
    (turn,) = objective.turns({"sound": sound}, 0, None)
    assert float(turn.terms["log"]) < 1e-4 and float(turn.terms["bands"]) < 1e-3
    assert float(turn.terms["convergence"]) < 2e-3
    monkeypatch.setattr(objective.network, "forward", lambda levels, first: true + math.log(2))
    (turn,) = objective.turns({"sound": sound}, 0, None)
    assert float(turn.terms["log"]) > 0.05
    assert float(turn.terms["convergence"]) == pytest.approx(1.0, abs=0.01)


def test_a_share_of_the_items_is_degraded() -> None:
    levels = SMALL(torch.cat([music(0.4)] * 20))
    some = degraded(levels, 0.5, torch.Generator().manual_seed(0))
    changed = (some != levels).flatten(1).any(1)
    assert 10 < int(changed.sum()) < 30 and torch.isfinite(some).all()
    assert degraded(levels, 0.0, torch.Generator()) is levels
    assert float(some[changed].max()) <= float(levels.max()) + 1e-4


def test_silence_has_a_finite_loss_and_gradient() -> None:
    objective = MagnitudeObjective(SMALL, network())
    (turn,) = objective.turns({"sound": torch.zeros(2, 4000)}, 0, None)
    sum(turn.terms.values()).backward()
    found = [p.grad for p in objective.network.parameters() if p.grad is not None]
    assert found and all(torch.isfinite(gradient).all() for gradient in found)


def test_the_magnitudes_have_the_given_bands(weights: Path) -> None:
    """Within half a decibel on average, whatever the network says."""
    bands = SMALL(music(0.5))
    magnitude = NeuralInverter(SMALL, weights=weights).magnitude(bands)
    again = SMALL.logarithm(SMALL.bands(magnitude))
    audible = bands > bands.max() - math.log(1000)
    assert float((again - bands)[audible].abs().mean()) < math.log(10) / 40


@pytest.mark.parametrize("length", [0, 1, 127, 4099])
@pytest.mark.parametrize("iterations", [0, 4])
def test_the_inverter_keeps_the_contract(weights: Path, length: int, iterations: int) -> None:
    inverter = NeuralInverter(SMALL, iterations, weights)
    audio = music(0.4)[:, :length]
    sound = inverter(SMALL(audio), length, None, torch.Generator().manual_seed(0))
    assert sound.shape == (2, length) and torch.isfinite(sound).all()
    silence = SMALL(torch.zeros(1, length))
    assert not inverter(silence, length, None, torch.Generator().manual_seed(0)).any()


def test_a_batch_equals_its_items(weights: Path) -> None:
    inverter, audio = NeuralInverter(SMALL, 2, weights), music(0.4)

    def made(spectrogram: Tensor) -> Tensor:
        return inverter(spectrogram, int(0.4 * RATE), None, torch.Generator().manual_seed(0))

    together, alone = made(SMALL(audio)), made(SMALL(audio[1]))
    assert decibels(together[1] - alone, alone) < -60


def test_other_settings_and_files_are_refused(weights: Path, tmp_path: Path) -> None:
    with pytest.raises(VocoderError, match="hop_length 128, not 64"):
        NeuralInverter(SpectrogramSettings(n_fft=512, hop_length=64, bins=64), 1, weights)
    with pytest.raises(VocoderError, match="do not exist"):
        NeuralInverter(SMALL, 1, tmp_path / "none.safetensors")
    (tmp_path / "bad.safetensors").write_bytes(b"half")
    with pytest.raises(VocoderError, match="cannot be used"):
        NeuralInverter(SMALL, 1, tmp_path / "bad.safetensors")
    with pytest.raises(VocoderError, match="0 or more"):
        NeuralInverter(SMALL, -1, weights)


@pytest.mark.usefixtures("every_branch")
def test_the_recipe_learns_and_goes_on(tmp_path: Path) -> None:
    from audiotransfer.audio.writing import write_audio

    for name, seed in (("one", 0), ("two", 1), ("held", 2)):
        noise = torch.randn(2, RATE, generator=torch.Generator().manual_seed(seed))
        (tmp_path / "data" / "songs").mkdir(parents=True, exist_ok=True)
        write_audio(tmp_path / "data" / "songs" / f"{name}.wav", music(1.0) + 0.01 * noise, RATE)
    changes = [
        f"neural.data={tmp_path / 'data'}", "neural.folders=[songs]", "neural.held=[held]",
        "neural.without=[]", "neural.width=16", "neural.hidden=16", "neural.blocks=1",
        "neural.crops.batch=2", "neural.crops.seconds=0.3", "trainer.workers=0",
        "trainer.steps=2", "trainer.warmup=0", "trainer.log_every=1",
        "trainer.checkpoint_every=1", "trainer.validate_every=2",
    ]  # fmt: skip
    figures = recipes.train("neural", changes, tmp_path / "run")
    assert figures["failed_steps"] == 0 and all(map(math.isfinite, figures.values()))
    expects = SpectrogramSettings()
    inverter = NeuralInverter(expects, 0, tmp_path / "run" / "neural.safetensors")
    audio = music(0.3)
    made = inverter(expects(audio), audio.shape[-1], None, torch.Generator().manual_seed(0))
    assert made.shape == audio.shape and bool(made.abs().max() > 0)
    with pytest.raises(Exception, match="no recordings"):
        recipes.train("neural", [*changes, "neural.without=[songs]"], tmp_path / "none")
