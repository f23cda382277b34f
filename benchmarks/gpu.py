"""Acting and PPO of a larger model on a GPU, beside `generate`, and as a share of the GPU's peak.

    python -m benchmarks.gpu

A GPT-2 of 12 layers of width 768 with 50,257 tokens, random weights, 256 prompts of 64 tokens and
answers of 64. The share counts the operations that the model needs at least (two a weight and
token, and those of attention; a backward pass takes twice a forward one; the head is read where
an action is taken), against the bf16 peak without sparsity. Both sides have float32 weights, which
are multiplied as TF32. `--device cpu` with a small model tries the program where there is no GPU.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
import tyro
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    GenerationConfig,
    GPT2Config,
    GPT2LMHeadModel,
    PreTrainedTokenizerFast,
)

from agents.episodes import total_steps
from agents.ppo import PPO, PPOConfig
from benchmarks.environments import VOCABULARY, FixedLengthQA
from benchmarks.measurement_table import table
from benchmarks.measuring import Measurement, beside
from textenvs.data.world import WorldQA
from textenvs.vector_env import TextVectorEnv

PEAKS = {
    "H200": 989, "H100 PCIe": 756, "H100": 989, "GH200": 989, "B200": 2250, "A100": 312, "A10": 125,
    "L40S": 362, "L40": 181, "L4": 121, "RTX 4090": 165, "RTX 3090": 71,
}  # fmt: skip
"""bf16 TFLOP/s without sparsity, as the makers state them; the first name that fits counts."""
SPECIAL = {"pad_token": "<pad>", "eos_token": "<end>"}


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Measure acting and PPO of a GPT-2 on a GPU, beside `generate`."""

    device: Literal["cuda", "cpu"] = "cuda"
    """The CPU is for trying the program out."""
    layers: int = 12
    """Of the model."""
    width: int = 768
    """Of the model; its heads are 64 wide, where it is that wide."""
    vocabulary: int = 50_257
    """Tokens of the model, each of them an action but the padding; at least 2,000."""
    slots: int = 256
    """Answers that are written at a time; examples of the environment, too."""
    prompt_tokens: int = 64
    """Length of every prompt."""
    answer_tokens: int = 64
    """Length of every answer."""
    epochs: int = 4
    """Of PPO, over one answer a slot."""
    minibatch_tokens: int = 32_768
    """Of PPO."""
    rounds: int = 3
    """Of each, after one that does not count."""
    peak_tflops: float | None = None
    """The device's peak; by default its maker's number for bf16, where it is known."""


@dataclass(frozen=True)
class Operations:
    """Floating-point operations that a GPT-2 needs at least.

    Args:
        settings: Of the model and the work.
    """

    settings: Settings

    @property
    def trunk(self) -> float:
        """Of a forward pass over one prompt and its answer, without the head."""
        s = self.settings
        tokens = s.prompt_tokens + s.answer_tokens - 1
        weights = 12 * s.layers * s.width**2
        attended = tokens * (tokens + 1) / 2
        return 2 * weights * tokens + 4 * s.layers * s.width * attended

    @property
    def head(self) -> float:
        """Of the head at all actions of an answer."""
        return 2 * self.settings.width * self.settings.vocabulary * self.settings.answer_tokens

    @property
    def acting(self) -> float:
        """For each action: one pass over its episode's tokens."""
        return (self.trunk + self.head) / self.settings.answer_tokens

    @property
    def ppo(self) -> float:
        """For each action: acting, then a forward and a backward pass an epoch."""
        return self.acting * (1 + 3 * self.settings.epochs)


