"""TRL's trainers in our environments: prompts, rewards, rollouts, and folders that both open."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gymnasium
import numpy as np
import one_skill  # noqa: F401  registers OneSkill-v0
import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

import textenvs
from agents import PPO, BCConfig, BehaviourCloning, PPOConfig
from agents.errors import AgentError, ContractError
from agents.trl import TRLTask
from textenvs.tasks import Episode

pytest.importorskip("trl", reason='needs it: pip install "textenvs[trl]"')

import trl_grpo
from trl import RLOOConfig, RLOOTrainer

pytestmark = pytest.mark.filterwarnings("ignore")  # of the library, about itself
SMALL = {"size": 40}


def some_lm(task: TRLTask) -> LlamaForCausalLM:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=task.contract.vocab_size,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=task.contract.max_tokens,
    )
    return LlamaForCausalLM(config).train()


def some_trainer(lm: Any, temperature: float = 1.0) -> Any:
    return SimpleNamespace(
        model=lm,
        accelerator=SimpleNamespace(unwrap_model=lambda model: model, process_index=0),
        temperature=temperature,
        args=SimpleNamespace(mask_truncated_completions=False),
    )


@pytest.mark.parametrize("env_id", sorted(textenvs.IDS))
def test_prompts_are_the_environments(env_id: str) -> None:
    task = TRLTask(env_id, **SMALL)
    rows = task.dataset(5)
    env = gymnasium.make(env_id, **SMALL)
    for row in rows:
        observation, _ = env.reset(options={"index": row["example"]})
        ids = task.tokenizer(row["prompt"])["input_ids"]
        assert observation[: len(ids)].tolist() == ids
        assert not observation[len(ids) :].any() or env.unwrapped.pad_token_id


def test_a_reward_is_what_playing_the_tokens_gives() -> None:
    task = TRLTask("TextQA-v0", **SMALL)
    env = gymnasium.make("TextQA-v0", **SMALL)
    tokens, expert = env.unwrapped.action_tokens, []
    for example in range(3):
        env.reset(options={"index": example})
        said, ended = [], False
        while not ended:
            action = env.unwrapped.expert_action()
            said.append(int(tokens[action]))
            *_, ended, _, _ = env.step(action)
        expert.append(said)
    rewards = task.reward(
        [expert[0], expert[1][:-1], expert[1], [10_000], []], example=[0, 1, 2, 0, 0]
    )
    assert rewards[:2] == [1.0, 1.0]  # an end is said for an answer without one
    assert rewards[2] < 1.0
    assert rewards[3:] == [0.0, 0.0]
    assert task.reward([[1]], example=[0], episode_return=[0.7]) == [0.7]
    with pytest.raises(AgentError, match=r"no 'example': train on TRLTask\.dataset"):
        task.reward([[1]], other=[0])


def test_an_environment_without_a_tokenizer_is_refused() -> None:
    with pytest.raises(ContractError, match="OneSkill-v0 has no tokenizer"):
        TRLTask("OneSkill-v0")


def test_a_task_that_speaks_itself_needs_a_rollout() -> None:
    task = TRLTask("TextNER-v0", **SMALL)
    with pytest.raises(AgentError, match=r"rollout_func=TRLTask\.rollout"):
        task.reward([[task.contract.action_tokens[0]] * 3], example=[0])


@pytest.mark.parametrize("env_id", sorted(textenvs.IDS))
def test_rollouts_are_episodes_of_the_trainers_model(env_id: str) -> None:
    task = TRLTask(env_id, **SMALL)
    prompts = [row["prompt"] for row in task.dataset(3) for _ in range(2)]
    lm = some_lm(task)
    found = task.rollout(prompts, some_trainer(lm, temperature=0.7))
    assert lm.training
    actions = torch.tensor(task.contract.action_tokens)
    for row, prompt in enumerate(prompts):
        ids, completion = found["prompt_ids"][row], found["completion_ids"][row]
        assert ids == task.tokenizer(prompt)["input_ids"]
        places = np.flatnonzero(found["env_mask"][row])
        assert np.isin(np.array(completion)[places], actions).all()
        assert len(found["logprobs"][row]) == len(completion) == len(found["env_mask"][row])
        with torch.no_grad():
            logits = lm(torch.tensor([ids + completion])).logits[0, len(ids) - 1 : -1]
        scores = torch.log_softmax(logits[:, actions] / 0.7, dim=-1)
        said = [task.contract.action_tokens.index(completion[place]) for place in places]
        unmasked = scores[places, said].numpy()
        # Over the legal actions alone, an action is at least as likely.
        assert (np.array(found["logprobs"][row])[places] >= unmasked - 1e-4).all()
        assert not np.delete(found["logprobs"][row], places).any()
    with pytest.raises(AgentError, match="the prompt 'What' is none of this environment's"):
        task.rollout(["What"], some_trainer(lm))


def test_rollouts_follow_the_weights() -> None:
    """With all actions legal, log-probabilities are the model's own, also after it has changed."""
    task = TRLTask("TextSummarization-v0", **SMALL)
    prompts = task.dataset(2)["prompt"]
    lm = some_lm(task)
    actions = torch.tensor(task.contract.action_tokens)
    for _ in range(2):
        found = task.rollout(list(prompts), some_trainer(lm))
        ids, completion = found["prompt_ids"][0], found["completion_ids"][0]
        with torch.no_grad():
            logits = lm(torch.tensor([ids + completion])).logits[0, len(ids) - 1 : -1]
            scores = torch.log_softmax(logits[:, actions], dim=-1)
            for parameter in lm.parameters():
                parameter.data.mul_(1.1)  # leaves no trace
        said = [task.contract.action_tokens.index(token) for token in completion]
        expected = scores[torch.arange(len(said)), said]
        torch.testing.assert_close(
            torch.tensor(found["logprobs"][0]).float(), expected, atol=1e-4, rtol=1e-4
        )


