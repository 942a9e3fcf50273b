"""``audiotransfer help``: prints the help page of a verb."""

from __future__ import annotations

from audiotransfer.cli.arguments import Arguments, Parser, add_messages, any_name
from audiotransfer.cli.console import Console


def configure(parser: Parser) -> None:
    """Describes the verb and its arguments."""
    parser.about(
        "Explains a verb and its options, as VERB --help does; without a verb, lists all verbs.",
        """\
examples:
  audiotransfer help             all verbs
  audiotransfer help separate    how songs are separated
  audiotransfer help transfer    options of audiotransfer SONG --style NAME""",
    )
    parser.add_argument("verb", nargs="?", type=any_name, metavar="VERB", help="verb to explain")
    add_messages(parser)


def run(args: Arguments, console: Console) -> int:
    """Prints the help page of a verb, or of the whole command."""
    from audiotransfer.cli import verbs

    page = verbs.overview() if args.verb is None else verbs.load(args.verb)[1].format_help()
    console.result(page.rstrip("\n"), {"verbs": verbs.VERBS, "help": page})
    return 0
