"""What the other tests try on the CPU, tried on a GPU where there is one."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import one_skill  # noqa: F401  registers OneSkill-v0
import pytest
import torch

from agents import DQN, PPO, DQNConfig, EpsilonGreedy, PPOConfig, evaluate
from agents.models.model_config import ModelConfig
from agents.network import TextNetwork
from agents.state import weights
from agents.trl import TRLTask

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
TASK = {"answers": 2, "noise": 2, "words": 5}
SMALL = PPOConfig(num_envs=4, steps=32, checkpoint_every=1)


@pytest.mark.parametrize(
    "model",
    [
        ModelConfig(),
        ModelConfig(precision="bfloat16"),
        ModelConfig(name="gru"),
        ModelConfig(name="encoder"),
        ModelConfig(name="reader", head="copy"),
        ModelConfig(adapter="lora"),
        ModelConfig(adapter="prefix", prefix_tokens=3),
    ],
    ids=lambda model: f"{model.name}-{model.head}-{model.adapter}-{model.precision}",
)
def test_acting_and_learning_agree_there_as_well(model: ModelConfig, tmp_path: Path) -> None:
    agent = PPO("OneSkill-v0", SMALL, model, env_kwargs=TASK, device="cuda")
    agent.learn(64, progress_bar=False, run_dir=tmp_path)
    resumed = PPO.load(tmp_path / "checkpoint", device="cuda")
    assert resumed.device.type == "cuda"
    on_cpu = PPO.load(tmp_path / "checkpoint", device="cpu")
    for name, weight in weights(agent.model).items():
        assert torch.equal(weight, weights(resumed.model)[name])
        assert torch.equal(weight.cpu(), weights(on_cpu.model)[name])
    resumed.learn(32, progress_bar=False)
    assert 0.0 <= evaluate(agent, "OneSkill-v0", **TASK).score.value <= 1.0


@pytest.mark.parametrize(
    ("algorithm", "config"),
    [
        (DQN, DQNConfig(num_envs=4, steps=32, learning_starts=32, priority_exponent=0.6)),
        (EpsilonGreedy, EpsilonGreedy.config_type(num_envs=4, steps=32, exploration="ucb")),
    ],
)
def test_action_values_are_learnt_there(algorithm: Any, config: Any) -> None:
    algorithm("OneSkill-v0", config, env_kwargs=TASK, device="cuda").learn(96, progress_bar=False)


def test_a_pointer_points_there() -> None:
    options = {"size": 30}
    PPO("TextQASpan-v0", SMALL, "reader", env_kwargs=options, device="cuda").learn(
        64, progress_bar=False
    )


@pytest.mark.parametrize("q", ["none", "softmax"])
def test_a_network_is_an_agent_there(q: Any) -> None:
    network = TextNetwork.of("TextNER-v0", q=q).to("cuda").eval()
    result = evaluate(network, "TextNER-v0", episodes=8, illegal_action="raise")
    assert 0.0 <= result.score.value <= 1.0


def test_rollouts_for_trl_are_played_there() -> None:
    task = TRLTask("TextQA-v0", size=20)
    lm = TextNetwork(task.contract).model.backbone.lm.to("cuda")  # type: ignore[union-attr, operator]
    accelerator = SimpleNamespace(unwrap_model=lambda model: model, process_index=0)
    args = SimpleNamespace(mask_truncated_completions=False)
    trainer = SimpleNamespace(model=lm, accelerator=accelerator, temperature=1.0, args=args)
    found = task.rollout(list(task.dataset(2)["prompt"]), trainer)
    assert len(found["completion_ids"]) == 2
