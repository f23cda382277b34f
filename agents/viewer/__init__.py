"""One page of HTML with the scores, curves and episodes of runs; it needs only a browser."""

from agents.viewer.page import page
from agents.viewer.run_data import RunData, read_run

__all__ = ["RunData", "page", "read_run"]
