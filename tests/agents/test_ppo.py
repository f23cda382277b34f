"""PPO's update: its parts, its KL penalty, and that memory-saving changes nothing."""

from __future__ import annotations

import dataclasses
import itertools
import math
from pathlib import Path

import numpy as np
import one_skill  # noqa: F401  registers its id
import pytest
import torch

from agents import PPO, AgentError, CheckpointError, PPOConfig
from agents.batching import Evaluation, evaluate, evaluate_with_policy, make_batch, minibatches
from agents.checkpoint import load_checkpoint, save_checkpoint
from agents.episodes import Episode
from agents.models.model_config import ModelConfig, Precision
from agents.ppo import Targets, advantages_and_returns, make_targets, ppo_loss
from agents.reference import adapted_coefficient, kl_divergence
from agents.state import weights

OPTIONS = {"answers": 2, "words": 5, "masked": True}
QUICK = PPOConfig(steps=48, num_envs=4, minibatch_tokens=200, checkpoint_every=2)


def make_agent(model: ModelConfig | None = None, seed: int = 0, **changes: object) -> PPO:
    config = dataclasses.replace(QUICK, **changes)
    return PPO("OneSkill-v0", config, model or ModelConfig(), seed, env_kwargs=OPTIONS)


def collect(agent: PPO, steps: int = 40) -> list[Episode]:
    collector = agent.new_collector()
    collector.restart(0)
    return collector.collect(steps, torch.Generator().manual_seed(0))


def same_weights(one: PPO, other: PPO) -> bool:
    theirs = weights(other.model)
    return all(torch.equal(tensor, theirs[name]) for name, tensor in weights(one.model).items())


def learn(agent: PPO, steps: int = 200) -> list[dict[str, float]]:
    """Train, and keep what each update measured."""
    logged: list[dict[str, float]] = []
    update = agent.update

    def kept(*args: object) -> dict[str, float]:
        logged.append(update(*args))  # type: ignore[arg-type]
        return logged[-1]

    agent.update = kept  # type: ignore[method-assign]
    agent.learn(steps, progress_bar=False)
    return logged


@pytest.mark.parametrize("kl_penalty", ["reward", "loss"])
def test_a_penalty_of_weight_0_is_plain_ppo_bit_by_bit(kl_penalty: str) -> None:
    plain, weightless = make_agent(), make_agent(kl_penalty=kl_penalty, kl_coefficient=0.0)
    learn(plain)
    logged = learn(weightless)
    assert same_weights(plain, weightless)
    assert logged[0]["kl/coefficient"] == 0.0
    assert abs(logged[-1]["kl/reference"]) > 1e-3


@pytest.mark.parametrize("kl_penalty", ["reward", "loss"])
def test_a_heavy_penalty_keeps_the_policy_at_the_reference(kl_penalty: str) -> None:
    distances = {}
    for beta in (0.0, 100.0):
        agent = make_agent(
            kl_penalty=kl_penalty, kl_coefficient=beta, learning_rate=2e-3, epochs=3, target_kl=None
        )
        agent.learn(250, progress_bar=False)
        batch = make_batch(collect(agent, 200), agent.contract.n_actions, agent.device)
        assert agent._reference is not None
        with torch.no_grad():
            _, log_probs_NA = evaluate_with_policy(agent.model, batch)
        reference_NA = agent._reference.log_probs(batch)
        distances[beta] = float(kl_divergence(log_probs_NA, reference_NA).mean())
    assert distances[100.0] < 0.3 * distances[0.0]


def test_the_penalty_is_in_the_rewards_learnt_from_and_not_in_those_reported() -> None:
    agent = make_agent(kl_penalty="reward", kl_coefficient=0.5)
    learn(agent, 40)
    assert agent._reference is not None
    episodes = collect(agent)
    distance, penalised = agent._penalised(episodes, agent.config)
    assert abs(distance) > 1e-3
    references = agent._reference.of_actions(episodes, agent.contract.n_actions, 200)
    for episode, other, own_T in zip(episodes, penalised, references, strict=True):
        expected_T = episode.rewards_T - 0.5 * (episode.log_probs_T - own_T)
        np.testing.assert_allclose(other.rewards_T, expected_T)
        assert episode.episode_return == episode.metrics["share"]


