"""PPO of an older TRL (0.21.0) as a contestant, from a virtual environment of its own.

All is its default but for what follows. Off are logging, saving, reports, sampled examples and
bf16. Temperature is 1, there is no stop token, so that all answers have the same length, and the
answers of an iteration are one minibatch. As it asks for a reward model, it gets the smallest. Its
value model is a second trunk and its reference model a third; it has no way without them.
"""

from __future__ import annotations

import tempfile
from typing import Any

import torch
from datasets import Dataset
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    LlamaForSequenceClassification,
    TrainerCallback,
)
from trl import PPOConfig, PPOTrainer

from benchmarks.pacing import Job, Pace, compete
from benchmarks.word_tokens import word_tokenizer

ITERATIONS = 4_096
"""Of the data set: the parent ends before."""
SMALLEST = {
    "hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1,
}  # fmt: skip
"""The reward model's."""


class Boundaries(TrainerCallback):  # type: ignore[misc]
    """Tells the pace where iterations begin; a "step" of this trainer is an iteration."""

    def __init__(self, pace: Pace, tokens: int) -> None:
        self.pace = pace
        self.tokens = tokens

    def on_train_begin(self, *_: Any, **__: Any) -> None:
        """The first begins."""
        self.pace.iteration(0)

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """One ended and the next begins."""
        self.pace.iteration(state.global_step * self.tokens)


def ppo(job: Job, pace: Pace) -> None:
    """PPO, one answer to each prompt an iteration."""
    torch.set_num_threads(job.threads)
    torch.manual_seed(0)
    readers = {**job.model, "num_labels": 1, "pad_token_id": 0}
    with tempfile.TemporaryDirectory() as folder:
        arguments = PPOConfig(
            output_dir=folder,
            per_device_train_batch_size=job.slots,
            num_ppo_epochs=job.epochs,
            total_episodes=job.slots * ITERATIONS,
            response_length=job.answer_tokens,
            learning_rate=5e-4,
            temperature=1.0,
            num_sample_generations=0,
            bf16=False,
            use_cpu=True,
            gradient_checkpointing=False,
            logging_strategy="no",
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
            dataloader_pin_memory=False,
        )
        PPOTrainer(
            args=arguments,
            processing_class=word_tokenizer(job.model["vocab_size"]),
            model=LlamaForCausalLM(LlamaConfig(**job.model)),
            ref_model=LlamaForCausalLM(LlamaConfig(**job.model)),
            value_model=LlamaForSequenceClassification(LlamaConfig(**readers)),
            reward_model=LlamaForSequenceClassification(LlamaConfig(**readers | SMALLEST)),
            train_dataset=Dataset.from_dict({"input_ids": job.prompts * ITERATIONS}),
            callbacks=[Boundaries(pace, job.tokens)],
        ).train()


if __name__ == "__main__":
    compete({"ppo": ppo})
