"""Template models: features, outputs, weights on disk, and their objective."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from audiotransfer.data.paired_features import FeatureCrops, FeatureSettings, feature_songs
from audiotransfer.errors import AudioTransferError
from audiotransfer.preparation.rendered_pairs import key_roll
from audiotransfer.spectral.models.base import SpectrogramModel
from audiotransfer.spectral.models.drum_templates import DrumTemplateModel
from audiotransfer.spectral.models.note_templates import NoteTemplateModel
from audiotransfer.spectral.objectives.templates import TEMPLATE_MODELS, TemplateObjective
from audiotransfer.spectral.transfer import SpectralTransfer, load_generator, save_generator
from audiotransfer.training import TrainerSettings
from audiotransfer.training.devices import launch
from audiotransfer.training.distances import INAUDIBLE
from audiotransfer.training.stepping import Stepper
from audiotransfer.weights import save_weights
from vocoder import SpectralGainInverter, SpectrogramSettings
from vocoder.pitch import BINS_PER_SEMITONE, PITCH_BINS, PitchSpectrogram, pitch_hz
from vocoder.pitch_layers import KEYS

STYLES = ("jazz", "rock")
RATE = 44100


def note_model(channels: int = 4, styles: tuple[str, ...] = STYLES) -> NoteTemplateModel:
    torch.manual_seed(0)
    return NoteTemplateModel(styles, channels, 3, (1, 2)).initialise()


def drum_model(styles: tuple[str, ...] = STYLES) -> DrumTemplateModel:
    torch.manual_seed(0)
    return DrumTemplateModel(styles, 8, 5, (1, 2)).initialise()


def tone(hertz: float, seconds: float = 0.5) -> Tensor:
    time = torch.arange(round(seconds * RATE)) / RATE
    return 0.3 * torch.sin(2 * math.pi * hertz * time).expand(2, -1)


def features_of(generator: SpectrogramModel, frames: int = 20, batch: int = 2) -> Tensor:
    bins = 256 + (PITCH_BINS if isinstance(generator, NoteTemplateModel) else 0)
    random = torch.Generator().manual_seed(1)
    return -4 + 2 * torch.randn(batch, bins, frames, generator=random)


# --- features


@pytest.mark.parametrize("midi", [33, 45, 57, 69, 81, 93])
def test_a_view_shows_a_tone_at_its_key(midi: int) -> None:
    seen = PitchSpectrogram()(tone(440 * 2 ** ((midi - 69) / 12)))
    pitches = seen[256:, seen.shape[1] // 2]
    assert int(pitches.argmax()) == pytest.approx(BINS_PER_SEMITONE * (midi - 21) + 1, abs=1)
    assert torch.equal(
        seen[:256], SpectrogramSettings().stereo(tone(440 * 2 ** ((midi - 69) / 12)))
    )


def test_pitch_bins_are_thirds_of_semitones_around_the_keys() -> None:
    hertz = pitch_hz()
    assert len(hertz) == PITCH_BINS and float(hertz[1]) == pytest.approx(27.5)
    assert float(hertz[1 + 3 * 48]) == pytest.approx(440.0)
    assert torch.allclose(hertz[1:] / hertz[:-1], torch.full_like(hertz[1:], 2 ** (1 / 36)))


@pytest.mark.parametrize("length", [1, 511, 2048, 12345])
def test_views_of_any_length_have_the_spectrograms_frames(length: int) -> None:
    sound = torch.randn(2, length, generator=torch.Generator().manual_seed(0))
    assert PitchSpectrogram()(sound).shape == (
        256 + PITCH_BINS,
        SpectrogramSettings().frames(length),
    )


# --- the networks


@pytest.mark.parametrize("make", [note_model, drum_model])
def test_a_new_network_changes_nothing_audible(make: type[SpectrogramModel]) -> None:
    generator = make().eval()
    seen = features_of(generator)
    with torch.no_grad():
        made, _ = generator(seen)
    source = seen[:, None, :256].expand_as(made)
    assert made.shape == (2, 2, 256, 20)
    audible = (made.clamp_min(INAUDIBLE) - source.clamp_min(INAUDIBLE)).abs()
    assert float(audible.mean()) < 0.15


@pytest.mark.parametrize("make", [note_model, drum_model])
@pytest.mark.parametrize("frames", [1, 2, 7, 16])
def test_any_number_of_frames(make: type[SpectrogramModel], frames: int) -> None:
    generator = make().only("rock").eval()  # type: ignore[operator]
    made = generator.predict(features_of(generator, frames), torch.zeros(2, dtype=torch.long))
    assert made.shape == (2, 256, frames) and bool(made.isfinite().all())


def stirred(generator: SpectrogramModel) -> SpectrogramModel:
    """The same network with weights that do something."""
    random = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for weight in generator.parameters():
            weight += 0.1 * torch.randn(weight.shape, generator=random)
    return generator.eval()


@pytest.mark.parametrize("make", [note_model, drum_model])
def test_one_style_alone_gives_what_it_gives_among_others(make: type[SpectrogramModel]) -> None:
    generator = stirred(make())
    seen = features_of(generator)
    made, _ = generator(seen)
    for index, style in enumerate(STYLES):
        single = generator.only(style)  # type: ignore[operator]
        assert single.styles == (style,)
        torch.testing.assert_close(single(seen)[0][:, 0], made[:, index])
    with pytest.raises(
        AudioTransferError, match=r"no style 'jaz' in these weights; jazz\?"
    ) as told:
        generator.only("jaz")  # type: ignore[operator]
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("make", [note_model, drum_model])
def test_weights_come_back(make: type[SpectrogramModel], tmp_path: Path) -> None:
    generator = stirred(make((STYLES[0],)) if make is drum_model else make(4, (STYLES[0],)))  # type: ignore[arg-type]
    save_generator(tmp_path / "g.safetensors", generator)
    loaded = load_generator(tmp_path / "g.safetensors").eval()
    assert type(loaded) is type(generator) and loaded.shape() == generator.shape()
    seen, stem = features_of(generator), torch.zeros(2, dtype=torch.long)
    gap = loaded.predict(seen, stem) - generator.predict(seen, stem)
    assert float(gap.abs().max()) < 0.05  # half precision


def in_0_1_form(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Parameters as 0.1.0 named and scaled them."""
    old = {"activations": "hands", "note_logits": "heard", "templates": "log_spectra"}
    found = {}
    for name, value in state.items():
        layer, dot, parameter = name.partition(".")
        scale = 1 / 16 if layer == "templates" else 1
        found[old.get(layer, layer) + dot + parameter] = value * scale
    return found


