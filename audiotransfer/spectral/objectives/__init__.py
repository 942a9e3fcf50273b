"""Training objectives of spectrogram models, one a file; `registry` finds them by name."""
