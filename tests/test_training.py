"""The trainer: turns, exact resume, refusals, averages, schedules; and configs."""

from __future__ import annotations

import json
import logging
import math
import multiprocessing
import os
import resource
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import pytest
import torch
from torch import Generator, Tensor, nn

from audiotransfer.atomic import temporary_path
from audiotransfer.errors import AudioTransferError
from audiotransfer.training import (
    Group,
    Preview,
    Trainer,
    TrainerSettings,
    Turn,
    load_networks,
)
from audiotransfer.training.checkpoints import load, save
from audiotransfer.training.config import load_config
from audiotransfer.training.devices import launch
from audiotransfer.training.loading import fetch, split_batch
from audiotransfer.training.objective import Mixed, Share
from audiotransfer.training.panel import panel
from audiotransfer.training.settings import learning_rate_factor
from audiotransfer.training.stepping import MovingAverage
from audiotransfer.training.trainer import StopRequest

STEPS = 12


class Toy:
    """Two players with everything that must survive: dropout, own noise, two optimisers."""

    def __init__(self) -> None:
        with torch.random.fork_rng([]):
            torch.manual_seed(0)
            self.networks: dict[str, nn.Module] = {
                "maker": nn.Sequential(nn.Conv2d(1, 3, 3), nn.Dropout(0.3), nn.Conv2d(3, 1, 1)),
                "discriminator": nn.utils.parametrizations.spectral_norm(nn.Conv2d(1, 1, 3)),
            }
        self.groups = {
            "maker": Group(("maker",), 1e-2),
            "discriminator": Group(("discriminator",), 1e-2, (0.0, 0.9), weight_decay=0.1),
        }

    def turns(self, batch: dict[str, Tensor], step: int, generator: Generator) -> Iterator[Turn]:
        maker, discriminator = self.networks["maker"], self.networks["discriminator"]
        x = batch["x"] + 0.1 * torch.randn(batch["x"].shape, generator=generator)
        with torch.no_grad():
            made = maker(x)
        yield Turn("discriminator", {"hinge": (discriminator(made) - 1).relu().mean()})
        made = maker(x)
        terms = {
            "fool": -discriminator(made).mean(),
            "near": made.abs().mean(),
            "seen": made.detach().std(),
        }
        yield Turn("maker", terms, {"near": 2.0, "seen": 0.0})

    def preview(self, batch: dict[str, Tensor], generator: Generator) -> Preview:
        made = self.networks["maker"](batch["x"])
        noise = torch.randn(2, 400, generator=generator)
        return Preview({"made": made[0, 0]}, {"noise": (0.1 * noise, 8000)})


class Noise:
    def batch(self, step: int) -> dict[str, Tensor]:
        return {"x": torch.randn(2, 1, 6, 6, generator=Generator().manual_seed(step))}


SETTINGS = TrainerSettings(
    steps=STEPS,
    workers=0,
    schedule="cosine",
    warmup=2,
    clip_norm=1.0,
    ema_decay=0.9,
    ema=("maker",),
    log_every=4,
    checkpoint_every=5,
    validate_every=4,
)


def weights(toy: Toy) -> dict[str, Tensor]:
    return {f"{n}.{k}": v for n, net in toy.networks.items() for k, v in net.state_dict().items()}


def train(
    folder: Path, stop_after: int | None = None, settings: TrainerSettings = SETTINGS
) -> tuple[dict[str, float], Trainer]:
    toy = Toy()
    trainer = Trainer(toy, Noise(), settings, folder, lambda _: {"score": float(torch.rand(()))})
    should_stop = (lambda: trainer.step == stop_after) if stop_after else None
    return trainer.run(should_stop=should_stop), trainer


def assert_same(one: Trainer, other: Trainer) -> None:
    for kind in ("networks", "averages"):
        a, b = (_state(t, kind) for t in (one, other))
        assert a.keys() == b.keys() and a
        for key, value in a.items():
            assert torch.equal(value, b[key]), key


