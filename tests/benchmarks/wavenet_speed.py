"""Samples per second of a WaveNet of the small config's size: the naive loop and ours.

    python tests/benchmarks/wavenet_speed.py [--layers 18] [--channels 32] [--outputs 30]

The naive loop passes the whole receptive field through the network for every sample. Weights are
random, which costs the same. Rows are processor seconds on one thread but for the last one, which
is elapsed time on all.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from time import perf_counter, process_time

import torch

from audiotransfer.evaluation import plain_table
from vocoder.wavenet.network import WaveNet
from vocoder.wavenet.sampling import COLUMNS, sample

HOP, BANDS = 512, 256


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--layers", type=int, default=18)
    parser.add_argument("--channels", type=int, default=32)
    parser.add_argument("--outputs", type=int, default=30)
    args = parser.parse_args()
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    width = args.channels
    network = WaveNet(1, args.outputs, width, width, width, args.layers, 2, local=BANDS).eval()
    local, uniform = torch.randn(1, BANDS, 40), torch.rand(2, 40 * HOP)
    past = torch.randn(1, 1, network.field)
    with torch.no_grad():
        conditions = network.conditions(local, None)
        assert conditions is not None
        given = conditions

        def naively() -> int:
            for _ in range(40):
                network(past, local, None, HOP)
            return 40

        def ours(sounds: int, steps: int, on: int = 1) -> Callable[[], int]:
            def run() -> int:
                sample(network, given, [(0, 0)] * sounds, steps, HOP, uniform, threads=on)
                return sounds * steps

            return run

        ours(1, 10)()  # compiles
        rows = [
            {"loop": name, "samples per second": speed(run, clock)}
            for name, run, clock in (
                ("naive", naively, process_time),
                ("1 sound", ours(1, 4096), process_time),
                (f"{COLUMNS} sounds", ours(COLUMNS, 2048), process_time),
                (
                    f"{COLUMNS * threads} sounds, {threads} threads",
                    ours(COLUMNS * threads, 2048, threads),
                    perf_counter,
                ),
            )
        ]
    first = rows[0]["samples per second"]
    print(
        plain_table(
            [
                {
                    "loop": row["loop"],
                    "samples per second": f"{row['samples per second']:.0f}",
                    "times naive": f"{row['samples per second'] / first:.0f}",
                }
                for row in rows
            ]
        )
    )


def speed(run: Callable[[], int], clock: Callable[[], float]) -> float:
    """Samples of a run per second of a clock."""
    start = clock()
    samples = run()
    return samples / (clock() - start)


if __name__ == "__main__":
    main()
