"""``audiotransfer fetch``: the one verb that downloads."""

from __future__ import annotations

from audiotransfer.cli.arguments import Arguments, Parser, add_talk
from audiotransfer.cli.console import Console


def configure(parser: Parser) -> None:
    """Describes the verb and its arguments."""
    parser.about(
        "Downloads a Demucs separation model once, so that songs are taken apart more "
        "cleanly from then on, without a network.",
        """\
examples:
  audiotransfer fetch htdemucs      the usual choice, about 85 MB
  audiotransfer fetch htdemucs_6s   also tells guitar and piano apart

The files are safetensors; nothing that they hold is run. They go to the cache of the Hugging Face
hub ($HF_HOME).""",
    )
    parser.add_argument(
        "model",
        metavar="MODEL",
        help="htdemucs, htdemucs_ft, htdemucs_6s, hdemucs_mmi or mdx_extra",
    )
    add_talk(parser)


def run(args: Arguments, console: Console) -> int:
    """Downloads what is not on disk yet."""
    import separation

    with console.progress(args.model) as line:
        bag = separation.fetch(args.model, progress=lambda share: line.show("fetching", share))
    files = [str(path) for path in bag.networks]
    console.result("\n".join(files), {"model": bag.name, "files": files})
    return 0
