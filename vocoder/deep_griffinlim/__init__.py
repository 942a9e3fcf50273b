"""Deep Griffin-Lim: Griffin-Lim iterations, each followed by a network that removes its error."""
