"""What the command can do: its verbs, and the page that lists them."""

from __future__ import annotations

import importlib
import os
from typing import Protocol

from audiotransfer.cli.arguments import Arguments, Parser, style_names
from audiotransfer.cli.console import Console
from audiotransfer.errors import AudioTransferError
from audiotransfer.suggest import nearest, suggest

DEFAULT = "transfer"
#: Verb -> what it does. A verb is the module of its name in this package.
VERBS = {
    "transfer": "plays songs in another style; what happens when no verb is given",
    "separate": "takes songs apart into stems",
    "remix": "mixes a folder of stems to a song, with gains, mutes and swaps",
    "accompany": "sets three voices below a melody (MIDI), as in chorales",
    "drums": "makes beats up, goes from one to another, humanises them (MIDI)",
    "render": "plays a MIDI file, or renders training songs from scores",
    "demo": "turns the song that comes with the program into jazz",
    "styles": "lists the styles that are installed, or shows one",
    "fetch": "downloads a separation model",
    "doctor": "says what is installed, what will be used, and what is missing",
    "resynth": "turns a song into pictures and back, and measures what is lost",
    "prepare": "makes a collection of songs ready for training",
    "train": "trains a style, a separator or a judge from a config",
    "evaluate": "measures a style on songs, beside what any style has to beat",
    "help": "explains a verb with all its options",
}
_SIMILAR = 0.7  # similarity of a misspelt verb


class Verb(Protocol):
    """What a verb's module offers."""

    @staticmethod
    def configure(parser: Parser) -> None:
        """Describes the verb and its arguments."""

    @staticmethod
    def run(args: Arguments, console: Console) -> int:
        """Does the work; returns the exit code."""


def load(name: str) -> tuple[Verb, Parser]:
    """A verb and the parser of its arguments.

    Raises AudioTransferError, with the nearest ones, for a verb that is not there.
    """
    if name not in VERBS:
        raise AudioTransferError(f"unknown verb {name!r}: {suggest(name, VERBS, 1, _SIMILAR)}")
    parser = Parser(prog="audiotransfer" if name == DEFAULT else f"audiotransfer {name}")
    verb: Verb = importlib.import_module(f"audiotransfer.cli.{name}")  # type: ignore[assignment]
    verb.configure(parser)
    return verb, parser


def check_first(word: str) -> None:
    """Raises AudioTransferError where a command begins with a word that is no file and resembles
    a verb.
    """
    near = [] if set(word) & set("-./\\") else nearest(word, VERBS, cutoff=_SIMILAR)
    if near and not os.path.lexists(word):
        raise AudioTransferError(
            f"{word!r} is no verb, and no file of this name is here; did you mean {near[0]}?"
        )


def overview() -> str:
    """The page of the whole command."""
    width = max(map(len, VERBS))
    verbs = "\n".join(f"  {name:<{width}}  {what}" for name, what in VERBS.items())
    return f"""\
usage: audiotransfer SONG... --style NAME [-o OUT] [options]
       audiotransfer VERB [options]

Plays songs in another style: recordings (wav, flac, ogg, opus, mp3, aiff, m4a)
and MIDI files, or folders of them. Each becomes SONG.STYLE.wav or
SONG.STYLE.mid here; the song itself stays as it is.

styles for recordings:  {style_names("spectral")}
styles for MIDI files:  {style_names("symbolic")}

examples:
  audiotransfer song.mp3 --style jazz                 writes song.jazz.wav
  audiotransfer song.mp3 --style jazz -o night.flac   kind of file by its suffix
  audiotransfer song.mp3 --style jazz --strength 0.5  half way
  audiotransfer album/ --style jazz -o jazz/          every song of a folder
  audiotransfer song.mid --style jazz --render        MIDI, and how it sounds
  audiotransfer separate song.mp3                     its stems, as song.stems/

verbs:
{verbs}

All options: audiotransfer help transfer; of a verb: audiotransfer help VERB.
"""
