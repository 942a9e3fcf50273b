"""Tables of drum networks' metrics on the official test split of the Groove MIDI Dataset.

    python tests/benchmarks/drum_figures.py data/midi/groove.zip [FOLDER ...] [--samples 500]

Without a folder: the network that ships. For each network and length of windows: reconstruction of
unseen beats (%, beside the nearest training beat and published figures), F1 of each drum, error of
velocity and timing at the true hits, distance of sampled beats to training beats, and a style
classifier's figures. For networks that know styles also: figures of samples of eight bars by style
(bars alike, backbeats, fills, and whether the style outweighs the seed), of the prior alone and of
`compose`, beside the performances; and velocities of humanised snares.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch

from audiotransfer.evaluation import plain_table
from audiotransfer.evaluation.metrics.drums import (
    DrumStyleClassifier,
    exact,
    expression,
    humanised_snares,
    nearest_of,
    novelty,
    pattern_figures,
    reconstruction,
    style_figures,
)
from audiotransfer.styles.card import read_card
from audiotransfer.symbolic.drums.beats import BAR
from audiotransfer.symbolic.drums.data import Groove, Windows, read_grooves, windows_of
from audiotransfer.symbolic.drums.drummer import SHIPPED, Drummer, Network, load_drums
from audiotransfer.symbolic.drums.network import DrumVae
from audiotransfer.symbolic.drums.patterns import compose

Row = dict[str, object]

_STYLES = ("jazz", "rock", "latin", "funk")
_PUBLISHED = (
    # Recalled from Roberts et al. 2018, table 1, and from a public retraining's figure: other data.
    {"system": "MusicVAE, 2 bars, published", "sampled": 91.7, "teacher-forced": 97.9},
    {"system": "MusicVAE, 16 bars, published", "sampled": 54.9, "teacher-forced": 88.4},
    {"system": "the same with a conductor", "sampled": 87.9, "teacher-forced": 92.8},
    {"system": "a public retraining, 4 bars", "teacher-forced": 40.1},
)


def lengths(network: Network) -> tuple[int, ...]:
    """Which bars a network is asked for."""
    return (2, 4) if isinstance(network, DrumVae) else (network.bars,)


def made_up(network: Network, windows: Windows, count: int) -> dict[str, np.ndarray]:
    """Beats [count, S, 9] from the prior, in the styles of windows drawn at random."""
    generator = torch.Generator().manual_seed(0)
    bars = windows.hits.shape[1] // BAR
    drawn = np.random.default_rng(0).integers(len(windows), size=count)
    styles = torch.from_numpy(windows.styles[drawn])
    found = {}
    with torch.no_grad():
        for temperature in (1.0, 0.7):
            if isinstance(network, DrumVae):
                points = network.imagine(bars, styles, temperature, generator)
            else:
                shape = (count, 1, network.sizes["latent"])
                points = temperature * torch.randn(shape, generator=generator)
            hits = network.draw(network.conducted(points), temperature, generator)
            found[f"samples at {temperature:g}"] = hits.numpy() > 0
    return found


def style_rows(
    network: DrumVae, name: str, train: Windows, test: Windows, count: int
) -> list[dict[str, object]]:
    """Style classifier's figures for each of `_STYLES`: played, sampled and transferred beats."""
    classifier = DrumStyleClassifier(train, network.styles)
    drummer = Drummer(network)
    bars = test.hits.shape[1] // BAR
    accuracy = classifier.accuracy(test)
    rows: list[dict[str, object]] = [
        {"system": f"{name}: style classifier, accuracy", "after": accuracy}
    ]
    for style in _STYLES:
        index = drummer.style(style)
        generator = torch.Generator().manual_seed(0)
        beats = [drummer.imagine(bars, style, 1.0, generator).hits for _ in range(count // 5)]
        played = test.hits[test.styles == index]
        for kind, hits in (("played", played), ("samples", np.stack(beats))):
            share = float(classifier.probabilities(hits)[:, index].mean())
            rows.append({"system": f"{name}: {style}, {kind}", "after": share})
        figures = style_figures(drummer, classifier, test.some(count // 5), style)
        rows.append({"system": f"{name}: others to {style}", **figures})
    return rows


def pattern_rows(drummer: Drummer, grooves: Sequence[Groove], count: int) -> list[Row]:
    """Figures of patterns of eight bars: performances, the prior's and composed ones."""
    ways = {"prior": drummer.imagine, "composed": partial(compose, drummer)}
    played = {
        style: [g.beat.hits for g in grooves if g.style == style and len(g.beat) >= 8 * BAR]
        for style in drummer.styles
    }
    beats = {"performances": {style: hits for style, hits in played.items() if len(hits) > 1}}
    for name, way in ways.items():
        beats[name] = {
            style: [
                way(8, style, 1.0, torch.Generator().manual_seed(seed)).hits
                for seed in range(count)
            ]
            for style in drummer.styles
        }
    return [
        {"system": f"{name}: {style}", **figures}
        for name, by_style in beats.items()
        for style, figures in pattern_figures(by_style).items()
    ]


def main() -> int:
    """Prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("grooves", type=Path)
    parser.add_argument("folders", nargs="*", type=Path, default=[SHIPPED])
    parser.add_argument("--samples", type=int, default=500)
    parser.add_argument("--patterns", type=int, default=20, help="of each style")
    parser.add_argument("--only-patterns", action="store_true")
    args = parser.parse_args()
    grooves = {split: read_grooves(args.grooves, split) for split in ("train", "test")}
    back: list[dict[str, object]] = []
    drums: list[dict[str, object]] = []
    touch: list[dict[str, object]] = []
    made: list[dict[str, object]] = []
    of_styles: list[dict[str, object]] = []
    patterns: list[Row] = []
    snare_rows: list[Row] = []
    for folder in args.folders:
        network = load_drums(next(folder.glob("*.safetensors")))
        if isinstance(network, DrumVae):
            drummer = Drummer(network)
            patterns += pattern_rows(drummer, grooves["train"], args.patterns)
            snares = humanised_snares(drummer, grooves["test"])
            snare_rows.append({"system": folder.name, **snares})
        if args.only_patterns:
            continue
        for bars in lengths(network):
            styles = tuple(read_card(folder).networks["drums"].get("styles", ()))
            train, test = (windows_of(grooves[split], bars, styles) for split in grooves)
            name = f"{folder.name}, {bars} bars"
            figures = reconstruction(network, test)
            scores = {k.removeprefix("F1 "): v for k, v in figures.items() if k.startswith("F1 ")}
            shown = {k: v for k, v in figures.items() if not k.startswith("F1 ")}
            shown |= {k: 100 * v for k, v in shown.items() if k not in ("bits", "active units")}
            back.append({"system": name, "windows": len(test), **shown})
            drums.append({"system": name, **scores})
            if isinstance(network, DrumVae):
                given, blind = (expression(network, test, given=known) for known in (True, False))
                touch.append({"system": name, **given})
                touch.append({"system": f"{name}, given hits only", **blind})
            beats = {"held-out beats": test.hits, **made_up(network, test, args.samples)}
            made += [{"system": f"{name}: {k}", **novelty(v, train.hits)} for k, v in beats.items()]
            copied = torch.from_numpy(train.hits[nearest_of(test.hits, train.hits)])
            share = 100 * exact(copied, torch.from_numpy(test.hits))
            back.append({"system": f"nearest training beat, {bars} bars", "sampled": share})
            if isinstance(network, DrumVae):
                of_styles += style_rows(network, name, train, test, args.samples)
            print(f"{name} is measured", file=sys.stderr)
    back += _PUBLISHED if back else ()
    for rows in (back, drums, touch, made, of_styles, patterns, snare_rows):
        if rows:
            print(plain_table(rows), end="\n\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
