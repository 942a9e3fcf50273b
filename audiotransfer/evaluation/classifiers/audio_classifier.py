"""Audio classifiers: a log-mel front end and a small convolutional network on 3 s windows."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar, Self, cast

import librosa
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from audiotransfer.audio.resampling import resample
from audiotransfer.errors import AudioTransferError
from audiotransfer.evaluation.classifiers.saved import (
    DAMAGED,
    is_saved,
    read_classifier,
    unreadable,
    write_classifier,
)
from audiotransfer.training import Batches, Group, Turn
from audiotransfer.training.stepping import loss_of

FLOOR = 1e-5  # of mel magnitudes
LEVEL = 0.1  # RMS at which sounds are classified
NETWORK = "classifier"
"""Name of the network, of its optimiser group and of its turn in a training."""

_DECIBEL = 20 / 2.302585
_RANGE_DB = 75.0
_SPREAD_DB = 15.0
_SILENT_DB = -60.0
_WINDOWS_AT_ONCE = 32
_FEATURES_AT_ONCE = 64


@dataclass(frozen=True)
class AudioClassifierSettings:
    """Classes, front end and size of an audio classifier.

    Attributes:
        classes: names of the outputs, in order.
        sample_rate: in Hz.
        n_fft, hop_length: of the STFT, in samples.
        bands: number of mel bands between ``f_min`` and ``f_max`` Hz.
        seconds: length of a window.
        width: channels of the first convolution.
    """

    classes: tuple[str, ...]
    sample_rate: int = 22050
    n_fft: int = 1024
    hop_length: int = 512
    bands: int = 96
    f_min: float = 30.0
    f_max: float = 10_500.0
    seconds: float = 3.0
    width: int = 24

    @property
    def window(self) -> int:
        """Samples of one window."""
        return round(self.seconds * self.sample_rate)

    @property
    def frames(self) -> int:
        """Frames of one window."""
        return self.window // self.hop_length + 1


class LogMel(nn.Module):
    """The front end: sound [B, T] -> natural log of Slaney mel magnitudes [B, F, L].

    The filters are librosa's, which the shipped weights were trained with; those of `vocoder.mel`
    are integrated over bins and differ.
    """

    hann: Tensor
    filters: Tensor

    def __init__(self, settings: AudioClassifierSettings) -> None:
        super().__init__()
        self.settings = settings
        filters = librosa.filters.mel(
            sr=settings.sample_rate, n_fft=settings.n_fft, n_mels=settings.bands,
            fmin=settings.f_min, fmax=settings.f_max,
        )  # fmt: skip
        self.register_buffer("hann", torch.hann_window(settings.n_fft), persistent=False)
        self.register_buffer("filters", torch.from_numpy(filters.T.copy()), persistent=False)

    def forward(self, audio: Tensor) -> Tensor:
        spectrum = torch.stft(
            audio, self.settings.n_fft, self.settings.hop_length, window=self.hann,
            pad_mode="constant", return_complex=True,
        )  # fmt: skip
        magnitude = spectrum.abs().transpose(-1, -2) @ self.filters
        return magnitude.transpose(-1, -2).clamp(min=FLOOR).log()


class AudioClassifierNetwork(nn.Module):
    """Four convolution blocks and a mean over time: features [B, F, L] -> logits [B, classes].

    0.14 M parameters at the default width. The input is normalised first (`normalised`), so that
    loudness is no cue. ``embed`` gives the penultimate layer [B, 64].
    """

    def __init__(self, settings: AudioClassifierSettings) -> None:
        super().__init__()
        self.settings = settings
        widths = [1, *(settings.width * step for step in (1, 2, 3, 4))]
        self.blocks = nn.Sequential(*(_block(before, after) for before, after in pairwise(widths)))
        self.narrow = nn.Linear(widths[-1] * (settings.bands // 16), 64)
        self.dropout = nn.Dropout(0.3)
        self.out = nn.Linear(64, len(settings.classes))

    def embed(self, features: Tensor) -> Tensor:
        """The penultimate layer of windows: [B, F, L] -> [B, 64]."""
        pooled = self.blocks(normalised(features)[:, None]).mean(dim=-1)
        return F.relu(self.narrow(self.dropout(pooled.flatten(1))))

    def forward(self, features: Tensor) -> Tensor:
        return cast(Tensor, self.out(self.dropout(self.embed(features))))


def normalised(features: Tensor) -> Tensor:
    """Log-mel windows [B, F, L] floored 75 dB below their maximum, mean 0, in units of 15 dB.

    Any gain on the sound cancels.
    """
    top = features.amax(dim=(1, 2), keepdim=True)
    depth = torch.maximum(features, top - _RANGE_DB / _DECIBEL)
    return (depth - depth.mean(dim=(1, 2), keepdim=True)) * (_DECIBEL / _SPREAD_DB)


class AudioClassifier:
    """A trained network and its accuracy (``report``): logits and embeddings of sounds.

    Subclasses say what the outputs mean, and name the files: ``kind``, and ``old_kind`` for those
    of version 0.1.0.
    """

    kind: ClassVar[str]
    old_kind: ClassVar[str]

    def __init__(
        self, network: AudioClassifierNetwork, report: dict[str, Any] | None = None
    ) -> None:
        self.network = network.eval()
        self.settings = network.settings
        self.report = report or {}
        self._front_end = LogMel(self.settings)

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the network's outputs, in order."""
        return self.settings.classes

    def logits(self, audio: Tensor, sample_rate: int) -> Tensor:
        """The network's outputs for each window of a sound [C, T]: [windows, classes].

        Windows overlap by half; those 60 dB below the sound's own level do not count; a sound
        shorter than a window is repeated. Silence has no windows.
        """
        return self._over_windows(self.network, audio, sample_rate, len(self.classes))

    def embeddings(self, audio: Tensor, sample_rate: int) -> Tensor:
        """The penultimate layer for each window of a sound [C, T]: [windows, D]."""
        size = self.network.out.in_features
        return self._over_windows(self.network.embed, audio, sample_rate, size)

    def save(self, folder: str | Path) -> None:
        """Writes KIND.safetensors (float32) and KIND.json into a folder, made where missing.

        Raises AudioTransferError where they cannot be written.
        """
        card = {"kind": self.kind, "version": 1, "settings": asdict(self.settings)}
        write_classifier(folder, self.kind, self.network.state_dict(), card, self.report)

    @classmethod
    def is_saved(cls, folder: str | Path) -> bool:
        """Whether a folder holds the card of a classifier of this kind."""
        return is_saved(folder, cls.kind, cls.old_kind)

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        """Reads what ``save`` wrote. Raises AudioTransferError on other or damaged files."""
        try:
            card, state = read_classifier(folder, cls.kind, cls.old_kind)
            fields = card["settings"]
            settings = AudioClassifierSettings(**{**fields, "classes": tuple(fields["classes"])})
            network = AudioClassifierNetwork(settings)
            network.load_state_dict(state)
        except DAMAGED as error:
            raise unreadable(cls.kind.replace("-", " "), folder, error) from error
        return cls(network, card.get("report"))

    def _over_windows(
        self, layer: Callable[[Tensor], Tensor], audio: Tensor, sample_rate: int, size: int
    ) -> Tensor:
        windows = self._windows(audio, sample_rate)
        with torch.no_grad():
            parts = [
                layer(self._front_end(batch))
                for batch in windows.split(_WINDOWS_AT_ONCE)
                if len(batch)
            ]
        return torch.cat(parts) if parts else torch.zeros(0, size)

    def _windows(self, audio: Tensor, sample_rate: int) -> Tensor:
        """Windows [W, T] of the sound that are not silent, at the classifier's sample rate."""
        signal = classifier_input(audio, sample_rate, self.settings)
        size = self.settings.window
        if len(signal) < size:
            signal = signal.repeat(-(-size // len(signal)))[:size]
        windows = signal.unfold(0, size, size // 2)
        level = windows.square().mean(dim=1).sqrt()
        return windows[level > LEVEL * 10 ** (_SILENT_DB / 20)]


def classifier_input(audio: Tensor, sample_rate: int, settings: AudioClassifierSettings) -> Tensor:
    """A sound [C, T] as mono [T] at the classifier's sample rate and RMS 0.1; silence stays 0.

    Raises AudioTransferError for a sound without samples.
    """
    signal = audio.detach().float().cpu().mean(dim=0, keepdim=True)
    if signal.shape[-1] == 0:
        raise AudioTransferError("a classifier was given a sound without samples")
    if sample_rate != settings.sample_rate:
        signal = resample(signal, sample_rate, settings.sample_rate)
    rms = signal.square().mean().sqrt()
    return (signal * (LEVEL / rms) if float(rms) > 1e-9 else torch.zeros_like(signal))[0]


def _block(before: int, after: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(before, after, 3, padding=1, bias=False),
        nn.BatchNorm2d(after),
        nn.ReLU(),
        nn.MaxPool2d(2),
    )


class AudioClassifierObjective(ABC):
    """Trains a new network with AdamW; a subclass gives the loss.

    Networks and groups: ``classifier``. ``seed`` draws the initial weights.
    """

    def __init__(
        self, settings: AudioClassifierSettings, *, learning_rate: float = 1e-3,
        weight_decay: float = 1e-2, seed: int = 0,
    ) -> None:  # fmt: skip
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.network = AudioClassifierNetwork(settings)
        self.settings = settings
        self.seed = seed
        self.networks: Mapping[str, nn.Module] = {NETWORK: self.network}
        self.groups: Mapping[str, Group] = {
            NETWORK: Group((NETWORK,), learning_rate, (0.9, 0.99), weight_decay)
        }

    @abstractmethod
    def turns(
        self, batch: dict[str, Tensor], step: int, generator: torch.Generator
    ) -> Iterator[Turn]:
        """The loss terms of one step; see `Objective`."""

    def learn(self, batches: Batches, steps: int) -> None:
        """Trains the network here, without a trainer: for small classifiers.

        Every call gives the same weights; global random numbers are left as they were.
        """
        group = self.groups[NETWORK]
        optimiser = torch.optim.AdamW(
            self.network.parameters(),
            group.learning_rate,
            group.betas,
            weight_decay=group.weight_decay,
        )
        generator = torch.Generator().manual_seed(self.seed)
        self.network.train()
        with torch.enable_grad(), torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            for step in range(steps):
                for turn in self.turns(batches.batch(step), step, generator):
                    optimiser.zero_grad()
                    loss_of(turn).backward()
                    optimiser.step()
        self.network.eval()


@torch.no_grad()
def logits_of(network: nn.Module, features: Tensor) -> Tensor:
    """A network's outputs in evaluation mode: features [N, ...] -> [N, classes] on the CPU."""
    device = next(network.parameters()).device
    was_training = network.training
    network.eval()
    parts = [network(part.to(device)).cpu() for part in features.split(_FEATURES_AT_ONCE)]
    network.train(was_training)
    return torch.cat(parts)
