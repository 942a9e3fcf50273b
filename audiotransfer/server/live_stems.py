"""The stems of a transfer as tracks that grow while it works."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from torch import Tensor

from audiotransfer.pipeline.cover_options import COVER
from audiotransfer.pipeline.cover_plan import VOCALS, part_name, stems_of

if TYPE_CHECKING:
    from audiotransfer.pipeline.plan import Plan
    from audiotransfer.server.job_tracks import JobTracks


class LiveStems:
    """Appends blocks of stems to a job's tracks; it is the `on_stems` of an output."""

    def __init__(self, plan: Plan, tracks: JobTracks, *, only_separated: bool = False) -> None:
        """``only_separated``: the song's own stems beside a band, without a voice that is kept."""
        self._plan, self._tracks, self._only_separated = plan, tracks, only_separated
        self._names: dict[tuple[str, str | None], str] | None = None

    def __call__(self, blocks: Mapping[tuple[str, str | None], Tensor]) -> None:
        """Takes the next block ``[2, t]`` of each stem, by its name and style."""
        if self._names is None:
            self._names = self._begin(blocks)
        self._tracks.grow({track: blocks[key] for key, track in self._names.items()})

    def finish(self) -> None:
        """Ends its tracks."""
        self._tracks.finish((self._names or {}).values())

    def _begin(
        self, stems: Collection[tuple[str, str | None]]
    ) -> dict[tuple[str, str | None], str]:
        """Starts the tracks of stems that have none yet; their names."""
        found = {}
        for name, style in stems:
            role = "dry" if style is None else "new"
            track = f"{role}-{name}"
            if track in self._tracks or (self._only_separated and name == VOCALS):
                continue
            about: dict[str, Any] = {"stem": name, "gain_db": 0.0, "kept": False}
            if not self._only_separated:
                about = about_stem(self._plan, name, style, stems)
            self._tracks.begin(name=track, role=role, **about)
            found[name, style] = track
        return found


def about_stem(
    plan: Plan, name: str, style: str | None, stems: Collection[tuple[str, str | None]]
) -> dict[str, Any]:
    """What `JobTracks.add` takes of a stem, or of a band's part, among those of one transfer."""
    cover = plan.cover
    roles = {part_name(role.name): stems_of(role)[0] for role in cover.roles} if cover else {}
    if plan.fallback is not None and any(
        one is None and plan.stems[stem].action == COVER for stem, one in stems
    ):
        plan, roles = plan.fallback, {}  # the song's own stems: it became no cover
    if style is not None and name in roles:
        assert cover is not None
        return {"stem": roles[name], "gain_db": cover.gains_db.get(name, 0.0), "kept": False}
    stem = plan.stems[name]
    return {"stem": name, "gain_db": stem.gain_db, "kept": stem.action == "keep"}
