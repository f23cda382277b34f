"""A task of one's own: put letters in order; cloned from few demonstrations, then PPO.

python examples/own_task.py --timesteps 60000
"""

import random
from itertools import product

import tyro

import textenvs
from agents import PPO, BCConfig, BehaviourCloning, evaluate

SPLITS = {"train": (0, 1000), "validation": (1000, 1100), "test": (1100, 1296)}


class SortLetters(textenvs.PromptTask):
    """Write the letters of the prompt in alphabetical order."""

    def load(self, split):
        """Some words; none is in two splits."""
        words = ["".join(letters) for letters in product("abcdef", repeat=4)]
        random.Random(0).shuffle(words)
        first, last = SPLITS[split]
        return words[first:last]

    def prompt(self, example):
        """The word."""
        return f"{example}:"

    def answer(self, example):
        """Its letters in order."""
        return "".join(sorted(example))

    def score(self, example, text):
        """The share of letters that stand where they belong."""
        right = self.answer(example)
        return sum(a == b for a, b in zip(text.strip(), right, strict=False)) / len(right)


textenvs.register("SortLetters-v0", SortLetters)


def main(timesteps: int = 60_000, episodes: int = 200) -> None:
    """Clone from few demonstrations, then learn from the score.

    Args:
        timesteps: actions of PPO.
        episodes: demonstrations.
    """
    env = "SortLetters-v0"
    clone = BehaviourCloning(env, BCConfig(episodes=episodes, epochs=24)).learn()
    print(f"clone: {evaluate(clone, env, split='test').score}")
    agent = PPO(env, model=clone.model, env_kwargs={"reward": "dense"}).learn(timesteps)
    print(f"PPO: {evaluate(agent, env, split='test').score}")


if __name__ == "__main__":
    tyro.cli(main)
