"""NER: the counts are CoNLL's whatever is tagged, words come one by one, and none is lost."""

from collections import Counter

import gymnasium
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from seqeval.metrics import classification_report
from seqeval.scheme import IOB2
from tokenizers import Tokenizer as Backend
from tokenizers import decoders, models, normalizers, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from textenvs import DatasetWarning
from textenvs.metrics.entities import entities

ID = "TextNER-v0"
WORDS = ["Ada", "of", "Nairobi-West", "😀😀", "naïve", "x\xa0y", "東京", "U.N.", "'s", "(", "o’er"]


def conll_file(path, sentences):
    """Sentences of (word, tag) pairs, a tab between them."""
    blocks = ["\n".join(f"{word}\t{tag}" for word, tag in s) for s in sentences]
    path.write_text("\n\n".join(blocks) + "\n", "utf-8")
    return str(path)


def random_sentences(seed, count, types=("A", "B", "C")):
    """Dense with entities, which touch one another, and of every type."""
    rng = np.random.default_rng(seed)
    sentences = []
    for _ in range(count):
        tags = ["O"]
        for _ in range(int(rng.integers(1, 10))):
            begins = [f"B-{kind}" for kind in types]
            inside = [f"I-{tags[-1][2:]}"] * 3 if tags[-1] != "O" else []
            tags.append(str(rng.choice(["O", *begins, *inside])))
        sentences.append([(str(rng.choice(WORDS)), tag) for tag in tags[1:]])
    return sentences


@pytest.fixture(scope="module")
def dense_file(tmp_path_factory):
    return conll_file(tmp_path_factory.mktemp("ner") / "dense.conll", random_sentences(0, 60))


@pytest.fixture(scope="module", params=["builtin", "file"])
def env(request, dense_file):
    if request.param == "builtin":
        return gymnasium.make(ID, reward="dense")
    return gymnasium.make(ID, reward="dense", dataset=dense_file, split="all")


def play(env, index, choose):
    """The tags chosen by ``choose(mask)``, the rewards, and the last info."""
    _, info = env.reset(options={"index": index})
    actions, rewards, done = [], [], False
    while not done:
        actions.append(choose(info.get("action_mask")))
        _, reward, done, _, info = env.step(actions[-1])
        rewards.append(reward)
    return [env.unwrapped.task.labels[a] for a in actions], rewards, info


def expected_counts(task, tags, gold):
    """From the definition of an entity, by type and in all."""
    guessed, true = Counter(entities(tags)), Counter(entities(gold))
    counts = {}
    for kind in task.types:
        chosen = [{e for e in found if e[0] == kind} for found in (guessed, true)]
        counts[f"{kind}/correct"] = len(chosen[0] & chosen[1])
        counts[f"{kind}/predicted"], counts[f"{kind}/gold"] = map(len, chosen)
    for name in ("correct", "predicted", "gold"):
        counts[name] = sum(counts[f"{kind}/{name}"] for kind in task.types)
    return counts


def expected_ratios(counts):
    correct, predicted, gold = counts["correct"], counts["predicted"], counts["gold"]
    if predicted == gold == 0:
        return {"precision": 1.0, "recall": 1.0, "f1": 1.0}
    return {
        "precision": correct / predicted if predicted else 0.0,
        "recall": correct / gold if gold else 0.0,
        "f1": 2 * correct / (predicted + gold),
    }


@settings(max_examples=200)
@given(index=st.integers(0, 59), seed=st.integers(0, 2**32 - 1), data=st.data())
def test_metrics_are_the_counts_of_entities_for_any_tags(env, index, seed, data):
    """Tags at random, or the gold ones with a few changed, so that many entities are right."""
    task = env.unwrapped.task
    gold = task.examples[index].tags
    rng = np.random.default_rng(seed)
    share = data.draw(st.sampled_from([0.0, 0.1, 0.3, 1.0]))
    tags = [t if rng.random() >= share else str(rng.choice(task.labels)) for t in gold]
    queue = iter(tags)
    played, rewards, info = play(env, index, lambda _: task.labels.index(next(queue)))
    assert played == tags
    counts = expected_counts(task, tags, gold)
    assert info["metrics"] == pytest.approx({**counts, **expected_ratios(counts)})
    assert info["metrics"].keys() == {*counts, "precision", "recall", "f1"}
    assert all(type(value) is float for value in info["metrics"].values())
    assert sum(rewards) == pytest.approx(info["metrics"]["f1"], abs=1e-12)
    assert info["text"] == " ".join(tags)


