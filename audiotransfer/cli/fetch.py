"""``audiotransfer fetch``: downloads a separation model; no other verb downloads."""

from __future__ import annotations

from audiotransfer.cli.arguments import Arguments, Parser, add_messages, any_path
from audiotransfer.cli.console import Console


def configure(parser: Parser) -> None:
    """Describes the verb and its arguments."""
    parser.about(
        "Downloads a Demucs separation model once. From then on it separates songs more cleanly "
        "than the model that ships, without a network. On a computer without a network, --from "
        "installs files that another one downloaded.",
        """\
examples:
  audiotransfer fetch htdemucs      the usual choice, about 85 MB
  audiotransfer fetch htdemucs_6s   also separates guitar and piano
  audiotransfer fetch htdemucs --from /media/usb/huggingface
  audiotransfer fetch htdemucs --from 955717e8-8726e21a.th

--from takes a copy of another computer's cache (~/.cache/huggingface/hub, or a
folder in it), a folder with the model's .safetensors or .th files, or one such
file. Checksums are compared, and no code in the files is run. Models are stored
in the cache of the Hugging Face hub ($HF_HOME).""",
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
    """Downloads what is not on disk yet, or installs local files."""
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
