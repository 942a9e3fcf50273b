"""Names of version 0.1.0 in configs, overrides, cards and manifests are read, with a notice."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from audiotransfer import renamed
from audiotransfer.data.manifest import load_manifest
from audiotransfer.data.rendering.composing import RenderSettings
from audiotransfer.errors import AudioTransferError
from audiotransfer.recipes import RECIPES, load_training
from audiotransfer.renamed import CONFIGS, SECTIONS
from audiotransfer.spectral.models.base import fold
from audiotransfer.spectral.models.unet import UNet
from audiotransfer.spectral.transfer import save_generator
from audiotransfer.styles import find_style, load_style, read_card
from audiotransfer.styles.card import sha256
from audiotransfer.training.config import find_config, load_config
from vocoder import SpectrogramSettings

CONFIGS_OF_0_1_0 = [
    "any-to-many",
    "any-to-many-paper",
    "bach",
    "bach-gan",
    "bach-gan-paper",
    "band-bass",
    "band-drums",
    "band-other",
    "band-together",
    "bands",
    "bands-test",
    "cut",
    "cut-paper",
    "cycle-gan-cqt",
    "cycle-gan-cqt-paper",
    "cycle-gan-mel",
    "cycle-gan-mel-paper",
    "drums",
    "drums-hikl",
    "genre-classifier",
    "genre-counter",
    "genre-gan",
    "genre-gan-conditional",
    "genre-gan-full",
    "genre-gan-paper",
    "genre-gan-partial",
    "genre-listener",
    "judge",
    "judge-songs",
    "melgan-vc",
    "melgan-vc-original",
    "melgan-vc-original-paper",
    "melgan-vc-unet",
    "melgan-vc-unet-paper",
    "musicvae-2bar",
    "musicvae-2bar-paper",
    "musicvae-4bar",
    "musicvae-4bar-paper",
    "paired",
    "paired-critics",
    "paired-unpaired",
    "separator",
    "separator-dense",
    "separator-tcn",
    "tagger",
    "timbretron",
    "timbretron-paper",
]
RENDERINGS = ("bands", "bands-test", "judge-songs")


@pytest.fixture(autouse=True)
def notices(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """Each test gets its notices anew."""
    renamed.notice.cache_clear()
    caplog.set_level(logging.WARNING)
    yield caplog


@pytest.mark.parametrize("name", CONFIGS_OF_0_1_0)
def test_a_config_is_found_by_its_old_name(name: str, notices: pytest.LogCaptureFixture) -> None:
    present = CONFIGS.get(name, name)
    assert find_config(name) == find_config(present)
    told = [record.getMessage() for record in notices.records]
    new = f"config {name} is now called {present}; the old name is read until 0.3"
    assert told == ([new] if present != name else [])
    if name in RENDERINGS:
        assert load_config(name, [], RenderSettings) == load_config(present, [], RenderSettings)
    else:
        assert load_training(name) == load_training(present)


def test_what_is_present_is_there() -> None:
    assert set(SECTIONS.values()) <= set(RECIPES)
    assert not set(SECTIONS) & set(RECIPES)


@pytest.mark.parametrize(
    ("config", "old", "new"),
    [
        ("bach", "bach.width=8", "accompaniment.width=8"),
        ("bach-gan", "bach.game.penalty=1.0", "accompaniment.wasserstein.penalty=1.0"),
        ("templates-drums", "bands.widths.drums=8", "templates.widths.drums=8"),
        ("audio-genre-classifier", "judge.width=8", "genre_classifier.width=8"),
        ("midi-classifier", "score_judge.hearing=counts", "midi_classifier.network=counts"),
        ("instrument-classifier", "tagger.width=8", "instrument_classifier.width=8"),
        ("paired", "style.headline.judge_songs=3", "style.checkpoint_metric.classifier_songs=3"),
        ("paired", "style.picture.bins=64", "style.spectrogram.bins=64"),
        ("cut", "unpaired.picture.bins=64", "unpaired.spectrogram.bins=64"),
        (
            "cut",
            "unpaired.critics.patch.kind=picture",
            "unpaired.discriminators.patch.kind=spectrogram",
        ),
        (
            "cut",
            "unpaired.settings.critic_rate=0.1",
            "unpaired.settings.discriminator_rate=0.1",
        ),
        ("any-to-many", "any_to_many.critic.width=8", "any_to_many.discriminator.width=8"),
        ("genre-gan", "genre_gan.critic_width=8", "genre_gan.discriminator_width=8"),
        (
            "genre-gan-conditional",
            "conditional_gan.judge=runs/mine",
            "conditional_gan.classifier=runs/mine",
        ),
        (
            "genre-gan",
            "genre_gan.packs.jazz={my_packs.zip: {from_start: true}}",
            "genre_gan.archives.jazz={my_packs.zip: {from_start: true}}",
        ),
    ],
)
def test_overrides_with_old_keys_work(
    config: str, old: str, new: str, notices: pytest.LogCaptureFixture
) -> None:
    assert load_training(config, [old]) == load_training(config, [new])
    assert load_training(config, [new]) != load_training(config)
    assert all("is now called" in record.getMessage() for record in notices.records)
    assert notices.records


def test_an_old_key_of_a_file_gives_way_to_a_present_override(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("base: paired-critics\nstyle:\n  headline: {songs: 2, judge_steps: 9}\n")
    recipe = load_training(path, ["style.checkpoint_metric.songs=7"]).recipe
    metric = recipe.checkpoint_metric
    assert (metric.songs, metric.classifier_steps) == (7, 9)


def test_names_that_are_data_stay(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("judge:\n  artists: {my_picture: judge}\ntrainer: {steps: 1}\n")
    assert load_training(path).recipe.artists == {"my_picture": "judge"}
    known = load_training("bach-gan", ["bach.game.critic_rate=0.5"]).recipe
    assert known.wasserstein.critic_rate == 0.5  # a Wasserstein critic keeps its name


def test_what_was_never_a_key_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AudioTransferError, match=re.escape("style.pictur")):
        load_training("paired", ["style.pictur.bins=64"])
    twice = tmp_path / "twice.yaml"
    twice.write_text("base: paired\nstyle: {picture: {bins: 8}, spectrogram: {bins: 16}}\n")
    with pytest.raises(AudioTransferError, match=r"style\.picture"):
        load_training(twice)


def test_a_folder_of_songs_keeps_its_old_name(
    tmp_path: Path, notices: pytest.LogCaptureFixture
) -> None:
    old, new = tmp_path / "bands", tmp_path / "ensembles"
    assert renamed.present_folder(new) == new
    old.mkdir()
    assert renamed.present_folder(new) == old
    assert f"folder {old} is now called {new}" in notices.records[0].getMessage()
    new.mkdir()
    assert renamed.present_folder(new) == new


def test_a_style_of_0_1_0_loads(tmp_path: Path, notices: pytest.LogCaptureFixture) -> None:
    settings = SpectrogramSettings(bins=32)
    generator = UNet(32, (4, 6, 8)).eval()
    fold(generator)
    save_generator(tmp_path / "mine.safetensors", generator)
    entry = {"weights": "mine.safetensors", "picture": settings.to_dict(), "options": {}}
    card: dict[str, Any] = {
        "schema": 1,
        "name": "mine",
        "description": "As version 0.1.0 wrote it.",
        "stems": {"other": {"route": "spectral", "stem": "other", **entry}, "vocals": "keep"},
        "weights": {"mine.safetensors": sha256(tmp_path / "mine.safetensors")},
        "config": {"style": {"picture": {"bins": 32}, "headline": {"songs": 4}}, "judge": None},
    }
    (tmp_path / "card.json").write_text(json.dumps(card))
    read = read_card(tmp_path).stems["other"]
    assert read is not None and read.spectrogram == settings.to_dict()
    stem = 0.1 * torch.randn(2, 30000, generator=torch.Generator().manual_seed(0))
    assert load_style(tmp_path).stems["other"](stem).shape == stem.shape
    (told,) = {record.getMessage() for record in notices.records}
    assert told.startswith("card of style 'mine': picture is now called spectrogram")


def test_a_collection_that_0_1_0_prepared_loads(
    tmp_path: Path, notices: pytest.LogCaptureFixture
) -> None:
    song = {
        "id": "jazz/one",
        "split": "train",
        "genre": "jazz",
        "artist": None,
        "licence": "not stated",
        "seconds": 3.0,
        "sources": ["one.flac"],
        "files": {"other": "songs/jazz/one/given/other.flac"},
        "features": {"other": {"file": "songs/jazz/one/given/other.1f.npy", "runs": [[0, 9]]}},
    }
    manifest = {
        "version": 1,
        "kind": "folders",
        "separator": None,
        "picture": SpectrogramSettings().to_dict(),
        "songs": [song],
        "skipped": [],
        "notes": [],
        "sampling": {"crop_seconds": [10.0, 15.0]},
        "seed": 0,
    }
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    read = load_manifest(tmp_path)
    assert read.spectrogram == SpectrogramSettings().to_dict() and read.stems == ["other"]
    assert "picture is now called spectrogram" in notices.records[0].getMessage()


def test_a_run_of_0_1_0_is_found_under_its_old_name(
    tmp_path: Path, notices: pytest.LogCaptureFixture
) -> None:
    for present, old in (
        ("templates-drums", "band-drums"),
        ("midi-classifier-beats", "genre-listener"),
    ):
        (tmp_path / "runs" / old / "checkpoint").mkdir(parents=True)
        found = renamed.present_folder(tmp_path / "runs" / present / "checkpoint")
        assert found == tmp_path / "runs" / old / "checkpoint"
    assert len(notices.records) == 2


@pytest.mark.parametrize("genre", ["jazz", "classical", "pop"])
def test_midi_styles_are_found_by_their_old_names(
    genre: str, notices: pytest.LogCaptureFixture
) -> None:
    old, new = (find_style(f"{genre}-{kind}", route="symbolic") for kind in ("score", "midi"))
    assert old == new and len(notices.records) == 1
