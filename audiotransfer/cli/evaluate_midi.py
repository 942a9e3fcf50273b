"""``audiotransfer evaluate`` on folders of MIDI: the tables, figures and piano rolls of a trial."""

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
    from audiotransfer.benchmark.midi import Heard, MidiEntries

#: The tables in parts that a terminal is wide enough for.
_COLUMNS = (
    ("S ", "style", "H"),
    ("target rate", "note F1", "copies", "diversity"),
    ("content", "centred content", "density ratio", "empty bars"),
)


def run(args: Arguments, console: Console, write: Callable[[Path, dict[str, Any]], None]) -> int:
    """Prints the tables; writes figures and pictures where that was asked for."""
    if args.page is not None:
        raise AudioTransferError("--page is for songs that can be heard; --plots draws MIDI")
    if args.wrong is not None:
        raise AudioTransferError(
            "--wrong is for songs; of MIDI the wrong style is that of a third genre, leave it out"
        )
    from audiotransfer.benchmark import run_midi_benchmark
    from audiotransfer.benchmark.midi import gather_scores

    with tempfile.TemporaryDirectory() as scratch, console.progress(args.style) as line:
        field = gather_scores(
            args.style,
            args.on,
            Path(scratch),
            genre=args.genre,
            judge=args.classifier,
            baseline=args.baseline,
            count=args.songs,
            device=args.device,
            seed=args.seed,
        )
        trial = run_midi_benchmark(
            field.pieces,
            field.target,
            field.plays,
            field.ground,
            Path(scratch),
            show=line.show,
            heard=None if args.plots is None else _painter(args.plots),
        )
    values = {
        "style": args.style,
        "on": [str(place) for place in args.on],
        "genre": field.target,
        "seed": args.seed,
        "sizes": trial.sizes,
        "judges": {name: judge.report for name, judge in field.ground.judges.items()},
        "pairs": trial.pair_rows(),
        "ways": {
            way: {
                system: {
                    name: value if isinstance(value, float) else vars(value)
                    for name, value in found.items()
                }
                for system, found in systems.items()
            }
            for way, systems in trial.ways.items()
        },
    }
    if args.out is not None:
        write(args.out, values)
    console.result(_text(trial, field), values)
    return 0


def _painter(folder: Path) -> Heard:
    from audiotransfer.benchmark import Piece
    from audiotransfer.midi.plotting import plot_scores
    from audiotransfer.midi.score import read_score

    def paint(piece: Piece, genre: str, output: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        shown = {"before": read_score(piece.path), "after": read_score(output)}
        path = folder / f"{piece.name.replace('/', '-')}.{genre}.png"
        plot_scores(shown, path, f"{piece.name} to {genre}", overwrite=True)

    return paint


def _text(trial: MidiBenchmark, field: MidiEntries) -> str:
    from audiotransfer.benchmark.midi import WRONG
    from audiotransfer.evaluation import plain_table

    parts = []
    pairs = trial.pair_rows()
    if pairs:
        parts += ["both ways (S is S_tot)", plain_table(pairs), ""]
    for way in trial.ways:
        rows = trial.rows(way)
        names = list(dict.fromkeys(name for row in rows for name in row))
        parts.append(way)
        for part in _COLUMNS:
            columns = [name for name in names if name.startswith(part)]
            parts += [plain_table(rows, ["system", *columns]), ""]
    parts.append(", ".join(f"{name}: {size}" for name, size in trial.sizes.items()))
    lone = [genre for genre in field.pieces if genre not in field.plays]
    if lone:
        parts.append(f"no way back: no style for scores is called {' or '.join(lone)}")
    if not any(WRONG in systems for systems in trial.ways.values()):
        parts.append("no wrong style: no style for scores of a third genre is installed")
    if field.target not in field.ground.training:
        parts.append("copies were not looked for: --baseline names the scores that were trained on")
    for name, judge in field.ground.judges.items():
        heard = judge.report.get("test")
        if heard:
            right = heard["balanced_accuracy"]
            parts.append(f"the judge {name} hears {right:.0%} of phrases unknown to it right")
    return "\n".join(parts)


#: The table in parts that a terminal is wide enough for.
_evaluate_accompanists_COLUMNS = (
    ("scale consistency", "polyphony", "consonance", "onsets per bar"),
    ("unique pitches per bar", "chords", "empty bars"),
    ("crossing", "parallels per 10 bars", "difference"),
    ("furthest from held out",),
)


def run_accompanist(
    args: Arguments, console: Console, write: Callable[[Path, dict[str, Any]], None]
) -> int:
    """Prints the tables; writes the figures where that was asked for."""
    if args.page is not None or args.plots is not None:
        raise AudioTransferError("an accompanist is drawn by `audiotransfer accompany --plot`")
    if len(args.on) > 1:
        raise AudioTransferError(f"{len(args.on)} places of chorales: --on takes one file of them")
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
    tables = [plain_table(rows, ["system", *columns]) for columns in _evaluate_accompanists_COLUMNS]
    console.result("\n\n".join(tables), values)
    return 0
