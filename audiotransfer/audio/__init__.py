"""Audio files: reading, writing, channels, sample rates, loudness, true peaks, limiting."""
