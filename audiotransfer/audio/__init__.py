"""Audio files, and the sound of whole songs: channels, sample rates, loudness, true peaks."""
