"""``audiotransfer transcribe``: writes the lead sheet of a song."""

from __future__ import annotations

import argparse
from pathlib import Path

from audiotransfer.cli.arguments import (
    Arguments,
    Parser,
    add_cache,
    add_cut,
    add_messages,
    add_overwrite,
    any_path,
    cut,
    name_list,
)
from audiotransfer.cli.batch import check_song, is_midi
from audiotransfer.cli.console import Console
from audiotransfer.cli.midi import print_written
from audiotransfer.cli.progress import stage
from audiotransfer.errors import AudioTransferError
from audiotransfer.pipeline.naming import ensure_folder
from audiotransfer.suggest import suggest

_FORMATS = ("json", "chords", "musicxml", "midi")


def _formats(word: str) -> tuple[str, ...]:
    """Formats of a transcription."""
    found = name_list(word)
    for name in found:
        if name not in _FORMATS:
            raise argparse.ArgumentTypeError(f"{name!r} is no format; {suggest(name, _FORMATS)}")
    return found


def configure(parser: Parser) -> None:
    """Describes the verb and its arguments."""
    parser.about(
        "Writes the lead sheet of a recording or a MIDI file: beats, metre, key, sections, chords, "
        "melody, bass and further notes. As JSON (all of it), as a chord sheet in text, in which "
        "chords can be corrected, as MusicXML for notation programs, and of a recording as MIDI "
        "that runs in time with it.",
        """\
examples:
  audiotransfer transcribe song.mp3            four files, here: song.mid,
      song.leadsheet.json, song.chords.txt, song.musicxml
  audiotransfer transcribe song.mp3 --formats midi -o midi
                                               midi/song.mid only
  audiotransfer song.mp3 --style jazz --leadsheet song.chords.txt
                                               arranged with corrected chords""",
    )
    parser.add_argument(
        "song", type=any_path, metavar="SONG", help="an audio file, or a MIDI file (mid, kar)"
    )
    add_cut(parser.add_argument_group("part of a recording"))
    output = parser.add_argument_group("output")
    output.add_argument(
        "-o",
        "--out",
        type=any_path,
        metavar="DIR",
        help="folder to write into (default: where you are)",
    )
    output.add_argument(
        "--formats",
        type=_formats,
        default=_FORMATS,
        metavar="NAME,...",
        help="json, chords, musicxml, midi (default: all)",
    )
    add_overwrite(output)
    add_cache(parser.add_argument_group("computing"))
    add_messages(parser)


def run(args: Arguments, console: Console) -> int:
    """Writes one song's lead sheet."""
    check_song(args.song, midi=True)
    if args.song.is_dir():
        raise AudioTransferError(f"{args.song} is a folder; give one song")
    part = cut(args)
    folder = args.out or Path()
    if is_midi(args.song):
        if part.label:
            raise AudioTransferError(f"--start, --end and --preview: {args.song} is a MIDI file")
        if args.formats == ("midi",):
            raise AudioTransferError(f"--formats midi: {args.song} is a MIDI file already")
    with console.progress(args.song.name) as line, ensure_folder(folder):
        if is_midi(args.song):
            from audiotransfer.pipeline.midi_transcription import transcribe_file

            report = transcribe_file(args.song, folder, args.force, args.formats)
        else:
            from audiotransfer.pipeline.cache import Cache, cache_folder
            from audiotransfer.pipeline.transcription import transcribe_recording

            report = transcribe_recording(
                args.song,
                part,
                folder,
                args.force,
                args.formats,
                lambda now: line.show(stage(now), now.share),
                Cache(cache_folder()) if args.cache else None,
            )
    return print_written(console, report.outputs, report)
