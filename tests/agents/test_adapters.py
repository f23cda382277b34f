"""What of a model trains, and that acting and training compute the same whatever that is."""

from __future__ import annotations

import copy
import dataclasses
from pathlib import Path

import numpy as np
import one_skill  # noqa: F401  registers its id
import pytest
import torch
from peft import PrefixTuningConfig, get_peft_model
from transformers import (
    AutoModelForCausalLM,
    GPT2Config,
    LlamaConfig,
    PreTrainedModel,
    Qwen3Config,
)

from agents import PPO, AgentError, ModelError, PPOConfig
from agents.batching import evaluate, make_batch
from agents.environment import Contract
from agents.models.adapters import adapters_are_idle, adapters_off, merged
from agents.models.building import build_model
from agents.models.causal import CausalBackbone
from agents.models.decoding import decoding_of
from agents.models.layers import layer_stacks
from agents.models.linear import adapted_layers, effective_linear
from agents.models.model import AgentModel, Heads
from agents.models.model_config import Adapter, ModelConfig
from agents.models.prefix_cache import PrefixCache
from agents.models.prefix_tuning import PrefixTunedBackbone
from agents.state import weights

VOCAB, MAX_TOKENS = 50, 40
SIZES = {
    "vocab_size": VOCAB,
    "max_position_embeddings": 64,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "hidden_size": 32,
    "bos_token_id": None,
    "eos_token_id": None,
    "pad_token_id": None,
}
CONFIGS = {
    "gpt2": GPT2Config(**SIZES),
    "llama": LlamaConfig(**SIZES, intermediate_size=48, attention_bias=True),
    "qwen3": Qwen3Config(**SIZES, intermediate_size=48, num_key_value_heads=2, head_dim=8),
}
CONTRACT = Contract(
    vocab_size=VOCAB,
    max_tokens=MAX_TOKENS,
    pad_token_id=0,
    action_tokens=tuple(range(5, 15)),
    action_positions=None,
)
IN_LAYERS: tuple[Adapter, ...] = ("lora", "loha", "lokr", "ia3")
FITTING = [
    (name, adapter)
    for name in CONFIGS
    for adapter in (*IN_LAYERS, "prefix")
    if name != "gpt2" or adapter not in ("loha", "lokr")
]


def language_model(name: str) -> PreTrainedModel:
    torch.manual_seed(0)
    return AutoModelForCausalLM.from_config(CONFIGS[name]).eval()


def make_model(name: str, **options: object) -> AgentModel:
    config = ModelConfig(**options)  # type: ignore[arg-type]
    return build_model(language_model(name), CONTRACT, 0, Heads(), config)


