"""Where the demo song lies."""

from __future__ import annotations

from pathlib import Path

from audiotransfer.errors import AudioTransferError

#: "Paper lanterns", written for this project (CC0): see composition.py for every note of it.
SONG_NAME = "paper-lanterns.ogg"


def song_path() -> Path:
    """Path of the demo song: stereo, 44.1 kHz, 26 seconds of pop-rock.

    Raises AudioTransferError when the installation lost it.
    """
    path = Path(__file__).with_name(SONG_NAME)
    if not path.is_file():
        raise AudioTransferError(
            f"the demo song {path} is missing from this installation; install the package again"
        )
    return path
