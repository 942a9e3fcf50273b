"""Networks that refine what a style's networks predict: training, export, transfer."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import pytest
import torch

from audiotransfer import recipes
from audiotransfer.audio.writing import write_audio
from audiotransfer.errors import AudioTransferError
from audiotransfer.spectral.models.base import STEMS
from audiotransfer.spectral.models.refined import RefinedModel
from audiotransfer.spectral.models.unet import UNet
from audiotransfer.spectral.transfer import load, load_generator
from audiotransfer.styles import read_card
from audiotransfer.styles.find import find_style

RATE = 44100
TOY = [
    "style.channels=[4,6]",
    "style.drawing.batch=2",
    "style.drawing.frames=32",
    "style.drawing.songs=1",
    "style.drawing.songs_every=2",
    "style.adversarial_from=1",
    "style.validation_songs=1",
    "style.unpaired=null",
    "trainer.steps=2",
    "trainer.workers=0",
    "trainer.warmup=0",
    "trainer.validate_every=2",
]


def write_song(place: Path, seed: int) -> None:
    random = torch.Generator().manual_seed(seed)
    for side in ("source", "separated", "target/jazz"):
        for stem in (*STEMS, *(["vocals"] if side == "separated" else [])):
            path = place / side / f"{stem}.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            write_audio(path, 0.1 * torch.randn(2, RATE, generator=random), RATE)
    about = {"split": "train", "stems": sorted(STEMS), "id": place.name}
    (place / "song.json").write_text(json.dumps(about))


@pytest.fixture(scope="module")
def refined(
    tmp_path_factory: pytest.TempPathFactory,
    every_branch_of: Callable[[], AbstractContextManager[None]],
) -> Path:
    """The folder of a style that was refined for two steps."""
    place = tmp_path_factory.mktemp("refined")
    for number in range(3):
        write_song(place / "ensembles-jazz" / f"train-0-{number}", number)
    with every_branch_of():
        figures = recipes.train("jazz-refined", [*TOY, f"style.data={place}"], place / "run")
    # Of what the first networks predict the second changes nothing yet worth mentioning.
    assert figures["validation/score"] == pytest.approx(-1, abs=0.05)
    return place / "run" / "jazz-refined"


def test_a_refined_style_holds_both_networks(refined: Path) -> None:
    card, first = read_card(refined), find_style("jazz").card
    assert card.effects == first.effects
    assert set(card.weights) == {"refiner.safetensors", *(f"{stem}.safetensors" for stem in STEMS)}
    assert card.networks["refiner"]["kind"] == UNet.kind and "drums" in card.networks
    for stem in STEMS:
        entry, old = card.stems[stem], first.stems[stem]
        assert entry is not None and old is not None
        assert entry.spectrogram == old.spectrogram
        assert entry.options == {**old.options, "refiner": "refiner.safetensors"}
        assert card.weights[f"{stem}.safetensors"] == first.weights[old.weights]


@pytest.mark.parametrize("stem", STEMS)
def test_the_second_network_gets_what_the_first_predicts(refined: Path, stem: str) -> None:
    entry = read_card(refined).stems[stem]
    assert entry is not None
    transfer = load(refined, entry.to_dict(), stem, "cpu", "auto")
    model = transfer.generator
    assert isinstance(model, RefinedModel)
    sound = 0.1 * torch.randn(2, RATE, generator=torch.Generator().manual_seed(5))
    features = model.features(sound, transfer.spectrogram)[None, :, :64]
    index = torch.tensor([STEMS.index(stem)])
    with torch.no_grad():
        first = load_generator(refined / entry.weights).predict(features, index)
        second = load_generator(refined / "refiner.safetensors").predict(first, index)
        assert torch.equal(model.predict(features, index), second)
    made = transfer(sound)
    assert made.shape == sound.shape and bool(made.isfinite().all())
    assert torch.equal(transfer(sound, 0.0), sound)


def test_the_pairs_of_a_refiner_are_predictions_and_the_mean_channel(tmp_path: Path) -> None:
    from audiotransfer.recipes.refining import refined_style

    spectrograms = refined_style("jazz").spectrograms
    sound = 0.1 * torch.randn(2, 2, RATE // 2, generator=torch.Generator().manual_seed(6))
    assert torch.equal(spectrograms.target(sound), spectrograms.settings(sound.mean(1)))
    stems = torch.tensor([0, 2])
    made = spectrograms.source(sound, stems)
    for one, index, found in zip(sound, stems, made, strict=True):
        model = spectrograms.models[STEMS[int(index)]]
        features = model.features(one, spectrograms.settings)[None]
        assert torch.equal(found, model.predict(features, index[None])[0])
        assert not any(weight.requires_grad for weight in model.parameters())


@pytest.mark.parametrize(("name", "words"), [("jazz-midi", "is for MIDI files"), ("jaz", "jazz")])
def test_what_has_no_spectral_models_is_not_refined(tmp_path: Path, name: str, words: str) -> None:
    write_song(tmp_path / "ensembles-jazz" / "train-0-0", 0)
    with pytest.raises(AudioTransferError, match=words):
        recipes.train(
            "jazz-refined",
            [*TOY, f"style.data={tmp_path}", f"style.refines={name}"],
            tmp_path / "r",
        )


def test_a_card_must_know_the_refiners_checksum(refined: Path, tmp_path: Path) -> None:
    card = json.loads((refined / "card.json").read_text())
    del card["weights"]["refiner.safetensors"]
    (tmp_path / "card.json").write_text(json.dumps(card))
    with pytest.raises(AudioTransferError, match=r"refiner\.safetensors"):
        read_card(tmp_path)


def test_a_refined_style_transfers_a_song(refined: Path, tmp_path: Path) -> None:
    import audiotransfer

    song = tmp_path / "song.wav"
    random = np.random.default_rng(3)
    write_audio(song, torch.from_numpy(0.1 * random.standard_normal((2, RATE))).float(), RATE)
    made = audiotransfer.transfer(song, style=str(refined), mode="timbre", separator="none")
    assert made.audio.shape == (2, RATE) and bool(made.audio.isfinite().all())
