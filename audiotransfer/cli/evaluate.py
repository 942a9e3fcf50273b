"""``audiotransfer evaluate``: measures a style on songs, and compares it with baselines."""

from __future__ import annotations

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

    from audiotransfer.benchmark import Benchmark, Classifiers, Entries, Heard
    from audiotransfer.benchmark.listening_page import Pair

_PAGE_SECONDS = 12.0
#: The table in parts that a terminal is wide enough for.
_COLUMNS = (
    ("judge says", "heard as", "toward", "style", "H", "content"),
    ("centred chroma", "onset correlation", "onset F1", "artefacts"),
    ("distance", "distance ratio", "contrast", "contrast ratio"),
    ("FAD gain", "KAD gain"),
)


def configure(parser: Parser) -> None:
    """Describes the verb and its arguments."""
    parser.about(
        "Measures what a style makes of songs, beside baselines: the unchanged song, a matched "
        "equaliser, a round trip through a spectrogram, a random clip of the target genre, and "
        "another style. A genre classifier rates all of them; rendered songs are also compared "
        "with their true version in the style.",
        """\
examples:
  audiotransfer evaluate jazz --on data/ensembles-test --baseline data/ensembles
  audiotransfer evaluate jazz --on my/songs -o figures.json --page listen.html
  audiotransfer evaluate runs/jazz/jazz --on song.mp3 other.mp3 --plots out
  audiotransfer evaluate jazz --on midi/jazz midi/pop           MIDI, by genre
  audiotransfer evaluate bach --on jsb_chorales.zip""",
    )
    parser.add_argument(
        "style",
        type=any_name,
        metavar="STYLE",
        help=f"{style_names('spectral')}, of MIDI {style_names('symbolic')}, bach, or a folder",
    )
    what = parser.add_argument_group("songs")
    what.add_argument(
        "--on",
        nargs="+",
        type=any_path,
        required=True,
        metavar="SONG",
        help="songs; folders of them, named after genres; folders of rendered or prepared songs; "
        "for MIDI: folders and zips, named after genres",
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
    beside = parser.add_argument_group("baselines and classifiers")
    beside.add_argument(
        "--baseline",
        type=any_path,
        metavar="FOLDER",
        help="rendered songs, or JSON, to fit the equaliser to (default: what came with the style)",
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
        "--tagger",
        type=any_path,
        metavar="DIR",
        help="an instrument tagger (default: the one that ships)",
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
    parser.accept_old_name("--judge", "--classifier")
    parser.accept_old_name("--pictures", "--plots")
    add_overwrite(output)
    add_separator(add_computing(parser))
    add_messages(parser)


def run(args: Arguments, console: Console) -> int:
    """Prints the tables; writes the figures where that was asked for."""
    _check(args)
    with console.progress(args.style):
        from audiotransfer import benchmark
        from audiotransfer.audio.resampling import STEREO_RATE
        from audiotransfer.benchmark.listening_page import write_page
        from audiotransfer.pipeline import load_style
        from audiotransfer.pipeline.midi_accompaniment import is_accompanist

    if is_accompanist(args.style):
        from audiotransfer.cli import evaluate_midi

        return evaluate_midi.run_accompanist(args, console, _write)
    if benchmark.of_scores(args.on):
        from audiotransfer.cli import evaluate_midi

        return evaluate_midi.run(args, console, _write)
    with console.progress(args.style) as line:
        field = benchmark.gather(
            args.style,
            args.on,
            split=args.split,
            count=args.songs,
            seconds=args.seconds,
            genre=args.genre,
            baseline=args.baseline,
            judge=args.classifier,
            tagger=args.tagger,
            wrong=args.wrong,
            show=line.show,
        )
        line.show("reading songs of the target", 0.0)
        targets = [song.source(field.seconds) for song in field.targets]
        competing = benchmark.systems(
            load_style(args.style, device=args.device),
            field.equaliser,
            wrong=load_style(field.wrong, device=args.device) if field.wrong else None,
            clips=targets,
            separator=args.separator,
            device=args.device,
            seed=args.seed,
        )
        pairs: list[Pair] = []
        trial = benchmark.measure(
            field.songs,
            competing,
            field.jury,
            targets,
            seconds=field.seconds,
            show=line.show,
            heard=_listener(args, pairs),
        )
    shares = _shares(trial, field.jury)
    values = {
        "style": args.style,
        "on": [str(song) for song in args.on],
        "genre": field.jury.genre,
        "wrong style": field.wrong,
        "separator": args.separator,
        "seed": args.seed,
        "sizes": trial.sizes,
        "judge": field.jury.judge.report,
        "tagger": field.jury.tagger.report if field.jury.tagger else None,
        "shares": shares,
        "means": [
            {name: value if isinstance(value, str) else vars(value) for name, value in row.items()}
            for row in trial.rows()
        ],
        "targets": trial.targets,
        "songs": trial.songs,
    }
    if args.out is not None:
        _write(args.out, values)
    if args.page is not None:
        write_page(
            args.page, pairs, STEREO_RATE, style=Path(args.style).name, genre=field.jury.genre,
            seed=args.seed,
        )  # fmt: skip
    console.result(_text(trial, shares, field), values)
    return 0


def _check(args: Arguments) -> None:
    for song in args.on:
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


def _shares(trial: Benchmark, jury: Classifiers) -> list[dict[str, Any]]:
    """How many of the songs the style does better on than what it has to beat."""
    from audiotransfer import benchmark

    heard_before = jury.judge.report.get("held out", ())
    unheard = trial.only(heard_before.__contains__)
    kinds = [(trial, "")]
    if 0 < len(unheard.songs) < len(trial.songs):
        kinds.append((unheard, " (those that the judge learned from left out)"))
    judged = benchmark.said(jury.genre)
    shares = []
    for found, kind in kinds:
        for other in (benchmark.NOTHING, benchmark.EQUALISER):
            if other not in found.systems():
                continue
            figures = [(judged, True, f"moved further toward {jury.genre} than by")]
            if all("distance" in song[other] for song in found.songs.values()):
                figures.append(("distance", False, "nearer to the truth than"))
            shares += [
                {
                    "what": f"{text} {other}{kind}",
                    "share": found.better(benchmark.STYLE, other, figure, more=more),
                    "songs": len(found.songs),
                }
                for figure, more, text in figures
            ]
    return shares


def _listener(args: Arguments, pairs: list[Pair]) -> Heard:
    """Paints what went in, what came out and, where there is one, the truth; keeps pairs."""
    from audiotransfer.audio.resampling import STEREO_RATE
    from audiotransfer.benchmark import STYLE
    from audiotransfer.benchmark.listening_page import Pair
    from audiotransfer.evaluation import save_comparison

    length = round(_PAGE_SECONDS * STEREO_RATE)

    def heard(name: str, sounds: dict[str, Tensor]) -> None:
        if args.plots is not None:
            shown = {key: s for key, s in sounds.items() if key in ("source", STYLE, "truth")}
            path = args.plots / f"{name.replace('/', '-')}.png"
            save_comparison(path, shown, STEREO_RATE, title=name)
        if args.page is not None:
            before, after = (
                sound[:, max(0, sound.shape[-1] - length) // 2 :][:, :length].clone()
                for sound in (sounds["source"], sounds[STYLE])
            )
            pairs.append(Pair(name, before, after))

    return heard


def _write(path: Path, values: dict[str, Any]) -> None:

    text = to_json(values) + "\n"
    write_bytes(path, text.encode(), overwrite=True)


def _text(trial: Benchmark, shares: list[dict[str, Any]], field: Entries) -> str:
    from audiotransfer.evaluation import plain_table

    rows = trial.rows()
    names = list(dict.fromkeys(name for row in rows for name in row))
    parts = []
    for part in _COLUMNS:
        columns = [name for name in names if name.startswith(part)]
        if part[0] == "distance":
            columns = [name for name in columns if name in part]
        if columns:
            shown = [row for row in rows if any(name in row for name in columns)]
            parts += [plain_table(shown, ["system", *columns]), ""]
    parts += [f"{one['share']:.0%} of {one['songs']} songs {one['what']}" for one in shares]
    parts.append(", ".join(f"{name}: {size}" for name, size in trial.sizes.items()))
    if field.wrong is None:
        parts.append("no wrong style: no other style is installed, --wrong names one")
    if field.jury.tagger is None:
        parts.append("no second embedding: no tagger ships, --tagger names one")
    heard = field.jury.judge.report.get("held-out real clips")
    if heard:
        parts.append(f"the judge hears {heard['accuracy']:.0%} of real clips unknown to it right")
    return "\n".join(parts)
