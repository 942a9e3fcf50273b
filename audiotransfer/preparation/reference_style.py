"""A style from one reference song, without training: the templates of its stems.

Each stem of the song is separated, the shipped style whose templates explain it best is taken, and
its templates are matched to the stem (see `spectral.matched_templates`). The card says what was
copied, and what was not.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from audiotransfer.errors import AudioTransferError
from audiotransfer.pipeline.cache import key_of
from audiotransfer.preparation.own_pairs import excerpt, separated, source_styles
from audiotransfer.recipes.export import package_version, sizes
from audiotransfer.spectral.matched_templates import Matched, match_templates
from audiotransfer.spectral.models.base import STEMS
from audiotransfer.spectral.models.templates import TemplateModel
from audiotransfer.spectral.transfer import load_generator, save_generator
from audiotransfer.styles.card import CARD_NAME, RESERVED, Card, StemEntry, sha256, write_card
from separation import Separator
from vocoder import SpectrogramSettings

SECONDS = 60.0
"""Of the reference that are read, from its middle."""
_ABSENT = 2e-3  # power of a stem beside the loudest below which the song does not have it
Show = Callable[[str, float], None]


@dataclass(frozen=True)
class Reference:
    """A style from a reference song: its folder, its name, and what was and was not copied."""

    folder: Path
    name: str
    copied: tuple[str, ...]
    kept: tuple[str, ...]

    def words(self) -> str:
        """What is copied and what is not, in a sentence."""
        kept = f"; it has no {' and no '.join(self.kept)}, which stay" if self.kept else ""
        return (
            f"copied from {self.name}: the spectra of its {', '.join(self.copied)}{kept}. Not "
            "copied: its notes, rhythm and swing, its singer, stereo width, room and dynamics. "
            "--strength 0.5 keeps more of the song, and is often nearer"
        )


def style_name(song: Path) -> str:
    """A name that a style can have, after a song's file."""
    name = re.sub(r"[^a-z0-9_-]+", "-", song.stem.lower()).strip("-_") or "reference"
    return f"{name}-song" if name in RESERVED else name


def reference_style(
    song: Path, folder: Path, separator: Separator, label: str, show: Show | None = None
) -> Reference:
    """Makes the style of a song in a subfolder of ``folder``; what is there already is used.

    ``label`` names the separator. Raises AudioTransferError where the song cannot be read, or none
    of its stems can be copied.
    """
    name = style_name(song)
    digest = hashlib.sha256(song.read_bytes()).hexdigest()
    place = folder / key_of(digest, label, package_version())[:16] / name
    if (place / CARD_NAME).is_file():
        return _described(place, name, _stems_of(place))
    if show is not None:
        show(f"separating {song.name}", 0.0)
    parts = separated(excerpt(song, SECONDS), separator, STEMS)
    loudest = max(float(part.square().mean()) for part in parts.values())
    place.mkdir(parents=True, exist_ok=True)
    entries: dict[str, StemEntry | None] = {}
    networks = {}
    for number, stem in enumerate(STEMS):
        if show is not None:
            show(f"matching {stem} of {song.name}", (1 + number) / (1 + len(STEMS)))
        entries[stem] = None
        if float(parts[stem].square().mean()) < _ABSENT * loudest:
            continue
        try:
            title, matched = best_match(parts[stem], stem)
        except AudioTransferError:
            continue
        file = f"{stem}.safetensors"
        save_generator(place / file, matched.model)
        entries[stem] = StemEntry("spectral", file, stem, SpectrogramSettings().to_dict())
        networks[stem] = {
            **sizes(matched.model),
            "start": title,
            "divergence": round(matched.divergence, 3),
            "divergence of the start": round(matched.before, 3),
        }
    copied = [stem for stem, entry in entries.items() if entry is not None]
    if not copied:
        raise AudioTransferError(f"{song}: none of its stems sounds long enough to be copied")
    found = _described(place, name, copied)
    card = Card(
        name=name,
        description=found.words(),
        stems={**entries, "vocals": None},
        weights={
            entry.weights: sha256(place / entry.weights) for entry in entries.values() if entry
        },
        networks=networks,
        corpora=[{"name": song.name, "licence": "that of the song", "songs": 1}],
        config={"reference": str(song), "separator": label},
        package_version=package_version(),
    )
    write_card(place, card)
    return found


def best_match(sound: Tensor, stem: str, styles: Sequence[str] = ()) -> tuple[str, Matched]:
    """The style whose templates explain a stem ``[2, T]`` best once they are matched, and they.

    ``styles`` are those that are tried: all that ship by default. Raises AudioTransferError where
    less than two seconds sound.
    """
    spectrogram = SpectrogramSettings()
    found: dict[str, Matched] = {}
    for title, style in source_styles(styles).items():
        entry = style.card.stems.get(stem)
        if entry is None:
            continue
        model = load_generator(style.folder / entry.weights).eval()
        if isinstance(model, TemplateModel):
            found[title] = match_templates(model, [model.features(sound, spectrogram)])
    best = min(found, key=lambda title: found[title].divergence)
    return best, found[best]


def _stems_of(place: Path) -> list[str]:
    return [stem for stem in STEMS if (place / f"{stem}.safetensors").is_file()]


def _described(place: Path, name: str, copied: Sequence[str]) -> Reference:
    kept = tuple(stem for stem in STEMS if stem not in copied)
    return Reference(place, name, tuple(copied), kept)
