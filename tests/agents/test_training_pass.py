"""The states of a minibatch, read without what no state depends on: equal to the plain pass."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import one_skill  # noqa: F401  registers its id
import pytest
import torch
from backbone_zoo import MAX_TOKENS, NO_SPECIAL_TOKENS, SIZES, VOCAB, make_backbone
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
)

from agents import (
    A2C,
    DQN,
    PPO,
    REINFORCE,
    SARSA,
    A2CConfig,
    BCConfig,
    BehaviourCloning,
    DQNConfig,
    EpsilonGreedy,
    EpsilonGreedyConfig,
    LanguageAgent,
    PPOConfig,
    QLearning,
    QLearningConfig,
    REINFORCEConfig,
    SARSAConfig,
)
from agents.batching import Batch, Evaluation, evaluate, evaluate_with_policy, make_batch
from agents.models.adapters import adapted
from agents.models.backbone import Backbone
from agents.models.causal import CausalBackbone
from agents.models.distribution import entropy, masked_log_softmax, take
from agents.models.heads import States
from agents.models.last_layer import states_of_chosen
from agents.models.layers import recompute_layers
from agents.models.model import AgentModel
from agents.models.model_config import ModelConfig


def mistral() -> CausalBackbone:
    config = MistralConfig(
        vocab_size=VOCAB, **SIZES, num_key_value_heads=1, sliding_window=None, **NO_SPECIAL_TOKENS
    )
    return CausalBackbone(MistralForCausalLM(config).eval())


def scaled_llama() -> CausalBackbone:
    """One layer, biases, and positions that are stretched as Llama 3.1 does."""
    rope = {
        "rope_type": "llama3",
        "rope_theta": 10_000.0,
        "factor": 8.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 8,
    }
    sizes = SIZES | {"num_hidden_layers": 1}
    config = LlamaConfig(
        vocab_size=VOCAB,
        **sizes,
        attention_bias=True,
        mlp_bias=True,
        rope_parameters=rope,
        **NO_SPECIAL_TOKENS,
    )
    return CausalBackbone(LlamaForCausalLM(config).eval())


def gpt2_unscaled() -> CausalBackbone:
    """Attention without the usual scale, but with one of each layer's own."""
    config = GPT2Config(
        vocab_size=VOCAB,
        n_positions=MAX_TOKENS,
        n_embd=32,
        n_layer=3,
        n_head=4,
        scale_attn_weights=False,
        scale_attn_by_inverse_layer_idx=True,
        **NO_SPECIAL_TOKENS,
    )
    return CausalBackbone(GPT2LMHeadModel(config).eval())


KNOWN: dict[str, Callable[[], Backbone]] = {
    **{name: lambda name=name: make_backbone(name) for name in ("gpt2", "llama", "qwen2", "qwen3")},
    "mistral": mistral,
    "llama3": scaled_llama,
    "gpt2-unscaled": gpt2_unscaled,
}


def known(name: str) -> CausalBackbone:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        backbone = KNOWN[name]()
        for weight in backbone.parameters():
            if weight.ndim == 1:  # biases begin as zeros and norms as ones
                nn.init.normal_(weight, mean=float(weight.detach().mean()), std=0.2)
    assert isinstance(backbone, CausalBackbone)
    return backbone


def plain(backbone: Backbone, tokens_BT: Tensor, rows_N: Tensor, columns_N: Tensor) -> Tensor:
    hidden_BTD: Tensor = backbone(tokens_BT, torch.ones_like(tokens_BT[:, 0]))
    return hidden_BTD[rows_N, columns_N]


