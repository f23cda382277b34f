"""Two algorithms over seeds, from equal starts, with a figure: how sure is it which is better?

python examples/seeds_and_intervals.py --seeds 3 --timesteps 40000
"""

from pathlib import Path

import matplotlib as mpl
import tyro

from agents import DQN, PPO, BCConfig, BehaviourCloning, DQNConfig, PPOConfig, evaluate

mpl.use("Agg")
from matplotlib import pyplot as plt

ENV, DENSE = "TextNER-v0", {"reward": "dense"}


def main(
    seeds: int = 3, timesteps: int = 40_000, episodes: int = 300, out: Path = Path("runs/seeds.png")
) -> None:
    """Train each algorithm from each seed's clone, and draw the scores.

    Args:
        seeds: how many.
        timesteps: actions of each training.
        episodes: demonstrations, and examples of the test split.
        out: the figure.
    """
    scores: dict[str, list[float]] = {"clone": [], "PPO": [], "DQN": []}
    for seed in range(seeds):
        start = Path(f"{out.parent}/seed-{seed}")
        clone = BehaviourCloning(ENV, BCConfig(episodes=episodes, epochs=8), seed=seed).learn()
        clone.save(start)
        trained = {"clone": clone}
        for algorithm, config, options in (
            (PPO, PPOConfig(), {}),
            (DQN, DQNConfig(gamma=0.8), DENSE),
        ):
            model = BehaviourCloning.load(start).model  # each begins with weights of its own
            agent = algorithm(ENV, config, model=model, seed=seed, env_kwargs=options)
            trained[algorithm.__name__] = agent.learn(timesteps)
        for name, agent in trained.items():
            result = evaluate(agent, ENV, split="test", episodes=episodes)
            scores[name].append(result.score.value)
            print(f"seed {seed}, {name}: {result.score}")
    for place, (name, values) in enumerate(scores.items()):
        plt.plot([place] * seeds, values, "o", label=name)
    plt.xticks(range(len(scores)), list(scores))
    plt.ylabel(f"F1 on the test split of {ENV}")
    plt.savefig(out)
    print(f"each dot is a seed: {out}")


if __name__ == "__main__":
    tyro.cli(main)