@pytest.mark.parametrize(("make", "kind"), [(note_model, "notes"), (drum_model, "hits")])
def test_weights_of_0_1_give_the_same_output(
    make: type[SpectrogramModel], kind: str, tmp_path: Path
) -> None:
    model = stirred(make())
    with torch.no_grad():  # values that half precision holds in both forms
        model.templates.copy_(16 * (model.templates / 16).half())  # type: ignore[union-attr, operator]
    shape, state = {**model.shape(), "kind": kind}, in_0_1_form(model.state_dict())
    assert {"hands.weight", "hands.bias", "log_spectra"} <= set(state)
    save_weights(tmp_path / "old.safetensors", state, shape)
    save_generator(tmp_path / "new.safetensors", model)
    old, new = (load_generator(tmp_path / f"{age}.safetensors").eval() for age in ("old", "new"))
    assert type(old) is type(new) is type(model)
    seen = features_of(model)
    with torch.no_grad():
        for one, other in zip(old(seen), new(seen), strict=True):
            assert (one is None and other is None) or torch.equal(one, other)
    save_generator(tmp_path / "again.safetensors", old)
    again = (tmp_path / "again.safetensors").read_bytes()
    assert again == (tmp_path / "new.safetensors").read_bytes()  # under present names
    # And from a checkpoint, in single precision.
    loaded = make()
    loaded.load_state_dict(state)
    assert all(
        torch.equal(a, b) for a, b in zip(loaded.parameters(), model.parameters(), strict=True)
    )


