"""Options, checks and batches of the verbs that write MIDI files."""

from __future__ import annotations

from collections.abc import Sequence
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
    any_path,
    seed,
)
from audiotransfer.cli.batch import Batch, Report
from audiotransfer.cli.console import Console
from audiotransfer.errors import AudioTransferError

if TYPE_CHECKING:
    from audiotransfer.pipeline.midi_options import MidiExtras
    from audiotransfer.pipeline.midi_transfer import MidiOutcome

STEMS = ("pitched", "drums")
#: Options that MIDI files do not use, with their defaults.
_OF_RECORDINGS: dict[str, object] = {
    "separator": "auto",
    "vocoder": "auto",
    "gain": [],
    "effects": True,
    "stems_out": None,
}
#: Options that MIDI files use only with ``--render``.
_OF_SOUND: dict[str, object] = {"format": None, "encoding": "int16"}


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
        unused = [f"--{name}" for name in ("render", "plot") if getattr(args, name)]
        if unused:
            console.notice(f"{' and '.join(unused)}: for MIDI files only; a recording has no notes")
        return
    defaults = _OF_RECORDINGS if args.render or args.soundfont else _OF_RECORDINGS | _OF_SOUND
    names = {"stems_out": "stems-out", "effects": "no-effects", "encoding": args.encoding}
    unused = [
        f"--{names.get(name, name)}"
        for name, default in defaults.items()
        if getattr(args, name) != default
    ]
    if unused:
        console.notice(f"{', '.join(unused)}: for recordings only; MIDI files go without")


def transfer_midi(
    args: Arguments, pairs: Sequence[tuple[Path, Path]], batch: Batch, *, alone: bool
) -> None:
    """Transfers MIDI files to their outputs.

    If not ``alone`` (recordings are among the songs), stems that only recordings have are ignored.
    """
    from audiotransfer.pipeline.midi_options import MidiOptions
    from audiotransfer.pipeline.midi_transfer import transfer_midi_files
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
    )
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