def _state(trainer: Trainer, kind: str) -> dict[str, Tensor]:
    found = load(trainer.folder / "checkpoint")
    assert found is not None
    return {k: v for k, v in found[0].items() if k.startswith(kind)}


@pytest.mark.parametrize("stop_after", [1, 5, 7, 11])
def test_a_resumed_run_equals_an_uninterrupted_one_to_the_bit(
    tmp_path: Path, stop_after: int
) -> None:
    whole, first = train(tmp_path / "whole")
    train(tmp_path / "parts", stop_after)
    parts, second = train(tmp_path / "parts")
    assert_same(first, second)
    assert parts == whole
    tensors = [load(t.folder / "checkpoint") for t in (first, second)]
    assert tensors[0] is not None and tensors[1] is not None
    for key, value in tensors[0][0].items():
        assert torch.equal(value, tensors[1][0][key]), key
    assert tensors[0][1] == tensors[1][1]


def test_a_run_gives_threads_back(tmp_path: Path) -> None:
    before = torch.get_num_threads()
    seen = []

    def validate(_: object) -> dict[str, float]:
        seen.append(torch.get_num_threads())
        return {}

    settings = replace(SETTINGS, threads=before + 1)
    Trainer(Toy(), Noise(), settings, tmp_path, validate).run()
    assert set(seen) == {before + 1} and torch.get_num_threads() == before


def test_channels_last_and_watching_change_nothing_about_resuming(tmp_path: Path) -> None:
    settings = replace(SETTINGS, channels_last=True)
    _, whole = train(tmp_path / "whole", settings=settings)
    train(tmp_path / "parts", 7, replace(settings, preview_every=3, log_every=1))
    _, parts = train(tmp_path / "parts", settings=replace(settings, validate_every=None))
    assert_same(whole, parts)


def test_workers_bring_the_same_batches_in_order(tmp_path: Path) -> None:
    _, alone = train(tmp_path / "alone")
    train(tmp_path / "helped", 5, replace(SETTINGS, workers=2, prefetch=2))
    _, helped = train(tmp_path / "helped", settings=replace(SETTINGS, workers=1))
    assert_same(alone, helped)


