"""Every system on every song, measured: songs by themselves, and all together as a set."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from torch import Tensor

from audiotransfer.audio.resampling import STEREO_RATE
from audiotransfer.benchmark.songs import BenchmarkSong
from audiotransfer.benchmark.systems import NOTHING, RANDOM, System
from audiotransfer.evaluation import (
    GenreClassifier,
    InstrumentClassifier,
    Interval,
    harmonic,
    rescaled,
    share,
    song_figures,
    summary_row,
)
from audiotransfer.evaluation.metrics.set_distances import (
    Embeddings,
    frechet_distance,
    gain,
    kernel_distance,
)
from audiotransfer.evaluation.report.statistics import Row

Figures = dict[str, dict[str, float]]
Show = Callable[[str, float], None]
Heard = Callable[[str, dict[str, Tensor]], None]
"""Is given a song's name and what was heard: ``source``, the output of each system, ``truth``."""

TRUTH, TARGETS = "true rendering", "target songs"
_DISTANCES = {"FAD gain": frechet_distance, "KAD gain": kernel_distance}


@dataclass(frozen=True)
class Benchmark:
    """What was measured: song -> system -> figure; system -> figure of the whole set.

    ``sizes`` says of how many songs and windows the sets are.
    """

    songs: dict[str, Figures]
    sets: dict[str, dict[str, Interval]] = field(default_factory=dict)
    targets: dict[str, dict[str, float]] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)

    def systems(self) -> list[str]:
        """Names in the order of the table."""
        return list(dict.fromkeys(name for song in self.songs.values() for name in song))

    def rows(self) -> list[Row]:
        """One row a system: means with 95 % bootstrap intervals; songs of the target last."""
        rows: list[Row] = [
            summary_row(name, [song[name] for song in self.songs.values() if name in song])
            | self.sets.get(name, {})
            for name in self.systems()
        ]
        if self.targets:
            rows.append(summary_row(TARGETS, list(self.targets.values())))
        return rows

    def song_rows(self, figure: str) -> list[Row]:
        """One row a song: one figure of every system."""
        return [
            {"song": name, **{system: found.get(figure) for system, found in song.items()}}
            for name, song in self.songs.items()
        ]

    def better(self, system: str, other: str, figure: str, *, more: bool = False) -> float:
        """Share of the songs on which ``system`` has less (or more) of a figure than ``other``."""
        pairs = [(song[system][figure], song[other][figure]) for song in self.songs.values()]
        return share([one > two if more else one < two for one, two in pairs])

    def only(self, wanted: Callable[[str], bool]) -> Benchmark:
        """The figures of songs of some names; those of the set belong to all and are left out."""
        return Benchmark({name: song for name, song in self.songs.items() if wanted(name)})


def said(genre: str) -> str:
    """The name of the judge's figure."""
    return f"judge says {genre}"


@dataclass(frozen=True)
class Classifiers:
    """Who listens: a judge of genres, asked about one, and a tagger of instruments if there is."""

    judge: GenreClassifier
    genre: str
    tagger: InstrumentClassifier | None = None

    def verdict(self, sound: Tensor) -> dict[str, float]:
        """The judge's probability of the genre, and whether no other seems likelier to it."""
        found = self.judge.probabilities(sound, STEREO_RATE)
        likeliest = max(found, key=lambda genre: found[genre])
        return {
            said(self.genre): found[self.genre],
            f"heard as {self.genre}": float(likeliest == self.genre),
        }

    def embeddings(self, sound: Tensor) -> dict[str, Embeddings]:
        """What each listener makes of the windows of a sound: [N, D]."""
        listeners = {"judge": self.judge} | ({"tagger": self.tagger} if self.tagger else {})
        return {
            name: listener.embeddings(sound, STEREO_RATE).double().numpy()
            for name, listener in listeners.items()
        }


