"""Universal translation: codes, decoders, the objective, the transfer and the recipe."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional
from waveform_songs import RATE, TRAINER, music, songs

from audiotransfer import load_style, recipes
from audiotransfer.data.domains import PitchAugmentation, with_shifted_span
from audiotransfer.errors import AudioTransferError
from audiotransfer.evaluation.metrics.mel_distance import contrast
from audiotransfer.recipes.registry import load_training
from audiotransfer.recipes.waveform_styles import recordings_of
from audiotransfer.styles import read_card
from audiotransfer.training import load_networks
from audiotransfer.waveform.decoders import ConvNeXtDecoder, TemplateDecoder
from audiotransfer.waveform.encoders import PitchEncoder, WaveNetEncoder
from audiotransfer.waveform.pair_distances import pair_distances
from audiotransfer.waveform.transfer import WaveformTransfer, load_generator, save_generator
from audiotransfer.waveform.translation import DomainClassifier, Translator
from audiotransfer.waveform.translation_objective import TranslationObjective, TranslationSettings
from audiotransfer.waveform.wavenet_decoder import WaveNetDecoder

__all__ = ["songs"]

SMALL_ENCODER = {"kind": "pitch", "channels": 8, "code": 3, "dilations": [1]}
SMALL_DECODER = {"kind": "templates", "code": 3, "channels": 8, "spectra": 2, "dilations": [1]}


def translator(seed: int = 0) -> Translator:
    """A small translator that changes something."""
    torch.manual_seed(seed)
    made = Translator(SMALL_ENCODER, SMALL_DECODER)
    assert isinstance(made.decoder, TemplateDecoder)
    made.decoder.initialise()
    assert made.decoder.envelope.bias is not None
    torch.nn.init.constant_(made.decoder.envelope.bias, -1.0)
    return made.eval()


def objective(settings: TranslationSettings) -> TranslationObjective:
    torch.manual_seed(0)
    encoder = PitchEncoder(8, 3, (1,))
    decoders = {name: TemplateDecoder(3, 8, 2, (1,)).initialise() for name in ("any", "piano")}
    return TranslationObjective(encoder, decoders, "piano", settings)


def toy_batch() -> dict[str, Tensor]:
    sound = music(0.4)[None]
    keys = ("any/clean", "any/augmented", "piano/clean", "piano/augmented")
    return {key: sound for key in keys} | {
        "pairs/source": sound,
        "pairs/target": music(0.4, 1, 220.0)[None],
    }


def test_codes_have_the_frames_that_encoders_name() -> None:
    encoder = PitchEncoder(8, 3, (1,))
    for length in (1, 511, 512, 1023, 4097, 20000):
        assert encoder(torch.zeros(2, length)).shape == (2, encoder.size, encoder.frames(length))
    published = WaveNetEncoder(channels=4, code=5, layers=4, stacks=2)
    for length in (1, 800, 801, 12000):
        assert published(torch.zeros(2, length)).shape == (2, 5, published.frames(length))


def test_the_published_encoder_has_its_size() -> None:
    count = sum(p.numel() for p in WaveNetEncoder().parameters())
    assert 3.5e6 < count < 5.5e6  # gates double the 1.98 M of plain layers
    assert WaveNetEncoder().frames(16000) == 20


def test_decoders_answer_frame_by_frame() -> None:
    sound = music(0.5)[None]
    encoder = PitchEncoder(8, 3, (1,))
    decoder = TemplateDecoder(3, 8, 2, (1,)).initialise()
    levels, angles = decoder.predict(encoder(sound), decoder.spectrogram(sound))
    assert levels.shape == (1, 1025, decoder.spectrogram.frames(sound.shape[-1]))
    assert angles is None
    made = ConvNeXtDecoder(encoder.size, encoder.hop, RATE, 2048, 512, 16, 24, 1)
    levels, angles = made.predict(encoder(sound), made.spectrogram(sound))
    assert angles is not None and angles.shape == levels.shape == (1, 1025, 44)
    assert made.decode(encoder(sound), sound).shape == sound.shape


def test_the_excitation_has_no_levels_of_its_own() -> None:
    decoder = TemplateDecoder(3, 8, 2, (1,)).initialise()
    source = decoder.spectrogram(music(0.4)[None])
    louder = decoder.excitation(source + 2.0)
    assert torch.allclose(decoder.excitation(source), louder, atol=1e-2)
    tilted = source + torch.linspace(0, 3, 1025)[:, None]
    difference = (decoder.excitation(tilted) - decoder.excitation(source))[:, 40:900]
    assert float(difference.abs().mean()) < 0.1 < 3 / 2


def test_losses_are_those_of_the_truth(monkeypatch: pytest.MonkeyPatch) -> None:
    decoder = TemplateDecoder(3, 8, 2, (1,))
    sound = music(0.5)[None]
    monkeypatch.setattr(decoder, "predict", lambda code, source: (source, None))
    code = torch.zeros(1, 3 * 88, 22)
    true = decoder.losses(code, sound, sound)
    assert float(true["frame"]) < 0.02 and float(true["wave"]) < 0.01
    louder = decoder.losses(code, 2 * sound, sound)
    assert float(louder["frame"]) > 0.3 and float(louder["deep"]) > 0.3


def test_contrast_makes_what_is_decoded_stand_out(monkeypatch: pytest.MonkeyPatch) -> None:
    sound = music(0.6)[None]
    code = torch.zeros(1, 3 * 88, 26)
    found = []
    for factor in (1.0, 1.5):
        decoder = TemplateDecoder(3, 8, 2, (1,), contrast=factor)
        levels = decoder.spectrogram(sound)
        blurred = functional.avg_pool1d(levels.transpose(1, 2), 9, 1, 4).transpose(1, 2)
        monkeypatch.setattr(decoder, "predict", lambda code, source, made=blurred: (made, None))
        found.append(contrast(decoder.decode(code, sound), RATE))
        # In the loss the blurred spectrogram differs from the true one, which does not.
        assert float(decoder.losses(code, sound, sound)["contrast"]) > 0.1
        monkeypatch.setattr(decoder, "predict", lambda code, source: (source, None))
        assert float(decoder.losses(code, sound, sound)["contrast"]) < 0.02
    assert found[1] > 1.04 * found[0] > 0


def test_the_encoder_confuses_the_classifier_and_the_classifier_alone_learns_domains() -> None:
    made = objective(TranslationSettings(pairs=1.0, confusion=0.5))
    classify, encode = made.turns(toy_batch(), 0, torch.Generator())
    assert classify.group == "classifier" and encode.weights["confusion"] == -0.5
    assert float(classify.terms["entropy"].detach()) == pytest.approx(math.log(2), abs=0.2)
    classify.terms["entropy"].backward()
    assert all(p.grad is None for p in made.encoder.parameters())
    encode.terms["confusion"].backward()
    assert any(p.grad is not None and bool(p.grad.any()) for p in made.encoder.parameters())
    assert {"any/frame", "piano/wave", "pairs/deep"} <= set(encode.terms)


def test_own_domains_may_be_decoded_at_every_other_step() -> None:
    made = objective(TranslationSettings(pairs=1.0, own_every=2))
    (only,) = made.turns(toy_batch(), 1, torch.Generator())
    assert set(only.terms) == {f"pairs/{term}" for term in ("frame", "deep", "wave", "contrast")}


def test_a_domain_is_added_by_its_decoder_alone() -> None:
    made = objective(TranslationSettings(decoders_only=True))
    assert set(made.groups) == {"autoencoder"}
    (turn,) = made.turns(toy_batch(), 0, torch.Generator())
    assert "confusion" not in turn.terms
    torch.stack(list(turn.terms.values())).sum().backward()
    assert all(p.grad is None for p in made.encoder.parameters())
    assert made.decoders["any"].enter.weight.grad is not None  # type: ignore[union-attr]


def test_training_lowers_the_distance_of_pairs() -> None:
    made = objective(TranslationSettings(pairs=1.0, own=0.0, confusion=0.0))
    batch = toy_batch() | {"pairs/target": 0.3 * music(0.4, 1, 220.0)[None]}
    before = pair_distances(made.translator(), [batch])
    parameters = [
        p for name in ("encoder", "decoder_piano") for p in made.networks[name].parameters()
    ]
    optimiser = torch.optim.Adam(parameters, 0.01)
    for step in range(12):
        for turn in made.turns(batch, step, torch.Generator()):
            if turn.group == "autoencoder":
                optimiser.zero_grad()
                sum(v * turn.weights[k] for k, v in turn.terms.items()).backward()  # type: ignore
                optimiser.step()
    after = pair_distances(made.translator(), [batch])
    assert after["distance"] < 0.9 * before["distance"]
    assert after["nothing"] == before["nothing"]


def test_augmentation_moves_a_span_and_nothing_else() -> None:
    sound = music(1.0).numpy()
    made = with_shifted_span(sound, np.random.default_rng(3), PitchAugmentation())
    changed = np.flatnonzero(made != sound)
    assert len(made) == len(sound)
    assert 0.2 * RATE < changed[-1] - changed[0] < 0.52 * RATE
    level = np.sqrt(np.mean(made[changed] ** 2)) / np.sqrt(np.mean(sound[changed] ** 2))
    assert 0.7 < level < 1.3


def test_the_classifier_averages_over_time() -> None:
    classifier = DomainClassifier(6, 3)
    code = torch.randn(2, 6, 10)
    assert torch.allclose(classifier(code), classifier(code.flip(-1)), atol=1e-5)


def test_the_wavenet_decoder_depends_on_its_code_and_repeats_itself() -> None:
    torch.manual_seed(0)
    decoder = WaveNetDecoder(6, 100, 8, 4, 2, 8).eval()
    sound = 0.3 * torch.randn(1, 700)
    code = torch.randn(1, 6, 7)
    made = decoder.decode(code, sound)
    assert made.shape == sound.shape
    # Segments are cross-faded: their weights add up to one but for rounding.
    assert float(made.abs().max()) <= 1.0 + 1e-5
    assert torch.equal(decoder.decode(code, sound), made)
    assert not torch.equal(decoder.decode(-code, sound), made)
    assert torch.allclose(decoder.decode(code, sound, 0.25), 0.75 * sound + 0.25 * made, atol=1e-6)
    nats = float(decoder.losses(code, sound, sound)["nats"].detach())
    assert nats == pytest.approx(math.log(256), rel=0.1)  # untrained: every step alike


def test_the_published_decoder_has_its_size() -> None:
    count = sum(p.numel() for p in WaveNetDecoder().network.parameters())
    assert 4e6 < count < 9e6
    assert WaveNetDecoder().network.field / 16000 == pytest.approx(4.1, abs=0.1)


@pytest.mark.parametrize("length", [0, 1, 511, 4099])
def test_transfers_of_any_length(length: int) -> None:
    transfer = WaveformTransfer(translator())
    stem = 0.1 * torch.randn(2, length)
    made = transfer(stem)
    assert made.shape == stem.shape and bool(made.isfinite().all())
    assert transfer(stem, 0.0) is stem
    assert not transfer(torch.zeros(2, length)).any()


def test_blocks_and_segments_come_out_as_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    transfer = WaveformTransfer(translator())
    sound = torch.stack([music(5.0), 0.5 * music(5.0, 2, 165.0)])
    whole = transfer(sound)
    monkeypatch.setattr("audiotransfer.waveform.transfer._SECONDS", 0.4)
    assert torch.allclose(transfer(sound), whole, atol=2e-5)
    start = 2 * transfer.grid
    before = -(-transfer.context // transfer.grid) * transfer.grid
    start = before + transfer.grid
    part = transfer(sound[:, start - before : start + 20000 + transfer.context])
    inner = part[:, before : before + 20000]
    assert torch.allclose(inner, whole[:, start : start + 20000], atol=2e-5)


def test_stereo_is_kept() -> None:
    transfer = WaveformTransfer(translator())
    sound = torch.stack([music(1.0), 0.25 * music(1.0)])
    made = transfer(sound)
    power = made.square().mean(-1).sqrt()
    assert float(power[1] / power[0]) == pytest.approx(0.25, rel=0.1)
    swapped = transfer(sound.flip(0)).flip(0)
    assert torch.allclose(swapped, made, atol=1e-5)
    assert torch.allclose(transfer(sound, 1e-3), sound, atol=0.02)


def test_strengths_are_shares_of_the_change_in_decibels(monkeypatch: pytest.MonkeyPatch) -> None:
    made = translator()
    quieter = math.log(0.25)
    monkeypatch.setattr(made.decoder, "predict", lambda code, source: (source + quieter, None))
    sound = music(1.0)[None]
    assert torch.allclose(made.at_strength(sound, 0.5), 0.5 * sound, atol=2e-3)
    assert torch.allclose(made.convert(sound), 0.25 * sound, atol=2e-3)


def test_weights_come_back(tmp_path: Path) -> None:
    made = translator()
    save_generator(tmp_path / "w.safetensors", made)
    again = load_generator(tmp_path / "w.safetensors")
    sound = music(0.3)[None]
    assert torch.allclose(again.eval().convert(sound), made.convert(sound), atol=3e-3)
    with pytest.raises(AudioTransferError, match="cannot be read"):
        (tmp_path / "x.safetensors").write_bytes(b"no")
        load_generator(tmp_path / "x.safetensors")


TOY = [
    "translation.encoder.channels=8",
    "translation.encoder.dilations=[1]",
    "translation.decoder.channels=8",
    "translation.decoder.dilations=[1]",
    "translation.decoder.spectra=2",
    "translation.start=null",
    "translation.seconds=0.4",
    "translation.batch=1",
    "translation.drawing.batch=1",
    "translation.validation_songs=1",
]


@pytest.mark.usefixtures("every_branch")
def test_the_recipe_writes_a_style_that_transfers(songs: Path, tmp_path: Path) -> None:
    overrides = [*TOY, *TRAINER, f"translation.data={songs}"]
    figures = recipes.train("jazz-piano", overrides, tmp_path / "run")
    assert 0 < figures["validation/distance"] < 10
    place = tmp_path / "run" / "jazz-piano"
    card = read_card(place)
    assert card.stems["other"] is not None and card.stems["other"].route == "waveform"
    assert card.stems["drums"] is None and card.figures["validation"]["step"] in (1, 2)
    style = load_style(place)
    sound = torch.stack([music(0.7)] * 2)
    assert style.stems["other"](sound).shape == sound.shape


@pytest.mark.usefixtures("every_branch")
def test_a_domain_is_added_to_what_was_trained(songs: Path, tmp_path: Path) -> None:
    overrides = [*TRAINER, f"translation.data={songs}"]
    recipes.train("jazz-piano", [*TOY, *overrides], tmp_path / "first")
    code = [one for one in TOY if "encoder" in one or "drawing" in one or "songs" in one]
    small = ["channels=8", "layers=4", "stacks=2", "frames=8"]
    figures = recipes.train(
        "translation-wavenet",
        [
            *overrides,
            *code,
            *(f"translation.decoder.{one}" for one in small),
            f"translation.start={tmp_path / 'first' / 'checkpoint'}",
        ],
        tmp_path / "second",
    )
    assert 0 < figures["validation/nats"] < 7
    made = load_generator(
        tmp_path / "second" / "jazz-piano-wavenet" / "jazz-piano-wavenet.safetensors"
    )
    before = load_networks(tmp_path / "first" / "checkpoint")["encoder"]
    for name, value in made.encoder.state_dict().items():  # type: ignore[union-attr, operator]
        assert torch.allclose(value, before[name], atol=2e-2 * float(value.abs().max()))


@pytest.mark.usefixtures("every_branch")
def test_the_published_size_trains(songs: Path, tmp_path: Path) -> None:
    small = [
        *(f"translation.encoder.{one}" for one in ("channels=4", "layers=4", "stacks=2")),
        *(f"translation.decoder.{one}" for one in ("channels=4", "layers=4", "stacks=2")),
    ]
    overrides = [*small, *TRAINER, f"translation.data={songs}", "trainer.device=cpu"]
    overrides += ["translation.batch=2"]
    figures = recipes.train("translation-paper", overrides, tmp_path / "run")
    assert figures["autoencoder/any/nats"] == pytest.approx(math.log(256), rel=0.2)


def test_songs_of_the_validation_are_in_no_domain(songs: Path, tmp_path: Path) -> None:
    recipe = load_training("jazz-piano", [*TOY, f"translation.data={songs}"]).recipe
    held, trained = recipe._pairs()
    assert [pair.folder.name[-1] for pair in (*held, *trained)] == ["0", "1", "2"]
    found = recordings_of(recipe.domains, songs, "other", tmp_path, held)
    assert {r.song for r in found["piano"]} == {"train-51-0001/jazz", "train-51-0002/jazz"}
    assert {r.song for r in found["any"]} == {
        "song",
        "train-51-0001/source",
        "train-51-0002/source",
    }
    assert {r.stem for r in found["any"]} == {"other"}


def test_a_bank_leaves_out_songs_whose_targets_others_play(songs: Path, tmp_path: Path) -> None:
    for number, bank in enumerate(("organ.sf2", "sampled", "organ.sf2")):
        card = songs / "ensembles-jazz" / f"train-51-{number:04}" / "song.json"
        card.write_text(json.dumps({**json.loads(card.read_text()), "target_bank": bank}))
    recipe = load_training("jazz-piano", [*TOY, f"translation.data={songs}"]).recipe
    held, trained = recipe._pairs()  # of the first song, and of the two others
    assert not held and [pair.folder.name[-1] for pair in trained] == ["1"]
    found = recordings_of(recipe.domains, songs, "other", tmp_path)
    assert {r.song for r in found["piano"]} == {"train-51-0001/jazz"}
    assert len(found["any"]) == 4


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("translation.target=organ", "any, piano"),
        ("translation.stem=vocals", "no style changes"),
        ("translation.pairs=null", "names no folder"),
        ("translation.settings.decoders_only=true", "translation.start"),
        ("translation.encoder.kind=organ", "no encoder"),
        ("translation.start=nobody", "nobody"),
    ],
)
def test_what_cannot_be_is_refused(songs: Path, tmp_path: Path, override: str, words: str) -> None:
    overrides = [*TOY, *TRAINER, f"translation.data={songs}", override]
    with pytest.raises(AudioTransferError, match=words):
        recipes.train("jazz-piano", overrides, tmp_path / "run")
