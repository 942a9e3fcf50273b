"""``audiotransfer serve``: a page on which songs are transferred, mixed and heard."""

from __future__ import annotations

import importlib.util

from audiotransfer.cli.arguments import Arguments, Parser, add_messages, any_name
from audiotransfer.cli.console import Console
from audiotransfer.errors import AudioTransferError

_PACKAGES = ("fastapi", "uvicorn")
_PORTS = range(1 << 16)


def configure(parser: Parser) -> None:
    """Describes the verb and its arguments."""
    parser.about(
        "Serves a page on this computer: drop a song, hear it in another style, mix each stem "
        "between the original and the new, correct chords, and download. Prints the address, "
        "which holds a secret token. Ctrl-C stops it and removes songs and results. Needs "
        "`pip install 'audiotransfer[serve]'`.",
        """\
examples:
  audiotransfer serve --open
  audiotransfer serve --port 8000 --host 0.0.0.0   also for other computers
  audiotransfer serve --json                       the address as JSON""",
    )
    parser.add_argument(
        "--port", type=int, default=0, metavar="N", help="port (default 0: any free one)"
    )
    parser.add_argument(
        "--host",
        type=any_name,
        default="127.0.0.1",
        metavar="ADDRESS",
        help="address to serve at (default 127.0.0.1: this computer only)",
    )
    parser.add_argument("--open", action="store_true", help="open the page in the browser")
    limits = parser.add_argument_group("limits")
    limits.add_argument(
        "--max-mb", type=float, default=300, metavar="N", help="largest upload (default 300)"
    )
    limits.add_argument(
        "--max-minutes", type=float, default=20, metavar="N", help="longest song (default 20)"
    )
    limits.add_argument(
        "--queue", type=int, default=8, metavar="N", help="jobs that may wait (default 8)"
    )
    limits.add_argument(
        "--keep-gb",
        type=float,
        default=8,
        metavar="N",
        help="songs and results that are kept at a time (default 8)",
    )
    add_messages(parser)


def run(args: Arguments, console: Console) -> int:
    """Serves until it is stopped."""
    missing = [name for name in _PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise AudioTransferError(
            f"{' and '.join(missing)} not installed: pip install 'audiotransfer[serve]'"
        )
    if args.port not in _PORTS:
        raise AudioTransferError(f"port {args.port}: give 0 (any free one) to {_PORTS[-1]}")
    for name in ("max_mb", "max_minutes", "queue", "keep_gb"):
        if not getattr(args, name) > 0:
            raise AudioTransferError(
                f"--{name.replace('_', '-')} {getattr(args, name)}: give more than 0"
            )
    from audiotransfer.server.access import is_loopback
    from audiotransfer.server.run import serve
    from audiotransfer.server.songs import Limits

    if not is_loopback(args.host):
        console.notice(
            f"{args.host}: other computers can reach this server, without encryption; whoever has"
            " the address with its token can use it"
        )

    def started(url: str) -> None:
        console.end_progress()
        console.result(url, {"url": url})
        console.notice(
            "open that in a browser; Ctrl-C ends the server, and removes its songs and results"
        )
        if args.open:
            import webbrowser

            webbrowser.open(url)

    limits = Limits(
        upload_bytes=round(args.max_mb * 1e6),
        song_seconds=60.0 * args.max_minutes,
        queued=args.queue,
        stored_bytes=round(args.keep_gb * 1e9),
    )
    serve(args.host, args.port, limits, started)
    return 0