def measure(
    songs: Sequence[BenchmarkSong],
    systems: Mapping[str, System],
    jury: Classifiers,
    targets: Sequence[Tensor] = (),
    *,
    seconds: float | None = None,
    artefacts: bool = True,
    show: Show | None = None,
    heard: Heard | None = None,
) -> Benchmark:
    """All measures of all systems on the middle ``seconds`` of all songs.

    ``targets`` are songs of the target ``[2, T]``: what the judge says of them is style 1, and
    they are the set that gains are measured toward. Songs with a truth get it as a system of its
    own, and the distance to it.
    """
    show = show or _in_silence
    show(f"listening to {len(targets)} songs of the target", 0.0)
    real = {f"target {n}": jury.verdict(sound) for n, sound in enumerate(targets, start=1)}
    goal = _joined([jury.embeddings(sound) for sound in targets])
    measured: dict[str, Figures] = {}
    sets: dict[str, list[dict[str, Embeddings]]] = {}
    for song in songs:
        source, truth = song.source(seconds), song.true_rendering(seconds)
        outputs: dict[str, Tensor] = {}
        for system, run in systems.items():
            done = len(measured) + len(outputs) / (len(systems) + 1)
            show(f"{song.name}, {system}", done / len(songs))
            outputs[system] = run(source)
        show(f"{song.name}, measures", (len(measured) + 1 - 1 / (len(systems) + 1)) / len(songs))
        if truth is not None:
            source, truth = (part[:, : min(source.shape[-1], truth.shape[-1])]
                             for part in (source, truth))  # fmt: skip
            outputs[TRUTH] = truth
        figures: Figures = {}
        for system, output in outputs.items():
            figures[system] = jury.verdict(output) | song_figures(
                output, source, STEREO_RATE, truth=truth, artefacts=artefacts
            )
            sets.setdefault(system, []).append(jury.embeddings(output))
        _compare(figures, jury.genre, [found[said(jury.genre)] for found in real.values()])
        measured[song.name] = figures
        if heard is not None:
            truths = {} if truth is None else {"truth": truth}
            heard(song.name, {"source": source, **outputs} | truths)
    show("comparing", 1.0)
    sizes = {"songs": len(measured), "target songs": len(targets)}
    for listener, windows in goal.items():
        sizes[f"target windows ({listener})"] = len(windows)
        sizes[f"source windows ({listener})"] = sum(
            len(found[listener]) for found in sets.get(NOTHING, [])
        )
    return Benchmark(measured, _gains(sets, goal), real, sizes)


def _in_silence(_stage: str, _share: float) -> None:
    """Nobody watches."""


def _compare(figures: Figures, genre: str, real: Sequence[float]) -> None:
    """Adds what is relative to other rows: toward the genre or not, style, content and H.

    Style is 0 for doing nothing and 1 for songs of the target, content 0 for a random clip of it
    and 1 for the source. A source that sounds as much like the target as its own songs has no
    style to gain.
    """
    judged = said(genre)
    nothing = figures[NOTHING][judged]
    goal = float(np.mean(real)) if real else float("nan")
    for system, found in figures.items():
        if system != NOTHING:
            found[f"toward {genre}"] = float(found[judged] > nothing)
        if RANDOM in figures:
            found["content"] = rescaled(_content(found), zero=_content(figures[RANDOM]), one=1.0)
        if nothing < goal:
            found["style"] = rescaled(found[judged], zero=nothing, one=goal)
            if "content" in found:
                found["H"] = harmonic(found["style"], found["content"])


def _content(figures: Mapping[str, float]) -> float:
    return 0.5 * (figures["centred chroma"] + figures["onset correlation"])


def _gains(
    sets: Mapping[str, Sequence[dict[str, Embeddings]]], goal: Mapping[str, Embeddings]
) -> dict[str, dict[str, Interval]]:
    """FAD and KAD gain of each system on each embedding.

    Songs of one window or none are left out.
    """
    found: dict[str, dict[str, Interval]] = {}
    for system, songs in sets.items():
        if system == NOTHING:
            continue
        for listener, target in goal.items():
            sounding = [
                (output[listener], source[listener])
                for output, source in zip(songs, sets[NOTHING], strict=True)
                if min(len(output[listener]), len(source[listener])) > 1
            ]
            if len(target) < 2 or not sounding:
                continue
            outputs, sources = zip(*sounding, strict=True)
            for name, distance in _DISTANCES.items():
                found.setdefault(system, {})[f"{name} ({listener})"] = gain(
                    outputs, sources, target, distance
                )
    return found


def _joined(songs: Sequence[dict[str, Embeddings]]) -> dict[str, Embeddings]:
    names = songs[0] if songs else {}
    return {name: np.concatenate([song[name] for song in songs]) for name in names}
