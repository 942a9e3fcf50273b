"""The genre classifier: its features, its training, and that no artist is on both sides."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from audiotransfer.audio.writing import write_audio
from audiotransfer.errors import AudioTransferError
from audiotransfer.evaluation.classifiers.audio_classifier import (
    AudioClassifierNetwork,
    AudioClassifierSettings,
    normalised,
)
from audiotransfer.evaluation.classifiers.genre import (
    Confusion,
    GenreClassifier,
    GenreObjective,
    confusion,
    masked,
    style_score,
    window_validation,
)
from audiotransfer.evaluation.classifiers.genre_data import (
    Clip,
    GenreFeatures,
    GenreWindowBatches,
    coloured,
    griffin_lim_mel_copy,
    held_out_windows,
    prepare,
    remix_copy,
    split_groups,
)
from audiotransfer.training import Trainer, TrainerSettings

RATE = 22050
SETTINGS = AudioClassifierSettings(classes=("hiss", "tones"), seconds=1.0, width=4)


def sound(genre: str, seed: int, seconds: float = 2.5) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    length = round(seconds * RATE)
    if genre == "hiss":
        return 0.1 * torch.randn(2, length, generator=generator)
    pitch = 200 + 400 * float(torch.rand(1, generator=generator))
    time = torch.arange(length) / RATE
    return sum(0.1 * torch.sin(2 * math.pi * pitch * n * time) / n for n in range(1, 9)).repeat(
        2, 1
    )


class HalfAndHalf:
    stems = ("drums", "other")
    sample_rate = 44100
    context = 0
    grid = 1

    def __call__(self, mix: Tensor, generator: torch.Generator | None = None) -> dict[str, Tensor]:
        return {"drums": 0.5 * mix, "other": 0.5 * mix}


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[Clip]:
    folder = tmp_path_factory.mktemp("clips")
    found = []
    for genre in SETTINGS.classes:
        for index in range(4):
            path = folder / f"{genre}{index}.wav"
            write_audio(path, sound(genre, index), RATE)
            found.append(Clip(path, genre, f"{genre} artist {index}"))
    return found


@pytest.fixture(scope="module")
def features(clips: list[Clip], tmp_path_factory: pytest.TempPathFactory) -> GenreFeatures:
    return prepare(
        clips, tmp_path_factory.mktemp("features"), SETTINGS,
        separator=HalfAndHalf(), copy_seconds=1.2,
    )  # fmt: skip


def test_no_group_is_on_both_sides_and_every_genre_is_on_each() -> None:
    clips = [
        Clip(Path(f"{genre}{group}"), genre, group)
        for genre, groups in {"jazz": "abc", "rock": "cdef", "pop": "fgah"}.items()
        for group in groups
    ]
    for seed in range(20):
        train, out = split_groups(clips, seed=seed)
        assert not train & out
        for side in (train, out):
            assert {clip.genre for clip in clips if clip.group in side} == {"jazz", "rock", "pop"}
    with pytest.raises(AudioTransferError, match="too few artists"):
        split_groups([Clip(Path("x"), "jazz", "a"), Clip(Path("y"), "rock", "b")])


def test_every_class_has_every_kind_of_copy(features: GenreFeatures) -> None:
    for genre in SETTINGS.classes:
        copies = [segment.copy for segment in features.segments if segment.genre == genre]
        assert sorted(set(copies)) == ["griffin-lim", "plain", "separated"]
        assert len(copies) == 12


def test_features_are_computed_once(clips: list[Clip], tmp_path: Path) -> None:
    calls: list[int] = []
    for _ in range(2):
        prepare(clips, tmp_path, SETTINGS, progress=lambda done, _: calls.append(done))
    assert calls == list(range(1, len(clips) + 1))
    prepare(clips[:-1], tmp_path, SETTINGS, progress=lambda done, _: calls.append(done))
    assert len(calls) == 2 * len(clips) - 1
    with pytest.raises(AudioTransferError, match="tones"):
        prepare(clips[:4], tmp_path, SETTINGS)


def test_features_of_another_separator_are_computed_anew(clips: list[Clip], tmp_path: Path) -> None:
    class Quarters(HalfAndHalf):
        pass

    calls: list[int] = []
    for separator in (HalfAndHalf(), HalfAndHalf(), Quarters()):
        prepare(
            clips, tmp_path, SETTINGS,
            separator=separator, copy_seconds=1.2, progress=lambda done, _: calls.append(done),
        )  # fmt: skip
    assert calls == list(range(1, len(clips) + 1)) * 2


def test_a_batch_depends_on_seed_and_step_alone(features: GenreFeatures) -> None:
    groups = {segment.group for segment in features.segments}
    one = GenreWindowBatches(features, groups, batch_size=4, seed=3)
    two = GenreWindowBatches(features, groups, batch_size=4, seed=3)
    two.batch(0)
    assert torch.equal(one.batch(7)["features"], two.batch(7)["features"])
    assert not torch.equal(one.batch(7)["features"], one.batch(8)["features"])
    batch = one.batch(0)
    assert batch["features"].shape == (4, SETTINGS.bands, SETTINGS.frames)
    assert batch["features"].dtype == torch.float32
    with pytest.raises(AudioTransferError, match="no clip"):
        GenreWindowBatches(features, {"nobody"})


def test_colour_is_a_filter_and_leaves_the_floor() -> None:
    window = np.random.default_rng(0).normal(-3, 1, (SETTINGS.bands, 9)).astype(np.float32)
    for seed in range(20):
        change = coloured(window, SETTINGS, np.random.default_rng(seed)) - window
        kept = coloured(window, SETTINGS, np.random.default_rng(seed)) > math.log(1.01e-5)
        spread = np.where(kept, change, np.nan)[: SETTINGS.bands // 2]
        assert np.nanmax(spread, axis=1) - np.nanmin(spread, axis=1) == pytest.approx(0, abs=1e-4)
        assert np.abs(spread).max() < 3.5


def test_gain_is_no_cue() -> None:
    window = torch.randn(2, SETTINGS.bands, SETTINGS.frames)
    assert torch.allclose(normalised(window), normalised(window + 1.7), atol=1e-5)
    classifier = GenreClassifier(AudioClassifierNetwork(SETTINGS))
    loud = classifier.probabilities(sound("tones", 1), RATE)
    quiet = classifier.probabilities(0.01 * sound("tones", 1), RATE)
    assert loud == pytest.approx(quiet, abs=1e-3)


def test_masks_hide_stripes_and_leave_the_batch_alone() -> None:
    window = torch.randn(3, SETTINGS.bands, SETTINGS.frames)
    before = window.clone()
    hidden = masked(window, torch.Generator().manual_seed(1))
    assert torch.equal(window, before)
    assert 0.05 < float((hidden != window).float().mean()) < 0.8


def test_copies_keep_the_length_and_the_music() -> None:
    generator = torch.Generator().manual_seed(0)
    audio = sound("tones", 2)
    rebuilt = griffin_lim_mel_copy(audio, RATE, generator)
    assert rebuilt.shape == (1, audio.shape[-1])
    remixed = remix_copy(HalfAndHalf())(audio, RATE, generator)
    assert remixed.shape == audio.shape
    inner = slice(2000, -2000)
    cosine = torch.cosine_similarity(remixed[:, inner], audio[:, inner], dim=-1)
    assert float(cosine.min()) > 0.999


def test_the_classifier_learns_and_says_how_well(
    features: GenreFeatures, clips: list[Clip], tmp_path: Path
) -> None:
    train, out = split_groups(clips)
    objective = GenreObjective(SETTINGS, learning_rate=3e-3)
    validation = window_validation(held_out_windows(features, out))
    settings = TrainerSettings(steps=25, workers=0, log_every=25, checkpoint_every=1000)
    batches = GenreWindowBatches(features, train, batch_size=8)
    Trainer(objective, batches, settings, tmp_path / "run", validation).run()
    found = validation(objective)
    assert found["score"] == 1.0
    assert math.isfinite(found["cross_entropy"])

    classifier = objective.classifier({"steps": 25})
    unseen = [clip for clip in clips if clip.group in out]
    verdicts = confusion(classifier, unseen)
    assert verdicts.accuracy == verdicts.balanced_accuracy == 1.0
    assert style_score(classifier, sound("hiss", 50), RATE, "hiss") > 0.7
    assert style_score(classifier, sound("tones", 50), RATE, "hiss") < 0.3
    with pytest.raises(AudioTransferError, match="hiss, tones"):
        style_score(classifier, sound("hiss", 50), RATE, "polka")

    classifier.save(tmp_path / "saved")
    loaded = GenreClassifier.load(tmp_path / "saved")
    assert loaded.report == {"steps": 25}
    assert loaded.settings == SETTINGS
    audio = sound("tones", 51)
    assert loaded.probabilities(audio, RATE) == classifier.probabilities(audio, RATE)


def test_a_classifier_learns_without_a_trainer(features: GenreFeatures, clips: list[Clip]) -> None:
    groups = {clip.group for clip in clips}
    taught = []
    for number in range(2):
        torch.manual_seed(number)
        before = torch.get_rng_state()
        objective = GenreObjective(SETTINGS, learning_rate=3e-3)
        with torch.no_grad():  # as during a trainer's validation
            objective.learn(GenreWindowBatches(features, groups, batch_size=8), 3)
        assert torch.equal(torch.get_rng_state(), before)
        taught.append(objective.network.out.weight.detach().clone())
    assert torch.equal(*taught)
    assert not torch.equal(taught[0], GenreObjective(SETTINGS).network.out.weight)
    assert not objective.network.training


def test_preview_shows_a_window() -> None:
    objective = GenreObjective(SETTINGS)
    batch = {
        "features": torch.randn(2, SETTINGS.bands, SETTINGS.frames),
        "labels": torch.tensor([0, 1]),
    }
    preview = objective.preview(batch, torch.Generator().manual_seed(0))
    assert preview.images["masked"].shape == (SETTINGS.bands, SETTINGS.frames)


def test_silence_and_snippets_are_classified() -> None:
    classifier = GenreClassifier(AudioClassifierNetwork(SETTINGS))
    assert classifier.probabilities(torch.zeros(2, RATE), RATE) == {"hiss": 0.5, "tones": 0.5}
    for length in (1, 100, RATE - 1, 3 * RATE):
        shares = classifier.probabilities(sound("hiss", 3, 4.0)[:, :length], RATE)
        assert sum(shares.values()) == pytest.approx(1.0, abs=1e-5)
    assert classifier.embeddings(sound("hiss", 3), RATE).shape == (4, 64)
    assert classifier.embeddings(torch.zeros(1, RATE), RATE).shape == (0, 64)


@pytest.mark.parametrize("damage", ["cut", "settings", "missing", "text"])
def test_damaged_classifiers_are_refused(tmp_path: Path, damage: str) -> None:
    GenreClassifier(AudioClassifierNetwork(SETTINGS)).save(tmp_path)
    weights, card = tmp_path / "genre-classifier.safetensors", tmp_path / "genre-classifier.json"
    if damage == "cut":
        weights.write_bytes(weights.read_bytes()[:-10])
    elif damage == "settings":
        fields = json.loads(card.read_text())
        fields["settings"]["width"] = 5
        card.write_text(json.dumps(fields))
    elif damage == "missing":
        weights.unlink()
    else:
        card.write_text("hello")
    with pytest.raises(AudioTransferError, match="no genre classifier can be read"):
        GenreClassifier.load(tmp_path)


def test_files_of_0_1_0_are_read(tmp_path: Path) -> None:
    classifier = GenreClassifier(AudioClassifierNetwork(SETTINGS), {"steps": 3})
    classifier.save(tmp_path)
    assert GenreClassifier.is_saved(tmp_path)
    for suffix in ("json", "safetensors"):
        (tmp_path / f"genre-classifier.{suffix}").rename(tmp_path / f"judge.{suffix}")
    assert GenreClassifier.is_saved(tmp_path)
    audio = sound("tones", 1)
    old = GenreClassifier.load(tmp_path)
    assert old.report == {"steps": 3}
    assert old.probabilities(audio, RATE) == classifier.probabilities(audio, RATE)


def test_confusion_table_counts_rows_as_truth() -> None:
    found = Confusion(("jazz", "rock"), np.array([[3, 1], [0, 1]]))
    assert found.accuracy == 0.8
    assert found.balanced_accuracy == pytest.approx(0.875)
    row = found.table().splitlines()[2]
    assert [cell.strip() for cell in row.split("|")[1:4]] == ["jazz", "3", "1"]


def test_the_full_network_is_small() -> None:
    network = AudioClassifierNetwork(AudioClassifierSettings(classes=("jazz", "rock", "pop")))
    assert 100_000 < sum(p.numel() for p in network.parameters()) < 300_000