def test_rollouts_go_through_an_adapter_and_leave_it_there() -> None:
    from peft import LoraConfig, get_peft_model

    task = TRLTask("TextSummarization-v0", **SMALL)
    lm = get_peft_model(some_lm(task), LoraConfig(r=2, target_modules=["q_proj"]))
    with torch.no_grad():
        for name, weight in lm.named_parameters():
            if "lora_" in name:
                weight.normal_()
    prompt = task.dataset(1)["prompt"][0]
    found = task.rollout([prompt], some_trainer(lm))
    ids, completion = found["prompt_ids"][0], found["completion_ids"][0]
    actions = torch.tensor(task.contract.action_tokens)
    with torch.no_grad():
        logits = lm(torch.tensor([ids + completion])).logits[0, len(ids) - 1 : -1]
    scores = torch.log_softmax(logits[:, actions], dim=-1)
    said = [task.contract.action_tokens.index(token) for token in completion]
    expected = scores[torch.arange(len(said)), said]
    told = torch.tensor(found["logprobs"][0]).float()
    torch.testing.assert_close(told, expected, atol=1e-4, rtol=1e-4)
    assert any("lora_" in name for name, _ in lm.named_parameters())


def test_a_task_plays_several_splits() -> None:
    task = TRLTask("TextQA-v0", size=30)
    rows = [*task.dataset(2), *task.dataset(2, split="test")]
    assert [row["split"] for row in rows] == ["", "", "test", "test"]
    found = task.rollout([row["prompt"] for row in rows], some_trainer(some_lm(task)))
    assert [task.tokenizer.decode(ids) for ids in found["prompt_ids"]] == [
        row["prompt"] for row in rows
    ]
    env = gymnasium.make("TextQA-v0", size=30, split="test")
    answers = []
    for example in range(2):
        env.reset(options={"index": example})
        ended = False
        said: list[int] = []
        while not ended:
            action = env.unwrapped.expert_action()
            said.append(int(env.unwrapped.action_tokens[action]))
            *_, ended, _, _ = env.step(action)
        answers.append(said)
    given = [[1], *answers, [1]]
    rewards = task.reward(given, example=[0, 0, 1, 1], split=["", "test", "test", ""])
    assert rewards[1:3] == [1.0, 1.0]


