"""Measures every pair of spectrogram and inverter on named recordings, beside those of others.

    python tests/benchmarks/inverter_figures.py data/audio/genres [--seconds 4] [--only WORD...]
        [--also "mel wavenet:runs/wavenet/wavenet.safetensors"]

Each row is a process of its own, one thread: means over the recordings of spectral convergence,
multi-resolution STFT distance, log-spectral distance and centred chroma, processor seconds per
second of sound, and peak memory. "stft" rows are mono at 22.05 kHz with 2048/256, "mel" and "cqt"
rows mono at 44.1 kHz with the settings of the styles. Magnitudes are given, phases are not.
Inverters whose weights do not ship are rows by ``--also``.

The references are librosa's Griffin-Lim and inverse CQT (with random phases, which it refines), and
torchaudio's Griffin-Lim, whose rows are left out with a word where torchaudio is not installed. Its
last release, 2.11.0, loads beside torch 2.11 alone: the whole table is of one environment with
both. The first line names the versions.
"""

from __future__ import annotations

import argparse
import importlib.util
import multiprocessing
import platform
import warnings
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from time import process_time

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

import vocoder
from audiotransfer.audio.reading import read_audio
from audiotransfer.audio.resampling import resample
from audiotransfer.evaluation import plain_table
from audiotransfer.evaluation.metrics.copy_synthesis import (
    copy_figures,
    peak_memory_mb,
    spectral_convergence_db,
)
from vocoder import SpectrogramSettings, griffin_lim
from vocoder.griffinlim import admm

#: Two of each folder, and what is dense or plain among them.
RECORDINGS = (
    "classical/brahms_hungarian_dance5_us_army_strings.ogg",
    "classical/kevin_macleod_gold_rush.ogg",
    "electronic/helena_neon_lights.ogg",
    "electronic/opensurge_menu.ogg",
    "hiphop/boomboxhead_dopebeat2.ogg",
    "hiphop/holiznacc0_lofi_first_snow.ogg",
    "jazz/fats_waller_aint_misbehavin_piano.ogg",
    "jazz/spring_spring_jazz.ogg",
    "pop_folk/karissa_hobbs_lets_go_fishin.ogg",
    "pop_folk/opensurge_citychill.ogg",
    "rock_metal/joth_9th_circle.ogg",
    "rock_metal/matthew_pablo_red_doors.ogg",
)
SPECTROGRAMS = {
    "stft": SpectrogramSettings(
        kind="stft", sample_rate=22050, n_fft=2048, hop_length=256, scale="magnitude"
    ),
    "mel": SpectrogramSettings(),
    "cqt": SpectrogramSettings(kind="cqt", hop_length=256, bins=409, f_min=32.7),
}
_COLUMNS = {
    "spectral_convergence_db": "convergence dB",
    "multi_resolution_stft": "multi-res STFT",
    "log_spectral_distance_db": "log-spectral dB",
    "centred_chroma": "chroma",
    "real_time_factor": "s per s",
    "peak_memory_mb": "peak MB",
}

RoundTrip = Callable[[Tensor, SpectrogramSettings], Tensor]


def registered(name: str, **options: int) -> RoundTrip:
    """An inverter of the registry; those that need a source get the sound itself."""

    def round_trip(sound: Tensor, settings: SpectrogramSettings) -> Tensor:
        inverter = vocoder.create(name, settings, **options)
        random = torch.Generator().manual_seed(0)
        made: Tensor = inverter(settings(sound[None]), len(sound), sound[None, None], random)
        return made.reshape(-1)

    return round_trip


def random_start(method: str, iterations: int) -> RoundTrip:
    """Griffin-Lim, plain or fast, or ADMM from random phases on STFT magnitudes."""

    def round_trip(sound: Tensor, settings: SpectrogramSettings) -> Tensor:
        magnitude, random = settings(sound), torch.Generator().manual_seed(0)
        if method == "admm":
            return admm(magnitude, len(sound), settings, iterations, generator=random)
        momentum = 0.99 if method == "fast" else 0.0
        return griffin_lim(magnitude, len(sound), settings, iterations, momentum, random)

    return round_trip


def torchaudio_griffin_lim(iterations: int) -> RoundTrip:
    """torchaudio's fast Griffin-Lim on magnitudes."""

    def round_trip(sound: Tensor, settings: SpectrogramSettings) -> Tensor:
        from torchaudio.transforms import GriffinLim

        torch.manual_seed(0)
        transform = GriffinLim(
            settings.n_fft, iterations, hop_length=settings.hop_length, power=1.0,
            momentum=0.99, length=len(sound),
        )  # fmt: skip
        made: Tensor = transform(settings(sound))
        return made

    return round_trip


def librosa_griffin_lim(iterations: int) -> RoundTrip:
    """librosa's fast Griffin-Lim on magnitudes."""

    def round_trip(sound: Tensor, settings: SpectrogramSettings) -> Tensor:
        import librosa

        made = librosa.griffinlim(
            settings(sound).numpy(), n_iter=iterations, hop_length=settings.hop_length,
            n_fft=settings.n_fft, length=len(sound), momentum=0.99, random_state=0,
            pad_mode="reflect",
        )  # fmt: skip
        return torch.from_numpy(made)

    return round_trip


def librosa_constant_q(iterations: int) -> RoundTrip:
    """librosa's Griffin-Lim by its CQT and `icqt`, on its own magnitudes."""

    def round_trip(sound: Tensor, settings: SpectrogramSettings) -> Tensor:
        import librosa

        about = {
            "sr": settings.sample_rate, "hop_length": settings.hop_length,
            "fmin": settings.f_min, "bins_per_octave": settings.bins_per_octave,
        }  # fmt: skip
        magnitude = np.abs(librosa.cqt(sound.numpy(), n_bins=settings.bins, **about))
        made = librosa.griffinlim_cqt(
            magnitude, n_iter=iterations, length=len(sound), random_state=0, **about
        )
        return torch.from_numpy(made)

    return round_trip


