"""Runs every system on every song and computes the metrics, of songs and of whole sets."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from torch import Tensor

from audiotransfer.audio.resampling import STEREO_RATE
from audiotransfer.benchmark.songs import BenchmarkSong
from audiotransfer.benchmark.systems import (
    EQUALISER,
    NOTHING,
    RANDOM,
    ROUND_TRIP,
    System,
    transcribed,
)
from audiotransfer.evaluation import (
    AudioClassifier,
    GenreClassifier,
    InstrumentClassifier,
    Interval,
    artefact_check,
    harmonic,
    rescaled,
    share,
    song_figures,
    summary_row,
)
from audiotransfer.evaluation.metrics.cover_content import (
    content_figures,
    content_of,
    melody_figures,
    retrieval_figures,
)
from audiotransfer.evaluation.metrics.identification import Fingerprint
from audiotransfer.evaluation.metrics.set_distances import (
    Embeddings,
    frechet_distance,
    gain,
    kernel_distance,
)
from audiotransfer.evaluation.report.statistics import Row
from audiotransfer.timing import Steps

Figures = dict[str, dict[str, float]]
Show = Callable[[str, float], None]
OnSong = Callable[[str, dict[str, Tensor]], None]
"""Called after each song: (its name, its sounds [2, T]: ``source``, each system's, ``truth``)."""

TRUTH, TARGETS = "true rendering", "target songs"
ARTEFACTS = "artefacts"
# Kinds of steps of the work on a song, and their seconds, roughly, of 30 s of it.
_SOURCE, _METRICS = "source", "metrics of "
_WHOLE_JOB, _MEASURING = 9.0, 8.0
_QUICK = {NOTHING: 0.01, EQUALISER: 0.5, ROUND_TRIP: 6.0, RANDOM: 0.05}
_DISTANCES = {"FAD gain": frechet_distance, "KAD gain": kernel_distance}


@dataclass(frozen=True)
class Benchmark:
    """Results of a benchmark.

    Attributes:
        songs: song -> system -> figure -> value.
        sets: system -> figure -> improvement of the whole set.
        targets: song of the target -> figure -> value.
        sizes: numbers of songs and windows in the sets.
    """

    songs: dict[str, Figures]
    sets: dict[str, dict[str, Interval]] = field(default_factory=dict)
    targets: dict[str, dict[str, float]] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)

    def systems(self) -> list[str]:
        """Names of the systems, in the table's order."""
        return list(dict.fromkeys(name for song in self.songs.values() for name in song))

    def rows(self) -> list[Row]:
        """A row for each system: means with 95 % bootstrap intervals; songs of the target last."""
        rows: list[Row] = [
            summary_row(name, [song[name] for song in self.songs.values() if name in song])
            | self.sets.get(name, {})
            for name in self.systems()
        ]
        if self.targets:
            rows.append(summary_row(TARGETS, list(self.targets.values())))
        return rows

    def song_rows(self, figure: str) -> list[Row]:
        """A row for each song: one figure for every system."""
        return [
            {"song": name, **{system: found.get(figure) for system, found in song.items()}}
            for name, song in self.songs.items()
        ]

    def better(self, system: str, other: str, figure: str, *, more: bool = False) -> float:
        """Share of songs on which a figure is less (``more``: greater) than that of ``other``."""
        pairs = [(song[system][figure], song[other][figure]) for song in self.songs.values()]
        return share([one > two if more else one < two for one, two in pairs])

    def only(self, wanted: Callable[[str], bool]) -> Benchmark:
        """The figures of songs by name, without those of the set, which are of all songs."""
        return Benchmark({name: song for name, song in self.songs.items() if wanted(name)})


def probability_figure(genre: str) -> str:
    """Name of the figure that holds the genre classifier's probability of a genre."""
    return f"probability of {genre}"


