"""A style from one reference song, without training: its stems' templates, tone and width.

Each stem of the song is separated, the shipped style whose templates explain it best is taken, and
its templates are matched to the stem (see `spectral.matched_templates`). The card holds the stem's
mean spectrum and stereo width, to which each song's transferred stem is moved (see
`pipeline.style_match`), and says what was copied, and what was not.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import Tensor

from audiotransfer.audio.reading import probe_audio
from audiotransfer.audio.sound_profile import SoundMeter
from audiotransfer.errors import AudioTransferError
from audiotransfer.leadsheet.quantising import swing_phase
from audiotransfer.pipeline.cache import key_of
from audiotransfer.pipeline.cut import Cut
from audiotransfer.pipeline.outlook import cores, separation_seconds
from audiotransfer.pipeline.plan import REFERENCE
from audiotransfer.pipeline.sources import FileSource, part_of
from audiotransfer.pipeline.transcription import transcribe_source
from audiotransfer.preparation.own_pairs import excerpt, pair_styles, separated
from audiotransfer.recipes.export import package_version, sizes
from audiotransfer.spectral.matched_templates import Matched, match_templates
from audiotransfer.spectral.models.base import STEMS
from audiotransfer.spectral.models.templates import TemplateModel
from audiotransfer.spectral.transfer import load_generator, save_generator
from audiotransfer.styles.card import (
    CARD_NAME,
    RESERVED,
    Card,
    StemEntry,
    read_card,
    sha256,
    write_card,
)
from separation import Separator
from vocoder import SpectrogramSettings

SECONDS = 60.0
"""Of the reference that are read, from its middle."""
# Shares of the work: separation, matching of each stem, the rest for swing. All of it is `_WORK`
# times what the embedded separator takes for the same sound on one core.
_SEPARATING, _MATCHING = 0.08, {"drums": 0.07, "bass": 0.32, "other": 0.48}
_WORK = 25.0
_FORMAT = "templates, tone, width"  # what such a style holds; names its folder
_ABSENT = 2e-3  # power of a stem beside the loudest below which the song does not have it
Show = Callable[[str, float], None]


@dataclass(frozen=True)
class Reference:
    """A style from a reference song: its folder, its name, and what was and was not copied.

    ``swing`` is the place of its off-beat eighths in the beat; ``None`` where they are straight,
    or nothing can be said of them.
    """

    folder: Path
    name: str
    copied: tuple[str, ...]
    kept: tuple[str, ...]
    swing: float | None = None

    def words(self) -> str:
        """What is copied and what is not, in sentences."""
        kept = f"; it has no {' and no '.join(self.kept)}, which stay" if self.kept else ""
        swing = ""
        if self.swing is not None:
            ratio = self.swing / (1 - self.swing)
            swing = (
                f" It swings (eighths {ratio:.1f} : 1); timbre moves no onsets, and the cover of a "
                "style with a band does (--style jazz --mode cover)."
            )
        return (
            f"copied from {self.name}: spectra, tone and stereo width of its "
            f"{', '.join(self.copied)}{kept}. Not copied: its notes, rhythm and swing, its singer, "
            f"dynamics and room.{swing} --strength 0.5 keeps more of the song, and is often nearer"
        )


def style_name(song: Path) -> str:
    """A name that a style can have, after a song's file."""
    name = re.sub(r"[^a-z0-9_-]+", "-", song.stem.lower()).strip("-_") or "reference"
    return f"{name}-song" if name in RESERVED else name


def making_seconds(song: Path, folder: Path, label: str, device: str) -> float:
    """About how long `reference_style` takes on this machine; 0 where the style is there."""
    if (_place(song, folder, label) / CARD_NAME).is_file():
        return 0.0
    info = probe_audio(song)
    length = min(SECONDS, info.frames / info.sample_rate)
    return _WORK * length * separation_seconds(device) / cores(device)


def _place(song: Path, folder: Path, label: str) -> Path:
    """The folder of a song's style in ``folder``."""
    digest = hashlib.sha256(song.read_bytes()).hexdigest()
    return folder / key_of(digest, label, package_version(), _FORMAT)[:16] / style_name(song)


