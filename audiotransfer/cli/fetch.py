"""``audiotransfer fetch``: the one verb that downloads."""

from __future__ import annotations

from audiotransfer.cli.arguments import Arguments, Parser, add_messages, any_path
from audiotransfer.cli.console import Console


def configure(parser: Parser) -> None:
    """Describes the verb and its arguments."""
    parser.about(
        "Downloads a Demucs separation model once, so that songs are taken apart more "
        "cleanly from then on, without a network. On a computer that has none, --from takes the "
        "files of another one.",
        """\
examples:
  audiotransfer fetch htdemucs      the usual choice, about 85 MB
  audiotransfer fetch htdemucs_6s   also tells guitar and piano apart
  audiotransfer fetch htdemucs --from /media/usb/huggingface
  audiotransfer fetch htdemucs --from 955717e8-8726e21a.th

--from takes a copy of the cache of another computer (~/.cache/huggingface/hub,
or a folder in it), a folder with the model's .safetensors or .th files, or one
such file. Checksums are compared, and nothing that a file holds is run. Models
go to the cache of the Hugging Face hub ($HF_HOME).""",
    )
    parser.add_argument(
        "model",
        metavar="MODEL",
        help="htdemucs, htdemucs_ft, htdemucs_6s, hdemucs_mmi or mdx_extra",
    )
    parser.add_argument(
        "--from",
        dest="source",
        type=any_path,
        metavar="PATH",
        help="install from this file or folder instead of downloading",
    )
    add_messages(parser)


def run(args: Arguments, console: Console) -> int:
    """Downloads what is not on disk yet, or installs what was brought."""
    import separation

    with console.progress(args.model) as line:
        if args.source is None:
            bag = separation.fetch(args.model, progress=lambda share: line.show("fetching", share))
        else:
            bag = separation.install(
                args.model, args.source, progress=lambda share: line.show("installing", share)
            )
    files = [str(path) for path in bag.networks]
    console.result("\n".join(files), {"model": bag.name, "files": files})
    return 0
