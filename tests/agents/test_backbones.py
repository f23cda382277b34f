"""Every kind of backbone reads, learns, is saved and is refused where it does not fit."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import one_skill
import pytest
import torch
from backbone_zoo import KINDS, LMS, MAX_TOKENS, NAMES, VOCAB, make_backbone, make_lm
from torch import Tensor
from torch.nn import functional as F
from transformers import (
    AutoModelForMaskedLM,
    AutoModelForSeq2SeqLM,
    BartConfig,
    BartForConditionalGeneration,
    BertConfig,
    BertLMHeadModel,
    DistilBertConfig,
    DistilBertForMaskedLM,
    GPTNeoConfig,
    GPTNeoForCausalLM,
    PreTrainedModel,
    T5Config,
    T5ForConditionalGeneration,
)

import agents
from agents import PPO, BCConfig, BehaviourCloning, ModelError, PPOConfig
from agents.batching import evaluate, make_batch
from agents.models.causal import CausalBackbone
from agents.models.encoder import headless
from agents.models.loading import backbone_from_json, load_backbone
from agents.models.presets import PRESETS
from agents.models.recurrent import RecurrentBackbone
from agents.state import weights

TWO_WAY = ("prefix-lm-llama", "prefix-lm-gpt2", "bert", "roberta", "electra", "t5", "t5-1.1")
OPTIONS = {"answers": 2}
TOKENS = 32
"""As many as OneSkill-v0 needs with these options, and some more."""


def some_tokens(rows: int = 3, length: int = 14) -> Tensor:
    """Without the padding tokens that RoBERTa gives positions of their own."""
    return torch.randint(5, VOCAB, (rows, length), generator=torch.Generator().manual_seed(0))


PROMPTS = torch.tensor([4, 9, 1])


@pytest.mark.parametrize("name", NAMES)
def test_no_state_depends_on_what_comes_later(name: str) -> None:
    backbone, tokens_BT = make_backbone(name), some_tokens()
    with torch.inference_mode():
        whole_BTD = backbone(tokens_BT, PROMPTS)
        for row, prompt in enumerate(PROMPTS.tolist()):
            for length in range(prompt, tokens_BT.shape[1]):
                short_1TD = backbone(tokens_BT[row : row + 1, :length], PROMPTS[row : row + 1])
                torch.testing.assert_close(
                    short_1TD[0, length - 1], whole_BTD[row, length - 1], atol=5e-6, rtol=1e-5
                )


@pytest.mark.parametrize("name", NAMES)
def test_padding_changes_no_hidden_state(name: str) -> None:
    backbone, tokens_BT = make_backbone(name), some_tokens()
    with torch.inference_mode():
        short_BTD = backbone(tokens_BT, PROMPTS)
        long_BTD = backbone(F.pad(tokens_BT, (0, 20), value=3), PROMPTS)
    torch.testing.assert_close(short_BTD, long_BTD[:, : tokens_BT.shape[1]], atol=5e-6, rtol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_a_prompt_is_read_both_ways_where_the_architecture_can(name: str) -> None:
    backbone, tokens_BT = make_backbone(name), some_tokens(1)
    changed_BT = tokens_BT.clone()
    changed_BT[0, 5] += 1
    with torch.inference_mode():
        first, other = (backbone(t, torch.tensor([6]))[0, 0] for t in (tokens_BT, changed_BT))
    assert torch.allclose(first, other) != (name in TWO_WAY)


@pytest.mark.parametrize("name", LMS)
def test_the_head_on_a_state_gives_the_language_models_own_scores(name: str) -> None:
    lm, tokens_BT = make_lm(name), some_tokens(1)
    backbone = LMS[name][0](lm)
    # What looks both ways in the model itself is all prompt; what does not is none of it.
    prompt = {"encoder": tokens_BT.shape[1], "prefix-lm": 1}.get(backbone.kind, 5)
    head = backbone.output_embeddings()
    with torch.inference_mode():
        hidden_TD = backbone(tokens_BT, torch.tensor([prompt]))[0, prompt - 1 :]
        if backbone.kind == "encoder-decoder":
            answer = F.pad(tokens_BT[:, prompt:], (1, 0), value=backbone.start_token)
            own = lm(input_ids=tokens_BT[:, :prompt], decoder_input_ids=answer).logits[0]
        else:
            own = lm(input_ids=tokens_BT).logits[0, prompt - 1 :]
        scores = F.linear(hidden_TD, head.weight, getattr(head, "bias", None))
    torch.testing.assert_close(scores, own, atol=1e-5, rtol=1e-5)


def test_a_headless_model_shares_its_weights_and_leaves_the_model_as_it_is() -> None:
    lm = make_lm("bert")
    before = list(lm.state_dict())
    assert next(headless(lm).parameters()) is next(lm.parameters())
    assert list(lm.state_dict()) == before
    assert lm(input_ids=some_tokens(1)).logits.shape[-1] == VOCAB


@pytest.mark.parametrize("name", KINDS)
def test_slots_go_on_from_prompts_that_another_cache_has_read(name: str) -> None:
    backbone = make_backbone(name)
    tokens_BT, lengths = some_tokens(2, 12).numpy(), np.array([7, 10])
    source, slots = backbone.slots(2), backbone.slots(4)
    source.reserve(16)
    slots.reserve(MAX_TOKENS)
    with torch.inference_mode():
        source.begin(np.arange(2), tokens_BT[:, :10], lengths, lengths)
        slots.begin(np.arange(4), np.full((4, 3), 9), np.full(4, 3), np.full(4, 3))
        slots.copy_from(source, np.array([1, 0, 1]), np.array([0, 1, 3]), 10)
        starts = np.array([10, 7, 3, 10])
        given = np.stack([tokens_BT[1, 10:], tokens_BT[0, 7:9], [5, 6], tokens_BT[1, 10:]])
        hidden_SQD = slots.extend(given, starts, np.full(4, 2))
        for slot, row in ((0, 1), (1, 0), (3, 1)):
            length = int(lengths[row])
            read = torch.from_numpy(tokens_BT[row : row + 1, : length + 2])
            expected = backbone(read, torch.tensor([length]))[0, -2:]
            torch.testing.assert_close(hidden_SQD[slot], expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_the_ratio_is_1_before_the_first_step(name: str) -> None:
    options = {"answers": 3, "appends": 2, "fewest": 1}
    agent = PPO("OneSkill-v0", PPOConfig(num_envs=4), make_backbone(name), env_kwargs=options)
    collector = agent.new_collector()
    collector.restart(0)
    episodes = collector.collect(60, torch.Generator().manual_seed(0))
    with torch.inference_mode():
        new = evaluate(agent.model, make_batch(episodes, agent.contract.n_actions, agent.device))
    old_log_probs = torch.from_numpy(np.concatenate([e.log_probs_T for e in episodes]))
    torch.testing.assert_close(new.log_probs, old_log_probs.float(), atol=1e-5, rtol=0)


@pytest.mark.parametrize("model", ["tiny", "reader", "encoder", "encoder-decoder", "gru"])
@pytest.mark.parametrize("constrain", [True, False])
def test_pointers_see_the_same_in_acting_and_in_training(model: str, constrain: bool) -> None:
    options = {"size": 40, "constrain": constrain}  # if False, actions point behind the prompt too
    agent = PPO("TextQASpan-v0", PPOConfig(num_envs=4), model, env_kwargs=options)
    with torch.no_grad():
        agent.model.policy.pointer.query.weight.mul_(4.0)
    collector = agent.new_collector()
    collector.restart(3)
    generator = torch.Generator().manual_seed(0)
    for _ in range(2):
        episodes = collector.collect(16, generator)
        batch = make_batch(episodes, agent.contract.n_actions, agent.device)
        with torch.inference_mode():
            new = evaluate(agent.model, batch)
        old_log_probs = torch.from_numpy(np.concatenate([e.log_probs_T for e in episodes]))
        torch.testing.assert_close(new.log_probs, old_log_probs.float(), atol=2e-5, rtol=0)


@pytest.mark.parametrize("name", ["reader", "encoder", "encoder-decoder", "gru", "lstm"])
def test_a_preset_goes_through_a_checkpoint(name: str, tmp_path: Path) -> None:
    config = PPOConfig(steps=16, num_envs=2, epochs=1)
    agent = PPO("OneSkill-v0", config, name, env_kwargs=OPTIONS)
    agent.learn(16, progress_bar=False).save(tmp_path)
    loaded = PPO.load(tmp_path)
    assert type(loaded.model.backbone) is type(agent.model.backbone)
    for key, tensor in weights(agent.model).items():
        assert torch.equal(tensor, weights(loaded.model)[key])
    for both in (agent, loaded):
        both.learn(16, progress_bar=False)
    for key, tensor in weights(agent.model).items():
        assert torch.equal(tensor, weights(loaded.model)[key])


@pytest.mark.parametrize(
    ("name", "auto"), [("roberta", AutoModelForMaskedLM), ("t5-1.1", AutoModelForSeq2SeqLM)]
)
def test_a_folder_is_loaded_as_what_its_config_says(name: str, auto: type, tmp_path: Path) -> None:
    backbone = make_backbone(name)
    backbone.save_pretrained(tmp_path)
    loaded = load_backbone(tmp_path, VOCAB, TOKENS, 0)
    assert type(loaded) is type(backbone)
    again = backbone_from_json(loaded.kind, json.loads(json.dumps(loaded.config_json())))
    again.load_state_dict(loaded.state_dict())
    plain = LMS[name][0](auto.from_pretrained(tmp_path).eval())
    with torch.inference_mode():
        expected = backbone(some_tokens(), PROMPTS)
        for other in (loaded, again.eval(), plain):
            torch.testing.assert_close(other(some_tokens(), PROMPTS), expected)


def test_recurrent_networks_are_no_transformers_models(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="'gru' is no architecture of transformers"):
        make_backbone("gru").save_pretrained(tmp_path)


@pytest.mark.parametrize("name", ["bert", "roberta", "electra", "t5"])
def test_a_model_with_too_small_a_vocabulary_grows(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    agent = PPO("OneSkill-v0", PPOConfig(num_envs=4, steps=16), make_lm(name, 8))
    assert "3 new embedding rows were added" in caplog.text
    assert len(agent.model.backbone.output_embeddings().weight) == 11
    assert agent.model.backbone.lm.get_input_embeddings().weight.shape[0] == 11
    agent.learn(16, progress_bar=False)


def test_a_recurrent_network_with_too_small_a_vocabulary_is_refused() -> None:
    with pytest.raises(ModelError, match="has 8 tokens, but the environment 11: make it with"):
        PPO("OneSkill-v0", PPOConfig(), make_backbone("gru", 8))


def distilbert() -> PreTrainedModel:
    sizes = {"dim": 32, "hidden_dim": 48, "n_layers": 2, "n_heads": 4}
    return DistilBertForMaskedLM(DistilBertConfig(vocab_size=VOCAB, **sizes))


def gpt_neo() -> PreTrainedModel:
    sizes = {"hidden_size": 32, "num_layers": 2, "num_heads": 4, "window_size": 2}
    kinds = {"attention_types": [[["global", "local"], 1]]}
    special = {"bos_token_id": None, "eos_token_id": None}
    return GPTNeoForCausalLM(GPTNeoConfig(vocab_size=VOCAB, **sizes, **kinds, **special))


def bart() -> PreTrainedModel:
    heads = {"encoder_attention_heads": 2, "decoder_attention_heads": 2}
    sizes = {"d_model": 16, "encoder_layers": 1, "decoder_layers": 1}
    special = {"bos_token_id": 0, "eos_token_id": 2, "forced_eos_token_id": None}
    return BartForConditionalGeneration(BartConfig(vocab_size=VOCAB, **sizes, **heads, **special))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (distilbert, "DistilBertForMaskedLM cannot read token by token"),
        (gpt_neo, "GPTNeoForCausalLM gives other states when it reads token by token"),
        (bart, "encoder-decoder of type 'bart' is not supported: expected 'mt5' or 't5'"),
    ],
)
def test_an_architecture_that_cannot_act_as_it_learns_is_refused(
    make: object, message: str
) -> None:
    with pytest.raises(ModelError, match=message):
        load_backbone(make(), VOCAB, TOKENS, 0)


def test_positions_that_padding_takes_do_not_count() -> None:
    with pytest.raises(ModelError, match="has 48 positions, but the environment's prefixes have"):
        load_backbone(make_lm("roberta"), VOCAB, MAX_TOKENS + 1, 0)
    load_backbone(make_lm("roberta"), VOCAB, MAX_TOKENS, 0)


def test_a_decoder_without_a_token_to_begin_with_is_refused() -> None:
    config = T5Config(vocab_size=VOCAB, d_model=16, d_kv=4, num_heads=2, num_layers=1)
    config.pad_token_id = None
    with pytest.raises(ModelError, match="names neither decoder_start_token_id nor"):
        load_backbone(T5ForConditionalGeneration(config), VOCAB, TOKENS, 0)


@pytest.mark.parametrize(
    ("kind", "config", "message"),
    [
        ("encodr", {}, "no kind of backbone 'encodr': expected 'encoder'"),
        ("recurrent", {"cell": "tanh", "vocab_size": 5}, "cannot build a recurrent network"),
        ("recurrent", {"cell": "gru", "vocab_size": -1}, "cannot build a recurrent network"),
        ("recurrent", {"cell": "gru", "vocab_size": 5, "evil": 1}, "recurrent network"),
        ("encoder", {"model_type": "bert", "hidden_size": "wide"}, "cannot build a masked LM"),
        ("encoder-decoder", {"model_type": "llama"}, "cannot build a seq2seq LM"),
    ],
)
def test_a_damaged_description_is_named(kind: str, config: dict[str, object], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        backbone_from_json(kind, config)


@pytest.mark.parametrize("name", ["bert", "t5", "gru"])
def test_ppo_learns_the_one_skill(name: str) -> None:
    config = PPOConfig(
        num_envs=16,
        steps=128,
        minibatch_tokens=256,
        learning_rate=3e-3,
        learning_rate_schedule="constant",
    )
    options = {"words": 4, "noise": 1}
    agent = PPO("OneSkill-v0", config, make_backbone(name, 16), env_kwargs=options)
    agent.learn(2_048, progress_bar=False)
    env = one_skill.OneSkillEnv(**options)
    prompts_NL = np.stack([env.reset(options={"index": i})[0] for i in range(64)])
    said_N = env.action_tokens[agent.predict(prompts_NL)[0]]
    wanted_N = prompts_NL[:, 1:][prompts_NL[:, :-1] == one_skill.MARK]
    assert (said_N == wanted_N).mean() > 0.5  # chance is a quarter


@pytest.mark.parametrize(
    ("env_id", "head", "chance", "episodes", "epochs"),
    [("TextNER-v0", "lm", 0.04, 100, 6), ("TextQASpan-v0", "pointer", 0.1, 32, 20)],
)
def test_an_encoder_tags_and_points_at_spans(
    env_id: str, head: str, chance: float, episodes: int, epochs: int
) -> None:
    """What it was shown."""
    config = BCConfig(episodes=episodes, epochs=epochs, learning_rate=2e-3, minibatch_tokens=1024)
    options = {"size": episodes}
    agent = BehaviourCloning(env_id, config, "encoder", env_kwargs=options)
    assert agent.model.heads.policy == head
    agent.learn(progress_bar=False)
    score = agents.evaluate(agent, env_id, split="train", **options).score
    assert score.low > 5 * chance


def test_presets_are_built_for_the_environment() -> None:
    for build in PRESETS.values():
        backbone = build(VOCAB, TOKENS)
        assert len(backbone.output_embeddings().weight) == VOCAB
        assert (
            backbone.eval()(some_tokens(1, TOKENS), torch.tensor([5])).shape[-1] == backbone.width
        )


@pytest.mark.parametrize("name", KINDS)
def test_a_lower_precision_changes_states_little(name: str) -> None:
    backbone, tokens_BT = make_backbone(name), some_tokens()
    lengths = np.full(len(tokens_BT), tokens_BT.shape[1])
    slots = backbone.slots(len(tokens_BT))
    with torch.inference_mode():
        expected = backbone(tokens_BT, PROMPTS)[:, -1]
        with torch.autocast("cpu", torch.bfloat16):
            whole = backbone(tokens_BT, PROMPTS)[:, -1]
            slots.reserve(MAX_TOKENS)
            cached, _ = slots.begin(
                np.arange(len(tokens_BT)), tokens_BT.numpy(), lengths, PROMPTS.numpy()
            )
    for states in (whole, cached):
        torch.testing.assert_close(states.float(), expected, atol=0.2, rtol=0)


def test_recurrent_layers_train_in_eval_mode_too() -> None:
    backbone = RecurrentBackbone("gru", VOCAB, width=8).eval()
    assert not backbone.training
    assert backbone.layers.training


def test_bert_with_the_config_of_a_decoder_is_a_causal_model(
    caplog: pytest.LogCaptureFixture,
) -> None:
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    decoder = BertLMHeadModel(BertConfig(vocab_size=VOCAB, is_decoder=True, **sizes))
    assert type(load_backbone(decoder, VOCAB, TOKENS, 0)) is CausalBackbone
    assert "BertLMHeadModel scores tokens otherwise than by a linear layer" in caplog.text
