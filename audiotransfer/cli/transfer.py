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
    add_songs,
    add_talk,
    named,
)
from audiotransfer.cli.batch import SCORES, Tally, check_only
from audiotransfer.cli.console import Console
from audiotransfer.cli.scores import check_score, is_score, say_what_means_nothing, transfer_scores
from audiotransfer.errors import AudioTransferError

if TYPE_CHECKING:
    from audiotransfer.pipeline.batch import Outcome
    from audiotransfer.pipeline.options import TransferOptions
    from audiotransfer.pipeline.progress import Progress

_STAGES = {"measure": "listening", "transfer": "playing", "write": "writing"}


def configure(parser: Parser) -> None:
    """Describes the verb and its arguments."""
    from audiotransfer.cli.main import overview

    parser.usage = "audiotransfer SONG... --style NAME [-o OUT] [options]"
    parser.about(
        "Plays a song in another style: takes it apart into stems, lets each stem be played "
        "by the style's instruments, and mixes them. Length, sample rate, channels, "
        "loudness and tags stay those of the song. Of a MIDI file the notes are changed: its bars, "
        "tempo, metre, tracks and instruments stay.",
        f"""\
examples:
  audiotransfer song.mp3 --style jazz                     writes song.jazz.wav here
  audiotransfer song.mp3 --style jazz -o night.flac       kind of file by its suffix
  audiotransfer song.mp3 --style jazz --strength 0.5      half way
  audiotransfer song.mp3 --style jazz --stem drums=keep --gain vocals=+2
  audiotransfer song.mp3 --style jazz --stems-out stems   then: audiotransfer remix stems
  audiotransfer album/ --style jazz -o album-jazz/        every song of a folder
  audiotransfer song.mid --style jazz --render --plot     writes song.jazz.mid, .wav and .png
  audiotransfer song.mid --style jazz --stem drums=keep   MIDI files have pitched and drums

{overview()}""",
    )
    add_songs(parser, scores=True)
    style = parser.add_argument_group("what it becomes")
    style.add_argument(
        "--style", metavar="NAME", help="a style, or its folder (see audiotransfer styles)"
    )
    style.add_argument(
        "--strength",
        default="1",
        metavar="0..1",
        help="0 leaves the song as it is, 1 is all of the style (default 1)",
    )
    style.add_argument(
        "--stem",
        action="append",
        default=[],
        type=named,
        metavar="NAME=WHAT",
        help=(
            "for one stem (drums, bass, other, vocals; of MIDI files drums and pitched): keep it "
            "as it is, mute it, or give it a style of its own, with a strength if you like "
            "(drums=keep, bass=mute, other=jazz@0.7)"
        ),
    )
    style.add_argument(
        "--gain",
        action="append",
        default=[],
        type=named,
        metavar="NAME=DB",
        help="make a stem louder or softer by so many dB (vocals=+2)",
    )
    style.add_argument(
        "--no-effects",
        dest="effects",
        action="store_false",
        help="leave out the style's amplifiers, equalisers and other effects behind the players",
    )
    written = add_format(parser)
    written.add_argument(
        "-o",
        "--out",
        type=Path,
        metavar="OUT",
        help="file to write, or a folder that exists (default: SONG.STYLE.wav or .mid here)",
    )
    written.add_argument(
        "--stems-out",
        type=Path,
        metavar="DIR",
        help="also write the stems, before and after, into this folder",
    )
    add_score_output(written)
    worked = add_machine(parser)
    add_separator(worked)
    worked.add_argument(
        "--vocoder",
        default="auto",
        choices=("auto", "source", "griffinlim"),
        help="the way from the changed picture back to sound (default auto: what suits the style)",
    )
    add_jobs(worked, "songs at a time (default 1, which uses several cores by itself)")
    add_talk(parser)


def run(args: Arguments, console: Console) -> int:
    """Transfers every song that was named, recordings and MIDI files."""
    from audiotransfer.styles import style_label

    label = style_label(args.style)
    check_only(args.songs, scores=True)
    kinds = {is_score(song) for song in args.songs if not song.is_dir()}
    if args.style is not None and len(kinds) == 1 and not any(s.is_dir() for s in args.songs):
        check_style(args.style, route="symbolic" if kinds == {True} else "spectral")
    check_places(args, label)
    from audiotransfer.pipeline import expand

    songs = _playable(args, expand(args.songs, label, scores=True), console)
    outputs = name_outputs(songs, args.out, label, args.format)
    tally = Tally(console, len(songs))
    scores = [pair for pair in zip(songs, outputs, strict=True) if is_score(pair[0])]
    recordings = [pair for pair in zip(songs, outputs, strict=True) if not is_score(pair[0])]
    if not (scores and recordings):
        say_what_means_nothing(args, console, scores=bool(scores))
    if scores:
        transfer_scores(args, scores, tally, alone=not recordings)
    if recordings:
        _transfer_recordings(args, recordings, tally, alone=not scores)
    return tally.finish()


def _playable(args: Arguments, songs: list[Path], console: Console) -> list[Path]:
    """Songs without those that a folder happens to hold and the style says nothing about."""
    if args.style is None:
        return songs
    for route, scores in (("spectral", False), ("symbolic", True)):
        found = [song for song in songs if is_score(song) == scores]
        try:
            if found:
                check_style(args.style, route=route)
        except AudioTransferError as error:
            if len(found) == len(songs) or not set(found).isdisjoint(args.songs):
                raise
            kind = "MIDI files" if scores else "recordings"
            console.notice(f"{len(found)} {kind} are left out: {error}")
            songs = [song for song in songs if song not in found]
    return songs


def _transfer_recordings(
    args: Arguments, songs: list[tuple[Path, Path]], tally: Tally, *, alone: bool
) -> None:
    from audiotransfer.pipeline import transfer_many

    options = _options(args, alone)
    side_by_side = args.jobs not in (None, 1) or args.backend is not None
    titles = [f"{len(songs)} songs"] if side_by_side else [song.name for song, _ in songs]
    with tally.console.progress(*titles) as line:

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


def name_outputs(songs: list[Path], out: Path | None, label: str, kind: str | None) -> list[Path]:
    """The file that each song becomes: ``SONG.jazz.wav`` or, of MIDI, ``SONG.jazz.mid``, here or in
    a folder; or just ``out``.

    Raises AudioTransferError where ``out`` is one file for several songs, or not of this kind.
    """
    from audiotransfer.files import default_output

    suffix = f".{kind or 'wav'}"
    if out is None or out.is_dir():
        return [
            default_output(song, label, SCORES[0] if is_score(song) else suffix, out)
            for song in songs
        ]
    if len(songs) > 1:
        raise AudioTransferError(
            f"-o {out} is no folder, and {len(songs)} songs need one; make it first"
        )
    if kind and out.suffix.lower() != suffix and not any(is_score(song) for song in songs):
        raise AudioTransferError(f"-o {out} and --format {kind} contradict each other")
    return [out]


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
        encoding=args.encoding,
        overwrite=args.force,
    )


def check_places(args: Arguments, label: str) -> None:
    """What is wrong with an only song's file, or with its output, is found as early."""
    from audiotransfer import files

    (song, *more) = args.songs
    if more or song.is_dir():
        return
    (output,) = name_outputs([song], args.out, label, args.format)
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
