"""Route 2: scores (MIDI), and scores to sound."""