def test_contrast_is_raised_and_levels_stay() -> None:
    generator = stirred(note_model(4, ("jazz",)))
    seen = features_of(generator)
    with torch.no_grad():
        plain, transferred = generator(seen)[0][:, 0], generator.predict(seen, torch.zeros(2))
    mean = torch.stack([plain[:, at - 6 : at + 7].mean(1) for at in range(6, 250)], 1)
    raised = mean + 1.3 * (plain[:, 6:250] - mean)
    torch.testing.assert_close(transferred[:, 6:250], raised, atol=1e-4, rtol=1e-4)


def test_a_transposed_note_gives_transposed_logits() -> None:
    """All keys share their weights: the layers before the keys meet move with the pitch."""
    generator = stirred(note_model(4, ("jazz",)))
    for block in generator.blocks:
        torch.nn.init.zeros_(block.keys.weight)
    low, high = (PitchSpectrogram()(tone(hertz))[None] for hertz in (220.0, 440.0))
    with torch.no_grad():
        logits_low, logits_high = (generator(seen)[1] for seen in (low, high))
    # An octave up, away from the ends; the mel part of a view is no pitch axis, hence the slack.
    one, two = logits_low[0, 0, 20:50, 5:15].flatten(), logits_high[0, 0, 32:62, 5:15].flatten()
    assert float(torch.corrcoef(torch.stack([one, two]))[0, 1]) > 0.6


def test_first_templates_are_harmonic_tones_of_their_keys() -> None:
    spectra = note_model().templates[0]
    centres = SpectrogramSettings().centres()
    for key in (24, 48, 60):
        hertz = 27.5 * 2 ** (key / 12)
        peak = float(centres[int(spectra[key, 2].argmax())])
        assert peak == pytest.approx(hertz, abs=16)


@pytest.mark.parametrize(("make", "stem"), [(note_model, "other"), (drum_model, "drums")])
def test_a_block_with_context_equals_the_whole(make: type[SpectrogramModel], stem: str) -> None:
    generator = stirred(make((STYLES[0],)) if make is drum_model else make(4, (STYLES[0],)))  # type: ignore[arg-type]
    transferred = SpectralTransfer(
        generator,
        SpectrogramSettings(),
        SpectralGainInverter(SpectrogramSettings(), 2),
        stem,
        "cpu",
    )
    grid = transferred.grid
    assert grid == generator.core * SpectrogramSettings().hop_length
    sound = torch.randn(2, 4 * grid + 70321, generator=torch.Generator().manual_seed(3)) * 0.1
    whole = transferred(sound)
    for first, last in ((0, 1), (1, 2), (2, 3), (3, 5)):
        start, stop = first * grid, min(last * grid, sound.shape[1])
        left, right = max(0, start - grid), min(sound.shape[1], stop + transferred.context)
        assert transferred.context <= grid
        block = transferred(sound[:, left:right])[:, start - left : stop - left]
        gap = (block - whole[:, start:stop]).square().mean() / whole.square().mean()
        assert 10 * math.log10(float(gap) + 1e-20) < -90


@pytest.mark.parametrize("make", [note_model, drum_model])
def test_the_reach_covers_all_that_a_frame_depends_on(make: type[SpectrogramModel]) -> None:
    """By gradients: no frame farther away has any."""
    generator, reach = stirred(make()), 0
    for at in (150, 151):  # notes see two frames as one
        features = torch.rand(1, len(generator.frequencies(SpectrogramSettings())), 300) * 3 - 5
        features.requires_grad_()
        generator(features)[0][..., at].square().sum().backward()
        assert features.grad is not None
        reached = features.grad.abs().amax((0, 1)).nonzero().flatten()
        reach = max(reach, at - int(reached.min()), int(reached.max()) - at)
    assert 1 < reach <= generator.reach < 150


# --- what they learn from


