"""Wrappers that show the prefix in another form: text, counts of tokens, features."""

import pickle
import warnings

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from gymnasium.wrappers import FrameStackObservation, RecordEpisodeStatistics, TimeLimit

import textenvs
from textenvs import OptionError
from textenvs.wrappers import (
    BagOfTokens,
    EmbeddingObservation,
    MaskedObservation,
    TextObservation,
    VectorBagOfTokens,
    VectorEmbeddingObservation,
    VectorTextObservation,
)
from textenvs.wrappers.prefix import prefix_lengths

IDS = sorted(textenvs.IDS)


def last_and_length(prefixes, lengths):
    """An encoder: the last token, the length, the sum of the tokens."""
    last = prefixes[np.arange(len(prefixes)), lengths - 1]
    inside = np.arange(prefixes.shape[1]) < lengths[:, None]
    total = (prefixes * inside).sum(1)
    return np.stack([last, lengths, total], axis=1).astype(np.float32)


WRAPPERS = {
    "text": (TextObservation, VectorTextObservation, {}),
    "bag": (BagOfTokens, VectorBagOfTokens, {}),
    "embedding": (
        EmbeddingObservation,
        VectorEmbeddingObservation,
        {"encoder": last_and_length},
    ),
}

every_wrapper = pytest.mark.parametrize("name", WRAPPERS)


@every_wrapper
@pytest.mark.parametrize("env_id", IDS)
def test_check_env_passes_without_a_warning(env_id, name):
    wrapper, _, kwargs = WRAPPERS[name]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        env = wrapper(gymnasium.make(env_id, render_mode="ansi"), **kwargs)
        check_env(env, skip_render_check=True)
    # Gymnasium advises against unwrapped checks and infinite boxes, which are meant here.
    expected = ("The environment", "different from the unwrapped", "infinity", "infinite")
    assert [
        str(w.message) for w in caught if not any(part in str(w.message) for part in expected)
    ] == []


@every_wrapper
@pytest.mark.parametrize("mode", list(AutoresetMode))
@pytest.mark.parametrize("env_id", ["TextNER-v0", "TextQA-v0"])
def test_the_vector_wrapper_is_a_loop_of_single_ones(env_id, mode, name):
    wrapper, vector_wrapper, kwargs = WRAPPERS[name]
    ours = vector_wrapper(gymnasium.make_vec(env_id, num_envs=3, autoreset_mode=mode), **kwargs)
    loop = SyncVectorEnv(
        [lambda: wrapper(gymnasium.make(env_id), **kwargs)] * 3, autoreset_mode=mode
    )
    assert ours.single_observation_space == loop.single_observation_space
    assert ours.observation_space == loop.observation_space
    (observations, _), (loop_observations, _) = ours.reset(seed=5), loop.reset(seed=5)
    rng = np.random.default_rng(0)
    finished = 0
    for _ in range(40):
        np.testing.assert_array_equal(observations, loop_observations)
        assert type(observations) is type(loop_observations)
        assert observations in ours.observation_space
        actions = rng.integers(ours.single_action_space.n, size=3)
        observations, _, ended, _, info = ours.step(actions)
        loop_observations, _, _, _, loop_info = loop.step(actions)
        finished += int(ended.sum())
        if "final_obs" in loop_info:
            for mine, theirs in zip(info["final_obs"], loop_info["final_obs"], strict=True):
                np.testing.assert_array_equal(mine, theirs)
        if mode is AutoresetMode.DISABLED and ended.any():
            options = {"reset_mask": ended}
            observations, _ = ours.reset(options=options)
            loop_observations, _ = loop.reset(options=options)
    assert finished > 3


def test_a_prefix_as_text_in_words_and_tags():
    env = TextObservation(gymnasium.make("TextNER-v0", split="test"))
    observation, _ = env.reset(options={"index": 0})
    example = env.unwrapped.task.examples[0]
    sentence = " ".join(example.words)
    assert observation == f"{sentence}\n{example.words[0]}"
    said = []
    for word, tag in zip(example.words, example.tags, strict=True):
        said += [word, tag]
        assert observation == f"{sentence}\n{' '.join(said[:-1])}"
        observation, _, done, _, _ = env.step(env.unwrapped.expert_action())
    assert done
    assert observation == f"{sentence}\n{' '.join(said)}"


def test_a_prefix_as_text_is_the_decoded_prefix():
    env = TextObservation(gymnasium.make("TextQA-v0", split="test"))
    observation, _ = env.reset(options={"index": 3})
    prompt = env.unwrapped.task.prompt_text(3)
    assert observation == prompt
    done = False
    while not done:
        observation, _, done, _, info = env.step(env.unwrapped.expert_action())
    assert observation == prompt + info["text"]  # EOS is no text


