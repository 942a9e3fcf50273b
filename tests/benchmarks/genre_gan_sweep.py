"""Sweep of the CycleGAN of genres over noise and discriminators, beside published figures.

    python tests/benchmarks/genre_gan_sweep.py DATA -o runs/genre-gan-sweep genre_gan.…=value …

Every point is `audiotransfer train genre-gan` (`-partial`, `-full`) with its own σ_D or
`genre_gan.settings.teach`, the same seed and whatever else is given; figures of test pieces that no
training saw, by the classifiers that ship. First σ_D over {0, .01, .1, 1, 3, 5} for the
base model; then, at the σ_D with the highest S on validation pieces, the mixed discriminators
learning only, and teaching the generators as well. What is finished is kept in FOLDER/figures.json
and not run again.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path

import torch

from audiotransfer import recipes
from audiotransfer.evaluation import markdown_table
from audiotransfer.evaluation.classifiers.midi_genre import (
    MidiGenreClassifier,
    shipped_midi_classifiers,
)
from audiotransfer.evaluation.metrics.midi_transfer import pair_figures
from audiotransfer.recipes import load_training
from audiotransfer.recipes.midi_styles import some, transfer_by
from audiotransfer.symbolic.genre.data import genre_phrases
from audiotransfer.symbolic.genre.transfer import load_generator

PAIR = ("jazz", "classical")
NOISES = ("0", "0.01", "0.1", "1", "3", "5")
#: Share of phrases predicted as their source genre, per cent: real, converted and back for each way
#: (jazz to classical, then back), 20 epochs, from the public code's README.
PUBLISHED = {
    "0": ((88.09, 31.38, 84.71), (92.53, 48.80, 89.24)),
    "0.01": ((88.09, 5.82, 99.82), (92.53, 56.26, 89.87)),
    "0.1": ((88.09, 29.16, 84.36), (92.53, 31.20, 89.33)),
    "1": ((88.09, 20.62, 88.18), (92.53, 20.71, 92.53)),
    "3": ((88.09, 12.18, 87.91), (92.53, 61.78, 90.67)),
    "5": ((88.09, 19.47, 34.13), (92.53, 90.67, 90.67)),
}
PUBLISHED_BEST = {
    "base": PUBLISHED["1"],
    "partial": ((88.09, 9.87, 87.73), (92.53, 25.87, 89.51)),
    "full": ((88.09, 20.00, 85.16), (92.53, 20.09, 90.49)),
}
PUBLISHED_AT = {"base": "1", "partial": "0", "full": "0.01"}

Figures = dict[str, float]


def main() -> None:
    """Trains, measures and prints both tables."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", help="folder of the MIDI archives")
    parser.add_argument("settings", nargs="*", help="key=value for every training")
    parser.add_argument("-o", "--output", type=Path, default=Path("runs/genre-gan-sweep"))
    parser.add_argument("--phrases", type=int, default=150, help="of each genre and part")
    args = parser.parse_intermixed_args()
    torch.set_num_threads(1)
    sweep = Sweep(args.output, [f"genre_gan.data={args.data}", *args.settings], args.phrases)
    noises = {noise: sweep.point("base", noise) for noise in NOISES}
    best = max(noises, key=lambda noise: noises[noise]["validation S paper"])
    variants = {("base", "–"): noises[best]}
    for model in ("partial", "full"):
        for teach in ("no", "yes"):
            variants[model, teach] = sweep.point(model, best, teach)
    print(noise_table(noises))
    print(f"\nAt σ_D {best}, the best on validation pieces:\n")
    print(variant_table(variants))


