"""Diagnosis of trainings: each failure is reported once, with a remedy; and training curves."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import Generator, Tensor, nn

from audiotransfer.errors import AudioTransferError
from audiotransfer.training import Group, Preview, Trainer, TrainerSettings, Turn, curves
from audiotransfer.training.diagnosis import Diagnosis
from audiotransfer.training.log import Progress

SHAPE = (4, 6, 8)  # spectrograms [B, F, L], natural log of magnitude above -10


class Bands(nn.Module):
    """A gain and a shift per band."""

    def __init__(self) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.full((SHAPE[1], 1), 0.8))
        self.shift = nn.Parameter(torch.zeros(SHAPE[1], 1))

    def forward(self, spectrogram: Tensor) -> Tensor:
        return ((spectrogram + 5) * self.gain - 5 + self.shift).clamp_min(-10)


class Patient:
    """Learns the source an octave of level down, band by band, unless it has a problem."""

    def __init__(self, problem: str = "") -> None:
        torch.manual_seed(0)
        self.problem = problem
        self.networks: dict[str, nn.Module] = {
            "generator": Bands(),
            "discriminator": nn.Linear(1, 1),
            "siamese": nn.Linear(SHAPE[1], 3),
        }
        self.groups = {name: Group((name,), 0.1) for name in self.networks}

    def turns(self, batch: dict[str, Tensor], step: int, generator: Generator) -> Iterator[Turn]:
        source = batch["source"]
        made = self.networks["generator"](source)
        easy = {"": made.detach(), "discriminator has won": made.detach() + 30}
        seen = easy.get(self.problem, batch["target"])  # elsewhere nobody can win
        discriminator = self.networks["discriminator"]
        real, fake = (discriminator(p.mean((1, 2))[:, None]) for p in (batch["target"], seen))
        yield Turn("discriminator", {"hinge": ((1 - real).relu() + (1 + fake).relu()).mean() / 2})
        points = self._points(source)
        apart = (points - points.mean(0)).square().sum(1)
        kept = apart.mean() if self.problem == "embeddings collapse" else (2 - apart).relu().mean()
        yield Turn("siamese", {"apart": kept})
        wanted = {
            "copies its input": source,
            "one output for all": torch.full(SHAPE, -4.0),
            "muted": torch.full(SHAPE, -10.0),
        }.get(self.problem, 0.5 * source - 2)
        loss = (made - wanted).square().mean()
        if self.problem == "not finite" and step % 10 == 3:
            loss = loss * math.nan
        yield Turn("generator", {"distance": loss})

    def preview(self, batch: dict[str, Tensor], generator: Generator) -> Preview:
        source = batch["source"]
        spectrograms = {"source": source[0], "output": self.networks["generator"](source)[0]}
        return Preview(
            {f"drums/{name}": image for name, image in spectrograms.items()},
            embeddings={"siamese": self._points(source)},
        )

    def _points(self, spectrograms: Tensor) -> Tensor:
        points: Tensor = self.networks["siamese"](spectrograms.mean(2))
        return points


class Spectrograms:
    def batch(self, step: int) -> dict[str, Tensor]:
        generator = Generator().manual_seed(step)
        loud = torch.rand(2, *SHAPE, generator=generator) * 6 - 8
        return {"source": loud[0], "target": 0.5 * loud[1] - 2}


def train(folder: Path, problem: str, **settings: int) -> Trainer:
    steps = {"steps": 160, "diagnose_every": 20, "log_every": 20} | settings
    chosen = TrainerSettings(workers=0, schedule="linear", **steps)
    trainer = Trainer(Patient(problem), Spectrograms(), chosen, folder)
    trainer.run()
    return trainer


def notes(folder: Path) -> list[str]:
    entries = map(json.loads, (folder / "log.jsonl").read_text().splitlines())
    return [entry["note"] for entry in entries if "note" in entry]


@pytest.mark.parametrize(
    ("problem", "place", "remedy"),
    [
        ("copies its input", "drums", "raise the adversarial weight"),
        ("one output for all", "drums", "more weight"),
        ("muted", "drums", "lower the adversarial weight"),
        ("discriminator has won", "discriminator", "lower the discriminators' learning rate"),
        ("embeddings collapse", "siamese", "raise the margin's weight"),
        ("not finite", "", "lower the learning rate"),
    ],
)
def test_each_illness_is_told_once_with_a_remedy(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, problem: str, place: str, remedy: str
) -> None:
    with caplog.at_level(logging.WARNING):
        trainer = train(tmp_path, problem)
    (told,) = notes(tmp_path)
    assert told.startswith(f"{problem} ({place}): " if place else f"{problem}: ")
    assert remedy in told.split("; ", 1)[1]
    assert sum(told in record.message for record in caplog.records) == 1
    assert trainer.diagnosis.present == (problem,)


def test_a_healthy_training_stays_silent(tmp_path: Path) -> None:
    trainer = train(tmp_path, "")
    assert notes(tmp_path) == [] and trainer.diagnosis.present == ()


def test_what_passes_by_itself_is_not_told(tmp_path: Path) -> None:
    """A new generator often copies at first: two checks of it mean nothing yet."""
    train(tmp_path, "copies its input", steps=60, diagnose_every=29)
    assert notes(tmp_path) == []


def test_the_line_of_progress_says_what_is_wrong(tmp_path: Path) -> None:
    from audiotransfer.recipes.base import watch

    trainer = Trainer(Patient(), Spectrograms(), TrainerSettings(10, workers=0), tmp_path)
    trainer.progress.step = 5
    shown: list[tuple[str, float]] = []
    after_step = watch(trainer, lambda *told: shown.append(told))
    after_step()
    trainer.diagnosis.present = ("muted", "discriminator has won")
    assert not after_step()
    assert shown == [("step 5", 0.5), ("step 5 (muted, discriminator has won)", 0.5)]


def test_outputs_that_are_no_numbers_are_told_at_once() -> None:
    sick = Preview({"source": torch.zeros(2, 3), "output": torch.full((2, 3), math.nan)})
    (told,) = Diagnosis().check(Progress(step=10), [sick] * 2)
    assert told.startswith("not finite (output): the networks put out what is no number; lower")


def test_songs_of_other_lengths_and_stems_that_are_not_in_each_batch_do_not_matter() -> None:
    previews = []
    for number, frames in enumerate((4, 9, 6)):
        image = torch.rand(3, frames, generator=Generator().manual_seed(number))
        previews.append(Preview({"bass/source": image, "bass/output": image}))
    previews[1].images["other/source"] = previews[1].images["other/output"] = torch.rand(3, 9)
    diagnosis = Diagnosis()
    told = [diagnosis.check(Progress(step=step), previews) for step in (1, 2, 3, 4)]
    assert [len(one) for one in told] == [0, 0, 1, 0]
    assert told[2][0].startswith("copies its input (bass): it changes 0.0%")


def test_a_wasserstein_critic_below_zero_has_not_won() -> None:
    diagnosis = Diagnosis()
    for step in range(5):
        progress = Progress(step=step, figures={"critic/loss": -3.0, "judge/loss": 0.001})
        assert diagnosis.check(progress, []) == []


def entries(folder: Path) -> None:
    lines = []
    for step in range(20, 2001, 20):
        noise = math.sin(step) / 10
        lines.append(
            {
                "step": step,
                "generator/distance": 2 * math.exp(-step / 600) + 0.3 + noise,
                "generator/loss": 3 * math.exp(-step / 600) + 0.5 + noise,
                "generator/gradient": 1 + noise if step != 400 else None,
                "discriminator/hinge": 0.8 + noise,
                "discriminator/gradient": 0.4 + noise,
                "learning_rate/generator": 1e-3 * (1 - step / 2000),
                "failed_steps": 0.0,
                "steps_per_second": 2.0,
            }
        )
        if step % 200 == 0:
            score = -abs(step - 1400) / 2000
            truth = {"validation/drums": 0.5 - score, "validation/drums/nothing": 1.0}
            lines.append({"step": step, "validation/score": score, **truth})
    lines.append({"step": 2000, "note": "muted: nothing comes out"})
    (folder / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def test_curves_are_read_without_what_is_no_number(tmp_path: Path) -> None:
    entries(tmp_path)
    found = curves.read(tmp_path)
    assert [step for step, _ in found["validation/score"]] == list(range(200, 2001, 200))
    assert len(found["discriminator/hinge"]) == 100
    assert 400 not in [step for step, _ in found["generator/gradient"]]
    assert "note" not in found


def test_curves_become_an_image_with_a_panel_per_group(tmp_path: Path) -> None:
    entries(tmp_path)
    path = curves.draw(tmp_path)
    assert path == tmp_path / "curves.png"
    # Score, validation, generator, discriminator, gradients, learning rates: two rows of three.
    with Image.open(path) as image:
        assert image.size == (1800, 640)
        grey = image.convert("L")
    for y in (0, 320):
        for x in (0, 600, 1200):
            assert grey.crop((x, y, x + 600, y + 320)).getextrema()[0] < 100
    assert not list(tmp_path.glob(".*"))


def test_no_log_no_image(tmp_path: Path) -> None:
    assert curves.draw(tmp_path) is None


def test_an_image_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    entries(tmp_path)
    (tmp_path / "curves.png").mkdir()
    with pytest.raises(AudioTransferError, match=r"curves\.png cannot be written"):
        curves.draw(tmp_path)
    assert not list(tmp_path.glob(".*"))