@dataclass(frozen=True)
class Classifiers:
    """The genre classifier and the genre that its figures are about; the instrument classifier.

    ``genre`` is empty where the classifier does not know it: there are no figures of it then.
    """

    genres: GenreClassifier
    genre: str
    instruments: InstrumentClassifier | None = None

    def figures(self, sound: Tensor) -> dict[str, float]:
        """Probability of the genre for a sound [C, T], and whether it is the likeliest (0 or 1)."""
        if not self.genre:
            return {}
        shares = self.genres.probabilities(sound, STEREO_RATE)
        likeliest = max(shares, key=lambda genre: shares[genre])
        return {
            probability_figure(self.genre): shares[self.genre],
            f"classified as {self.genre}": float(likeliest == self.genre),
        }

    def embeddings(self, sound: Tensor) -> dict[str, Embeddings]:
        """The windows of a sound [C, T] in each classifier's embedding: [N, D]."""
        classifiers: dict[str, AudioClassifier] = {"genres": self.genres}
        if self.instruments is not None:
            classifiers["instruments"] = self.instruments
        return {
            name: classifier.embeddings(sound, STEREO_RATE).double().numpy()
            for name, classifier in classifiers.items()
        }


def measure(
    songs: Sequence[BenchmarkSong],
    systems: Mapping[str, System],
    classifiers: Classifiers,
    targets: Sequence[Tensor] = (),
    *,
    seconds: float | None = None,
    artefacts: bool = True,
    show: Show | None = None,
    on_song: OnSong | None = None,
) -> Benchmark:
    """All metrics of all systems on the middle ``seconds`` of all songs.

    ``targets`` are songs of the target [2, T]: their mean probability of the genre is style 1, and
    set distances are to them. A song's true rendering counts as a system of its own, and other
    systems' distances to it are measured.
    """
    show = show or _no_progress
    if targets:
        show(f"classifying {len(targets)} songs of the target", 0.0)
    real = {f"target {n}": classifiers.figures(sound) for n, sound in enumerate(targets, start=1)}
    probability = probability_figure(classifiers.genre)
    target_windows = _joined([classifiers.embeddings(sound) for sound in targets])
    measured: dict[str, Figures] = {}
    sets: dict[str, list[dict[str, Embeddings]]] = {}
    fingerprints: dict[str, list[Fingerprint]] = {}
    steps = Steps(_guesses(systems), len(songs))
    done = 0.0
    for number, song in enumerate(songs, start=1):
        title = f"song {number} of {len(songs)}"
        steps.start()
        source, truth = song.source(seconds), song.true_rendering(seconds)
        outputs: dict[str, Tensor] = {}
        for system, run in systems.items():
            show(f"{title}, {system}", done)
            outputs[system] = run(source)
            done = steps.done(system)
        show(f"{title}, its melody and artefacts", done)
        if truth is not None:
            source, truth = (part[:, : min(source.shape[-1], truth.shape[-1])]
                             for part in (source, truth))  # fmt: skip
            outputs[TRUTH] = truth
        figures: Figures = {}
        content = content_of(source, STEREO_RATE)
        sheet = transcribed(source)
        consistency = artefact_check(source, STEREO_RATE) if artefacts else 0.0
        done = steps.done(_SOURCE)
        for system, output in outputs.items():
            show(f"{title}, measuring {system}", done)
            found = content_of(output, STEREO_RATE)
            figures[system] = (
                classifiers.figures(output)
                | song_figures(output, source, STEREO_RATE, truth=truth)
                | content_figures(found, content)
                | melody_figures(found, sheet)
            )
            if consistency > 0:
                figures[system][ARTEFACTS] = (
                    1.0 if output is source else artefact_check(output, STEREO_RATE) / consistency
                )
            fingerprints.setdefault(system, []).append(found.fingerprint)
            sets.setdefault(system, []).append(classifiers.embeddings(output))
            if system != TRUTH:
                done = steps.done(f"{_METRICS}{system}")
        if classifiers.genre:
            known = [found[probability] for found in real.values()]
            _add_relative(figures, classifiers.genre, known)
        measured[song.name] = figures
        if on_song is not None:
            truths = {} if truth is None else {"truth": truth}
            on_song(song.name, {"source": source, **outputs} | truths)
    show("comparing", 1.0)
    _add_retrieval(measured, fingerprints)
    sizes = {"songs": len(measured), "target songs": len(targets)}
    for embedding, windows in target_windows.items():
        sizes[f"target windows ({embedding})"] = len(windows)
        sizes[f"source windows ({embedding})"] = sum(
            len(found[embedding]) for found in sets.get(NOTHING, [])
        )
    return Benchmark(measured, _gains(sets, target_windows), real, sizes)