@pytest.mark.parametrize("kl_penalty", ["reward", "loss"])
def test_the_weight_follows_its_target(kl_penalty: str) -> None:
    agent = make_agent(
        kl_penalty=kl_penalty, kl_coefficient=0.2, kl_target=0.5, kl_horizon=500, checkpoint_every=1
    )
    logged = learn(agent)
    assert logged[0]["kl/coefficient"] == 0.2
    assert agent._kl_coefficient is not None
    assert agent._kl_coefficient < 0.2
    for numbers, following in itertools.pairwise(logged):
        steps = {
            actions: adapted_coefficient(
                numbers["kl/coefficient"], numbers["kl/reference"], 0.5, actions, 500
            )
            for actions in range(48, 60)
        }
        assert following["kl/coefficient"] in steps.values()


class Interrupted(Exception):
    pass


@pytest.mark.parametrize(
    ("kl_penalty", "model"),
    [
        ("reward", ModelConfig()),
        ("loss", ModelConfig(adapter="lora")),
        ("loss", ModelConfig(adapter="prefix")),
    ],
)
def test_a_resumed_run_has_the_reference_and_the_weight_of_the_uninterrupted_one(
    kl_penalty: str, model: ModelConfig, tmp_path: Path
) -> None:
    changes = {"kl_penalty": kl_penalty, "kl_target": 0.01, "kl_horizon": 200}
    whole = make_agent(model, 1, **changes)
    learn(whole, 200)

    def interrupt(agent: PPO) -> None:
        if agent.iteration == 3:
            raise Interrupted

    part = make_agent(model, 1, **changes)
    with pytest.raises(Interrupted):
        part.learn(200, progress_bar=False, callback=interrupt, run_dir=tmp_path)
    resumed = PPO.load(tmp_path / "checkpoint")
    assert resumed.iteration == 2
    resumed.learn(progress_bar=False)
    assert resumed.num_timesteps == whole.num_timesteps
    assert resumed._kl_coefficient == whole._kl_coefficient
    assert same_weights(resumed, whole)


def test_a_reference_that_fits_another_model_is_refused(tmp_path: Path) -> None:
    agent = make_agent(kl_penalty="reward")
    agent.learn(48, progress_bar=False)
    agent.save(tmp_path)
    facts, parts = load_checkpoint(tmp_path)
    facts = {name: facts[name] for name in facts if name not in ("format", "generation", "files")}
    strange = {**parts, "progress": {"backbone.stranger": torch.zeros(1)}}
    save_checkpoint(tmp_path, facts, strange)
    with pytest.raises(CheckpointError, match="no fitting training state"):
        PPO.load(tmp_path)


@pytest.mark.parametrize(("precision", "slack"), [("float32", 2e-5), ("bfloat16", 0.05)])
def test_the_first_ratio_is_one(precision: Precision, slack: float) -> None:
    agent = make_agent(ModelConfig(precision=precision))
    episodes = collect(agent, 200)
    batch = make_batch(episodes, agent.contract.n_actions, agent.device)
    advantages, returns = advantages_and_returns(episodes, agent.config)
    targets = make_targets(episodes, advantages, returns, agent.device)
    with torch.no_grad():
        new = evaluate(agent.model, batch)
    ratios_N = (new.log_probs - targets.old_log_probs).exp()
    assert (ratios_N - 1).abs().max() < slack
    _, numbers = ppo_loss(new, targets, agent.config)
    assert numbers["policy/kl"] < slack**2
    assert numbers["policy/clip_fraction"] == 0.0


def test_weights_stay_in_float32_where_passes_are_in_bfloat16() -> None:
    agent = make_agent(ModelConfig(precision="bfloat16"))
    plain = make_agent()
    (logged,), (exact,) = learn(agent, 40), learn(plain, 40)
    assert all(weight.dtype is torch.float32 for weight in weights(agent.model).values())
    assert logged["policy/loss"] == pytest.approx(exact["policy/loss"], abs=0.02)
    assert not same_weights(agent, plain)


