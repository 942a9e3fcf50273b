"""Three voices below a melody, in the manner of the four-part chorales."""
