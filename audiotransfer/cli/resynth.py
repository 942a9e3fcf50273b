"""``audiotransfer resynth``: measures spectrograms and inverters on a round trip."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from audiotransfer.audio.reading import probe_audio, read_audio
from audiotransfer.audio.writing import write_audio
from audiotransfer.cli.arguments import (
    Arguments,
    Parser,
    add_computing,
    add_messages,
    add_overwrite,
    any_path,
    either,
    registered,
)
from audiotransfer.cli.batch import check_song
from audiotransfer.cli.console import Console
from audiotransfer.errors import AudioTransferError

if TYPE_CHECKING:
    from torch import Tensor

    from vocoder import Inverter, SpectrogramSettings

#: Kind -> default hop length (samples), bins (0: as many as the window gives), lowest Hz.
_DEFAULTS = {"mel": (512, 256, 20.0), "stft": (512, 0, 0.0), "cqt": (256, 409, 32.7)}
_FIGURES = {
    "spectral_convergence_db": "convergence dB",
    "multi_resolution_stft": "multi-res STFT",
    "log_spectral_distance_db": "log-spectral dB",
    "centred_chroma": "chroma",
    "real_time_factor": "s per s",
    "peak_memory_mb": "peak MB",
}


def configure(parser: Parser) -> None:
    """Describes the verb and its arguments."""
    parser.about(
        "Turns a song into a spectrogram and back, with each pair of spectrogram and inverter, "
        "and prints how far the copies are from the song: spectral convergence (dB, lower is "
        "better), multi-resolution STFT distance, log-spectral distance (dB), centred chroma (1 "
        "is best); and computing time (seconds per second of sound) and peak memory.",
        """\
examples:
  audiotransfer resynth song.wav
  audiotransfer resynth song.wav --spectrogram mel --spectrogram cqt
  audiotransfer resynth song.wav --bins 128 -o copies""",
    )
    parser.add_argument("song", type=any_path, metavar="SONG", help="an audio file")
    group = parser.add_argument_group("spectrograms and inverters")
    group.add_argument(
        "--spectrogram",
        action="append",
        choices=tuple(_DEFAULTS),
        metavar="KIND",
        help="mel (default), stft or cqt; may be given again",
    )
    parser.accept_old_name("--picture", "--spectrogram")
    group.add_argument(
        "--inverter",
        action="append",
        metavar="NAME",
        help=f"{either(registered('audiotransfer.inverters'))}, or NAME:FILE for weights of your "
        "own; may be given again (default: all that fit and whose weights are here)",
    )
    group.add_argument(
        "--bins", type=int, metavar="N", help="bins of mel or cqt (default 256 and 409)"
    )
    group.add_argument(
        "--n-fft",
        type=int,
        default=2048,
        metavar="N",
        help="samples of a window (default 2048)",
    )
    group.add_argument(
        "--hop-length", type=int, metavar="N", help="samples of a step (default 512, cqt 256)"
    )
    group.add_argument(
        "--seconds",
        type=float,
        default=30.0,
        metavar="S",
        help="length of the excerpt, from the beginning (default 30)",
    )
    parser.add_argument(
        "-o", "--out", type=any_path, metavar="DIR", help="also write the copies into this folder"
    )
    add_overwrite(parser)
    add_computing(parser)
    add_messages(parser)


def run(args: Arguments, console: Console) -> int:
    """Prints one row for each pair of spectrogram and inverter."""
    check_song(args.song)
    if not args.seconds > 0:
        raise AudioTransferError(f"--seconds {args.seconds:g} is no length; give more than 0")
    import vocoder

    spectrograms = args.spectrogram or ["mel"]
    inverters: dict[tuple[str, str], Inverter] = {}
    for kind in spectrograms:
        settings = _settings(args, kind)
        for name in args.inverter or vocoder.names():
            try:
                inverters[kind, name] = vocoder.create(name, settings)
            except vocoder.VocoderError as error:
                if args.inverter:
                    raise
                console.notice(f"without {name}: {error}")
    audio = _excerpt(args.song, args.seconds)
    rows: list[dict[str, Any]] = []
    with console.progress(args.song.name) as line:
        for number, ((kind, name), inverter) in enumerate(inverters.items()):
            line.show(f"{kind} and {name}", number / len(inverters))
            label = "-".join([kind, *map(_last_name, name.split(":", 1))])
            target = args.out / f"{args.song.stem}.{label}.wav" if args.out else None
            figures = _figures(audio, inverter, args, target)
            rows.append({"spectrogram": kind, "inverter": name, **figures})
    console.result(_table(rows), rows)
    return 0


def _settings(args: Arguments, kind: str) -> SpectrogramSettings:
    from audiotransfer.audio.resampling import STEREO_RATE
    from vocoder import SpectrogramSettings

    hop_length, bins, f_min = _DEFAULTS[kind]
    return SpectrogramSettings(
        kind=kind,  # type: ignore[arg-type]
        sample_rate=STEREO_RATE,
        n_fft=args.n_fft,
        hop_length=args.hop_length or hop_length,
        bins=bins if kind == "stft" else args.bins or bins,
        f_min=f_min,
    )


def _excerpt(song: Path, seconds: float) -> Tensor:
    """The beginning of the song, ``[C, T]`` at 44.1 kHz, in one or two channels."""
    from audiotransfer.audio.channels import to_stereo
    from audiotransfer.audio.resampling import STEREO_RATE, resample

    audio, rate = read_audio(song, frames=max(1, round(seconds * probe_audio(song).sample_rate)))
    audio = audio if audio.shape[0] == 1 else to_stereo(audio)
    return resample(audio, rate, STEREO_RATE)


def _last_name(path: str) -> str:
    return Path(path).stem


def _figures(
    audio: Tensor, inverter: Inverter, args: Arguments, target: Path | None
) -> dict[str, float]:
    """Measures a round trip through a spectrogram; writes the copy to ``target``, if any."""
    import torch

    from audiotransfer.evaluation import copy_synthesis_figures
    from audiotransfer.pipeline import resolve_device

    device = resolve_device(args.device)
    spectrogram = inverter.expects
    copies: list[Tensor] = []

    def round_trip(song: Tensor) -> Tensor:
        # Each channel is an item of the batch, which every inverter takes.
        random = torch.Generator().manual_seed(args.seed)
        there = song.to(device)
        back = inverter(spectrogram(there), song.shape[-1], source=there[:, None], generator=random)
        copies.append(back.reshape(song.shape).cpu())
        return copies[-1]

    figures = copy_synthesis_figures(audio, spectrogram.sample_rate, round_trip)
    if target is not None:
        target.parent.mkdir(parents=True, exist_ok=True)
        write_audio(
            target, copies[-1], spectrogram.sample_rate, encoding="float32", overwrite=args.force
        )
    return figures


def _table(rows: list[dict[str, Any]]) -> str:
    from audiotransfer.evaluation import plain_table

    return plain_table(
        [
            {
                "spectrogram": row["spectrogram"],
                "inverter": row["inverter"],
                **{title: f"{row[key]:.3g}" for key, title in _FIGURES.items()},
            }
            for row in rows
        ]
    )
