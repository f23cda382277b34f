"""The algorithms by name, and the agent of a checkpoint, whichever algorithm's it is."""

from __future__ import annotations

from pathlib import Path

from agents.a2c import A2C
from agents.agent import AnyEnv, LanguageAgent
from agents.behaviour_cloning import BehaviourCloning
from agents.dqn import DQN
from agents.epsilon_greedy import EpsilonGreedy
from agents.errors import CheckpointError
from agents.ppo import PPO
from agents.q_learning import QLearning
from agents.reinforce import REINFORCE
from agents.rollout_agent import RolloutAgent
from agents.sarsa import SARSA
from agents.state import agent_of, read_facts

RL: dict[str, type[RolloutAgent]] = {
    "epsilon-greedy": EpsilonGreedy,
    "sarsa": SARSA,
    "q-learning": QLearning,
    "dqn": DQN,
    "reinforce": REINFORCE,
    "a2c": A2C,
    "ppo": PPO,
}
"""Those that learn from their own episodes."""
ALGORITHMS: dict[str, type[LanguageAgent]] = {"bc": BehaviourCloning, **RL}
"""All of them."""


def load_agent(
    folder: str | Path, env: AnyEnv | None = None, device: str = "auto"
) -> LanguageAgent:
    """The agent of a checkpoint; see `LanguageAgent.load`.

    Args:
        folder: that `save` wrote.
        env: to train in; by default the agent's own.
        device: "cpu", "cuda", or "auto".

    Raises:
        CheckpointError: the checkpoint is missing or damaged, or of an algorithm that is not ours.
    """
    folder = Path(folder)
    facts, parts = read_facts(folder)
    for algorithm in ALGORITHMS.values():
        if algorithm.__name__ == facts["algorithm"]:
            return agent_of(algorithm, facts, parts, folder, env, device)
    known = ", ".join(algorithm.__name__ for algorithm in ALGORITHMS.values())
    raise CheckpointError(
        f"{folder} holds a {facts['algorithm']} agent, which is none of {known}: load it with its "
        "class's load"
    )