class Sweep:
    """Trains and measures points of the sweep that are not there yet."""

    def __init__(self, folder: Path, settings: list[str], phrases: int) -> None:
        self.folder, self.settings, self.phrases = folder, settings, phrases
        self.file = folder / "figures.json"
        self.found: dict[str, Figures] = {}
        if self.file.is_file():
            self.found = json.loads(self.file.read_text())

    def point(self, model: str, noise: str, teach: str | None = None) -> Figures:
        """The figures of one training: "validation S paper", and all of test pieces."""
        name = f"{model}-{noise}" + (f"-teach-{teach}" if teach else "")
        if name not in self.found:
            config = "genre-gan" if model == "base" else f"genre-gan-{model}"
            changes = [f"genre_gan.settings.noise={noise}", *self.settings]
            if teach:
                changes.append(f"genre_gan.settings.teach={str(teach == 'yes').lower()}")
            recipes.train(config, changes, self.folder / name)
            self.found[name] = self._measure(config, changes, self.folder / name)
            self.file.write_text(json.dumps(self.found, indent=1) + "\n")
        return self.found[name]

    def _measure(self, config: str, changes: list[str], run: Path) -> Figures:
        recipe = load_training(config, changes).recipe
        assert recipe is not None
        parts = genre_phrases(recipe.archives, recipe.data, run / "phrases")
        classifiers = {
            name.removeprefix("scores-"): MidiGenreClassifier.load(place)
            for name, place in shipped_midi_classifiers().items()
        }
        made = {genre: load_generator(run / genre / "pitched.safetensors").eval() for genre in PAIR}
        measured = {}
        for part in ("validation", "test"):
            phrases = {genre: some(parts[part][genre], self.phrases) for genre in PAIR}
            measured[part] = pair_figures(transfer_by(made, {}), phrases, PAIR, classifiers)
        return measured["test"] | {"validation S paper": measured["validation"]["S paper"]}


def strengths(rates: tuple[tuple[float, float, float], ...]) -> tuple[float, float, float]:
    """S of both ways and S_tot, from shares of phrases predicted as their source genre."""
    one, other = (((real - made) + (back - made)) / 2 for real, made, back in rates)
    return one, other, (one + other) / 2


def noise_table(noises: Mapping[str, Figures]) -> str:
    """A column for each σ_D."""
    rows: list[dict[str, object]] = []
    ways = ("S jazz → classical", "S classical → jazz", "S_tot")
    published = {noise: strengths(rates) for noise, rates in PUBLISHED.items()}
    for place, way in enumerate(ways):
        told = {noise: f"{found[place]:.1f}" for noise, found in published.items()}
        rows.append({"": f"{way}, published", **told})
    for words, show in COLUMNS.items():
        rows.append({"": words, **{noise: show(found) for noise, found in noises.items()}})
    return markdown_table(rows)


def variant_table(variants: Mapping[tuple[str, str], Figures]) -> str:
    """A row for each set of discriminators."""
    rows: list[dict[str, object]] = []
    for model, rates in PUBLISHED_BEST.items():
        *_, total = strengths(rates)
        name = f"{model}, published at σ_D {PUBLISHED_AT[model]}"
        rows.append({"discriminators": name, "teach": "no", "S_tot, paper's": f"{total:.1f}"})
    for (model, teach), found in variants.items():
        measured = {words: show(found) for words, show in COLUMNS.items()}
        rows.append({"discriminators": model, "teach": teach, **measured})
    return markdown_table(rows, ["discriminators", "teach", *COLUMNS])


def _percent(name: str, found: Figures) -> str:
    return f"{100 * found[name]:.1f}"


def _ways(name: str, found: Figures) -> str:
    one, other = (found[f"{way} {name}"] for way in ("jazz>classical", "classical>jazz"))
    return f"{found[name]:.2f} ({one:.2f}, {other:.2f})"


COLUMNS = {
    "S jazz → classical, paper's": lambda f: _percent("jazz>classical S paper", f),
    "S classical → jazz, paper's": lambda f: _percent("classical>jazz S paper", f),
    "S_tot, paper's": lambda f: _percent("S paper", f),
    "S_tot, counting": lambda f: _percent("S independent", f),
    "notes out / in": lambda f: _ways("density ratio", f),
    "centred content": lambda f: _ways("centred content", f),
}


if __name__ == "__main__":
    main()