def wide_tokenizer(vocabulary: int) -> PreTrainedTokenizerFast:
    """A byte-level BPE of built-in passages, with tokens added that no text has."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel()
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=list(SPECIAL.values()),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    passages = (example.passage for example in WorldQA("train", size=2_000))
    tokenizer.train_from_iterator(passages, trainer)
    definition = json.loads(tokenizer.to_str())
    tokens = definition["model"]["vocab"]
    tokens |= {f"<unused{i}>": i for i in range(len(tokens), vocabulary)}
    wide = Tokenizer.from_str(json.dumps(definition))
    return PreTrainedTokenizerFast(tokenizer_object=wide, **SPECIAL)


def make_agent(settings: Settings) -> tuple[PPO, GPT2LMHeadModel]:
    """PPO on questions of fixed lengths, and the new GPT-2 that it has."""
    s = settings
    task = FixedLengthQA(
        s.prompt_tokens, s.answer_tokens, count=s.slots, tokenizer=wide_tokenizer(s.vocabulary)
    )
    torch.manual_seed(0)
    model = GPT2LMHeadModel(
        GPT2Config(
            vocab_size=s.vocabulary,
            n_positions=task.max_tokens,
            n_embd=s.width,
            n_layer=s.layers,
            n_head=max(1, s.width // 64),
            bos_token_id=None,
            eos_token_id=None,
        )
    )
    config = PPOConfig(
        num_envs=s.slots,
        steps=s.slots * s.answer_tokens,
        epochs=s.epochs,
        minibatch_tokens=s.minibatch_tokens,
        target_kl=None,
        learning_rate=1e-5,
        learning_rate_schedule="constant",
    )
    envs = TextVectorEnv(task, num_envs=s.slots)
    agent = PPO(envs, config, model=model, device=s.device)
    return agent, model


def measure(settings: Settings, peak: float | None) -> list[Measurement]:
    """Acting and training, each beside `generate`.

    Args:
        settings: Of the model and the work.
        peak: The device's, in FLOP/s; None where it is not known.
    """
    s = settings
    operations = Operations(s)
    agent, model = make_agent(s)
    collector = agent.new_collector()
    collector.restart(seed=0)
    generator = torch.Generator(agent.device).manual_seed(0)
    prompts_BT = torch.from_numpy(collector.observations_SL[:, : s.prompt_tokens]).long()
    prompts_BT = prompts_BT.to(agent.device)
    tokens = s.slots * s.answer_tokens
    sampling = GenerationConfig(
        do_sample=True, max_new_tokens=s.answer_tokens, temperature=1.0, top_k=0, top_p=1.0,
        eos_token_id=None, pad_token_id=agent.contract.pad_token_id,
    )  # fmt: skip

    def generate() -> None:
        every_BT = torch.ones_like(prompts_BT)
        answers_BT = model.generate(prompts_BT, attention_mask=every_BT, generation_config=sampling)
        assert answers_BT.shape == (s.slots, s.prompt_tokens + s.answer_tokens)

    def act() -> None:
        agent.model.note_change()  # as after an update: nothing is kept of the prompts
        assert total_steps(collector.collect(tokens, generator)) == tokens

    def train() -> None:
        agent.learn(tokens, progress_bar=False)

    def rate_of(work: Callable[[], None]) -> Callable[[], float]:
        def rate() -> float:
            start = time.perf_counter()
            work()
            if agent.device.type == "cuda":
                torch.cuda.synchronize()
            return tokens / (time.perf_counter() - start)

        return rate

    what = f"GPT-2 {s.layers} x {s.width}, {s.slots} x ({s.prompt_tokens} + {s.answer_tokens})"
    measured = []
    for name, work, needed in (
        ("acting", act, operations.acting),
        (f"PPO, epochs: {s.epochs}", train, operations.ppo),
    ):
        m = beside(
            f"{name}, {what}", "tokens/s", rate_of(work), "generate", rate_of(generate), s.rounds
        )
        notes = {"flops": m.rate * needed, "share": peak and m.rate * needed / peak}
        measured.append(replace(m, notes=notes))
    return measured


def peak_flops(settings: Settings) -> float | None:
    """The device's peak in FLOP/s, given or known."""
    if settings.peak_tflops is not None:
        return settings.peak_tflops * 1e12
    if settings.device == "cpu":
        return None
    device = torch.cuda.get_device_name()
    return next((1e12 * peak for name, peak in PEAKS.items() if name in device), None)


def shares(measured: Sequence[Measurement]) -> Iterator[str]:
    """A line for each: the operations that the model needed, and their share of the peak."""
    for m in measured:
        assert m.notes is not None
        share = m.notes["share"]
        of_peak = "its peak is not known: give --peak-tflops" if share is None else f"{share:.2%}"
        yield f"{m.what}: {m.notes['flops'] / 1e12:.3g} TFLOP/s, share of the peak: {of_peak}"


def run(settings: Settings) -> list[Measurement]:
    """Measure and print; where there is no GPU, say so."""
    if settings.device == "cuda" and not torch.cuda.is_available():
        print("no GPU: nothing measured (--device cpu with a small model tries the program)")
        return []
    torch.set_float32_matmul_precision("high")
    print(torch.cuda.get_device_name() if settings.device == "cuda" else "CPU")
    measured = measure(settings, peak_flops(settings))
    print(table(measured), *shares(measured), sep="\n")
    return measured


def main() -> None:
    """Read the command line and measure."""
    run(tyro.cli(Settings, prog="python -m benchmarks.gpu", description=__doc__))


if __name__ == "__main__":
    main()
