"""The verdict in words: style and content apart."""

from __future__ import annotations

import pytest
import torch

from audiotransfer.evaluation.baselines.random_chords import with_random_chords
from audiotransfer.evaluation.metrics.cover_content import (
    HALF_BEAT_OFF,
    MELODY,
    MELODY_BY_CHANCE,
    RETRIEVED,
    ROOTS,
    ROOTS_BY_CHANCE,
)
from audiotransfer.evaluation.report.verdict import Systems, verdict
from audiotransfer.leadsheet import Bar, Chord, LeadSheet, Note

SYSTEMS = Systems("style", "doing nothing", "random chords")


def song(*, jazz: float = 1.0, before: float = 0.0, roots: float = 0.6, rank: float = 1.0,
         off: float = 0.0) -> dict[str, dict[str, float]]:  # fmt: skip
    """Figures of a song; those of random chords have all of the style."""
    return {
        "doing nothing": {"classified as jazz": before, "probability of jazz": before},
        "random chords": {
            "classified as jazz": 1.0, "probability of jazz": 0.9, ROOTS: 0.1, ROOTS_BY_CHANCE: 0.1,
        },
        "style": {
            "classified as jazz": jazz, "probability of jazz": 0.9 * jazz, ROOTS: roots,
            ROOTS_BY_CHANCE: 0.1, RETRIEVED: rank, HALF_BEAT_OFF: off,
        },
    }  # fmt: skip


def lines(*songs: dict[str, dict[str, float]]) -> list[str]:
    return verdict({f"song {k}": one for k, one in enumerate(songs)}, "jazz", SYSTEMS)


def test_both_are_said_with_their_figures() -> None:
    style, content = lines(*[song()] * 6)
    assert style == (
        "style reached: 6 of 6 outputs are classified as jazz (sources 0, random chords 6); "
        "probability 0.90 (sources 0.00), higher on 6"
    )
    told = [verdict({"song": song()}, "jazz", SYSTEMS, accuracy)[0] for accuracy in (0.44, 0.9)]
    assert told[0].startswith(
        "style reached (by a genre classifier that is right on 44% of other songs, a hint only): "
    )
    assert told[1].startswith("style reached (by a genre classifier that is right on 90% of other ")
    assert content.startswith("content kept: 60% of the bars have the song's root (by chance 10%")
    assert "random chords 10%" in content
    assert "among 6 1.00" in content


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"roots": 0.12}, "content lost"),
        ({"roots": 0.3}, "content partly kept"),
        ({"rank": 0.6}, "content partly kept"),
        ({"rank": 0.2}, "content lost"),
        ({"off": 1.0}, "content lost"),
        ({"jazz": 0.0}, "style not reached"),
        ({"before": 1.0}, "style there before"),
    ],
)
def test_what_is_missing_is_named_and_style_does_not_make_up_for_content(change, expected) -> None:
    said = lines(*[song(**change)] * 6)
    assert any(line.startswith(expected) for line in said)
    assert sum("not reached" in line or "lost" in line or "partly" in line for line in said) == (
        0 if "before" in change else 1
    )


def test_the_melody_counts_between_chance_and_what_is_heard_in_the_song() -> None:
    for share, expected in ((0.8, "kept"), (0.5, "partly kept"), (0.3, "lost")):
        one = song()
        one["doing nothing"] |= {MELODY: 0.9, MELODY_BY_CHANCE: 0.3}
        one["style"] |= {MELODY: share, MELODY_BY_CHANCE: 0.3}
        content = lines(one)[1]
        assert content.startswith(f"content {expected}: ")
        assert f"{share:.0%} of the melody's notes are heard (in the songs 90%, by chance 30%)" in (
            content
        )


def test_songs_with_artefacts_are_named_and_an_unknown_genre_says_nothing() -> None:
    songs = {f"song {k}": song() for k in range(3)}
    for number, one in enumerate(songs.values()):
        one["style"]["artefacts"] = 1.0 + 0.2 * number
    said = verdict(songs, "jazz", SYSTEMS)
    assert said[-1] == "artefacts: 1 of 3 songs have more than their source, song 2 (1.40)"
    del songs["song 2"]
    assert verdict(songs, "", SYSTEMS)[-1].startswith("artefacts: no more than 1.2 times")
    assert not any(line.startswith("style") for line in verdict(songs, "", SYSTEMS))


def test_a_share_of_the_songs_is_partly_reached() -> None:
    assert lines(song(), song(jazz=0.0), song())[0].startswith("style partly reached: 2 of 3")


def test_few_songs_say_nothing_of_retrieval_and_figures_may_be_missing() -> None:
    assert "reciprocal" not in lines(song(rank=0.1), song(rank=0.1))[1]
    bare = song()
    bare["style"] = {k: v for k, v in bare["style"].items() if "jazz" in k}
    assert len(lines(bare)) == 1


def test_random_chords_keep_everything_but_the_harmony() -> None:
    sheet = LeadSheet(
        beats=tuple(0.5 * k for k in range(65)),
        bars=tuple(Bar(4 * k) for k in range(16)),
        chords=tuple(Chord(4 * k, 4, 0, "maj7", bass=4) for k in range(16)),
        melody=(Note(0.0, 0.5, 60),),
    )
    found = with_random_chords(sheet, torch.Generator().manual_seed(1))
    again = with_random_chords(sheet, torch.Generator().manual_seed(1))
    assert found == again
    assert [(c.beat, c.beats) for c in found.chords] == [(c.beat, c.beats) for c in sheet.chords]
    assert len({c.root for c in found.chords}) > 5
    assert all(c.bass is None for c in found.chords)
    assert (found.melody, found.beats, found.bars) == (sheet.melody, sheet.beats, sheet.bars)
