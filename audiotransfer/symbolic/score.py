"""MIDI files in and out, as scores in ticks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from audiotransfer import files
from audiotransfer.errors import AudioTransferError
from audiotransfer.symbolic.channels import channels_of, with_channels

if TYPE_CHECKING:
    from numpy.typing import NDArray

SUFFIXES = (".mid", ".midi")
#: A file with more notes is refused. The longest works for orchestra have a tenth of it.
MOST_NOTES = 1_000_000
_HEADER = b"MThd"
_SEQUENCES = 2  # the kind of MIDI file that holds independent songs
_HEADER_BYTES = 14
_EFFECTS = 112  # the first program without a pitch
_FINEST = 32767  # ticks a quarter that a file's header can say


def read_score(path: str | Path) -> Any:
    """The score in a MIDI file: a ``symusic.Score`` in ticks, whose sixteenths are whole ticks.

    Raises AudioTransferError for a file that is not there, or as `parse_score` does.
    """
    try:
        data = Path(path).read_bytes()
    except FileNotFoundError:
        raise AudioTransferError(f"{path} does not exist; check the name and the folder") from None
    except OSError as error:
        raise AudioTransferError(
            f"{path} cannot be read ({error.strerror or error}); check what it is"
        ) from None
    return parse_score(data, str(path))


def parse_score(data: bytes, name: str) -> Any:
    """The score in the bytes of a MIDI file, which is called ``name`` in messages.

    A resolution that cannot tell sixteenths apart is raised, which moves nothing.

    Raises AudioTransferError, in one line, for what is no MIDI, is damaged, holds several songs
    (type 2), no notes or more than a million.
    """
    import symusic

    if not data:
        raise AudioTransferError(f"{name} is empty (0 bytes); export it again")
    if not data.startswith(_HEADER):
        raise AudioTransferError(f"{name} is no MIDI file; name a .mid that a music program wrote")
    if int.from_bytes(data[8:10], "big") == _SEQUENCES:
        raise AudioTransferError(
            f"{name} is a MIDI file of type 2 (several songs in one); save each as type 0 or 1"
        )
    division = int.from_bytes(data[12:14], "big")
    if len(data) >= _HEADER_BYTES and not 0 < division <= _FINEST:
        raise AudioTransferError(
            f"{name} does not count its time in parts of a beat (division {division}); save it "
            "with ticks per quarter"
        )
    try:
        score: Any = symusic.Score.from_midi(data)
    except Exception as error:
        raise AudioTransferError(
            f"{name} is a damaged MIDI file ({_reason(error)}); export it again"
        ) from None
    count = score.note_num()
    if not count:
        raise AudioTransferError(f"{name} holds no notes; there is nothing to play")
    if count > MOST_NOTES:
        raise AudioTransferError(
            f"{name} holds {count} notes, more than {MOST_NOTES}; cut it into pieces"
        )
    if score.start() < 0:
        raise AudioTransferError(f"{name} lasts longer than MIDI time can be counted; cut it")
    if score.tpq % 4 and 4 * score.tpq <= _FINEST:
        score = score.resample(4 * score.tpq)
    _gather_words(score)
    return score


def write_score(score: Any, path: str | Path, overwrite: bool = False) -> None:
    """Writes a score as a MIDI file of type 1, whole or not at all.

    Each track plays on a channel of its own while there are channels, then with its like.
    Raises AudioTransferError where it cannot be written, or stands there already.
    """
    data = score.dumps_midi()
    channels = channels_of(score.tracks)
    if channels is not None:
        data = with_channels(data, channels)
    files.write_bytes(path, data, overwrite=overwrite)


def note_table(score: Any, *, drums: bool = False) -> NDArray[np.int64]:
    """The pitched notes, or those of drums: ``[N, 5]`` start (ticks), length (ticks), MIDI pitch,
    velocity, track; by start, then pitch. Percussion and sound effects (programs from 112 on) are
    neither.
    """
    columns = []
    for index, track in enumerate(score.tracks):
        if _plays(track, drums) and len(track.notes):
            notes = track.notes.numpy()
            values = [notes[name] for name in ("time", "duration", "pitch", "velocity")]
            columns.append(np.stack([*values, np.full(len(values[0]), index)], axis=1))
    if not columns:
        return np.zeros((0, 5), dtype=np.int64)
    table = np.concatenate(columns).astype(np.int64)
    return table[np.lexsort((table[:, 4], table[:, 2], table[:, 0]))]


def with_notes(score: Any, table: NDArray[np.int64], *, drums: bool = False) -> Any:
    """The score with other pitched notes, or other drums: a table as `note_table` gives it.

    Everything else, tracks without notes too, stays as it is.
    """
    import symusic

    changed = score.copy()
    for index, track in enumerate(changed.tracks):
        if _plays(track, drums):
            own = table[table[:, 4] == index]
            times, lengths = own[:, :2].T.astype(np.int32)
            pitches, velocities = own[:, 2:4].T.astype(np.int8)
            track.notes = symusic.Note.from_numpy(times, lengths, pitches, velocities, "tick")
    return changed


def _plays(track: Any, drums: bool) -> bool:
    return bool(track.is_drum) if drums else not track.is_drum and track.program < _EFFECTS


def _gather_words(score: Any) -> None:
    """Gives lyrics back to who sings them: the parser makes them a track of their own."""
    tracks: list[Any] = []
    for track in score.tracks:
        words_only = not (len(track.notes) or len(track.controls) or len(track.pitch_bends))
        if words_only and tracks and tracks[-1].name == track.name:
            tracks[-1].lyrics.extend(track.lyrics)
        else:
            tracks.append(track)
    if len(tracks) < len(score.tracks):
        score.tracks = tracks


def _reason(error: Exception) -> str:
    """What the parser says, without its own name and kind of error."""
    parts = [part.strip(" !") for part in str(error).split(":")]
    return next((part for part in parts if part and part != "MiniMidi"), "it cannot be read")
