"""What the verbs share that write MIDI."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from audiotransfer.cli.arguments import Arguments
from audiotransfer.cli.batch import SCORES, WRITTEN, Tally
from audiotransfer.cli.console import Console
from audiotransfer.errors import AudioTransferError

if TYPE_CHECKING:
    from audiotransfer.pipeline.midi_output import MidiExtras
    from audiotransfer.pipeline.midi_transfer import MidiOutcome

STEMS = ("pitched", "drums")
#: Options of the main verb that say how a recording is worked on, with what they are by default.
_OF_RECORDINGS: dict[str, object] = {
    "separator": "auto",
    "vocoder": "auto",
    "gain": [],
    "effects": True,
    "stems_out": None,
}
_OF_SOUND: dict[str, object] = {"format": None, "encoding": "int16"}


def is_score(path: Path) -> bool:
    """Whether a file is MIDI by its name."""
    return path.suffix.lower() in SCORES


def midi_extras(args: Arguments) -> MidiExtras:
    """What --render, --soundfont and --plot ask for."""
    from audiotransfer.pipeline.midi_output import MidiExtras

    return MidiExtras(
        render=args.render or args.soundfont is not None,
        soundfont=args.soundfont,
        suffix=f".{getattr(args, 'format', None) or 'wav'}",
        encoding=getattr(args, "encoding", "int16"),
        plot=args.plot,
    )


def check_score(song: Path, output: Path, args: Arguments) -> None:
    """What is wrong with an only MIDI file, or with its output, is found before torch is loaded."""
    from audiotransfer import files, midi

    midi.read(song)
    if output.suffix.lower() not in WRITTEN:
        raise AudioTransferError(
            f"-o {output} is no MIDI file by its name; end it in .mid (--render adds sound)"
        )
    files.check_place(output, args.force)


def say_what_means_nothing(args: Arguments, console: Console, *, scores: bool) -> None:
    """A notice about options that say nothing about the only kind of file that was named."""
    if not scores:
        idle = [f"--{name}" for name in ("render", "plot") if getattr(args, name)]
        if idle:
            console.notice(f"{' and '.join(idle)}: for MIDI files only; a recording has no notes")
        return
    told = _OF_RECORDINGS if args.render or args.soundfont else _OF_RECORDINGS | _OF_SOUND
    names = {"stems_out": "stems-out", "effects": "no-effects", "encoding": args.encoding}
    idle = [
        f"--{names.get(name, name)}" for name, usual in told.items() if getattr(args, name) != usual
    ]
    if idle:
        console.notice(f"{', '.join(idle)}: for recordings only; MIDI files go without")


def transfer_midi_files(
    args: Arguments, scores: Sequence[tuple[Path, Path]], tally: Tally, *, alone: bool
) -> None:
    """Transfers MIDI files to their outputs; among recordings (not ``alone``) only stems that
    scores have count.
    """
    from audiotransfer.pipeline.midi_transfer import MidiOptions
    from audiotransfer.pipeline.midi_transfer import transfer_midi_files as work
    from audiotransfer.pipeline.options import StemChoice, check_strength

    stems = {name: choice for name, choice in args.stem if alone or name in STEMS}
    options = MidiOptions(
        style=args.style,
        strength=check_strength(args.strength),
        stems={name: StemChoice.parse(choice) for name, choice in stems.items()},
        device=args.device,
        seed=args.seed,
        extras=midi_extras(args),
        overwrite=args.force,
    )
    with tally.console.progress(*(score.name for score, _ in scores)) as line:

        def done(outcome: MidiOutcome) -> None:
            line.next()
            if outcome.report is None:
                tally.failure(outcome.input, outcome.error or "failed")
            else:
                written = [outcome.report.output, *outcome.report.files.values()]
                tally.success("\n".join(written), outcome.report)

        inputs, outputs = zip(*scores, strict=True)
        work(inputs, outputs, options, lambda share: line.show("playing", share), done)
