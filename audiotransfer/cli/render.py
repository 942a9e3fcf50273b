"""``audiotransfer render``: renders MIDI files as audio."""

from __future__ import annotations

from pathlib import Path

from audiotransfer.audio.writing import check_output
from audiotransfer.cli.arguments import (
    Arguments,
    Parser,
    add_messages,
    add_overwrite,
    any_name,
    any_path,
)
from audiotransfer.cli.batch import check_song, is_midi
from audiotransfer.cli.console import Console
from audiotransfer.errors import AudioTransferError
from audiotransfer.pipeline.naming import ensure_folder


def configure(parser: Parser) -> None:
    """Describes the verb and its arguments."""
    parser.about(
        "Renders a MIDI file as audio with a soundfont; or, given a config, renders songs to "
        "train on.",
        """\
examples:
  audiotransfer render tune.mid
  audiotransfer render tune.mid -o tune.flac --soundfont band.sf2
  audiotransfer render ensembles songs=50 -o data/ensembles""",
    )
    parser.add_argument(
        "source",
        type=any_name,
        metavar="FILE|CONFIG",
        help="a .mid file, or a config of songs to render",
    )
    parser.add_argument(
        "overrides", nargs="*", metavar="key=value", help="settings that differ from the config"
    )
    parser.add_argument(
        "-o", "--out", type=any_path, metavar="OUT", help="file, or folder of the rendered songs"
    )
    parser.add_argument(
        "--soundfont",
        type=any_path,
        metavar="FILE",
        help="an .sf2 or .sf3 (default: pretty_midi's)",
    )
    add_overwrite(parser)
    add_messages(parser)


def run(args: Arguments, console: Console) -> int:
    """Renders one MIDI file, or the songs of a config."""
    if is_midi(Path(args.source)):
        return _render_midi(args, console)
    from audiotransfer import recipes
    from audiotransfer.training.config import find_config

    name = find_config(args.source).stem
    folder = args.out or Path("data") / name
    with console.progress(name) as line:
        songs = recipes.render(args.source, args.overrides, folder, line.show)
    console.result(f"{len(songs)} songs in {folder}", {"folder": folder, "songs": songs})
    return 0


def _render_midi(args: Arguments, console: Console) -> int:
    source = Path(args.source)
    check_song(source, midi=True)
    if args.overrides:
        raise AudioTransferError(
            f"{args.overrides[0]!r}: settings are for configs, not for MIDI files"
        )
    from audiotransfer import midi
    from audiotransfer.midi.score import score_of

    target = args.out or Path(f"{source.stem}.wav")
    with ensure_folder(target.parent):
        check_output(target, args.force)
        file = midi.read(source)
        for notice in file.notices:
            console.notice(notice)
        notes = score_of(file)
        from audiotransfer.pipeline.midi_output import render_midi

        render_midi(notes, target, args.soundfont, overwrite=args.force)
    console.result(str(target), {"input": str(source), "output": str(target)})
    return 0
