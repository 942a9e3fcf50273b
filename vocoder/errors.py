from __future__ import annotations


class VocoderError(Exception):
    """Root of everything `vocoder` raises on purpose: one line that names the way out."""
