"""``audiotransfer demo``: transfers the song that ships with the program."""

from __future__ import annotations

from pathlib import Path

from audiotransfer.cli.arguments import (
    Arguments,
    Parser,
    add_messages,
    add_overwrite,
    add_separator,
    any_name,
    any_path,
    style_names,
)
from audiotransfer.cli.console import Console


def configure(parser: Parser) -> None:
    """Describes the verb and its arguments."""
    parser.about(
        "Transfers the short pop-rock song that comes with the program to jazz. Writes a folder "
        "with the song, also as MIDI, the jazz version, its stems and spectrograms of "
        "before and after.",
        """\
examples:
  audiotransfer demo
  audiotransfer demo -o /tmp/demo --separator hpss""",
    )
    parser.add_argument(
        "--style",
        type=any_name,
        default="jazz",
        metavar="NAME",
        help=f"{style_names('spectral')}, or a style's folder (default jazz)",
    )
    parser.add_argument(
        "-o",
        "--out",
        type=any_path,
        default=Path("audiotransfer-demo"),
        metavar="DIR",
        help="folder to write to (default audiotransfer-demo here)",
    )
    add_overwrite(parser)
    add_separator(parser)
    add_messages(parser)


def run(args: Arguments, console: Console) -> int:
    """Runs the demo and prints where its files are."""
    from audiotransfer.cli.progress import stage
    from audiotransfer.cli.transfer import check_style

    check_style(args.style)
    with console.progress("demo") as line:
        from audiotransfer.demo import run_demo

        made = run_demo(
            args.out,
            args.style,
            separator=args.separator,
            overwrite=args.force,
            progress=lambda now: line.show(stage(now), now.share),
        )
    for notice in made.report.notices:
        console.notice(notice)
    files = {
        "song": str(made.song),
        "notes": str(made.notes),
        args.style: str(made.output),
        "stems": str(made.stems),
        "plot": str(made.plot),
    }
    width = max(map(len, files))
    text = "\n".join(f"{name:<{width}}  {path}" for name, path in files.items())
    console.result(text, {**files, "report": made.report.to_dict()})
    return 0
