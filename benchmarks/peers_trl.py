"""TRL's GRPO and RLOO as a contestant, on the CPU, in float32, as fast as they are.

All is TRL's default but for what follows. Off are logging, saving and reports, bf16, gradient
checkpointing (which costs time), RLOO's reference model (ours has none here; GRPO has none by
default). Two answers a prompt are compared, the fewest that there can be, so that prompts differ
as ours do. Sampling is from the whole distribution, and the end-of-answer token is one that the
model's head does not have, so that all answers have the same length. Every pass over an
iteration's answers is one batch and one step of the optimizer. The reward is a few operations.
"""

from __future__ import annotations

import tempfile
from functools import partial
from typing import Any

import torch
from datasets import Dataset
from transformers import LlamaConfig, LlamaForCausalLM, TrainerCallback
from trl import GRPOConfig, GRPOTrainer, RLOOConfig, RLOOTrainer

from benchmarks.pacing import Job, Pace, compete
from benchmarks.word_tokens import word_tokenizer

ITERATIONS = 4_096
"""Of the data set: the parent ends before."""


class Boundaries(TrainerCallback):  # type: ignore[misc]
    """Tells the pace where iterations begin, and how many tokens were trained on until then.

    Args:
        pace: To be told.
        steps: Of the optimizer in an iteration.
    """

    def __init__(self, pace: Pace, steps: int) -> None:
        self.pace = pace
        self.steps = steps
        self.tokens = 0

    def reward(self, completion_ids: list[list[int]], **_: Any) -> list[float]:
        """The share of even tokens in each answer; counts the tokens, too."""
        self.tokens += sum(map(len, completion_ids))
        return [sum(i % 2 == 0 for i in ids) / len(ids) for ids in completion_ids]

    def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """An iteration's first step begins with its answers."""
        if state.global_step % self.steps == 0:
            self.pace.iteration(self.tokens)


def train(trainer: Any, config: Any, job: Job, pace: Pace, **settings: Any) -> None:
    """Train with one of TRL's trainers."""
    torch.set_num_threads(job.threads)
    torch.manual_seed(0)
    model = LlamaForCausalLM(LlamaConfig(**job.model))
    texts = [" ".join(f"w{i}" for i in prompt) for prompt in job.prompts]
    boundaries = Boundaries(pace, job.epochs)
    with tempfile.TemporaryDirectory() as folder:
        arguments = config(
            output_dir=folder,
            per_device_train_batch_size=job.slots,
            num_generations=2,
            num_iterations=job.epochs,
            max_completion_length=job.answer_tokens,
            learning_rate=5e-4,
            lr_scheduler_type="constant",
            beta=0.0,
            bf16=False,
            use_cpu=True,
            gradient_checkpointing=False,
            logging_strategy="no",
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
            dataloader_pin_memory=False,
            **settings,
        )
        trainer(
            model=model,
            reward_funcs=boundaries.reward,
            args=arguments,
            train_dataset=Dataset.from_dict({"prompt": texts * ITERATIONS}),
            processing_class=word_tokenizer(model.config.vocab_size),
            callbacks=[boundaries],
        ).train()


if __name__ == "__main__":
    compete(
        {
            "grpo": partial(train, GRPOTrainer, GRPOConfig),
            "rloo": partial(train, RLOOTrainer, RLOOConfig),
        }
    )
