"""Heads that point at the prompt."""

from __future__ import annotations

from pathlib import Path

import one_skill  # noqa: F401  registers its id
import pytest
import torch
from backbone_zoo import NAMES, VOCAB, make_backbone

from agents import DQN, PPO, DQNConfig, ModelConfig, ModelError, PPOConfig
from agents.batching import evaluate, make_batch, read
from agents.models.heads import States
from agents.models.model import AgentModel, Heads
from agents.models.pointing import CopyHead, Pointer

TASK = {"answers": 2, "noise": 3, "words": 10, "examples": 400}
ACTIONS = (4, 7, 9)


def copying(name: str = "llama") -> AgentModel:
    torch.manual_seed(0)
    return AgentModel(make_backbone(name), ACTIONS, heads=Heads(policy="copy"))


@pytest.mark.parametrize("name", NAMES)
def test_what_is_copied_adds_to_what_is_said(name: str) -> None:
    """Position by position, in float64, against the formula of the docstring."""
    model = copying(name)
    head = model.policy
    assert isinstance(head, CopyHead)
    tokens_BT = torch.tensor([[4, 7, 4, 2, 3, 9, 0], [9, 9, 5, 6, 4, 4, 4]])
    prompts_B = torch.tensor([3, 5])
    rows_N, columns_N = torch.tensor([0, 0, 0, 1]), torch.tensor([2, 3, 5, 6])
    with torch.inference_mode():
        states = model.read(tokens_BT, prompts_B, rows_N, columns_N)
        logits_NA = model.logits(states)
        said_NA = head.language_model.prepared()(states).double()
        assert states.memory_RPD is not None
        keys_RPD = head.pointer.key(states.memory_RPD).double()
        queries_ND = head.pointer.query(states.hidden_ND).double()
    for n, row in enumerate(rows_N.tolist()):
        mass_A = said_NA[n].exp()
        for p in range(prompts_B[row]):
            token = int(tokens_BT[row, p])
            if token in ACTIONS:
                score = queries_ND[n] @ keys_RPD[row, p] / keys_RPD.shape[2] ** 0.5
                mass_A[ACTIONS.index(token)] += (score + head.bias.detach()).exp()
        torch.testing.assert_close(logits_NA[n].double(), mass_A.log(), atol=1e-4, rtol=1e-4)


def test_scores_of_several_states_a_sequence_are_those_of_each() -> None:
    torch.manual_seed(0)
    pointer = Pointer(8)
    memory_RPD, hidden_ND = torch.randn(3, 5, 8), torch.randn(6, 8)
    for rows in ([0, 0, 0, 2, 2, 2], [2, 0, 1, 0, 2, 2]):
        rows_N = torch.tensor(rows)
        together, _ = pointer.scores(States(hidden_ND, memory_RPD, rows_N))
        alone, _ = pointer.scores(States(hidden_ND, memory_RPD[rows_N]))
        torch.testing.assert_close(together, alone)


def test_unlikely_actions_have_finite_gradients() -> None:
    model = copying()
    with torch.no_grad():
        model.backbone.output_embeddings().weight.mul_(1e4)
    one = torch.tensor([0])
    states = model.read(torch.tensor([[4, 7, 9]]), torch.tensor([2]), one, one + 2)
    logits_NA = model.logits(states)
    assert logits_NA.isfinite().all()
    logits_NA.sum().backward()
    assert all(w.grad.isfinite().all() for w in model.parameters() if w.grad is not None)


def test_a_copying_agent_acts_as_it_learns_and_is_saved(tmp_path: Path) -> None:
    """Log-probabilities at acting are those of the training pass; a checkpoint plays the same."""
    config = PPOConfig(num_envs=4, steps=64)
    agent = PPO("OneSkill-v0", config, ModelConfig(head="copy"), env_kwargs=TASK)
    agent.learn(128, progress_bar=False)
    collector = agent.new_collector()
    collector.restart(0)
    played = collector.collect(64, torch.Generator().manual_seed(0))
    batch = make_batch(played, agent.contract.n_actions, agent.device)
    acted_N = torch.cat([torch.from_numpy(e.log_probs_T) for e in played])
    with torch.inference_mode():
        log_probs_N = evaluate(agent.model, batch).log_probs
    torch.testing.assert_close(log_probs_N, acted_N, atol=1e-4, rtol=1e-4)
    agent.save(tmp_path)
    loaded = PPO.load(tmp_path)
    assert loaded.model.heads.policy == "copy"
    with torch.inference_mode():
        assert torch.equal(evaluate(loaded.model, batch).log_probs, log_probs_N)
    with pytest.raises(ModelError, match="points at its prompt"):
        agent.export(tmp_path / "export")


def test_action_values_begin_in_the_order_of_a_copying_policy() -> None:
    agent = PPO("OneSkill-v0", PPOConfig(num_envs=4), ModelConfig(head="copy"), env_kwargs=TASK)
    collector = agent.new_collector()
    collector.restart(0)
    played = collector.collect(64, torch.Generator().manual_seed(0))
    batch = make_batch(played, agent.contract.n_actions, agent.device)
    dqn = DQN("OneSkill-v0", DQNConfig(twins=True), agent.model, env_kwargs=TASK)
    states = read(dqn.model, batch)
    order_NA = dqn.model.logits(states).argsort(dim=-1)
    for values_NA in dqn.model.q_values(states, batch.legal_NA):
        assert torch.equal(values_NA.argsort(dim=-1), order_NA)


def test_a_copying_head_says_only_what_actions_say() -> None:
    head = copying().policy
    assert isinstance(head, CopyHead)
    assert head.action_of.shape == (VOCAB,)
    assert head.action_of[torch.tensor(ACTIONS)].tolist() == [0, 1, 2]
