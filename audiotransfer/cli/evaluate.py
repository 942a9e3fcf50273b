"""``audiotransfer evaluate``: measures a style on songs, and compares it with baselines."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audiotransfer.atomic import write_bytes
from audiotransfer.cli.arguments import (
    Arguments,
    Parser,
    add_computing,
    add_messages,
    add_overwrite,
    add_separator,
    any_name,
    any_path,
    style_names,
)
from audiotransfer.cli.batch import check_song
from audiotransfer.cli.console import Console, to_json
from audiotransfer.errors import AudioTransferError

if TYPE_CHECKING:
    from torch import Tensor

    from audiotransfer.benchmark import Benchmark, Classifiers, Entries, OnSong

_PAGE_SECONDS = 12.0
#: Figures of the two tables, the first that were measured; all others stand in the JSON.
_STYLE_COLUMNS = (
    "distance", "probability of", "classified as", "FAD gain (genres)", "H", "contrast",
)  # fmt: skip
_CONTENT_COLUMNS = (
    "melody kept", "chord roots", "beat F", "centred chroma", "artefacts", "onset correlation",
)  # fmt: skip
_COLUMNS_A_TABLE = 5
_FEW_SONGS = 5
_WIDTH = 100
_MUSHRA_SONGS = 10  # more than that nobody rates in one sitting


def configure(parser: Parser) -> None:
    """Describes the verb and its arguments."""
    parser.usage = "audiotransfer evaluate STYLE --on SONG... [options]"
    parser.about(
        "Measures what a style makes of songs, beside baselines; prints a verdict.",
        """\
