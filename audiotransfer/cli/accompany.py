"""``audiotransfer accompany``: harmonizes a melody in four parts."""

from __future__ import annotations

from pathlib import Path

from audiotransfer.cli.arguments import Arguments, Parser, any_name, any_path
from audiotransfer.cli.batch import check_song
from audiotransfer.cli.console import Console
from audiotransfer.cli.midi import add_sampling, add_written, midi_extras, print_written
from audiotransfer.pipeline.naming import ensure_folder

_TWINKLE = "twinkle"


def configure(parser: Parser) -> None:
    """Describes the verb and its arguments."""
    parser.about(
        "Harmonizes a melody as Bach's chorales do: adds alto, tenor and bass below it. The melody "
        "of a MIDI file stays exactly as it is, in any length, metre and register. Phrases "
        "end with cadences, the last one on the tonic.",
        """\
examples:
  audiotransfer accompany melody.mid                    writes melody.bach.mid
  audiotransfer accompany melody.mid --seed 3 -o b.mid  another version
  audiotransfer accompany melody.mid --versions 4       melody.bach.1.mid to 4
  audiotransfer accompany song.mid --track Flute        one track of several
  audiotransfer accompany twinkle                       a tune that ships""",
    )
    parser.add_argument(
        "melody",
        type=any_name,
        metavar="MELODY",
        help=f'a .mid file, or "{_TWINKLE}", a tune that ships',
    )
    parser.add_argument(
        "-o",
        "--out",
        type=any_path,
        metavar="OUT",
        help="file to write (default MELODY.bach.mid here)",
    )
    group = parser.add_argument_group("harmonization")
    group.add_argument(
        "--track",
        metavar="NAME",
        help="the melody's track, by name or number from 1 (default: the first with notes)",
    )
    group.add_argument(
        "--versions",
        type=int,
        default=1,
        metavar="N",
        help="write so many versions, numbered, with seeds from --seed on",
    )
    add_sampling(
        group,
        temperature=0.5,
        scale="0: the most probable notes, 1: more surprising ones (default 0.5)",
        same="voices",
        model="a model that `audiotransfer train bach`",
    )
    add_written(parser)


def run(args: Arguments, console: Console) -> int:
    """Harmonizes one melody, once or several times."""
    if args.melody != _TWINKLE:
        check_song(Path(args.melody), midi=True)
    target = args.out or Path(f"{Path(args.melody).stem}.bach.mid")
    with console.progress(Path(args.melody).name) as line, ensure_folder(target.parent):
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
    return print_written(console, [*report.outputs, *report.beside], report)
