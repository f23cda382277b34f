"""Train PPO on named-entity recognition, score it on sentences it never saw, and look inside.

python examples/train_and_look.py --timesteps 60000
"""

from pathlib import Path

import tyro

from agents import PPO, BCConfig, BehaviourCloning, PPOConfig, evaluate
from agents.traces import trace
from agents.viewer import RunData, page

ENV = "TextNER-v0"


def main(timesteps: int = 60_000, episodes: int = 300, out: Path = Path("runs/look.html")) -> None:
    """Clone a start from the expert, train, and write a page.

    Args:
        timesteps: actions of PPO.
        episodes: of the expert, and of the test split.
        out: the page.
    """
    clone = BehaviourCloning(ENV, BCConfig(episodes=episodes, epochs=8)).learn()
    agent = PPO(ENV, PPOConfig(), model=clone.model).learn(timesteps)
    print(f"PPO: F1 {evaluate(agent, ENV, split='test', episodes=episodes).score}")
    told = RunData(name="PPO", about="cloned, then trained", traces=trace(agent, ENV, episodes=50))
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(page("PPO on TextNER-v0", [told]), "utf-8")
    print(f"open {out} in a browser")


if __name__ == "__main__":
    tyro.cli(main)
