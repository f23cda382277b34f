"""What each agent is trained with in each environment, as options of `python -m agents.train`.

One set of an environment's options serves all its algorithms: equal starts, equal data, equal
numbers of actions, so that what differs is the algorithm. What an algorithm adds stands beside.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How the agents of one environment are trained.

    Attributes:
        timesteps: Actions of each algorithm.
        clone: Options of `bc`, whose best checkpoint all algorithms start from.
        shared: Options of all of our algorithms.
        algorithms: Algorithm -> the options that it adds.
        shared_sb3: Options of all of stable-baselines3's.
        data: Options of all, clones too: the data file, the environment's own.
    """

    timesteps: int
    clone: str
    shared: str
    algorithms: dict[str, str] = field(default_factory=dict)
    shared_sb3: str = "--validate-every 40000"
    data: str = ""


RECIPES: dict[str, Recipe] = {
    "TextNER-v0": Recipe(
        timesteps=300_000,
        clone="--episodes 300 --epochs 16 --validate-every 4",
        shared="--validate-every 20",
        algorithms={
            "epsilon-greedy": "--reward dense --gamma 0.8",
            "dqn": "--reward dense --gamma 0.8",
            "reinforce": "",
            "a2c": "",
            "ppo": "",
            "sb3-ppo": "",
        },
    ),
    "TextQASpan-v0": Recipe(
        timesteps=200_000,
        clone="--model reader --episodes 50000 --epochs 1 --learning-rate 5e-4",
        shared="--validate-every 20",
        algorithms={
            "epsilon-greedy": "--minibatch-tokens 4096",
            "dqn": "--minibatch-tokens 4096 --learning-rate 3e-4 --replay-ratio 2",
            "reinforce": "--minibatch-tokens 1024 --learning-rate 2e-4 --warmup 0.03",
            "a2c": "--minibatch-tokens 1024 --learning-rate 2e-4 --warmup 0.03",
            "ppo": "--minibatch-tokens 2048 --learning-rate 2e-4 --warmup 0.03",
            "sb3-ppo": "",
        },
    ),
    "TextQA-v0": Recipe(
        timesteps=300_000,
        clone="--model reader --head copy --episodes 50000 --epochs 1 --learning-rate 7e-4",
        shared="--validate-every 20",
        algorithms={
            "epsilon-greedy": "--minibatch-tokens 1024",
            "dqn": "--minibatch-tokens 1024 --learning-rate 2e-4 "
            "--replay-ratio 1 --replay-steps 20000 --n-step 12",
            "reinforce": "--minibatch-tokens 1024 --learning-rate 2e-4 --warmup 0.03",
            "a2c": "--minibatch-tokens 1024 --learning-rate 2e-4 --warmup 0.03",
            "ppo": "--lam 1 --minibatch-tokens 4096 --learning-rate 2e-4 --warmup 0.03",
            "sb3-ppo": "--gae-lambda 1",
        },
    ),
    "TextSummarization-v0": Recipe(
        timesteps=600_000,
        clone="--model reader --head copy --episodes 500 --epochs 8 --learning-rate 1e-3 "
        "--validate-every 4",
        shared="--validate-every 20",
        algorithms={
            "ppo": "--reward dense --lam 1 --temperature 0.5 "
            "--entropy-coefficient 0 --learning-rate 3e-4 --warmup 0.02 --steps 4096 "
            "--minibatch-tokens 4096",
            "sb3-ppo": "--reward dense --gae-lambda 1 --ent-coef 0",
        },
    ),
    "TextDialogue-v0": Recipe(
        timesteps=300_000,
        clone="--model reader --head copy --episodes 20000 --epochs 1 --learning-rate 7e-4 "
        "--minibatch-tokens 2048",
        shared="--validate-every 10 --validation-episodes 500",
        algorithms={
            "ppo": "--reward dense --lam 1 --temperature 0.8 "
            "--entropy-coefficient 0 --learning-rate 3e-4 --warmup 0.02 --steps 8192 "
            "--minibatch-tokens 8192",
            "sb3-ppo": "--reward dense --gae-lambda 1 --ent-coef 0",
        },
    ),
}
"""Environment -> recipe."""

REAL_RECIPES: dict[str, Recipe] = {
    "TextNER-v0": Recipe(
        timesteps=150_000,
        data="--dataset '{data}/conll/wnut17.{{split}}.conll'",
        clone="--model reader --episodes 3000 --epochs 8 --validate-every 2",
        shared="--validate-every 20",
        algorithms={
            "epsilon-greedy": "--reward dense --gamma 0.8",
            "dqn": "--reward dense --gamma 0.8",
            "ppo": "",
            "sb3-ppo": "",
        },
    ),
    "TextQASpan-v0": Recipe(
        timesteps=20_000,
        data="--dataset '{data}/squad/xquad.en.json'",
        clone="--model reader --episodes 900 --epochs 8 --validate-every 2",
        shared="--validate-every 5",
        algorithms={
            "epsilon-greedy": "--minibatch-tokens 8192",
            "dqn": "--minibatch-tokens 8192 --replay-ratio 2",
            "ppo": "--minibatch-tokens 8192 --learning-rate 2e-4",
            "sb3-ppo": "",
        },
        shared_sb3="--validate-every 5000",
    ),
    "TextSummarization-v0": Recipe(
        timesteps=60_000,
        data="--dataset '{data}/summarization/dialogsum.dev.jsonl'",
        clone="--model reader --head copy --episodes 400 --epochs 12 --validate-every 3",
        shared="--validate-every 5",
        algorithms={
            "ppo": "--reward dense --lam 1 --temperature 0.5 --entropy-coefficient 0 "
            "--learning-rate 2e-4 --minibatch-tokens 8192",
            "sb3-ppo": "--reward dense --gae-lambda 1 --ent-coef 0",
        },
        shared_sb3="--validate-every 20000",
    ),
    "TextDialogue-v0": Recipe(
        timesteps=60_000,
        data="--dataset '{data}/dialogue/sgd.dev.dialogues_005.json'",
        clone="--model reader --head copy --episodes 100 --epochs 20 --validate-every 5",
        shared="--validate-every 5",
        algorithms={
            "ppo": "--reward dense --lam 1 --temperature 0.5 --entropy-coefficient 0 "
            "--learning-rate 2e-4 --minibatch-tokens 8192",
        },
    ),
}
"""Recipes on published data; `{data}` is the folder that it lies in."""
