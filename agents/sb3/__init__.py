"""stable-baselines3 and sb3-contrib over textenvs: their algorithms with our models.

A `VecEnv` at the native vector environment's speed, features extractors for their own policies, and
policies that are the language models with heads of our agents. Acting reads only what is new of a
prefix; learning reads all states of a minibatch that are prefixes of one another in one go.

    env = VecMonitor(TextVecEnv("TextNER-v0", num_envs=16))
    model = MaskablePPO(
        LMMaskablePolicy,
        env,
        policy_kwargs=lm_policy_kwargs(env, "tiny"),
        rollout_buffer_class=EpisodeMaskableRolloutBuffer,
    )
    model.learn(100_000)

Models that look at the prompt as such (those that read it both ways, and those that point at it or
copy from it, as in TextQASpan-v0) need observations that tell where it ends:

    env = VecMonitor(TextVecEnv("TextQASpan-v0", num_envs=16, prompt_length=True))
    model = MaskablePPO(LMMaskablePolicy, env, policy_kwargs=lm_policy_kwargs(env))

Raises:
    ImportError: stable-baselines3 or sb3-contrib is not installed.
"""

try:
    import sb3_contrib  # noqa: F401
    import stable_baselines3  # noqa: F401
except ImportError as error:
    raise ImportError(
        "agents.sb3 needs the stable-baselines3 and sb3-contrib libraries: "
        'pip install "textenvs[sb3]"'
    ) from error

from agents.sb3.buffers import (
    EpisodeDictRolloutBuffer,
    EpisodeMaskableDictRolloutBuffer,
    EpisodeMaskableRolloutBuffer,
    EpisodeRolloutBuffer,
)
from agents.sb3.extractors import LMExtractor, StatesExtractor, TokenEmbeddingExtractor
from agents.sb3.policies import (
    LMDQNPolicy,
    LMMaskablePolicy,
    LMPolicy,
    LMQRDQNPolicy,
    LMTRPOPolicy,
    lm_policy_kwargs,
)
from agents.sb3.vec_env import TextVecEnv

__all__ = [
    "EpisodeDictRolloutBuffer",
    "EpisodeMaskableDictRolloutBuffer",
    "EpisodeMaskableRolloutBuffer",
    "EpisodeRolloutBuffer",
    "LMDQNPolicy",
    "LMExtractor",
    "LMMaskablePolicy",
    "LMPolicy",
    "LMQRDQNPolicy",
    "LMTRPOPolicy",
    "StatesExtractor",
    "TextVecEnv",
    "TokenEmbeddingExtractor",
    "lm_policy_kwargs",
]
