"""A reward of one's own: summaries that are good and short, weighed against each other.

python examples/own_reward.py --timesteps 60000
"""

import gymnasium
import tyro

import textenvs
from agents import PPO, BCConfig, BehaviourCloning, LanguageAgent, PPOConfig, evaluate

ENV = "TextSummarization-v0"


def brevity(episode: textenvs.Episode) -> float:
    """1 for nothing, 0 from 30 words on."""
    return max(0.0, 1 - len(episode.text.split()) / 30)


def main(timesteps: int = 60_000, episodes: int = 500, weight: float = 0.5) -> None:
    """Train with both parts of the reward, and tell them apart at the end.

    Args:
        timesteps: actions of PPO.
        episodes: demonstrations, and examples of the test split.
        weight: of brevity.
    """
    reward = {"rouge": 1.0, "brevity": (weight, brevity)}
    env = gymnasium.make(ENV, reward=reward)
    env.reset(seed=0)
    ended = False
    while not ended:
        _, _, ended, _, info = env.step(env.unwrapped.expert_action())
    print("the expert:", info["reward_components"])

    clone = BehaviourCloning(ENV, BCConfig(episodes=episodes, epochs=4)).learn()
    tell("clone", clone, episodes)
    config, options = PPOConfig(temperature=0.5), {"reward": reward}
    agent = PPO(ENV, config, model=clone.model, env_kwargs=options)  # goes on with its weights
    tell("PPO", agent.learn(timesteps), episodes)


def tell(name: str, agent: LanguageAgent, episodes: int) -> None:
    """Print how good and how long an agent's summaries are."""
    result = evaluate(agent, ENV, split="test", episodes=episodes)
    words = sum(len(text.split()) for text in result.texts) / len(result.texts)
    print(f"{name}: {result.score_name} {result.score}, {words:.1f} words")


if __name__ == "__main__":
    tyro.cli(main)
