"""``audiotransfer train --style NAME --from FOLDER``: a style of your own from songs."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

from audiotransfer.cli.arguments import Arguments
from audiotransfer.cli.batch import check_song
from audiotransfer.cli.console import Console
from audiotransfer.errors import AudioTransferError

if TYPE_CHECKING:
    from audiotransfer.preparation.own_pairs import SongLength
    from audiotransfer.preparation.own_style import Outlook

STOPPED = 130  # exit code after Ctrl-C
_SHOWN = 3  # songs that are named of those left out


def run(args: Arguments, console: Console) -> int:
    """Checks the folder, says what it takes, prepares, trains, judges and exports."""
    stems = tuple(one.strip() for one in args.stems.split(",") if one.strip())
    if importlib.util.find_spec("lightning_fabric") is None:
        raise AudioTransferError("training needs an extra: pip install 'audiotransfer[train]'")
    for place in args.folders:
        check_song(place)
    with console.progress(args.style):
        from audiotransfer.pipeline import resolve_separator
        from audiotransfer.pipeline.naming import find_songs
        from audiotransfer.preparation import own_style
        from audiotransfer.preparation.own_pairs import check_pairs, song_lengths

        found = [song.path for song in find_songs(args.folders).songs]
        songs, refused = song_lengths(found)
        folder = args.out or Path("runs") / args.style
        check_pairs([song.path for song in songs], folder / own_style.SONGS)
        remarks = own_style.check_request(args.style, stems, songs)
        separator, label, _ = resolve_separator("auto", "cpu")
    _name_left_out(refused, console)
    for remark in remarks:
        console.notice(remark)
    patience = args.until
    if patience is None and args.steps is None and args.minutes is None:
        patience = own_style.USUAL_PATIENCE
    with console.progress(f"{args.style}: measuring this machine"):
        ahead = own_style.outlook(
            songs,
            stems,
            separator,
            steps=args.steps,
            minutes=args.minutes,
            patience=patience,
            folder=folder,
        )
    if args.plan or not console.as_json:
        lines = _plan(args.style, stems, songs, label, ahead, folder, patience)
        console.result("\n".join(lines), _values(ahead))
    if args.plan:
        return 0
    description = f"The {_listed(stems)} of {len(songs)} songs, learned from their sound alone."
    try:
        with console.progress(f"{args.style}, 1 of 3, preparing") as line:
            config, refused = own_style.prepare_training(
                [song.path for song in songs],
                args.style,
                folder,
                separator,
                stems,
                description,
                show=line.show,
            )
    except KeyboardInterrupt:
        console.error(
            f"stopped while preparing; the same command goes on from here, or delete {folder}"
        )
        return STOPPED
    _name_left_out(refused, console)
    overrides = [
        f"trainer.steps={ahead.steps}",
        f"trainer.patience={'null' if patience is None else patience}",
        f"trainer.validate_every={own_style.validate_every(ahead.steps)}",
    ]
    title = f"{args.style}, 2 of 3, training"
    if train_and_export(config, overrides, folder, console, title, args.minutes) is None:
        return STOPPED
    style = exported_style(folder, args.style)
    with console.progress(f"{args.style}, 3 of 3, judging") as line:
        from audiotransfer.benchmark import EQUALISER_FILE
        from audiotransfer.recipes import load_training

        held_out = load_training(config).recipe.validation_songs
        judgement = own_style.compare(folder, style, stems, held_out, line.show)
        # What evaluate compares the style with.
        own_style.mix_equaliser(folder, args.style, held_out).save(style / EQUALISER_FILE)
    own_style.record(style, judgement)
    lines = [
        own_style.ending(folder, ahead.steps),
        judgement.words(),
        f"distance to them: input {judgement.nothing:.3f}, matched equalisers "
        f"{judgement.equaliser:.3f}, {args.style} {judgement.style:.3f} nats",
        "how it does on songs of other kinds only your ears can say, and audiotransfer evaluate "
        f"{style} --on SONGS --page listen.html",
        f"use it: audiotransfer SONG --style {style}",
    ]
    text = "\n".join(line for line in lines if line)
    console.result(text, {"style": style, "judgement": vars(judgement)})
    return 0


def train_and_export(
    config: str | Path,
    overrides: list[str],
    folder: Path,
    console: Console,
    title: str,
    minutes: float | None = None,
) -> dict[str, float] | None:
    """Trains, and returns the last figures.

    Ctrl-C exports what there is as an unfinished style, says how to go on, and returns None; before
    the first checkpoint it takes effect.
    """
    from audiotransfer import recipes

    try:
        with console.progress(title) as line:
            return recipes.train(config, overrides, folder, line.show, minutes=minutes)
    except KeyboardInterrupt:
        if not (folder / "checkpoint").is_dir():
            console.error(f"stopped before the first checkpoint: nothing is in {folder} to use yet")
            raise
        console.error("stopped; exporting the best so far (Ctrl-C again leaves at once)")
        recipes.finish(folder, unfinished=True)
        for style in _styles(folder):
            console.error(f"unfinished style: audiotransfer SONG --style {style}")
        console.error(
            "the same command goes on from here (--steps, --minutes and --until may change); "
            f"audiotransfer train --finish {folder} ends it as it is"
        )
        return None


def run_finish(args: Arguments, console: Console) -> int:
    """Exports what a run's checkpoint holds, without training."""
    from audiotransfer import recipes

    with console.progress(args.finish.name) as line:
        figures = recipes.finish(args.finish, show=line.show)
    styles = _styles(args.finish)
    lines = [str(args.finish), *(f"use it: audiotransfer SONG --style {one}" for one in styles)]
    console.result("\n".join(lines), {"folder": args.finish, "styles": styles, **figures})
    return 0


