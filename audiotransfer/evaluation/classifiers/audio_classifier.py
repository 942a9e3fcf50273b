"""Networks that listen: a log-mel front end, a small convolution network, windows, saved files."""

from __future__ import annotations

import hashlib
import json
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

from audiotransfer.atomic import write_bytes
from audiotransfer.audio.resampling import resample
from audiotransfer.errors import AudioTransferError
from audiotransfer.training import Batches, Group, Turn
from audiotransfer.training.stepping import loss_of

FLOOR = 1e-5
LEVEL = 0.1
_DECIBEL = 20 / 2.302585
_RANGE_DB = 75.0
_SPREAD_DB = 15.0
_SILENT_DB = -60.0
_WINDOWS_AT_ONCE = 32


@dataclass(frozen=True)
class AudioClassifierSettings:
    """What is heard: rates in Hz, window and hop in samples, windows in seconds.

    ``width`` of the network.
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
    """The front end: sound [B, T] -> natural log of Slaney mel magnitudes [B, F, L]."""

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

    0.14 M parameters at the default width. Its input is levelled first, so that loudness is no
    cue. ``embed`` gives the penultimate layer [B, 64].
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
        """What was heard, before it is named: [B, F, L] -> [B, 64]."""
        pooled = self.blocks(levelled(features)[:, None]).mean(dim=-1)
        return F.relu(self.narrow(self.dropout(pooled.flatten(1))))

    def forward(self, features: Tensor) -> Tensor:
        return cast(Tensor, self.out(self.dropout(self.embed(features))))


def levelled(features: Tensor) -> Tensor:
    """Log-mel windows [B, F, L] in units of 15 dB around their mean, 75 dB deep from their loudest.

    Any gain on the sound cancels.
    """
    top = features.amax(dim=(1, 2), keepdim=True)
    depth = torch.maximum(features, top - _RANGE_DB / _DECIBEL)
    return (depth - depth.mean(dim=(1, 2), keepdim=True)) * (_DECIBEL / _SPREAD_DB)


class AudioClassifier:
    """A trained network, how far it can be believed (``report``), and how to ask it.

    Subclasses say what the outputs mean and under which names they are kept (``kind``).
    """

    kind: ClassVar[str]

    def __init__(
        self, network: AudioClassifierNetwork, report: dict[str, Any] | None = None
    ) -> None:
        self.network = network.eval()
        self.settings = network.settings
        self.report = report or {}
        self._front_end = LogMel(self.settings)

    @property
    def classes(self) -> tuple[str, ...]:
        """What can be heard, in the order of the network's outputs."""
        return self.settings.classes

    def logits(self, audio: Tensor, sample_rate: int) -> Tensor:
        """The network's outputs for each window of a sound [C, T]: [windows, classes].

        Windows overlap by half; those 60 dB below the sound's own level do not count; a sound
        shorter than a window is repeated. Silence has no windows.
        """
        return self._ask(self.network, audio, sample_rate, len(self.classes))

    def embeddings(self, audio: Tensor, sample_rate: int) -> Tensor:
        """The penultimate layer for each window of a sound [C, T]: [windows, D]."""
        return self._ask(self.network.embed, audio, sample_rate, self.network.out.in_features)

    def save(self, folder: str | Path) -> None:
        """Writes KIND.safetensors (float32) and KIND.json into a folder, made where missing.

        Raises AudioTransferError where they cannot be written.
        """
        from safetensors.torch import save

        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        state = {name: value.contiguous() for name, value in self.network.state_dict().items()}
        weights = save(state)
        card = {
            "kind": self.kind, "version": 1, "settings": asdict(self.settings),
            "sha256": hashlib.sha256(weights).hexdigest(), "report": self.report,
        }  # fmt: skip
        text = json.dumps(card, indent=1, ensure_ascii=False) + "\n"
        for name, data in (("safetensors", weights), ("json", text.encode())):
            write_bytes(folder / f"{self.kind}.{name}", data, overwrite=True)

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        """Reads what ``save`` wrote. Raises AudioTransferError on foreign or damaged files."""
        from safetensors import SafetensorError
        from safetensors.torch import load

        folder = Path(folder)
        try:
            card = json.loads((folder / f"{cls.kind}.json").read_text(encoding="utf-8"))
            weights = (folder / f"{cls.kind}.safetensors").read_bytes()
            if card["sha256"] != hashlib.sha256(weights).hexdigest():
                raise ValueError(f"{cls.kind}.safetensors is not what {cls.kind}.json describes")
            fields = card["settings"]
            settings = AudioClassifierSettings(**{**fields, "classes": tuple(fields["classes"])})
            network = AudioClassifierNetwork(settings)
            network.load_state_dict(load(weights))
        except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
            raise AudioTransferError(
                f"no {cls.kind} can be read from {folder}: {error}; train one or name another "
                "folder"
            ) from error
        return cls(network, card.get("report"))

    def _ask(
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
        """Windows [W, T] of the sound that are not silent, at the listener's rate."""
        signal = heard(audio, sample_rate, self.settings)
        size = self.settings.window
        if len(signal) < size:
            signal = signal.repeat(-(-size // len(signal)))[:size]
        windows = signal.unfold(0, size, size // 2)
        level = windows.square().mean(dim=1).sqrt()
        return windows[level > LEVEL * 10 ** (_SILENT_DB / 20)]


def heard(audio: Tensor, sample_rate: int, settings: AudioClassifierSettings) -> Tensor:
    """A sound [C, T] as a listener gets it: mono, its rate, RMS 0.1: [T]. Silence stays silence."""
    signal = audio.detach().float().cpu().mean(dim=0, keepdim=True)
    if signal.shape[-1] == 0:
        raise AudioTransferError("a listener was given a sound without samples")
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


_listener_objective_WINDOWS_AT_ONCE = 64


class AudioClassifierObjective(ABC):
    """A fresh network that AdamW steps alone; a subclass says what it is taught.

    Its name among networks and groups is the ``kind`` of the listener that it becomes. ``seed``
    draws its first weights.
    """

    kind: ClassVar[str]

    def __init__(
        self, settings: AudioClassifierSettings, *, learning_rate: float = 1e-3,
        weight_decay: float = 1e-2, seed: int = 0,
    ) -> None:  # fmt: skip
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.network = AudioClassifierNetwork(settings)
        self.settings = settings
        self.seed = seed
        self.networks: Mapping[str, nn.Module] = {self.kind: self.network}
        self.groups: Mapping[str, Group] = {
            self.kind: Group((self.kind,), learning_rate, (0.9, 0.99), weight_decay)
        }

    @abstractmethod
    def turns(
        self, batch: dict[str, Tensor], step: int, generator: torch.Generator
    ) -> Iterator[Turn]:
        """What an `Objective` promises."""

    def learn(self, batches: Batches, steps: int) -> None:
        """Teaches the network on the spot, without a trainer: for listeners of a minute's work.

        Every call gives the same weights; global random numbers are left as they were.
        """
        group = self.groups[self.kind]
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
    """What a network, evaluating, makes of windows [N, F, L]: [N, classes], on the CPU."""
    device = next(network.parameters()).device
    was_training = network.training
    network.eval()
    parts = [
        network(part.to(device)).cpu()
        for part in features.split(_listener_objective_WINDOWS_AT_ONCE)
    ]
    network.train(was_training)
    return torch.cat(parts)