def batch_of(generator: SpectrogramModel, stem: str = "other") -> dict[str, Tensor]:
    seen = features_of(generator, 8)
    random = torch.Generator().manual_seed(len(stem))
    target = -4 + 2 * torch.randn(2, 2, 256, 8, generator=random)
    batch = {f"{stem}/source": seen, f"{stem}/target": target}
    if isinstance(generator, NoteTemplateModel):
        batch[f"{stem}/keys"] = (torch.rand(2, 4, KEYS, 4, generator=random) < 0.1).float()
    return batch


@pytest.mark.parametrize("make", [note_model, drum_model])
def test_terms_by_hand(make: type[SpectrogramModel]) -> None:
    generator = stirred(make())
    batch = batch_of(generator)
    objective = TemplateObjective({"other": generator}, {}, [3.0, 1.0])
    (turn,) = objective.turns(batch, 0, torch.Generator())
    made, note_logits = generator(batch["other/source"])
    target = batch["other/target"]
    gap = made.clamp_min(-6) - target.clamp_min(-6)
    shares = (0.75, 0.25)
    audible = sum(s * float(gap[:, i].abs().mean()) for i, s in enumerate(shares))
    deep = sum(s * float((made - target)[:, i].abs().mean()) for i, s in enumerate(shares))
    frame = 0.0
    for index, share in enumerate(shares):
        for crop in range(2):
            for at in range(8):
                root = math.sqrt(float(gap[crop, index, :, at].square().mean()) + 1e-4)
                frame += share * root / 16
    assert float(turn.terms["other/audible"]) == pytest.approx(audible, rel=1e-4)
    assert float(turn.terms["other/deep"]) == pytest.approx(deep, rel=1e-4)
    assert float(turn.terms["other/frame"]) == pytest.approx(frame, rel=1e-4)
    assert ("other/keys" in turn.terms) == ("other/keys" in batch)
    if note_logits is not None:
        wanted = batch["other/keys"]
        chance = note_logits.sigmoid()
        weight = torch.tensor([4.0, 4.0, 8.0, 8.0])[:, None, None]
        right = -(weight * wanted * chance.log() + (1 - wanted) * (1 - chance).log()).mean()
        assert float(turn.terms["other/keys"]) == pytest.approx(float(right), rel=1e-3)


@pytest.mark.parametrize("make", [note_model, drum_model])
def test_every_weight_learns(make: type[SpectrogramModel]) -> None:
    generator = stirred(make()).train()
    objective = TemplateObjective({"other": generator}, {"keys": 8.0}, [1.0, 1.0])
    (turn,) = objective.turns(batch_of(generator), 0, torch.Generator())
    sum(turn.terms.values()).backward()  # type: ignore[union-attr]
    still = [n for n, p in generator.named_parameters() if p.grad is None or not p.grad.any()]
    assert not still


@pytest.mark.parametrize("make", [note_model, drum_model])
def test_templates_have_a_learning_rate_of_their_own(make: type[SpectrogramModel]) -> None:
    """Adam's first step is the learning rate: 16 times as far for templates as for all else."""
    model = stirred(make()).train()
    objective = TemplateObjective({"other": model}, {}, [1.0, 1.0], learning_rate=1e-3)
    before = {name: value.detach().clone() for name, value in model.named_parameters()}
    stepper = Stepper(objective.networks, objective.groups, launch(TrainerSettings(steps=1)))
    (turn,) = objective.turns(batch_of(model), 0, torch.Generator())
    stepper.take(turn, 0.5)
    for name, value in model.named_parameters():
        wanted = 0.5e-3 * (16 if name == "templates" else 1)
        assert float((value - before[name]).detach().abs().max()) == pytest.approx(wanted, rel=0.01)


@pytest.mark.parametrize("make", [note_model, drum_model])
def test_silence_is_finite(make: type[SpectrogramModel]) -> None:
    generator = make()
    batch = batch_of(generator)
    floor = math.log(3e-5)
    batch |= {
        name: torch.full_like(batch[name], floor) for name in ("other/source", "other/target")
    }
    objective = TemplateObjective({"other": generator}, {}, [1.0, 1.0])
    (turn,) = objective.turns(batch, 0, torch.Generator())
    sum(turn.terms.values()).backward()  # type: ignore[union-attr]
    assert all(bool(p.grad.isfinite().all()) for p in generator.parameters() if p.grad is not None)


