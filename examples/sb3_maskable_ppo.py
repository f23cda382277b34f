"""stable-baselines3: sb3-contrib's MaskablePPO with a language model, and our vector environment.

python examples/sb3_maskable_ppo.py --timesteps 100000
"""

import tyro
from sb3_contrib import MaskablePPO
from stable_baselines3.common.vec_env import VecMonitor

from agents import evaluate
from agents.sb3 import EpisodeMaskableRolloutBuffer, LMMaskablePolicy, TextVecEnv, lm_policy_kwargs


def main(
    timesteps: int = 100_000, env: str = "TextNER-v0", num_envs: int = 32, seed: int = 0
) -> None:
    """Train from random weights with dense rewards, and score the test split.

    Args:
        timesteps: actions.
        env: an id of the suite.
        num_envs: slots.
        seed: of weights and sampling.
    """
    train = VecMonitor(TextVecEnv(env, num_envs, reward="dense"))
    model = MaskablePPO(
        LMMaskablePolicy,
        train,
        n_steps=64,
        batch_size=512,
        learning_rate=1e-3,
        gamma=1.0,
        seed=seed,
        policy_kwargs=lm_policy_kwargs(train, "tiny", seed),
        rollout_buffer_class=EpisodeMaskableRolloutBuffer,
    )
    model.learn(timesteps)
    print(f"{env}: {evaluate(model, env, split='test').score}")


if __name__ == "__main__":
    tyro.cli(main)
