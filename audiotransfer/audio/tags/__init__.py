"""Tags of audio files: text fields, cover art, ID3 frames."""
