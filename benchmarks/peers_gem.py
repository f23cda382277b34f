"""GEM's QaEnv as a contestant: a question is asked, the whole answer is one string, it is scored.

Runs in an environment of GEM's own, which pins what others need newer: `pip install gem-llm
datasets`. Reads one JSON line, the questions with their answers; then, line by line, how many
answers to give, and writes the seconds that they took.
"""

from __future__ import annotations

import json
import sys
import time

from datasets import Dataset, disable_progress_bars
from gem.envs.qa_env import QaEnv


def main() -> None:
    """Answer as long as there are lines."""
    disable_progress_bars()
    asked = json.loads(sys.stdin.readline())
    env = QaEnv(dataset=Dataset.from_dict(asked))
    for line in sys.stdin:
        start = time.perf_counter()
        for _ in range(int(line)):
            env.reset()
            env.step(f"<answer>{env.answer}</answer>")
        print(time.perf_counter() - start, flush=True)


if __name__ == "__main__":
    main()
