"""The song that travels with the package, what it was made from, and what the demo makes of it."""

from audiotransfer.demo.song import SONG_NAME, song_path

__all__ = ["SONG_NAME", "song_path"]
