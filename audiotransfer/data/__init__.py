"""Training data: data sets, prepared collections, rendered songs, and batches of them."""
