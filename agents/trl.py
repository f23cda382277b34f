"""An environment as what TRL's trainers ask for: prompts, rewards, and rollouts token by token.

    task = TRLTask("TextQA-v0")
    trainer = GRPOTrainer(
        model="runs/export",  # a folder that an agent's `export` wrote, or any causal model
        processing_class=task.tokenizer,
        train_dataset=task.dataset(),
        reward_funcs=task.reward,
        rollout_func=task.rollout,  # leave it out, and TRL's own generation answers
    )

Without `rollout` (RLOOTrainer knows none), answers are written by `generate`: nothing keeps them to
the legal actions, and nobody speaks in between, so that it serves tasks with one answer, such as
TextQA-v0 and TextSummarization-v0. With it the environment is played as our own agents play it,
users' turns and the words of a sentence included, on which no loss is taken.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from gymnasium.vector import AutoresetMode, VectorEnv
from transformers import PreTrainedModel

from agents.acting import Actor, SoftmaxPolicy
from agents.environment import (
    Contract,
    Ints,
    attribute,
    make_env,
    prefix_lengths,
    read_contract,
    start_examples,
)
from agents.errors import AgentError, ContractError
from agents.export import as_transformers
from agents.models.building import build_model
from agents.models.model import AgentModel, Heads
from agents.rollout import Choose, Played, play_examples

EXAMPLE, SPLIT, SCORED = "example", "split", "episode_return"
"""Columns: of the data set, and of what `TRLTask.rollout` has played already."""
TOGETHER = 256
"""So many prompts are written at once."""


class Example(NamedTuple):
    """One of a split."""

    split: str | None
    place: int


class TRLTask:
    """Prompts, rewards and rollouts of an environment of textenvs, for TRL.

    Args:
        env_id: the environment.
        seed: of what is drawn in rollouts.
        **env_kwargs: its options; the `split` is that of `dataset`.

    Attributes:
        contract: the environment's constants.
        tokenizer: its tokenizer, the `processing_class` of trainers.

    Raises:
        ContractError: it is no token MDP, or has no tokenizer that transformers can take.
    """

    def __init__(self, env_id: str, seed: int = 0, **env_kwargs: Any) -> None:
        """Make the environment."""
        self.env_id = env_id
        self.seed = seed
        self.env_kwargs = env_kwargs
        self._envs: dict[tuple[str | None, int], VectorEnv[Any, Any, Any]] = {}
        one = self._env(None, 1)
        self.contract: Contract = read_contract(one)
        tokenizer = getattr(attribute(one, "task", None), "tokenizer", None)
        if not hasattr(tokenizer, "to_json"):
            raise ContractError(
                f"{env_id} has no tokenizer that transformers can take: TRL turns prompts into "
                "tokens by one"
            )
        self.tokenizer = as_transformers(tokenizer, self.contract.max_tokens)
        self._eos = attribute(one, "eos_token_id", None)
        self._action_of = {token: a for a, token in enumerate(self.contract.action_tokens)}
        self._examples: dict[str, list[Example]] = {}
        self._generator: torch.Generator | None = None
        self._model: AgentModel | None = None
        self._rollouts = 0

    def dataset(self, examples: int | None = None, split: str | None = None) -> Any:
        """Prompts as text and which examples they are of, a `datasets.Dataset`.

        Args:
            examples: the first so many; None for all.
            split: of the examples; None for that of the environment's options.

        Raises:
            AgentError: a prompt's text has other tokens than the environment's prompt.
        """
        from datasets import Dataset

        count = int(attribute(self._env(split, 1), "num_examples"))
        count = count if examples is None else min(examples, count)
        texts = self._prompts(split, count)
        for place, text in enumerate(texts):
            example = Example(split, place)
            known = self._examples.setdefault(text, [])
            if example not in known:
                known.append(example)
        columns = {"prompt": texts, EXAMPLE: list(range(count)), SPLIT: [split or ""] * count}
        return Dataset.from_dict(columns)

    def reward(self, completion_ids: Sequence[Sequence[int]], **columns: Any) -> list[float]:
        """The return of each answer: that of its rollout, or of playing its tokens.

        An answer without an end gets one. A token that no action appends ends the episode, with the
        reward that it has; an illegal action has its natural consequence.

        Args:
            completion_ids: token ids of the answers.
            columns: the other columns: `episode_return`, or `example` and `split`.

        Raises:
            AgentError: the columns are missing, or the environment says tokens of its own.
        """
        if SCORED in columns:
            return list(map(float, columns[SCORED]))
        if EXAMPLE not in columns:
            raise AgentError(
                f"the trainer hands on the columns {sorted(columns)}, and no {EXAMPLE!r}: train on "
                "TRLTask.dataset()"
            )
        splits = columns.get(SPLIT, [""] * len(completion_ids))
        answers = [list(map(int, ids)) for ids in completion_ids]
        returns = np.zeros(len(answers))
        for split in dict.fromkeys(splits):
            rows = [row for row, each in enumerate(splits) if each == split]
            examples = np.array([columns[EXAMPLE][row] for row in rows])
            env = self._env(split or None, len(rows))
            returns[rows] = self._returns(env, examples, [answers[row] for row in rows])
        return returns.tolist()

    def rollout(self, prompts: Sequence[str], trainer: Any) -> dict[str, Any]:
        """Play the prompts' examples with the model that the trainer trains: a `rollout_func`.

        Where several examples have the same prompt, they take turns from call to call.

        Args:
            prompts: of the data set.
            trainer: a `GRPOTrainer`; its `temperature` is used.

        Returns:
            `prompt_ids`, `completion_ids`, `logprobs`; `env_mask`, 0 for tokens that the
            environment said; `episode_return`.

        Raises:
            AgentError: a prompt is not the data set's, or the trainer cannot be served.
        """
        unknown = [prompt for prompt in prompts if prompt not in self._examples]
        if unknown:
            raise AgentError(
                f"the prompt {unknown[0]!r} is none of this environment's: train on "
                "TRLTask.dataset(), and give GRPOTrainer the same TRLTask's rollout"
            )
        known = [self._examples[prompt] for prompt in prompts]
        chosen = [each[self._rollouts % len(each)] for each in known]
        self._rollouts += 1
        lm = _language_model(trainer)
        trains = lm.training
        rows: dict[int, dict[str, Any]] = {}
        try:
            for split in dict.fromkeys(example.split for example in chosen):
                places = [row for row, example in enumerate(chosen) if example.split == split]
                examples = np.array([chosen[row].place for row in places])
                played = self._play(self._env(split, len(places)), examples, lm, trainer)
                rows |= dict(zip(places, played, strict=True))
        finally:
            lm.train(trains)
        self._check_ends(rows[0], trainer)
        return {key: [rows[row][key] for row in range(len(chosen))] for key in rows[0]}

    def _check_ends(self, row: dict[str, Any], trainer: Any) -> None:
        """Check that TRL does not take whole answers for truncated ones and drop them."""
        masks = trainer.args.mask_truncated_completions
        if masks and row["completion_ids"][-1] != self.tokenizer.eos_token_id:
            raise AgentError(
                f"answers in {self.env_id} do not end with the token {self.tokenizer.eos_token!r}, "
                "so that mask_truncated_completions leaves all of them out: set it to False"
            )

    def _prompts(self, split: str | None, count: int) -> list[str]:
        """The prompts of the first examples, as text."""
        env = self._env(split, min(count, TOGETHER))
        texts: list[str] = []
        while len(texts) < count:
            slots = np.arange(min(env.num_envs, count - len(texts)))
            observations_SL, _ = start_examples(env, slots, slots + len(texts))
            lengths_S = prefix_lengths(observations_SL, self.contract.pad_token_id)
            rows = [observations_SL[slot, : lengths_S[slot]].tolist() for slot in slots]
            found = [str(self.tokenizer.decode(ids)) for ids in rows]
            for ids, text, again in zip(
                rows, found, self.tokenizer(found)["input_ids"], strict=True
            ):
                if again != ids:
                    raise AgentError(
                        f"a prompt of {self.env_id} has the tokens {ids}, but its text {text!r} "
                        f"has {again}: TRL would train on others"
                    )
            texts += found
        return texts

    def _env(self, split: str | None, num_envs: int) -> VectorEnv[Any, Any, Any]:
        """One with so many slots, which is kept."""
        key = split, num_envs
        if key not in self._envs:
            options = self.env_kwargs if split is None else {**self.env_kwargs, "split": split}
            self._envs[key] = make_env(self.env_id, num_envs, AutoresetMode.DISABLED, **options)
        return self._envs[key]

    def _returns(
        self, env: VectorEnv[Any, Any, Any], examples: Ints, answers: list[list[int]]
    ) -> npt.NDArray[np.float64]:
        """The return of playing each answer, in a slot of its own."""
        slots = np.arange(len(answers))
        observations_SL, _ = start_examples(env, slots, examples)
        lengths_S = prefix_lengths(observations_SL, self.contract.pad_token_id)
        returns_S = np.zeros(len(answers))
        going_S = np.ones(len(answers), np.bool_)
        time = 0
        while going_S.any():
            actions_S = np.zeros(len(answers), np.int64)
            for slot in np.flatnonzero(going_S).tolist():
                token = answers[slot][time] if time < len(answers[slot]) else self._eos
                if token in self._action_of and time <= len(answers[slot]):
                    actions_S[slot] = self._action_of[token]
                else:
                    going_S[slot] = False
            observations_SL, rewards_S, terminated_S, truncated_S, _ = env.step(actions_S)
            returns_S[going_S] += np.asarray(rewards_S)[going_S]
            time += 1
            ended_S = terminated_S | truncated_S
            going_S &= ~ended_S
            said_S = prefix_lengths(observations_SL, self.contract.pad_token_id) - lengths_S
            if (said_S[going_S] > time).any():
                raise AgentError(
                    f"{self.env_id} says tokens of its own between actions, which `generate` "
                    "leaves out: give GRPOTrainer rollout_func=TRLTask.rollout"
                )
            if ended_S.any():  # a slot that has ended cannot take a step
                restarted = np.flatnonzero(ended_S)
                start_examples(env, restarted, examples[restarted])
        return returns_S

    def _play(
        self, env: VectorEnv[Any, Any, Any], examples: Ints, lm: PreTrainedModel, trainer: Any
    ) -> list[dict[str, Any]]:
        """What TRL is told of an episode on each example."""
        if self._model is None or getattr(self._model.backbone, "lm", None) is not lm:
            self._model = build_model(lm, self.contract, seed=0, heads=Heads(policy="lm"))
        device = next(lm.parameters()).device
        if self._generator is None or self._generator.device != device:
            seeds = np.random.SeedSequence([self.seed, trainer.accelerator.process_index])
            seed = seeds.generate_state(1)[0]
            self._generator = torch.Generator(device).manual_seed(int(seed))
        self._model.to(device).eval()
        self._model.temperature = float(trainer.temperature)
        actor = Actor(self._model, SoftmaxPolicy(self._model), len(examples))
        log_probs_TS: list[npt.NDArray[np.float32]] = []

        def choose(now: Choose) -> Ints:
            actor.cache.end(now.started_S)
            lengths_S = prefix_lengths(now.observations_SL, self.contract.pad_token_id)
            decision = actor.act(now.observations_SL, lengths_S, now.legal_SA, self._generator)
            log_probs_TS.append(decision.log_probs.cpu().numpy())
            return decision.actions.cpu().numpy()

        played = play_examples(env, self.contract, examples, choose)
        columns = np.stack(log_probs_TS)
        return [self._row(each, columns[:, slot]) for slot, each in enumerate(played)]

    def _row(self, played: Played, log_probs_T: npt.NDArray[np.float32]) -> dict[str, Any]:
        """What TRL is told of an episode."""
        episode = played.episode
        last = self.contract.action_tokens[int(episode.actions_T[-1])]
        prompt = int(episode.positions_T[0]) + 1
        completion = [*episode.tokens_L[prompt:].tolist(), last]
        places_T = episode.positions_T + 1 - prompt
        mask, log_probs = np.zeros(len(completion), np.int64), np.zeros(len(completion))
        mask[places_T] = 1
        log_probs[places_T] = log_probs_T[: episode.steps]
        return {
            "prompt_ids": episode.tokens_L[:prompt].tolist(),
            "completion_ids": completion,
            "logprobs": log_probs.tolist(),
            "env_mask": mask.tolist(),
            SCORED: episode.episode_return,
        }


def _language_model(trainer: Any) -> PreTrainedModel:
    """The model in training, without what trainers put around it.

    Raises:
        AgentError: its weights are not here in one piece.
    """
    model = trainer.accelerator.unwrap_model(trainer.model)
    if hasattr(model, "get_base_model"):  # peft's: the adapter stays in the layers
        model = model.get_base_model()
    if not isinstance(model, PreTrainedModel) or any(p.numel() == 0 for p in model.parameters()):
        raise AgentError(
            f"the trainer's model is a {type(model).__name__} that rollouts cannot read: expected "
            "a model of transformers, with or without an adapter of peft's, whose weights are not "
            "divided among processes"
        )
    return model
