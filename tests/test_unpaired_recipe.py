"""The recipe of unpaired styles: every config is trained two steps at toy width, and its style
used.
"""

from __future__ import annotations

import json
import math
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

from audiotransfer import files, recipes
from audiotransfer.corpora.kinds import Sampling
from audiotransfer.corpora.manifest import Feature, Manifest, PreparedSong
from audiotransfer.errors import AudioTransferError
from audiotransfer.recipes import TrainingConfig
from audiotransfer.recipes.unpaired import UnpairedStyleRecipe
from audiotransfer.spectral.materials import Materials
from audiotransfer.spectral.objectives import create
from audiotransfer.styles import Keep, load_style
from audiotransfer.training.config import load_config
from vocoder import Picture, VocoderError

RATE = 44100
CONFIGS = Path(__file__).parent.parent / "configs"
CQT = "unpaired.picture={kind: cqt, hop_length: 128, f_min: 130.0, bins: 24, bins_per_octave: 12}"
MEL = "unpaired.picture={bins: 32}"
TRAINER = [
    "trainer.steps=2",
    "trainer.workers=0",
    "trainer.warmup=0",
    "trainer.log_every=1",
    "trainer.checkpoint_every=1",
]
_WHOLE = ["unpaired.critics.window.width=6", "unpaired.settings.siamese.width=8"]
_RESNET = ["unpaired.frames=32", "unpaired.generator.width=4", "unpaired.generator.blocks=2"]
_UNET = "unpaired.generator.channels=[4,6,6]"
FORMS = {
    "melgan-vc-original": [MEL, "unpaired.frames=24", "unpaired.generator.width=8", *_WHOLE],
    "melgan-vc-unet": [MEL, "unpaired.frames=48", _UNET, *_WHOLE],
    "cycle-gan-mel": [MEL, *_RESNET, "unpaired.critics.patch.width=2"],
    "cycle-gan-cqt": [
        CQT,
        "unpaired.frames=35",
        _UNET,
        "unpaired.critics.patch.width=4",
        "unpaired.critics.spectrum.width=4",
    ],
    "timbretron": [
        CQT,
        *_RESNET,
        "unpaired.critics.whole.width=4",
        "unpaired.critics.whole.levels=2",
    ],
    "cut": [
        MEL,
        *_RESNET,
        "unpaired.critics.patch.width=2",
        "unpaired.settings.size=8",
        "unpaired.settings.patches=16",
    ],
}
ALL = [name + size for name in FORMS for size in ("", "-paper")]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two folders of recordings."""
    place = tmp_path_factory.mktemp("data")
    for number, side in enumerate(("rock", "jazz")):
        random = torch.Generator().manual_seed(number)
        (place / side).mkdir()
        files.write(place / side / "song.wav", 0.1 * torch.randn(2, RATE, generator=random), RATE)
    return place


def overrides(config: str, data: Path) -> list[str]:
    places = [f"unpaired.data={data}", "unpaired.source=rock", "unpaired.target=jazz"]
    toy = ["unpaired.batch=2", *FORMS[config.removesuffix("-paper")]]
    return [*TRAINER, *places, *toy]


def run(config: str, changes: list[str], folder: Path) -> dict[str, float]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return recipes.train(config, changes, folder)


@pytest.mark.parametrize("config", ALL)
def test_every_config_becomes_a_style(config: str, data: Path, tmp_path: Path) -> None:
    figures = run(config, overrides(config, data), tmp_path)
    assert figures and all(map(math.isfinite, figures.values())) and figures["failed_steps"] == 0
    read = load_config(config, [], TrainingConfig).unpaired
    assert read is not None
    style = load_style(tmp_path / read.name)
    assert style.card is not None
    assert style.card.networks["generator"]["kind"] == read.generator["kind"]
    stem = 0.1 * torch.randn(2, 20000, generator=torch.Generator().manual_seed(0))
    for which in ("drums", "bass", "other", "vocals"):
        transfer = style.stems[which]
        assert isinstance(transfer, Keep) == (which != "other")
        made = transfer(stem)
        assert made.shape == stem.shape and bool(made.isfinite().all())
        assert torch.equal(transfer(stem, 0.0), stem)
        assert torch.equal(made, stem) == (which != "other")


@pytest.mark.parametrize("config", ALL)
def test_every_config_can_be_built_as_it_stands(config: str) -> None:
    """Pictures that can be inverted, networks that fit them, settings that the objective knows."""
    recipe = load_config(config, [], TrainingConfig).unpaired
    assert recipe is not None
    picture = Picture.from_dict(recipe.picture)
    materials = Materials(picture.bins, recipe.frames, recipe.generator, recipe.critics)
    with torch.device("meta"), warnings.catch_warnings():  # shapes without weights
        warnings.simplefilter("ignore", UserWarning)
        objective = create(recipe.objective, materials, recipe.settings)
    assert "generator" in objective.networks


def test_papers_are_larger() -> None:
    for name in FORMS:
        small, paper = (load_config(name + s, [], TrainingConfig) for s in ("", "-paper"))
        assert small.trainer.steps < paper.trainer.steps
        assert small.unpaired.objective == paper.unpaired.objective  # type: ignore[union-attr]


def test_every_unpaired_config_is_tried() -> None:
    held = {p.stem for p in CONFIGS.glob("*.yaml") if "\nunpaired:" in p.read_text()}
    assert held == set(ALL)


def collection(folder: Path, genres: tuple[str, ...] = ("rock", "jazz")) -> Path:
    """What a preparation leaves: a song a genre, its picture [L, 32] in half precision."""
    picture = Picture(bins=32)
    songs = []
    for number, genre in enumerate(genres):
        random = np.random.default_rng(number)
        np.save(folder / f"{genre}.npy", random.normal(-5, 2, (90, 32)).astype(np.float16))
        feature = Feature(f"{genre}.npy", ((0, 90),))
        songs.append(
            PreparedSong(genre, "train", genre, genre, "CC0", 1.0, (), {}, {"other": feature})
        )
    Manifest(folder, "folders", "none", picture.to_dict(), tuple(songs), (), (), Sampling()).save()
    return folder


def test_a_prepared_collection_becomes_a_style(tmp_path: Path) -> None:
    place = collection(tmp_path)
    changes = [*overrides("melgan-vc-unet", tmp_path), f"unpaired.prepared={place}"]
    figures = run("melgan-vc-unet", changes, tmp_path / "run")
    assert figures["failed_steps"] == 0
    card = json.loads((tmp_path / "run" / "melgan-vc-unet" / "card.json").read_text())
    assert card["stems"]["other"]["picture"]["bins"] == 32 and card["steps"] == 2


def test_a_stopped_run_goes_on_to_the_same_bytes(data: Path, tmp_path: Path) -> None:
    # Another number of steps would be another schedule.
    changes = [*overrides("cycle-gan-mel", data), "trainer.schedule=constant"]
    run("cycle-gan-mel", changes, tmp_path / "a")
    run("cycle-gan-mel", [*changes, "trainer.steps=1"], tmp_path / "b")
    run("cycle-gan-mel", changes, tmp_path / "b")
    one, two = (tmp_path / n / "cycle-gan" / "cycle-gan.safetensors" for n in "ab")
    assert one.read_bytes() == two.read_bytes()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("unpaired.objective=cyclegan", "cycle-gan"),
        ("unpaired.settings.cycel=1", "settings.cycle"),
        ("unpaired.settings.game=chess", "game"),
        ("unpaired.generator.kind=resnets", "resnet"),
        ("unpaired.generator.widht=3", "widht"),
        ("unpaired.critics.patch.kind=ptch", "did you mean 'patch'"),
        ("unpaired.name=No Name!", "No Name!"),
        ("unpaired.stem=kazoo", "kazoo"),
        ("unpaired.source=nowhere", "nowhere"),
        ("unpaired.target=", "unpaired.target"),
        ("unpaired.picture.sample_rate=22050", "22050"),
        ("unpaired.prepared=nowhere", "nowhere"),
        ("style.name=x", "exactly one"),
    ],
)
def test_what_cannot_be_is_refused_before_the_work(
    data: Path, tmp_path: Path, change: str, words: str
) -> None:
    with pytest.raises((AudioTransferError, VocoderError), match=words) as caught:
        recipes.train("cycle-gan-mel", [*overrides("cycle-gan-mel", data), change], tmp_path / "r")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "r" / "checkpoint").exists()


def test_other_pictures_than_prepared_are_refused(tmp_path: Path) -> None:
    changes = [*overrides("melgan-vc-unet", tmp_path), f"unpaired.prepared={collection(tmp_path)}"]
    with pytest.raises(AudioTransferError, match="bins=32, not 64"):
        recipes.train("melgan-vc-unet", [*changes, "unpaired.picture.bins=64"], tmp_path / "r")


def test_windows_without_three_tiles_are_refused(data: Path, tmp_path: Path) -> None:
    changes = [*overrides("melgan-vc-unet", data), "unpaired.frames=50"]
    with pytest.raises(AudioTransferError, match="multiple of 3"):
        recipes.train("melgan-vc-unet", changes, tmp_path / "r")


def test_a_recipe_has_usable_defaults() -> None:
    assert UnpairedStyleRecipe().frames % 3 == 0