def test_distances_of_doing_nothing_by_hand() -> None:
    generator = drum_model()
    batch = batch_of(generator)
    batch["other/target"] = batch["other/source"][:, None].repeat(1, 2, 1, 1) + math.log(2)
    batch = {name: spectrogram + 9 for name, spectrogram in batch.items()}
    figures = TemplateObjective({"other": generator}, {}, [1.0, 1.0]).distances(batch, STYLES)
    for style in STYLES:  # everything lies above the inaudible, and is 6 dB too low
        assert figures[f"other/{style}/nothing"] == pytest.approx(math.log(2), rel=0.02)


def test_together_powers_add_up_and_the_louder_stem_hides_the_other() -> None:
    models = {"drums": stirred(drum_model()), "other": stirred(note_model())}
    batch = batch_of(models["drums"], "drums") | batch_of(models["other"])
    batch["other/target"] = batch["other/target"] - 30  # nothing to be heard of it
    objective = TemplateObjective(models, {"together": 2.0, "frame": 0.5}, [3.0, 1.0])
    assert objective.weights == {"together": 2.0, "drums/frame": 0.5, "other/frame": 0.5}
    (turn,) = objective.turns(batch, 0, torch.Generator())
    made = sum((2 * p(batch[f"{s}/source"])[0]).exp() for s, p in models.items()).log() / 2  # type: ignore[union-attr]
    gap = made.clamp_min(-6) - batch["drums/target"].clamp_min(-6)
    frame = (gap.square().mean(2) + 1e-4).sqrt().mean((0, 2))
    wanted = 0.75 * float(frame[0]) + 0.25 * float(frame[1])
    assert float(turn.terms["together"]) == pytest.approx(wanted, rel=1e-4)
    figures = objective.distances(batch, STYLES)
    assert figures["together/rock"] == pytest.approx(float(frame[1]), rel=1e-4)
    turn.terms["together"].backward()
    assert all(
        any(p.grad is not None and bool(p.grad.any()) for p in model.parameters())
        for model in models.values()
    )


def test_keys_of_a_score_by_hand() -> None:
    played = np.array(
        [[0.5, 1.0, 60, 90, 0], [1.0, 0.25, 72, 90, 66], [0.0, 1.0, 10, 90, 0]], dtype=np.float32
    )
    roll = key_roll(played, 8, 4.0)
    assert roll.shape == (8, 4, KEYS)
    assert roll[:, 0, 39].tolist() == [0, 0, 1, 1, 1, 1, 0, 0]  # struck: half a second in
    assert roll[:, 2, 39].tolist() == [0, 0, 1, 0, 0, 0, 0, 0]
    assert roll[:, 1, 51].tolist() == [0, 0, 0, 0, 1, 0, 0, 0]  # held
    assert roll[:, 3, 51].tolist() == [0, 0, 0, 0, 1, 0, 0, 0]
    assert roll.sum() == 4 + 1 + 1 + 1  # and what lies below the piano is not there


