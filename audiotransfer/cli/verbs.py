"""The verbs of the command, and the help page that lists them."""

from __future__ import annotations

import importlib
import os
import textwrap
from typing import Protocol

from audiotransfer.cli.arguments import Arguments, Parser, style_names
from audiotransfer.cli.console import Console
from audiotransfer.errors import AudioTransferError
from audiotransfer.suggest import nearest, suggest

DEFAULT = "transfer"
#: Verb -> what it does. A verb is the module of its name in this package.
VERBS = {
    "transfer": "transfers songs to another style; the verb when none is given",
    "separate": "separates songs into stems",
    "remix": "mixes a folder of stems, with gains, mutes and other styles",
    "transcribe": "transcribes a song: beats, chords, melody, bass and form",
    "accompany": "harmonizes a melody in four parts, as in chorales (MIDI)",
    "drums": "generates, interpolates and humanises drums (MIDI)",
    "render": "renders a MIDI file as audio, or songs to train on",
    "serve": "serves a page to transfer, mix and hear songs in the browser",
    "demo": "transfers the song that comes with the program to jazz",
    "styles": "lists the styles that are installed, or shows one",
    "fetch": "downloads a separation model",
    "doctor": "shows what is installed, what will be used, and what is missing",
    "resynth": "turns a song into spectrograms and back, and measures the loss",
    "prepare": "prepares a collection of songs for training",
    "train": "trains a style from your songs, or what a config describes",
    "evaluate": "measures a style on songs, and compares it with baselines",
    "help": "explains a verb and its options",
}
_SIMILAR = 0.7  # least similarity of a misspelt verb to the one that is suggested


class Verb(Protocol):
    """The functions of a verb's module."""

    @staticmethod
    def configure(parser: Parser) -> None:
        """Describes the verb and its arguments."""

    @staticmethod
    def run(args: Arguments, console: Console) -> int:
        """Does the work; returns the exit code."""


def load(name: str) -> tuple[Verb, Parser]:
    """Imports a verb and makes the parser of its arguments.

    Raises AudioTransferError for an unknown verb; similar ones are named.
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
    """The help page of the whole command."""
    width = max(map(len, VERBS))
    verbs = "\n".join(f"  {name:<{width}}  {what}" for name, what in VERBS.items())
    return f"""\
usage: audiotransfer SONG... --style NAME [-o OUT] [options]
       audiotransfer VERB [options]

Transfers songs to another style: recordings (wav, flac, ogg, opus, mp3, aiff,
m4a), MIDI files, or folders of them. Each is written as SONG.STYLE.wav or
SONG.STYLE.mid here; the song itself stays as it is.

{_listed("styles for recordings:  ", style_names("spectral", covers=True))}
{_listed("styles for MIDI files:  ", style_names("symbolic"))}

examples:
  audiotransfer song.mp3 --style jazz                 writes song.jazz.wav
  audiotransfer song.mp3 --style jazz -o night.flac   the suffix is the format
  audiotransfer song.mp3 --style jazz --strength 0.5  half way
  audiotransfer album/ --style jazz -o jazz/          every song of a folder
  audiotransfer song.mid --style jazz --render        MIDI, and its sound
  audiotransfer separate song.mp3                     writes song.stems/

verbs:
{verbs}

All options: audiotransfer help transfer; of covers and of MIDI files:
audiotransfer --help-midi; of a verb: audiotransfer help VERB.
"""


def _listed(title: str, names: str) -> str:
    """Names after a title, on as many lines of the page as they need."""
    indent = " " * len(title)
    return textwrap.fill(
        names, 79, initial_indent=title, subsequent_indent=indent, break_on_hyphens=False
    )
