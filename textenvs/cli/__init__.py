"""The command `textenvs`: each of its commands is a module, imported when it is called for."""

from textenvs.cli.main import main

__all__ = ["main"]