CHILD = """
    import sys
    from pathlib import Path
    import test_training as t
    slow = t.Noise()
    class Slow:
        def batch(self, step):
            import time
            time.sleep(0.02)
            return slow.batch(step)
    settings = t.replace(
        t.SETTINGS, steps=10_000, schedule="constant", checkpoint_every=3, workers=1, threads=1
    )
    t.Trainer(t.Toy(), Slow(), settings, Path(sys.argv[1])).run()
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_after_a_kill_the_run_goes_on_as_if_nothing_had_been(
    tmp_path: Path, number: signal.Signals
) -> None:
    folder = tmp_path / "killed"
    paths = [str(Path(__file__).parent), str(Path(__file__).parent.parent)]
    child = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(CHILD), str(folder)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        # A test run in the background ignores Ctrl-C, and so would its child.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    deadline = time.monotonic() + 240
    while not (folder / "checkpoint" / "state.json").exists():
        assert child.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    os.killpg(child.pid, number)  # workers too, as a terminal does
    assert child.wait(120) != 0
    found = load(folder / "checkpoint")
    assert found is not None
    reached = int(found[1]["step"])
    if number == signal.SIGKILL:
        assert reached % 3 == 0
    # As many threads as the child had: sums are rounded alike.
    settings = replace(SETTINGS, steps=reached + 4, schedule="constant", threads=1)
    resumed = Trainer(Toy(), Noise(), settings, folder)
    resumed.run()
    whole = Trainer(Toy(), Noise(), settings, tmp_path / "whole")
    whole.run()
    assert_same(whole, resumed)
    assert not list(folder.glob(".*"))


def test_the_old_checkpoint_survives_a_kill_between_the_renames(tmp_path: Path) -> None:
    folder = tmp_path / "checkpoint"
    save(folder, {"a": torch.ones(2)}, {"step": 1})
    folder.rename(tmp_path / ".checkpoint.old")
    part = temporary_path(folder)
    part.with_name(part.name.replace(f"-{os.getpid()}.", "-999999999.")).mkdir()  # nobody's
    found = load(folder)
    assert found is not None and found[1] == {"step": 1}
    save(folder, {"a": torch.zeros(2)}, {"step": 2})
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint"]


def test_a_damaged_checkpoint_is_one_clear_line(tmp_path: Path) -> None:
    train(tmp_path, 3)
    path = tmp_path / "checkpoint" / "state.safetensors"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(AudioTransferError, match=r"cannot be read .*remove the folder") as caught:
        train(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_checkpoint_of_another_config_is_refused_by_name(tmp_path: Path) -> None:
    train(tmp_path, 3)
    with pytest.raises(AudioTransferError, match="seed=0, not 1"):
        train(tmp_path, settings=replace(SETTINGS, seed=1))
    wide = Toy()
    wide.networks["maker"] = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Conv2d(4, 1, 1))
    with pytest.raises(AudioTransferError) as caught:
        Trainer(wide, Noise(), SETTINGS, tmp_path).run()
    shapes = "networks.maker=0.weight(3, 1, 3, 3), not 0.weight(4, 1, 3, 3); train"
    assert shapes in str(caught.value)
    Trainer(Toy(), Noise(), replace(SETTINGS, seed=1), tmp_path).run(resume=False)


@dataclass(frozen=True)
class Mixes:
    seed: int = 0


@dataclass(frozen=True)
class Recipe:
    songs: dict[str, str] = field(default_factory=dict)
    mixes: Mixes | None = None


@dataclass(frozen=True)
class GrownRecipe(Recipe):
    width: int = 8


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        (Recipe({"a": "b"}, Mixes()), r"config\.songs=\{\}, not \{'a': 'b'\}"),
        (Recipe({}, Mixes(1)), r"config\.mixes\.seed=0, not 1"),
        (Recipe({}, None), r"config\.mixes=Mixes, not None"),
    ],
)
def test_other_data_is_another_config(tmp_path: Path, recipe: Recipe, message: str) -> None:
    def trainer(config: Recipe | None) -> Trainer:
        return Trainer(Toy(), Noise(), SETTINGS, tmp_path, config=config)

    trainer(Recipe({}, Mixes())).run(should_stop=lambda: True)
    with pytest.raises(AudioTransferError, match=message):
        trainer(recipe).run()
    for same in (Recipe({}, Mixes()), None):
        trainer(same).run(should_stop=lambda: True)


def test_what_the_config_did_not_know_then_is_no_difference(tmp_path: Path) -> None:
    for config in (None, Recipe(), GrownRecipe()):
        trainer = Trainer(Toy(), Noise(), SETTINGS, tmp_path, config=config)
        trainer.run(should_stop=lambda: True)
    assert trainer.step == 3


def test_a_checkpoint_of_the_first_format_goes_on(tmp_path: Path) -> None:
    """It calls the precision autocast, and knows neither configs nor patience."""
    settings = replace(SETTINGS, precision="bf16-mixed")
    train(tmp_path / "old", 5, settings)
    path = tmp_path / "old" / "checkpoint" / "state.json"
    facts = json.loads(path.read_text())
    del facts["since_best"], facts["identity"]["precision"]
    facts["identity"]["autocast"] = "'bfloat16'"
    path.write_text(json.dumps(facts))
    _, old = train(tmp_path / "old", settings=settings)
    _, whole = train(tmp_path / "whole", settings=settings)
    assert_same(whole, old)
    facts["identity"]["autocast"] = "'float32'"
    path.write_text(json.dumps(facts))
    with pytest.raises(AudioTransferError, match="precision='32-true', not 'bf16-mixed'"):
        train(tmp_path / "old", settings=settings)


@contextmanager
def room_for(size: int) -> Iterator[None]:
    """No file may grow beyond `size` bytes, which fails as a full disk does."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_costs_no_checkpoint_and_stops_no_training(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "full"
    train(folder, 5)
    with (
        caplog.at_level(logging.WARNING),
        room_for(4096),
        pytest.raises(AudioTransferError, match=r"checkpoint .*cannot be written .*is kept") as end,
    ):
        train(folder)
    assert "\n" not in str(end.value)
    assert any("step 10" in r.message and "cannot be written" in r.message for r in caplog.records)
    found = load(folder / "checkpoint")
    assert found is not None and found[1]["step"] == 5
    assert not list(folder.glob(".*"))
    _, resumed = train(folder)
    _, whole = train(tmp_path / "whole")
    assert_same(whole, resumed)


