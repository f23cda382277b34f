"""The built-in world: examples of every task about invented people, places and organisations."""

from textenvs.data.world.ner import WorldNER
from textenvs.data.world.qa import WorldQA

__all__ = ["WorldNER", "WorldQA"]
