"""``audiotransfer remix``: mixes stems to a song."""

from __future__ import annotations

from pathlib import Path

from audiotransfer.cli.arguments import (
    Arguments,
    Parser,
    add_format,
    add_messages,
    any_name,
    any_path,
    name_list,
    name_value,
)
from audiotransfer.cli.console import Console
from audiotransfer.cli.progress import stage
from audiotransfer.errors import AudioTransferError
from audiotransfer.pipeline.naming import ensure_folder, is_folder, names_folder

_DRY = ("dry", "keep")
_MUTE = "mute"


def configure(parser: Parser) -> None:
    """Describes the verb and its arguments."""
    parser.about(
        "Mixes the stems of a folder to a song: those that `--stems-out` or `audiotransfer "
        "separate` wrote, or your own. drums.wav is the stem as it was separated or recorded, "
        "drums.jazz.wav the same stem in the style jazz. Where there are both, the styled one is "
        "used.",
        """\
examples:
  audiotransfer remix stems                 writes stems.mix.wav
  audiotransfer remix stems --mute vocals   without the vocals
  audiotransfer remix stems --gain vocals=+3 --mute bass,drums
  audiotransfer remix stems --stem drums=dry -o mine.flac""",
    )
    parser.add_argument("folder", type=any_path, metavar="FOLDER", help="a folder of stems")
    parser.add_argument(
        "-o",
        "--out",
        type=any_name,
        metavar="OUT",
        help="file or folder to write (default FOLDER.mix.wav here)",
    )
    group = parser.add_argument_group("mix")
    group.add_argument(
        "--stem",
        action="append",
        default=[],
        type=name_value,
        metavar="NAME=WHAT",
        help="use a stem dry (as it was separated) or in a STYLE of the folder, or mute it",
    )
    group.add_argument(
        "--mute",
        action="append",
        default=[],
        type=name_list,
        metavar="NAME[,NAME]",
        help="leave stems out",
    )
    group.add_argument(
        "--gain",
        action="append",
        default=[],
        type=name_value,
        metavar="NAME=DB",
        help="make a stem louder or softer by so many dB",
    )
    add_format(parser)
    add_messages(parser)


def run(args: Arguments, console: Console) -> int:
    """Mixes one folder."""
    if not is_folder(args.folder):
        raise AudioTransferError(
            f"{args.folder} is no folder; name one that `audiotransfer separate` wrote"
        )
    from audiotransfer.pipeline import remix
    from audiotransfer.pipeline.options import check_gain

    kind = f".{args.format or 'wav'}"
    target = Path(f"{args.folder.resolve().name}.mix{kind}")
    if args.out and names_folder(args.out):
        target = Path(args.out) / target
    elif args.out:
        target = Path(args.out)
    if args.format and target.suffix.lower() != kind:
        raise AudioTransferError(f"-o {args.out} and --format {args.format} contradict each other")
    with console.progress(args.folder.name) as line, ensure_folder(target.parent):
        report = remix(
            args.folder,
            target,
            gains_db={name: check_gain(name, gain) for name, gain in args.gain},
            mutes={name for name, what in args.stem if what == _MUTE}.union(*args.mute),
            versions={
                name: "dry" if what in _DRY else what for name, what in args.stem if what != _MUTE
            },
            encoding=args.encoding,
            overwrite=args.force,
            progress=lambda now: line.show(stage(now), now.share),
        )
    console.result(str(target), report.to_dict())
    return 0
