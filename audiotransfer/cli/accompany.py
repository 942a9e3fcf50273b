"""``audiotransfer accompany``: a melody becomes four parts."""

from __future__ import annotations

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

_TWINKLE = "twinkle"


def configure(parser: Parser) -> None:
    """Describes the verb and its arguments."""
    parser.about(
        "Sets three voices below a melody, as in Bach's chorales: alto, tenor and bass. The melody "
        "of a MIDI file stays exactly as it is, of any length, in any metre and register.",
        """\
examples:
  audiotransfer accompany melody.mid                    writes melody.bach.mid
  audiotransfer accompany melody.mid --seed 3 -o b.mid  another setting
  audiotransfer accompany melody.mid --versions 4       melody.bach.1.mid to 4
  audiotransfer accompany song.mid --track Flute        one track of several
  audiotransfer accompany twinkle                       a tune that ships""",
    )
    parser.add_argument(
        "melody",
        type=text,
        metavar="MELODY",
        help=f'a .mid file, or "{_TWINKLE}", a tune that ships',
    )
    parser.add_argument(
        "-o",
        "--out",
        type=place,
        metavar="OUT",
        help="file to write (default MELODY.bach.mid here)",
    )
    group = parser.add_argument_group("how it is set")
    group.add_argument(
        "--track",
        metavar="NAME",
        help="the melody's track, by name or number from 1 (default: the first with notes)",
    )
    group.add_argument(
        "--seed", type=seed, default=0, metavar="N", help="same seed, same voices (default 0)"
    )
    group.add_argument(
        "--versions",
        type=int,
        default=1,
        metavar="N",
        help="so many settings, from that seed on, numbered",
    )
    group.add_argument(
        "--temperature",
        type=float,
        default=0.5,
        metavar="T",
        help="0: the most probable notes, 1: restless (default 0.5)",
    )
    group.add_argument(
        "--by",
        type=place,
        metavar="DIR",
        help="an accompanist that `audiotransfer train bach` made (default: the one that ships)",
    )
    output = parser.add_argument_group("what is written")
    add_score_output(output)
    add_force(output)
    add_talk(parser)


def run(args: Arguments, console: Console) -> int:
    """Sets one melody, once or several times."""
    from audiotransfer import files

    if args.melody != _TWINKLE:
        check_song(Path(args.melody), scores=True)
    target = args.out or Path(f"{Path(args.melody).stem}.bach.mid")
    with console.progress(Path(args.melody).name) as line, files.making(Path(target).parent):
        from audiotransfer.pipeline.midi_accompaniment import AccompanyOptions, accompany_file

        options = AccompanyOptions(
            track=args.track,
            by=args.by,
            temperature=args.temperature,
            seed=args.seed,
            versions=args.versions,
            extras=midi_extras(args),
            overwrite=args.force,
        )
        report = accompany_file(
            args.melody, target, options, lambda share: line.show("setting voices", share)
        )
    for notice in report.notices:
        console.notice(notice)
    console.result("\n".join([*report.outputs, *report.beside]), report.to_dict())
    return 0
