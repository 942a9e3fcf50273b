"""WaveNet: sound sample by sample, from the samples before and from a spectrogram."""
