"""``audiotransfer separate``: a song becomes its stems."""

from __future__ import annotations

import glob
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from audiotransfer.cli.arguments import (
    Arguments,
    Parser,
    add_cut,
    add_force,
    add_machine,
    add_name,
    add_separator,
    add_skip,
    add_songs,
    add_talk,
    cut,
    names,
    text,
)
from audiotransfer.cli.batch import Tally, check_only, find
from audiotransfer.cli.console import Console
from audiotransfer.cli.transfer import stage
from audiotransfer.errors import AudioTransferError
from audiotransfer.pipeline.naming import fill_pattern, has_field, name_clashes, output_paths

if TYPE_CHECKING:
    from audiotransfer.pipeline import StemFormat

_FOLDER = ".stems"


def configure(parser: Parser) -> None:
    """Describes the verb and its arguments."""
    parser.about(
        "Takes songs apart into stems (drums, bass, other, vocals) which add up to the song.",
        """\
examples:
  audiotransfer separate song.mp3          writes song.stems/drums.wav and so on
  audiotransfer separate song.mp3 --two-stems vocals --format mp3
  audiotransfer separate album/ -o parts --name '{song} {stem}' --rate song""",
    )
    add_songs(parser)
    wanted = parser.add_argument_group("which stems, of which part")
    which = wanted.add_mutually_exclusive_group()
    which.add_argument(
        "--two-stems",
        type=text,
        metavar="NAME",
        help="this stem, and all others as no_NAME",
    )
    which.add_argument("--stems", type=names, metavar="NAME,...", help="only these stems")
    add_cut(wanted)
    written = parser.add_argument_group("what is written")
    written.add_argument(
        "-o",
        "--out",
        type=text,
        metavar="DIR",
        help="folder (default SONG.stems); of several songs, with a folder for each",
    )
    add_name(
        written,
        ("song", "stem"),
        "name files so, as '{song} {stem}': all into one folder",
        needed=["stem"],
    )
    written.add_argument(
        "--format",
        choices=("wav", "flac", "mp3", "ogg"),
        metavar="KIND",
        default="wav",
        help="wav (default), flac, mp3 or ogg",
    )
    depth = written.add_mutually_exclusive_group()
    for encoding, help in (
        ("int16", "16-bit wav or flac"),
        ("int24", "24-bit wav or flac (flac's default)"),
        ("float32", "32-bit float wav (wav's default)"),
    ):
        depth.add_argument(
            f"--{encoding}", dest="encoding", action="store_const", const=encoding, help=help
        )
    written.add_argument(
        "--rate",
        choices=("song", "44100"),
        default="44100",
        metavar="RATE",
        help="song: its own rate and channels; 44100 (default): stereo",
    )
    add_force(written)
    add_skip(written)
    add_separator(add_machine(parser))
    add_talk(parser)


def run(args: Arguments, console: Console) -> int:
    """Separates every song that was named."""
    check_only(args.songs)

    songs = find(args, console)
    with console.progress(*(song.path.name for song in songs)):
        from audiotransfer.pipeline import StemFormat, TransferOptions, separate_file

    wanted = StemFormat(
        format=args.format,
        encoding=args.encoding,
        rate=args.rate,
        stems=args.stems or (),
        two_stems=args.two_stems,
        name=args.name or "{stem}",
    )
    part = cut(args)
    named = len(songs) == 1 and songs[0].folder is None  # -o is then the folder of its stems
    together = has_field(wanted.name, "song")
    ending = part.label if args.out or together else f"{part.label}{_FOLDER}"
    places = (
        [Path(args.out)]
        if args.out and named and not together
        else output_paths(songs, lambda _: ending, args.out)
    )
    tally = Tally(console, len(songs))
    if together and args.skip_existing:
        places = [_found(place, wanted) for place in places]
    pairs = tally.without_existing(args, songs, places)
    options = TransferOptions(
        separator=args.separator,
        device=args.device,
        seed=args.seed,
        cut=part,
        overwrite=args.force,
    )
    errors = name_clashes(*zip(*pairs, strict=True)) if pairs else []
    with console.progress(*(song.name for song, _ in pairs)) as line:
        for (song, place), error in zip(pairs, errors, strict=True):
            folder = place.parent if together else place
            called = replace(wanted, song=place.name) if together else wanted
            try:
                if error is not None:
                    raise AudioTransferError(error)
                report = separate_file(
                    song,
                    folder,
                    replace(options, stem_format=called),
                    lambda now: line.show(stage(now), now.share),
                )
            except Exception as failed:
                line.next()
                tally.failure(song, failed)
            else:
                line.next()
                written = [file for stem in report.stems.values() for file in stem.files]
                tally.success("\n".join(written) if together else str(folder), report)
    return tally.finish()


def _found(place: Path, wanted: StemFormat) -> Path:
    """Where stems stand beside those of other songs: a file of this song that is there already."""

    name = fill_pattern(wanted.name, song=glob.escape(place.name), stem="*")
    return next(place.parent.glob(f"{name}.{wanted.format}"), place)