def test_sizes_that_do_not_fit_are_one_line(tmp_path: Path) -> None:
    class Small:
        def batch(self, step: int) -> dict[str, Tensor]:
            return {"x": torch.zeros(2, 1, 2, 2)}

    with pytest.raises(AudioTransferError, match=r"step 0 .*holds x \[2, 1, 2, 2\]") as caught:
        Trainer(Toy(), Small(), SETTINGS, tmp_path).run()
    assert "\n" not in str(caught.value)


class Broken:
    def batch(self, step: int) -> dict[str, Tensor]:
        raise AudioTransferError(f"song {step} is damaged; remove it")


@pytest.mark.parametrize("workers", [0, 1])
def test_what_a_worker_finds_wrong_stays_one_line(workers: int) -> None:
    before = set(multiprocessing.active_children())
    found = fetch(Broken(), 3, 9, workers=workers, prefetch=2, fabric=launch(SETTINGS))
    with pytest.raises(AudioTransferError, match=r"^song 3 is damaged; remove it$"):
        next(found)
    assert set(multiprocessing.active_children()) <= before  # at exit they would be waited for


def test_processes_share_a_batch_in_runs_of_neighbours() -> None:
    batch = {"song": torch.arange(2), "stem": torch.arange(6), "level": torch.tensor(0.5)}
    parts = [split_batch(batch, rank, 2) for rank in (0, 1)]
    assert [part["song"].tolist() for part in parts] == [[0], [1]]
    assert [part["stem"].tolist() for part in parts] == [[0, 1, 2], [3, 4, 5]]
    assert all(part["level"] == 0.5 for part in parts)
    with pytest.raises(AudioTransferError, match="2 examples of 'song' cannot be shared by 4 proc"):
        split_batch(batch, 0, 4)


def test_each_turn_moves_its_group_alone(tmp_path: Path) -> None:
    toy = Toy()
    before: dict[str, Tensor] = {}
    moved: list[set[str]] = []

    class Watched(Toy):
        def turns(self, *given: Any) -> Iterator[Turn]:
            for turn in toy.turns(*given):
                before.update({k: v.clone() for k, v in parameters(toy).items()})
                yield turn  # the trainer steps it before it asks for the next
                after = parameters(toy)
                moved.append({k.split(".")[0] for k, v in after.items() if (v != before[k]).any()})

    watched = Watched()
    watched.networks = toy.networks
    Trainer(watched, Noise(), replace(SETTINGS, steps=2), tmp_path).run()
    assert moved == [{"discriminator"}, {"maker"}] * 2
    assert all(p.grad is None for net in toy.networks.values() for p in net.parameters())


def parameters(toy: Toy) -> dict[str, Tensor]:
    return {f"{n}.{k}": p for n, net in toy.networks.items() for k, p in net.named_parameters()}


class One:
    """A single weight w that descends the given loss of w and the step."""

    def __init__(self, loss: Callable[[Tensor, int], Tensor], rate: float = 0.1) -> None:
        self.network = nn.Linear(1, 1, bias=False)
        nn.init.ones_(self.network.weight)
        self.networks: dict[str, nn.Module] = {"one": self.network}
        self.groups = {"one": Group(("one",), rate)}
        self.loss = loss

    def turns(self, batch: dict[str, Tensor], step: int, generator: Generator) -> Iterator[Turn]:
        yield Turn("one", {"term": self.loss(self.network.weight.sum(), step)})

    def preview(self, batch: dict[str, Tensor], generator: Generator) -> Preview:
        return Preview()