def test_the_potential_pays_an_entity_at_its_last_word(tmp_path):
    sentence = [("Ada", "B-A"), ("of", "I-A"), ("x", "O"), ("U.N.", "B-B")]
    dataset = conll_file(tmp_path / "one.conll", [sentence])
    env = gymnasium.make(ID, dataset=dataset, split="all", reward="dense", tokenizer="builtin")
    labels = env.unwrapped.task.labels
    assert labels == ("O", "B-A", "I-A", "B-B", "I-B")
    tags = iter(["B-A", "I-A", "I-A", "B-B"])
    _, rewards, _ = play(env, 0, lambda _: labels.index(next(tags)))
    # One begun; complete; taken back, as it goes on; the other one: 2 * 1 / (2 + 2).
    assert rewards == pytest.approx([0.0, 2 / 3, -2 / 3, 1 / 2])
    tags = iter(["O", "O", "O", "B-B"])
    assert play(env, 0, lambda _: labels.index(next(tags)))[1] == pytest.approx([0, 0, 0, 2 / 3])


def test_a_sentence_without_entities_is_right_when_left_alone(tmp_path):
    sentences = [[("of", "O"), ("(", "O")], [("Ada", "B-A")]]
    dataset = conll_file(tmp_path / "none.conll", sentences)
    env = gymnasium.make(ID, dataset=dataset, split="all", reward="dense", tokenizer="builtin")
    _, rewards, info = play(env, 0, lambda _: 0)
    assert rewards == [0.5, 0.5]
    assert (info["metrics"]["f1"], info["metrics"]["gold"]) == (1.0, 0.0)
    _, rewards, info = play(env, 0, lambda _: 1)
    assert rewards == [0.0, 0.0]
    assert info["metrics"]["predicted"] == 2.0


def report(predictions, golds, **options):
    table = classification_report(
        golds, predictions, output_dict=True, zero_division=0, digits=4, **options
    )
    scores = {}
    for kind, row in table.items():
        if kind not in ("macro avg", "weighted avg"):
            prefix = "" if kind == "micro avg" else f"{kind}/"
            scores |= {f"{prefix}{n}": float(row[m]) for n, m in SEQEVAL_NAMES.items()}
    return scores


SEQEVAL_NAMES = {"precision": "precision", "recall": "recall", "f1": "f1-score"}


@pytest.mark.parametrize("legal", [True, False])
def test_a_split_scores_as_seqeval_has_it(env, legal):
    """Illegal tags by its default mode, which is CoNLL's; legal ones by its strict mode too."""
    task = env.unwrapped.task
    rng = np.random.default_rng(0)
    predictions, golds, metrics = [], [], []
    for index in range(60):
        gold = iter(task.examples[index].tags)

        def choose(mask, gold=gold):
            right = task.labels.index(next(gold))
            choices = np.flatnonzero(mask) if legal else np.arange(len(task.labels))
            return right if rng.random() < 0.7 and right in choices else int(rng.choice(choices))

        tags, _, info = play(env, index, choose)
        predictions.append(tags)
        golds.append(list(task.examples[index].tags))
        metrics.append(info["metrics"])
    scores = env.unwrapped.aggregate_metrics(
        {name: np.array([m[name] for m in metrics]) for name in metrics[0]}
    )
    modes = [{}, {"mode": "strict", "scheme": IOB2}] if legal else [{}]
    for mode in modes:
        expected = report(predictions, golds, **mode)
        assert {name: scores[name] for name in expected} == pytest.approx(expected)
    assert 0.1 < scores["f1"] < 0.99
    assert set(scores) >= {f"{kind}/f1" for kind in task.types}


def test_the_mask_is_bio(env):
    task = env.unwrapped.task
    rng = np.random.default_rng(1)
    for index in range(30):
        _, info = env.reset(options={"index": index})
        previous, done = "O", False
        while not done:
            for label, legal in zip(task.labels, info["action_mask"], strict=True):
                inside = label.startswith("I-")
                assert legal == (not inside or previous in (f"B-{label[2:]}", label))
            action = int(rng.integers(len(task.labels)))
            _, _, done, _, info = env.step(action)
            previous = task.labels[action]


def test_unconstrained_every_tag_is_legal():
    env = gymnasium.make(ID, constrain=False, illegal_action="raise")
    _, info = env.reset(seed=0)
    assert info == {}
    assert env.unwrapped.action_masks().all()
    inside = env.unwrapped.task.labels.index("I-PER")
    assert "action_mask" not in env.step(inside)[4]


# What is shown, and when.


def word_piece(texts, clean=True):
    letters = sorted({c for text in texts for c in text.lower() if not c.isspace()} | set("eaouic"))
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "ada", "nai", *letters]
    pieces += [f"##{letter}" for letter in letters]
    vocabulary = {piece: i for i, piece in enumerate(dict.fromkeys(pieces))}
    backend = Backend(models.WordPiece(vocabulary, unk_token="[UNK]"))
    backend.normalizer = normalizers.BertNormalizer(lowercase=True, clean_text=clean)
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.decoder = decoders.WordPiece(prefix="##")
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, pad_token="[PAD]", unk_token="[UNK]", sep_token="[SEP]"
    )


