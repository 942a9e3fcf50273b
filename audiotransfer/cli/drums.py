"""``audiotransfer drums``: generates, interpolates and humanises drums as MIDI."""

from __future__ import annotations

import json
from pathlib import Path

from audiotransfer.cli.arguments import Arguments, Parser, any_name, any_path
from audiotransfer.cli.batch import check_song
from audiotransfer.cli.console import Console
from audiotransfer.cli.midi import add_sampling, add_written, midi_extras, print_written
from audiotransfer.errors import AudioTransferError
from audiotransfer.pipeline.naming import ensure_folder

#: Action -> MIDI files that it takes.
_INPUTS = {"sample": 0, "interpolate": 2, "humanise": 1}
#: Option -> the actions that it is for.
_ONLY = {"bars": ("sample", "interpolate"), "style": ("sample",), "steps": ("interpolate",)}


def configure(parser: Parser) -> None:
    """Describes the verb and its arguments."""
    parser.about(
        "Writes drums as MIDI. `sample` generates a beat of so many bars that repeats, with fills, "
        "`interpolate` goes in steps from the "
        "drums of one file to those of another, and `humanise` gives the drums of a file the "
        "velocities and the timing of a drummer, and leaves everything else as it is.",
        """\
examples:
  audiotransfer drums sample -o beat.mid                     four bars
  audiotransfer drums sample --style jazz --bars 8 --seed 3 --tempo 150
  audiotransfer drums interpolate verse.mid chorus.mid --steps 7 -o bridge.mid
  audiotransfer drums humanise song.mid                      song.human.mid""",
    )
    parser.add_argument(
        "what",
        choices=tuple(_INPUTS),
        metavar="WHAT",
        help="sample, interpolate or humanise",
    )
    parser.add_argument(
        "files",
        nargs="*",
        type=any_name,
        metavar="FILE",
        help="two .mid for interpolate, one for humanise",
    )
    parser.add_argument(
        "-o",
        "--out",
        type=any_path,
        metavar="OUT",
        help="file to write (default drums.mid, A.B.mid or FILE.human.mid here)",
    )
    group = parser.add_argument_group("drums")
    group.add_argument(
        "--bars",
        type=int,
        metavar="N",
        help="length of a sample (default 4), or of each beat of interpolate (default: all)",
    )
    group.add_argument(
        "--style", type=any_name, metavar="NAME", help=f"of a sample: {_styles()} (default: any)"
    )
    group.add_argument(
        "--steps", type=int, metavar="N", help="beats of interpolate, with both ends (default 5)"
    )
    group.add_argument(
        "--tempo", type=float, metavar="BPM", help="quarters a minute (default 120, or the file's)"
    )
    add_sampling(
        group,
        temperature=1.0,
        scale="1: as varied as the performances (default), 0: the most probable hits",
        same="beat",
        model="a model that `audiotransfer train drums`",
    )
    add_written(parser)


def _styles() -> str:
    """The styles of the drum model that ships, separated by commas."""
    from importlib.resources import files

    card = json.loads((files("audiotransfer") / "symbolic/shipped/drums/card.json").read_text())
    return ", ".join(card["networks"]["drums"]["styles"])


def run(args: Arguments, console: Console) -> int:
    """Writes one MIDI file."""
    _check(args)
    from audiotransfer.pipeline import midi_drums

    options = midi_drums.DrumOptions(
        by=args.by,
        temperature=args.temperature,
        tempo=args.tempo,
        seed=args.seed,
        overwrite=args.force,
        extras=midi_extras(args),
    )
    names = [Path(file).stem for file in args.files]
    default = {
        "sample": "drums",
        "interpolate": ".".join(names),
        "humanise": f"{'.'.join(names)}.human",
    }
    target = args.out or Path(f"{default[args.what]}.mid")
    with ensure_folder(target.parent):
        if args.what == "sample":
            bars = 4 if args.bars is None else args.bars
            report = midi_drums.sample_file(target, bars, args.style, options)
        elif args.what == "interpolate":
            steps = 5 if args.steps is None else args.steps
            first, last = args.files
            report = midi_drums.interpolate_file(first, last, target, steps, args.bars, options)
        else:
            report = midi_drums.humanise_file(args.files[0], target, options)
    return print_written(console, [report.output, *report.also.values()], report)


def _check(args: Arguments) -> None:
    """Raises AudioTransferError where files or options do not fit the action."""
    wanted = _INPUTS[args.what]
    if len(args.files) != wanted:
        needs = ("no file", "one .mid", "two .mid")[wanted]
        raise AudioTransferError(f"{args.what} takes {needs}, not {len(args.files)}")
    for option, actions in _ONLY.items():
        if getattr(args, option) is not None and args.what not in actions:
            raise AudioTransferError(f"--{option} is for {' and '.join(actions)}, not {args.what}")
    for file in args.files:
        check_song(Path(file), midi=True)
