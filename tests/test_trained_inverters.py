"""The inverters with networks of their own: deep Griffin-Lim, WaveNet, WaveGlow, and recipes."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from inverter_networks import NETWORKS, toy_inverter, toy_network
from test_vocoder import RATE, SMALL, decibels, music

import vocoder
from audiotransfer import recipes
from vocoder import SpectrogramSettings, VocoderError, stft
from vocoder.conditioning import conditions_of, emphasised, restored
from vocoder.deep_griffinlim.inverter import corrections
from vocoder.deep_griffinlim.network import ResidualNetwork, projections
from vocoder.deep_griffinlim.objective import DenoisingObjective
from vocoder.waveglow.network import WaveGlow
from vocoder.waveglow.objective import FlowObjective
from vocoder.wavenet import segments
from vocoder.wavenet.network import WaveNet, between_frames, delayed
from vocoder.wavenet.objective import LikelihoodObjective
from vocoder.wavenet.outputs import LogisticMixture, MuLaw, companded, expanded, quantised
from vocoder.wavenet.sampling import network_input, sample, sample_naively
from vocoder.wavenet.segments import FRAMES

CQT = SpectrogramSettings(
    kind="cqt", sample_rate=16000, n_fft=1024, hop_length=128, bins=144, f_min=110.0
)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


# Deep Griffin-Lim


def test_the_residual_network_follows_gain_and_is_local() -> None:
    network: ResidualNetwork = toy_network("deep-griffinlim", SMALL)
    stft_settings = SpectrogramSettings(kind="stft", n_fft=512, hop_length=128)
    true = stft_settings.spectrum(music(0.5)[:1])
    spectra = projections(true + 0.3, true.abs(), music(0.5).shape[-1], stft_settings)
    found = network(spectra, true.abs())
    assert float(found.abs().max()) > 0
    louder = network(100 * spectra, 100 * true.abs())
    assert float((louder - 100 * found).abs().max()) < 1e-3 * float(louder.abs().max())
    some = slice(40, 120)
    part = network(spectra[..., some], true.abs()[..., some])
    inner = slice(network.reach, 80 - network.reach)
    assert torch.allclose(part[..., inner], found[..., some][..., inner], atol=1e-5)
    assert not network(torch.zeros_like(spectra), torch.zeros_like(true.abs())).any()


def test_corrections_of_long_sounds_are_those_of_the_whole() -> None:
    network: ResidualNetwork = toy_network("deep-griffinlim", SMALL)
    spectra = torch.view_as_complex(torch.randn(1, 3, 33, 500, 2, generator=seeded()))
    magnitude = spectra[:, 0].abs()
    whole = network(spectra, magnitude)
    assert torch.allclose(corrections(network, spectra, magnitude), whole, atol=1e-5)


def test_a_network_without_an_effect_makes_plain_griffin_lim() -> None:
    network: ResidualNetwork = toy_network("deep-griffinlim", SMALL)
    for part in (network.real, network.imaginary):
        torch.nn.init.zeros_(part)
    settings = SpectrogramSettings(kind="stft", n_fft=512, hop_length=128, scale="magnitude")
    audio = music(0.4)[:1]
    magnitude, length = settings(audio), audio.shape[-1]
    spectrum = settings.spectrum(0.5 * audio.flip(-1))
    spectra = projections(spectrum, magnitude, length, settings)
    step = spectra[:, 2] - corrections(network, spectra, magnitude)
    plain = vocoder.griffin_lim(magnitude, length, settings, 0, 0.0, start=audio.flip(-1))
    # The ends differ: Griffin-Lim takes what lies beyond them for the mirrored sound that it is.
    made, plain = stft.inverse(step, length, 512, 128)[:, 512:-512], plain[:, 512:-512]
    assert decibels(made - plain, plain) < -60


def test_the_denoising_loss_is_zero_for_what_was_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    objective = DenoisingObjective(ResidualNetwork(4, 1))
    sound = music(0.3)
    (turn,) = objective.turns({"sound": sound}, 0, seeded())
    assert float(turn.terms["share"]) == pytest.approx(1.0)  # untrained: it changes nothing
    turn.terms["residual"].backward()
    true = objective.settings[0].spectrum(sound)[:, :257]
    monkeypatch.setattr(objective.network, "forward", lambda spectra, _: spectra[:, 2] - true)
    (turn,) = objective.turns({"sound": sound}, 0, seeded())
    assert float(turn.terms["residual"]) < 1e-5


# WaveNet


@pytest.mark.parametrize(("outputs", "kernel", "labels"), [(256, 2, 0), (12, 3, 3), (30, 2, 2)])
def test_sampling_equals_whole_passes(outputs: int, kernel: int, labels: int) -> None:
    torch.manual_seed(1)
    network = WaveNet(1, outputs, 8, 12, 8, 6, 2, kernel, local=10, labels=labels, frames=8).eval()
    for parameter in network.parameters():
        parameter.data *= 2  # so that the past counts
    local, label = torch.randn(2, 10, 5), torch.randn(2, labels) if labels else None
    uniform = torch.rand(2, 120)
    naive = sample_naively(network, local, label, 32, uniform)
    with torch.no_grad():
        conditions = network.conditions(local, label)
    assert conditions is not None
    cached = sample(network, conditions.expand(-1, -1, -1, 5), [(0, 0), (1, 0)], 120, 32, uniform)
    assert float(naive.std()) > 0.05
    assert torch.allclose(cached, naive, atol=2e-5)
    later = sample(network, conditions.expand(-1, -1, -1, 5), [(1, 0)] * 70, 120, 32, uniform)
    assert torch.equal(later[69], cached[1])  # in groups, on threads


def test_the_causal_network_knows_only_what_was() -> None:
    network: WaveNet = toy_network("wavenet", SMALL)
    sound, local = torch.randn(1, 1, 200), torch.randn(1, SMALL.bins, 2)
    changed = sound.clone()
    changed[..., 100] += 1
    one, two = network(sound, local, None, 128), network(changed, local, None, 128)
    assert torch.equal(one[..., :100], two[..., :100])
    differ = (one != two).any(1)[0].nonzero()
    assert int(differ.max()) == 100 + network.field - 1


def test_a_centred_network_makes_sound_of_sound() -> None:
    network = WaveNet(2, 2, 4, 4, 4, 4, 2, 3, causal=False, final="tanh")
    sound = torch.randn(1, 2, 101)
    made = network(sound)
    assert made.shape == sound.shape and float(made.abs().max()) <= 1
    sound[..., 50] += 1
    differ = (network(sound) != made).any(1)[0].nonzero()
    assert 100 - int(differ.max()) == int(differ.min())  # as far on one side as on the other
    with pytest.raises(ValueError, match="multiple"):
        WaveNet(layers=5, stacks=2)


def test_conditions_are_linear_between_frames() -> None:
    frames = torch.tensor([[[0.0, 1.0, 5.0]]])
    samples = between_frames(frames, 4, 11)
    assert samples[0, 0].tolist() == [0, 0.25, 0.5, 0.75, 1, 2, 3, 4, 5, 5, 5]
    assert between_frames(frames[..., :1], 4, 7).shape[-1] == 7
    assert delayed(torch.tensor([[1.0, 2.0, 3.0]])).tolist() == [[0.0, 1.0, 2.0]]


def test_the_mu_law_and_its_inverse() -> None:
    sound = torch.linspace(-1, 1, 1001)
    assert torch.allclose(expanded(companded(sound)), sound, atol=1e-5)
    steps = quantised(companded(sound))
    assert int(steps.min()) == 0 and int(steps.max()) == 255
    again = expanded(steps / 255 * 2 - 1)
    assert float((again - sound).abs().max()) < 0.03
    assert float((again - sound)[abs(sound) < 0.01].abs().max()) < 6e-4
    assert torch.equal(network_input(sound, 30), sound)


@pytest.mark.parametrize("output", [MuLaw(), LogisticMixture(2)])
def test_draws_have_the_probabilities_of_the_loss(output: MuLaw | LogisticMixture) -> None:
    """A step's share of many draws is what the loss says of it; all shares sum to 1."""
    torch.manual_seed(0)
    values = torch.randn(1, output.size, 1)
    if isinstance(output, LogisticMixture):
        values[0, 2:4, 0], values[0, 4:, 0] = torch.tensor([-0.3, 0.4]), -3.0
    draws = output.draw(values.expand(4000, -1, -1), torch.rand(4000, 2, 1))[:, 0]
    entropy = float(output.loss(values.expand(4000, -1, -1), draws[:, None]))
    if isinstance(output, MuLaw):
        steps = expanded(torch.arange(256) / 255 * 2 - 1)
        shares = torch.softmax(values[0, :, 0], 0)
        expected = float(-(shares * shares.log()).sum())
        assert entropy == pytest.approx(expected, abs=0.1)
    else:
        steps = torch.linspace(-1, 1, 65536)
        shares = torch.tensor([1.0])
    losses = [
        float(output.loss(values, x[None, None])) for x in steps[:: max(1, len(steps) // 256)]
    ]
    scale = len(steps) / len(losses)
    assert scale * sum(math.exp(-loss) for loss in losses) == pytest.approx(1.0, abs=0.05)
    assert float(draws.mean()) == pytest.approx(float(draws.flip(0).mean()))
    cold = output.draw(values.expand(500, -1, -1), torch.rand(500, 2, 1), 0.05)
    assert float(cold.std()) < float(draws.std())


# WaveGlow


def test_the_flow_has_an_exact_inverse_and_its_volume() -> None:
    network: WaveGlow = toy_network("waveglow", SMALL)
    local = torch.randn(1, SMALL.bins, 2, generator=seeded())
    sound = torch.randn(1, 16, generator=seeded(1))
    noise, volume = network(sound, local)
    assert noise.shape == (1, 8, 2)
    assert torch.allclose(network.inverse(noise, local), sound, atol=1e-5)
    jacobian = torch.autograd.functional.jacobian(
        lambda x: network(x[None], local)[0].flatten(), sound[0]
    )
    assert float(torch.linalg.slogdet(jacobian)[1]) == pytest.approx(float(volume), abs=1e-3)


def test_sizes_that_cannot_be_are_refused() -> None:
    with pytest.raises(ValueError, match="multiple"):
        WaveGlow(8, 100, 16)
    with pytest.raises(ValueError, match="less early"):
        WaveGlow(8, 512, 8, 13, 2, 3)


# All of them


def test_conditions_have_one_level_and_know_silence() -> None:
    settings = SpectrogramSettings(n_fft=512, hop_length=128, bins=64, floor=1e-9)
    audio = music(0.4)
    audio[1, 3000:] = 0
    given = conditions_of(settings, settings(audio))
    louder = conditions_of(settings, settings(8 * audio))
    audible = given.levels > given.levels.max() - 2
    assert torch.allclose(given.levels[audible], louder.levels[audible], atol=1e-3)
    assert torch.allclose(louder.gain * 8, given.gain, rtol=1e-3)
    envelope = given.envelope(SMALL.hop_length, audio.shape[-1])
    assert bool((envelope[0] > 0).all()) and not envelope[1, 4000:].any()
    assert torch.allclose(restored(emphasised(audio)), audio, atol=1e-5)


@pytest.mark.parametrize("name", ["wavenet", "waveglow"])
def test_a_louder_spectrogram_is_a_louder_sound(name: str, tmp_path: Path) -> None:
    settings = SpectrogramSettings(n_fft=512, hop_length=128, bins=64, floor=1e-9)
    inverter = toy_inverter(name, settings, tmp_path)
    bands = settings(music(0.3)[:1])
    length = int(0.3 * RATE)
    plain = inverter(bands, length, None, seeded())
    louder = inverter(bands + math.log(4), length, None, seeded())
    assert decibels(louder - 4 * plain, louder) < -40


def test_segments_of_the_wavenet_join_without_steps() -> None:
    """A network that gives the same value everywhere gives it across segments too."""
    parts = torch.ones(1, 3, (1 + FRAMES + 2) * 128)
    joined = segments.joined(parts, 1, 128)[:, : 80 * 128]
    assert float(joined.min()) > 0.99 and float(joined.max()) < 1.5


@pytest.mark.parametrize("name", NETWORKS)
def test_wrong_files_and_settings_are_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(VocoderError, match=f"train {name}"):
        vocoder.create(f"{name}:{tmp_path / 'none.safetensors'}", SMALL)
    (tmp_path / "bad.safetensors").write_bytes(b"half")
    with pytest.raises(VocoderError, match="cannot be used"):
        vocoder.create(f"{name}:{tmp_path / 'bad.safetensors'}", SMALL)
    other = next(one for one in NETWORKS if one != name)
    toy_inverter(other, SMALL, tmp_path)
    with pytest.raises(VocoderError, match=f"no weights of {name}"):
        vocoder.create(f"{name}:{tmp_path / other}.safetensors", SMALL)
    (tmp_path / "cqt").mkdir()
    with pytest.raises(VocoderError, match="use "):
        toy_inverter(name, CQT, tmp_path / "cqt")
    wrong = {"deep-griffinlim": {"iterations": -1}, "wavenet": {"temperature": 0.0}}
    with pytest.raises(VocoderError, match="use "):
        toy_inverter(name, SMALL, tmp_path, **wrong.get(name, {"deviation": -1.0}))
    if name != "deep-griffinlim":
        toy_inverter(name, SMALL, tmp_path)
        with pytest.raises(VocoderError, match="hop_length 128, not 64"):
            toy_inverter(name, SpectrogramSettings(n_fft=512, hop_length=64, bins=64), tmp_path)


@pytest.mark.parametrize("kind", [FlowObjective, LikelihoodObjective])
def test_silence_has_a_finite_loss(kind: type) -> None:
    name = "wavenet" if kind is LikelihoodObjective else "waveglow"
    objective = kind(SMALL, toy_network(name, SMALL))
    (turn,) = objective.turns({"sound": torch.zeros(2, 2048)}, 0, seeded())
    turn.terms["nats"].backward()
    found = [p.grad for p in objective.networks[name].parameters() if p.grad is not None]
    assert found and all(torch.isfinite(gradient).all() for gradient in found)


CONFIGS = {
    "deep-griffinlim": ["channels=4", "layers=1"],
    "wavenet": ["channels=4", "gates=4", "skips=4", "layers=2", "stacks=1"],
    "waveglow": ["group=8", "flows=2", "channels=4", "skips=4", "layers=1"],
}


@pytest.mark.parametrize("size", ["", "-paper"])
@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.usefixtures("every_branch")
def test_the_recipes_learn_and_their_files_invert(name: str, size: str, tmp_path: Path) -> None:
    from audiotransfer.audio.writing import write_audio

    for which, seed in (("one", 0), ("held", 2)):
        noise = torch.randn(2, RATE, generator=seeded(seed))
        (tmp_path / "data" / "songs").mkdir(parents=True, exist_ok=True)
        write_audio(tmp_path / "data" / "songs" / f"{which}.wav", music(1.0) + 0.01 * noise, RATE)
    section = name.replace("-", "_")
    own = [
        f"data={tmp_path / 'data'}", "folders=[songs]", "held=[held]", "without=[]",
        "held_batches=1", "crops.batch=2", "crops.seconds=0.2", *CONFIGS[name],
    ]  # fmt: skip
    if name != "deep-griffinlim" and not size:
        own += ["spectrogram.n_fft=512", "spectrogram.hop_length=128", "spectrogram.bins=64"]
    changes = [f"{section}.{change}" for change in own] + [
        "trainer.workers=0", "trainer.steps=2", "trainer.warmup=0", "trainer.log_every=1",
        "trainer.checkpoint_every=1", "trainer.validate_every=2",
    ]  # fmt: skip
    figures = recipes.train(name + size, changes, tmp_path / "run")
    assert figures["failed_steps"] == 0 and all(map(math.isfinite, figures.values()))
    (weights,) = (tmp_path / "run").glob("*.safetensors")
    card = recipes.load_training(name + size, changes).recipe
    expects = getattr(card, "spectrogram", SMALL)
    inverter = vocoder.create(f"{name}:{weights}", expects)
    audio = music(0.5, expects.sample_rate)[..., :5000]
    made = inverter(expects(audio), audio.shape[-1], None, seeded())
    assert made.shape == audio.shape and bool(made.abs().max() > 0)
    assert bool(torch.isfinite(made).all())
