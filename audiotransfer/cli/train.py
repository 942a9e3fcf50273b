"""``audiotransfer train``: trains a style, a separator or a classifier from a config."""

from __future__ import annotations

import logging
from pathlib import Path

from audiotransfer.cli.arguments import Arguments, Parser, add_messages, any_name, any_path
from audiotransfer.cli.console import Console


def configure(parser: Parser) -> None:
    """Describes the verb and its arguments."""
    parser.about(
        "Trains what a config describes. The same command continues a run that was stopped. "
        "Losses, spectrograms and sounds are logged for TensorBoard, and the curves are plotted "
        "at the end. Needs pip install 'audiotransfer[train]'.",
        """\
examples:
  audiotransfer train templates-drums
  audiotransfer train templates-drums trainer.steps=2000 -o runs/short
  audiotransfer train cut unpaired.prepared=ready unpaired.source=rock \\
                          unpaired.target=jazz
  audiotransfer train my-style.yaml
  audiotransfer song.mp3 --style runs/my-style/NAME
  torchrun --nproc_per_node 2 -m audiotransfer train cut unpaired.batch=2""",
    )
    parser.add_argument(
        "config",
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
    add_messages(parser)


def run(args: Arguments, console: Console) -> int:
    """Trains until the last step, or until it is stopped."""
    for override in args.overrides:
        if "=" not in override:
            from audiotransfer.errors import AudioTransferError

            raise AudioTransferError(f"setting {override!r} is not key=value")
    from audiotransfer import recipes
    from audiotransfer.training.config import find_config
    from audiotransfer.training.devices import is_first

    name = find_config(args.config).stem
    folder = args.out or Path("runs") / name
    if not is_first():
        logging.getLogger().setLevel(logging.ERROR)
    with console.progress(name) as line:
        figures = recipes.train(args.config, args.overrides, folder, line.show)
    if not is_first():
        return 0
    styles = sorted(card.parent for card in folder.glob("*/card.json"))
    lines = [f"{name}  {value:.4g}" for name, value in figures.items()]
    lines += [str(folder), *(f"style {style}" for style in styles)]
    console.result("\n".join(lines), {"folder": folder, "styles": styles, **figures})
    return 0