def shaken(model: AgentModel, by: float = 0.3) -> AgentModel:
    """The model with all that trains moved, so that no adapter is idle."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.requires_grad:
                weight.add_(by * torch.randn(weight.shape, generator=generator))
    return model


def hidden_states(model: AgentModel, tokens_BT: torch.Tensor) -> torch.Tensor:
    return model.backbone(tokens_BT, torch.ones(len(tokens_BT), dtype=torch.long))


def some_tokens(rows: int = 3, length: int = 12) -> torch.Tensor:
    return torch.randint(1, VOCAB, (rows, length), generator=torch.Generator().manual_seed(2))


def trained(module: torch.nn.Module) -> set[str]:
    return {name for name, weight in module.named_parameters() if weight.requires_grad}


def check_cached(model: AgentModel, atol: float, steps: int = 12) -> None:
    """Cached hidden states are those of the training pass, through appends and resets."""
    rng, slots = np.random.default_rng(0), 4
    cache = PrefixCache(model, slots)
    tokens_SL = rng.integers(1, VOCAB, size=(slots, MAX_TOKENS)).astype(np.int32)
    lengths_S = rng.integers(1, 20, size=slots)
    for _ in range(steps):
        shown_SL = np.where(np.arange(MAX_TOKENS) < lengths_S[:, None], tokens_SL, 0)
        cached_SD = cache.states(shown_SL, lengths_S).hidden_ND
        with torch.no_grad():
            read_SD = model.read(
                torch.from_numpy(shown_SL.astype(np.int64)),
                torch.ones(slots, dtype=torch.long),
                torch.arange(slots),
                torch.from_numpy(lengths_S - 1),
            ).hidden_ND
        assert cached_SD.dtype == read_SD.dtype == torch.float32
        torch.testing.assert_close(cached_SD, read_SD, atol=atol, rtol=1e-4)
        lengths_S = lengths_S + rng.integers(0, 4, size=slots)
        for slot in range(slots):
            if lengths_S[slot] > MAX_TOKENS or rng.random() < 0.2:
                tokens_SL[slot] = rng.integers(1, VOCAB, size=MAX_TOKENS)
                lengths_S[slot] = rng.integers(1, 30)


@pytest.mark.parametrize(("name", "adapter"), FITTING)
def test_cached_equals_uncached_with_an_adapter_that_acts(name: str, adapter: Adapter) -> None:
    model = shaken(make_model(name, adapter=adapter))
    assert not adapters_are_idle(model)
    check_cached(model, atol=5e-5)


@pytest.mark.parametrize("name", CONFIGS)
def test_an_adapted_model_acts_as_fast_as_a_plain_one(name: str) -> None:
    assert decoding_of(language_model(name)) is not None
    adapted_one = make_model(name, adapter="lora").backbone
    assert isinstance(adapted_one, CausalBackbone)
    assert decoding_of(adapted_one.lm) is not None


def test_an_adapted_embedding_is_read_as_it_is() -> None:
    targets = ("q_proj", "embed_tokens")
    model = shaken(make_model("llama", adapter="lora", adapter_targets=targets))
    assert len(adapted_layers(model)) == 4
    check_cached(model, atol=5e-5)


@pytest.mark.parametrize(("name", "adapter"), FITTING)
def test_only_the_adapter_and_the_heads_train(name: str, adapter: Adapter) -> None:
    model = make_model(name, adapter=adapter)
    plain = dict(make_model(name).named_parameters())
    names = {weight.replace(".base_layer", "") for weight in trained(model.backbone)}
    assert names
    assert not {f"backbone.{weight}" for weight in names} & plain.keys()
    assert "value_head.0.weight" in trained(model)


@pytest.mark.parametrize("adapter", IN_LAYERS)
def test_an_effective_weight_is_what_the_layer_computes(adapter: Adapter) -> None:
    model = shaken(make_model("llama", adapter=adapter))
    layers = adapted_layers(model)
    assert len(layers) == 3 * 7
    for layer in layers:
        weight, bias = effective_linear(layer)
        inputs = torch.randn(4, weight.shape[1], generator=torch.Generator().manual_seed(0))
        linear = torch.nn.functional.linear(inputs, weight, bias)
        torch.testing.assert_close(linear, layer(inputs), atol=1e-5, rtol=1e-4)


def test_a_fresh_lora_is_idle_and_switched_off_it_is_the_model_as_it_was() -> None:
    model, tokens = make_model("gpt2", adapter="lora", frozen_layers=1), some_tokens()
    plain = make_model("gpt2")
    assert adapters_are_idle(model)
    assert not adapters_are_idle(plain)
    trains = trained(shaken(model))
    with torch.no_grad():
        expected, on = hidden_states(plain, tokens), hidden_states(model, tokens)
        with adapters_off(model):
            assert torch.equal(hidden_states(model, tokens), expected)
        assert torch.equal(hidden_states(model, tokens), on)
    assert (on - expected).abs().max() > 1e-3
    assert trained(model) == trains


@pytest.mark.parametrize("name", ["gpt2", "llama"])
@pytest.mark.parametrize("adapter", ["lora", "ia3"])
def test_a_merged_backbone_is_a_plain_language_model(
    name: str, adapter: Adapter, tmp_path: Path
) -> None:
    model = shaken(make_model(name, adapter=adapter), by=0.1)
    merged(model.backbone).save_pretrained(tmp_path)
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path)
    tokens = some_tokens()
    with torch.no_grad():
        plain = loaded.base_model(tokens).last_hidden_state
        torch.testing.assert_close(plain, hidden_states(model, tokens), atol=2e-5, rtol=1e-4)
    assert adapted_layers(model)


@pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")  # peft asks for it
@pytest.mark.parametrize("name", CONFIGS)
def test_prefix_tuning_is_that_of_peft(name: str) -> None:
    model, tokens = shaken(make_model(name, adapter="prefix", prefix_tokens=5)), some_tokens()
    assert isinstance(model.backbone, PrefixTunedBackbone)
    peft = get_peft_model(
        language_model(name), PrefixTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=5)
    )
    virtual = model.backbone.virtual.embedding.weight
    peft.prompt_encoder["default"].load_prompt_embeddings(virtual)
    with torch.no_grad():
        theirs = peft(tokens).logits
        ours = model.backbone.output_embeddings()(hidden_states(model, tokens))
    torch.testing.assert_close(ours, theirs, atol=2e-5, rtol=1e-4)


def test_a_prefix_begins_as_real_tokens() -> None:
    model, tokens = make_model("gpt2", adapter="prefix", prefix_tokens=4), some_tokens()
    real = torch.arange(4) * VOCAB // 4
    behind = torch.cat([real.expand(len(tokens), -1), tokens], dim=1)
    with torch.no_grad():
        expected = hidden_states(make_model("gpt2"), behind)[:, 4:]
        torch.testing.assert_close(hidden_states(model, tokens), expected, atol=1e-5, rtol=1e-4)


def test_a_prefix_learns_and_nothing_else_does() -> None:
    model = make_model("llama", adapter="prefix")
    hidden_states(model, some_tokens()).square().mean().backward()
    graded = {name for name, weight in model.named_parameters() if weight.grad is not None}
    assert graded == {"backbone.virtual.embedding.weight"}


def test_the_lowest_layers_and_the_embeddings_stay() -> None:
    model = make_model("gpt2", frozen_layers=2)
    names = trained(model.backbone)
    assert {name.split(".")[3] for name in names if ".h." in name} == {"2"}
    assert {name for name in names if ".h." not in name} == {
        "lm.transformer.ln_f.weight",
        "lm.transformer.ln_f.bias",
    }


def test_with_all_layers_frozen_the_heads_train() -> None:
    assert trained(make_model("llama", frozen_layers="all")) == {
        "backbone.lm.lm_head.weight",
        *(f"value_head.{layer}.{part}" for layer in (0, 2) for part in ("weight", "bias")),
    }


def test_what_is_frozen_stays_through_training() -> None:
    config = ModelConfig(frozen_layers=1)
    agent = PPO("OneSkill-v0", PPOConfig(steps=32, num_envs=4), model=config)
    before = {name: weight.clone() for name, weight in weights(agent.model).items()}
    agent.learn(64, progress_bar=False)
    after, trains = weights(agent.model), trained(agent.model)
    assert trains < before.keys()
    for name, weight in before.items():
        assert torch.equal(after[name], weight) == (name not in trains), name


def gradients(model: AgentModel) -> dict[str, torch.Tensor]:
    model.zero_grad()
    rows = torch.arange(3).repeat_interleave(4)
    columns = torch.arange(4).repeat(3) + 7
    states = model.read(some_tokens(), torch.ones(3, dtype=torch.long), rows, columns)
    (model.logits(states).square().mean() + model.values(states).mean()).backward()
    return {
        name: weight.grad.clone()
        for name, weight in model.named_parameters()
        if weight.grad is not None
    }


@pytest.mark.parametrize(
    "options", [{}, {"adapter": "lora"}, {"adapter": "prefix"}, {"precision": "bfloat16"}], ids=str
)
@pytest.mark.parametrize("name", CONFIGS)
def test_gradient_checkpointing_changes_no_gradient(name: str, options: dict[str, str]) -> None:
    plain = gradients(make_model(name, **options))
    model = make_model(name, **options, gradient_checkpointing=True)
    runs = 0

    def count(*_: object) -> None:
        nonlocal runs
        runs += 1

    (stack,) = layer_stacks(model.backbone)
    next(stack[0].children()).register_forward_hook(count)
    recomputed = gradients(model)
    assert runs == 2
    assert plain.keys() == recomputed.keys()
    for gradient_name, gradient in plain.items():
        assert torch.equal(recomputed[gradient_name], gradient)


def test_a_copy_of_a_checkpointed_model_is_its_own() -> None:
    model = make_model("gpt2", gradient_checkpointing=True)
    copied, tokens = copy.deepcopy(model), some_tokens()
    expected = hidden_states(copied, tokens)
    shaken(model)
    assert torch.equal(hidden_states(copied, tokens), expected)
    assert not torch.allclose(hidden_states(model, tokens), expected)


@pytest.mark.parametrize("adapter", ["none", "lora", "prefix"])
@pytest.mark.parametrize("name", CONFIGS)
def test_acting_and_training_round_alike_in_bfloat16(name: str, adapter: Adapter) -> None:
    model = make_model(name, adapter=adapter, precision="bfloat16")
    check_cached(model, atol=0.1)
    tokens = some_tokens()
    exact = hidden_states(make_model(name, adapter=adapter), tokens)
    with model.autocast():
        rounded = hidden_states(model, tokens)
    assert 1e-4 < (rounded - exact).abs().max() < 0.1


@pytest.mark.parametrize(
    "config",
    [
        ModelConfig(adapter="lora", adapter_rank=2, frozen_layers=1),
        ModelConfig(adapter="lora", adapter_targets=("q_proj", "v_proj")),
        ModelConfig(adapter="prefix", prefix_tokens=3, gradient_checkpointing=True),
        ModelConfig(frozen_layers="all", precision="bfloat16"),
    ],
    ids=lambda config: f"{config.adapter}-{config.frozen_layers}-{len(config.adapter_targets)}",
)
def test_a_checkpoint_has_the_models_settings_and_weights(
    config: ModelConfig, tmp_path: Path
) -> None:
    settings = PPOConfig(steps=32, num_envs=4, epochs=1)
    agent = PPO("OneSkill-v0", settings, model=config)
    agent.learn(32, progress_bar=False)
    agent.save(tmp_path)
    loaded = PPO.load(tmp_path)
    assert loaded.model.config == config
    assert trained(loaded.model) == trained(agent.model)
    for both in (agent, loaded):
        both.learn(32, progress_bar=False)
    theirs = weights(loaded.model)
    for name, weight in weights(agent.model).items():
        assert torch.equal(weight, theirs[name])


def test_a_preset_is_remembered_by_its_name() -> None:
    agent = PPO("OneSkill-v0", PPOConfig(num_envs=2), model="small")
    assert agent.model.config == ModelConfig(name="small")
    assert make_model("gpt2").config.name == "GPT2LMHeadModel"


def test_the_optimizer_has_only_what_trains() -> None:
    agent = PPO("OneSkill-v0", PPOConfig(num_envs=2), model=ModelConfig(adapter="lora"))
    held = sum(
        weight.numel()
        for group in agent.descent.optimizer.param_groups
        for weight in group["params"]
    )
    assert held == sum(w.numel() for w in agent.model.parameters() if w.requires_grad)
    assert held < sum(w.numel() for w in agent.model.parameters()) / 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"adapter_rank": 0}, "adapter_rank is 0"),
        ({"adapter_alpha": 0}, "adapter_alpha is 0"),
        ({"frozen_layers": -1}, "frozen_layers is -1"),
        ({"frozen_layers": "all", "adapter": "lora"}, "nothing to train"),
        ({"frozen_layers": 1, "adapter": "prefix"}, "keeps all layers as they are"),
    ],
)
def test_impossible_settings_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(AgentError, match=message):
        ModelConfig(**options)  # type: ignore[arg-type]


def test_what_a_backbone_cannot_do_is_said() -> None:
    with pytest.raises(ModelError, match="frozen_layers is 9, but the backbone has 3 layers"):
        make_model("gpt2", frozen_layers=9)
    with pytest.raises(ModelError, match="whose linear layers end in c_attn, c_fc, c_proj"):
        make_model("gpt2", adapter="lora", adapter_targets=("q_proj",))
    with pytest.raises(ModelError, match="does not fit this backbone"):
        make_model("gpt2", adapter="loha")
    with pytest.raises(ModelError, match="cannot be written as a plain one"):
        merged(make_model("gpt2", adapter="prefix").backbone)
    for option in ({"frozen_layers": 1}, {"gradient_checkpointing": True}):
        with pytest.raises(ModelError, match="the recurrent one is one block"):
            build_model(ModelConfig(name="gru", **option), CONTRACT, 0, Heads())
    for adapter, message in (("lora", "has no linear layers"), ("prefix", "of kind 'recurrent'")):
        with pytest.raises(ModelError, match=message):
            build_model(ModelConfig(name="gru", adapter=adapter), CONTRACT, 0, Heads())
    with pytest.raises(ModelError, match="has 64 positions, but the environment's prefixes have"):
        make_model("gpt2", adapter="prefix", prefix_tokens=30)


def test_a_pointer_can_be_asked_for() -> None:
    contract = dataclasses.replace(CONTRACT, action_positions=tuple(range(10)))
    model = build_model(language_model("gpt2"), contract, 0, Heads(), ModelConfig(head="pointer"))
    assert model.heads.policy == "pointer"
    with pytest.raises(ModelError, match="no action_positions"):
        build_model(language_model("gpt2"), CONTRACT, 0, Heads(), ModelConfig(head="pointer"))


@pytest.mark.parametrize(
    ("name", "options", "atol"),
    [
        ("tiny", {"adapter": "lora"}, 2e-5),
        ("tiny", {"adapter": "prefix"}, 2e-5),
        ("encoder", {"adapter": "lora", "frozen_layers": 1}, 2e-5),
        ("encoder-decoder", {"adapter": "lora", "gradient_checkpointing": True}, 2e-5),
        ("encoder", {"adapter": "ia3", "precision": "bfloat16"}, 0.1),
        ("encoder-decoder", {"frozen_layers": 1, "precision": "bfloat16"}, 0.1),
        ("gru", {"frozen_layers": "all", "precision": "bfloat16"}, 0.1),
    ],
)
def test_the_first_ratio_is_one_for_every_kind(
    name: str, options: dict[str, object], atol: float
) -> None:
    config = ModelConfig(name=name, **options)  # type: ignore[arg-type]
    agent = PPO("OneSkill-v0", PPOConfig(num_envs=4, steps=32), model=config)
    shaken(agent.model, by=0.05).note_change()
    collector = agent.new_collector()
    collector.restart(0)
    episodes = collector.collect(32, torch.Generator().manual_seed(0))
    batch = make_batch(episodes, agent.contract.n_actions, agent.device)
    with torch.no_grad():
        log_probs = evaluate(agent.model, batch).log_probs
    acted = torch.from_numpy(np.concatenate([e.log_probs_T for e in episodes]))
    torch.testing.assert_close(log_probs, acted, atol=atol, rtol=1e-4)
    before = {key: weight.clone() for key, weight in weights(agent.model).items()}
    agent.learn(32, progress_bar=False)
    moved = {key for key, weight in weights(agent.model).items() if not weight.equal(before[key])}
    assert moved
    assert moved <= trained(agent.model)
