"""Acting through the native vector environment, beside `generate` of transformers.

Both use one model with prompts of 64 tokens, and draw from the model's whole distribution, with a
key/value cache. `generate` is called as its users call it (within torch's inference mode it would
gain about 5 %). Ours also plays: it steps TextQA-v0's task (see `MeasuredQA`), which scores the
answers, and records log-probabilities, values and episodes for an update. The head's padding row
is no action; `generate` draws from it too.

Answers have 32 tokens, or lengths of which the mean is 12 and the most 48. `generate` then writes
each batch up to its longest answer, and what is of use counts.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from transformers import GenerationConfig

from agents.episodes import total_steps
from agents.ppo import PPO, PPOConfig
from agents.rollout import Collector
from benchmarks.answering import MEAN_ANSWER, MeasuredQA, ragged_lengths
from benchmarks.environments import VOCABULARY, FixedLengthQA
from benchmarks.gpu import wide_tokenizer
from benchmarks.measuring import Measurement, Rates, beside
from textenvs.rewards import Reward
from textenvs.vector_env import TextVectorEnv

SLOTS = 16
PROMPT_TOKENS = 64
RAGGED_TOKENS = 48
"""The most of a ragged answer."""
EXAMPLES_PER_SLOT = 32
"""Of distinct prompts: about one in sixteen episodes then finds its prompt read already."""
VOCABULARIES = {"tiny": VOCABULARY, "small": 8_000}


def make_agent(answer_tokens: int, reward: Reward = "terminal") -> PPO:
    """PPO with the tiny model and one pass over its episodes, on questions of fixed lengths."""
    task = FixedLengthQA(PROMPT_TOKENS, answer_tokens, count=SLOTS)
    envs = TextVectorEnv(task, num_envs=SLOTS, reward=reward)
    config = PPOConfig(num_envs=SLOTS, epochs=1, target_kl=None, learning_rate_schedule="constant")
    return PPO(envs, config, model="tiny", device="cpu")


@dataclass(frozen=True, kw_only=True)
class Scene:
    """What is acted in.

    Attributes:
        model: A preset.
        slots: How many, and the size of a batch of `generate`.
        answer_tokens: Of each answer; of ragged ones, the most.
        ragged: Whether lengths are drawn.
        shared: As many prompts as slots, over and over, instead of ever new ones.
    """

    model: str = "tiny"
    slots: int = SLOTS
    answer_tokens: int = 32
    ragged: bool = False
    shared: bool = False

    @property
    def name(self) -> str:
        """For the table."""
        answers = f"{self.answer_tokens} tokens"
        if self.ragged:
            answers = f"ragged answers{', shared prompts' if self.shared else ''}"
        return f"acting, {self.model}, {self.slots} slots, {PROMPT_TOKENS} + {answers}"

    def task(self) -> MeasuredQA:
        """Its questions, encoded beforehand."""
        vocabulary = VOCABULARIES[self.model]
        wide = wide_tokenizer(vocabulary) if vocabulary > VOCABULARY else None
        task = MeasuredQA(
            PROMPT_TOKENS,
            self.answer_tokens,
            ragged=self.ragged,
            count=self.slots * (1 if self.shared else EXAMPLES_PER_SLOT),
            tokenizer=f"bpe:{VOCABULARY}" if wide is None else wide,
        )
        for index in range(task.num_examples):
            task.row(index)
        return task

    def agent(self) -> PPO:
        """An agent with the model, and its environment."""
        envs = TextVectorEnv(self.task(), num_envs=self.slots)
        return PPO(envs, PPOConfig(num_envs=self.slots), model=self.model, device="cpu")


def acting(
    batches: int,
    rounds: int,
    models: Sequence[str] = ("tiny", "small"),
    numbers_of_slots: Sequence[int] = (SLOTS, 64),
) -> Iterator[Measurement]:
    """Acting beside `generate`, and what of it is the environment's.

    Args:
        batches: Answers in every one of 16 slots, a round of the tiny model.
        rounds: How many.
        models: Presets.
        numbers_of_slots: The environment's.
    """
    ragged = {"answer_tokens": RAGGED_TOKENS, "ragged": True}
    kinds: tuple[tuple[dict[str, Any], dict[str, float]], ...] = (
        ({}, {"tiny": 1.6, "small": 1.3}),
        (ragged, {"tiny": 3.5, "small": 3.5}),
        ({**ragged, "shared": True}, {"tiny": 8, "small": 8}),
    )
    for settings, required in kinds:
        for model in models:
            for slots in numbers_of_slots:
                scene = Scene(model=model, slots=slots, **settings)
                fewer = (slots // SLOTS) * (1 if model == "tiny" else 2)
                # What is asked of ragged answers is asked of 16 slots.
                asked = None if scene.ragged and slots != SLOTS else required[model]
                yield acting_beside_generate(scene, max(1, batches // fewer), rounds, asked)
    for model in models:
        yield prefix_cache_beside_none(Scene(model=model), max(1, batches // 4), rounds)
    yield environments_share(Scene(slots=numbers_of_slots[-1]), batches, rounds)


def acting_beside_generate(
    scene: Scene, batches: int, rounds: int, required: float | None = None
) -> Measurement:
    """Useful tokens per second of our acting and of `generate`.

    Args:
        scene: What is acted in.
        batches: Answers in every slot, a round.
        rounds: How many.
        required: The least ratio.
    """
    agent = scene.agent()
    act = acting_rate(new_collector(agent), scene, batches)
    generate = generating_rate(agent, scene, batches)
    return beside(scene.name, "tokens/s", act, "generate", generate, rounds, required=required)


def new_collector(agent: PPO) -> Collector:
    """One that has begun."""
    collector = agent.new_collector()
    collector.restart(seed=0)
    return collector


def acting_rate(collector: Collector, scene: Scene, batches: int) -> Callable[[], float]:
    """A round of our acting; running episodes carry on from round to round."""
    generator = torch.Generator().manual_seed(0)
    answer = MEAN_ANSWER if scene.ragged else scene.answer_tokens

    def act() -> float:
        start = time.perf_counter()
        episodes = collector.collect(scene.slots * answer * batches, generator)
        rate = total_steps(episodes) / (time.perf_counter() - start)
        assert all(episode.positions_T[0] == PROMPT_TOKENS - 1 for episode in episodes)
        return rate

    return act


def generating_rate(agent: PPO, scene: Scene, batches: int) -> Callable[[], float]:
    """A round of `generate` on the environment's prompts, a batch of as many as there are slots."""
    task, rng = agent.env.unwrapped.task, np.random.default_rng(0)  # type: ignore[attr-defined]
    tokens_EL = np.stack([task.row(index) for index in range(task.num_examples)])
    tokens_EL = task.layout.fields(tokens_EL)["tokens"][:, :PROMPT_TOKENS].astype(np.int64)
    lm = agent.model.backbone.lm

    def generate() -> float:
        useful, start = 0, time.perf_counter()
        for _ in range(batches):
            lengths_B = np.full(scene.slots, scene.answer_tokens)
            if scene.ragged:
                lengths_B = ragged_lengths(rng, scene.slots, scene.answer_tokens)
            prompts_BT = torch.from_numpy(rng.permutation(tokens_EL)[: scene.slots])
            longest = int(lengths_B.max())
            sampling = GenerationConfig(
                do_sample=True, max_new_tokens=longest, temperature=1.0, top_k=0, top_p=1.0,
                eos_token_id=None, pad_token_id=agent.contract.pad_token_id,
            )  # fmt: skip
            answers_BT = lm.generate(  # type: ignore[operator, union-attr]
                prompts_BT, attention_mask=torch.ones_like(prompts_BT), generation_config=sampling
            )
            assert answers_BT.shape == (scene.slots, PROMPT_TOKENS + longest)
            useful += int(lengths_B.sum())
        return useful / (time.perf_counter() - start)

    return generate


