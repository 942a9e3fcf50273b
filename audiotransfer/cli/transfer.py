"""``audiotransfer SONG --style NAME``: the default verb."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from audiotransfer.cli.arguments import (
    Arguments,
    Parser,
    add_format,
    add_jobs,
    add_machine,
    add_score_output,
    add_separator,
    add_skip,
    add_songs,
    add_talk,
    named,
    place,
    style_names,
    text,
)
from audiotransfer.cli.batch import SCORES, Tally, check_only, find
from audiotransfer.cli.console import Console
from audiotransfer.cli.parts import add_cut, add_name, add_stem_format, cut, stem_format
from audiotransfer.cli.progress import LISTENING, PLAYING, WRITING
from audiotransfer.cli.scores import (
    check_score,
    is_score,
    say_what_means_nothing,
    transfer_midi_files,
)
from audiotransfer.errors import AudioTransferError

if TYPE_CHECKING:
    from audiotransfer.files import SongFile
    from audiotransfer.pipeline.batch import Outcome
    from audiotransfer.pipeline.options import TransferOptions
    from audiotransfer.pipeline.reporting import Progress

_STAGES = {"measure": LISTENING, "transfer": PLAYING, "write": WRITING}


def configure(parser: Parser) -> None:
    """Describes the verb and its arguments."""
    parser.usage = "audiotransfer SONG... --style NAME [-o OUT] [options]"
    parser.about(
        "Plays songs in another style. Length, rate, channels, loudness and tags stay those of "
        "the song; of a MIDI file the notes change.",
        "",
    )
    add_songs(parser, scores=True)
    style = parser.add_argument_group("what it becomes")
    style.add_argument(
        "--style",
        type=text,
        metavar="NAME",
        help=f"{style_names('spectral')}; of MIDI {style_names('symbolic')}; or a folder",
    )
    style.add_argument(
        "--strength", default="1", metavar="0..1", help="0: as it is, 1: all of the style (default)"
    )
    style.add_argument(
        "--stem",
        action="append",
        default=[],
        type=named,
        metavar="NAME=WHAT",
        help=(
            "keep, mute, STYLE or STYLE@STRENGTH for drums, bass, other or vocals (of MIDI: drums "
            "or pitched)"
        ),
    )
    style.add_argument(
        "--gain",
        action="append",
        default=[],
        type=named,
        metavar="NAME=DB",
        help="make a stem louder or softer (vocals=+2)",
    )
    style.add_argument(
        "--no-effects",
        dest="effects",
        action="store_false",
        help="without the style's amplifiers and other effects",
    )
    add_cut(style)
    written = add_format(parser)
    written.add_argument(
        "-o",
        "--out",
        type=text,
        metavar="OUT",
        help="file or folder to write (default SONG.STYLE.wav here)",
    )
    add_name(
        written,
        ("song", "style", "stem"),
        "as '{song} {style}'; with {stem}, of the stems too",
    )
    add_skip(written)
    written.add_argument(
        "--stems-out",
        type=place,
        metavar="DIR",
        help="also write the stems, before and after",
    )
    add_stem_format(written)
    add_score_output(written)
    worked = add_machine(parser)
    add_separator(worked)
    worked.add_argument(
        "--vocoder",
        default="auto",
        choices=("auto", "source", "griffinlim"),
        metavar="NAME",
        help="auto (what suits the style), source or griffinlim",
    )
    add_jobs(worked, "songs at a time (default 1, which uses several cores)")
    add_talk(parser)


def run(args: Arguments, console: Console) -> int:
    """Transfers every song that was named, recordings and MIDI files."""
    from audiotransfer.styles import style_label

    label = style_label(args.style)
    check_only(args.songs, scores=True)
    if args.style is None and not args.stem and not args.gain:
        raise AudioTransferError("no style given: name one (`audiotransfer styles` lists them)")
    songs, refused = _playable(args, find(args, console, scores=True), console)
    outputs = name_outputs(songs, args, label)
    tally = Tally(console, len(songs) + len(refused))
    for song, error in refused:
        tally.failure(song.path, AudioTransferError(f"{song.path}: {error}"))
    pairs = tally.without_existing(args, songs, outputs)
    if tally.songs == 1 and songs[0].folder is None:
        for only, output in pairs:
            check_place(only, output, args)
    scores = tally.readable([pair for pair in pairs if is_score(pair[0])], scores=True)
    recordings = [pair for pair in pairs if not is_score(pair[0])]
    if scores and cut(args).label:
        said = "--start, --end and --preview cut recordings, and MIDI files stay whole"
        if not recordings:
            raise AudioTransferError(f"{scores[0][0]}: {said}; leave them out")
        console.notice(said)
    if bool(scores) != bool(recordings):
        say_what_means_nothing(args, console, scores=bool(scores))
    if scores:
        transfer_midi_files(args, scores, tally, alone=not recordings)
    if recordings:
        _transfer_recordings(args, recordings, tally, alone=not scores)
    return tally.finish()


def _playable(
    args: Arguments, songs: list[SongFile], console: Console
) -> tuple[list[SongFile], list[tuple[SongFile, AudioTransferError]]]:
    """Songs that the style says something about, and those that were named though it does not,
    with why; what folders happen to hold of that kind is left out.

    Raises AudioTransferError where nothing is left.
    """
    refused: list[tuple[SongFile, AudioTransferError]] = []
    if args.style is None:
        return songs, refused
    errors: list[AudioTransferError] = []
    notices: list[str] = []
    left = songs
    for route, scores in (("spectral", False), ("symbolic", True)):
        found = [song for song in songs if is_score(song.path) == scores]
        try:
            if found:
                check_style(args.style, route=route)
        except AudioTransferError as error:
            errors.append(error)
            left = [song for song in left if song not in found]
            refused += [(song, error) for song in found if song.folder is None]
            others = sum(song.folder is not None for song in found)
            if others:
                kind = "MIDI file" if scores else "recording"
                many = f"{kind} is" if others == 1 else f"{kind}s are"
                notices.append(f"{others} {many} left out: {error}")
    if not left:
        raise errors[0]
    for notice in notices:
        console.notice(notice)
    return left, refused


def _transfer_recordings(
    args: Arguments, songs: list[tuple[Path, Path]], tally: Tally, *, alone: bool
) -> None:
    side_by_side = args.jobs not in (None, 1) or args.backend is not None
    titles = [f"{len(songs)} songs"] if side_by_side else [song.name for song, _ in songs]
    with tally.console.progress(*titles) as line:
        options = _options(args, alone)
        # torch is loaded here, once the first line says so.
        from audiotransfer.pipeline import transfer_many

        def show(_song: Path, progress: Progress) -> None:
            line.show(stage(progress), progress.share)

        def done(outcome: Outcome) -> None:
            if side_by_side:
                line.show("playing", (len(tally.done) + len(tally.failed) + 1) / tally.songs)
            else:
                line.next()
            if outcome.report is None:
                tally.failure(outcome.input, outcome.error or "failed")
            else:
                tally.success(str(outcome.report.output), outcome.report)

        inputs, outputs = zip(*songs, strict=True)
        transfer_many(inputs, outputs, options, show, done, jobs=args.jobs, backend=args.backend)


def stage(progress: Progress) -> str:
    """What is being done, for people."""
    return _STAGES.get(progress.stage, progress.stage)


def name_outputs(songs: list[SongFile], args: Arguments, label: str) -> list[Path]:
    """The file that each song becomes: ``SONG.jazz.wav`` or, of MIDI, ``SONG.jazz.mid``, or what
    --name says, here or in the folder -o; or just -o.

    Raises AudioTransferError where -o is one file for several songs, or not of this kind.
    """
    from audiotransfer import files

    out, kind = args.out, args.format
    suffix = f".{kind or 'wav'}"
    part = cut(args).label

    def ending(song: Path, label: str = "") -> str:
        return f"{label}{SCORES[0]}" if is_score(song) else f"{part}{label}{suffix}"

    if out is None or files.names_folder(out, len(songs)):
        if args.name is None:
            return files.name_outputs(songs, lambda song: ending(song, f".{label}"), out)
        # Songs of one name are told apart before the pattern is filled with it.
        places = files.name_outputs(songs, ending, out)
        names = [
            files.fill_pattern(args.name, song=place.stem, style=label, stem="mix")
            for place in places
        ]
        return [
            place.parent / (name + place.suffix) for place, name in zip(places, names, strict=True)
        ]
    if args.name is not None:
        raise AudioTransferError(
            f"-o {out} and --name contradict each other: give a folder to -o (end it in /)"
        )
    if kind and Path(out).suffix.lower() != suffix and not any(is_score(s.path) for s in songs):
        raise AudioTransferError(f"-o {out} and --format {kind} contradict each other")
    return [Path(out)]


def _options(args: Arguments, alone: bool) -> TransferOptions:
    """Among MIDI files (not ``alone``) the stem that only they have is passed over."""
    from audiotransfer.pipeline.options import (
        StemChoice,
        TransferOptions,
        check_gain,
        check_strength,
    )

    return TransferOptions(
        style=args.style,
        strength=check_strength(args.strength),
        stems={
            name: StemChoice.parse(choice)
            for name, choice in args.stem
            if alone or name != "pitched"
        },
        gains_db={name: check_gain(name, gain) for name, gain in args.gain},
        effects=args.effects,
        separator=args.separator,
        vocoder=args.vocoder,
        device=args.device,
        seed=args.seed,
        stems_out=args.stems_out,
        stem_format=stem_format(args),
        cut=cut(args),
        encoding=args.encoding,
        overwrite=args.force,
    )


def check_place(song: Path, output: Path, args: Arguments) -> None:
    """What is wrong with the only file, or with its output, is found before torch is loaded."""
    from audiotransfer import files

    with files.making(output.parent):
        if is_score(song):
            check_score(song, output, args)
            return
        info = files.probe(song)
        files.check_output(
            output,
            args.force,
            sample_rate=info.sample_rate,
            channels=min(2, info.channels),
            encoding=args.encoding,
        )


def check_style(name: str, route: str = "spectral") -> None:
    """A misspelt or damaged style is found before anything slow is loaded."""
    from audiotransfer.styles import check_playable, check_weights, find_style

    style = find_style(name, route=route)
    check_playable(style.card)
    check_weights(style.folder, style.card)
