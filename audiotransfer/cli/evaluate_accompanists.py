"""``audiotransfer evaluate`` of an accompanist, on chorales that it was not trained on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from audiotransfer.cli.arguments import Arguments
from audiotransfer.cli.console import Console
from audiotransfer.errors import AudioTransferError

#: The table in parts that a terminal is wide enough for.
_COLUMNS = (
    ("scale consistency", "polyphony", "consonance", "onsets per bar"),
    ("unique pitches per bar", "chords", "empty bars"),
    ("crossing", "parallels per 10 bars", "difference"),
    ("furthest from held out",),
)


def run(args: Arguments, console: Console, write: Callable[[Path, dict[str, Any]], None]) -> int:
    """Prints the tables; writes the figures where that was asked for."""
    if args.page is not None or args.pictures is not None:
        raise AudioTransferError("an accompanist is drawn by `audiotransfer accompany --plot`")
    if len(args.on) > 1:
        raise AudioTransferError(f"{len(args.on)} places of chorales: --on takes one file of them")
    from audiotransfer.evaluation.scores.accompaniment import compare
    from audiotransfer.evaluation.table import plain_table
    from audiotransfer.pipeline.midi_accompaniment import load_bach
    from audiotransfer.symbolic.bach.accompanist import Harmony
    from audiotransfer.symbolic.bach.chorales import read_chorales

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
    tables = [plain_table(rows, ["system", *columns]) for columns in _COLUMNS]
    console.result("\n\n".join(tables), values)
    return 0
