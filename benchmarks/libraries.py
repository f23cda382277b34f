"""What other libraries make of the same model, environment and budget: speed and score.

Each trains the preset `tiny` from scratch, on TextNER-v0 with dense rewards, by the script in
`examples/` or, for stable-baselines3, by `agents.sb3`, in a process of its own (RLlib: three);
then the test split is played greedily. All learn at the same constant rate, without discount; PPO
passes four times over its actions in minibatches of some 256, DQN
learns from four states for each action, some 64 at a time. All else is the library's. The time is
that of the whole training, with what the library needs to start. RLlib and Tianshou run where
`make test-pinned` put them; the scripts are in the repository, not in the wheel.

python -m benchmarks.libraries --timesteps 30000
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import torch
import tyro

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = ROOT / "examples"
Train: TypeAlias = Callable[[str, int, int], Any]
"""Trains in an environment, for so many actions, with a seed; gives something with `predict`."""
REWARD = "dense"
LEARNING_RATE = 1e-3
PINNED = ("RLlib", "Tianshou")
"""How the names begin of those that need an environment of their own."""
RESULT = "RESULT "
"""How the line of a child begins that its parent reads."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Train with every library, and compare."""

    env: str = "TextNER-v0"
    """The environment's id."""
    timesteps: int = 30_000
    """Actions of each."""
    seed: int = 0
    only: tuple[str, ...] = ()
    """Some of them; all by default."""
    episodes: int = 500
    """Of the test split, that scores are over."""
    pinned: Path = ROOT / ".venv-pinned" / "bin" / "python"
    """Python of the environment that has RLlib and Tianshou."""
    out: Path | None = None
    """Write JSON lines here."""
    child: bool = False
    """Run what `only` names in this process."""


def main(settings: Settings) -> int:
    """Run every library in a process of its own; the exit status is 1 if one failed."""
    if settings.child:
        print(RESULT + json.dumps(run(settings.only[0], settings)), flush=True)
        return 0
    failed = 0
    print(heading(settings.env))
    for name in settings.only or tuple(CONTESTANTS):
        python = settings.pinned if name.startswith(PINNED) else Path(sys.executable)
        if not python.exists():
            print(f"| {name} | not here: `make test-pinned` | | |", flush=True)
            failed = 1
            continue
        command = [
            *(str(python), "-m", "benchmarks.libraries", "--child", "--only", name),
            *("--env", settings.env, "--timesteps", str(settings.timesteps)),
            *("--seed", str(settings.seed), "--episodes", str(settings.episodes)),
        ]
        path = os.pathsep.join(map(str, (ROOT, EXAMPLES)))
        done = subprocess.run(  # noqa: S603  our own module
            command,
            capture_output=True,
            text=True,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": path, "RAY_USAGE_STATS_ENABLED": "0"},
            check=False,
        )
        lines = [line for line in done.stdout.splitlines() if line.startswith(RESULT)]
        if not lines:
            print(f"| {name} | failed | | |\n{done.stderr[-2000:]}", flush=True)
            failed = 1
            continue
        found = json.loads(lines[-1].removeprefix(RESULT))
        print(row(found), flush=True)
        if settings.out is not None:
            with settings.out.open("a", encoding="utf-8") as file:
                file.write(json.dumps(found) + "\n")
    return failed


def heading(env: str) -> str:
    """The first lines of the table, in Markdown."""
    return f"| library | actions/s | score on {env}, test split | minutes |\n|---|---|---|---|"


def row(found: Mapping[str, Any]) -> str:
    """A library's line of the table."""
    low, high = found["interval"]
    score = f"{found['score']:.3f} [{low:.3f}, {high:.3f}]"
    minutes = found["seconds"] / 60
    return f"| {found['library']} | {found['actions_per_s']:,.0f} | {score} | {minutes:.1f} |"


def table(results: Path) -> str:
    """The table of a file of JSON lines, in Markdown."""
    lines = [json.loads(line) for line in results.read_text("utf-8").splitlines()]
    return "\n".join([heading(lines[0]["env"]), *map(row, lines)])


def run(name: str, settings: Settings) -> dict[str, Any]:
    """Train and score one of them."""
    from agents import evaluate
    from agents.provenance import provenance

    torch.set_num_threads(1)
    start = time.perf_counter()
    agent = CONTESTANTS[name](settings.env, settings.timesteps, settings.seed)
    seconds = time.perf_counter() - start
    score = evaluate(agent, settings.env, split="test", episodes=settings.episodes).score
    return {
        "library": name,
        "env": settings.env,
        "timesteps": settings.timesteps,
        "provenance": provenance(),
        "seed": settings.seed,
        "seconds": seconds,
        "actions_per_s": settings.timesteps / seconds,
        "score": score.value,
        "interval": [score.low, score.high],
    }


