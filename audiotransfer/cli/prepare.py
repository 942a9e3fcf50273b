"""``audiotransfer prepare``: rendered songs through the separator, once, for training."""

from __future__ import annotations

from pathlib import Path

from audiotransfer.cli.arguments import Arguments, Parser, add_talk
from audiotransfer.cli.console import Console


def configure(parser: Parser) -> None:
    """Describes the verb and its arguments."""
    parser.about(
        "Takes every rendered song of a folder apart with a separator and keeps the stems beside "
        "the true ones, so that a style learns from what it will meet in use. Songs that were "
        "prepared before are left alone.",
        """\
examples:
  audiotransfer prepare data/jazz-pairs
  audiotransfer prepare data/jazz-pairs --separator demucs""",
    )
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="rendered songs")
    parser.add_argument(
        "--separator",
        default="embedded",
        metavar="NAME",
        help="who takes the songs apart (default embedded)",
    )
    parser.add_argument("--device", default="cpu", metavar="NAME", help="cpu, cuda or mps")
    add_talk(parser)


def run(args: Arguments, console: Console) -> int:
    """Separates what is missing."""
    from audiotransfer.recipes.preparation import prepare_pairs

    with console.progress(args.folder.name) as line:
        count = prepare_pairs(args.folder, args.separator, args.device, line.show)
    console.result(
        f"{count} songs separated in {args.folder}", {"folder": args.folder, "separated": count}
    )
    return 0
