"""``audiotransfer separate``: a song becomes its stems."""

from __future__ import annotations

from pathlib import Path

from audiotransfer.cli.arguments import (
    Arguments,
    Parser,
    add_force,
    add_machine,
    add_separator,
    add_skip,
    add_songs,
    add_talk,
)
from audiotransfer.cli.batch import Tally, check_only, expected_errors, find
from audiotransfer.cli.console import Console
from audiotransfer.cli.transfer import stage
from audiotransfer.errors import AudioTransferError

_FOLDER = ".stems"


def configure(parser: Parser) -> None:
    """Describes the verb and its arguments."""
    parser.about(
        "Takes songs apart into stems (drums, bass, other, vocals): 32-bit float wav files "
        "at 44.1 kHz which add up to the song again.",
        """\
examples:
  audiotransfer separate song.mp3                     writes song.stems/drums.wav, ...
  audiotransfer separate song.mp3 --separator demucs  cleaner; downloads weights once
  audiotransfer separate album/ -o parts              writes parts/SONG/drums.wav, ...
  audiotransfer remix song.stems --gain vocals=-6     and back to a song""",
    )
    add_songs(parser)
    written = parser.add_argument_group("what is written")
    written.add_argument(
        "-o",
        "--out",
        metavar="DIR",
        help="folder of the stems; for several songs, of a folder each (default SONG.stems here)",
    )
    add_force(written)
    add_skip(written)
    add_separator(add_machine(parser))
    add_talk(parser)


def run(args: Arguments, console: Console) -> int:
    """Separates every song that was named."""
    check_only(args.songs)
    from audiotransfer import files

    songs = find(args, console)
    named = len(songs) == 1 and songs[0].folder is None  # -o is then the folder of its stems
    folders = (
        [Path(args.out)]
        if args.out and named
        else files.name_outputs(songs, lambda _: "" if args.out else _FOLDER, args.out)
    )
    tally = Tally(console, len(songs))
    pairs = tally.without_existing(args, songs, folders)
    from audiotransfer.pipeline import TransferOptions, separate_file

    options = TransferOptions(
        separator=args.separator, device=args.device, seed=args.seed, overwrite=args.force
    )
    errors = files.clashes(*zip(*pairs, strict=True)) if pairs else []
    with console.progress(*(song.name for song, _ in pairs)) as line:
        for (song, folder), error in zip(pairs, errors, strict=True):
            try:
                if error is not None:
                    raise AudioTransferError(error)
                with files.making(folder.parent):
                    report = separate_file(
                        song, folder, options, lambda now: line.show(stage(now), now.share)
                    )
            except expected_errors() as failed:
                line.next()
                tally.failure(song, failed)
            else:
                line.next()
                tally.success(str(folder), report)
    return tally.finish()
