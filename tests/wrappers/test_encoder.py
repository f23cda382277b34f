"""Frozen transformers models as encoders, made from configs."""

import gymnasium
import numpy as np
import pytest

from textenvs import OptionError
from textenvs.wrappers import EmbeddingObservation, VectorEmbeddingObservation, frozen_encoder

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

VOCAB = 60


def gpt2(vocab_size=VOCAB, positions=64, head=False):
    config = transformers.GPT2Config(
        vocab_size=vocab_size, n_positions=positions, n_embd=16, n_layer=2, n_head=2
    )
    torch.manual_seed(0)
    kind = transformers.GPT2LMHeadModel if head else transformers.GPT2Model
    return kind(config)


def bert():
    config = transformers.BertConfig(
        vocab_size=VOCAB,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=64,
    )
    torch.manual_seed(0)
    return transformers.BertModel(config)


def t5():
    config = transformers.T5Config(
        vocab_size=VOCAB, d_model=16, d_kv=8, d_ff=32, num_layers=2, num_heads=2
    )
    torch.manual_seed(0)
    return transformers.T5Model(config)


PREFIXES = np.array([[5, 6, 7, 0, 0], [5, 6, 0, 0, 0], [9, 8, 7, 6, 5]], np.int32)
LENGTHS = np.array([3, 2, 5])


@pytest.mark.parametrize("make", [gpt2, bert, t5])
@pytest.mark.parametrize("pooling", ["mean", "last"])
def test_features_are_those_of_each_prefix_without_padding(make, pooling):
    model = make()
    model.train()
    encoder = frozen_encoder(model, pooling)
    features = encoder(PREFIXES, LENGTHS)
    assert features.dtype == np.float32
    assert features.shape == (3, 16)
    plain = model.get_encoder() if make is t5 else model
    assert not plain.training
    for prefix, length, found in zip(PREFIXES, LENGTHS, features, strict=True):
        with torch.no_grad():
            states = plain(torch.tensor(prefix[None, :length])).last_hidden_state[0]
        expected = states.mean(0) if pooling == "mean" else states[-1]
        np.testing.assert_allclose(found, expected.numpy(), atol=1e-5)
    other = PREFIXES.copy()
    other[0, 3:] = 11  # what stands behind the prefix changes nothing
    np.testing.assert_array_equal(encoder(other, LENGTHS)[0], features[0])
    np.testing.assert_array_equal(encoder(PREFIXES, LENGTHS), features)  # no dropout


def test_a_model_with_a_head_gives_the_states_below_it():
    body = frozen_encoder(gpt2())(PREFIXES, LENGTHS)
    np.testing.assert_allclose(frozen_encoder(gpt2(head=True))(PREFIXES, LENGTHS), body, atol=1e-6)


@pytest.mark.parametrize("kind", ["RobertaModel", "RobertaForMaskedLM"])
def test_the_longest_prefix_of_a_model_that_counts_positions_from_behind_its_padding(kind):
    config = transformers.RobertaConfig(
        vocab_size=VOCAB,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=20,
    )
    encoder = frozen_encoder(getattr(transformers, kind)(config))
    longest = np.full((1, encoder.max_tokens), 5, np.int32)
    assert encoder(longest, np.array([encoder.max_tokens])).shape == (1, 16)
    with pytest.raises((IndexError, RuntimeError)):
        encoder(np.append(longest, [[5]], 1), np.array([encoder.max_tokens + 1]))


def test_an_empty_prefix_has_features():
    assert np.isfinite(frozen_encoder(gpt2())(PREFIXES, np.array([0, 1, 2]))).all()


def test_a_folder_is_loaded(tmp_path):
    model = gpt2()
    model.save_pretrained(tmp_path)
    np.testing.assert_array_equal(
        frozen_encoder(str(tmp_path))(PREFIXES, LENGTHS), frozen_encoder(model)(PREFIXES, LENGTHS)
    )


@pytest.mark.parametrize("env_id", ["TextQA-v0", "TextNER-v0"])
def test_in_an_environment(env_id):
    env = gymnasium.make(env_id)
    task = env.unwrapped.task
    encoder = frozen_encoder(gpt2(task.vocab_size, task.max_tokens), "last")
    env = EmbeddingObservation(env, encoder)
    envs = VectorEmbeddingObservation(gymnasium.make_vec(env_id, num_envs=3), encoder)
    features, _ = envs.reset(seed=0)
    assert features in envs.observation_space
    for slot in range(3):
        observation, _ = env.reset(seed=slot)
        assert observation in env.observation_space
        np.testing.assert_allclose(features[slot], observation, atol=1e-5)
    moved, *_ = env.step(env.unwrapped.expert_action())
    assert not np.array_equal(moved, observation)


def test_models_that_cannot_take_the_prefixes():
    env = gymnasium.make("TextNER-v0")
    task = env.unwrapped.task
    message = rf"takes {task.vocab_size - 1} token ids, the task has {task.vocab_size}, 9 of them"
    with pytest.raises(OptionError, match=message):
        EmbeddingObservation(env, frozen_encoder(gpt2(task.vocab_size - 1, 512)))
    with pytest.raises(OptionError, match=rf"takes 8 tokens, a prefix can have {task.max_tokens}"):
        EmbeddingObservation(env, frozen_encoder(gpt2(task.vocab_size, 8)))
    resized = gpt2(task.vocab_size - 9, 512)
    resized.resize_token_embeddings(task.vocab_size)
    EmbeddingObservation(env, frozen_encoder(resized))


def test_impossible_arguments(tmp_path):
    with pytest.raises(OptionError, match="unknown pooling 'maen': did you mean 'mean'"):
        frozen_encoder(gpt2(), "maen")
    with pytest.raises(OptionError, match="there is no model"):
        frozen_encoder(str(tmp_path / "nothing"))
    with pytest.raises(OptionError, match=r"expected a transformers model .* got int"):
        frozen_encoder(3)