def test_mixed_objectives_show_all_that_each_shows() -> None:
    """Points are watched as well, so that their collapse is told."""

    class Shown(One):
        def preview(self, batch: dict[str, Tensor], generator: Generator) -> Preview:
            return Preview(
                {"source": batch["x"]}, {"song": (batch["x"], 8)}, {"points": batch["x"]}
            )

    @dataclass
    class Twos:
        def batch(self, step: int) -> dict[str, Tensor]:
            return {"x": torch.full((2, 3), float(step))}

    shares = [Share(name, Shown(lambda w, _: w), Twos()) for name in ("a", "b")]
    mixed = Mixed(shares)
    seen = mixed.preview(mixed.batch(2), Generator())
    for shown, name in ((seen.images, "source"), (seen.embeddings, "points")):
        assert set(shown) == {f"a/{name}", f"b/{name}"} and float(shown[f"b/{name}"].sum()) == 12
    assert seen.audio["a/song"][1] == 8


def test_weights_of_terms_make_the_loss(tmp_path: Path) -> None:
    figures, _ = train(tmp_path, 1, replace(SETTINGS, log_every=1))
    loss = figures["maker/fool"] + 2 * figures["maker/near"]
    assert figures["maker/loss"] == pytest.approx(loss, rel=1e-5)
    assert figures["maker/seen"] > 0
    assert figures["maker/gradient"] > 0


def test_a_step_that_is_not_finite_is_skipped_and_counted(tmp_path: Path) -> None:
    def hole(w: Tensor, step: int) -> Tensor:
        return w * math.nan if step in (2, 3) else w

    toy = One(hole)
    figures = Trainer(toy, Noise(), TrainerSettings(6, workers=0), tmp_path).run()
    assert figures["failed_steps"] == 2
    assert toy.network.weight.item() == pytest.approx(1 - 4 * 0.1, abs=1e-4)


def test_an_endless_gradient_of_a_finite_loss_is_skipped_as_well(tmp_path: Path) -> None:
    toy = One(lambda w, _: (w - w.detach()).sqrt())  # 0 with an infinite slope
    figures = Trainer(toy, Noise(), TrainerSettings(2, workers=0), tmp_path).run()
    assert figures["failed_steps"] == 2
    assert toy.network.weight.item() == 1


def test_twenty_failures_in_a_row_end_the_run(tmp_path: Path) -> None:
    toy = One(lambda w, step: w if step == 5 else w * math.inf)
    with pytest.raises(AudioTransferError, match=r"gave up at step 25: one/term.*lower the learn"):
        Trainer(toy, Noise(), TrainerSettings(60, workers=0), tmp_path).run()


def test_clipping_bounds_the_step(tmp_path: Path) -> None:
    """Adam forgets a constant gradient's size; after a clipped bang the next steps are as ever."""
    moves = {}
    for clip in (None, 1.0):
        toy = One(lambda w, step: w * (1000.0 if step == 0 else 1.0))
        settings = TrainerSettings(4, workers=0, clip_norm=clip)
        Trainer(toy, Noise(), settings, tmp_path / str(clip)).run()
        moves[clip] = 1 - toy.network.weight.item()
    assert moves[1.0] == pytest.approx(0.4, abs=1e-4)
    assert abs(moves[None] - 0.4) > 0.05


def test_the_learning_rate_follows_the_schedule(tmp_path: Path) -> None:
    toy = One(lambda w, _: w)
    settings = TrainerSettings(4, workers=0, schedule="linear", warmup=2)
    Trainer(toy, Noise(), settings, tmp_path).run()
    # factors 1/2, 1, 1, 1/2 of 0.1, and Adam's step under a constant slope is the rate itself
    assert toy.network.weight.item() == pytest.approx(1 - 0.3, abs=1e-4)


