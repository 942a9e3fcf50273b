"""One generator for several styles and stems: its networks, every term by hand, and its recipe."""

from __future__ import annotations

import json
import math
import warnings
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from audiotransfer import Song, recipes, transfer
from audiotransfer.audio.writing import write_audio
from audiotransfer.data.datasets.base import Sampling
from audiotransfer.data.manifest import Feature, Manifest, PreparedSong
from audiotransfer.errors import AudioTransferError
from audiotransfer.evaluation import checkpoint_metric
from audiotransfer.recipes import load_training
from audiotransfer.spectral.models.base import STEMS
from audiotransfer.spectral.models.unet import UNet
from audiotransfer.spectral.networks import ConditionalDiscriminator, ConditionalUNet
from audiotransfer.spectral.objectives.any_to_many import AnyToMany, AnyToManySettings, Conditions
from audiotransfer.spectral.transfer import load_generator, save_generator, stem_transfer
from audiotransfer.styles import Keep, load_style, read_card
from audiotransfer.training import Trainer, TrainerSettings
from audiotransfer.training.devices import launch
from audiotransfer.training.diagnosis import CHECKS, Diagnosis
from audiotransfer.training.log import Progress
from audiotransfer.training.objective import Mixed, Share
from audiotransfer.training.stepping import Stepper
from vocoder import SpectrogramSettings

BINS, FRAMES = 16, 24
STYLES = ("jazz", "rock", "ska")
RATE = 44100


def network(seed: int = 0, **sizes: Any) -> ConditionalUNet:
    """A small one whose every layer already says something."""
    with torch.random.fork_rng([]):
        torch.manual_seed(seed)
        made = ConditionalUNet(STYLES, **{"bins": BINS, "channels": (6, 8), "code": 8} | sizes)
        nn.init.normal_(made.leave.weight, std=0.2)
    return made


def spectrograms(batch: int = 3, frames: int = FRAMES, seed: int = 0) -> Tensor:
    noise = torch.randn(batch, BINS, frames, generator=torch.Generator().manual_seed(seed))
    return -4 + 1.5 * noise


def conditions(stem: int = 0, style: int = 0, strength: float = 1.0, batch: int = 3) -> Conditions:
    index = torch.zeros(batch, dtype=torch.long)
    return Conditions(index + stem, index + style, torch.full((batch,), strength))


# --- networks


def test_a_new_network_changes_nothing() -> None:
    fresh = ConditionalUNet(STYLES, BINS, (6, 8))
    assert torch.equal(fresh(spectrograms(), *conditions()), spectrograms())


def test_strength_0_is_the_spectrogram_whatever_was_learned() -> None:
    made = network()(spectrograms(), *conditions(strength=0.0))
    assert torch.equal(made, spectrograms())
    assert not torch.equal(network()(spectrograms(), *conditions(strength=0.1)), spectrograms())


@pytest.mark.parametrize(
    "other", [conditions(stem=1), conditions(style=1), conditions(strength=0.5)]
)
def test_each_condition_steers(other: Conditions) -> None:
    """The strength beyond scaling what is added."""
    steered = network()
    with torch.no_grad():
        one, two = (steered(spectrograms(), *w) - spectrograms() for w in (conditions(), other))
    two = two / other.strength[:, None, None]
    assert float((one - two).abs().max()) > 1e-2


@pytest.mark.parametrize("frames", [1, 7, 24, 41])
def test_any_number_of_frames_each_example_by_itself(frames: int) -> None:
    steered = network(patch=(2, 4))
    seen = spectrograms(2, frames)
    both = Conditions(torch.tensor([0, 2]), torch.tensor([1, 0]), torch.tensor([1.0, 0.3]))
    made = steered(seen, *both)
    assert made.shape == seen.shape
    alone = steered(seen[1:], *(part[1:] for part in both))
    torch.testing.assert_close(made[1:], alone)