def tokens_of_words(tokenizer, words):
    """By definition: the sentence is tokenized whole; a token is of the word that it covers."""
    sentence = " ".join(words)
    ids, offsets = tokenizer.encode(sentence)
    spans, start = [], 0
    for word in words:
        spans.append((start, start + len(word)))
        start += len(word) + 1
    pieces = [[] for _ in words]
    waiting = []  # a token of no character goes with what follows
    for token, (start, end) in zip(ids.tolist(), offsets.tolist(), strict=True):
        if start == end:
            waiting.append(token)
            continue
        (owner,) = [w for w, (first, last) in enumerate(spans) if first <= start < end <= last]
        pieces[owner] += [*waiting, token]
        waiting = []
    assert not waiting
    return pieces


@pytest.mark.parametrize("kind", ["builtin", "bpe", "bpe:258", "word piece"])
def test_words_are_shown_one_by_one_each_with_its_tokens(kind, tmp_path):
    sentences = random_sentences(3, 25)
    if kind == "builtin":
        env = gymnasium.make(ID, split="test")
    else:
        dataset = conll_file(tmp_path / "words.conll", sentences)
        tokenizer = word_piece(WORDS) if kind == "word piece" else kind
        env = gymnasium.make(ID, dataset=dataset, split="all", tokenizer=tokenizer)
    task = env.unwrapped.task
    tokenizer, pad = task.tokenizer, env.unwrapped.pad_token_id
    rng = np.random.default_rng(0)
    for index in range(25):
        words = task.examples[index].words
        pieces = tokens_of_words(tokenizer, words)
        ids = tokenizer.encode(" ".join(words)).ids.tolist()
        assert [token for piece in pieces for token in piece] == ids
        line_break = tokenizer.encode("\n").ids.tolist() or [tokenizer.eos_token_id]
        expected = ids + line_break + pieces[0]
        observation, _ = env.reset(options={"index": index})
        assert kind == "word piece" or tokenizer.decode(ids) == " ".join(words)
        for position in range(len(words)):
            assert observation.tolist() == expected + [pad] * (len(observation) - len(expected))
            action = int(rng.integers(env.action_space.n))
            observation, _, done, _, _ = env.step(action)
            expected.append(int(env.unwrapped.action_tokens[action]))
            assert done == (position == len(words) - 1)
            if not done:
                expected += pieces[position + 1]
        assert observation.tolist() == expected + [pad] * (len(observation) - len(expected))


def test_equal_prefixes_whatever_the_hidden_tags_are(tmp_path):
    """No observation depends on gold tags, nor on what has not been tagged yet."""
    first = [("Ada", "B-A"), ("of", "O"), ("x", "B-B")]
    second = [(word, tag) for (word, _), tag in zip(first, ["O", "B-B", "I-B"], strict=True)]
    dataset = conll_file(tmp_path / "twins.conll", [first, second])
    env = gymnasium.make(ID, dataset=dataset, split="all", tokenizer="builtin")
    rows = []
    for index in (0, 1, 0):  # played again after other tags were written into the same slot
        observation, _ = env.reset(options={"index": index})
        trace = [observation]
        for action in (0, 1, 3):
            trace.append(env.step(action)[0])
        rows.append(np.stack(trace))
        env.reset(options={"index": index})
        for _ in range(3):
            env.step(4)
    np.testing.assert_array_equal(rows[0], rows[1])
    np.testing.assert_array_equal(rows[0], rows[2])


@pytest.mark.parametrize("empty", [0, 1, 2, 3])
def test_a_word_that_becomes_no_token_is_still_tagged(empty, tmp_path):
    """BERT's cleaning takes a zero-width space away; its tag counts like any other."""
    words = ["ada", "o", "nai", "x"]
    words[empty] = "\u200b"
    tags = ["B-A", "I-A", "O", "B-A"]
    dataset = conll_file(tmp_path / "gone.conll", [list(zip(words, tags, strict=True))])
    env = gymnasium.make(ID, dataset=dataset, split="all", tokenizer=word_piece(["o", "x"]))
    assert len(env.unwrapped.task.tokenizer.encode("\u200b").ids) == 0
    row, _ = env.reset(options={"index": 0})
    pad = env.unwrapped.pad_token_id
    lengths, rewards = [int((row != pad).sum())], []
    for _ in words:
        row, reward, done, _, info = env.step(env.unwrapped.expert_action())
        lengths.append(int((row != pad).sum()))
        rewards.append(reward)
    assert done
    assert rewards == [0, 0, 0, 1]
    assert info["metrics"]["correct"] == 2.0
    grown = np.diff(lengths).tolist()  # a tag, and the next word if it has a token
    assert grown == [1 if word == empty else 2 for word in (1, 2, 3)] + [1]