SYSTEMS: dict[str, RoundTrip] = {
    "stft griffin-lim plain 32": random_start("plain", 32),
    "stft griffin-lim fast 32": random_start("fast", 32),
    "stft griffin-lim fast 100": random_start("fast", 100),
    "stft admm 32": random_start("admm", 32),
    "stft pghi alone": registered("pghi", iterations=0),
    "stft pghi and 16": registered("pghi", iterations=16),
    "stft pghi and 32": registered("pghi"),
    "stft pghi and 64": registered("pghi", iterations=64),
    "stft deep-griffinlim 3": registered("deep-griffinlim"),
    "stft deep-griffinlim 10": registered("deep-griffinlim", iterations=10),
    "stft rtisi": registered("rtisi"),
    "stft source": registered("source"),
    "stft librosa fast 32": librosa_griffin_lim(32),
    "stft torchaudio fast 32": torchaudio_griffin_lim(32),
    "stft torchaudio fast 100": torchaudio_griffin_lim(100),
    "mel griffinlim 32": registered("griffinlim"),
    "mel griffinlim 100": registered("griffinlim", iterations=100),
    "mel griffinlim 32, least squares": registered("griffinlim", least_squares=50),
    "mel pghi": registered("pghi"),
    "mel deep-griffinlim 3": registered("deep-griffinlim"),
    "mel neural": registered("neural"),
    "mel neural, 32 iterations": registered("neural", iterations=32),
    "mel neural, 4 iterations": registered("neural", iterations=4),
    "mel neural, no iterations": registered("neural", iterations=0),
    "mel rtisi": registered("rtisi"),
    "mel source": registered("source"),
    "cqt griffinlim 32": registered("griffinlim"),
    "cqt source": registered("source"),
    "cqt librosa 32": librosa_constant_q(32),
}


def measure(name: str, sounds: list[NDArray[np.float32]]) -> dict[str, float]:
    """Means of a system's figures over sounds ``[T]``. Runs in a process of its own."""
    torch.set_num_threads(1)
    # librosa says that fast Griffin-Lim can be unstable, and that of a CQT's shortest filters.
    warnings.filterwarnings("ignore", module="librosa")
    settings = SPECTROGRAMS[name.split()[0]]
    rows = []
    system = SYSTEMS.get(name) or registered(name.split(maxsplit=1)[1])
    system(torch.randn(settings.sample_rate), settings)  # compiles and builds filters
    for samples in sounds:
        sound = torch.from_numpy(samples)
        start = process_time()
        with torch.no_grad():
            made = system(sound, settings)
        spent = process_time() - start
        figures = copy_figures(made[None].float(), sound[None], settings.sample_rate)
        if settings.kind == "stft":  # on the frames that were given
            wanted, found = settings(sound).numpy(), settings(made.float()).numpy()
            figures["spectral_convergence_db"] = spectral_convergence_db(found, wanted)
        rows.append({**figures, "real_time_factor": spent * settings.sample_rate / len(sound)})
    means = {key: float(np.mean([row[key] for row in rows])) for key in rows[0]}
    return {**means, "peak_memory_mb": peak_memory_mb()}


def versions() -> str:
    """What ran: the machine's processor, Python and the packages that the rows come from."""
    parts = [platform.processor() or platform.machine(), f"Python {platform.python_version()}"]
    for package in ("torch", "torchaudio", "librosa", "numpy", "numba"):
        try:
            parts.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            parts.append(f"no {package}")
    return ", ".join(parts)


def excerpt(path: Path, rate: int, seconds: float) -> Tensor:
    """The middle of a recording, mono at a rate: [T]."""
    audio, own = read_audio(path)
    around = round((seconds + 1.0) * own)  # what resampling sees beside the excerpt
    start = max(0, (audio.shape[-1] - around) // 2)
    sound = resample(audio[:, start : start + around].clamp(-1.0, 1.0), own, rate).mean(0)
    length = min(len(sound), round(seconds * rate))
    start = (len(sound) - length) // 2
    return sound[start : start + length].contiguous()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path, help="data/audio/genres")
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--only", nargs="*", default=[""], metavar="WORD")
    parser.add_argument("--also", nargs="*", default=[], metavar="KIND NAME:FILE")
    args = parser.parse_args()
    names = [name for name in SYSTEMS if any(word in name for word in args.only)]
    print(f"{versions()}; {args.seconds:g} s of {len(RECORDINGS)} recordings")
    if importlib.util.find_spec("torchaudio") is None:
        print("torchaudio is not installed: its rows are left out")
        names = [name for name in names if "torchaudio" not in name]
    names += args.also
    rows = []
    torch.set_num_threads(1)  # processes are forked, which other threads would not survive
    warm = torch.randn(1, 44100)
    copy_figures(warm, warm, 44100)  # imports and compiles for all of them
    context = multiprocessing.get_context("fork")
    sounds: dict[int, list[NDArray[np.float32]]] = {}
    for name in names:
        rate = SPECTROGRAMS[name.split()[0]].sample_rate
        if rate not in sounds:
            paths = [args.folder / recording for recording in RECORDINGS]
            sounds[rate] = [excerpt(path, rate, args.seconds).numpy() for path in paths]
        with context.Pool(1) as pool:
            figures = pool.apply(measure, (name, sounds[rate]))
        rows.append(
            {"system": name, **{title: f"{figures[key]:.3g}" for key, title in _COLUMNS.items()}}
        )
        print(plain_table(rows[-1:]), flush=True)
    print(plain_table(rows))


if __name__ == "__main__":
    main()