def exported_style(folder: Path, name: str) -> Path:
    """The folder of an exported style. Raises AudioTransferError where there is none."""
    for style in _styles(folder):
        if style.name == name:
            return style
    raise AudioTransferError(f"{folder} has no style {name}: the training wrote none")


def _styles(folder: Path) -> list[Path]:
    return sorted(card.parent for card in folder.glob("*/card.json"))


def _plan(
    name: str,
    stems: tuple[str, ...],
    songs: list[SongLength],
    separator: str,
    ahead: Outlook,
    folder: Path,
    patience: int | None,
) -> list[str]:
    """Lines on what is there, what is made of it and how long that takes."""
    from audiotransfer.preparation.own_pairs import SECONDS, VERSIONS
    from audiotransfer.timing import clock

    music = sum(song.seconds for song in songs)
    used = sum(min(song.seconds, SECONDS) for song in songs)
    preparing = (
        f"preparing {_hours(ahead.preparation)}" if ahead.preparation else "prepared already"
    )
    sooner = "" if patience is None else " at the most (it ends when it gets no better)"
    training = f"training {_hours(ahead.training)}{sooner}"
    steps = f"{ahead.steps} steps of {training}"
    if ahead.in_vain:
        steps = (
            f"trained already: the last {ahead.in_vain} validations up to step {ahead.begin} were "
            f"no better (--until {2 * ahead.in_vain} goes on)"
        )
    elif ahead.begin >= ahead.steps:
        steps = f"trained already up to step {ahead.begin} (--steps {2 * ahead.begin} goes on)"
    elif ahead.begin:
        steps = f"from step {ahead.begin} to {ahead.steps}, {training}"
    size = used * VERSIONS * len(stems) * (2 * 0.35 + 0.35)
    return [
        f"{len(songs)} songs, {clock(music)} of music, of which {clock(used)} are used (the middle "
        f"{SECONDS:.0f} s of each), separated by {separator}",
        f"you get: {folder / name}, a style of timbre for {_listed(stems)}, with their levels in "
        "your songs, about 3 MB; other stems and the notes stay as they are",
        f"it takes about {_hours(ahead.preparation + ahead.training)} on this machine as busy as "
        f"it is now: {preparing}, {steps}, and {size / 1000 + 0.2:.1f} GB in {folder}",
        "Ctrl-C stops; it exports the best so far once it trains, and the same command goes on; "
        "--minutes, --steps and --until change how long",
    ]


def _hours(seconds: float) -> str:
    minutes = max(1, round(seconds / 60))
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60:02} min"


def _values(ahead: Outlook) -> dict[str, float]:
    return dict(vars(ahead))


def _listed(stems: tuple[str, ...]) -> str:
    return stems[0] if len(stems) == 1 else f"{', '.join(stems[:-1])} and {stems[-1]}"


def _name_left_out(refused: dict[str, str], console: Console) -> None:
    for path, why in list(refused.items())[:_SHOWN]:
        console.notice(f"left out: {path} ({why})")
    if len(refused) > _SHOWN:
        console.notice(f"and {len(refused) - _SHOWN} more left out")
