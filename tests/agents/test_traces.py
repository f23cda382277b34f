"""What a trace tells of each token is what the agent thought when it acted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gymnasium
import numpy as np
import one_skill
import pytest
import torch
from gymnasium.vector import AutoresetMode

from agents import PPO, AgentError, BCConfig, BehaviourCloning, PPOConfig, evaluate
from agents.action_values import ActionValueAgent
from agents.agent import LanguageAgent
from agents.dqn import DQN, DQNConfig
from agents.environment import make_env, read_contract
from agents.traces import Names, Step, Trace, thoughts, trace, trace_in

DENSE = {"reward": "dense", "size": 40}
SKILL = {"answers": 3, "fewest": 1, "masked": True, "examples": 12}


@pytest.fixture(scope="module")
def tagger() -> PPO:
    return PPO("TextNER-v0", PPOConfig(num_envs=4), env_kwargs=DENSE)


@pytest.fixture(scope="module")
def valuer() -> DQN:
    return DQN("TextNER-v0", DQNConfig(num_envs=4), env_kwargs=DENSE)


def traced(agent: LanguageAgent, episodes: int = 8, **options: Any) -> list[Trace]:
    assert agent.env_id is not None
    return trace(agent, agent.env_id, episodes=episodes, **{**agent.env_kwargs, **options})


def every_step(traces: Sequence[Trace]) -> list[Step]:
    return [step for each in traces for step in each.steps]


# Against what acting gave -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("env_id", "options"),
    [("TextNER-v0", DENSE), ("TextQASpan-v0", {"size": 30}), ("OneSkill-v0", SKILL)],
)
def test_probabilities_and_values_are_those_of_acting(env_id: str, options: Any) -> None:
    """Of drawn actions: their log-probabilities were recorded when each was taken."""
    agent = PPO(env_id, PPOConfig(num_envs=4, temperature=0.7), env_kwargs=options)
    collector = agent.new_collector()
    collector.restart(seed=5)
    episodes = collector.collect(60, torch.Generator().manual_seed(1))
    found = thoughts(agent, episodes, Names(agent.env, agent.contract), alternatives=3)
    for episode, steps in zip(episodes, found, strict=True):
        assert [step.probability for step in steps] == pytest.approx(
            np.exp(episode.log_probs_T).tolist(), rel=1e-4
        )
        assert [step.value for step in steps] == pytest.approx(
            episode.values_T.tolist(), rel=1e-4, abs=1e-5
        )
        assert [step.reward for step in steps] == episode.rewards_T.tolist()


def test_the_traced_episodes_are_those_of_evaluate(tagger: PPO) -> None:
    traces = traced(tagger)
    result = evaluate(tagger, "TextNER-v0", episodes=8, **DENSE)
    assert [each.index for each in traces] == result.examples.tolist()
    assert [each.text for each in traces] == result.texts
    assert [each.score for each in traces] == pytest.approx(result.returns)
    for place, each in enumerate(traces):
        assert each.metrics["f1"] == result.metrics["f1"][place]
        assert not any("/" in name for name in each.metrics)
        assert each.text.split() == [step.token for step in each.steps]


def test_the_best_action_comes_first_and_is_the_one_taken(tagger: PPO) -> None:
    for step in every_step(traced(tagger)):
        assert step.alternatives[0] == (step.token, pytest.approx(step.probability))


def test_entropy_is_that_of_the_legal_actions(tagger: PPO) -> None:
    for step in every_step(traced(tagger, alternatives=9)):
        policy = np.array([probability for _, probability in step.alternatives])
        assert policy.sum() == pytest.approx(1, abs=1e-5)
        assert step.entropy == pytest.approx(-(policy * np.log(policy)).sum(), abs=1e-4)


def test_sampled_actions_are_not_always_the_best(tagger: PPO) -> None:
    steps = every_step(traced(tagger, deterministic=False, alternatives=9))
    assert any(step.token != step.alternatives[0][0] for step in steps)
    for step in steps:
        assert dict(step.alternatives)[step.token] == pytest.approx(step.probability)


# The numbers among themselves -------------------------------------------------------------------


@pytest.mark.parametrize("who", ["tagger", "valuer"])
def test_an_advantage_is_the_return_to_come_less_the_value(
    who: str, request: pytest.FixtureRequest
) -> None:
    traces = traced(request.getfixturevalue(who), deterministic=False)
    for each in traces:
        rewards = [step.reward for step in each.steps]
        assert sum(rewards) == pytest.approx(each.score)
        assert each.score == pytest.approx(each.metrics["f1"])
        for place, step in enumerate(each.steps):
            to_come = sum(rewards[place:])
            assert step.advantage == pytest.approx(to_come - step.value, abs=1e-6)
    assert len({step.reward for step in every_step(traces)}) > 2  # dense ones


@pytest.mark.parametrize("who", ["tagger", "valuer"])
def test_alternatives_are_sorted_legal_and_counted(
    who: str, request: pytest.FixtureRequest
) -> None:
    agent = request.getfixturevalue(who)
    env = gymnasium.make("TextNER-v0", split="test", **DENSE).unwrapped
    forbidden = 0
    for each in traced(agent, deterministic=False, alternatives=9):
        env.reset(options={"index": each.index})
        for step in each.steps:
            legal = {env.task.labels[a] for a in np.flatnonzero(env.action_masks())}
            scores = [score for _, score in step.alternatives]
            assert scores == sorted(scores, reverse=True)
            assert {token for token, _ in step.alternatives} == legal
            assert step.legal == len(legal)
            forbidden += 9 - step.legal
            _, reward, *_ = env.step(env.task.labels.index(step.token))
            assert step.reward == pytest.approx(reward)
    assert forbidden > 0


@pytest.mark.parametrize("alternatives", [0, 2])
def test_so_many_alternatives_are_told(tagger: PPO, alternatives: int) -> None:
    for step in every_step(traced(tagger, alternatives=alternatives)):
        assert len(step.alternatives) == alternatives
    with pytest.raises(AgentError, match="alternatives is -1; expected at least 0"):
        traced(tagger, alternatives=-1)


def test_action_values_are_no_probabilities(valuer: DQN) -> None:
    assert isinstance(valuer, ActionValueAgent)
    traces = traced(valuer)
    for step in every_step(traces):
        assert (step.probability, step.entropy) == (None, None)
        assert step.value == step.alternatives[0][1]
        assert step.token == step.alternatives[0][0]


def test_all_actions_are_legal_where_nothing_is_masked() -> None:
    agent = PPO("OneSkill-v0", PPOConfig(num_envs=4), env_kwargs=SKILL | {"masked": False})
    steps = every_step(traced(agent, alternatives=50))
    assert {step.legal for step in steps} == {agent.contract.n_actions}
    assert {len(step.alternatives) for step in steps} == {agent.contract.n_actions}


# Names ------------------------------------------------------------------------------------------


def test_a_tag_is_followed_by_the_next_word(tagger: PPO) -> None:
    env = gymnasium.make("TextNER-v0", split="test", **DENSE).unwrapped
    for each in traced(tagger):
        words = env.task.examples[each.index].words
        appended = [step.appended.strip() for step in each.steps]
        assert appended == [*words[1:], ""]
        assert " ".join(words) in each.prompt


def test_a_pointer_is_named_with_what_it_points_at() -> None:
    agent = PPO("TextQASpan-v0", PPOConfig(num_envs=4), env_kwargs={"size": 30})
    env = gymnasium.make("TextQASpan-v0", split="test", size=30).unwrapped
    for each in traced(agent, episodes=5):
        observation, _ = env.reset(options={"index": each.index})
        for step in each.steps:
            pointed, _, pointer = step.token.partition(" ")
            position = int(pointer.strip("<>"))
            assert pointed == env.task.token_name(int(observation[position]))
            for token, _ in step.alternatives:
                name, _, place = token.partition(" ")
                assert name == env.task.token_name(int(observation[int(place.strip("<>"))]))
        assert len(each.steps) == 2


def test_what_the_user_answers_is_appended() -> None:
    options = {"size": 30}
    agent = PPO("TextDialogue-v0", PPOConfig(num_envs=4), env_kwargs=options)
    (each,) = traced(agent, episodes=1)
    env = gymnasium.make("TextDialogue-v0", split="test", **options).unwrapped
    observation, _ = env.reset(options={"index": each.index})
    actions = {env.task.token_name(int(t)): a for a, t in enumerate(env.action_tokens)}
    answered = 0
    for step in each.steps[:-1]:
        length = np.count_nonzero(observation != env.pad_token_id)
        observation, *_ = env.step(actions[step.token])
        after = observation[length + 1 :]
        assert step.appended == env.task.tokenizer.decode(after[after != env.pad_token_id])
        answered += "User:" in step.appended
    assert answered > 0


def test_tokens_of_an_environment_that_names_none_are_numbers() -> None:
    agent = PPO("OneSkill-v0", PPOConfig(num_envs=4), env_kwargs=SKILL | {"appends": 2})
    for each in traced(agent, appends=2):
        assert each.prompt == ""
        assert [step.token for step in each.steps] == each.text.split()
        comma = str(one_skill.COMMA)
        appended = [step.appended for step in each.steps]
        assert appended == [f"{comma} {comma}"] * (len(appended) - 1) + [""]


# Where it plays ---------------------------------------------------------------------------------


def test_an_agent_for_other_actions_is_refused(tagger: PPO) -> None:
    with pytest.raises(AgentError, match="the agent was made for"):
        trace(tagger, "TextQA-v0", size=40)
    with pytest.raises(AgentError, match="episodes is 0"):
        trace(tagger, "TextNER-v0", episodes=0, **DENSE)


def test_a_trace_is_the_same_however_many_are_read_together(tagger: PPO) -> None:
    few = traced(tagger, episodes=3)
    env = make_env("TextNER-v0", 1, AutoresetMode.DISABLED, split="test", **DENSE)
    assert read_contract(env) == tagger.contract
    alone = trace_in(tagger, env, episodes=3)
    env.close()
    for one, other in zip(alone, few, strict=True):
        assert (one.index, one.text, one.prompt) == (other.index, other.text, other.prompt)
        assert [s.value for s in one.steps] == pytest.approx(
            [s.value for s in other.steps], abs=1e-5
        )


def test_rewards_count_less_the_later_they_come() -> None:
    """As the agent's own values hold it."""
    agent = PPO("OneSkill-v0", PPOConfig(num_envs=4, gamma=0.5), env_kwargs=SKILL)
    for each in traced(agent):
        rewards = [step.reward for step in each.steps]
        for place, step in enumerate(each.steps):
            to_come = sum(0.5**delay * reward for delay, reward in enumerate(rewards[place:]))
            assert step.advantage == pytest.approx(to_come - step.value, abs=1e-6)


def test_a_clone_has_learnt_no_values() -> None:
    clone = BehaviourCloning("TextNER-v0", BCConfig(episodes=4), env_kwargs=DENSE)
    for each in trace(clone, "TextNER-v0", episodes=2, **DENSE):
        assert {(step.value, step.advantage) for step in each.steps} == {(None, None)}
        assert all(step.probability is not None for step in each.steps)
