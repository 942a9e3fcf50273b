"""The recipe of unpaired styles: every config is trained two steps at toy width, and its style
used.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from toy_training import TRAINER

from audiotransfer import recipes
from audiotransfer.audio.writing import write_audio
from audiotransfer.cli import main
from audiotransfer.data.datasets.base import Sampling
from audiotransfer.data.imported_spectrograms import ImportedWindows, Levels
from audiotransfer.data.manifest import Feature, Manifest, PreparedSong, load_manifest
from audiotransfer.data.unpaired import PreparedWindows
from audiotransfer.errors import AudioTransferError
from audiotransfer.evaluation.checkpoint_metric import CheckpointMetric
from audiotransfer.preparation import Settings, prepare_collection
from audiotransfer.recipes import load_training
from audiotransfer.recipes.unpaired import UnpairedStyleRecipe
from audiotransfer.spectral.objectives.registry import NetworkFactory, create
from audiotransfer.spectral.transfer import load_generator
from audiotransfer.styles import Keep, load_style
from audiotransfer.training import load_networks
from vocoder import SpectrogramSettings, VocoderError
from vocoder.spectrogram import BOTTOM, to_unit

RATE = 44100
CONFIGS = Path(__file__).parent.parent / "configs"
CQT = (
    "unpaired.spectrogram={kind: cqt, hop_length: 128, f_min: 130.0, bins: 24, bins_per_octave: 12}"
)
MEL = "unpaired.spectrogram={bins: 32}"
SHORT = ["trainer.steps=1", "trainer.workers=0"]
_WHOLE = ["unpaired.discriminators.window.width=6", "unpaired.settings.siamese.width=8"]
_RESNET = ["unpaired.frames=32", "unpaired.generator.width=4", "unpaired.generator.blocks=2"]
_UNET = "unpaired.generator.channels=[4,6,6]"
FORMS = {
    "melgan-vc-original": [MEL, "unpaired.frames=24", "unpaired.generator.width=8", *_WHOLE],
    "melgan-vc-unet": [MEL, "unpaired.frames=48", _UNET, *_WHOLE],
    "cycle-gan-mel": [MEL, *_RESNET, "unpaired.discriminators.patch.width=2"],
    "cycle-gan-cqt": [
        CQT,
        "unpaired.frames=35",
        _UNET,
        "unpaired.discriminators.patch.width=4",
        "unpaired.discriminators.spectrum.width=4",
    ],
    "timbretron": [
        CQT,
        *_RESNET,
        "unpaired.discriminators.whole.width=4",
        "unpaired.discriminators.whole.levels=2",
    ],
    "cut": [
        MEL,
        *_RESNET,
        "unpaired.discriminators.patch.width=2",
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
        write_audio(place / side / "song.wav", 0.1 * torch.randn(2, RATE, generator=random), RATE)
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
@pytest.mark.usefixtures("every_branch")
def test_every_config_becomes_a_style(config: str, data: Path, tmp_path: Path) -> None:
    figures = run(config, overrides(config, data), tmp_path)
    assert figures and all(map(math.isfinite, figures.values())) and figures["failed_steps"] == 0
    read = load_training(config).recipe
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
def test_every_config_starts_on_what_is_prepared_for_it(config: str, tmp_path: Path) -> None:
    """With nothing set but data and width; small ones on spectrograms as `prepare` makes them."""
    read = load_training(config).recipe
    assert read is not None
    usual = "kind" not in read.spectrogram and not config.endswith("-paper")
    spectrogram = (
        SpectrogramSettings() if usual else SpectrogramSettings.from_dict(read.spectrogram)
    )
    place = collection(tmp_path, spectrogram=spectrogram, frames=1000)
    where = [f"unpaired.prepared={place}", "unpaired.source=rock", "unpaired.target=jazz"]
    narrow = [change for change in FORMS[config.removesuffix("-paper")] if change not in (MEL, CQT)]
    narrow = [change for change in narrow if "frames" not in change]
    figures = run(config, [*SHORT, *where, "unpaired.batch=1", *narrow], tmp_path / "run")
    assert figures["failed_steps"] == 0


@pytest.mark.parametrize("config", ALL)
def test_every_config_can_be_built_as_it_stands(config: str) -> None:
    """Spectrograms that can be inverted, networks that fit them, settings that the objective
    knows.
    """
    recipe = load_training(config).recipe
    assert recipe is not None
    spectrogram = SpectrogramSettings.from_dict(recipe.spectrogram)
    factory = NetworkFactory(
        spectrogram.bins, recipe.frames, recipe.generator, recipe.discriminators
    )
    with torch.device("meta"), warnings.catch_warnings():  # shapes without weights
        warnings.simplefilter("ignore", UserWarning)
        objective = create(recipe.objective, factory, recipe.settings)
    assert "generator" in objective.networks


def test_papers_are_larger() -> None:
    for name in FORMS:
        small, paper = (load_training(name + s) for s in ("", "-paper"))
        assert small.trainer.steps < paper.trainer.steps
        assert small.recipe.objective == paper.recipe.objective


def test_every_unpaired_config_is_tried() -> None:
    held = {p.stem for p in CONFIGS.glob("*.yaml") if "\nunpaired:" in p.read_text()}
    assert held == set(ALL)


def collection(
    folder: Path, spectrogram: SpectrogramSettings | None = None, frames: int = 90
) -> Path:
    """What a preparation leaves: a song a genre, its spectrogram [L, F] in half precision."""
    spectrogram = spectrogram or SpectrogramSettings(bins=32)
    songs = []
    for number, genre in enumerate(("rock", "jazz")):
        random = np.random.default_rng(number)
        shown = random.normal(-5, 2, (frames, spectrogram.bins)).astype(np.float16)
        np.save(folder / f"{genre}.npy", shown)
        feature = Feature(f"{genre}.npy", ((0, frames),))
        songs.append(
            PreparedSong(genre, "train", genre, genre, "CC0", 1.0, (), {}, {"other": feature})
        )
    Manifest(
        folder, "folders", "none", spectrogram.to_dict(), tuple(songs), (), (), Sampling()
    ).save()
    return folder


def test_a_prepared_collection_becomes_a_style(tmp_path: Path) -> None:
    place = collection(tmp_path)
    changes = [*overrides("melgan-vc-unet", tmp_path), f"unpaired.prepared={place}"]
    figures = run("melgan-vc-unet", changes, tmp_path / "run")
    assert figures["failed_steps"] == 0
    card = json.loads((tmp_path / "run" / "melgan-vc-unet" / "card.json").read_text())
    assert card["stems"]["other"]["spectrogram"]["bins"] == 32 and card["steps"] == 2


def validated_collection(folder: Path, validated: bool = True) -> Path:
    """The same with sound, a second song a genre to validate with, and spectrograms of what
    sounds.
    """
    spectrogram = SpectrogramSettings(bins=32)
    songs = []
    for number, genre in enumerate(("rock", "jazz")):
        for split in ("train", "validation") if validated else ("train",):
            random = torch.Generator().manual_seed(number)
            sound = 0.1 * torch.randn(2, RATE, generator=random) * (1 + number)
            if genre == "jazz":
                sound = sound.cumsum(1) * 0.01
            name = f"{genre}-{split}"
            write_audio(folder / f"{name}.flac", sound, RATE)
            shown = spectrogram.stereo(sound).T.half().numpy()
            np.save(folder / f"{name}.npy", shown)
            feature = {"other": Feature(f"{name}.npy", ((0, len(shown)),))}
            sounds = {"other": f"{name}.flac"}
            songs.append(PreparedSong(name, split, genre, name, "CC0", 1.0, (), sounds, feature))
    Manifest(folder, "folders", "none", spectrogram.to_dict(), tuple(songs)).save()
    return folder


#: Nothing is normalised over the batch, so that its halves teach what it teaches.
BY_GROUP = ["unpaired.settings.siamese.norm=group", "trainer.ema_decay=null"]
VALIDATED = [
    "unpaired.checkpoint_metric.classifier_steps=12",
    "unpaired.checkpoint_metric.songs=1",
    "trainer.validate_every=1",
    "trainer.preview_every=2",
]


def test_h_on_validation_songs_chooses_the_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = validated_collection(tmp_path)
    changes = [*overrides("melgan-vc-unet", tmp_path), f"unpaired.prepared={place}", *VALIDATED]
    measured = iter([0.5, 0.25])
    inner = CheckpointMetric.__call__

    def first_is_best(self: CheckpointMetric, objective: Any) -> dict[str, float]:
        found = inner(self, objective)
        assert {"H", "style", "content"} == set(found)
        return {**found, "H": next(measured)}

    monkeypatch.setattr(CheckpointMetric, "__call__", first_is_best)
    figures = run("melgan-vc-unet", changes, tmp_path / "run")
    assert figures["validation/H"] == 0.25
    style = tmp_path / "run" / "melgan-vc-unet"
    card = json.loads((style / "card.json").read_text())
    assert card["figures"]["validation"]["H"] == 0.5
    assert card["figures"]["validation"]["step"] == 1
    best, last = (load_networks(tmp_path / "run" / n)["generator"] for n in ("best", "checkpoint"))
    shipped = load_generator(style / "melgan-vc-unet.safetensors").state_dict()
    bias = "leave.bias"
    assert torch.equal(shipped[bias], best[bias].half().float())
    assert not torch.equal(best[bias], last[bias])
    assert (tmp_path / "run" / "validation-classifier" / "genre-classifier.json").is_file()


def test_songs_are_logged_as_audio(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    place = validated_collection(tmp_path)
    changes = [*overrides("melgan-vc-unet", tmp_path), f"unpaired.prepared={place}", *VALIDATED]
    run("melgan-vc-unet", [*changes, "unpaired.checkpoint_metric.songs=0"], tmp_path / "run")
    events = EventAccumulator(str(tmp_path / "run"))
    events.Reload()
    names = {"audio/rock-validation/source", "audio/rock-validation/jazz"}
    assert set(events.Tags()["audio"]) == names
    assert not (tmp_path / "run" / "best").exists()  # no H, no choice


def test_without_validation_songs_the_last_weights_are_taken(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    place = validated_collection(tmp_path, validated=False)
    changes = [*overrides("melgan-vc-unet", tmp_path), f"unpaired.prepared={place}", *VALIDATED]
    figures = run("melgan-vc-unet", changes, tmp_path / "run")
    assert "validation/H" not in figures
    assert sum("no H" in line and "rock" in line for line in caplog.messages) == 1
    assert load_style(tmp_path / "run" / "melgan-vc-unet").card is not None


def melon(root: Path) -> Path:
    """The dataset as it is distributed, with six songs of two genres."""
    (root / "arena_mel" / "0").mkdir(parents=True)
    names = {"GN1000": "rock", "GN1700": "jazz"}
    (root / "genre_gn_all.json").write_text(json.dumps(names))
    songs = []
    for number in range(6):
        code = ("GN1000", "GN1700")[number % 2]
        about = {"song_gn_gnr_basket": [code], "song_gn_dtl_gnr_basket": []}
        songs.append({"id": number, "artist_id_basket": [number], **about})
        spectrogram = np.random.default_rng(number).normal(-40 + number, 15, (48, 60))
        np.save(
            root / "arena_mel" / "0" / f"{number}.npy", spectrogram.clip(-100).astype(np.float32)
        )
    (root / "song_meta.json").write_text(json.dumps(songs))
    return root


@pytest.mark.parametrize("config", ["melgan-vc-original", "cycle-gan-mel", "cut"])
def test_melon_is_trained_on_as_it_is_and_says_what_it_cannot_do(
    config: str,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    wanted = Settings(genres=("rock", "GN1700"), jobs=1)
    ready = prepare_collection([melon(tmp_path / "melon")], tmp_path / "ready", wanted)
    data = [f"unpaired.prepared={ready.folder}", "unpaired.source=rock", "unpaired.target=GN1700"]
    toy = [change for change in FORMS[config] if change != MEL]
    # As one types it: the config's own spectrogram settings do not matter.
    figures = run(config, [*TRAINER, "unpaired.batch=2", *toy, *data], tmp_path / "run")
    assert figures["failed_steps"] == 0
    assert any("will play no songs" in line and "48 bands" in line for line in caplog.messages)
    (place,) = (path.parent for path in (tmp_path / "run").glob("*/card.json"))
    card = json.loads((place / "card.json").read_text())
    assert card["networks"]["generator"]["bins"] == 48
    entry = card["stems"]["mix"]
    assert entry["spectrogram"]["kind"] == "melon" and "48 bands" in entry["options"]["silent"]
    assert entry["spectrogram"]["lowest"] < -60 and entry["spectrogram"]["highest"] > -20
    song = tmp_path / "song.wav"
    write_audio(song, torch.zeros(2, 1000), RATE)
    for words in ([str(song), "--style", str(place)], ["evaluate", str(place), "--on", str(song)]):
        assert main(words) == 2
        error = capsys.readouterr().err
        assert "plays no songs" in error and "cannot be turned back" in error
        assert error.count("\n") == 1
    assert main(["styles", str(place)]) == 0
    assert "plays no songs" in capsys.readouterr().out


def test_imported_levels_are_rescaled_to_the_networks(tmp_path: Path) -> None:
    wanted = Settings(genres=("rock", "GN1700"), jobs=1)
    ready = prepare_collection([melon(tmp_path / "melon")], tmp_path / "ready", wanted)
    levels = Levels.of(ready, "mix")
    ends = levels.rescaled(torch.tensor([levels.lowest, levels.highest]))
    torch.testing.assert_close(to_unit(ends), torch.tensor([-1.0, 1.0]))
    windows = PreparedWindows(ready, ("rock", "GN1700"), 16, 8)
    plain, scaled = windows.batch(0), ImportedWindows(windows, levels).batch(0)
    assert torch.equal(scaled["source"], levels.rescaled(plain["source"]))
    inside = to_unit(scaled["source"]).abs() < 1
    assert float(inside.float().mean()) > 0.99
    flat = Levels(0.0, 1.0)
    assert torch.equal(flat.rescaled(torch.zeros(1)), torch.full((1,), BOTTOM))
    for song in ready.songs:
        path = ready.folder / song.features["mix"].file
        np.save(path, np.ones_like(np.load(path)))
    with pytest.raises(AudioTransferError, match="the one level 1"):
        Levels.of(ready, "mix")


def test_a_style_of_a_lower_rate_is_a_style(tmp_path: Path) -> None:
    place = collection(tmp_path)
    manifest = load_manifest(place)
    low = SpectrogramSettings(bins=32, sample_rate=22050, f_max=11025.0)
    dataclasses.replace(manifest, spectrogram=low.to_dict()).save()
    changes = [*overrides("melgan-vc-unet", tmp_path), f"unpaired.prepared={place}"]
    run("melgan-vc-unet", changes, tmp_path / "run")
    style = load_style(tmp_path / "run" / "melgan-vc-unet")
    stem = 0.1 * torch.randn(2, 20001, generator=torch.Generator().manual_seed(0))
    made = style.stems["other"](stem)
    assert made.shape == stem.shape and not torch.equal(made, stem)


def test_two_processes_train_and_one_speaks(tmp_path: Path) -> None:
    """As `torchrun --nproc_per_node 2 -m audiotransfer train CONFIG` starts them."""
    place = validated_collection(tmp_path)
    toy = [*overrides("melgan-vc-unet", tmp_path), f"unpaired.prepared={place}"]
    alone = run("melgan-vc-unet", [*toy, *BY_GROUP, *VALIDATED], tmp_path / "one")
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    config = ["melgan-vc-unet", *toy, *BY_GROUP, *VALIDATED, "-o", str(tmp_path / "two")]
    done = subprocess.run(
        [sys.executable, *launcher, "-m", "audiotransfer", "train", *config],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    style = tmp_path / "two" / "melgan-vc-unet"
    assert done.stdout.count(f"style {style}\n") == done.stdout.count("failed_steps") == 1
    assert "Traceback" not in done.stderr and "Warning" not in done.stderr
    assert load_style(style).card is not None
    log = (tmp_path / "two" / "log.jsonl").read_text()
    logged = [json.loads(line) for line in log.splitlines()]
    assert len([line for line in logged if "discriminator/loss" in line]) == 2  # one of them writes
    state = load_networks(tmp_path / "two" / "checkpoint")["generator"]
    expected = load_networks(tmp_path / "one" / "checkpoint")["generator"]
    for key, value in expected.items():
        torch.testing.assert_close(state[key], value, rtol=1e-4, atol=1e-5, msg=key)
    assert alone["failed_steps"] == 0


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
        ("unpaired.discriminators.patch.kind=ptch", "did you mean 'patch'"),
        ("unpaired.name=No Name!", "No Name!"),
        ("unpaired.stem=kazoo", "kazoo"),
        ("unpaired.source=nowhere", "nowhere"),
        ("unpaired.target=", "unpaired.target"),
        ("unpaired.spectrogram.sample_rate=22050", "22050"),
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


def test_other_spectrograms_than_prepared_are_refused(tmp_path: Path) -> None:
    changes = [*overrides("melgan-vc-unet", tmp_path), f"unpaired.prepared={collection(tmp_path)}"]
    wanted = "bins=32, not 64; set unpaired.spectrogram.bins=32, or .* --spectrogram bins=64$"
    with pytest.raises(AudioTransferError, match=wanted):
        recipes.train("melgan-vc-unet", [*changes, "unpaired.spectrogram.bins=64"], tmp_path / "r")


def test_windows_without_three_tiles_are_refused(data: Path, tmp_path: Path) -> None:
    changes = [*overrides("melgan-vc-unet", data), "unpaired.frames=50"]
    with pytest.raises(AudioTransferError, match="multiple of 3"):
        recipes.train("melgan-vc-unet", changes, tmp_path / "r")


def test_a_recipe_has_usable_defaults() -> None:
    assert UnpairedStyleRecipe().frames % 3 == 0
