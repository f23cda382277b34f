"""The built-in world: examples of every task about invented people, places and organisations."""

from textenvs.data.world.dialogue import WorldDialogue
from textenvs.data.world.ner import WorldNER
from textenvs.data.world.qa import WorldQA
from textenvs.data.world.summarization import WorldSummarization

__all__ = ["WorldDialogue", "WorldNER", "WorldQA", "WorldSummarization"]
