"""Options, checks and batches of the verbs that write MIDI files."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from audiotransfer import midi
from audiotransfer.atomic import check_place
from audiotransfer.cli.arguments import (
    Arguments,
    Group,
    Parser,
    add_messages,
    add_midi_output,
    add_overwrite,
    any_name,
    any_path,
    seed,
)
from audiotransfer.cli.batch import Batch, Report
from audiotransfer.cli.console import Console
from audiotransfer.errors import AudioTransferError
from audiotransfer.pipeline.cover_options import COVER, MODES, NETWORK
from audiotransfer.pipeline.midi_options import MELODY
from audiotransfer.suggest import suggest

if TYPE_CHECKING:
    from audiotransfer.pipeline.cover_options import CoverOptions
    from audiotransfer.pipeline.midi_options import MidiExtras
    from audiotransfer.pipeline.midi_transfer import MidiOutcome

STEMS = ("pitched", "drums")
#: Options that MIDI files do not use, with their defaults.
_OF_RECORDINGS: dict[str, object] = {
    "separator": "auto",
    "vocoder": "auto",
    "gain": [],
    "effects": True,
    "midi_out": None,
}
#: Options that only MIDI files use, those that only covers use, and those of networks.
_OF_MIDI: dict[str, object] = {"render": False, "soundfont": None, "plot": False, "score": False}
_OF_COVERS: dict[str, object] = {
    "lead": None,
    "transpose": 0,
    "tempo": None,
    "intro": 0,
    "outro": 0,
    "swing": None,
    "leadsheet": None,
}
_OF_NETWORKS: dict[str, object] = {"melody": "keep"}
#: Options that MIDI files use only with ``--render``.
_OF_SOUND: dict[str, object] = {"format": None, "encoding": "int16", "stems_out": None}


def mode(word: str) -> str:
    """A mode of MIDI files or recordings."""
    if word not in MODES:
        raise argparse.ArgumentTypeError(f"{word!r} is no mode; {suggest(word, MODES)}")
    return word


def whole(word: str) -> int:
    """A whole number, with or without a sign."""
    try:
        return int(word)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{word!r} is no whole number") from None


def number(word: str) -> float:
    """A number."""
    try:
        return float(word)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{word!r} is no number") from None


def melody(word: str) -> str:
    """``keep`` or ``change``."""
    if word not in MELODY:
        raise argparse.ArgumentTypeError(f"{word!r}: {suggest(word, MELODY)}")
    return word


def add_cover_options(parser: Parser) -> None:
    """The options of covers, and those that only MIDI files have, on the second help page."""
    cover = parser.add_later_group("covers (--mode cover)")
    cover.add_argument(
        "--lead", type=any_name, metavar="NAME", help="who plays the melody: sax, trumpet, piano"
    )
    cover.add_argument(
        "--transpose", type=whole, default=0, metavar="N", help="semitones up, or down (-3)"
    )
    cover.add_argument(
        "--swing",
        type=number,
        metavar="0..1",
        help="0: straight eighths, 1: as the style swings (default)",
    )
    cover.add_argument(
        "--leadsheet",
        type=any_path,
        metavar="FILE",
        help="chords and melody as corrected (see `audiotransfer transcribe`)",
    )
    cover.add_argument(
        "--midi-out",
        type=any_path,
        metavar="FILE",
        help="of recordings: also write the arrangement as MIDI, in time with the song",
    )
    longer = parser.add_later_group("covers of MIDI files")
    longer.add_argument(
        "--tempo", type=number, metavar="BPM", help="beats per minute (default: the song's)"
    )
    longer.add_argument("--intro", type=whole, default=0, metavar="N", help="add bars in front")
    longer.add_argument("--outro", type=whole, default=0, metavar="N", help="add bars at the end")
    network = parser.add_later_group("notes changed by a network (--mode network)")
    network.add_argument(
        "--melody",
        type=melody,
        default="keep",
        metavar="HOW",
        help="keep (default) or change the melody",
    )
    files = parser.add_later_group("files beside a MIDI file")
    add_midi_output(files, "the band's own instruments")
    files.add_argument("--score", action="store_true", help="also write notation (OUT.musicxml)")


def cover_options(args: Arguments) -> CoverOptions:
    """The options of covers."""
    from audiotransfer.pipeline.cover_options import CoverOptions

    return CoverOptions(**{name: getattr(args, name) for name in _OF_COVERS})


def add_sampling(group: Group, *, temperature: float, scale: str, same: str, model: str) -> None:
    """``--temperature``, ``--seed`` and ``--by`` of a verb that draws notes from a network.

    Args:
        temperature: default.
        scale: what its values mean.
        same: what stays the same with the same seed.
        model: the network and its config.
    """
    group.add_argument("--temperature", type=float, default=temperature, metavar="T", help=scale)
    group.add_argument(
        "--seed", type=seed, default=0, metavar="N", help=f"same seed, same {same} (default 0)"
    )
    group.add_argument(
        "--by", type=any_path, metavar="DIR", help=f"{model} made (default: the one that ships)"
    )


def add_written(parser: Parser) -> None:
    """The options of a verb that writes one MIDI file: files beside it, and messages."""
    output = parser.add_argument_group("output")
    add_midi_output(output)
    add_overwrite(output)
    add_messages(parser)


def midi_extras(args: Arguments) -> MidiExtras:
    """The files beside a MIDI file that ``--render``, ``--soundfont`` and ``--plot`` request."""
    from audiotransfer.pipeline.midi_options import MidiExtras

    return MidiExtras(
        render=args.render or args.soundfont is not None,
        soundfont=args.soundfont,
        suffix=f".{getattr(args, 'format', None) or 'wav'}",
        encoding=getattr(args, "encoding", "int16"),
        plot=args.plot,
        score=getattr(args, "score", False),
        stems_out=getattr(args, "stems_out", None),
        stems_suffix=f".{getattr(args, 'stems_format', 'wav')}",
    )


def print_written(console: Console, files: Sequence[str], report: Report) -> int:
    """Prints the files that a verb wrote, and its notices; returns the exit code."""
    for notice in report.notices:
        console.notice(notice)
    console.result("\n".join(files), report.to_dict())
    return 0


def check_midi(song: Path, output: Path, args: Arguments) -> None:
    """Reads a MIDI file and checks its output, before torch is imported.

    Raises AudioTransferError: the file is damaged, or the output cannot be written.
    """
    from audiotransfer.midi.score import WRITTEN

    midi.read(song)
    if output.suffix.lower() not in WRITTEN:
        raise AudioTransferError(
            f"-o {output} is no MIDI file by its name; end it in .mid (--render adds sound)"
        )
    check_place(output, args.force)


def notice_unused_options(args: Arguments, console: Console, *, midi: bool) -> None:
    """Prints a notice about options that have no effect on the only kind of file there is."""
    if not midi:
        unused = _given(args, _OF_MIDI | _OF_NETWORKS)
        if unused:
            console.notice(f"{' and '.join(unused)}: for MIDI files only; a recording has no notes")
        return
    unused = _given(args, _OF_RECORDINGS, {"effects": "no-effects", "midi_out": "midi-out"})
    if unused:
        console.notice(f"{', '.join(unused)}: for recordings only; MIDI files go without")
    if not (args.render or args.soundfont):
        silent = _given(args, _OF_SOUND, {"stems_out": "stems-out", "encoding": args.encoding})
        if silent:
            needs = "need" if len(silent) > 1 else "needs"
            console.notice(f"{', '.join(silent)}: {needs} --render with MIDI files")


def _given(
    args: Arguments, defaults: Mapping[str, object], names: Mapping[str, str] | None = None
) -> list[str]:
    """The options of these that were given, as they are written."""
    return [
        f"--{(names or {}).get(name, name)}"
        for name, default in defaults.items()
        if getattr(args, name) != default
    ]


def _notice_mode(args: Arguments, console: Console, mode: str) -> None:
    """Prints a notice about options that have no effect in the mode of the MIDI files."""
    if mode == NETWORK and (unused := _given(args, _OF_COVERS)):
        console.notice(f"{', '.join(unused)}: for covers only; --mode network goes without")
    rendered = args.render or args.soundfont is not None
    if mode == NETWORK and rendered and args.stems_out is not None:
        console.notice("--stems-out: for recordings and covers only; --mode network goes without")
    if mode == COVER and _given(args, _OF_NETWORKS):
        console.notice("--melody: for --mode network only; a cover keeps the melody")


def transfer_midi(
    args: Arguments, pairs: Sequence[tuple[Path, Path]], batch: Batch, *, alone: bool
) -> None:
    """Transfers MIDI files to their outputs.

    If not ``alone`` (recordings are among the songs), stems that only recordings have are ignored.
    """
    from audiotransfer.pipeline.midi_options import MidiOptions
    from audiotransfer.pipeline.midi_transfer import mode_of, transfer_midi_files
    from audiotransfer.pipeline.options import StemChoice, check_strength

    options = MidiOptions(
        style=args.style,
        strength=check_strength(args.strength),
        stems={
            name: StemChoice.parse(choice) for name, choice in args.stem if alone or name in STEMS
        },
        device=args.device,
        seed=args.seed,
        extras=midi_extras(args),
        overwrite=args.force,
        mode=args.mode,
        cover=cover_options(args),
        melody=args.melody,
    )
    _notice_mode(args, batch.console, mode_of(options))
    with batch.console.progress(*(song.name for song, _ in pairs)) as line:

        def done(outcome: MidiOutcome) -> None:
            line.next()
            report = outcome.report
            text = "\n".join([report.output, *report.files.values()]) if report else ""
            batch.record(outcome.input, text, report, outcome.error)

        songs, outputs = zip(*pairs, strict=True)
        transfer_midi_files(
            songs, outputs, options, lambda share: line.show("playing", share), done
        )
