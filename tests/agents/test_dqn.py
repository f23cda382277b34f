"""DQN: its targets against slow loops, its target network, learning, and exact resumption."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import one_skill  # noqa: F401  registers OneSkill-v0
import pytest
import torch
from test_replay import an_episode
from torch import Tensor

import agents.dqn
from agents import BCConfig, BehaviourCloning, ReferenceAgent, evaluate
from agents.batching import make_batch, read
from agents.dqn import (
    DQN,
    DQNConfig,
    best_values,
    follow,
    own_weights,
    target_network,
    td_loss,
)
from agents.episodes import Episode, pack, unpack
from agents.models.model import AgentModel
from agents.recorded import record
from agents.replay import Draw, episode_errors
from agents.state import weights

EASY = {"answers": 2, "noise": 1, "words": 4}
TASK = {"answers": 2, "noise": 3, "words": 10, "examples": 400}
QUICK = DQNConfig(
    steps=64,
    num_envs=4,
    minibatch_tokens=256,
    replay_steps=100,
    learning_starts=100,
    replay_ratio=1.5,
    priority_exponent=0.6,
    n_step=1,
    checkpoint_every=2,
)
LEARNING = DQNConfig(
    steps=64,
    learning_starts=128,
    replay_ratio=6,
    learning_rate=1e-3,
    learning_rate_schedule="constant",
    warmup=0.0,
    minibatch_tokens=192,
    epsilon_start=0.5,
    epsilon_end=0.1,
    target_rate=0.05,
)


def same_tensors(one: AgentModel, other: AgentModel) -> bool:
    theirs = weights(other)
    return all(torch.equal(tensor, theirs[name]) for name, tensor in weights(one).items())


def same_weights(one: DQN, other: DQN) -> bool:
    return same_tensors(one.model, other.model) and same_tensors(one.target, other.target)


@pytest.mark.parametrize("double", [False, True])
@pytest.mark.parametrize("n_step", [1, 2, 3, 50])
@pytest.mark.parametrize("masked", [False, True])
def test_targets_are_those_of_a_slow_loop(double: bool, n_step: int, masked: bool) -> None:
    config = dataclasses.replace(
        QUICK, double=double, n_step=n_step, gamma=0.9, twins=True, q_head="dueling"
    )
    agent = DQN("OneSkill-v0", config, env_kwargs={**TASK, "words": 11})
    rng = np.random.default_rng(0)
    episodes = [
        dataclasses.replace(e, tokens_L=e.tokens_L % 14)
        for e in (an_episode(rng, steps, masked) for steps in (1, 4, 2, 6))
    ]
    for episode in episodes if masked else []:
        legal_TA = unpack(episode.legal_TA8, 11)  # type: ignore[arg-type]
        legal_TA[np.arange(episode.steps), episode.actions_T] = True
        episode.legal_TA8[:] = pack(legal_TA)  # type: ignore[index]
    batch = make_batch(episodes, 11, agent.device)
    count = len(batch.actions_N)
    online, target = (
        torch.randn(2, count, 11, generator=torch.Generator().manual_seed(seed)) for seed in (1, 2)
    )
    agent.target.q_values = lambda states, legal_NA: target  # type: ignore[method-assign]
    targets = agent._targets(online, batch, episodes)
    assert targets.tolist() == pytest.approx(
        slow_targets(online, target, episodes, n_step, 0.9, double), abs=1e-6
    )


def slow_targets(
    online: Tensor, target: Tensor, episodes: list[Episode], n: int, gamma: float, double: bool
) -> list[float]:
    """Equation by equation, in plain Python."""
    ys, first = [], 0
    for episode in episodes:
        for t in range(episode.steps):
            y, k = 0.0, 0
            while k < n and t + k < episode.steps:
                y += gamma**k * episode.rewards_T[t + k]
                k += 1
            if t + k == episode.steps:
                y += gamma**k * episode.bootstrap
            else:
                place = first + t + k
                actions = list(range(11))
                if episode.legal_TA8 is not None:
                    bits = np.unpackbits(episode.legal_TA8[t + k])
                    actions = [a for a in actions if bits[a]]
                worth = target[:, place].amin(dim=0).tolist()
                judge = online[:, place].amin(dim=0).tolist() if double else worth
                y += gamma**k * worth[max(actions, key=judge.__getitem__)]
            ys.append(y)
        first += episode.steps
    return ys


@pytest.mark.parametrize("microbatch_tokens", [None, 30])
def test_weights_and_new_priorities_are_those_of_their_episodes(
    microbatch_tokens: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over several minibatches, in whatever order; the weights of the model stay as they are."""
    config = dataclasses.replace(
        QUICK,
        n_step=50,  # whole returns: no target network
        priority_exponent=0.6,
        learning_rate=1e-30,
        weight_decay=0.0,
        minibatch_tokens=40,
        microbatch_tokens=microbatch_tokens,
    )
    agent = DQN("OneSkill-v0", config, env_kwargs=TASK)
    agent._begin_leg(100)
    collector = agent.new_collector()
    collector.restart(0)
    episodes = collector.collect(16, torch.Generator().manual_seed(0))[:7]
    agent.replay.add(episodes)
    places_E = np.array([3, 0, 2, 6, 1, 5, 4])
    weights_E = np.linspace(0.3, 1.0, 7)
    drawn = [episodes[place] for place in places_E]

    def errors_of(episode: Episode) -> Tensor:
        batch = make_batch([episode], agent.contract.n_actions, agent.device)
        with torch.no_grad():
            values_KNA = agent.model.q_values(read(agent.model, batch), batch.legal_NA)
        returns = np.cumsum(episode.rewards_T[::-1])[::-1].copy()
        taken_KN = values_KNA[:, torch.arange(episode.steps), batch.actions_N]
        return taken_KN - torch.from_numpy(returns).float()

    seen: list[tuple[float, float]] = []
    loss_of = agents.dqn.td_loss

    def kept(errors_KN: Tensor, weights_N: Tensor, delta: float) -> Tensor:
        seen.extend(zip(errors_KN[0].tolist(), weights_N.tolist(), strict=True))
        return loss_of(errors_KN, weights_N, delta)

    monkeypatch.setattr(agents.dqn, "td_loss", kept)
    renewed: dict[int, float] = {}
    agent.replay.set_priorities = lambda places, errors: renewed.update(  # type: ignore[method-assign]
        zip(places.tolist(), errors.tolist(), strict=True)
    )
    agent._learn(drawn, Draw(places_E, weights_E), np.random.default_rng(0))
    expected = [
        (error, weight)
        for episode, weight in zip(drawn, weights_E, strict=True)
        for error in errors_of(episode)[0].tolist()
    ]
    assert np.array(sorted(seen)) == pytest.approx(np.array(sorted(expected)), abs=1e-5)
    for place, episode in zip(places_E.tolist(), drawn, strict=True):
        sizes_N = errors_of(episode).abs().mean(dim=0).double().numpy()
        (whole,) = episode_errors(sizes_N, np.array([episode.steps]))
        assert renewed[place] == pytest.approx(whole, abs=1e-5)


