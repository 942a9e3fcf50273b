"""``audiotransfer drums``: beats out of nothing, between two others, or played by hand."""

from __future__ import annotations

import json
from pathlib import Path

from audiotransfer.cli.arguments import (
    Arguments,
    Parser,
    add_force,
    add_score_output,
    add_talk,
    place,
    seed,
    text,
)
from audiotransfer.cli.batch import check_song
from audiotransfer.cli.console import Console
from audiotransfer.cli.scores import midi_extras
from audiotransfer.errors import AudioTransferError

_SCORES = {"sample": 0, "interpolate": 2, "humanise": 1}
_ONLY = {"bars": ("sample", "interpolate"), "style": ("sample",), "steps": ("interpolate",)}


def configure(parser: Parser) -> None:
    """Describes the verb and its arguments."""
    parser.about(
        "Drums as MIDI. `sample` makes a beat up, `interpolate` goes from the drums of one file "
        "to those of another, and `humanise` gives the drums of a file the velocities and the "
        "timing of a drummer, and leaves all else as it is.",
        """\
examples:
  audiotransfer drums sample -o beat.mid                     four bars
  audiotransfer drums sample --style jazz --bars 8 --seed 3 --tempo 150
  audiotransfer drums interpolate verse.mid chorus.mid --steps 7 -o bridge.mid
  audiotransfer drums humanise song.mid                      song.human.mid""",
    )
    parser.add_argument(
        "what",
        choices=tuple(_SCORES),
        metavar="WHAT",
        help="sample, interpolate or humanise",
    )
    parser.add_argument(
        "scores",
        nargs="*",
        type=text,
        metavar="SCORE",
        help="two .mid for interpolate, one for humanise",
    )
    parser.add_argument(
        "-o",
        "--out",
        type=place,
        metavar="OUT",
        help="file to write (default drums.mid, A.B.mid or SCORE.human.mid here)",
    )
    group = parser.add_argument_group("how it is played")
    group.add_argument(
        "--bars",
        type=int,
        metavar="N",
        help="length of a sample (default 4), or of each beat of interpolate (default: all)",
    )
    group.add_argument(
        "--style", type=text, metavar="NAME", help=f"of a sample: {_styles()} (default: any)"
    )
    group.add_argument(
        "--steps", type=int, metavar="N", help="beats of interpolate, with both ends (default 5)"
    )
    group.add_argument(
        "--temperature",
        type=float,
        default=1.0,
        metavar="T",
        help="1: as drummers play (default), 0: the most probable",
    )
    group.add_argument(
        "--tempo", type=float, metavar="BPM", help="quarters a minute (default 120, or as given)"
    )
    group.add_argument(
        "--seed", type=seed, default=0, metavar="N", help="same seed, same beat (default 0)"
    )
    group.add_argument(
        "--by",
        type=place,
        metavar="DIR",
        help="a drummer that `audiotransfer train drums` made (default: the one that ships)",
    )
    written = parser.add_argument_group("what is written")
    add_score_output(written)
    add_force(written)
    add_talk(parser)


def _styles() -> str:
    """The styles that the drummer which ships knows."""
    from importlib.resources import files

    card = json.loads((files("audiotransfer") / "symbolic/shipped/drums/card.json").read_text())
    return ", ".join(card["networks"]["drums"]["styles"])


def run(args: Arguments, console: Console) -> int:
    """Writes one MIDI file."""
    _check(args)
    from audiotransfer import files
    from audiotransfer.pipeline import midi_drums

    options = midi_drums.DrumOptions(
        by=args.by,
        temperature=args.temperature,
        tempo=args.tempo,
        seed=args.seed,
        overwrite=args.force,
        extras=midi_extras(args),
    )
    names = [Path(score).stem for score in args.scores]
    default = {"sample": "drums", "humanise": f"{names[0]}.human" if names else ""}
    target = Path(args.out or f"{default.get(args.what, '.'.join(names))}.mid")
    with files.making(target.parent):
        if args.what == "sample":
            bars = 4 if args.bars is None else args.bars
            report = midi_drums.sample_file(target, bars, args.style, options)
        elif args.what == "interpolate":
            steps = 5 if args.steps is None else args.steps
            report = midi_drums.interpolate_file(
                args.scores[0], args.scores[1], target, steps, args.bars, options
            )
        else:
            report = midi_drums.humanise_file(args.scores[0], target, options)
    for notice in report.notices:
        console.notice(notice)
    console.result("\n".join([report.output, *report.also.values()]), report.to_dict())
    return 0


def _check(args: Arguments) -> None:
    """Refuses what does not belong together before anything heavy is loaded."""
    wanted = _SCORES[args.what]
    if len(args.scores) != wanted:
        needs = ("no file", "one .mid", "two .mid")[wanted]
        raise AudioTransferError(f"{args.what} takes {needs}, not {len(args.scores)}")
    for option, verbs in _ONLY.items():
        if getattr(args, option) is not None and args.what not in verbs:
            raise AudioTransferError(f"--{option} is for {' and '.join(verbs)}, not {args.what}")
    for score in args.scores:
        check_song(Path(score), scores=True)
