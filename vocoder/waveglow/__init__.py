"""WaveGlow: an invertible network from noise to sound, conditioned on a mel spectrogram."""
