"""``audiotransfer evaluate`` on MIDI: of styles for MIDI files, and of accompaniment models."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audiotransfer.cli.arguments import Arguments
from audiotransfer.cli.console import Console
from audiotransfer.errors import AudioTransferError

if TYPE_CHECKING:
    from audiotransfer.benchmark import MidiBenchmark
    from audiotransfer.benchmark.midi import MidiEntries, OnResult

#: Columns of each table, by their beginnings; a terminal is wide enough for one table.
_COLUMNS = (
    ("S ", "style", "H"),
    ("target rate", "note F1", "copies", "diversity"),
    ("content", "centred content", "density ratio", "empty bars"),
)
#: Columns of each table about accompaniment, by their beginnings.
_ACCOMPANIMENT_COLUMNS = (
    ("scale consistency", "polyphony", "consonance", "onsets per bar"),
    ("unique pitches per bar", "chords", "empty bars"),
    ("crossing", "parallels per 10 bars", "difference"),
    ("furthest from held out",),
)


def run(args: Arguments, console: Console, write: Callable[[Path, dict[str, Any]], None]) -> int:
    """Measures a style for MIDI files: prints tables, writes figures and plots as options say."""
    if args.page is not None:
        raise AudioTransferError("--page is for recordings; --plots draws MIDI")
    if args.wrong is not None:
        raise AudioTransferError(
            "--wrong is for songs; of MIDI the wrong style is that of a third genre, leave it out"
        )
    from audiotransfer.benchmark import run_midi_benchmark
    from audiotransfer.benchmark.midi import gather_midi

    with tempfile.TemporaryDirectory() as scratch, console.progress(args.style) as line:
        entries = gather_midi(
            args.style,
            args.on,
            Path(scratch),
            genre=args.genre,
            classifier=args.classifier,
            baseline=args.baseline,
            count=args.songs,
            device=args.device,
            seed=args.seed,
        )
        measured = run_midi_benchmark(
            entries.pieces,
            entries.target,
            entries.transfers,
            entries.references,
            Path(scratch),
            show=line.show,
            on_result=None if args.plots is None else _plotter(args.plots),
        )
    values = {
        "style": args.style,
        "on": [str(path) for path in args.on],
        "genre": entries.target,
        "seed": args.seed,
        "sizes": measured.sizes,
        "midi_classifiers": {
            name: one.report for name, one in entries.references.classifiers.items()
        },
        "pairs": measured.pair_rows(),
        "ways": {
            way: {
                system: {
                    name: value if isinstance(value, float) else vars(value)
                    for name, value in found.items()
                }
                for system, found in systems.items()
            }
            for way, systems in measured.directions.items()
        },
    }
    if args.out is not None:
        write(args.out, values)
    console.result(_text(measured, entries), values)
    return 0


def _plotter(folder: Path) -> OnResult:
    """Callback that plots the piano rolls of a piece before and after into a folder."""
    from audiotransfer.benchmark import Piece
    from audiotransfer.midi.plotting import plot_scores
    from audiotransfer.midi.score import read_score

    def plot(piece: Piece, genre: str, output: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        shown = {"before": read_score(piece.path), "after": read_score(output)}
        path = folder / f"{piece.name.replace('/', '-')}.{genre}.png"
        plot_scores(shown, path, f"{piece.name} to {genre}", overwrite=True)

    return plot


def _text(measured: MidiBenchmark, entries: MidiEntries) -> str:
    """The tables and remarks that are printed."""
    from audiotransfer.benchmark.midi import WRONG
    from audiotransfer.evaluation import plain_table

    parts = []
    pairs = measured.pair_rows()
    if pairs:
        parts += ["both ways (S is S_tot)", plain_table(pairs), ""]
    for way in measured.directions:
        rows = measured.rows(way)
        names = list(dict.fromkeys(name for row in rows for name in row))
        parts.append(way)
        for part in _COLUMNS:
            columns = [name for name in names if name.startswith(part)]
            parts += [plain_table(rows, ["system", *columns]), ""]
    parts.append(", ".join(f"{name}: {size}" for name, size in measured.sizes.items()))
    one_way = [genre for genre in entries.pieces if genre not in entries.transfers]
    if one_way:
        parts.append(f"no way back: no style for MIDI is called {' or '.join(one_way)}")
    if not any(WRONG in systems for systems in measured.directions.values()):
        parts.append("no wrong style: no style for MIDI of a third genre is installed")
    if entries.target not in entries.references.training:
        parts.append("copies were not looked for: --baseline names the pieces that were trained on")
    for name, classifier in entries.references.classifiers.items():
        tested = classifier.report.get("test")
        if tested:
            right = tested["balanced_accuracy"]
            parts.append(f"the classifier {name} is right on {right:.0%} of test phrases")
    return "\n".join(parts)


def run_accompanist(
    args: Arguments, console: Console, write: Callable[[Path, dict[str, Any]], None]
) -> int:
    """Measures an accompaniment model on held-out chorales: prints tables, writes figures."""
    if args.page is not None or args.plots is not None:
        raise AudioTransferError(
            "`audiotransfer accompany --plot` plots the voices of an accompaniment model"
        )
    if len(args.on) > 1:
        raise AudioTransferError(f"{len(args.on)} files of chorales: --on takes one of them")
    from audiotransfer.evaluation.metrics.chorales import compare
    from audiotransfer.evaluation.report.statistics import plain_table
    from audiotransfer.pipeline.midi_accompaniment import load_bach
    from audiotransfer.symbolic.accompaniment.chorales import read_chorales
    from audiotransfer.symbolic.accompaniment.harmonization import Harmony

    splits = read_chorales(args.on[0])
    splits["test"] = splits["test"][: args.songs]
    names = [args.style, *([args.wrong] if args.wrong else [])]
    with console.progress(args.style) as line:
        rows = compare(
            splits,
            {name: load_bach(name) for name in names},
            harmony=Harmony(),
            seed=args.seed,
            progress=lambda share: line.show("setting melodies", share),
        )
    values = {
        "accompanist": args.style,
        "on": str(args.on[0]),
        "seed": args.seed,
        "pieces": {split: len(chorales) for split, chorales in splits.items()},
        "means": [
            {k: v if isinstance(v, str | float) else vars(v) for k, v in row.items()}
            for row in rows
        ],
    }
    if args.out is not None:
        write(args.out, values)
    tables = [plain_table(rows, ["system", *columns]) for columns in _ACCOMPANIMENT_COLUMNS]
    console.result("\n\n".join(tables), values)
    return 0