@pytest.mark.parametrize("stem", sorted(TEMPLATE_MODELS))
def test_a_model_has_a_feature_for_each_frequency(stem: str) -> None:
    """In training, where there is no network yet, as on songs."""
    spectrogram, model = SpectrogramSettings(), TEMPLATE_MODELS[stem]
    sound = tone(440.0, 0.1)
    seen = model.features(sound, spectrogram)
    hertz = model.frequencies(spectrogram)
    assert hertz.shape == seen.shape[:1]
    torch.testing.assert_close(seen[: spectrogram.bins], spectrogram.stereo(sound))
    loudest = float(hertz[int(seen[:, seen.shape[1] // 2].argmax())])
    assert abs(math.log2(loudest / 440.0)) < 1 / 12
    network = model(STYLES, 4).initialise()
    assert torch.equal(network.features(sound, spectrogram), seen)


# --- crops


def write_song(folder: Path, name: str, stem: str = "other", frames: int = 40) -> None:
    place = folder / name / "features"
    place.mkdir(parents=True)
    (folder / name / "song.json").write_text('{"split": "train"}')
    values = len(TEMPLATE_MODELS[stem].frequencies(SpectrogramSettings()))
    random = np.random.default_rng(len(name))
    ramp = np.arange(frames)[:, None] / frames
    for side, width in (("source", values), ("separated", values), *((s, 256) for s in STYLES)):
        cells = ramp + random.normal(-2, 1, width)[None]
        np.save(place / f"{stem}.{side}.npy", cells.astype(np.float16))
    if TEMPLATE_MODELS[stem].learns_keys:
        roll = np.zeros((frames // 2, 4, KEYS), dtype=np.uint8)
        roll[np.arange(frames // 2), 0, np.arange(frames // 2)] = 1
        np.save(place / f"{stem}.keys.npy", roll)


@pytest.mark.parametrize("stem", ["other", "drums"])
def test_crops_are_a_function_of_the_step(stem: str, tmp_path: Path) -> None:
    for name in ("a", "bb"):
        write_song(tmp_path, name, stem)
    songs = feature_songs(tmp_path, [stem], STYLES, "train")
    settings = FeatureSettings(batch=3, frames=12, seed=4)
    crops = FeatureCrops(
        songs, STYLES, {stem: TEMPLATE_MODELS[stem].frequencies(SpectrogramSettings())}, settings
    )
    one, again, two = crops.batch(0), crops.batch(0), crops.batch(1)
    parts = {"source", "target", "keys"} - ({"keys"} if stem == "drums" else set())
    assert set(one) == {f"{stem}/{part}" for part in parts}
    assert all(torch.equal(one[k], again[k]) for k in one)
    assert not torch.equal(one[f"{stem}/source"], two[f"{stem}/source"])
    assert one[f"{stem}/source"].shape == (
        3,
        len(TEMPLATE_MODELS[stem].frequencies(SpectrogramSettings())),
        12,
    )
    assert one[f"{stem}/target"].shape == (3, 2, 256, 12)


def test_crops_are_aligned_and_share_their_gain(tmp_path: Path) -> None:
    write_song(tmp_path, "a")
    songs = feature_songs(tmp_path, ["other"], STYLES, "train")
    settings = FeatureSettings(4, 12, 1, tone_share=0.0, gain_db=(-9.0, 6.0))
    plain = FeatureSettings(4, 12, 1, tone_share=0.0, gain_db=(0.0, 0.0))
    hertz = {"other": TEMPLATE_MODELS["other"].frequencies(SpectrogramSettings())}
    moved = FeatureCrops(songs, STYLES, hertz, settings).batch(0)
    still = FeatureCrops(songs, STYLES, hertz, plain).batch(0)
    gains = (moved["other/source"] - still["other/source"]).mean((1, 2))
    torch.testing.assert_close(
        moved["other/target"] - still["other/target"],
        gains[:, None, None, None].expand_as(moved["other/target"]),
        atol=2e-2,
        rtol=0,
    )
    cells = np.load(songs[0] / "other.jazz.npy")
    for crop in range(4):
        rows = still["other/target"][crop, 0].T.numpy()
        start = int(np.abs(cells[:, None, :] - rows[None, :1]).mean(-1)[:, 0].argmin())
        assert np.array_equal(cells[start : start + 12].astype(np.float32), rows)
        assert start % 2 == 0
        first = int(still["other/keys"][crop, 0, :, 0].argmax())
        assert first == start // 2


def test_songs_that_lack_a_style_are_left_out(tmp_path: Path) -> None:
    write_song(tmp_path, "a")
    write_song(tmp_path, "bb")
    (tmp_path / "a" / "features" / "other.rock.npy").unlink()
    assert feature_songs(tmp_path, ["other"], STYLES, "train") == [tmp_path / "bb" / "features"]
    for stem, styles, split in (
        ("drums", STYLES, "train"),
        ("other", ("polka",), "train"),
        ("other", STYLES, "test"),
    ):
        with pytest.raises(AudioTransferError, match="audiotransfer prepare"):
            feature_songs(tmp_path, [stem], styles, split)