def test_a_pointer_is_shown_by_name():
    env = TextObservation(gymnasium.make("TextQASpan-v0", split="test"))
    env.reset(options={"index": 0})
    observation, *_ = env.step(2)
    observation, *_ = env.step(4)
    assert observation == env.unwrapped.task.prompt_text(0) + "<2> <4>"


@pytest.mark.parametrize("env_id", ["TextNER-v0", "TextQA-v0"])
def test_bags_count_the_tokens_of_the_prefix(env_id):
    env = BagOfTokens(gymnasium.make(env_id))
    plain = gymnasium.make(env_id)
    rng = np.random.default_rng(0)
    for seed in range(10):
        (bag, _), (prefix, _) = env.reset(seed=seed), plain.reset(seed=seed)
        done = False
        while not done:
            tokens = prefix[prefix != plain.unwrapped.pad_token_id]
            expected = np.zeros(plain.unwrapped.task.vocab_size)
            np.add.at(expected, tokens, 1)
            np.testing.assert_array_equal(bag, expected)
            assert bag.dtype == np.float32
            action = int(rng.integers(env.action_space.n))
            (bag, _, done, *_), (prefix, *_) = env.step(action), plain.step(action)


def test_features_are_of_the_prefix_alone():
    seen = []

    def encoder(prefixes, lengths):
        seen.append((prefixes.copy(), lengths.copy()))
        return last_and_length(prefixes, lengths)

    envs = VectorEmbeddingObservation(gymnasium.make_vec("TextQA-v0", num_envs=4), encoder)
    features, _ = envs.reset(seed=0)
    prefixes, lengths = seen[-1]
    assert len(seen) == 2  # one call for all slots, after one that asks for the size
    assert prefixes.shape == (4, lengths.max())
    assert features.dtype == np.float32
    np.testing.assert_array_equal(features, last_and_length(prefixes, lengths))


@pytest.mark.parametrize(
    ("encoder", "message"),
    [
        (lambda ids, lengths: ids, r"float32 array of shape \(2, features\), got \(2, 1\) of type"),
        (lambda ids, lengths: np.zeros(2, np.float32), r"got \(2,\) of type float32"),
        (lambda ids, lengths: None, "got NoneType"),
    ],
)
def test_an_encoder_that_gives_no_features(encoder, message):
    with pytest.raises(OptionError, match=message):
        EmbeddingObservation(gymnasium.make("TextQA-v0"), encoder)


@pytest.mark.parametrize(
    ("prefix", "length"), [([5, 6, 0, 0], 2), ([5, 0, 7, 0], 3), ([5, 6, 7, 8], 4), ([0] * 4, 0)]
)
def test_lengths(prefix, length):
    assert prefix_lengths(np.array([prefix], np.int32), 0).tolist() == [length]


@every_wrapper
def test_other_wrappers_go_around_and_between(name):
    wrapper, _, kwargs = WRAPPERS[name]
    env = TimeLimit(RecordEpisodeStatistics(gymnasium.make("TextNER-v0")), 2)
    env = MaskedObservation(wrapper(env, **kwargs), "rllib")
    env.reset(seed=0)
    env.step(0)
    observation, _, _, truncated, _ = env.step(0)
    assert truncated
    assert observation in env.observation_space


@every_wrapper
def test_what_is_no_prefix_is_refused(name):
    wrapper, vector_wrapper, kwargs = WRAPPERS[name]
    with pytest.raises(OptionError, match=f"wrap the environment in {wrapper.__name__} first"):
        wrapper(FrameStackObservation(gymnasium.make("TextQA-v0"), 2), **kwargs)
    bags = VectorBagOfTokens(gymnasium.make_vec("TextQA-v0", num_envs=2))
    with pytest.raises(OptionError, match=f"in {vector_wrapper.__name__} first"):
        vector_wrapper(bags, **kwargs)
    with pytest.raises(OptionError, match="this wrapper is for environments of textenvs"):
        wrapper(gymnasium.make("CartPole-v1"), **kwargs)


@every_wrapper
def test_a_wrapped_environment_pickles(name):
    wrapper, _, kwargs = WRAPPERS[name]
    env = wrapper(gymnasium.make("TextNER-v0"), **kwargs)
    env.reset(seed=0)
    copy = pickle.loads(pickle.dumps(env))
    np.testing.assert_array_equal(env.step(0)[0], copy.step(0)[0])


@pytest.mark.parametrize("name", ["text", "bag"])
def test_a_spec_makes_the_wrapped_environment_again(name):
    env = WRAPPERS[name][0](gymnasium.make("TextNER-v0", split="test"))
    spec = gymnasium.envs.registration.EnvSpec.from_json(env.spec.to_json())
    copy = gymnasium.make(spec)
    np.testing.assert_array_equal(env.reset(seed=1)[0], copy.reset(seed=1)[0])
