"""Genre clips, who they are by, and copies of them that carry every artefact in every class."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import librosa
import numpy as np
import torch
from torch import Tensor

from audiotransfer.errors import AudioTransferError
from audiotransfer.evaluation.artefacts import griffin_lim_copy
from audiotransfer.sound import resample, to_stereo

if TYPE_CHECKING:
    from separation import Separator

Copy = Callable[[Tensor, int, torch.Generator], Tensor]
"""Sound [C, T] at a rate in Hz -> the same music at the same rate with an artefact."""

GRIFFIN_LIM_ITERATIONS = 16
_GRIFFIN_LIM_BANDS = 200


@dataclass(frozen=True)
class Clip:
    """An audio file, its genre, and the group (artist or score) it must not be split from."""

    path: Path
    genre: str
    group: str


def split_groups(
    clips: Sequence[Clip], held_out: float = 0.25, seed: int = 0
) -> tuple[frozenset[str], frozenset[str]]:
    """Groups to train on and groups held out; no group is in both, whatever genres it plays.

    Every genre has at least one held-out group and keeps at least one: those with few are served
    first. Raises AudioTransferError for a genre with a single group.
    """
    generator = np.random.default_rng(seed)
    of_genre: dict[str, set[str]] = {}
    for clip in clips:
        of_genre.setdefault(clip.genre, set()).add(clip.group)
    out: set[str] = set()
    for genre in sorted(of_genre, key=lambda name: (len(of_genre[name]), name)):
        groups = of_genre[genre]
        wanted = max(1, round(held_out * len(groups)))
        for group in generator.permutation(sorted(groups - out)).tolist():
            if len(groups & out) >= wanted:
                break
            if all(len(other - out) > 1 for other in of_genre.values() if group in other):
                out.add(group)
        if not groups & out:
            raise AudioTransferError(
                f"genre '{genre}' has too few artists of its own to hold one out "
                f"({', '.join(sorted(groups))}): add clips by another"
            )
    return frozenset(set().union(*of_genre.values()) - out), frozenset(out)


def remix_copy(separator: Separator) -> Copy:
    """A copy that went through a separator: its stems summed at random gains of −9 to +3 dB each.

    The sound [C, T] may have any rate; the copy has the same.
    """

    def copy(audio: Tensor, sample_rate: int, generator: torch.Generator) -> Tensor:
        mix = resample(to_stereo(audio), sample_rate, separator.sample_rate)
        total = torch.zeros_like(mix)
        for stem in separator(mix, generator).values():
            total += stem * 10 ** ((12 * torch.rand(1, generator=generator) - 9) / 20)
        return resample(total, separator.sample_rate, sample_rate)

    return copy


def griffin_lim_mel_copy(audio: Tensor, sample_rate: int, generator: torch.Generator) -> Tensor:
    """A copy [1, T] of a sound [C, T] rebuilt from 200 mel bands without any phase."""
    signal = audio.mean(dim=0).numpy()
    n_fft = 1024 if sample_rate < 32_000 else 2048
    filters = librosa.filters.mel(sr=sample_rate, n_fft=n_fft, n_mels=_GRIFFIN_LIM_BANDS, fmin=20)
    spectrum = librosa.stft(signal, n_fft=n_fft, hop_length=n_fft // 4, pad_mode="constant")
    back = np.maximum(np.linalg.pinv(filters) @ (filters @ np.abs(spectrum)), 0).astype(np.float32)
    seed = int(torch.randint(2**31, (1,), generator=generator))
    copy = griffin_lim_copy(
        back, len(signal), n_fft=n_fft, hop_length=n_fft // 4,
        iterations=GRIFFIN_LIM_ITERATIONS, seed=seed,
    )  # fmt: skip
    return torch.from_numpy(copy)[None]
