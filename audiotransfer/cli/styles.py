"""``audiotransfer styles``: lists the installed styles, or shows one."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from audiotransfer.cli.arguments import Arguments, Parser, add_messages, any_name
from audiotransfer.cli.console import Console
from audiotransfer.errors import AudioTransferError
from audiotransfer.styles.card import PLAYS, SILENT

if TYPE_CHECKING:
    from audiotransfer.styles import Card, Installed

_WIDTH = 80
_PUBLISH = """\
You may publish what it makes as far as you may publish the song: a cover needs
what any cover of it needs."""


def configure(parser: Parser) -> None:
    """Describes the verb and its arguments."""
    parser.about(
        "Lists the installed styles, first those for recordings, then those for MIDI files. A "
        "name may be in both lists. With a name, says what the style does and how well.",
        """\
examples:
  audiotransfer styles              all styles
  audiotransfer styles jazz         what it does, how well, from what
  audiotransfer styles jazz --card  everything that was measured
  audiotransfer styles jazz --credits > credits.txt
  audiotransfer styles --json       all cards as JSON

Styles are looked for in the folders that $AUDIOTRANSFER_STYLES names, in your
data folder, and in the package.""",
    )
    parser.add_argument("name", nargs="?", type=any_name, metavar="NAME", help="show this style")
    parser.add_argument(
        "--card", action="store_true", help="show the whole card of the style, all figures"
    )
    parser.add_argument(
        "--credits",
        action="store_true",
        help="only the lines that belong to a cover that is published",
    )
    add_messages(parser)


def run(args: Arguments, console: Console) -> int:
    """Prints the list of styles, or one card."""
    from audiotransfer.styles import installed

    if args.name is None and (args.card or args.credits):
        raise AudioTransferError(
            f"{'--card' if args.card else '--credits'} is of one style: name it"
        )
    found = installed()
    if args.name is None:
        console.result(_listing(found), [_values(style) for style in found])
        return 0
    chosen = [style for style in found if style.card.name == args.name] or [_named(args.name)]
    if args.credits:
        lines = list(dict.fromkeys(line for style in chosen for line in _credits(style)))
        if not lines:
            console.notice(f"{args.name} has no samples that ask for a credit")
        console.result("\n".join(lines), lines)
        return 0
    shown = _card if args.card else _overview
    text = "\n\n".join("\n".join(shown(style)) for style in chosen)
    if not args.card:
        text = f"{text}\n\n{_PUBLISH}"
        if any(_credits(style) for style in chosen):
            text += (
                " Some of its samples ask for a credit:\n"
                f"audiotransfer styles {args.name} --credits prints the lines to copy."
            )
        text += f"\nAll figures: audiotransfer styles {args.name} --card"
    console.result(text, [_values(style) for style in chosen])
    return 0


def _credits(style: Installed) -> list[str]:
    """The credits of the instruments of a style's band."""
    if not style.card.band:
        return []
    from audiotransfer.cover.band import read_band
    from audiotransfer.cover.credits import band_credits

    return list(band_credits(read_band(style.folder / style.card.band)))


def _named(name: str) -> Installed:
    """The style in a folder of this name, of any route.

    Raises AudioTransferError where there is none; similar names are given.
    """
    from audiotransfer.styles import find_style
    from audiotransfer.styles.card import ROUTES

    errors = []
    for route in ROUTES:
        try:
            return find_style(name, route=route)
        except AudioTransferError as error:
            errors.append(error)
    raise errors[0]


def _values(style: Installed) -> dict[str, Any]:
    return {**style.card.to_dict(), "folder": str(style.folder)}


def _listing(styles: list[Installed]) -> str:
    if not styles:
        return "no style is installed; put a style's folder into $AUDIOTRANSFER_STYLES"
    name = max(len(style.card.name) for style in styles)
    indent = " " * (name + 4)
    blocks = []
    for kind in dict.fromkeys(PLAYS.values()):
        rows = [
            f"  {style.card.name:<{name}}  {offered}\n"
            + textwrap.fill(
                style.card.description, _WIDTH, initial_indent=indent, subsequent_indent=indent
            )
            for style in styles
            if (offered := _offered(style, kind, styles))
        ]
        if rows:
            blocks.append("\n".join([f"for {kind}:", *rows]))
    return "\n\n".join(blocks)


def _offered(style: Installed, kind: str, styles: list[Installed]) -> str:
    """What a style offers for this kind of input; empty where it is not for it.

    A band for MIDI files plays recordings too, unless a style for these has the name.
    """
    if PLAYS[style.card.route] == kind:
        return offers(style)
    named = [other.card.name for other in styles if PLAYS[other.card.route] == kind]
    plays = bool(style.card.band) and kind != PLAYS["symbolic"]
    return "cover" if plays and style.card.name not in named else ""


def offers(style: Installed) -> str:
    """What a style changes: stems of recordings, modes of MIDI files."""
    card = style.card
    stems = [stem for stem, entry in card.stems.items() if entry]
    modes = ["cover"] if card.band else []
    if stems:
        modes.append("network" if card.route == "symbolic" else f"timbre of {', '.join(stems)}")
    return "; ".join(modes) or "nothing"


