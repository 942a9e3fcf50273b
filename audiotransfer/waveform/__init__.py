"""Route 3: style transfer on the samples themselves."""
