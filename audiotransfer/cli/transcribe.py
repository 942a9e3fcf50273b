"""``audiotransfer transcribe``: writes the lead sheet of a song."""

from __future__ import annotations

from pathlib import Path

from audiotransfer.cli.arguments import Arguments, Parser, add_messages, add_overwrite, any_path
from audiotransfer.cli.batch import check_song, is_midi
from audiotransfer.cli.console import Console
from audiotransfer.cli.midi import print_written
from audiotransfer.errors import AudioTransferError
from audiotransfer.pipeline.naming import ensure_folder


def configure(parser: Parser) -> None:
    """Describes the verb and its arguments."""
    parser.about(
        "Writes the lead sheet of a MIDI file: metre, key, sections, chords and melody. As JSON "
        "(all of it), as a chord sheet in text, in which chords can be corrected, and as MusicXML "
        "for notation programs.",
        """\
examples:
  audiotransfer transcribe song.mid            three files, here:
      song.leadsheet.json, song.chords.txt, song.musicxml
  audiotransfer transcribe song.mid -o sheets  in the folder sheets
  audiotransfer song.mid --style jazz --leadsheet song.chords.txt
                                               arranged with corrected chords""",
    )
    parser.add_argument("song", type=any_path, metavar="SONG", help="a MIDI file (mid, kar)")
    parser.add_argument(
        "-o",
        "--out",
        type=any_path,
        metavar="DIR",
        help="folder to write into (default: where you are)",
    )
    add_overwrite(parser.add_argument_group("output"))
    add_messages(parser)


def run(args: Arguments, console: Console) -> int:
    """Writes one song's lead sheet."""
    check_song(args.song, midi=True)
    if args.song.is_dir():
        raise AudioTransferError(f"{args.song} is a folder; give one MIDI file")
    if not is_midi(args.song):
        raise AudioTransferError(
            f"{args.song} is no MIDI file by its name, and recordings cannot be transcribed yet; "
            "give a .mid or .kar file"
        )
    folder = args.out or Path()
    with console.progress(args.song.name), ensure_folder(folder):
        from audiotransfer.pipeline.midi_transcription import transcribe_file

        report = transcribe_file(args.song, folder, args.force)
    return print_written(console, report.outputs, report)
