"""The demo: a short song that ships with the package, and its transfer to a style."""

from audiotransfer.demo.run import Demo, run_demo, song_path

__all__ = ["Demo", "run_demo", "song_path"]