def test_masked_actions_are_no_best_ones() -> None:
    target = torch.tensor([[[5.0, 1.0, 2.0], [0.0, 3.0, 9.0]]])
    online = torch.tensor([[[9.0, 8.0, 0.0], [1.0, 0.0, 7.0]]])
    legal = torch.tensor([[False, True, True], [True, True, False]])
    assert best_values(target, online, legal, double=False).tolist() == [2.0, 3.0]
    assert best_values(target, online, legal, double=True).tolist() == [1.0, 0.0]
    assert best_values(target, online, None, double=True).tolist() == [5.0, 9.0]


def test_the_loss_is_hubers_with_weights() -> None:
    errors = torch.tensor([[0.5, -3.0], [0.0, 1.0]])
    weights_N = torch.tensor([1.0, 0.5])
    expected = (0.125 + 0.5 * (3.0 - 0.5) + 0.5 * 0.5) / 2
    assert float(td_loss(errors, weights_N, 1.0)) == pytest.approx(expected)


def test_no_masked_action_is_ever_chosen() -> None:
    config = dataclasses.replace(QUICK, epsilon_start=1.0)
    agent = DQN("OneSkill-v0", config, env_kwargs={**TASK, "masked": True})
    agent.learn(200, progress_bar=False)
    for episode in agent.replay.episodes:
        assert episode.legal_TA8 is not None
        legal_TA = unpack(episode.legal_TA8, 10)
        assert legal_TA[np.arange(episode.steps), episode.actions_T].all()


