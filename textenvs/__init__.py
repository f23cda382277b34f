"""Language tasks as Gymnasium environments: tokens are actions, prefixes are states.

>>> import gymnasium, textenvs
>>> env = gymnasium.make("TextNER-v0", split="test")
>>> observation, info = env.reset(seed=0)
>>> observation, reward, terminated, truncated, info = env.step(env.unwrapped.expert_action())
"""

from textenvs.checking import check
from textenvs.env import TextEnv
from textenvs.errors import (
    DatasetError,
    DatasetWarning,
    OptionError,
    TextEnvsError,
    TokenizerError,
)
from textenvs.registration import IDS, register, register_all
from textenvs.tasks import Episode, Episodes, Task
from textenvs.tasks.prompt import PromptTask
from textenvs.vector_env import TextVectorEnv

__version__ = "0.1.0"

__all__ = [
    "IDS",
    "DatasetError",
    "DatasetWarning",
    "Episode",
    "Episodes",
    "OptionError",
    "PromptTask",
    "Task",
    "TextEnv",
    "TextEnvsError",
    "TextVectorEnv",
    "TokenizerError",
    "check",
    "register",
]

register_all()