@pytest.mark.parametrize("kl_penalty", ["none", "loss"])
def test_microbatches_add_up_to_the_minibatch(kl_penalty: str) -> None:
    gradients = []
    for microbatch_tokens in (None, 30):
        agent = make_agent(microbatch_tokens=microbatch_tokens, kl_penalty=kl_penalty)
        agent._begin_leg(1000)
        episodes = collect(agent, 100)
        passes = 0

        def count(*_: object) -> None:
            nonlocal passes
            passes += 1

        agent.model.backbone.get_submodule("lm.model.embed_tokens").register_forward_hook(count)
        found: list[list[torch.Tensor]] = []

        def keep(*_: object, agent: PPO = agent, found: list[list[torch.Tensor]] = found) -> float:
            found.append([weight.grad.clone() for weight in agent.model.parameters()])  # type: ignore[union-attr]
            return 0.0

        agent.descent.step = keep  # type: ignore[method-assign]
        agent.update(episodes, np.random.default_rng(0))
        groups = list(minibatches(episodes, 200, np.random.default_rng(0)))
        assert len(found) == 2 * len(groups)
        assert (passes > len(found) * (1 + (kl_penalty == "loss"))) == bool(microbatch_tokens)
        gradients.append(found)
    for whole, summed in zip(*gradients, strict=True):
        for one, other in zip(whole, summed, strict=True):
            torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-4)


def test_schedules_lower_clip_and_entropy() -> None:
    agent = make_agent(clip_schedule="linear", entropy_schedule="cosine")
    agent._begin_leg(100)
    agent.num_timesteps = 50
    now = agent._current_config()
    assert now.clip == pytest.approx(0.1)
    assert now.entropy_coefficient == pytest.approx(0.005)
    assert now.kl_coefficient == agent.config.kl_coefficient


def test_values_are_clipped_around_those_at_acting() -> None:
    agent = make_agent()
    episodes = collect(agent)
    batch = make_batch(episodes, agent.contract.n_actions, agent.device)
    advantages, returns = advantages_and_returns(episodes, agent.config)
    targets = make_targets(episodes, advantages, returns, agent.device)
    with torch.no_grad():
        new = evaluate(agent.model, batch)
    far = new._replace(values=targets.old_values + 1.0)
    clipped = dataclasses.replace(agent.config, value_clip=0.2)
    errors_N = (far.values - targets.returns).square()
    limited_N = (targets.old_values + 0.2 - targets.returns).square()
    expected = 0.5 * torch.maximum(errors_N, limited_N).mean()
    assert ppo_loss(far, targets, clipped)[1]["value/loss"] == pytest.approx(float(expected))


def test_the_loss_is_that_of_a_slow_loop() -> None:
    """Ratios within the clip and beyond it on both sides, advantages of both signs."""
    ratios = [0.5, 0.5, 0.9, 0.9, 1.1, 1.1, 1.6, 1.6]
    advantages = [1.0, -2.0] * 4
    old_log_probs, returns = [-0.1 * n for n in range(8)], [0.2 * n for n in range(8)]
    entropies = [0.3 + 0.1 * n for n in range(8)]
    config = PPOConfig(clip=0.2, value_coefficient=0.7, entropy_coefficient=0.05)
    old, ratio = torch.tensor(old_log_probs), torch.tensor(ratios)
    new = Evaluation(old + ratio.log(), torch.tensor(entropies), torch.zeros(8))
    targets = Targets(old, torch.zeros(8), torch.tensor(advantages), torch.tensor(returns))
    total = 0.0
    for r, a, value, h in zip(ratios, advantages, returns, entropies, strict=True):
        gain = min(r * a, min(max(r, 0.8), 1.2) * a)
        total += -gain + 0.7 * 0.5 * value**2 - 0.05 * h
    loss, numbers = ppo_loss(new, targets, config)
    assert float(loss) == pytest.approx(total / 8, abs=1e-6)
    assert numbers["policy/clip_fraction"] == 0.5
    kl = sum(r - 1 - math.log(r) for r in ratios) / 8
    assert numbers["policy/kl"] == pytest.approx(kl, abs=1e-6)


def test_an_update_that_went_too_far_ends() -> None:
    agent = make_agent(target_kl=1e-5, epochs=10, learning_rate=1e-2)
    logged = learn(agent, 40)
    assert logged[0]["policy/epochs"] < 10


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kl_coefficient": -0.1}, "kl_coefficient is -0.1"),
        ({"kl_target": 0.0}, "kl_target is 0.0"),
        ({"kl_target": 0.1, "kl_coefficient": 0.0}, "begin above 0"),
        ({"kl_horizon": 0}, "kl_horizon is 0"),
        ({"value_clip": -1.0}, "value_clip is -1.0"),
    ],
)
def test_impossible_settings_are_refused(options: dict[str, float], message: str) -> None:
    with pytest.raises(AgentError, match=message):
        PPOConfig(**options)  # type: ignore[arg-type]
