"""A package so that the `evaluate` module beside this file is installed."""