examples:
  audiotransfer evaluate jazz --on data/ensembles-test --baseline data/ensembles
  audiotransfer evaluate jazz --on my/songs -o figures.json --page listen.html
  audiotransfer evaluate --votes votes-*.json              what listeners said
  audiotransfer evaluate runs/jazz/jazz --on song.mp3 other.mp3 --plots out
  audiotransfer evaluate jazz --on midi/jazz midi/pop           MIDI, by genre""",
    )
    parser.add_argument(
        "style",
        nargs="?",
        type=any_name,
        metavar="STYLE",
        help=f"{style_names('spectral')}, of MIDI {style_names('symbolic')}, bach, or a folder",
    )
    what = parser.add_argument_group("songs")
    what.add_argument(
        "--on",
        nargs="+",
        type=any_path,
        metavar="SONG",
        help="songs, or folders of them named after genres; also MIDI",
    )
    what.add_argument(
        "--split", default="test", metavar="NAME", help="split of rendered songs (default test)"
    )
    what.add_argument("--songs", type=int, metavar="N", help="only so many, evenly spread")
    what.add_argument(
        "--seconds",
        type=float,
        metavar="S",
        help="length of each song (default 30; of rendered songs all)",
    )
    what.add_argument("--mode", default="auto", metavar="NAME", help="auto, cover or timbre")
    beside = parser.add_argument_group("baselines and classifiers")
    beside.add_argument(
        "--baseline",
        type=any_path,
        metavar="FOLDER",
        help="songs or JSON for the equaliser (default: the style's)",
    )
    beside.add_argument(
        "--wrong",
        type=any_name,
        metavar="STYLE",
        help="another style to compare with (default: the first)",
    )
    beside.add_argument(
        "--classifier",
        type=any_path,
        metavar="DIR",
        help="a genre classifier (default: the one that ships)",
    )
    beside.add_argument(
        "--instruments",
        type=any_path,
        metavar="DIR",
        help="an instrument classifier (default: the one that ships)",
    )
    beside.add_argument(
        "--genre", metavar="NAME", help="target genre of the classifier (default: the style's)"
    )
    output = parser.add_argument_group("output")
    output.add_argument("-o", "--out", type=any_path, metavar="FILE", help="all figures, as JSON")
    output.add_argument(
        "--plots", type=any_path, metavar="DIR", help="plot spectrograms before and after"
    )
    output.add_argument(
        "--page", type=any_path, metavar="FILE", help="an HTML page for blind listening and voting"
    )
    output.add_argument(
        "--mushra", action="store_true", help="the page as a MUSHRA test (reference and anchor)"
    )
    output.add_argument(
        "--votes",
        nargs="+",
        type=any_path,
        metavar="FILE",
        help="means and intervals of votes that such pages saved",
    )
    parser.accept_old_name("--judge", "--classifier")
    parser.accept_old_name("--pictures", "--plots")
    parser.accept_old_name("--tagger", "--instruments")
    add_overwrite(output)
    add_separator(add_computing(parser))
    add_messages(parser)


def run(args: Arguments, console: Console) -> int:
    """Measures a style or an accompaniment model: prints tables, writes the requested files."""
    _check(args)
    if args.votes is not None:
        from audiotransfer.cli import evaluate_votes

        found = evaluate_votes.run(args.votes, console)
        if args.out is not None:
            _write(args.out, found)
        return 0
    with console.progress(args.style):
        from audiotransfer import benchmark
        from audiotransfer.benchmark.outlook import outlook
        from audiotransfer.pipeline import load_style
        from audiotransfer.pipeline.midi_accompaniment import is_accompanist

    if is_accompanist(args.style):
        from audiotransfer.cli import evaluate_midi

        return evaluate_midi.run_accompanist(args, console, _write)
    if benchmark.is_midi(args.on):
        from audiotransfer.cli import evaluate_midi

        return evaluate_midi.run(args, console, _write)
    with console.progress(args.style) as line:
        entries = benchmark.gather(
            args.style,
            args.on,
            split=args.split,
            count=args.songs,
            seconds=args.seconds,
            genre=args.genre,
            baseline=args.baseline,
            genre_classifier=args.classifier,
            instrument_classifier=args.instruments,
            wrong=args.wrong,
            show=line.show,
        )
        if entries.targets:
            line.show("reading songs of the target", 0.0)
        targets = [song.source(entries.seconds) for song in entries.targets]
        competing = benchmark.systems(
            load_style(args.style, device=args.device),
            entries.equaliser,
            wrong=load_style(entries.wrong, device=args.device) if entries.wrong else None,
            clips=targets,
            separator=args.separator,
            mode=args.mode,
            device=args.device,
            seed=args.seed,
        )
        for text in outlook(Path(args.style).name, entries, competing):
            console.notice(text)
        excerpts: list[Excerpt] = []
        measured = benchmark.measure(
            entries.songs,
            competing,
            entries.classifiers,
            targets,
            seconds=entries.seconds,
            show=line.show,
            on_song=_on_song(args, excerpts),
        )
    shares = _shares(measured, entries.classifiers)
    words = _verdict(measured, entries.classifiers)
    instruments = entries.classifiers.instruments
    values = {
        "style": args.style,
        "on": [str(song) for song in args.on],
        "genre": entries.classifiers.genre,
        "wrong style": entries.wrong,
        "separator": args.separator,
        "mode": args.mode,
        "seed": args.seed,
        "sizes": measured.sizes,
        "genre_classifier": entries.classifiers.genres.report,
        "instrument_classifier": instruments.report if instruments else None,
        "verdict": words,
        "shares": shares,
        "means": [
            {name: value if isinstance(value, str) else vars(value) for name, value in row.items()}
            for row in measured.rows()
        ],
        "targets": measured.targets,
        "songs": measured.songs,
    }
    if args.out is not None:
        _write(args.out, values)
    if args.page is not None:
        _write_page(args, excerpts, entries)
    console.result(_text(measured, words, shares, entries, args), values)
    return 0


def _check(args: Arguments) -> None:
    """Raises AudioTransferError for songs, lengths or outputs that cannot be used."""
    if args.votes is not None:
        if args.style is not None or args.on is not None:
            raise AudioTransferError("--votes reads files of votes only: leave out style and songs")
    elif args.style is None or args.on is None:
        raise AudioTransferError(
            "evaluate needs a style and songs: `audiotransfer evaluate jazz --on my/songs`"
        )
    if args.mushra and args.page is None:
        raise AudioTransferError("--mushra is a kind of page: name one by --page listen.html")
    for song in args.on or ():
        check_song(song, midi=True)
    for name in ("songs", "seconds"):
        value = getattr(args, name)
        if value is not None and not value > 0:
            raise AudioTransferError(f"--{name} {value:g} is nothing; give more than 0")
    for path in (args.out, args.page):
        if path is None:
            continue
        if path.exists() and not args.force:
            raise AudioTransferError(f"{path} exists; -f writes over it")
        if not path.absolute().parent.is_dir():
            raise AudioTransferError(f"folder {path.parent} of {path.name} does not exist")


def _shares(measured: Benchmark, classifiers: Classifiers) -> list[dict[str, Any]]:
    """Shares of the songs on which the style is better than a baseline."""
    from audiotransfer import benchmark

    genre = classifiers.genre
    held_out = classifiers.genres.report.get("held out", ())
    unseen = measured.only(held_out.__contains__)
    subsets = [(measured, "")]
    if 0 < len(unseen.songs) < len(measured.songs):
        subsets.append((unseen, " (songs that the classifier was trained on left out)"))
    probability = benchmark.probability_figure(classifiers.genre)
    shares = []
    for found, label in subsets:
        for other in (benchmark.NOTHING, benchmark.EQUALISER):
            if other not in found.systems():
                continue
            moved = (probability, True, f"moved further toward {genre} than by")
            figures = [moved] if genre else []
            if all("distance" in song[other] for song in found.songs.values()):
                figures.append(("distance", False, "nearer to the truth than"))
            shares += [
                {
                    "what": f"{text} {other}{label}",
                    "share": found.better(benchmark.STYLE, other, figure, more=more),
                    "songs": len(found.songs),
                }
                for figure, more, text in figures
            ]
    return shares


Excerpt = tuple[str, dict[str, "Tensor"]]
"""A song's name, and excerpts of its sounds by system: source, style, baselines, truth."""


