"""Credits that publishing a cover by a band asks for: those of its samples under CC BY."""

from __future__ import annotations

from collections.abc import Iterator

from audiotransfer.cover.band import Band
from audiotransfer.synthesis.catalogue import describe
from audiotransfer.synthesis.description import InstrumentDescription

_ATTRIBUTION = "CC-BY-"
_LICENCE = "https://creativecommons.org/licenses/by"


def band_credits(band: Band) -> Iterator[str]:
    """A line to copy for each instrument of a band that is under CC BY: author, licence, changes.

    Samples in the public domain or under CC0, and synthesised instruments, ask for none.
    """
    played = [name for role in band.roles for name in role.instruments]
    played += [role.ballad.instrument for role in band.roles if role.ballad is not None]
    for name in dict.fromkeys(played):
        instrument = describe(name)
        if not isinstance(instrument, InstrumentDescription):
            continue
        if instrument.licence.startswith(_ATTRIBUTION):
            version = instrument.licence.removeprefix(_ATTRIBUTION)
            title = instrument.title.split(",")[0]
            yield (
                f"{title}: {instrument.credit}. CC BY {version} ({_LICENCE}/{version}/), cut and "
                "mapped for audiotransfer."
            )