def _overview(style: Installed) -> Iterator[str]:
    """What one hears, modes, size, origin and quality of a style, in a few lines."""
    card = style.card
    yield textwrap.fill(f"{card.name}, for {PLAYS[card.route]}: {card.description}", _WIDTH)
    yield _row("modes", _modes(style))
    entries = [entry for entry in card.stems.values() if entry]
    for reason in dict.fromkeys(entry.options.get(SILENT) for entry in entries):
        if reason:
            yield _row("", f"plays no songs: {reason}")
    files = [style.folder / file for file in card.weights]
    if weights := sum(path.stat().st_size for path in files if path.is_file()):
        yield _row("size", f"{weights / 1e6:.1f} MB of weights")
    if card.steps:
        where = f" on {card.hardware}" if card.hardware else ""
        yield _row("trained", f"{card.hours:g} h{where}")
    if card.corpora:
        names = (f"{c.get('name', '?')} ({c.get('licence', 'unknown')})" for c in card.corpora)
        yield _row("from", ", ".join(names))
    for verdict in _verdicts(card):
        yield _row("quality", verdict)


def _row(title: str, text: str) -> str:
    """A title and its text, wrapped."""
    return textwrap.fill(text, _WIDTH, initial_indent=f"  {title:<9}", subsequent_indent=" " * 11)


def _modes(style: Installed) -> str:
    card = style.card
    changed = [stem for stem, entry in card.stems.items() if entry]
    modes = ["cover"] if card.band else []
    if changed:
        symbolic = card.route == "symbolic"
        modes.append("network" if symbolic else f"timbre ({', '.join(changed)})")
    chosen = f"; by itself it takes {card.auto}" if card.auto and len(modes) > 1 else ""
    return " or ".join(modes) + chosen if modes else "nothing"


def _verdicts(card: Card) -> Iterator[str]:
    """Sentences on the figures that a card has, of those that say most."""
    figures = dict(_flat(card.figures))
    moved = figures.get(f"recordings: style / toward {card.name}")
    if kept := figures.get("recordings: style / centred chroma"):
        toward = f"{_recognised('a genre classifier moves towards it', moved)}; " if moved else ""
        yield (
            f"timbre, {figures['recordings']}: {toward}melody kept "
            f"{kept} (chroma), rhythm {figures['recordings: style / onset correlation']} (onsets), "
            "of 1 for all"
        )
    if ratio := figures.get("style / distance ratio"):
        equaliser = figures.get("matched EQ / distance ratio")
        beside = f"; a matched equaliser {_nearer(equaliser)}" if equaliser else ""
        yield (
            f"timbre, {_nearer(ratio)} to a true rendering than doing nothing (ratio {ratio})"
            f"{beside}"
        )
    if melody := figures.get("cover / melody kept"):
        tagger = figures.get("cover / outside tagger: jazz first of 50")
        first = f"; {_recognised('an outside tagger has jazz first', tagger)}" if tagger else ""
        yield f"cover, melody kept {melody}, of 1 for all{first}"


def _recognised(what: str, share: str) -> str:
    """A share of songs with a verdict."""
    value = float(share)
    verdict = "mostly" if value >= 0.75 else "partly" if value >= 0.4 else "seldom"
    return f"{what} on {100 * value:.0f} % ({verdict} recognised)"


def _nearer(ratio: str) -> str:
    """A ratio of distances as how much nearer it is."""
    share = 100 * (1 - float(ratio))
    return f"{share:.0f} % nearer" if share > 0.5 else "no nearer"


def _card(style: Installed) -> Iterator[str]:
    card = style.card
    yield f"{card.name}, for {PLAYS[card.route]}: {card.description}"
    for stem, entry in card.stems.items():
        yield f"  {stem:<8} {entry.route + ' route, ' + entry.weights if entry else 'kept'}"
        if entry and SILENT in entry.options:
            yield f"  {'':<8} plays no songs: {entry.options[SILENT]}"
        for setting in card.effects.get(stem, ()):
            yield f"  {'':<8} then {_effect(setting)}"
    if card.band:
        yield f"  {'cover':<8} {card.band}"
    if card.auto:
        yield f"  {'auto':<8} {card.auto}"
    yield f"folder    {style.folder}"
    if card.steps:
        where = f" on {card.hardware}" if card.hardware else ""
        yield f"trained   {card.steps} steps, {card.hours:g} h{where}, seed {card.seed}"
    for corpus in card.corpora:
        yield f"from      {corpus.get('name', '?')} ({corpus.get('licence', 'licence unknown')})"
    for name, value in _flat(card.figures):
        yield f"measured  {name}: {value}"


def _effect(setting: dict[str, Any]) -> str:
    """An effect as text, such as ``gain (db 3)``."""
    settings = (f"{name} {value}" for name, value in setting.items() if name != "effect")
    return f"{setting.get('effect')} ({', '.join(settings)})"


def _flat(values: dict[str, Any], above: str = "") -> Iterator[tuple[str, str]]:
    for name, value in values.items():
        label = f"{above} / {name}" if above else name
        if isinstance(value, dict):
            yield from _flat(value, label)
        else:
            yield label, f"{value:.3g}" if isinstance(value, float) else str(value)
