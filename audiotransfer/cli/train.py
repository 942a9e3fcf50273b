"""``audiotransfer train``: trains a style, a separator or a classifier from a config."""

from __future__ import annotations

import logging
from pathlib import Path

from audiotransfer.cli.arguments import Arguments, Parser, add_messages, any_name, any_path
from audiotransfer.cli.console import Console
from audiotransfer.errors import AudioTransferError


def configure(parser: Parser) -> None:
    """Describes the verb and its arguments."""
    parser.usage = "audiotransfer train CONFIG | --style NAME --from FOLDER... [options]"
    parser.about(
        "Trains a style of your own from a folder of songs, or what a config describes. The same "
        "command continues a run that was stopped; Ctrl-C exports the best so far. Losses and "
        "sounds are logged for TensorBoard; watch panel.txt, preview.png and preview.wav in the "
        "run's folder. Needs pip install 'audiotransfer[train]'.",
        """\
examples:
  audiotransfer train --style mine --from my/songs --plan     only say how long
  audiotransfer train --style mine --from my/songs
  audiotransfer song.mp3 --style runs/mine/mine
  audiotransfer train --finish runs/mine
  audiotransfer train templates-drums
  audiotransfer train templates-drums trainer.steps=2000 -o runs/short
  audiotransfer train cut unpaired.prepared=ready unpaired.source=rock \\
                          unpaired.target=jazz
  torchrun --nproc_per_node 2 -m audiotransfer train cut unpaired.batch=2""",
    )
    parser.add_argument(
        "config",
        nargs="?",
        type=any_name,
        metavar="CONFIG",
        help="name of a config that ships, or a .yaml file",
    )
    parser.add_argument(
        "overrides", nargs="*", metavar="key=value", help="settings that differ from the config"
    )
    parser.add_argument(
        "-o", "--out", type=any_path, metavar="DIR", help="folder of the run (default runs/CONFIG)"
    )
    own = parser.add_argument_group("a style of your own")
    own.add_argument("--style", type=any_name, metavar="NAME", help="what it shall be called")
    own.add_argument(
        "--from",
        dest="folders",
        nargs="+",
        type=any_path,
        metavar="FOLDER",
        help="songs, or folders of them, that sound as it shall; about twenty",
    )
    own.add_argument(
        "--stems",
        default="drums,bass,other",
        metavar="NAME,...",
        help="only these (default drums,bass,other)",
    )
    own.add_argument(
        "--plan", action="store_true", help="only say what it makes and how long it takes"
    )
    length = parser.add_argument_group("how long (may change from run to run)")
    length.add_argument("--steps", type=int, metavar="N", help="train up to step N")
    length.add_argument("--minutes", type=float, metavar="M", help="train so long at most")
    length.add_argument(
        "--until",
        type=int,
        metavar="PATIENCE",
        help="end after so many validations without a better one (default 8)",
    )
    length.add_argument(
        "--finish",
        type=any_path,
        metavar="RUN",
        help="export what a run has learned so far, without training",
    )
    add_messages(parser)


def run(args: Arguments, console: Console) -> int:
    """Trains until the last step, or until it is stopped."""
    _check(args)
    from audiotransfer.cli import train_style

    if args.finish is not None:
        return train_style.run_finish(args, console)
    if args.style is not None:
        return train_style.run(args, console)
    from audiotransfer.training.config import find_config
    from audiotransfer.training.devices import is_first

    name = find_config(args.config).stem
    folder = args.out or Path("runs") / name
    if not is_first():
        logging.getLogger().setLevel(logging.ERROR)
    overrides = list(args.overrides)
    if args.steps is not None:
        overrides.append(f"trainer.steps={args.steps}")
    if args.until is not None:
        overrides.append(f"trainer.patience={args.until}")
    figures = train_style.train_and_export(
        args.config, overrides, folder, console, name, args.minutes
    )
    if figures is None:
        return train_style.STOPPED
    if not is_first():
        return 0
    styles = sorted(card.parent for card in folder.glob("*/card.json"))
    lines = [f"{name}  {value:.4g}" for name, value in figures.items()]
    lines += [str(folder), *(f"style {style}" for style in styles)]
    console.result("\n".join(lines), {"folder": folder, "styles": styles, **figures})
    return 0


def _check(args: Arguments) -> None:
    """Raises AudioTransferError for arguments that contradict each other or are missing."""
    if (args.style is None) != (args.folders is None):
        raise AudioTransferError(
            "a style of your own needs a name and songs: --style NAME --from FOLDER"
        )
    wanted = [args.config is not None, args.style is not None, args.finish is not None]
    if sum(wanted) != 1:
        raise AudioTransferError(
            "train one thing: a CONFIG, --style NAME --from FOLDER, or --finish RUN"
        )
    for option, value in (("steps", args.steps), ("minutes", args.minutes), ("until", args.until)):
        if value is not None and not value > 0:
            raise AudioTransferError(f"--{option} {value:g} is nothing; give more than 0")
    for override in args.overrides:
        if "=" not in override:
            raise AudioTransferError(f"setting {override!r} is not key=value")
