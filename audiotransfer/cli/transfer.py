"""``audiotransfer SONG --style NAME``: transfers songs to another style; the default verb."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from audiotransfer.atomic import check_place
from audiotransfer.audio.reading import AUDIO_SUFFIXES, probe_audio
from audiotransfer.audio.writing import check_output
from audiotransfer.cli.arguments import (
    Arguments,
    Parser,
    add_cache,
    add_computing,
    add_cut,
    add_format,
    add_jobs,
    add_messages,
    add_name,
    add_second_page,
    add_separator,
    add_skip,
    add_songs,
    add_stem_format,
    all_style_names,
    any_name,
    any_path,
    cut,
    inverter_or_auto,
    name_value,
    stem_format,
)
from audiotransfer.cli.batch import Batch, check_only, check_song, find, is_midi
from audiotransfer.cli.console import Console
from audiotransfer.cli.midi import (
    add_cover_options,
    check_midi,
    cover_options,
    mode,
    notice_unused_options,
    transfer_midi,
)
from audiotransfer.cli.progress import stage
from audiotransfer.errors import AudioTransferError
from audiotransfer.pipeline.cover_options import check_mode
from audiotransfer.pipeline.naming import ensure_folder, fill_pattern, names_folder, output_paths

if TYPE_CHECKING:
    from audiotransfer.pipeline.batch import Outcome
    from audiotransfer.pipeline.naming import SongFile
    from audiotransfer.pipeline.options import TransferOptions
    from audiotransfer.pipeline.plan import Plan
    from audiotransfer.pipeline.reporting import Progress


def configure(parser: Parser) -> None:
    """Describes the verb and its arguments."""
    parser.usage = "audiotransfer SONG... --style NAME [-o OUT] [options]"
    parser.about(
        "Transfers songs to another style. Length, loudness and tags stay the song's.",
        "",
    )
    add_songs(parser, midi=True)
    style = parser.add_argument_group("style")
    style.add_argument(
        "--style",
        type=any_name,
        metavar="NAME",
        help=f"{all_style_names()}; a folder, a song",
    )
    style.add_argument(
        "--mode",
        default="auto",
        type=mode,
        metavar="HOW",
        help=(
            "auto (default), cover (by the style's band), timbre (recordings' sound) or network "
            "(MIDI files' notes)"
        ),
    )
    style.add_argument(
        "--strength",
        default="1",
        metavar="0..1",
        help="0: the song as it is, 1: all of the style (default)",
    )
    style.add_argument(
        "--stem",
        action="append",
        default=[],
        type=name_value,
        metavar="NAME=WHAT",
        help=(
            "keep, mute, cover, timbre, STYLE or STYLE@STRENGTH for drums, bass, other or vocals "
            "(of MIDI: drums, pitched)"
        ),
    )
    style.add_argument(
        "--gain",
        action="append",
        default=[],
        type=name_value,
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
    add_second_page(style, "--help-midi", "print further options: covers, MIDI files, cache")
    output = add_format(parser)
    output.add_argument(
        "-o",
        "--out",
        type=any_name,
        metavar="OUT",
        help="file or folder to write (default SONG.STYLE.wav here)",
    )
    add_name(
        output,
        ("song", "style", "stem"),
        "as '{song} {style}'; with {stem}, of the stems too",
    )
    add_skip(output)
    output.add_argument(
        "--stems-out",
        type=any_path,
        metavar="DIR",
        help="also write the stems, before and after",
    )
    add_stem_format(output, "stems-")
    output.add_argument(
        "--report",
        type=any_path,
        metavar="FILE",
        help="an HTML page with players on what was changed",
    )
    add_cover_options(parser)
    add_cache(parser.add_later_group("cache of separations and transcriptions (see doctor)"))
    computing = add_computing(parser)
    add_separator(computing)
    computing.add_argument(
        "--vocoder",
        default="auto",
        type=inverter_or_auto,
        metavar="NAME",
        help="auto, source, or another that resynth --help lists",
    )
    add_jobs(computing, "songs at a time (default 1, which uses several cores)")
    add_messages(parser)


def run(args: Arguments, console: Console) -> int:
    """Transfers all songs of the command line, recordings and MIDI files."""
    from audiotransfer.styles import style_label

    check_only(args.songs, midi=True)
    if args.style is None and not args.stem and not args.gain:
        raise AudioTransferError("no style given: name one (`audiotransfer styles` lists them)")
    if args.leadsheet is not None and not Path(args.leadsheet).is_file():
        raise AudioTransferError(f"lead sheet {args.leadsheet} does not exist; check the name")
    if args.style is not None and Path(args.style).suffix.lower() in AUDIO_SUFFIXES:
        args.style = _style_of_song(args, console)
    songs, refused = _of_style(args, find(args, console, midi=True), console)
    outputs = name_outputs(songs, args, style_label(args.style))
    batch = Batch(console, len(songs) + len(refused))
    for song, error in refused:
        batch.fail(song.path, AudioTransferError(f"{song.path}: {error}"))
    pairs = batch.without_existing(args, songs, outputs)
    if batch.size == 1 and songs[0].folder is None:
        for only, output in pairs:
            _check_pair(only, output, args)
    midi = batch.checked([pair for pair in pairs if is_midi(pair[0])], midi=True)
    recordings = [pair for pair in pairs if not is_midi(pair[0])]
    if midi and cut(args).label:
        refusal = "--start, --end and --preview cut recordings, and MIDI files stay whole"
        if not recordings:
            raise AudioTransferError(f"{midi[0][0]}: {refusal}; leave them out")
        console.notice(refusal)
    if bool(midi) != bool(recordings):
        notice_unused_options(args, console, midi=bool(midi))
    _check_report(args, recordings, midi)
    if midi:
        transfer_midi(args, midi, batch, alone=not recordings)
    if recordings:
        with _stems_of_the_report(args):
            _transfer_recordings(args, recordings, batch, alone=not midi)
    return batch.finish()


def _style_of_song(args: Arguments, console: Console) -> str:
    """The folder of a style that sounds like the song that is named in place of a style."""
    song = Path(args.style)
    check_song(song)
    with console.progress(song.name) as line:
        from audiotransfer.pipeline import resolve_device, resolve_separator
        from audiotransfer.pipeline.cache import cache_folder
        from audiotransfer.preparation.reference_style import making_seconds, reference_style
        from audiotransfer.timing import clock

        device = resolve_device(args.device)
        separator, label, _ = resolve_separator(args.separator, device)
        place = cache_folder().parent / "reference-styles"
        if seconds := making_seconds(song, place, label, device):
            console.notice(
                f"{song.name}: its style takes about {clock(max(1.0, seconds))} here to make, and "
                "is kept for the next time"
            )
        found = reference_style(song, place, separator, label, line.show)
    console.notice(found.words())
    return str(found.folder)


def _check_report(
    args: Arguments, recordings: list[tuple[Path, Path]], midi: list[tuple[Path, Path]]
) -> None:
    """Raises AudioTransferError for a report that cannot be written."""
    if args.report is None:
        return
    if midi or len(recordings) != 1:
        raise AudioTransferError(f"--report {args.report} is on one recording: name one song")
    check_place(args.report, args.force)


@contextmanager
def _stems_of_the_report(args: Arguments) -> Iterator[None]:
    """Has the stems written for a while, where a report needs them and nobody asked for them."""
    args.temporary_stems = args.report is not None and args.stems_out is None
    if not args.temporary_stems:
        yield
        return
    with tempfile.TemporaryDirectory() as folder:
        args.stems_out = Path(folder)
        yield


def check_style(name: str, *, midi: bool = False) -> None:
    """Finds a style and checks its weights before torch is imported.

    Raises AudioTransferError where it is unknown or damaged, or cannot be used on recordings.
    """
    from audiotransfer.styles import (
        check_playable,
        check_weights,
        find_for_recordings,
        find_style,
    )

    style = find_style(name, route="symbolic") if midi else find_for_recordings(name)
    check_playable(style.card)
    check_weights(style.folder, style.card)


def _of_style(
    args: Arguments, songs: list[SongFile], console: Console
) -> tuple[list[SongFile], list[tuple[SongFile, AudioTransferError]]]:
    """The songs that style and mode can be applied to, and the others with the reason.

    A style may be for recordings, for MIDI files or both. Songs of the other kind that were found
    in folders are left out with a notice.

    Raises AudioTransferError where no song is left.
    """
    refused: list[tuple[SongFile, AudioTransferError]] = []
    errors: list[AudioTransferError] = []
    notices: list[str] = []
    left = songs
    for midi in (False, True):
        found = [song for song in songs if is_midi(song.path) == midi]
        try:
            if found:
                check_mode(args.mode, midi=midi)
                if args.style is not None:
                    check_style(args.style, midi=midi)
        except AudioTransferError as error:
            errors.append(error)
            left = [song for song in left if song not in found]
            refused += [(song, error) for song in found if song.folder is None]
            others = sum(song.folder is not None for song in found)
            if others:
                kind = "MIDI file" if midi else "recording"
                many = f"{kind} is" if others == 1 else f"{kind}s are"
                notices.append(f"{others} {many} left out: {error}")
    if not left:
        raise errors[0]
    for notice in notices:
        console.notice(notice)
    return left, refused


def name_outputs(songs: list[SongFile], args: Arguments, label: str) -> list[Path]:
    """The output of each song, by ``-o``, ``--name`` and ``--format``.

    That is ``-o`` itself, or a file in the folder ``-o`` or here, called ``SONG.STYLE.wav``
    (``SONG.STYLE.mid`` of MIDI) or as ``--name`` says; ``label`` is the style's name.

    Raises AudioTransferError where these options contradict each other.
    """
    out, format = args.out, args.format
    suffix = f".{format or 'wav'}"
    part = cut(args).label

    def ending(song: Path, label: str = "") -> str:
        return f"{label}.mid" if is_midi(song) else f"{part}{label}{suffix}"

    if out is None or names_folder(out, len(songs)):
        if args.name is None:
            return output_paths(songs, lambda song: ending(song, f".{label}"), out)
        # Names are made unique before the pattern is filled with them.
        paths = output_paths(songs, ending, out)
        names = [fill_pattern(args.name, song=path.stem, style=label, stem="mix") for path in paths]
        return [path.parent / (name + path.suffix) for path, name in zip(paths, names, strict=True)]
    if args.name is not None:
        raise AudioTransferError(
            f"-o {out} and --name contradict each other: give a folder to -o (end it in /)"
        )
    if format and Path(out).suffix.lower() != suffix and not any(is_midi(s.path) for s in songs):
        raise AudioTransferError(f"-o {out} and --format {format} contradict each other")
    return [Path(out)]


def _check_pair(song: Path, output: Path, args: Arguments) -> None:
    """Checks the only song and its output before torch is imported."""
    with ensure_folder(output.parent):
        if is_midi(song):
            check_midi(song, output, args)
            return
        info = probe_audio(song)
        check_output(
            output,
            args.force,
            sample_rate=info.sample_rate,
            channels=min(2, info.channels),
            encoding=args.encoding,
        )


def _transfer_recordings(
    args: Arguments, pairs: list[tuple[Path, Path]], batch: Batch, *, alone: bool
) -> None:
    """Transfers recordings to their outputs; ``alone``: no MIDI file is among the songs."""
    in_parallel = args.jobs not in (None, 1) or args.backend is not None
    titles = [f"{len(pairs)} songs"] if in_parallel else [song.name for song, _ in pairs]
    with batch.console.progress(*titles) as line:
        options = _options(args, alone)
        # Imports torch, after the first line of progress is shown.
        from audiotransfer.cli.outlook import tell_outlook
        from audiotransfer.pipeline import transfer_many
        from audiotransfer.pipeline.outlook import Work

        def show(_song: Path, progress: Progress) -> None:
            line.show(stage(progress), progress.share)

        def done(outcome: Outcome) -> None:
            if in_parallel:
                line.show("playing", (len(batch.done) + len(batch.failed) + 1) / batch.size)
            report = outcome.report
            text = str(report.output) if report else ""
            if report and report.cover and args.midi_out is not None and batch.size == 1:
                text += f"\n{args.midi_out}"
            if args.report is not None and report is not None:
                line.show("report", 0.97)
                from audiotransfer.pipeline.report_page import without_stems, write_report_page

                write_report_page(args.report, report, cut(args), overwrite=args.force)
                text += f"\n{args.report}"
                report = without_stems(report) if args.temporary_stems else report
            if not in_parallel:
                line.next()
            batch.record(outcome.input, text, report, outcome.error)

        def planned(plan: Plan) -> None:
            work = Work.of(plan, stems=options.stems_out is not None)
            how = "timbre" if plan.cover is None else "cover"
            tell_outlook(batch.console, how, pairs, work, options, plan.device, args.jobs or 1)

        songs, outputs = zip(*pairs, strict=True)
        transfer_many(
            songs,
            outputs,
            options,
            show,
            done,
            planned=planned,
            jobs=args.jobs,
            backend=args.backend,
        )


def _options(args: Arguments, alone: bool) -> TransferOptions:
    """The options of recordings; if not ``alone``, stems that only MIDI files have are ignored."""
    from audiotransfer.pipeline.options import (
        StemChoice,
        TransferOptions,
        check_gain,
        check_strength,
    )

    return TransferOptions(
        style=args.style,
        strength=check_strength(args.strength),
        mode=args.mode,
        cover=cover_options(args),
        stems={
            name: StemChoice.parse(choice)
            for name, choice in args.stem
            if alone or name != "pitched"
        },
        gains_db={name: check_gain(name, gain) for name, gain in args.gain},
        effects=args.effects,
        cache=args.cache,
        separator=args.separator,
        vocoder=args.vocoder,
        device=args.device,
        seed=args.seed,
        stems_out=args.stems_out,
        midi_out=args.midi_out,
        stem_format=stem_format(args),
        cut=cut(args),
        encoding=args.encoding,
        overwrite=args.force,
    )