def ours(algorithm: str, **config: Any) -> Train:
    """One of our agents."""

    def train(env_id: str, timesteps: int, seed: int) -> Any:
        import agents

        settings = getattr(agents, f"{algorithm}Config")(
            num_envs=16, learning_rate=LEARNING_RATE, learning_rate_schedule="constant", **config
        )
        agent = getattr(agents, algorithm)(
            env_id, settings, seed=seed, env_kwargs={"reward": REWARD}
        )
        agent.learn(timesteps, progress_bar=False)
        return agent

    return train


def script(module: str, **arguments: Any) -> Train:
    """The network that a script of `examples/` trains."""

    def train(env_id: str, timesteps: int, seed: int) -> Any:
        found = importlib.import_module(module)
        args = found.Args(
            env_id=env_id,
            seed=seed,
            total_timesteps=timesteps,
            learning_rate=LEARNING_RATE,
            **arguments,
        )
        network = found.train(args, reward=REWARD)[0].eval()
        return Unmasked(network) if arguments.get("masked") is False else network

    return train


class Unmasked:
    """An agent that is not told what is legal.

    Args:
        agent: has `predict`.
    """

    def __init__(self, agent: Any) -> None:
        self.agent = agent

    def predict(
        self,
        observation: Any,
        state: Any = None,
        episode_start: Any = None,
        deterministic: bool = True,
    ) -> Any:
        """As the agent's."""
        return self.agent.predict(observation, state, episode_start, deterministic)


def sb3(algorithm: str, buffer: bool = False, uncached: bool = False) -> Train:
    """One of stable-baselines3's, with or without what `agents.sb3` brings."""

    def train(env_id: str, timesteps: int, seed: int) -> Any:
        import gymnasium
        from sb3_contrib import MaskablePPO
        from stable_baselines3 import DQN
        from stable_baselines3.common.vec_env import DummyVecEnv, VecMonitor

        from agents import sb3 as ours

        make = lambda: gymnasium.make(env_id, reward=REWARD)  # noqa: E731
        env: Any = (
            DummyVecEnv([make] * 16) if uncached else ours.TextVecEnv(env_id, 16, reward=REWARD)
        )
        kwargs = ours.lm_policy_kwargs(env, "tiny", seed, cached_rows=0 if uncached else 256)
        shared: dict[str, Any] = {
            "policy_kwargs": kwargs,
            "seed": seed,
            "learning_rate": LEARNING_RATE,
        }
        if algorithm == "DQN":
            model: Any = DQN(
                ours.LMDQNPolicy, VecMonitor(env), learning_starts=500, train_freq=1,
                gradient_steps=1, batch_size=64, gamma=1.0, target_update_interval=256, **shared,
            )  # fmt: skip
        else:
            more = {"rollout_buffer_class": ours.EpisodeMaskableRolloutBuffer} if buffer else {}
            model = MaskablePPO(
                ours.LMMaskablePolicy, VecMonitor(env), n_steps=64, batch_size=256, n_epochs=4,
                gamma=1.0, ent_coef=0.01, **shared, **more,
            )  # fmt: skip
        return model.learn(timesteps)

    return train


CONTESTANTS: dict[str, Train] = {
    "textenvs PPO": ours("PPO", steps=1024, epochs=4, minibatch_tokens=1280),
    "textenvs DQN": ours("DQN", minibatch_tokens=288, warmup=0.0),
    "stable-baselines3 MaskablePPO, single environments, no cache": sb3("PPO", uncached=True),
    "stable-baselines3 MaskablePPO": sb3("PPO"),
    "stable-baselines3 MaskablePPO, episode buffer": sb3("PPO", buffer=True),
    "stable-baselines3 DQN": sb3("DQN"),
    "CleanRL PPO": script("cleanrl_ppo", masked=True, anneal_lr=False),
    "CleanRL PPO, no masks": script("cleanrl_ppo", masked=False, anneal_lr=False),
    "CleanRL DQN": script("cleanrl_dqn", masked=True, num_envs=16, train_frequency=16),
    "TorchRL PPO": script("torchrl_ppo"),
    "Tianshou PPO": script("tianshou_ppo", num_steps=64, batch_size=256, test_episodes=0),
    "Tianshou PPO, no masks": script(
        "tianshou_ppo", num_steps=64, batch_size=256, test_episodes=0, masked=False
    ),
    "Tianshou DQN": script(
        "tianshou_dqn", num_envs=16, test_episodes=0, gradient_steps_per_action=1 / 16
    ),
    "RLlib PPO": script("rllib_ppo"),
}
"""Name -> trains."""

if __name__ == "__main__":
    sys.exit(main(tyro.cli(Settings, description=__doc__)))
