"""``audiotransfer styles``: lists the installed styles, or shows one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from audiotransfer.cli.arguments import Arguments, Parser, add_messages, any_name
from audiotransfer.cli.console import Console
from audiotransfer.errors import AudioTransferError
from audiotransfer.styles.card import PLAYS

if TYPE_CHECKING:
    from audiotransfer.styles import Installed


def configure(parser: Parser) -> None:
    """Describes the verb and its arguments."""
    parser.about(
        "Lists the installed styles, first those for recordings, then those for MIDI files. A "
        "name may be in both lists. With a name, shows the card of the style.",
        """\
examples:
  audiotransfer styles              all styles
  audiotransfer styles jazz         its training data and measured quality
  audiotransfer styles --json       all cards as JSON

Styles are looked for in the folders that $AUDIOTRANSFER_STYLES names, in your
data folder, and in the package.""",
    )
    parser.add_argument(
        "name", nargs="?", type=any_name, metavar="NAME", help="show the card of this style"
    )
    add_messages(parser)


def run(args: Arguments, console: Console) -> int:
    """Prints the list of styles, or one card."""
    from audiotransfer.styles import installed

    found = installed()
    if args.name is None:
        console.result(_listing(found), [_values(style) for style in found])
        return 0
    chosen = [style for style in found if style.card.name == args.name] or [_named(args.name)]
    text = "\n\n".join("\n".join(_card(style)) for style in chosen)
    console.result(text, [_values(style) for style in chosen])
    return 0


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
    width = max(len(offers(style)) for style in styles)
    blocks = []
    for kind in dict.fromkeys(PLAYS.values()):
        rows = [
            f"  {style.card.name:<{name}}  {offered:<{width}}  {style.card.description}"
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
    if card.route == "symbolic" and stems:
        stems = ["network"]
    return ", ".join([*(["cover"] if card.band else []), *stems]) or "nothing"


def _card(style: Installed) -> Iterator[str]:
    from audiotransfer.styles.card import SILENT

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
