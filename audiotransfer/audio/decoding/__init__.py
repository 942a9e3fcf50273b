"""Decoders of audio files: libsndfile, FFmpeg, sphn for AAC."""
