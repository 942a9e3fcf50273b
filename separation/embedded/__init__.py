"""The separator whose weights ship with the package."""
