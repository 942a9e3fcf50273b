"""``audiotransfer separate``: a song becomes its stems."""

from __future__ import annotations

from pathlib import Path

from audiotransfer.cli.arguments import (
    Arguments,
    Parser,
    add_force,
    add_machine,
    add_separator,
    add_songs,
    add_talk,
)
from audiotransfer.cli.batch import Tally, check_only, expected_errors
from audiotransfer.cli.console import Console
from audiotransfer.cli.transfer import stage

_FOLDER = "stems"


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
    parser.add_argument(
        "-o",
        "--out",
        type=Path,
        metavar="DIR",
        help="folder of the stems; for several songs, of a folder each (default SONG.stems here)",
    )
    add_force(parser)
    add_separator(add_machine(parser))
    add_talk(parser)


def run(args: Arguments, console: Console) -> int:
    """Separates every song that was named."""
    check_only(args.songs)
    from audiotransfer.pipeline import TransferOptions, expand, separate_file

    songs = expand(args.songs, _FOLDER)
    tally = Tally(console, len(songs))
    options = TransferOptions(
        separator=args.separator, device=args.device, seed=args.seed, overwrite=args.force
    )
    if args.out is not None and len(songs) > 1:
        args.out.mkdir(exist_ok=True)
    with console.progress(*(song.name for song in songs)) as line:
        for song in songs:
            folder = _folder(song, args.out, len(songs))
            try:
                report = separate_file(
                    song, folder, options, lambda now: line.show(stage(now), now.share)
                )
            except expected_errors() as error:
                line.next()
                tally.failure(song, error)
            else:
                line.next()
                tally.success(str(folder), report)
    return tally.finish()


def _folder(song: Path, out: Path | None, songs: int) -> Path:
    if out is None:
        return Path(f"{song.stem}.{_FOLDER}")
    return out if songs == 1 else out / song.stem
