"""Benchmark: steps per second of the paper's CycleGAN of genres, and of a plain loop.

    python tests/benchmarks/genre_gan_speed.py                     published size, batch 16
    python tests/benchmarks/genre_gan_speed.py --width 8 --blocks 2 --steps 8        a quick look
    python tests/benchmarks/genre_gan_speed.py --device cuda --steps 100

Both learn from the same random phrases with the same first weights: base model, σ_D 1. The plain
loop is what one would write by hand: two Adams, no pool, no log, no checks, no checkpoints. The
first step of each round is not counted. Where other work disturbs the clock, go by processor
seconds (of the process that steps). Bar: no slower than the plain loop.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from audiotransfer.evaluation import plain_table
from audiotransfer.midi.piano_rolls import PHRASE, PITCHES
from audiotransfer.recipes.genre_gan import GenreGanRecipe, build
from audiotransfer.symbolic.genre.cycle_gan import GenreGan, GenreGanSettings
from audiotransfer.training import Trainer, TrainerSettings

PAIR = ("jazz", "classical")


@dataclass
class Phrases:
    """As many notes as music has, at random."""

    size: int

    def batch(self, step: int) -> dict[str, Tensor]:
        random = torch.Generator().manual_seed(step)
        shape = (self.size, 2, PHRASE, PITCHES)
        return {g: (torch.rand(shape, generator=random) < 0.045).float() for g in PAIR}


@dataclass
class Clock:
    """When each step was done, by the wall and by the processor."""

    wall: list[float] = field(default_factory=list)
    processor: list[float] = field(default_factory=list)

    def tick(self, device: str) -> None:
        """Note that a step is done."""
        if device == "cuda":
            torch.cuda.synchronize()
        self.wall.append(time.perf_counter())
        self.processor.append(time.process_time())

    def seconds(self) -> tuple[float, float]:
        """A step's, over all but the first one."""
        count = len(self.wall) - 1
        return (
            (self.wall[-1] - self.wall[0]) / count,
            (self.processor[-1] - self.processor[0]) / count,
        )


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--steps", type=int, default=2, help="of each round that count")
    parser.add_argument("--rounds", type=int, default=3, help="medians are shown")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--blocks", type=int, default=10)
    parser.add_argument("--precision", default="32-true", choices=("32-true", "bf16-mixed"))
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--threads", type=int, help="of the process")
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    with tempfile.TemporaryDirectory() as place:
        print(plain_table(measure(args, Path(place))))


def measure(args: argparse.Namespace, folder: Path) -> list[dict[str, Any]]:
    """One row a way of training."""
    ways: dict[str, Callable[..., Clock]] = {"trainer": by_trainer, "plain PyTorch": by_hand}
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    for number in range(args.rounds):
        for name, way in ways.items():  # one after the other, so that both meet the same load
            found[name].append(way(args, folder / f"{number}").seconds())
    middle = {
        name: [statistics.median(values) for values in zip(*rounds, strict=True)]
        for name, rounds in found.items()
    }
    wall, processor = middle["plain PyTorch"]
    return [
        {
            "way": name,
            "steps/s": f"{1 / seconds:.4f}",
            "× plain": f"{wall / seconds:.3f}",
            "processor s/step": f"{used:.3f}",
            "× its processor s": f"{used / processor:.3f}",
        }
        for name, (seconds, used) in middle.items()
    ]


def objective(args: argparse.Namespace) -> GenreGan:
    """The same first weights for everyone."""
    torch.manual_seed(0)
    recipe = GenreGanRecipe(
        pair=list(PAIR),
        width=args.width,
        blocks=args.blocks,
        discriminator_width=args.width,
        settings=GenreGanSettings(pool=0),
    )
    return build(recipe)


def by_trainer(args: argparse.Namespace, folder: Path) -> Clock:
    """Everything that a training does at each step."""
    clock, steps = Clock(), args.steps + 1
    settings = TrainerSettings(
        steps=steps,
        workers=0,
        device=args.device,
        precision=args.precision,
        checkpoint_every=10 * steps,
        diagnose_every=None,
    )
    trainer = Trainer(objective(args), Phrases(args.batch), settings, folder)

    def after_step() -> bool:
        clock.tick(args.device)
        return False

    trainer.run(should_stop=after_step)
    return clock


def by_hand(args: argparse.Namespace, folder: Path) -> Clock:
    """The same networks, losses and optimisers in a loop without anything around them."""
    networks = {
        name: network.to(args.device)
        for name, network in objective(args).networks.items()
        if not name.startswith(("pool", "discriminator_mixed"))
    }
    to_a, to_b, discriminator_a, discriminator_b = networks.values()
    makers = torch.optim.Adam([*to_a.parameters(), *to_b.parameters()], 2e-4, (0.5, 0.999))
    discriminator_optimiser = torch.optim.Adam(
        [*discriminator_a.parameters(), *discriminator_b.parameters()], 2e-4, (0.5, 0.999)
    )
    clock, phrases = Clock(), Phrases(args.batch)
    for step in range(args.steps + 1):
        a, b = (rolls[:, 1:].to(args.device) for rolls in phrases.batch(step).values())
        noise = torch.randn(a.shape).abs().to(args.device)
        discriminators = [*discriminator_a.parameters(), *discriminator_b.parameters()]
        for parameter in discriminators:
            parameter.requires_grad_(False)
        with torch.autocast(args.device, torch.bfloat16, enabled=args.precision != "32-true"):
            fake_a, fake_b = to_a(b).float().sigmoid(), to_b(a).float().sigmoid()
            again_a, again_b = to_a(fake_b).float().sigmoid(), to_b(fake_a).float().sigmoid()
            loss = 10 * ((again_a - a).abs().mean() + (again_b - b).abs().mean())
            for discriminator, fake in ((discriminator_a, fake_a), (discriminator_b, fake_b)):
                loss = loss + (discriminator(fake + noise).float() - 1).square().mean()
        makers.zero_grad()
        loss.backward()
        makers.step()
        for parameter in discriminators:
            parameter.requires_grad_(True)
        with torch.autocast(args.device, torch.bfloat16, enabled=args.precision != "32-true"):
            loss = torch.zeros((), device=args.device)
            for discriminator, real, fake in (
                (discriminator_a, a, fake_a),
                (discriminator_b, b, fake_b),
            ):
                loss = loss + 0.5 * (discriminator(real + noise).float() - 1).square().mean()
                loss = loss + 0.5 * discriminator(fake.detach() + noise).float().square().mean()
        discriminator_optimiser.zero_grad()
        loss.backward()
        discriminator_optimiser.step()
        clock.tick(args.device)
    return clock


if __name__ == "__main__":
    main()