def _guesses(systems: Mapping[str, System]) -> dict[str, float]:
    """Seconds of each kind of step on a song of 30 s, roughly, on one core."""
    running = {name: _QUICK.get(name, _WHOLE_JOB) for name in systems}
    metrics = {f"{_METRICS}{name}": 0.0 if name == NOTHING else _MEASURING for name in systems}
    return {**running, _SOURCE: 2 * _MEASURING, **metrics}


def seconds_a_song(systems: Mapping[str, System]) -> float:
    """Seconds that a song of 30 s takes, roughly, on one core of 2024."""
    return sum(_guesses(systems).values())


def _no_progress(_stage: str, _share: float) -> None:
    """Shows nothing."""


def _add_relative(figures: Figures, genre: str, real: Sequence[float]) -> None:
    """Adds figures relative to other systems: moved toward the genre, style, content and H.

    Style is 0 for the source and 1 for songs of the target, content 0 for a random clip of the
    target and 1 for the source. Style is left out where the source's probability of the genre is
    not below that of the target's songs.
    """
    probability = probability_figure(genre)
    nothing = figures[NOTHING][probability]
    target_probability = float(np.mean(real)) if real else float("nan")
    for system, found in figures.items():
        if system != NOTHING:
            found[f"toward {genre}"] = float(found[probability] > nothing)
        if RANDOM in figures:
            found["content"] = rescaled(_content(found), zero=_content(figures[RANDOM]), one=1.0)
        if nothing < target_probability:
            found["style"] = rescaled(found[probability], zero=nothing, one=target_probability)
            if "content" in found:
                found["H"] = harmonic(found["style"], found["content"])


def _add_retrieval(
    measured: Mapping[str, Figures], fingerprints: Mapping[str, Sequence[Fingerprint]]
) -> None:
    """Adds the reciprocal rank of each output's own song among all songs, of which there are two
    or more.
    """
    songs = fingerprints.get(NOTHING, [])
    if len(songs) < 2:
        return
    for system, outputs in fingerprints.items():
        if len(outputs) == len(songs):
            ranks = retrieval_figures(outputs, songs)
            for figures, found in zip(measured.values(), ranks, strict=True):
                figures[system] |= found


def _content(figures: Mapping[str, float]) -> float:
    return 0.5 * (figures["centred chroma"] + figures["onset correlation"])


def _gains(
    sets: Mapping[str, Sequence[dict[str, Embeddings]]], target_windows: Mapping[str, Embeddings]
) -> dict[str, dict[str, Interval]]:
    """Improvement of FAD and KAD to the target by each system in each embedding.

    Songs of fewer than two windows are left out.
    """
    found: dict[str, dict[str, Interval]] = {}
    for system, songs in sets.items():
        if system == NOTHING:
            continue
        for embedding, target in target_windows.items():
            sounding = [
                (output[embedding], source[embedding])
                for output, source in zip(songs, sets[NOTHING], strict=True)
                if min(len(output[embedding]), len(source[embedding])) > 1
            ]
            if len(target) < 2 or not sounding:
                continue
            outputs, sources = zip(*sounding, strict=True)
            for name, distance in _DISTANCES.items():
                found.setdefault(system, {})[f"{name} ({embedding})"] = gain(
                    outputs, sources, target, distance
                )
    return found


def _joined(songs: Sequence[dict[str, Embeddings]]) -> dict[str, Embeddings]:
    names = songs[0] if songs else {}
    return {name: np.concatenate([song[name] for song in songs]) for name in names}