def assert_same(
    backbone: CausalBackbone, tokens_BT: Tensor, rows_N: Tensor, columns_N: Tensor
) -> None:
    """The states and their gradients by both ways."""
    quick_ND = states_of_chosen(backbone.trunk, tokens_BT, rows_N, columns_N)
    assert quick_ND is not None
    expected_ND = plain(backbone, tokens_BT, rows_N, columns_N)
    torch.testing.assert_close(quick_ND, expected_ND, atol=3e-6, rtol=1e-5)
    weights = [w for w in backbone.trunk.parameters() if w.requires_grad]
    factors_ND = torch.randn(expected_ND.shape, generator=torch.Generator().manual_seed(1))
    gradients, expected = (
        torch.autograd.grad((states_ND * factors_ND).sum(), weights)
        for states_ND in (quick_ND, expected_ND)
    )
    largest = max(float(gradient.abs().max()) for gradient in expected)
    for one, other in zip(gradients, expected, strict=True):
        torch.testing.assert_close(one, other, atol=3e-6 * largest, rtol=1e-4)


RAGGED = (
    ([[0, 1, 2], [5], [3, 9]], 12),  # several states a row, as many rows as they come
    ([[11], [11], [11]], 12),
    ([[], [4, 5], []], 8),  # rows without a state
    ([[0]], 1),
    ([list(range(20))], 20),  # every token of one row
)


