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
from typing import Any

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

EXAMPLE, SCORED = "example", "episode_return"
"""Columns: of the data set, and of what `TRLTask.rollout` has played already."""


class TRLTask:
    """Prompts, rewards and rollouts of an environment of textenvs, for TRL.

    Args:
        env_id: the environment.
        seed: of what is drawn in rollouts.
        **env_kwargs: its options, such as the `split`.

    Attributes:
        contract: the environment's constants.
        tokenizer: its tokenizer, the `processing_class` of trainers.

    Raises:
        ContractError: it is no token MDP, or has no tokenizer that transformers can take.
    """

    def __init__(self, env_id: str, seed: int = 0, **env_kwargs: Any) -> None:
        """Make the environment."""
        self.env_id = env_id
        self.env_kwargs = env_kwargs
        self._envs: dict[int, VectorEnv[Any, Any, Any]] = {}
        self._one = self._env(1)
        self.contract: Contract = read_contract(self._one)
        tokenizer = getattr(attribute(self._one, "task", None), "tokenizer", None)
        if not hasattr(tokenizer, "to_json"):
            raise ContractError(
                f"{env_id} has no tokenizer that transformers can take: TRL turns prompts into "
                "tokens by one"
            )
        self.tokenizer = as_transformers(tokenizer, self.contract.max_tokens)
        self._eos = attribute(self._one, "eos_token_id", None)
        self._action_of = {token: a for a, token in enumerate(self.contract.action_tokens)}
        self._examples: dict[str, int] = {}
        self._generator = torch.Generator().manual_seed(seed)
        self._model: AgentModel | None = None

    def dataset(self, examples: int | None = None) -> Any:
        """Prompts as text and the numbers of their examples, a `datasets.Dataset`.

        Args:
            examples: the first so many; None for all.

        Raises:
            AgentError: a prompt's text has other tokens than the environment's prompt.
        """
        from datasets import Dataset

        count = int(attribute(self._one, "num_examples"))
        count = count if examples is None else min(examples, count)
        texts = [self._prompt(example) for example in range(count)]
        self._examples |= {text: example for example, text in enumerate(texts)}
        return Dataset.from_dict({"prompt": texts, EXAMPLE: list(range(count))})

    def reward(self, completion_ids: Sequence[Sequence[int]], **columns: Any) -> list[float]:
        """The return of each answer: that of its rollout, or of playing its tokens.

        An answer without an end gets one. A token that no action appends, or an illegal action,
        has its natural consequence at best: the episode is over, with the reward that it has.

        Args:
            completion_ids: token ids of the answers.
            columns: the other columns, of which `example` or `episode_return` is needed.

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
        examples = np.asarray(columns[EXAMPLE])
        return self._returns(examples, [list(map(int, ids)) for ids in completion_ids])

    def rollout(self, prompts: Sequence[str], trainer: Any) -> dict[str, Any]:
        """Play the prompts' examples with the model that the trainer trains: a `rollout_func`.

        Args:
            prompts: of the data set.
            trainer: a `GRPOTrainer`; its `temperature` is used.

        Returns:
            `prompt_ids`, `completion_ids`, `logprobs`; `env_mask`, 0 for tokens that the
            environment said; `episode_return`.

        Raises:
            AgentError: a prompt is not the data set's.
        """
        unknown = [prompt for prompt in prompts if prompt not in self._examples]
        if unknown:
            raise AgentError(
                f"the prompt {unknown[0]!r} is none of this environment's: train on "
                "TRLTask.dataset(), and give GRPOTrainer the same TRLTask's rollout"
            )
        lm = trainer.accelerator.unwrap_model(trainer.model)
        trains = lm.training
        try:
            found = self._play([self._examples[prompt] for prompt in prompts], lm, trainer)
        finally:
            lm.train(trains)
        return found

    def _prompt(self, example: int) -> str:
        observations_1L, _ = start_examples(self._one, np.zeros(1, np.int64), np.array([example]))
        length = prefix_lengths(observations_1L, self.contract.pad_token_id)[0]
        ids = observations_1L[0, :length].tolist()
        text: str = self.tokenizer.decode(ids)
        if self.tokenizer(text)["input_ids"] != ids:
            raise AgentError(
                f"the prompt of example {example} of {self.env_id} has the tokens {ids}, but its "
                f"text {text!r} has {self.tokenizer(text)['input_ids']}: TRL would train on others"
            )
        return text

    def _env(self, num_envs: int) -> VectorEnv[Any, Any, Any]:
        """One with so many slots, which is kept."""
        if num_envs not in self._envs:
            self._envs[num_envs] = make_env(
                self.env_id, num_envs, AutoresetMode.DISABLED, **self.env_kwargs
            )
        return self._envs[num_envs]

    def _returns(self, examples: Ints, answers: list[list[int]]) -> list[float]:
        """The return of playing each answer."""
        env = self._env(len(answers))
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
        return returns_S.tolist()

    def _play(self, examples: list[int], lm: PreTrainedModel, trainer: Any) -> dict[str, Any]:
        if self._model is None or getattr(self._model.backbone, "lm", None) is not lm:
            self._model = build_model(lm, self.contract, seed=0, heads=Heads(policy="lm"))
        self._model.note_change()
        self._model.temperature = float(trainer.temperature)
        actor = Actor(self._model.eval(), SoftmaxPolicy(self._model), len(examples))
        log_probs_TS: list[npt.NDArray[np.float32]] = []

        def choose(now: Choose) -> Ints:
            actor.cache.end(now.started_S)
            lengths_S = prefix_lengths(now.observations_SL, self.contract.pad_token_id)
            decision = actor.act(now.observations_SL, lengths_S, now.legal_SA, self._generator)
            log_probs_TS.append(decision.log_probs.cpu().numpy())
            return decision.actions.cpu().numpy()

        env = self._env(len(examples))
        played = play_examples(env, self.contract, np.array(examples), choose)
        rows = [
            self._row(each, np.stack(log_probs_TS)[:, slot]) for slot, each in enumerate(played)
        ]
        return {key: [row[key] for row in rows] for key in rows[0]}

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
