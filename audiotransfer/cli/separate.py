"""``audiotransfer separate``: separates songs into stems."""

from __future__ import annotations

import glob
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from audiotransfer.cli.arguments import (
    Arguments,
    Parser,
    add_cache,
    add_computing,
    add_cut,
    add_encodings,
    add_messages,
    add_name,
    add_overwrite,
    add_separator,
    add_skip,
    add_songs,
    add_stem_format,
    any_name,
    cut,
    name_list,
)
from audiotransfer.cli.batch import Batch, check_only, find
from audiotransfer.cli.console import Console
from audiotransfer.cli.progress import stage
from audiotransfer.pipeline.naming import fill_pattern, has_field, output_paths

if TYPE_CHECKING:
    from audiotransfer.pipeline import Report, StemFormat

_FOLDER = ".stems"


def configure(parser: Parser) -> None:
    """Describes the verb and its arguments."""
    parser.about(
        "Separates songs into stems (drums, bass, other, vocals) which add up to the song.",
        """\
examples:
  audiotransfer separate song.mp3          writes song.stems/drums.wav and so on
  audiotransfer separate song.mp3 --two-stems vocals --format mp3
  audiotransfer separate album/ -o parts --name '{song} {stem}' --rate song""",
    )
    add_songs(parser)
    stems = parser.add_argument_group("stems")
    exclusive = stems.add_mutually_exclusive_group()
    exclusive.add_argument(
        "--two-stems",
        type=any_name,
        metavar="NAME",
        help="this stem, and the sum of all others as no_NAME",
    )
    exclusive.add_argument("--stems", type=name_list, metavar="NAME,...", help="only these stems")
    add_cut(stems)
    output = parser.add_argument_group("output")
    output.add_argument(
        "-o",
        "--out",
        type=any_name,
        metavar="DIR",
        help="folder (default SONG.stems); of several songs, with a folder for each",
    )
    add_name(
        output,
        ("song", "stem"),
        "names of files, as '{song} {stem}': all in one folder",
        needed=["stem"],
    )
    add_stem_format(output)
    add_encodings(
        output,
        int16="16-bit wav or flac",
        int24="24-bit wav or flac (flac's default)",
        float32="32-bit float wav (wav's default)",
    )
    add_overwrite(output)
    add_skip(output)
    computing = add_computing(parser)
    add_separator(computing)
    add_cache(computing)
    add_messages(parser)


def run(args: Arguments, console: Console) -> int:
    """Separates all songs of the command line."""
    check_only(args.songs)
    songs = find(args, console)
    with console.progress(*(song.path.name for song in songs)):
        from audiotransfer.cli.outlook import tell_outlook
        from audiotransfer.pipeline import (
            StemFormat,
            TransferOptions,
            resolve_device,
            resolve_separator,
            separate_file,
        )
        from audiotransfer.pipeline.outlook import Work

    stem_format = StemFormat(
        format=args.format,
        encoding=args.encoding,
        rate=args.rate,
        stems=args.stems or (),
        two_stems=args.two_stems,
        name=args.name or "{stem}",
    )
    options = TransferOptions(
        separator=args.separator,
        device=args.device,
        seed=args.seed,
        cut=cut(args),
        overwrite=args.force,
        cache=args.cache,
    )
    # Whether the stems of all songs go into one folder, with the songs' names in theirs.
    in_one_folder = has_field(stem_format.name, "song")
    label = options.cut.label
    if args.out and not in_one_folder and len(songs) == 1 and songs[0].folder is None:
        outputs = [Path(args.out)]
    else:
        ending = label if args.out or in_one_folder else f"{label}{_FOLDER}"
        outputs = output_paths(songs, lambda _: ending, args.out)
    batch = Batch(console, len(songs))
    if in_one_folder and args.skip_existing:
        outputs = [_existing_stem(output, stem_format) for output in outputs]
    pairs = batch.without_existing(args, songs, outputs)
    with console.progress(*(song.name for song, _ in pairs)) as line:
        if not args.quiet:
            device = resolve_device(args.device)
            separator, label, _ = resolve_separator(args.separator, device)
            files = 2 if args.two_stems else len(args.stems or separator.stems)
            work = Work(label, files=files)
            tell_outlook(console, "stems", pairs, work, options, device, suffix="")

        def separate(song: Path, output: Path) -> tuple[str, Report]:
            folder, named = output, stem_format
            if in_one_folder:
                folder, named = output.parent, replace(stem_format, song=output.name)
            report = separate_file(
                song,
                folder,
                replace(options, stem_format=named),
                lambda now: line.show(stage(now), now.share),
            )
            files = [file for stem in report.stems.values() for file in stem.files]
            return "\n".join(files) if in_one_folder else str(folder), report

        batch.each(pairs, line, separate)
    return batch.finish()


def _existing_stem(output: Path, stem_format: StemFormat) -> Path:
    """An existing stem file of the song in the output folder, else ``output``."""
    name = fill_pattern(stem_format.name, song=glob.escape(output.name), stem="*")
    return next(output.parent.glob(f"{name}.{stem_format.format}"), output)