def test_schedules() -> None:
    assert [learning_rate_factor(step, 10, "constant", 4) for step in (0, 1, 3, 4, 9)] == [
        0.25,
        0.5,
        1,
        1,
        1,
    ]
    assert [learning_rate_factor(step, 10) for step in (0, 9)] == [1, 1]
    assert learning_rate_factor(7, 10, "linear", 4) == pytest.approx(0.5)
    assert learning_rate_factor(7, 10, "cosine", 4) == pytest.approx(0.5)
    assert learning_rate_factor(10, 10, "cosine") == pytest.approx(0)
    with pytest.raises(ValueError, match="'square' is unknown"):
        learning_rate_factor(1, 10, "square")  # type: ignore[arg-type]


def test_averages_follow_and_can_be_applied() -> None:
    network = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(network.weight)
    average = MovingAverage({"n": network}, 0.5)
    expected = 0.0
    for value, decay in ((1.0, 0.1), (2.0, 2 / 11), (3.0, 3 / 12)):
        nn.init.constant_(network.weight, value)
        average.update()
        expected = decay * expected + (1 - decay) * value
    assert average.weights["n"]["weight"].item() == pytest.approx(expected)
    with average.applied():
        assert network.weight.item() == pytest.approx(expected)
    assert network.weight.item() == 3.0


def test_the_best_by_score_is_kept_with_its_averages(tmp_path: Path) -> None:
    scores = iter([1.0, 3.0, 2.0])
    seen: list[tuple[float, bool]] = []
    toy = One(lambda w, _: w)

    def validation(_: object) -> dict[str, float]:
        seen.append((toy.network.weight.item(), toy.network.training))
        assert not torch.is_grad_enabled()
        return {"score": next(scores)}

    settings = TrainerSettings(6, workers=0, validate_every=2, ema_decay=0.5, ema=("one",))
    figures = Trainer(toy, Noise(), settings, tmp_path, validation).run()
    assert figures["validation/score"] == 2.0
    best = load(tmp_path / "best")
    assert best is not None and best[1]["step"] == 4 and best[1]["best"] == 3.0
    averaged = load_networks(tmp_path / "best")["one"]["weight"].item()
    assert averaged == seen[1][0] and not seen[1][1]
    present = load_networks(tmp_path / "best", averaged=False)["one"]["weight"].item()
    assert present == pytest.approx(0.6, abs=1e-4) and present < averaged
    assert toy.network.training


def test_a_run_that_gets_no_better_ends_early_and_stays_ended(tmp_path: Path) -> None:
    scores = [1.0, 3.0, 2.0, 3.0, 9.0]
    asked: list[int] = []

    def trainer() -> Trainer:
        def validation(_: object) -> dict[str, float]:
            asked.append(one.step)
            return {"H": scores[len(asked) - 1], "score": float(one.step)}

        settings = TrainerSettings(20, workers=0, validate_every=2, patience=2)
        one = Trainer(One(lambda w, _: w), Noise(), settings, tmp_path, validation)
        return one

    first = trainer()
    first.run(should_stop=lambda: first.step == 6)  # what it waited for so far is remembered
    second = trainer()
    second.run()
    trainer().run()
    assert asked == [2, 4, 6, 8] and second.step == 8
    best = load(tmp_path / "best")
    assert best is not None and best[1]["step"] == 4 and best[1]["best"] == 3.0  # H before score


def test_the_log_has_every_term_and_forgets_what_is_repeated(tmp_path: Path) -> None:
    train(tmp_path, 9)
    with (tmp_path / "log.jsonl").open("a") as file:
        file.write(json.dumps({"step": 11, "lost": 1}) + '\n{"step": 1')
    train(tmp_path)
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [4, 4, 8, 8, 12, 12]
    assert {"discriminator/hinge", "maker/fool", "maker/near", "maker/seen"} <= set(lines[0])
    assert lines[0]["learning_rate/maker"] == pytest.approx(
        1e-2 * learning_rate_factor(3, STEPS, "cosine", 2)
    )
    assert all(math.isfinite(value) for line in lines for value in line.values())


