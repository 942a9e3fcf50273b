"""``audiotransfer render``: scores become sound."""

from __future__ import annotations

from pathlib import Path

from audiotransfer.cli.arguments import Arguments, Parser, add_force, add_talk, place, text
from audiotransfer.cli.batch import SCORES, check_song
from audiotransfer.cli.console import Console
from audiotransfer.errors import AudioTransferError


def configure(parser: Parser) -> None:
    """Describes the verb and its arguments."""
    parser.about(
        "Plays a MIDI file with a soundfont; or, given a config, renders the songs that a "
        "training learns from.",
        """\
examples:
  audiotransfer render tune.mid
  audiotransfer render tune.mid -o tune.flac --soundfont band.sf2
  audiotransfer render bands songs=50 -o data/bands""",
    )
    parser.add_argument(
        "source",
        type=text,
        metavar="SCORE|CONFIG",
        help="a .mid file, or a config of songs to render",
    )
    parser.add_argument(
        "overrides", nargs="*", metavar="key=value", help="settings that differ from the config"
    )
    parser.add_argument(
        "-o", "--out", type=place, metavar="OUT", help="file, or folder of the rendered songs"
    )
    parser.add_argument(
        "--soundfont", type=place, metavar="FILE", help="an .sf2 or .sf3 (default: pretty_midi's)"
    )
    add_force(parser)
    add_talk(parser)


def run(args: Arguments, console: Console) -> int:
    """Renders one score, or a config's songs."""
    if Path(args.source).suffix.lower() in SCORES:
        return _render_score(args, console)
    from audiotransfer import recipes

    name = Path(args.source).stem
    folder = args.out or Path("data") / name
    with console.progress(name) as line:
        songs = recipes.render(args.source, args.overrides, folder, line.show)
    console.result(f"{len(songs)} songs in {folder}", {"folder": folder, "songs": songs})
    return 0


def _render_score(args: Arguments, console: Console) -> int:
    score = Path(args.source)
    check_song(score, scores=True)
    if args.overrides:
        raise AudioTransferError(f"{args.overrides[0]!r}: a score has no settings, a config has")
    from audiotransfer import files, midi
    from audiotransfer.symbolic.score import score_of

    target = args.out or Path(f"{score.stem}.wav")
    with files.making(target.parent):
        files.check_output(target, args.force)
        file = midi.read(score)
        for notice in file.notices:
            console.notice(notice)
        notes = score_of(file)
        from audiotransfer.pipeline.midi_output import render_midi

        render_midi(notes, target, args.soundfont, overwrite=args.force)
    console.result(str(target), {"input": str(score), "output": str(target)})
    return 0