def test_the_target_network_follows() -> None:
    agent = DQN("OneSkill-v0", QUICK, env_kwargs=TASK)
    frozen = agent.model.backbone.lm.get_input_embeddings().weight.requires_grad_(False)
    target = target_network(agent.model)
    named = dict(target.named_parameters())
    before = {name: weight.clone() for name, weight in own_weights(target, agent.model)}
    assert any(weight is frozen for weight in named.values())
    assert all(weight is not frozen for _, weight in own_weights(target, agent.model))
    with torch.no_grad():
        for weight in agent.model.parameters():
            if weight.requires_grad:
                weight += 1.0
    follow(target, agent.model, 0.25)
    for name, weight in own_weights(target, agent.model):
        torch.testing.assert_close(weight, before[name] + 0.25)
    follow(target, agent.model, 1.0)
    ours = dict(agent.model.named_parameters())
    assert all(torch.equal(weight, ours[name]) for name, weight in named.items())


@pytest.mark.parametrize(("interval", "copies"), [(1, True), (10_000, False)])
def test_the_target_network_is_copied_every_so_many_updates(interval: int, copies: bool) -> None:
    config = dataclasses.replace(QUICK, target_interval=interval, target_rate=1.0)
    agent = DQN("OneSkill-v0", config, env_kwargs=TASK)
    start = weights(target_network(agent.model))
    agent.learn(300, progress_bar=False)
    assert agent.updates > 2
    expected = dict(weights(agent.model) if copies else start)
    if not copies:  # the only change: see the next test
        expected["q_head.offsets"] = agent.target.q_head.offsets  # type: ignore[union-attr]
    assert all(torch.equal(t, expected[name]) for name, t in weights(agent.target).items())


def test_values_begin_right_on_average_in_model_and_target() -> None:
    agent = DQN("OneSkill-v0", QUICK, env_kwargs=TASK)
    seen: list[float] = []
    learn = agent._learn

    def before(drawn: list[Episode], *rest: object) -> dict[str, float]:
        if not seen:
            assert same_tensors(agent.target, agent.model)
            episodes = agent.replay.episodes
            batch = make_batch(episodes, 10, agent.device)
            with torch.no_grad():
                values_NA = agent.model.q_values(read(agent.model, batch), None)[0]
            taken_N = values_NA[torch.arange(len(values_NA)), batch.actions_N]
            returns = np.concatenate([np.cumsum(e.rewards_T[::-1])[::-1] for e in episodes])
            seen.extend((float(taken_N.mean()), float(returns.mean())))
        return learn(drawn, *rest)  # type: ignore[arg-type]

    agent._learn = before  # type: ignore[method-assign,assignment]
    agent.learn(200, progress_bar=False)
    assert seen[0] == pytest.approx(seen[1], abs=1e-5)
    assert agent.updates > 2


@pytest.mark.parametrize(
    ("steps", "settings"),
    [
        (2600, {"double": False, "q_head": "plain", "n_step": 1, "target_rate": 0.1}),
        (1000, {"double": True, "q_head": "dueling", "n_step": 2}),
        (1000, {"priority_exponent": 0.6, "twins": True}),
    ],
    ids=["plain", "double-dueling-n-step", "prioritised-twins"],
)
def test_it_learns_from_scratch(steps: int, settings: dict[str, float]) -> None:
    agent = DQN("OneSkill-v0", dataclasses.replace(LEARNING, **settings), env_kwargs=EASY)  # type: ignore[arg-type]
    start = evaluate(agent, "OneSkill-v0", **EASY).score
    agent.learn(steps, progress_bar=False)
    assert start.high < 0.8
    assert evaluate(agent, "OneSkill-v0", **EASY).score.low > 0.95


def test_it_learns_as_often_as_the_replay_ratio_says() -> None:
    agent = DQN("OneSkill-v0", QUICK, env_kwargs=TASK)
    learnt = 0
    learn = agent._learn

    def counting(drawn: list[Episode], *rest: object) -> dict[str, float]:
        nonlocal learnt
        learnt += sum(episode.steps for episode in drawn)
        return learn(drawn, *rest)  # type: ignore[arg-type]

    agent._learn = counting  # type: ignore[method-assign,assignment]
    agent.learn(500, progress_bar=False)
    assert learnt == pytest.approx(1.5 * (agent.num_timesteps - 64), abs=8)