def prefix_cache_beside_none(scene: Scene, batches: int, rounds: int) -> Measurement:
    """Tokens per second of `predict` with the state that it returned, and without.

    Args:
        scene: What is acted in.
        batches: Answers in every slot, a round.
        rounds: How many.
    """

    def predicting(cached: bool) -> Callable[[], float]:
        agent = scene.agent()
        envs, state = agent.env, None
        observations_SL, _ = envs.reset(seed=0)
        steps = scene.answer_tokens * batches

        def predict() -> float:
            nonlocal observations_SL, state
            start = time.perf_counter()
            for _ in range(steps):
                actions_S, found = agent.predict(observations_SL, state, deterministic=False)
                state = found if cached else None
                observations_SL, *_ = envs.step(actions_S)
            return scene.slots * steps / (time.perf_counter() - start)

        return predict

    return beside(
        f"prefix cache: {scene.name}",
        "tokens/s",
        predicting(cached=True),
        "reading whole prefixes",
        predicting(cached=False),
        rounds,
    )


def environments_share(scene: Scene, batches: int, rounds: int) -> Measurement:
    """The part of our acting that the environment's steps take, in percent."""
    agent = scene.agent()
    collector, step = new_collector(agent), agent.env.step
    spent = 0.0

    def timed_step(actions: Any) -> Any:
        nonlocal spent
        start = time.perf_counter()
        result = step(actions)
        spent += time.perf_counter() - start
        return result

    collector.env.step = timed_step  # type: ignore[method-assign]
    act = acting_rate(collector, scene, max(1, batches // 4))

    def share() -> float:
        nonlocal spent
        spent, start = 0.0, time.perf_counter()
        act()
        return 100 * spent / (time.perf_counter() - start)

    share()
    shares: Rates = tuple(share() for _ in range(rounds))
    return Measurement(
        what=f"environment's share: {scene.name}",
        unit="%",
        rates=shares,
        against="acting",
        against_rates=(100.0,) * rounds,
        required=10,
        required_of="rate",
        at_most=True,
    )
