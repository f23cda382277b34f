"""Tasks as a user would write them, in a module of their own as other processes import it."""

import textenvs


class Shout(textenvs.PromptTask):
    """Say the word of the prompt in capitals."""

    words = ("tea", "coffee", "milk", "water")

    def load(self, split):
        return self.words if split == "train" else ()

    def prompt(self, example):
        return f"Shout {example}:"

    def answer(self, example):
        return example.upper()

    def score(self, example, text):
        same = sum(a == b for a, b in zip(text, example.upper(), strict=False))
        return {"score": same / max(len(text), len(example)), "length": len(text)}


class Foreign(Shout):
    """Words that the shipped vocabulary cannot write."""

    words = ("naïve", "日本", "tea")


class Wild(Shout):
    """A score out of range."""

    def score(self, example, text):
        return 2.0
