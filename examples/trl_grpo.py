"""GRPO of TRL in an environment, from a folder that an agent exported and back.

    python examples/trl_grpo.py --env-id TextQA-v0

An agent is cloned from the expert and exported; GRPO goes on with it as any model of transformers,
and the environment is played token by token as the trainer's rollout. The folder that TRL writes
is a model that our agents start from: `--model runs/trl`.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import tyro
from trl import GRPOConfig, GRPOTrainer

from agents import BCConfig, BehaviourCloning
from agents.trl import TRLTask

os.environ.setdefault("TRL_EXPERIMENTAL_SILENCE", "1")  # of rollout functions


@dataclass
class Args:
    """What is trained, and how."""

    env_id: str = "TextQA-v0"
    model: str = "tiny"
    """Preset, folder or Hub id."""
    out: Path = Path("runs/trl")
    clone_episodes: int = 2_000
    prompts: int = 1_000
    steps: int = 100
    batch_size: int = 32
    num_generations: int = 8
    learning_rate: float = 1e-4
    use_cpu: bool = True


def train(args: Args) -> list[float]:
    """Train; the mean rewards of the steps in their order."""
    clone = BehaviourCloning(args.env_id, BCConfig(episodes=args.clone_episodes), model=args.model)
    clone.learn(progress_bar=False)
    clone.export(args.out / "clone")

    task = TRLTask(args.env_id)
    trainer = GRPOTrainer(
        model=str(args.out / "clone"),
        processing_class=task.tokenizer,
        train_dataset=task.dataset(args.prompts),
        reward_funcs=task.reward,
        rollout_func=task.rollout,
        args=GRPOConfig(
            output_dir=str(args.out),
            max_steps=args.steps,
            per_device_train_batch_size=args.batch_size,
            num_generations=args.num_generations,
            learning_rate=args.learning_rate,
            logging_steps=1,
            save_strategy="no",
            report_to="none",
            use_cpu=args.use_cpu,
            bf16=not args.use_cpu,
        ),
    )
    trainer.train()
    trainer.save_model(str(args.out))
    return [entry["reward"] for entry in trainer.state.log_history if "reward" in entry]


if __name__ == "__main__":
    train(tyro.cli(Args))
