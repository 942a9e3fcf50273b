"""Training on two processes that share each batch equals training on one."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Generator, Tensor, nn

from audiotransfer.training import Group, Preview, Trainer, TrainerSettings, Turn
from audiotransfer.training.checkpoints import load

SETTINGS = TrainerSettings(
    steps=8,
    workers=0,
    clip_norm=0.5,
    ema_decay=0.9,
    ema=("maker",),
    log_every=4,
    checkpoint_every=3,
    validate_every=4,
)


class Maker(nn.Module):
    """Has a part that only examples of the rare kind reach."""

    def __init__(self) -> None:
        super().__init__()
        self.always = nn.Sequential(nn.Conv2d(1, 3, 3), nn.GELU(), nn.Conv2d(3, 1, 1))
        self.rarely = nn.Conv2d(1, 1, 3)

    def forward(self, x: Tensor, rare: Tensor) -> Tensor:
        made: Tensor = self.always(x)
        if bool(rare.any()):
            made = made + rare[:, None, None, None] * self.rarely(x)
        return made


class Networks:
    """Several networks and turns; with noise and dropout no two processes are alike."""

    def __init__(self, noise: float = 0.0) -> None:
        torch.manual_seed(0)
        self.noise = noise
        self.networks: dict[str, nn.Module] = {
            "maker": Maker(),
            "discriminator": nn.utils.parametrizations.spectral_norm(nn.Conv2d(1, 2, 3)),
        }
        self.groups = {
            "discriminator": Group(("discriminator",), 1e-2, (0.0, 0.9), weight_decay=0.1),
            "maker": Group(("maker",), 1e-2),
        }

    def turns(self, batch: dict[str, Tensor], step: int, generator: Generator) -> Iterator[Turn]:
        maker, discriminator = self.networks["maker"], self.networks["discriminator"]
        x, rare = batch["x"], batch["rare"]
        x = x + self.noise * torch.randn(x.shape, generator=generator)
        x = nn.functional.dropout(x, self.noise)
        made = maker(x, rare)
        yield Turn("discriminator", {"far": (1 - discriminator(made.detach())).relu().mean()})
        yield Turn(
            "maker", {"fool": -discriminator(made).mean(), "near": made.abs().mean()}, {"near": 2.0}
        )

    def preview(self, batch: dict[str, Tensor], generator: Generator) -> Preview:
        return Preview()


class Examples:
    """Four a step: the first is rare at even steps, and at step 2 the last one is damaged."""

    def batch(self, step: int) -> dict[str, Tensor]:
        x = torch.randn(4, 1, 6, 6, generator=Generator().manual_seed(step))
        if step == 2:
            x[3, 0, 0, 0] = math.nan
        return {"x": x, "rare": torch.tensor([step % 2 == 0, False, False, False]).float()}


def train(folder: Path, noise: float = 0.0, stopper: int | None = None) -> Trainer:
    """With `stopper`, that process alone asks for an end after three steps."""

    def stop() -> bool:
        return trainer.fabric.global_rank == stopper and trainer.step == 3

    def validation(_: object) -> dict[str, float]:
        return {"score": 5.0 + trainer.fabric.global_rank}  # the first one's is everyone's

    trainer = Trainer(Networks(noise), Examples(), SETTINGS, folder, validation)
    trainer.run(should_stop=stop)
    return trainer


def in_each_process(folder: Path) -> None:
    train(folder / "two")
    train(folder / "noisy", noise=0.5)
    train(folder / "parts", noise=0.5, stopper=1)
    trainer = train(folder / "parts", noise=0.5)
    assert trainer.fabric.world_size == 2 and trainer.step == SETTINGS.steps
    digest = {n: net.state_dict() for n, net in trainer.networks.items()}
    torch.save(digest, folder / f"rank{trainer.fabric.global_rank}.pt")


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("together")
    code = f"import test_training_processes as t; t.in_each_process(t.Path({str(folder)!r}))"
    script = folder / "script.py"
    script.write_text(code)
    paths = [str(Path(__file__).parent), str(Path(__file__).parent.parent)]
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    done = subprocess.run(
        [sys.executable, *launcher, str(script)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


def test_two_processes_reach_the_weights_of_one(together: Path, tmp_path: Path) -> None:
    alone = train(tmp_path / "one")
    one, two = load(tmp_path / "one" / "checkpoint"), load(together / "two" / "checkpoint")
    assert one is not None and two is not None
    prefixes = ("networks", "averages", "optimisers")
    compared = [key for key in one[0] if key.startswith(prefixes)]
    assert len(compared) > 30 and {*compared} == {k for k in two[0] if k.startswith(prefixes)}
    for key in compared:
        torch.testing.assert_close(two[0][key], one[0][key], rtol=1e-4, atol=1e-5, msg=key)
    for name, value in one[1]["figures"].items():
        assert two[1]["figures"][name] == pytest.approx(value, rel=1e-4, abs=1e-5), name
    assert two[1]["best"] == 5.0
    # The step with a damaged example in one process's share failed for both.
    assert two[1]["failed"] == one[1]["failed"] == 1
    # Nothing reached it at odd steps, so even Adam's momentum let it be.
    slots = {key: value for key, value in two[0].items() if key.endswith("step")}
    assert sorted({float(value) for value in slots.values()}) == [3.0, 7.0]
    moved = alone.networks["maker"].state_dict()["rarely.weight"]
    assert not torch.equal(moved, Networks().networks["maker"].state_dict()["rarely.weight"])


def test_one_of_them_writes(together: Path) -> None:
    lines = [json.loads(line) for line in (together / "two" / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [4, 4, 8, 8]
    assert len(list((together / "two").glob("events*"))) == 1


def test_resumed_together_they_equal_the_uninterrupted_run_to_the_bit(together: Path) -> None:
    whole, parts = load(together / "noisy" / "checkpoint"), load(together / "parts" / "checkpoint")
    assert whole is not None and parts is not None
    assert whole[0].keys() == parts[0].keys()
    for key, value in whole[0].items():
        assert torch.equal(value, parts[0][key]), key
    own = [whole[0][f"generators/own{rank}"] for rank in ("", ".1")]
    assert not torch.equal(*own)  # each draws its own noise
    ends = [torch.load(together / f"rank{rank}.pt", weights_only=True) for rank in (0, 1)]
    for name, state in ends[0].items():
        for key, value in state.items():
            assert torch.equal(value, ends[1][name][key]), key


def test_one_process_goes_on_with_what_two_began(together: Path) -> None:
    found = load(together / "parts" / "checkpoint")
    assert found is not None
    trainer = train(together / "parts", noise=0.5)
    assert trainer.step == found[1]["step"]
    for name, network in trainer.networks.items():
        for key, value in network.state_dict().items():
            assert torch.equal(value, found[0][f"networks/{name}/{key}"])