def test_demonstrations_stay_in_the_replay() -> None:
    config = dataclasses.replace(QUICK, imitation_weight=1.0, imitation_episodes=20)
    agent = DQN("OneSkill-v0", config, env_kwargs=TASK).learn(400, progress_bar=False)
    assert agent.replay.demonstrations == 20
    assert all(episode.episode_return == 1 for episode in agent.replay.episodes[:20])
    assert agent.replay.steps <= 100


def test_it_goes_on_from_a_clone() -> None:
    clone = BehaviourCloning("OneSkill-v0", BCConfig(epochs=4), env_kwargs=TASK)
    clone.learn(progress_bar=False)
    agent = DQN("OneSkill-v0", QUICK, model=clone.model, env_kwargs=TASK)
    assert agent.model is clone.model
    assert (
        evaluate(agent, "OneSkill-v0", **TASK).score == evaluate(clone, "OneSkill-v0", **TASK).score
    )


def test_new_heads_on_a_clone_follow_the_seed() -> None:
    one, same, other = (
        DQN(
            "OneSkill-v0",
            QUICK,
            BehaviourCloning("OneSkill-v0", env_kwargs=TASK).model,
            seed,
            env_kwargs=TASK,
        )
        for seed in (3, 3, 4)
    )
    assert same_weights(one, same)
    assert not same_weights(one, other)


def test_demonstrations_without_masks_go_beside_episodes_with_masks(tmp_path: Path) -> None:
    path = tmp_path / "expert.safetensors"
    record(ReferenceAgent(), "OneSkill-v0", path, episodes=10, **TASK)
    config = dataclasses.replace(QUICK, imitation_weight=1.0, imitation_recorded=str(path))
    agent = DQN("OneSkill-v0", config, env_kwargs={**TASK, "masked": True})
    agent.learn(200, progress_bar=False, run_dir=tmp_path)
    assert agent.updates > 2
    restored = DQN.load(tmp_path / "checkpoint").replay.episodes
    assert all(episode.legal_TA8 is not None for episode in restored)


def test_same_seed_same_bytes() -> None:
    one, same, other = (
        DQN("OneSkill-v0", QUICK, seed=seed, env_kwargs=TASK).learn(200, progress_bar=False)
        for seed in (3, 3, 4)
    )
    assert same_weights(one, same)
    assert not same_weights(one, other)


class Interrupted(Exception):
    pass


@pytest.mark.parametrize("imitation_weight", [0.0, 1.0])
def test_a_resumed_run_is_the_uninterrupted_one(imitation_weight: float, tmp_path: Path) -> None:
    config = dataclasses.replace(
        QUICK, imitation_weight=imitation_weight, imitation_episodes=10, target_interval=3
    )
    whole = DQN("OneSkill-v0", config, seed=1, env_kwargs=TASK)
    whole.learn(400, progress_bar=False)

    def interrupt(agent: DQN) -> None:
        if agent.iteration == 5:
            raise Interrupted

    part = DQN("OneSkill-v0", config, seed=1, env_kwargs=TASK)
    with pytest.raises(Interrupted):
        part.learn(400, progress_bar=False, callback=interrupt, run_dir=tmp_path)
    resumed = DQN.load(tmp_path / "checkpoint")
    assert resumed.iteration == 4
    assert resumed.updates > 2
    resumed.learn(progress_bar=False)
    assert resumed.num_timesteps == whole.num_timesteps
    assert resumed.updates == whole.updates
    assert same_weights(resumed, whole)
    for name, tensor in whole.replay.tensors().items():
        assert torch.equal(resumed.replay.tensors()[name], tensor)


def test_the_target_network_has_the_values_scale() -> None:
    """Which is set once, before the first update; also after a checkpoint was loaded."""
    clone = BehaviourCloning("OneSkill-v0", BCConfig(epochs=6), env_kwargs=TASK)
    clone.learn(progress_bar=False)
    config = DQNConfig(num_envs=8, steps=512, learning_starts=512, epsilon_start=0.5)
    agent = DQN("OneSkill-v0", config, clone.model, env_kwargs=TASK)
    assert agent.model.q_head is not None
    agent.model.q_head.scale.data.fill_(2.0)
    agent.learn(512, progress_bar=False)
    assert agent.target.q_head is not None
    assert float(agent.model.q_head.scale) < 2
    assert agent.target.q_head.scale is agent.model.q_head.scale
