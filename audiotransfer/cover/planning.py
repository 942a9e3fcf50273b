"""Plans an arrangement: the song in felt beats, with added bars, chords, form and dynamics."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from audiotransfer.cover import form, retiming
from audiotransfer.cover.endings import with_ending
from audiotransfer.cover.figures import riff_bars
from audiotransfer.cover.melody import (
    follows_beats,
    notes_in_beats,
    quantised,
    share_of_sixteenths,
)
from audiotransfer.cover.plan import ARRANGED, SWUNG, Plan
from audiotransfer.cover.reharmonisation import other_roots, reharmonise
from audiotransfer.errors import AudioTransferError
from audiotransfer.leadsheet import Chord

if TYPE_CHECKING:
    from numpy.random import Generator

    from audiotransfer.cover.band import Band
    from audiotransfer.cover.plan import ArrangeOptions
    from audiotransfer.leadsheet import LeadSheet


def plan_song(
    sheet: LeadSheet, band: Band, strength: float, options: ArrangeOptions, random: Generator
) -> tuple[Plan, frozenset[int], list[str]]:
    """Plans a song for a band.

    Returns the plan, the indices of its bars whose chords have another root than in the song, and
    notices for the user. Raises AudioTransferError for a lead sheet without bars.
    """
    notices: list[str] = []
    arranged = strength >= ARRANGED
    sheet = _in_quarters(sheet, options)
    if not follows_beats(sheet):
        notices.append("the notes do not follow the file's beats: the band may be off them")
    sheet, factor = _felt(sheet, band)
    sheet = replace(sheet, chords=_chords(sheet, notices))
    sevenths = band.harmony.sevenths
    sheet = _with_added_bars(sheet, options, sevenths)
    if not arranged and (options.intro > 0 or options.outro > 0):
        notices.append(f"below a strength of {ARRANGED} the band rests in added bars")
    swung = strength >= SWUNG and any(role.timing.swing for role in band.roles)
    melody = notes_in_beats(sheet, sheet.melody)
    if arranged:
        melody = quantised(
            sheet,
            melody,
            swung=swung and options.swing != 0,
            sung=options.singer or options.swing is None,
            # In halved feel they are eighths of the song.
            dotted=factor >= 1,
        )
    if not len(melody):
        notices.append("the song has no melody: the lead rests")
    chords, reharmonised = sheet.chords, frozenset[int]()
    riffs = riff_bars(sheet) if arranged and not options.singer else frozenset[int]()
    if arranged:
        chords, _ = reharmonise(sheet, melody, strength, random, band.harmony, riffs)
        key = sheet.keys[-1] if sheet.keys else None
        chords = with_ending(chords, sheet.bars[-1], key, melody, random, sevenths)
        reharmonised = other_roots(sheet, chords)
    plan = Plan(
        sheet=replace(sheet, chords=chords),
        band=band,
        chords=chords,
        melody=melody,
        energy=form.energies(sheet),
        fills=form.fill_bars(sheet),
        chorus=form.choruses(sheet),
        strength=strength,
        swung=swung,
        feel=factor,
        singer=options.singer and bool(sheet.sung),
        riffs=riffs,
    )
    return plan, reharmonised, notices


def felt_bars(sheet: LeadSheet, band: Band, options: ArrangeOptions) -> int:
    """Number of bars of a song as the band feels them: of a doubled feel twice as many.

    Raises AudioTransferError for a lead sheet without bars.
    """
    felt, _ = _felt(_in_quarters(sheet, options), band)
    return len(felt.bars)


def _in_quarters(sheet: LeadSheet, options: ArrangeOptions) -> LeadSheet:
    """The song in the key and at the tempo that are asked for, its beats quarters.

    Raises AudioTransferError for a lead sheet without bars.
    """
    if not sheet.bars or len(sheet.beats) < 2:
        raise AudioTransferError("the lead sheet has no bars: nothing can be arranged")
    moved = retiming.at_tempo(retiming.transposed(sheet, options.transpose), options.tempo)
    return retiming.in_quarters(moved)


def _felt(sheet: LeadSheet, band: Band) -> tuple[LeadSheet, float]:
    """The song in the feel that its tempo asks for, and felt beats for each beat of it."""
    factor = retiming.feel(sheet, band.tempo, share_of_sixteenths(sheet))
    return retiming.with_feel(sheet, factor), factor


def _chords(sheet: LeadSheet, notices: list[str]) -> tuple[Chord, ...]:
    """The song's chords without gaps; where it has none, the tonic, and without a key no chord."""
    beats = len(sheet.beats) - 1
    if any(chord.root is not None for chord in sheet.chords):
        return form.without_gaps(sheet.chords, beats)
    if sheet.keys:
        notices.append("the song has no chords: the band stays on the tonic of its key")
        key = sheet.keys[0]
        return (Chord(0.0, float(beats), key.tonic, "" if key.mode == "major" else "m"),)
    notices.append("the song has neither chords nor a key: harmony instruments rest")
    return (Chord(0.0, float(beats), None),)


def _with_added_bars(sheet: LeadSheet, options: ArrangeOptions, sevenths: bool) -> LeadSheet:
    """The lead sheet with intro and outro: a turnaround in the key, else the last four bars.

    Without ``sevenths`` the turnaround is in triads.
    """
    as_played = tuple if sevenths else form.triads
    bars, beats = max(options.intro, 0), retiming.usual_bar(sheet.bars[: retiming.NEARBY]).beats
    if bars:
        chords = (
            form.turnaround(sheet.keys[0], bars, beats)
            if sheet.keys
            else form.last_chords(sheet, bars, beats)
        )
        sheet = retiming.with_intro(sheet, bars, as_played(chords))
    bars, beats = max(options.outro, 0), retiming.usual_bar(sheet.bars[-retiming.NEARBY :]).beats
    if bars:
        key = sheet.keys[-1] if sheet.keys else None
        if key is None:
            chords = form.last_chords(sheet, bars, beats)
        else:
            final = Chord(
                float((bars - 1) * beats), beats, key.tonic, "6" if key.mode == "major" else "m6"
            )
            chords = (*(form.turnaround(key, bars - 1, beats) if bars > 1 else ()), final)
        sheet = retiming.with_outro(sheet, bars, as_played(chords))
    return sheet
