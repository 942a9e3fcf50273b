"""The cover route: arranges a lead sheet for the band of a style."""