def _on_song(args: Arguments, excerpts: list[Excerpt]) -> OnSong:
    """Callback that plots source, output and truth of a song, and collects sounds for the page."""
    from audiotransfer.audio.resampling import STEREO_RATE
    from audiotransfer.benchmark import STYLE
    from audiotransfer.evaluation import save_comparison

    length = round(_PAGE_SECONDS * STEREO_RATE)

    def on_song(name: str, sounds: dict[str, Tensor]) -> None:
        if args.plots is not None:
            shown = {key: s for key, s in sounds.items() if key in ("source", STYLE, "truth")}
            path = args.plots / f"{name.replace('/', '-')}.png"
            save_comparison(path, shown, STEREO_RATE, title=name)
        if args.page is not None:
            middle = {
                key: sound[:, max(0, sound.shape[-1] - length) // 2 :][:, :length].clone()
                for key, sound in sounds.items()
            }
            excerpts.append((name, middle))

    return on_song


def _write_page(args: Arguments, excerpts: list[Excerpt], entries: Entries) -> None:
    """Writes the listening page of pairs, or of a MUSHRA test."""
    from audiotransfer.audio.resampling import STEREO_RATE
    from audiotransfer.benchmark import EQUALISER, RANDOM_CHORDS, ROUND_TRIP, STYLE, WRONG
    from audiotransfer.benchmark.listening_page import (
        MushraItem,
        Pair,
        write_mushra_page,
        write_page,
    )

    style, genre = Path(args.style).name, entries.wanted
    if not args.mushra:
        pairs = [Pair(name, sounds["source"], sounds[STYLE]) for name, sounds in excerpts]
        write_page(args.page, pairs, STEREO_RATE, style=style, genre=genre, seed=args.seed)
        return
    rated = (STYLE, EQUALISER, ROUND_TRIP, WRONG, RANDOM_CHORDS)
    step = max(1, -(-len(excerpts) // _MUSHRA_SONGS))
    true = any("truth" in sounds for _, sounds in excerpts)
    items = [
        MushraItem(
            name,
            sounds.get("truth", sounds["source"]),
            {key: sounds[key] for key in rated if key in sounds},
        )
        for name, sounds in excerpts[::step]
    ]
    asked = (
        f"The reference is the song as {genre} instruments play it. How close does each come?"
        if true
        else "The reference is the song as it was. How well does each keep it?"
    )
    write_mushra_page(
        args.page, items, STEREO_RATE, style=style, genre=genre, asked=asked, seed=args.seed
    )


def _write(path: Path, values: dict[str, Any]) -> None:
    """Writes figures as JSON, atomically."""
    text = to_json(values) + "\n"
    write_bytes(path, text.encode(), overwrite=True)


def _verdict(measured: Benchmark, classifiers: Classifiers) -> list[str]:
    """The verdict in words, on style and content apart."""
    from audiotransfer import benchmark
    from audiotransfer.evaluation.report.verdict import Systems, verdict

    random = (
        benchmark.RANDOM_CHORDS
        if benchmark.RANDOM_CHORDS in measured.systems()
        else benchmark.RANDOM
    )
    systems = Systems(benchmark.STYLE, benchmark.NOTHING, random)
    tested = classifiers.genres.report.get("held-out real clips", {})
    words = verdict(measured.songs, classifiers.genre, systems, tested.get("accuracy"))
    count = len(measured.songs)
    if count < _FEW_SONGS:
        words.append(f"of {count} {'song' if count == 1 else 'songs'} only: take ten to be sure")
    return words


def _text(
    measured: Benchmark,
    words: list[str],
    shares: list[dict[str, Any]],
    entries: Entries,
    args: Arguments,
) -> str:
    """The tables, the verdict and remarks that are printed."""
    from audiotransfer.benchmark import STYLE
    from audiotransfer.evaluation.report.statistics import narrow_table

    rows = measured.rows()
    names = list(dict.fromkeys(name for row in rows for name in row))
    parts = []
    for wanted in (_STYLE_COLUMNS, _CONTENT_COLUMNS):
        columns = [
            name
            for part in wanted
            for name in names
            if name == part or (part.endswith((" of", " as")) and name.startswith(part))
        ][:_COLUMNS_A_TABLE]
        shown = [row for row in rows if any(name in row for name in columns)]
        if columns:
            parts += [narrow_table(shown, ["system", *columns], interval_of=STYLE), ""]
    parts += ["verdict", *words]
    parts += [f"{one['share']:.0%} of {one['songs']} songs {one['what']}" for one in shares]
    if args.out is None:
        parts.append("all figures, with intervals and by song: -o figures.json")
    if args.page is None:
        parts.append("to judge by ear: --page listen.html, a page for blind listening")
    else:
        parts.append(
            f"{args.page}: open it in a browser, here or on a phone, vote and save; then "
            "audiotransfer evaluate --votes votes-*.json"
        )
    return "\n".join(
        textwrap.fill(part, _WIDTH, subsequent_indent="  ") if "\n" not in part else part
        for part in parts
    )
