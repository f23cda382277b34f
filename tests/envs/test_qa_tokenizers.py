"""Question answering with the tokenizers of transformers."""

import warnings

import pytest
from questions import (
    CITIES,
    QA,
    SCRIPTS,
    SPAN,
    UNANSWERABLE,
    assert_masks_by_definition,
    both_ids,
    expert_episode,
    file_env,
    white_space_words,
)
from tokenizers import Tokenizer as Backend
from tokenizers import decoders, models, normalizers, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from textenvs import DatasetWarning


def fast_byte_level(texts, **special):
    """As GPT-2: its EOS token is all it has, unless told otherwise."""
    backend = Backend(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=320,
        special_tokens=["<|endoftext|>"],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    backend.train_from_iterator(texts, trainer)
    backend.enable_truncation(4)
    backend.enable_padding()
    return PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="<|endoftext|>", **special)


def fast_word_piece(texts):
    """As BERT: [CLS], [SEP], [PAD], and text in lower case."""
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    letters = sorted({c for text in texts for c in text.lower() if not c.isspace()} | set("eauoi"))
    pieces = [*special, "the", "city", "nai", "##robi", *letters, *(f"##{c}" for c in letters)]
    backend = Backend(models.WordPiece({p: i for i, p in enumerate(pieces)}, unk_token="[UNK]"))
    backend.normalizer = normalizers.BertNormalizer(lowercase=True)
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.decoder = decoders.WordPiece(prefix="##")
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
    )


def texts_of(*paragraphs):
    return [text for passage, qas in paragraphs for text in (passage, *(q for q, _ in qas))]


def state_of(tokenizer):
    calls = [tokenizer("The city of Nairobi, again and again")["input_ids"]]
    names = ("eos_token", "pad_token", "padding_side", "truncation_side", "special_tokens_map")
    return tokenizer.backend_tokenizer.to_str(), calls, [getattr(tokenizer, n) for n in names]


@both_ids
@pytest.mark.parametrize("kind", ["byte-level", "byte-level, pad is eos", "word piece"])
@pytest.mark.parametrize("reward", ["terminal", "dense"])
def test_a_transformers_tokenizer_serves_and_is_not_changed(env_id, kind, reward, tmp_path):
    paragraphs = (CITIES, SCRIPTS, UNANSWERABLE)
    if kind == "word piece":
        tokenizer = fast_word_piece(texts_of(*paragraphs))
    elif kind == "byte-level":
        tokenizer = fast_byte_level(texts_of(*paragraphs))
    else:
        tokenizer = fast_byte_level(texts_of(*paragraphs), pad_token="<|endoftext|>")
    before = state_of(tokenizer)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        env = file_env(env_id, tmp_path, *paragraphs, tokenizer=tokenizer, reward=reward)
    task = env.unwrapped.task
    returns = [expert_episode(env, index)[1] for index in range(task.num_examples)]
    short = task.shortfalls.get("answers that no allowed span of tokens gives", 0)
    # A token may hold a part of the character behind an answer; word pieces lose accents, and put
    # spaces into numbers. The passage itself, at which the pointers point, is whole.
    assert sum(total < 1 - 1e-9 for total in returns) == short
    assert len(caught) == bool(short)
    assert short <= (0 if env_id == SPAN else 4 if kind == "word piece" else 1)
    assert state_of(tokenizer) == before
    if kind != "word piece":
        prompt = task.prompt_text(0)
        row, _ = env.reset(options={"index": 0})
        assert task.tokenizer.decode(row) == prompt, "the tokenizer's own truncation is not used"


@pytest.mark.parametrize("pad", [None, "<|endoftext|>"])
def test_where_padding_is_eos_it_is_an_action_that_ends_the_answer(pad, tmp_path):
    tokenizer = fast_byte_level(texts_of(CITIES), pad_token=pad)
    env = file_env(QA, tmp_path, CITIES, tokenizer=tokenizer)
    unwrapped = env.unwrapped
    eos = unwrapped.task.tokenizer.eos_token_id
    assert unwrapped.pad_token_id == eos
    assert env.action_space.n == len(tokenizer)
    assert eos in unwrapped.action_tokens
    assert_masks_by_definition(env, 30, seed=0)
    observation, reward, info = expert_episode(env, 0)
    assert reward == 1.0
    used = len(unwrapped.task.tokenizer.encode(unwrapped.task.prompt_text(0)).ids)
    used += len(unwrapped.task.tokenizer.encode(info["text"]).ids)
    assert (observation[used:] == eos).all()
    assert (observation[:used] != eos).all()


def test_a_token_that_is_padding_and_unknown_at_once_is_never_an_action(tmp_path):
    """Such as Llama's with the common ``pad_token = unk_token``."""
    passage = "The Nairobi firm grew."
    tokenizer = white_space_words([*passage.split()[:2], "Who?"])
    tokenizer.pad_token = tokenizer.unk_token
    env = file_env(QA, tmp_path, (passage, [("Who?", ["Nairobi"])]), tokenizer=tokenizer)
    assert tokenizer.unk_token_id not in env.unwrapped.action_tokens
    _, info = env.reset(seed=0)
    names = [
        env.unwrapped.task.token_name(int(token))
        for token in env.unwrapped.action_tokens[info["action_mask"] == 1]
    ]
    assert names == ["The", "Nairobi"]
    assert expert_episode(env, 0)[1] == 1.0


@both_ids
def test_a_passage_that_becomes_no_token_still_has_a_legal_action(env_id, tmp_path):
    """BERT's cleaning takes a zero-width space away. The example stays, and is counted."""
    nothing = ("\u200b", [("q?", ["\u200b"])])
    tokenizer = fast_word_piece(texts_of(CITIES))
    with pytest.warns(DatasetWarning, match="answers that no allowed span"):
        env = file_env(env_id, tmp_path, nothing, CITIES, tokenizer=tokenizer)
    _, info = env.reset(options={"index": 0})
    assert info["action_mask"].any()
    assert info["action_mask"][env.unwrapped.expert_action()] == 1
    expert_episode(env, 0)
