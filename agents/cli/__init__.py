"""The commands of `textenvs` about agents; see `textenvs.cli.main`."""