def places(columns: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
    rows_N = [row for row, of_row in enumerate(columns) for _ in of_row]
    return torch.tensor(rows_N), torch.tensor([column for of_row in columns for column in of_row])


@pytest.mark.parametrize(("columns", "length"), RAGGED)
@pytest.mark.parametrize("name", KNOWN)
def test_states_and_gradients_are_those_of_the_plain_pass(
    name: str, columns: list[list[int]], length: int
) -> None:
    tokens_BT = torch.randint(
        VOCAB, (len(columns), length), generator=torch.Generator().manual_seed(0)
    )
    assert_same(known(name), tokens_BT, *places(columns))


@settings(max_examples=25, deadline=None)
@given(data=st.data(), name=st.sampled_from(["llama", "gpt2"]))
def test_states_may_come_in_any_order_and_more_than_once(data: st.DataObject, name: str) -> None:
    rows, length = data.draw(st.integers(1, 4)), data.draw(st.integers(1, 12))
    places = st.tuples(st.integers(0, rows - 1), st.integers(0, length - 1))
    rows_N, columns_N = torch.tensor(data.draw(st.lists(places, min_size=1, max_size=12))).T
    tokens_BT = torch.arange(rows * length).view(rows, length) % VOCAB
    assert_same(known(name), tokens_BT, rows_N, columns_N)


@pytest.mark.parametrize("name", ["llama", "gpt2"])
def test_padding_changes_no_state(name: str) -> None:
    backbone, (rows_N, columns_N) = known(name), places([[2, 6], [4]])
    tokens_BT = torch.arange(14).view(2, 7)
    short, long = (
        states_of_chosen(backbone.trunk, tokens, rows_N, columns_N)
        for tokens in (tokens_BT, F.pad(tokens_BT, (0, 9), value=3))
    )
    torch.testing.assert_close(short, long, atol=3e-6, rtol=1e-5)


@pytest.mark.parametrize("name", ["llama", "qwen3", "gpt2"])
def test_the_last_layer_works_for_the_chosen_tokens_alone(name: str) -> None:
    backbone, (rows_N, columns_N) = known(name), places([[2, 6], [4]])
    trunk = backbone.lm.base_model
    layers = trunk.h if name == "gpt2" else trunk.layers
    read: list[torch.Size] = []
    for layer in layers:
        layer.mlp.register_forward_hook(lambda _, given, output: read.append(given[0].shape))
    backbone.states(torch.arange(14).view(2, 7), torch.tensor([1, 1]), rows_N, columns_N)
    assert read == [(2, 7, 32), (3, 32)]


@pytest.mark.parametrize("name", ["llama", "gpt2"])
def test_an_adapter_in_the_last_layer_takes_part(name: str) -> None:
    backbone = adapted(known(name), ModelConfig(adapter="lora", adapter_rank=2))
    assert isinstance(backbone, CausalBackbone)
    generator = torch.Generator().manual_seed(0)
    for key, weight in backbone.named_parameters():
        if "lora_B" in key:  # begins as zeros
            weight.data.normal_(std=0.1, generator=generator)
    assert_same(backbone.eval(), torch.arange(14).view(2, 7), *places([[2, 6], [4]]))


@pytest.mark.parametrize("precision", [torch.float64, torch.bfloat16])
def test_another_precision(precision: torch.dtype) -> None:
    backbone, tokens_BT = known("llama").to(precision), torch.arange(14).view(2, 7)
    where = places([[2, 6], [4]])
    with torch.inference_mode():
        quick_ND = states_of_chosen(backbone.trunk, tokens_BT, *where)
        expected_ND = plain(backbone, tokens_BT, *where)
    assert quick_ND is not None
    assert quick_ND.dtype == precision
    atol = 1e-12 if precision == torch.float64 else 0.1
    torch.testing.assert_close(quick_ND, expected_ND, atol=atol, rtol=0)


@pytest.mark.parametrize("name", ["llama", "gpt2"])
def test_layers_may_be_recomputed(name: str) -> None:
    kept, backbone = known(name), known(name)
    recompute_layers(backbone)
    states, gradients = [], []
    for each in (kept, backbone):
        found_ND, _ = each.states(
            torch.arange(14).view(2, 7), torch.ones(2), *places([[2, 6], [4]])
        )
        states.append(found_ND)
        gradients.append(torch.autograd.grad(found_ND.square().sum(), each.trunk.parameters()))
    assert torch.equal(*states)
    assert all(torch.equal(one, other) for one, other in zip(*gradients, strict=True))
    assert states_of_chosen(backbone.trunk, torch.zeros(1, 1).long(), *places([[0]])) is not None


def hook(backbone: CausalBackbone) -> None:
    backbone.lm.base_model.layers[-1].register_forward_hook(lambda _, given, output: output)


def train(backbone: CausalBackbone) -> None:
    backbone.train()


@pytest.mark.parametrize("change", [hook, train])
def test_what_must_run_as_a_whole_does(change: Callable[[CausalBackbone], None]) -> None:
    backbone, tokens_BT = known("llama"), torch.arange(14).view(2, 7)
    where = places([[2, 6], [4]])
    expected_ND = plain(backbone, tokens_BT, *where)
    change(backbone)
    assert states_of_chosen(backbone.trunk, tokens_BT, *where) is None
    found_ND, memory_BPD = backbone.states(tokens_BT, torch.tensor([1, 1]), *where)
    torch.testing.assert_close(found_ND, expected_ND)
    assert memory_BPD.shape == (2, 0, 32)


@pytest.mark.parametrize("name", ["llama", "gpt2", "bert", "t5", "gru"])
def test_a_pointer_gets_the_states_that_it_points_at(name: str) -> None:
    backbone, tokens_BT = make_backbone(name), torch.arange(5, 19).view(2, 7)
    prompts_B, (rows_N, columns_N) = torch.tensor([3, 4]), places([[2, 6], [4]])
    with torch.inference_mode():
        hidden_BTD = backbone(tokens_BT, prompts_B)
        found_ND, memory_BPD = backbone.states(tokens_BT, prompts_B, rows_N, columns_N, memory=3)
    assert torch.equal(found_ND, hidden_BTD[rows_N, columns_N])
    assert torch.equal(memory_BPD, hidden_BTD[:, :3])


def test_virtual_tokens_are_seen() -> None:
    backbone = adapted(known("llama"), ModelConfig(adapter="prefix", prefix_tokens=4)).eval()
    tokens_BT, where = torch.arange(14).view(2, 7), places([[2, 6], [4]])
    with torch.inference_mode():
        found_ND, _ = backbone.states(tokens_BT, torch.tensor([1, 1]), *where)
        torch.testing.assert_close(found_ND, plain(backbone, tokens_BT, *where))


def one_skill_batch(model: Backbone, masked: bool) -> tuple[PPO, Batch]:
    """Episodes of several states each."""
    options = {"answers": 3, "fewest": 1, "masked": masked}
    agent = PPO("OneSkill-v0", PPOConfig(num_envs=4), model, env_kwargs=options)
    collector = agent.new_collector()
    collector.restart(0)
    episodes = collector.collect(24, torch.Generator().manual_seed(0))
    return agent, make_batch(episodes, agent.contract.n_actions, agent.device)


@pytest.mark.parametrize("masked", [True, False])
@pytest.mark.parametrize("evaluation", [evaluate, lambda *given: evaluate_with_policy(*given)[0]])
def test_an_evaluation_and_its_gradient(
    evaluation: Callable[[AgentModel, Batch], Evaluation], masked: bool
) -> None:
    agent, batch = one_skill_batch(make_backbone("llama"), masked)
    model = agent.model
    assert (batch.legal_NA is not None) == masked
    hidden_ND = plain(model.backbone, batch.tokens_BT, batch.rows_N, batch.columns_N)
    log_probs_NA = masked_log_softmax(model.logits(States(hidden_ND)), batch.legal_NA)
    expected = Evaluation(
        take(log_probs_NA, batch.actions_N),
        entropy(log_probs_NA),
        model.values(States(hidden_ND)),
    )
    found = evaluation(model, batch)
    gradients = []
    for each in (found, expected):
        model.zero_grad()
        (each.log_probs * (each.values + 1) + 0.3 * each.entropies).sum().backward()
        gradients.append(
            torch.cat([w.grad.flatten() for w in model.parameters() if w.grad is not None])
        )
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    largest = float(gradients[1].abs().max())
    torch.testing.assert_close(*gradients, atol=3e-6 * largest, rtol=1e-4)


ROLLOUTS = {"num_envs": 4, "steps": 16}


@pytest.mark.parametrize(
    ("algorithm", "config"),
    [
        (PPO, PPOConfig(**ROLLOUTS)),
        (PPO, PPOConfig(**ROLLOUTS, kl_penalty="loss")),
        (A2C, A2CConfig(**ROLLOUTS)),
        (REINFORCE, REINFORCEConfig(**ROLLOUTS)),
        (EpsilonGreedy, EpsilonGreedyConfig(**ROLLOUTS)),
        (SARSA, SARSAConfig(**ROLLOUTS)),
        (QLearning, QLearningConfig(**ROLLOUTS)),
        (DQN, DQNConfig(**ROLLOUTS, learning_starts=0)),
        (BehaviourCloning, BCConfig(episodes=16)),
    ],
)
def test_scores_are_computed_at_states_alone(
    algorithm: type[LanguageAgent], config: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Scores that learning keeps for its gradient have a row for each state, not for each token."""
    words = 13
    tokens: list[int] = []
    rows: list[int] = []

    def read(self: AgentModel, tokens_BT: Tensor, *rest: Tensor) -> States:
        tokens.append(tokens_BT.numel())
        return plain_read(self, tokens_BT, *rest)

    def keep(kept: Tensor) -> Tensor:
        if kept.shape[-1:] in {(words,), (VOCAB,)}:
            rows.append(kept.numel() // kept.shape[-1])
        return kept

    plain_read = AgentModel.read
    monkeypatch.setattr(AgentModel, "read", read)
    options = {"noise": 25, "words": words}
    agent = algorithm("OneSkill-v0", config, make_backbone("llama"), env_kwargs=options)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda kept: kept):
        agent.learn(16, progress_bar=False)
    assert 0 < 5 * max(rows) < max(tokens)


def test_an_update_outside_of_training() -> None:
    agent = PPO("OneSkill-v0", PPOConfig(num_envs=4, warmup=0.1))
    collector = agent.new_collector()
    collector.restart(0)
    episodes = collector.collect(24, torch.Generator().manual_seed(0))
    agent.update(episodes, np.random.default_rng(0))
    assert 0 < agent.descent.rate < agent.config.learning_rate  # as in the middle of a training