def test_patches_hold_every_cell_once() -> None:
    steered = network(patch=(2, 4))
    patches = steered._patches(spectrograms())
    assert patches.shape == (3, 8, BINS // 2, FRAMES // 4)
    assert torch.equal(patches[0, :, 3, 2], spectrograms()[0, 6:8, 8:12].flatten())
    assert torch.equal(steered._cells(patches), spectrograms())


def test_one_style_alone_shares_the_weights() -> None:
    steered = network()
    alone = steered.only("ska")
    seen, stem = spectrograms(), torch.full((3,), 2)
    assert torch.equal(alone.predict(seen, stem), steered(seen, *conditions(2, 2)))
    assert torch.equal(alone.predict_at(seen, stem, 0.4), steered(seen, *conditions(2, 2, 0.4)))
    with torch.no_grad():
        steered.leave.weight.zero_()
        steered.leave.bias.zero_()  # type: ignore[union-attr]
    assert torch.equal(alone.predict(seen, stem), seen)


def test_what_a_network_cannot_do_is_one_line() -> None:
    with pytest.raises(AudioTransferError, match=r"no style 'jaz'.* jazz"):
        network().only("jaz")
    with pytest.raises(AudioTransferError, match="choose one"):
        network().predict(spectrograms(), torch.zeros(3, dtype=torch.long))
    with pytest.raises(AudioTransferError, match="12 bins are no multiple of 8"):
        ConditionalUNet(STYLES, 12, (4, 4, 4))
    with pytest.raises(AudioTransferError, match="no style 'jazz'"):
        UNet(BINS, (4, 4)).only("jazz")


def test_weights_come_back(tmp_path: Path) -> None:
    steered = network()
    save_generator(tmp_path / "w.safetensors", steered)
    loaded = load_generator(tmp_path / "w.safetensors")
    assert loaded.shape() == steered.shape()
    seen, stem = spectrograms(), torch.zeros(3, dtype=torch.long)
    gap = loaded.only("rock").predict(seen, stem) - steered.only("rock").predict(seen, stem)
    assert float(gap.detach().abs().max()) < 0.02  # half precision


def test_the_strength_of_the_command_is_the_networks() -> None:
    """A network without strengths gets its change scaled; this one is asked."""
    plain = UNet(BINS, (4, 4)).eval()  # each forward in training moves the spectral norms
    nn.init.normal_(plain.leave.weight)
    seen, stem = spectrograms(), torch.zeros(3, dtype=torch.long)
    half = plain.predict_at(seen, stem, 0.25) - seen
    torch.testing.assert_close(half, 0.25 * (plain.predict(seen, stem) - seen))
    spectrogram = SpectrogramSettings(bins=BINS)
    sound = 0.1 * torch.randn(2, 30000, generator=torch.Generator().manual_seed(0))
    steered = network()
    asked: list[float] = []
    steered.register_forward_hook(lambda m, given, made: asked.append(float(given[3][0])))
    play = stem_transfer(steered.only("rock"), spectrogram, "bass")
    for strength in (0.3, 1.0):
        assert play(sound, strength).shape == sound.shape
    assert sorted(set(asked)) == pytest.approx([0.3, 1.0])
    assert torch.equal(play(sound, 0.0), sound)


def test_the_discriminator_is_told_but_guesses_by_itself() -> None:
    torch.manual_seed(0)
    discriminator = (
        ConditionalDiscriminator(3, width=4, levels=2, code=8).eval().requires_grad_(False)
    )
    verdict, guess = discriminator(spectrograms(), *conditions())
    assert verdict.shape == (3, 1, BINS // 4, FRAMES // 4) and guess.shape == (3, 3)
    for other in (conditions(stem=1), conditions(style=1), conditions(strength=0.5)):
        said, guessed = discriminator(spectrograms(), *other)
        assert float((said - verdict).abs().max()) > 1e-4
        torch.testing.assert_close(guessed, guess)


# --- terms


class Brighter(nn.Module):
    """Raises stem 0 by (style + 1) times the strength, stem 1 by ten times that."""

    def __init__(self) -> None:
        super().__init__()
        self.by = nn.Parameter(torch.tensor(1.0))

    def forward(self, spectrogram: Tensor, stem: Tensor, style: Tensor, strength: Tensor) -> Tensor:
        return spectrogram + (self.by * (1 + 9 * stem) * (style + 1) * strength)[:, None, None]


class Mean(nn.Module):
    """Says the mean, and is sure of a style by how much."""

    def forward(self, spectrogram: Tensor, *told: Tensor) -> tuple[Tensor, Tensor]:
        mean = spectrogram.mean((1, 2))
        return mean[:, None] + told[1][:, None], torch.stack([mean, 0 * mean], 1)


def toy(**settings: Any) -> AnyToMany:
    chosen = AnyToManySettings(**settings)
    return AnyToMany(Brighter(), Mean(), ("jazz", "rock"), chosen)  # type: ignore[arg-type]


def unit(level: float) -> float:
    """What discriminators see of a level (nats)."""
    return (max(level, -9.0) + 5) / 3


def numbers(terms: dict[str, Tensor]) -> dict[str, float]:
    return {name: float(term.detach()) for name, term in terms.items()}


def test_every_term_of_pairs_by_hand() -> None:
    """One example at -4; its target is a level above in style 0 and three in style 1."""
    source = torch.full((1, 4, 6), -4.0)
    target = torch.stack([source[0] + 1, source[0] + 3])[None]
    batch = {"source": source, "target": target, "stem": torch.tensor([0])}
    seen = set()
    for seed in range(6):
        draws = torch.Generator().manual_seed(seed)
        style = int(torch.randint(2, (1,), generator=draws))
        whole, drawn = torch.rand(2, 1, generator=draws)[:, 0].tolist()
        strength = 1.0 if whole < 0.5 else drawn
        seen.add((style, strength == 1.0))
        turns = list(toy().turns(batch, 0, torch.Generator().manual_seed(seed)))
        assert [turn.group for turn in turns] == ["discriminator", "generator"]
        discriminator, made = (numbers(turn.terms) for turn in turns)
        true = -4 + strength * (1, 3)[style]
        predicted = -4 + strength * (style + 1)
        assert made["audible"] == pytest.approx(abs(predicted - true), abs=1e-5)
        assert made["frame"] == pytest.approx(math.sqrt((predicted - true) ** 2 + 1e-4), abs=1e-4)
        assert made["deep"] == pytest.approx(abs(predicted - true), abs=1e-5)
        verdict = {name: unit(level) + style for name, level in (("t", true), ("p", predicted))}
        hinge = 0.5 * (max(0, 1 - verdict["t"]) + max(0, 1 + verdict["p"]))
        assert discriminator["discriminator"] == pytest.approx(hinge, abs=1e-5)
        assert made["adversarial"] == pytest.approx(-verdict["p"], abs=1e-5)
        for terms, level in ((discriminator, true), (made, predicted)):
            sure = unit(level) if style == 0 else -unit(level)
            surprise = math.log(1 + math.exp(-sure))
            assert terms["domain"] == pytest.approx(strength * surprise, abs=1e-5)
        assert set(made) == {"audible", "frame", "deep", "adversarial", "domain"}
        assert set(discriminator) == {"discriminator", "domain"}
    assert len(seen) >= 3  # both styles, whole and partly


def test_inaudible_cells_count_in_deep_alone() -> None:
    source = torch.full((1, 4, 6), -8.0)
    batch = {"source": source, "target": torch.stack([source] * 2, 1), "stem": torch.tensor([0])}
    (made,) = toy(adversarial_from=1, whole=1.0).turns(batch, 0, torch.Generator())
    terms = numbers(made.terms)
    assert terms["audible"] == 0 and terms["frame"] == pytest.approx(0.01)
    assert terms["deep"] in (1.0, 2.0)


def test_every_term_of_songs_by_hand() -> None:
    """Source at -6, target at -4, of style 1, stem 1: twenty up for it, ten for the other."""
    batch = {
        "source": torch.full((1, 4, 6), -6.0),
        "target": torch.full((1, 4, 6), -4.0),
        "stem": torch.tensor([1]),
        "style": torch.tensor([1]),
    }
    draws = torch.Generator().manual_seed(3)
    strength = float(torch.rand(2, 1, generator=draws)[1])
    discriminator, made = toy(whole=0.0).turns(batch, 0, torch.Generator().manual_seed(3))
    assert (discriminator.group, made.group) == ("discriminator", "generator")
    predicted = -6.0 + 20
    surprise = {level: math.log(1 + math.exp(unit(level))) for level in (-4.0, predicted)}
    assert numbers(discriminator.terms) == {
        "discriminator": pytest.approx(0.5 * (0 + 1 + unit(predicted) + 1), rel=1e-5),
        "domain": pytest.approx(surprise[-4.0], rel=1e-5),
    }
    assert numbers(made.terms) == {
        "cycle": pytest.approx(30 / 3, rel=1e-5),
        "identity": pytest.approx(20 * strength / 3, rel=1e-5),
        "way": pytest.approx(0, abs=1e-5),
        "adversarial": pytest.approx(-(unit(predicted) + 1), rel=1e-5),
        "domain": pytest.approx(surprise[predicted], rel=1e-5),
    }


def test_the_way_to_a_style_is_straight() -> None:
    """What strength 1/2 makes is held against half of what strength 1 does."""

    class Late(Brighter):
        def forward(
            self, spectrogram: Tensor, stem: Tensor, style: Tensor, strength: Tensor
        ) -> Tensor:
            return super().forward(spectrogram, stem, style, strength.square())

    one = toy(whole=0.0)
    one.generator = Late()  # type: ignore[assignment]
    batch = {
        "source": torch.full((1, 4, 6), -6.0),
        "target": torch.full((1, 4, 6), -4.0),
        "stem": torch.tensor([0]),
        "style": torch.tensor([1]),
    }
    strength = float(torch.rand(2, 1, generator=torch.Generator().manual_seed(3))[1])
    _, made = one.turns(batch, 0, torch.Generator().manual_seed(3))
    bent = 2 * (strength - strength**2) / 3
    assert float(made.terms["way"].detach()) == pytest.approx(bent, rel=1e-4)
    gradient = torch.autograd.grad(made.terms["way"], one.generator.by)  # type: ignore[arg-type]
    # The whole change is what it is held to, and stands still.
    assert float(gradient[0]) == pytest.approx(-2 * strength**2 / 3, rel=1e-4)


def test_weights_are_those_of_the_settings() -> None:
    for kind in ("pairs", "songs"):
        one = objective(cycle=7.0, adversarial=0.25)
        *_, made = one.turns(Batches(kind).batch(0), 0, torch.Generator())
        assert made.weights["cycle"] == 7.0 and made.weights["adversarial"] == 0.25
        assert set(made.terms) < set(made.weights)


def test_another_style_is_never_the_same() -> None:
    style = torch.arange(2).repeat(50)
    assert torch.equal(toy()._others(style, torch.Generator()), 1 - style)


def test_distances_by_hand() -> None:
    source = torch.full((2, 4, 6), -4.0)
    target = torch.stack([source + 1, source + 3], 1)
    batch = {"source": source, "target": target, "stem": torch.tensor([0, 0])}
    assert toy().distances(batch) == {
        "jazz": pytest.approx(0.01),
        "jazz/nothing": pytest.approx(1.0, rel=1e-3),
        "rock": pytest.approx(1.0, rel=1e-3),
        "rock/nothing": pytest.approx(3.0, rel=1e-3),
    }


# --- what it promises as an objective


class Batches:
    def __init__(self, kind: str) -> None:
        self.kind = kind

    def batch(self, step: int) -> dict[str, Tensor]:
        source, stem = spectrograms(seed=step), torch.tensor([0, 1, 2])
        if self.kind == "songs":
            style = torch.tensor([step % 3, 1, 2])
            return {
                "source": source,
                "target": spectrograms(seed=50 + step),
                "stem": stem,
                "style": style,
            }
        target = torch.stack([spectrograms(seed=100 + step + s) for s in range(3)], 1)
        return {"source": source, "target": target, "stem": stem}


def objective(seed: int = 0, **settings: Any) -> AnyToMany:
    generator = network(seed)
    with torch.random.fork_rng([]):
        torch.manual_seed(seed)
        discriminator = ConditionalDiscriminator(3, width=4, levels=2, code=8)
    return AnyToMany(generator, discriminator, STYLES, AnyToManySettings(**settings))


@pytest.mark.parametrize("kind", ["pairs", "songs"])
def test_a_turn_moves_every_parameter_of_its_network_and_no_other(kind: str) -> None:
    one = objective()
    stepper = Stepper(one.networks, one.groups, launch(TrainerSettings(steps=1)))
    everything = {
        (name, key): parameter
        for name, module in one.networks.items()
        for key, parameter in module.named_parameters()
    }
    with torch.no_grad():
        # Beyond one of the hinge's corners: within both it moves neither, by symmetry.
        one.discriminator.output.bias.fill_(3.0)
    turns = one.turns(Batches(kind).batch(0), 0, torch.Generator().manual_seed(0))
    groups = []
    while (turn := stepper.next(turns)) is not None:
        before = {key: parameter.detach().clone() for key, parameter in everything.items()}
        stepper.take(turn, 1.0)
        groups.append(turn.group)
        for (name, key), parameter in everything.items():
            moved = not torch.equal(parameter, before[name, key])
            assert moved == (name == turn.group), (name, key)
    assert groups == ["discriminator", "generator"]


@pytest.mark.parametrize("kind", ["pairs", "songs"])
def test_silence_gives_finite_terms_and_gradients(kind: str) -> None:
    one, batch = objective(), Batches(kind).batch(0)
    for side in ("source", "target"):
        batch[side] = torch.full_like(batch[side], math.log(1e-6))
    for turn in one.turns(batch, 0, torch.Generator()):
        assert all(bool(term.isfinite()) for term in turn.terms.values())
        parameters = list(one.networks[turn.group].parameters())
        loss = torch.stack(list(turn.terms.values())).sum()
        for gradient in torch.autograd.grad(loss, parameters, allow_unused=True):
            assert gradient is None or bool(gradient.isfinite().all())


def trained(folder: Path, kind: str, steps: int = 4, stop: int | None = None) -> AnyToMany:
    one = objective(generator_rate=2e-3)
    shares = [Share(name, one, Batches(name)) for name in ("pairs", "songs") if name in kind]
    mixed = Mixed(shares) if len(shares) > 1 else None
    settings = TrainerSettings(steps=steps, workers=0, checkpoint_every=2, log_every=1)
    trainer = Trainer(mixed or one, mixed or shares[0].batches, settings, folder)
    trainer.run(should_stop=lambda: trainer.step == stop)
    return one


@pytest.mark.parametrize("kind", ["pairs", "songs", "pairs and songs"])
def test_a_stopped_training_goes_on_to_the_same_bits(kind: str, tmp_path: Path) -> None:
    whole = trained(tmp_path / "whole", kind)
    trained(tmp_path / "parts", kind, stop=3)
    parts = trained(tmp_path / "parts", kind)
    for name, module in whole.networks.items():
        for key, value in module.state_dict().items():
            assert torch.equal(value, parts.networks[name].state_dict()[key]), (name, key)


def test_pairs_are_learned_as_the_conditions_say(tmp_path: Path) -> None:
    """Two styles that pull apart, at two strengths."""

    class Apart(Batches):
        def batch(self, step: int) -> dict[str, Tensor]:
            source = spectrograms(6, seed=step)
            target = torch.stack([source + 1, source - 1, source], 1)
            return {"source": source, "target": target, "stem": torch.arange(6) % 3}

    one = objective(generator_rate=1e-2, adversarial_from=1000)
    settings = TrainerSettings(steps=80, workers=0)
    Trainer(one, Apart("pairs"), settings, tmp_path).run()
    seen = spectrograms(seed=999)
    with torch.no_grad():
        for strength in (0.5, 1.0):
            up, down, still = (
                float((one.generator(seen, *conditions(1, s, strength)) - seen).mean())
                for s in range(3)
            )
            assert up == pytest.approx(strength, abs=0.3)
            assert down == pytest.approx(-strength, abs=0.3)
            assert abs(still) < 0.3


@pytest.mark.parametrize("kind", ["pairs", "songs"])
def test_a_preview_shows_every_stem_in_every_style(kind: str) -> None:
    with torch.no_grad():
        shown = objective().preview(Batches(kind).batch(0), torch.Generator())
    sides = ("source", "output") + (("truth",) if kind == "pairs" else ())
    wanted = {f"{stem} to {style}/{side}" for stem in STEMS for style in STYLES for side in sides}
    assert set(shown.images) == wanted
    assert all(p.shape == (BINS, FRAMES) for p in shown.images.values())
    assert set(shown.embeddings) == set(STEMS)


def diagnosed(one: AnyToMany) -> list[str]:
    diagnosis, found = Diagnosis(), []
    for step in range(CHECKS):
        with torch.no_grad():
            looks = [one.preview(Batches("pairs").batch(s), torch.Generator()) for s in range(4)]
        found += diagnosis.check(Progress(step=10 * step), looks)
    return found


def test_what_goes_wrong_is_told() -> None:
    assert not diagnosed(objective())
    copies = objective()
    nn.init.zeros_(copies.generator.leave.weight)
    assert sum("copies its input (bass to rock)" in line for line in diagnosed(copies)) == 1
    deaf = objective()
    nn.init.zeros_(deaf.generator.condition.style.weight)
    assert sum("embeddings collapse (drums)" in line for line in diagnosed(deaf)) == 1
    same = objective()
    spectrogram = spectrograms(1)
    forward = same.generator.forward
    same.generator.forward = lambda seen, *told: spectrogram + 0 * forward(seen, *told)  # type: ignore[method-assign]
    assert sum("one output for all (other to ska)" in line for line in diagnosed(same)) == 1


# --- the recipe

TRAINER = [
    "trainer.steps=2",
    "trainer.workers=0",
    "trainer.warmup=0",
    "trainer.hold=0",
    "trainer.log_every=1",
    "trainer.validate_every=2",
]
TOY = [
    "any_to_many.generator={channels: [4, 6], patch: [2, 4], code: 8}",
    "any_to_many.discriminator={width: 2, levels: 2, code: 8}",
    "any_to_many.settings.adversarial_from=1",
    "any_to_many.validation_songs=1",
    "any_to_many.drawing.batch=2",
    "any_to_many.drawing.frames=16",
    "any_to_many.checkpoint_metric.songs=0",
]
SONGS = "any_to_many.songs={prepared: prepared, frames: 16, batch: 2}"
BANDS = ("jazz", "classical", "rock", "electronic")


def write_pair(place: Path, seed: int) -> None:
    """What rendering and preparing leave of a song, as noise."""
    random = np.random.default_rng(seed)
    (place / "features").mkdir(parents=True)
    for stem in STEMS:
        for side, values in (("source", 580), *((style, 256) for style in BANDS)):
            shown = random.normal(-4, 1.5, (60, values)).astype(np.float16)
            np.save(place / "features" / f"{stem}.{side}.npy", shown)
        sound = torch.from_numpy(random.normal(0, 0.1, (2, 4000))).float()
        for side in ("source", *(f"target/{style}" for style in BANDS)):
            (place / side).mkdir(parents=True, exist_ok=True)
            write_audio(place / side / f"{stem}.wav", sound, RATE)
    (place / "song.json").write_text(json.dumps({"split": "train", "stems": list(STEMS)}))


def write_songs(
    folder: Path, spectrogram: SpectrogramSettings, stems: tuple[str, ...] = STEMS
) -> None:
    """A prepared collection, two songs a genre, of noise."""
    folder.mkdir(parents=True)
    songs = []
    for number, genre in enumerate((*BANDS, "folk")):
        for split in ("train", "validation"):
            name = f"{genre}-{split}"
            sounds, features = {}, {}
            for stem in stems:
                random = torch.Generator().manual_seed(number)
                sound = 0.05 * (1 + number) * torch.randn(2, RATE // 2, generator=random)
                write_audio(folder / f"{name}.{stem}.flac", sound, RATE)
                shown = spectrogram.stereo(sound).T.half().numpy()
                np.save(folder / f"{name}.{stem}.npy", shown)
                sounds[stem] = f"{name}.{stem}.flac"
                features[stem] = Feature(f"{name}.{stem}.npy", ((0, len(shown)),))
            songs.append(PreparedSong(name, split, genre, name, "CC0", 0.5, (), sounds, features))
    plain = spectrogram.to_dict()
    Manifest(folder, "folders", "none", plain, tuple(songs), (), (), Sampling()).save()


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("data")
    for number in range(3):
        write_pair(place / "ensembles" / f"train-0-{number}", number)
    write_songs(place / "prepared", SpectrogramSettings())
    write_songs(place / "low", SpectrogramSettings(bins=32), ("bass", "other"))
    return place


def run(config: str, changes: list[str], data: Path, folder: Path) -> dict[str, float]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        here = [*TRAINER, *TOY, f"any_to_many.data={data}"]
        return recipes.train(config, [*here, *changes], folder)


FORMS = {
    "any-to-many": ("any-to-many", []),
    "any-to-many-paper": ("any-to-many-paper", [SONGS]),
    "pairs and songs": ("any-to-many", [SONGS]),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.usefixtures("every_branch")
def test_every_config_becomes_styles_that_share_their_weights(
    form: str, data: Path, tmp_path: Path
) -> None:
    config, changes = FORMS[form]
    figures = run(config, changes, data, tmp_path)
    assert figures and all(map(math.isfinite, figures.values())) and figures["failed_steps"] == 0
    logged = (tmp_path / "log.jsonl").read_text()
    assert ("audible" in logged) == (form != "any-to-many-paper")
    assert ("cycle" in logged) == (form != "any-to-many")
    assert ("validation/drums/rock/nothing" in figures) == (form != "any-to-many-paper")
    (shared,) = tmp_path.rglob("generator.safetensors")
    sound = 0.1 * torch.randn(2, 20000, generator=torch.Generator().manual_seed(0))
    made = {}
    for style in BANDS:
        found = load_style(tmp_path / style)
        assert found.card is not None and found.card.steps == 2
        assert list(found.card.weights) == ["../any-to-many/generator.safetensors"]
        assert found.card.networks["generator"]["styles"] == list(BANDS)
        said = found.card.figures.get("validation", {})
        assert not any(name.split("/")[1:2] == ["jazz"] for name in said) or style == "jazz"
        for stem in (*STEMS, "vocals"):
            assert isinstance(found.stems[stem], Keep) == (stem == "vocals")
        made[style] = found.stems["bass"](sound)
        assert made[style].shape == sound.shape and not torch.equal(made[style], sound)
        assert torch.equal(found.stems["bass"](sound, 0.0), sound)
    assert not torch.equal(made["jazz"], made["rock"])
    song = Song(sound, RATE)
    done = transfer(song, tmp_path / "jazz", separator="none", strength=0.5)
    assert done.audio.shape == sound.shape and not torch.equal(done.audio, sound)
    shared.write_bytes(shared.read_bytes()[:-2] + b"00")
    with pytest.raises(AudioTransferError, match="damaged or foreign"):
        load_style(tmp_path / "rock")


@pytest.mark.parametrize("config", ["any-to-many", "any-to-many-paper"])
def test_every_config_can_be_built_as_it_stands(config: str) -> None:
    recipe = load_training(config).recipe
    assert recipe is not None
    with torch.device("meta"), warnings.catch_warnings():  # shapes without weights
        warnings.simplefilter("ignore", UserWarning)
        discriminator = ConditionalDiscriminator(len(recipe.styles), **asdict(recipe.discriminator))
        frames = recipe.songs.frames if recipe.songs else recipe.drawing.frames
        generator = ConditionalUNet(tuple(recipe.styles), **asdict(recipe.generator))
        told = conditions(batch=1)
        seen = torch.empty(1, 256, frames)
        assert generator(seen, *(t.to("meta") for t in told)).shape == seen.shape
        assert discriminator(seen, *(t.to("meta") for t in told))[1].shape == (1, 4)


def test_h_of_every_style_chooses_where_there_are_songs(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        checkpoint_metric, "_LEAST_DIFFERENCE", -1.0
    )  # noise is noise, whoever plays it
    judged = [
        f"any_to_many.checkpoint_metric.{n}"
        for n in ("songs=1", "classifier_songs=1", "classifier_steps=2")
    ]
    changes = [
        SONGS.replace("prepared: prepared", "prepared: low"),
        "any_to_many.stems=[bass, other]",
        "any_to_many.generator={channels: [4, 6], patch: [2, 2], code: 8}",
        *judged,
    ]
    figures = run("any-to-many-paper", changes, data, tmp_path)
    assert 0 <= figures["validation/H"] <= 1
    means = [figures[f"validation/H/{style}"] for style in BANDS]
    assert figures["validation/H"] == pytest.approx(sum(means) / 4)
    card = read_card(tmp_path / "rock")
    assert "H/rock" in card.figures["validation"] and "H/jazz" not in card.figures["validation"]
    assert card.stems["drums"] is None and card.stems["bass"] is not None
    assert {corpus["name"] for corpus in card.corpora} == {
        f"{genre} (folders)" for genre in (*BANDS, "folk")
    }


def test_a_run_starts_from_another(data: Path, tmp_path: Path) -> None:
    run("any-to-many", [], data, tmp_path / "a")
    start = f"any_to_many.start={tmp_path / 'a' / 'checkpoint'}"
    run("any-to-many", [start], data, tmp_path / "b")
    other = "any_to_many.generator={channels: [4, 8], patch: [2, 4], code: 8}"
    with pytest.raises(AudioTransferError, match="another shape"):
        run("any-to-many", [start, other], data, tmp_path / "c")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("any_to_many.pairs=nowhere", "audiotransfer prepare"),
        ("any_to_many.pairs=null", "needs pairs or songs"),
        ("any_to_many.stems=[kazoo]", "kazoo"),
        ("any_to_many.styles.polka=Oompah", "polka"),
        ("any_to_many.styles.Po lka=Oompah", "Po lka"),
        ("any_to_many.validation_songs=3", "none to train on"),
        ("any_to_many.songs.prepared=low", "other spectrograms"),
        ("any_to_many.settings.cycel=1", "settings.cycle"),
        ("any_to_many.generator.chanels=[4]", "generator.channels"),
        ("any_to_many.generator.channels=[4,4,4,4,4,4,4,4,4]", "256 bins"),
    ],
)
def test_what_cannot_be_is_one_line(change: str, words: str, data: Path, tmp_path: Path) -> None:
    changes = [change]
    if "songs.prepared" in change:
        changes = [SONGS, change, "any_to_many.stems=[bass, other]"]
    with pytest.raises(AudioTransferError, match=words) as caught:
        run("any-to-many", changes, data, tmp_path)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "checkpoint").exists()
