"""The separator that ships with the package."""