def reference_style(
    song: Path, folder: Path, separator: Separator, label: str, show: Show | None = None
) -> Reference:
    """Makes the style of a song in a subfolder of ``folder``; what is there already is used.

    ``label`` names the separator. Raises AudioTransferError where the song cannot be read, or none
    of its stems can be copied.
    """
    place = _place(song, folder, label)
    name = place.name
    if (place / CARD_NAME).is_file():
        return _described(place, name, _stems_of(place), read_card(place).figures.get("swing"))
    if show is not None:
        show("separating", 0.0)
    parts = separated(excerpt(song, SECONDS), separator, STEMS)
    loudest = max(float(part.square().mean()) for part in parts.values())
    place.mkdir(parents=True, exist_ok=True)
    entries: dict[str, StemEntry | None] = {}
    networks = {}
    share = _SEPARATING
    for stem in STEMS:
        before, share = share, share + _MATCHING[stem]
        entries[stem] = None
        if float(parts[stem].square().mean()) < _ABSENT * loudest:
            continue
        try:
            tried = None if show is None else _matching(show, f"matching {stem}", before, share)
            title, matched = best_match(parts[stem], stem, show=tried)
        except AudioTransferError:
            continue
        file = f"{stem}.safetensors"
        save_generator(place / file, matched.model)
        meter = SoundMeter()
        meter.push(parts[stem])
        entries[stem] = StemEntry(
            "spectral",
            file,
            stem,
            SpectrogramSettings().to_dict(),
            {REFERENCE: meter.profile().shares()},
        )
        networks[stem] = {
            **sizes(matched.model),
            "start": title,
            "divergence": round(matched.divergence, 3),
            "divergence of the start": round(matched.before, 3),
        }
    copied = [stem for stem, entry in entries.items() if entry is not None]
    if not copied:
        raise AudioTransferError(f"{song}: none of its stems sounds long enough to be copied")
    if show is not None:
        show("listening for swing", share)
    found = _described(place, name, copied, swing_of(song))
    card = Card(
        name=name,
        description=found.words(),
        stems={**entries, "vocals": None},
        weights={
            entry.weights: sha256(place / entry.weights) for entry in entries.values() if entry
        },
        networks=networks,
        corpora=[{"name": song.name, "licence": "that of the song", "songs": 1}],
        config={"reference": song.name, "separator": label},
        figures={} if found.swing is None else {"swing": found.swing},
        package_version=package_version(),
    )
    write_card(place, card)
    return found


def swing_of(song: Path) -> float | None:
    """The place of a song's swung eighths in the beat, as transcribed from its middle minute.

    ``None`` for straight ones, and for songs without a steady beat or enough notes off it.
    """
    source = FileSource(song)
    length = source.frames / source.sample_rate
    start = max(0.0, (length - SECONDS) / 2)
    try:
        found = transcribe_source(part_of(source, Cut(start, min(length, start + SECONDS))))
    except AudioTransferError:
        return None
    if found.sheet is None or found.doubt is not None:
        return None
    sheet = found.sheet
    onsets = [n.start for n in (*sheet.melody, *sheet.bass, *sheet.others, *sheet.drums)]
    phase = swing_phase(sheet.beat_at(np.sort(onsets)))
    return None if phase is None else round(phase, 3)


def _matching(show: Show, what: str, first: float, last: float) -> Callable[[float], None]:
    """Shows the share of a stem's matching as part of all the work."""
    return lambda share: show(what, first + share * (last - first))


def best_match(
    sound: Tensor,
    stem: str,
    styles: Sequence[str] = (),
    show: Callable[[float], None] | None = None,
) -> tuple[str, Matched]:
    """The style whose templates explain a stem ``[2, T]`` best once they are matched, and they.

    ``styles`` are those that are tried: all that ship by default; ``show`` gets the share that was
    tried. Raises AudioTransferError where less than two seconds sound, or no style has templates of
    the stem.
    """
    spectrogram = SpectrogramSettings()
    found: dict[str, Matched] = {}
    tried = pair_styles(styles)
    for number, (title, style) in enumerate(tried.items()):
        if show is not None:
            show(number / len(tried))
        entry = style.card.stems.get(stem)
        if entry is None:
            continue
        model = load_generator(style.folder / entry.weights).eval()
        if isinstance(model, TemplateModel):
            found[title] = match_templates(model, [model.features(sound, spectrogram)])
    if not found:
        raise AudioTransferError(f"no style with templates of {stem} is installed to start from")
    best = min(found, key=lambda title: found[title].divergence)
    return best, found[best]


def _stems_of(place: Path) -> list[str]:
    return [stem for stem in STEMS if (place / f"{stem}.safetensors").is_file()]


def _described(place: Path, name: str, copied: Sequence[str], swing: float | None) -> Reference:
    kept = tuple(stem for stem in STEMS if stem not in copied)
    return Reference(place, name, tuple(copied), kept, swing)
