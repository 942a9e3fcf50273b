"""``audiotransfer evaluate``: how well a style does, beside what any style has to beat."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from audiotransfer.cli.arguments import (
    Arguments,
    Parser,
    add_force,
    add_machine,
    add_separator,
    add_talk,
    place,
    style_names,
    text,
)
from audiotransfer.cli.batch import check_song
from audiotransfer.cli.console import Console, to_json
from audiotransfer.errors import AudioTransferError

if TYPE_CHECKING:
    from torch import Tensor

    from audiotransfer.evaluation import Pair
    from audiotransfer.trials import Field, Heard, Jury, Trial

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
        "Measures what a style makes of songs, beside doing nothing, a matched equaliser, a round "
        "trip through a picture, a random clip of the target and another style. A genre judge "
        "listens to all of it; rendered songs also have a truth to be compared with.",
        """\
examples:
  audiotransfer evaluate jazz --on data/bands-test --baseline data/bands
  audiotransfer evaluate jazz --on my/songs -o figures.json --page listen.html
  audiotransfer evaluate runs/jazz/jazz --on song.mp3 other.mp3 --pictures out
  audiotransfer evaluate jazz --on scores/jazz scores/pop       MIDI, by genre
  audiotransfer evaluate bach --on jsb_chorales.zip""",
    )
    parser.add_argument(
        "style",
        type=text,
        metavar="STYLE",
        help=f"{style_names('spectral')}, of MIDI {style_names('symbolic')}, bach, or a folder",
    )
    what = parser.add_argument_group("on which songs")
    what.add_argument(
        "--on",
        nargs="+",
        type=place,
        required=True,
        metavar="SONG",
        help="songs; folders of them, named after genres; folders of rendered or prepared songs; "
        "of MIDI folders and zips, named after genres",
    )
    what.add_argument("--split", default="test", metavar="NAME", help="of rendered songs (test)")
    what.add_argument("--songs", type=int, metavar="N", help="only so many, evenly spread")
    what.add_argument(
        "--seconds",
        type=float,
        metavar="S",
        help="so much of each (default 30; of rendered songs all)",
    )
    beside = parser.add_argument_group("beside what")
    beside.add_argument(
        "--baseline",
        type=place,
        metavar="FOLDER",
        help="rendered songs, or JSON, to fit the equaliser to (default: what came with the style)",
    )
    beside.add_argument(
        "--wrong", type=text, metavar="STYLE", help="the other style (default: the first other)"
    )
    beside.add_argument(
        "--judge", type=place, metavar="DIR", help="a genre judge (default: the one that ships)"
    )
    beside.add_argument(
        "--tagger",
        type=place,
        metavar="DIR",
        help="an instrument tagger (default: the one that ships)",
    )
    beside.add_argument(
        "--genre", metavar="NAME", help="what the judge is asked about (default: the style's)"
    )
    output = parser.add_argument_group("what is written")
    output.add_argument("-o", "--out", type=place, metavar="FILE", help="all figures, as JSON")
    output.add_argument(
        "--pictures", type=place, metavar="DIR", help="spectrograms before and after"
    )
    output.add_argument(
        "--page", type=place, metavar="FILE", help="an HTML page for blind listening and voting"
    )
    add_force(output)
    add_separator(add_machine(parser))
    add_talk(parser)


def run(args: Arguments, console: Console) -> int:
    """Prints the tables; writes the figures where that was asked for."""
    _check(args)
    with console.progress(args.style):
        from audiotransfer import trials
        from audiotransfer.evaluation import write_page
        from audiotransfer.pipeline import load_style
        from audiotransfer.pipeline.midi_accompaniment import is_accompanist
        from audiotransfer.sound import STEREO_RATE

    if is_accompanist(args.style):
        from audiotransfer.cli import evaluate_accompanists

        return evaluate_accompanists.run(args, console, _write)
    if trials.of_scores(args.on):
        from audiotransfer.cli import evaluate_scores

        return evaluate_scores.run(args, console, _write)
    with console.progress(args.style) as line:
        field = trials.gather(
            args.style,
            args.on,
            split=args.split,
            count=args.songs,
            seconds=args.seconds,
            genre=args.genre,
            baseline=args.baseline,
            judge=args.judge,
            tagger=args.tagger,
            wrong=args.wrong,
            show=line.show,
        )
        line.show("reading songs of the target", 0.0)
        targets = [song.source(field.seconds) for song in field.targets]
        competing = trials.systems(
            load_style(args.style, device=args.device),
            field.equaliser,
            wrong=load_style(field.wrong, device=args.device) if field.wrong else None,
            clips=targets,
            separator=args.separator,
            device=args.device,
            seed=args.seed,
        )
        pairs: list[Pair] = []
        trial = trials.measure(
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
        check_song(song, scores=True)
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


def _shares(trial: Trial, jury: Jury) -> list[dict[str, Any]]:
    """How many of the songs the style does better on than what it has to beat."""
    from audiotransfer import trials

    heard_before = jury.judge.report.get("held out", ())
    unheard = trial.only(heard_before.__contains__)
    kinds = [(trial, "")]
    if 0 < len(unheard.songs) < len(trial.songs):
        kinds.append((unheard, " (those that the judge learned from left out)"))
    judged = trials.said(jury.genre)
    shares = []
    for found, kind in kinds:
        for other in (trials.NOTHING, trials.EQUALISER):
            if other not in found.systems():
                continue
            figures = [(judged, True, f"moved further toward {jury.genre} than by")]
            if all("distance" in song[other] for song in found.songs.values()):
                figures.append(("distance", False, "nearer to the truth than"))
            shares += [
                {
                    "what": f"{text} {other}{kind}",
                    "share": found.better(trials.STYLE, other, figure, more=more),
                    "songs": len(found.songs),
                }
                for figure, more, text in figures
            ]
    return shares


def _listener(args: Arguments, pairs: list[Pair]) -> Heard:
    """Paints what went in, what came out and, where there is one, the truth; keeps pairs."""
    from audiotransfer.evaluation import Pair, save_comparison
    from audiotransfer.sound import STEREO_RATE
    from audiotransfer.trials import STYLE

    length = round(_PAGE_SECONDS * STEREO_RATE)

    def heard(name: str, sounds: dict[str, Tensor]) -> None:
        if args.pictures is not None:
            shown = {key: s for key, s in sounds.items() if key in ("source", STYLE, "truth")}
            path = args.pictures / f"{name.replace('/', '-')}.png"
            save_comparison(path, shown, STEREO_RATE, title=name)
        if args.page is not None:
            before, after = (
                sound[:, max(0, sound.shape[-1] - length) // 2 :][:, :length].clone()
                for sound in (sounds["source"], sounds[STYLE])
            )
            pairs.append(Pair(name, before, after))

    return heard


def _write(path: Path, values: dict[str, Any]) -> None:
    from audiotransfer import files

    text = to_json(values) + "\n"
    files.write_bytes(path, text.encode(), overwrite=True)


def _text(trial: Trial, shares: list[dict[str, Any]], field: Field) -> str:
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
