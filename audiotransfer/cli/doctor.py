"""``audiotransfer doctor``: what is here, what will be used, and what to do about the rest."""

from __future__ import annotations

from audiotransfer.cli.arguments import Arguments, Parser, add_talk
from audiotransfer.cli.console import Console


def configure(parser: Parser) -> None:
    """Describes the verb and its arguments."""
    parser.about(
        "Says what is installed, which device, separator and styles will be used and why, "
        "and what to do about whatever is missing.",
        "Exit code: 0 when songs can be transferred here, 1 when something is broken.",
    )
    add_talk(parser)


def run(args: Arguments, console: Console) -> int:
    """Prints one line for each thing looked at."""
    import dataclasses
    import shutil
    import sys
    import textwrap

    from audiotransfer.cli.checks import examine

    findings = list(examine())
    width = max(len(finding.topic) for finding in findings)
    marks = {"ok": "ok     ", "missing": "missing", "broken": "BROKEN "}
    lines = []
    for finding in findings:
        lines.append(f"{marks[finding.state]}  {finding.topic:<{width}}  {finding.text}")
        if finding.remedy:
            lines.append(f"{'':{9 + width}}  -> {finding.remedy}")
    if sys.stdout.isatty():
        # What is read by a program stays one line for each.
        screen = textwrap.TextWrapper(
            width=shutil.get_terminal_size().columns,
            subsequent_indent=" " * (width + 11),
            break_long_words=False,
            break_on_hyphens=False,
        )
        lines = [screen.fill(line) for line in lines]
    console.result("\n".join(lines), [dataclasses.asdict(finding) for finding in findings])
    return 1 if any(finding.state == "broken" for finding in findings) else 0