def test_images_and_sound_reach_tensorboard(tmp_path: Path) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    train(tmp_path, settings=replace(SETTINGS, preview_every=6))
    events = accumulator.EventAccumulator(str(tmp_path))
    events.Reload()
    assert [e.step for e in events.Images("images/made")] == [6, 12]
    assert [e.sample_rate for e in events.Audio("audio/noise")] == [8000, 8000]
    assert [e.step for e in events.Scalars("maker/near")] == [4, 8, 12]
    assert [e.step for e in events.Scalars("learning_rate/discriminator")] == [4, 8, 12]


def test_samples_are_logged_beside_the_images(tmp_path: Path) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    states: list[bool] = []

    def samples(toy: Toy) -> dict[str, tuple[Tensor, int]]:
        states.append(toy.networks["maker"].training or torch.is_grad_enabled())
        return {"song": (torch.zeros(2, 50), 4000)}

    settings = replace(SETTINGS, preview_every=6, diagnose_every=1)
    trainer = Trainer(Toy(), Noise(), settings, tmp_path, samples=samples)
    trainer.run()
    events = accumulator.EventAccumulator(str(tmp_path))
    events.Reload()
    assert [e.sample_rate for e in events.Audio("audio/song")] == [4000, 4000]
    assert [e.sample_rate for e in events.Audio("audio/noise")] == [8000, 8000]
    assert states == [False, False]  # nothing is played for the diagnosis


def test_the_callers_random_numbers_are_left_alone(tmp_path: Path) -> None:
    torch.manual_seed(3)
    expected = torch.rand(3)
    torch.manual_seed(3)
    train(tmp_path, 3)
    assert torch.equal(torch.rand(3), expected)


def test_unknown_networks_and_devices_are_named(tmp_path: Path) -> None:
    with pytest.raises(AudioTransferError, match="ema names network 'made'; there are maker"):
        train(tmp_path, settings=replace(SETTINGS, ema=("made",)))
    with pytest.raises(AudioTransferError, match="device 'toaster' is unknown"):
        train(tmp_path, settings=replace(SETTINGS, device="toaster"))
    with pytest.raises(AudioTransferError, match="devices=0 of cpu on num_nodes=1 cannot be used"):
        train(tmp_path, settings=replace(SETTINGS, devices=0))


@dataclass(frozen=True)
class Inner:
    width: int
    rate: float = 1e-3
    kind: Literal["mel", "cqt"] = "mel"


@dataclass(frozen=True)
class Outer:
    inner: Inner
    stems: tuple[str, ...] = ("drums",)
    limit: float | None = None
    trainer: TrainerSettings = field(default_factory=lambda: TrainerSettings(10))
    songs: dict[str, int] = field(default_factory=dict)
    folder: Path = Path("runs")


@pytest.fixture
def configs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "configs"
    folder.mkdir()
    (folder / "paper.yaml").write_text("inner: {width: 64}\nstems: [bass, other]\nlimit: 3\n")
    (folder / "small.yaml").write_text("base: paper\ninner: {width: 8, rate: 2e-4}\n")
    monkeypatch.chdir(tmp_path)
    return folder


def test_a_config_is_base_then_difference_then_overrides(configs: Path) -> None:
    given = ["inner.kind=cqt", "trainer.steps=7", "trainer.ema=[a,b]", "songs.pop=2", "limit=null"]
    expected = Outer(
        Inner(8, 2e-4, "cqt"),
        ("bass", "other"),
        None,
        TrainerSettings(7, ema=("a", "b")),
        {"pop": 2},
    )
    assert load_config("small", given, Outer) == expected
    assert load_config(configs / "small.yaml", given, Outer) == expected
    limit = load_config("paper", [], Outer).limit
    assert limit == 3.0 and type(limit) is float


