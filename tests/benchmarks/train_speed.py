"""Benchmark: steps per second of the trainer, and of a plain PyTorch loop of the same networks.

    python tests/benchmarks/train_speed.py                         MelGAN-VC's published shapes
    python tests/benchmarks/train_speed.py --steps 9 --rounds 1 --width 64        a quick look
    python tests/benchmarks/train_speed.py --device cuda --steps 300

Both learn from the same prepared spectrograms (192 bins, windows of 72 frames, batch 16), read by
one worker process from a collection that is written first. The plain loop is what one would write
by
hand: two Adams, the discriminator at every step, generator and siamese network at every third, each
network's gradients switched off where they are not wanted, no log, no checks, no checkpoints. Of
every round the first steps are not counted. Where other work disturbs the clock, go by processor
seconds (of the process that steps). Bars: no slower than the plain loop; the step waits for the
loader for less than 2 % of the time.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from audiotransfer.data.manifest import Feature, Manifest, PreparedSong
from audiotransfer.data.unpaired import PreparedWindows
from audiotransfer.evaluation import plain_table
from audiotransfer.spectral.objectives.melgan_vc import MelGanVc, MelGanVcSettings, SiameseSettings
from audiotransfer.spectral.objectives.registry import NetworkFactory
from audiotransfer.training import Batches, Trainer, TrainerSettings, loading
from audiotransfer.training.devices import launch
from vocoder import SpectrogramSettings
from vocoder.spectrogram import to_unit

BINS, FRAMES, TILES = 192, 72, 3
SONGS, SONG_FRAMES = 24, 2600  # a genre; 30 s each
UNCOUNTED = 3


@dataclass(frozen=True)
class Speed:
    """Steps per second, processor seconds per step, and the share of the time in which the step
    waited for its batch.
    """

    steps: float
    processor: float
    waiting: float


class Watch:
    """Times the steps that count, and the waiting for batches between them."""

    def __init__(self) -> None:
        self.waits: list[float] = []
        self.ends: list[float] = []
        self.used: list[float] = []

    def fetch(self, batches: Iterator[dict[str, Tensor]]) -> Iterator[dict[str, Tensor]]:
        """The batches, each with the time noted that it was waited for."""
        while True:
            asked = time.perf_counter()
            batch = next(batches, None)
            if batch is None:
                return
            self.waits.append(time.perf_counter() - asked)
            yield batch

    def step(self, device: str) -> None:
        """Notes that a step is done."""
        if device != "cpu":
            torch.cuda.synchronize()
        self.ends.append(time.perf_counter())
        self.used.append(time.process_time())

    def speed(self) -> Speed:
        """Over all but the first steps."""
        seconds = self.ends[-1] - self.ends[UNCOUNTED - 1]
        counted = len(self.ends) - UNCOUNTED
        waiting = sum(self.waits[UNCOUNTED : len(self.ends)]) / seconds
        processor = (self.used[-1] - self.used[UNCOUNTED - 1]) / counted
        return Speed(counted / seconds, processor, waiting)


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--steps", type=int, default=27, help="of each round that count")
    parser.add_argument("--rounds", type=int, default=3, help="medians are shown")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument(
        "--width", type=int, default=256, help="channels; the discriminator has twice"
    )
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--threads", type=int, help="of the training process")
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    with tempfile.TemporaryDirectory() as place:
        print(plain_table(measure(args, Path(place))))


def measure(args: argparse.Namespace, folder: Path) -> list[dict[str, Any]]:
    """One row a way of training."""
    batches = collection(folder, args.batch)
    ways: dict[str, Callable[..., Speed]] = {"trainer": by_trainer, "plain PyTorch": by_hand}
    found: dict[str, list[Speed]] = {name: [] for name in ways}
    for number in range(args.rounds):
        for name, way in ways.items():  # one after the other, so that both meet the same load
            found[name].append(way(args, batches, folder / f"{number}"))
    plain = median(found["plain PyTorch"])
    rows = []
    for name, speeds in found.items():
        speed = median(speeds)
        rows.append(
            {
                "way": name,
                "steps/s": f"{speed.steps:.3f}",
                "× plain": f"{speed.steps / plain.steps:.3f}",
                "processor s/step": f"{speed.processor:.4f}",
                "× its processor s": f"{speed.processor / plain.processor:.3f}",
                "waits for the loader": f"{100 * speed.waiting:.2f} %",
            }
        )
    return rows


def median(speeds: list[Speed]) -> Speed:
    """Of each figure by itself."""
    return Speed(
        statistics.median(speed.steps for speed in speeds),
        statistics.median(speed.processor for speed in speeds),
        statistics.median(speed.waiting for speed in speeds),
    )


def collection(folder: Path, batch: int) -> Batches:
    """Two genres of noise as `audiotransfer prepare` would leave them."""
    songs = []
    for number in range(2 * SONGS):
        genre = ("rock", "jazz")[number % 2]
        random = np.random.default_rng(number)
        file = f"{number}.npy"
        np.save(folder / file, random.normal(-4, 2, (SONG_FRAMES, BINS)).astype(np.float16))
        features = {"other": Feature(file, ((0, SONG_FRAMES),))}
        songs.append(PreparedSong(str(number), "train", genre, None, "", 30.0, (), {}, features))
    spectrogram = SpectrogramSettings(bins=BINS).to_dict()
    Manifest(folder, "folders", None, spectrogram, tuple(songs)).save()
    return PreparedWindows(folder, ("rock", "jazz"), FRAMES, batch)


def build(args: argparse.Namespace) -> MelGanVc:
    """The same first weights for everyone."""
    torch.manual_seed(0)
    factory = NetworkFactory(
        BINS,
        FRAMES,
        {"kind": "whole-frequency", "width": args.width, "norm": "batch"},
        {"window": {"kind": "whole-frequency", "width": 2 * args.width}},
    )
    siamese = SiameseSettings(args.width, 128, "batch")
    return MelGanVc.on_spectrograms(factory, MelGanVcSettings(siamese=siamese))


def settings(args: argparse.Namespace) -> TrainerSettings:
    """One worker, as usual; nothing is saved or diagnosed before the end."""
    steps = args.steps + UNCOUNTED
    return TrainerSettings(
        steps=steps, device=args.device, checkpoint_every=10 * steps, diagnose_every=None
    )


def by_trainer(args: argparse.Namespace, batches: Batches, folder: Path) -> Speed:
    """Everything that a training does at each step."""
    watch, fetch = Watch(), loading.fetch
    trainer = Trainer(build(args), batches, settings(args), folder)

    def after_step() -> bool:
        watch.step(args.device)
        return False

    with mock.patch.object(loading, "fetch", lambda *a, **k: watch.fetch(fetch(*a, **k))):
        trainer.run(should_stop=after_step)
    return watch.speed()


def by_hand(args: argparse.Namespace, batches: Batches, folder: Path) -> Speed:
    """The same networks, losses and optimisers in a loop without anything around them."""
    objective, watch, chosen = build(args), Watch(), settings(args)
    networks = {name: net.to(args.device).train() for name, net in objective.networks.items()}
    generator, siamese = networks["generator"], networks["siamese"]
    discriminator = networks["discriminator_window"]
    makers = [*generator.parameters(), *siamese.parameters()]
    slow = torch.optim.Adam(makers, 2e-4, (0.5, 0.99))
    fast = torch.optim.Adam(discriminator.parameters(), 2e-4, (0.5, 0.99))

    def convert(window: Tensor) -> Tensor:
        return torch.cat(generator(torch.cat(window.chunk(TILES, -1))).chunk(TILES), -1)

    def seen(window: Tensor) -> Tensor:
        return to_unit(window)[:, None]

    def journey(window: Tensor) -> Tensor:
        first, _, third = seen(window).chunk(TILES, -1)
        one, three = siamese(torch.cat((first, third))).chunk(2)
        return one - three

    loader = loading.fetch(
        batches, 0, chosen.steps, workers=1, prefetch=chosen.prefetch, fabric=launch(chosen)
    )
    for step, batch in enumerate(watch.fetch(iter(loader))):
        source, target = batch["source"], batch["target"]
        fast.zero_grad()
        with torch.no_grad():
            made = convert(source)
        loss = 0.5 * (
            torch.relu(1 - discriminator(seen(target))).mean()
            + torch.relu(1 + discriminator(seen(made))).mean()
        )
        loss.backward()
        fast.step()
        if step % 3 == 0:
            slow.zero_grad()
            discriminator.requires_grad_(False)
            made = convert(source)
            before, after = journey(source), journey(made)
            travel = functional.mse_loss(before, after)
            travel = travel - functional.cosine_similarity(before, after).mean()
            margin = torch.relu(2 - (before.square().sum(-1) + 1e-4).sqrt()).square().mean()
            identity = functional.l1_loss(seen(convert(target)), seen(target))
            loss = -discriminator(seen(made)).mean() + 10 * (travel + margin) + 0.5 * identity
            loss.backward()
            slow.step()
            discriminator.requires_grad_(True)
        watch.step(args.device)
    return watch.speed()


if __name__ == "__main__":
    main()