def test_examples_with_equal_prompts_take_turns(tmp_path: Path) -> None:
    path = tmp_path / "twice.jsonl"
    row = {"passage": "Ann sings. Bob reads.", "question": "Who?"}
    lines = [row | {"answers": [answer]} for answer in ("Ann", "Bob")]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    task = TRLTask("TextQA-v0", dataset=str(path), split="all", tokenizer="builtin")
    prompts = task.dataset()["prompt"]
    assert prompts[0] == prompts[1]
    trainer = some_trainer(some_lm(task))
    played: list[Any] = []
    task._play = lambda env, examples, lm, trainer: (  # type: ignore[method-assign]
        played.append(examples.tolist()) or [{"completion_ids": [0]} for _ in examples]
    )
    for _ in range(3):
        task.rollout(list(prompts), trainer)
    assert played == [[0, 0], [1, 1], [0, 0]]


def test_processes_draw_other_numbers() -> None:
    drawn = []
    for process in (0, 1, 0):
        task = TRLTask("TextSummarization-v0", **SMALL)
        trainer = some_trainer(some_lm(task))
        trainer.accelerator.process_index = process
        drawn.append(task.rollout(task.dataset(1)["prompt"], trainer)["completion_ids"])
    assert drawn[0] == drawn[2] != drawn[1]


def test_what_trl_would_leave_out_or_cannot_be_read_is_refused() -> None:
    task = TRLTask("TextNER-v0", **SMALL)
    prompts = list(task.dataset(1)["prompt"])
    trainer = some_trainer(some_lm(task))
    trainer.args.mask_truncated_completions = True
    with pytest.raises(AgentError, match="mask_truncated_completions leaves all of them out"):
        task.rollout(prompts, trainer)
    with pytest.raises(AgentError, match="the trainer's model is a Linear that rollouts cannot"):
        task.rollout(prompts, some_trainer(torch.nn.Linear(2, 2)))


def test_grpo_goes_on_with_a_clone_and_learns(tmp_path: Path) -> None:
    args = trl_grpo.Args(
        env_id="TextNER-v0",
        out=tmp_path,
        clone_episodes=60,
        steps=30,
        batch_size=64,
        num_generations=4,
        learning_rate=2e-3,
    )
    rewards = trl_grpo.train(args)
    assert np.mean(rewards[-5:]) > np.mean(rewards[:5]) + 0.07
    agent = PPO("TextNER-v0", PPOConfig(num_envs=4), model=str(tmp_path))
    agent.learn(64, progress_bar=False)


def even_share(episode: Episode) -> float:
    """A reward that words drawn at random have half of."""
    return float(np.mean(episode.actions % 2 == 0))


def test_rloo_learns_from_the_rewards(tmp_path: Path) -> None:
    options = {**SMALL, "constrain": False, "max_new_tokens": 6, "reward": even_share}
    clone = BehaviourCloning("TextQA-v0", BCConfig(episodes=20), env_kwargs=options)
    clone.export(tmp_path)
    task = TRLTask("TextQA-v0", **options)
    trainer = RLOOTrainer(
        model=str(tmp_path),
        processing_class=task.tokenizer,
        train_dataset=task.dataset(8),
        reward_funcs=task.reward,
        args=RLOOConfig(
            output_dir=str(tmp_path / "rloo"),
            max_steps=16,
            per_device_train_batch_size=64,
            num_generations=16,
            max_completion_length=6,
            learning_rate=1e-2,
            lr_scheduler_type="constant",
            max_grad_norm=100,
            normalize_advantages=True,
            beta=0.0,
            logging_steps=1,
            save_strategy="no",
            report_to="none",
            use_cpu=True,
            bf16=False,
        ),
    )
    trainer.train()
    rewards = [entry["reward"] for entry in trainer.state.log_history if "reward" in entry]
    assert np.mean(rewards[:3]) < 0.7
    assert np.mean(rewards[-3:]) > 0.9