@pytest.mark.parametrize(
    ("name", "overrides", "message"),
    [
        ("smal", [], "config 'smal' is not there; nearest is small"),
        ("small", ["trainer.stepz=1"], "key trainer.stepz is unknown; nearest is trainer.steps"),
        ("small", ["iner.width=1"], "key iner is unknown; nearest is inner"),
        ("small", ["trainer.steps=many"], "trainer.steps is 'many', but must be int"),
        ("small", ["inner.width=1.5"], "inner.width is 1.5, but must be int"),
        ("small", ["inner.width=true"], "inner.width is True, but must be int"),
        ("small", ["inner=3"], "inner is 3, but must hold key: value lines"),
        ("small", ["inner.kind=mell"], "inner.kind is 'mell'; nearest is mel"),
        ("small", ["stems=[1]"], r"stems\[0\] is 1, but must be str"),
        ("small", ["limit=low"], "limit is 'low', but must be float or null"),
        ("small", ["songs.pop=few"], "songs.pop is 'few', but must be int"),
        ("small", ["width"], "setting 'width' is not understood; write key=value"),
        ("small", ["limit=${nothing}"], "Interpolation key 'nothing' not found"),
    ],
)
def test_what_is_wrong_in_a_config_is_one_line(
    configs: Path, name: str, overrides: list[str], message: str
) -> None:
    with pytest.raises(AudioTransferError, match=message) as caught:
        load_config(name, overrides, Outer)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("stems: [a]", "key inner is missing; set it to Inner"),
        ("inner: {rate: 1}", "key inner.width is missing; set it to int"),
        ("base: odd", "base goes in a circle"),
        ("base: ode", "config 'ode' is not there; nearest is odd"),
        ("inner: {width: ", "not readable as YAML"),
        ("- a\n- b", "holds a list"),
    ],
)
def test_a_file_that_is_no_config_is_one_line(configs: Path, text: str, message: str) -> None:
    (configs / "odd.yaml").write_text(text)
    with pytest.raises(AudioTransferError, match=message) as caught:
        load_config("odd", [], Outer)
    assert "\n" not in str(caught.value)


def test_the_panel_has_each_figure_from_first_to_last(tmp_path: Path) -> None:
    for step in range(1, 12):
        entry = {"step": step, "generator/loss": 1 / step, "learning_rate/generator": -1.234e-5}
        if step % 5 == 0:
            entry |= {"validation/score": -step, "validation/a/b": 0.5, "validation/a/b/nothing": 1}
        with (tmp_path / "log.jsonl").open("a") as file:
            file.write(json.dumps(entry) + "\n")
    lines = panel(tmp_path, 40).splitlines()
    assert lines[0] == "step 11 of 40"
    assert lines[1] == "best validation so far: step 5, score -5 (more is better)"
    assert lines[2] == "distances there, less is better (of doing nothing): a/b 0.5 (1)"
    del lines[2]
    lines = [line for line in lines if "a/b" not in line]
    assert lines[3].split() == ["step", "1", "3", "6", "9", "11"]
    assert lines[4].split() == ["validation/score", "-", "-", "-5", "-5", "-10"]
    assert lines[5].split() == ["generator/loss", "1", "0.333", "0.167", "0.111", "0.0909"]
    assert lines[6].split() == ["learning_rate/generator", *["-1.23e-05"] * 5]  # the widest
    assert len(lines) == 7
    assert max(map(len, lines)) <= 80
    assert panel(tmp_path / "nowhere", 40) == ""


@pytest.mark.parametrize("ignored", [True, False])
def test_a_signal_that_is_ignored_stops_no_training(ignored: bool) -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN if ignored else signal.default_int_handler)
    try:
        with StopRequest() as stop:
            signal.raise_signal(signal.SIGINT)
        assert (stop.signal is None) == ignored
    finally:
        signal.signal(signal.SIGINT, before)
