"""The functions that write the notes of roles, by the names that ``band.yaml`` files use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from audiotransfer.cover.drums import jazz_drums
from audiotransfer.cover.lead import melody

if TYPE_CHECKING:
    from audiotransfer.cover.plan import Writer

WRITERS: dict[str, Writer] = {
    "jazz_drums": jazz_drums,
    "melody": melody,
}
