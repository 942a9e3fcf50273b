"""``audiotransfer evaluate``: how well a style does, beside what any style has to beat."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audiotransfer.cli.arguments import (
    Arguments,
    Parser,
    add_force,
    add_machine,
    add_separator,
    add_talk,
)
from audiotransfer.cli.console import Console
from audiotransfer.errors import AudioTransferError

if TYPE_CHECKING:
    from torch import Tensor

    from audiotransfer.cli.console import ProgressLine
    from audiotransfer.trials import System, Trial

    Heard = Callable[[str, dict[str, Tensor]], None]

_CLIP_SECONDS = 30.0
_TARGET_SONGS = 8


def configure(parser: Parser) -> None:
    """Describes the verb and its arguments."""
    parser.about(
        "Sends songs through the whole command in a style and measures what comes out, beside "
        "doing nothing, a matched equaliser, a bare round trip through a picture and a random "
        "clip of the target. Rendered songs have a truth to be compared with; real songs are "
        "put before a genre judge.",
        """\
examples:
  audiotransfer evaluate jazz --on data/jazz-pairs-test --baseline data/jazz-pairs
  audiotransfer evaluate jazz --on data/audio/genres -o clips.json
  audiotransfer evaluate runs/jazz/jazz --on song.mp3 other.mp3 --pictures pictures""",
    )
    parser.add_argument("style", metavar="STYLE", help="name or folder of a style")
    what = parser.add_argument_group("on which songs")
    what.add_argument(
        "--on",
        nargs="+",
        type=Path,
        required=True,
        metavar="SONG",
        help="a folder of rendered songs (`audiotransfer render`), or audio files and folders",
    )
    what.add_argument(
        "--split", default="test", metavar="NAME", help="of rendered songs (default test)"
    )
    what.add_argument("--songs", type=int, metavar="N", help="only so many, evenly spread")
    what.add_argument(
        "--seconds",
        type=float,
        metavar="S",
        help="only so much of each: the beginning of rendered songs (default all), the middle of "
        f"others (default {_CLIP_SECONDS:g})",
    )
    beside = parser.add_argument_group("beside what")
    beside.add_argument(
        "--baseline",
        type=Path,
        metavar="FOLDER",
        help="rendered training songs that the matched equaliser is fitted to, or its JSON file "
        "(default: what came with the style)",
    )
    beside.add_argument(
        "--judge", type=Path, metavar="DIR", help="folder of a judge (default: the one that ships)"
    )
    beside.add_argument(
        "--genre", metavar="NAME", help="what the judge is asked about (default: the style's name)"
    )
    output = parser.add_argument_group("what is written")
    output.add_argument("-o", "--out", type=Path, metavar="FILE", help="all figures, as JSON")
    output.add_argument(
        "--pictures", type=Path, metavar="DIR", help="spectrograms of each song, before and after"
    )
    add_force(output)
    add_separator(add_machine(parser))
    add_talk(parser)


@dataclass(frozen=True)
class _Verdict:
    """A trial, the figure that it turns on, and what to say about it."""

    trial: Trial
    figure: str
    shares: list[dict[str, Any]]
    about: dict[str, Any]


def run(args: Arguments, console: Console) -> int:
    """Prints the table; writes the figures where that was asked for."""
    _check(args)
    rendered = any(place.is_dir() and any(place.glob("*/song.json")) for place in args.on)
    if rendered and len(args.on) > 1:
        raise AudioTransferError(
            f"--on {args.on[0]} and others: rendered songs are judged alone, name one folder"
        )
    with console.progress(args.style) as line:
        verdict = _on_rendered(args, line) if rendered else _on_clips(args, line)
    values = {
        "style": args.style,
        "separator": args.separator,
        "seed": args.seed,
        **verdict.about,
        "shares": verdict.shares,
        "means": [
            {name: value if isinstance(value, str) else vars(value) for name, value in row.items()}
            for row in verdict.trial.rows()
        ],
        "songs": verdict.trial.songs,
    }
    if args.out is not None:
        _write(args.out, values)
    console.result(_text(verdict), values)
    return 0


def _check(args: Arguments) -> None:
    for place in args.on:
        if not place.exists():
            raise AudioTransferError(f"{place} does not exist; check the name and the folder")
    for name in ("songs", "seconds"):
        value = getattr(args, name)
        if value is not None and not value > 0:
            raise AudioTransferError(f"--{name} {value:g} is nothing; give more than 0")
    if args.out is None:
        return
    if args.out.exists() and not args.force:
        raise AudioTransferError(f"{args.out} exists; -f writes over it")
    if not args.out.absolute().parent.is_dir():
        raise AudioTransferError(f"folder {args.out.parent} of {args.out.name} does not exist")


def _on_rendered(args: Arguments, line: ProgressLine) -> _Verdict:
    from audiotransfer import trials
    from audiotransfer.corpora.takes import mix

    songs = _spread(trials.song_folders(args.on[0], args.split), args.songs)
    clips = []
    if args.baseline is not None and args.baseline.is_dir():
        training = trials.song_folders(args.baseline, "train")[:_TARGET_SONGS]
        clips = [mix(song / "target") for song in training]
    trial = trials.on_rendered(
        songs, _systems(args, clips), line.show, seconds=args.seconds, heard=_painter(args)
    )
    figure = "distance"
    shares = [
        _share(trial, f"nearer to the truth than {other}", other, figure)
        for other in (trials.NOTHING, trials.EQUALISER)
        if other in trial.systems()
    ]
    return _Verdict(trial, figure, shares, {"on": str(args.on[0]), "split": args.split})


def _on_clips(args: Arguments, line: ProgressLine) -> _Verdict:
    from audiotransfer import trials
    from audiotransfer.evaluation import Judge, shipped_judge
    from audiotransfer.pipeline import expand
    from audiotransfer.styles import find_style

    judge = Judge.load(args.judge or shipped_judge())
    genre = args.genre or find_style(args.style).card.name
    if genre not in judge.classes:
        raise AudioTransferError(
            f"the judge does not know {genre!r}, --genre takes one of {', '.join(judge.classes)}"
        )
    seconds = args.seconds or _CLIP_SECONDS
    clips = expand(args.on, genre)
    own = [clip for clip in clips if clip.parent.name == genre]
    targets = [trials.read_clip(clip, seconds) for clip in own[:_TARGET_SONGS]]
    trial = trials.on_clips(
        _spread(clips, args.songs),
        _systems(args, targets),
        judge,
        genre,
        line.show,
        seconds,
        targets=targets,
        heard=_painter(args),
    )
    figure = trials.said(genre)
    others = trial.only(lambda name: not name.startswith(f"{genre}/"))
    unheard = others.only(judge.report.get("held out", ()).__contains__)
    kinds = [(trial, ""), (others, f" ({genre} songs left out)")]
    kinds.append((unheard, f" ({genre} songs and those that the judge learned from left out)"))
    shares = [
        _share(found, f"{text}{kind}", other, figure, more=True)
        for found, kind in kinds
        if found.songs and (found is trial or len(found.songs) < len(trial.songs))
        for other, text in (
            (trials.NOTHING, f"moved toward {genre}"),
            (trials.EQUALISER, f"moved further than by {trials.EQUALISER}"),
        )
        if other in trial.systems()
    ]
    about = {
        "on": [str(place) for place in args.on],
        "genre": genre,
        f"songs of {genre}": len(trial.songs) - len(others.songs),
        "judge": judge.report,
    }
    return _Verdict(trial, figure, shares, about)


def _share(
    trial: Trial, what: str, other: str, figure: str, *, more: bool = False
) -> dict[str, Any]:
    """How many of the songs the style does better on than another system."""
    from audiotransfer.trials import STYLE

    share = trial.better(STYLE, other, figure, more=more)
    return {"what": what, "share": share, "songs": len(trial.songs)}


def _systems(args: Arguments, clips: Sequence[Tensor]) -> dict[str, System]:
    from audiotransfer import trials
    from audiotransfer.pipeline import load_style

    return trials.systems(
        load_style(args.style, device=args.device),
        trials.equaliser_for(args.style, args.baseline),
        separator=args.separator,
        clips=clips,
        device=args.device,
        seed=args.seed,
    )


def _painter(args: Arguments) -> Heard | None:
    """Paints what went in, what came out and, where there is one, the truth."""
    if args.pictures is None:
        return None

    def paint(name: str, sounds: dict[str, Tensor]) -> None:
        from audiotransfer.evaluation import save_comparison
        from audiotransfer.sound import STEREO_RATE

        shown = {key: s for key, s in sounds.items() if key in ("source", "style", "truth")}
        path = args.pictures / f"{name.replace('/', '-')}.png"
        save_comparison(path, shown, STEREO_RATE, title=name)

    return paint


def _spread(songs: Sequence[Path], count: int | None) -> list[Path]:
    """``count`` songs from the beginning to the end of a list, or all of them."""
    if count is None or count >= len(songs):
        return list(songs)
    return [songs[index * len(songs) // count] for index in range(count)]


def _write(path: Path, values: dict[str, Any]) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    temporary.write_text(json.dumps(values, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    os.replace(temporary, path)


def _text(verdict: _Verdict) -> str:
    from audiotransfer.evaluation import plain_table

    parts = [
        f"{verdict.figure}, song by song",
        plain_table(verdict.trial.song_rows(verdict.figure)),
        "",
        plain_table(verdict.trial.rows()),
        "",
        *(f"{one['share']:.0%} of {one['songs']} songs {one['what']}" for one in verdict.shares),
    ]
    heard = verdict.about.get("judge", {}).get("held-out real clips")
    if heard:
        parts.append(f"the judge hears {heard['accuracy']:.0%} of real clips unknown to it right")
    return "\n".join(parts)