def test_cut_sentences_keep_their_entities_in_the_counts(tmp_path):
    sentences = [
        [("ada", "B-A"), ("of", "I-A"), ("x", "O"), ("of", "B-B"), ("x", "I-B"), ("ada", "B-A")],
        [("of", "O"), ("x", "B-A"), ("x", "I-A"), ("x", "I-A")],
        [("x", "B-B")],
        [("ooooooooooooo", "B-A"), ("x", "O")],
    ]
    dataset = conll_file(tmp_path / "long.conll", sentences)
    options = {"dataset": dataset, "split": "all", "tokenizer": "bpe:258"}
    with pytest.warns(DatasetWarning) as caught:
        env = gymnasium.make(ID, max_prompt_tokens=12, **options)
    assert len(caught) == 1
    assert "of 4 examples" in str(caught[0].message)
    assert "2 sentences cut at max_prompt_tokens" in str(caught[0].message)
    task = env.unwrapped.task
    assert dict(task.shortfalls) == {"sentences cut at max_prompt_tokens": 2}
    metrics = []
    for index, kept in enumerate((4, 4, 1, 1)):
        gold = list(task.examples[index].tags)
        _, info = env.reset(options={"index": index})
        done, tags = False, []
        while not done:
            action = env.unwrapped.expert_action()
            tags.append(task.labels[action])
            _, _, done, _, info = env.step(action)
        assert tags == gold[:kept]
        counts = expected_counts(task, tags, gold)
        assert {name: info["metrics"][name] for name in counts} == counts
        assert info["metrics"]["f1"] == pytest.approx(expected_ratios(counts)["f1"])
        metrics.append(info["metrics"])
    # Cut in the middle of an entity: what is tagged of it is none that is there.
    assert metrics[0]["correct"] == 1.0
    assert metrics[0]["predicted"] == 2.0
    assert metrics[0]["gold"] == 3.0
    scores = env.unwrapped.aggregate_metrics(
        {name: np.array([m[name] for m in metrics]) for name in metrics[0]}
    )
    assert scores["recall"] == pytest.approx(4 / 6)
    prompt, _ = env.reset(options={"index": 3})
    shown = [token for token in prompt.tolist() if token != env.unwrapped.pad_token_id]
    assert task.tokenizer.decode(shown) == "o" * 11 + "\n" + "o" * 11


def test_a_file_without_entities_has_one_tag(tmp_path):
    dataset = conll_file(tmp_path / "o.conll", [[("of", "O")], [("x", "O"), ("(", "O")]])
    env = gymnasium.make(ID, dataset=dataset, split="all", tokenizer="builtin")
    assert env.action_space.n == 1
    assert play(env, 1, lambda _: 0)[2]["metrics"]["f1"] == 1.0


def test_there_may_be_more_types_than_a_byte_counts(tmp_path):
    sentences = [[("x", f"B-{kind:03}"), ("of", f"I-{kind:03}")] for kind in range(300)]
    dataset = conll_file(tmp_path / "types.conll", sentences)
    env = gymnasium.make(ID, dataset=dataset, split="all", tokenizer="builtin")
    assert len(env.unwrapped.task.types) == 300
    for index in (0, 127, 128, 255, 256, 299):
        env.reset(options={"index": index})
        env.step(env.unwrapped.expert_action())
        info = env.step(env.unwrapped.expert_action())[4]
        assert info["metrics"]["f1"] == info["metrics"][f"{index:03}/correct"] == 1.0


@pytest.mark.parametrize(
    ("sentences", "tags"),
    [
        (["Ada B-PER\nmet O\nBob B-PER\n", "In O\nRome B-LOC\nBob B-PER\n"], "O O B-PER"),
        (["Ada O\nmet O\nBob B-PER\n", "it O\nis O\n", "he O\nsat O\n"], "O O B-PER"),
        (["Ada O\nmet O\nBob O\n"], "O O O"),
    ],
)
def test_the_simple_rule_follows_the_data(sentences, tags, tmp_path):
    path = tmp_path / "data.conll"
    path.write_text("\n".join(sentences), "utf-8")
    env = gymnasium.make("TextNER-v0", dataset=str(path), split="all").unwrapped
    env.reset(options={"index": 0})
    done = False
    while not done:
        _, _, done, _, info = env.step(env.heuristic_action())
    assert info["text"] == tags
