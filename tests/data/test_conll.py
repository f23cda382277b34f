from __future__ import annotations

import warnings
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from textenvs.data.conll import SCHEMES, detect_scheme, read_conll, to_bio
from textenvs.data.examples import NERExample
from textenvs.errors import DatasetError, DatasetWarning, OptionError

BIO = ("B-PER", "I-PER", "O", "B-LOC", "B-LOC")


def write(folder: Path, text: str) -> Path:
    path = folder / "sample.conll"
    path.write_bytes(text.encode("utf-8"))
    return path


def read(folder: Path, text: str) -> list[tuple[tuple[str, ...], tuple[str, ...]]]:
    return [(e.words, e.tags) for e in read_conll(write(folder, text))]


@pytest.mark.parametrize(
    "text",
    [
        "Ada\tO\nLee\tB-PER\n\nof\tO\n",
        "Ada\tO\nLee\tB-PER\n\t\n\n\nof\tO\n\n",
        "Ada O\nLee B-PER\n \nof O",
        "\ufeffAda O\r\nLee B-PER\r\n\r\nof O\r\n",
        "Ada O\rLee B-PER\r\rof O\r",
        "-DOCSTART- -X- O O\n\nAda NN x O\nLee  NN  x  B-PER\n-DOCSTART- O\nof IN x O\n",
        "# id 1\tdomain=dev\n# text = Ada\n#\nAda _ O\nLee _ B-PER\n\n#begin document x\nof _ O",
    ],
)
def test_layouts(tmp_path: Path, text: str) -> None:
    assert read(tmp_path, text) == [(("Ada", "Lee"), ("O", "B-PER")), (("of",), ("O",))]


def test_ids_are_file_and_line(tmp_path: Path) -> None:
    path = write(tmp_path, "# c\nAda\tO\n\nLee\tO\n")
    assert read_conll(path) == [
        NERExample("sample.conll:2", ("Ada",), ("O",)),
        NERExample("sample.conll:4", ("Lee",), ("O",)),
    ]


@pytest.mark.parametrize(
    "word",
    [
        "#",
        "# x",
        "#tag",
        "\u200b",
        "\xa0",
        "\u3000",
        "\u2028",
        "\x85",
        "a\u2028b",
        "\ufeff",
        " ",
        ",",
    ],
)
def test_odd_words_between_tabs(tmp_path: Path, word: str) -> None:
    assert read(tmp_path, f"a\tB-X\n{word}\tI-X\n") == [(("a", word), ("B-X", "I-X"))]


def test_hash_words_between_spaces(tmp_path: Path) -> None:
    assert read(tmp_path, "# O\na\xa0b B-X\n#x I-X\n") == [
        (("#", "a\xa0b", "#x"), ("O", "B-X", "I-X"))
    ]


@pytest.mark.parametrize(
    ("scheme", "tags"),
    [
        ("BIO", list(BIO)),
        ("IOB1", ["I-PER", "I-PER", "O", "I-LOC", "B-LOC"]),
        ("IOBES", ["B-PER", "E-PER", "O", "S-LOC", "S-LOC"]),
        ("BILOU", ["B-PER", "L-PER", "O", "U-LOC", "U-LOC"]),
    ],
)
def test_schemes(tmp_path: Path, scheme: str, tags: list[str]) -> None:
    assert detect_scheme([["O"], tags]) == scheme
    assert to_bio(tags, scheme) == list(BIO)
    lines = "".join(f"w\t{tag}\n" for tag in tags)
    assert read(tmp_path, lines) == [(("w",) * 5, BIO)]


spans = st.lists(st.tuples(st.sampled_from(["O", "PER", "LOC"]), st.integers(1, 4)), min_size=1)


def tags_of(chunks: list[tuple[str, int]], scheme: str) -> list[str]:
    """An independent writer of each scheme."""
    tags: list[str] = []
    for kind, length in chunks:
        if kind == "O":
            tags += ["O"] * length
        elif scheme == "BIO":
            tags += [f"B-{kind}"] + [f"I-{kind}"] * (length - 1)
        elif scheme == "IOB1":
            touches = bool(tags) and tags[-1].endswith(f"-{kind}")
            tags += [f"{'B' if touches else 'I'}-{kind}"] + [f"I-{kind}"] * (length - 1)
        else:
            single, last = ("S", "E") if scheme == "IOBES" else ("U", "L")
            middle = [f"I-{kind}"] * (length - 2)
            tags += (
                [f"{single}-{kind}"] if length == 1 else [f"B-{kind}", *middle, f"{last}-{kind}"]
            )
    return tags


@given(spans, st.sampled_from(sorted(SCHEMES)))
def test_any_scheme_becomes_the_same_bio(chunks: list[tuple[str, int]], scheme: str) -> None:
    assert to_bio(tags_of(chunks, scheme), scheme) == tags_of(chunks, "BIO")


@given(st.lists(spans, min_size=1), st.sampled_from(sorted(SCHEMES)))
def test_detection_reads_rightly(sentences: list[list[tuple[str, int]]], scheme: str) -> None:
    written = [tags_of(chunks, scheme) for chunks in sentences]
    found = detect_scheme(written)
    assert [to_bio(tags, found) for tags in written] == [tags_of(s, "BIO") for s in sentences]


NO_TAG = "2: expected a tag ('O', or a prefix and a type such as 'B-PER') in the last column, got "
FAULTS = {
    "x B-PER\nAda\n": "2: expected a word and a tag ('O', or a prefix and a type such as 'B-PER') "
    "between tabs or spaces, got ['Ada']",
    "x\tO\nNew\tYork\tB-LOC\n": "2: expected 2 columns, as in line 1, got 3: "
    "['New', 'York', 'B-LOC']",
    "x\tO\n\tB-LOC\n": "2: expected a word in the first column, got none: ['', 'B-LOC']",
    "x\tO\ny\tPER\n": NO_TAG + "'PER'",
    "x\tO\ny\t\n": NO_TAG + "''",
    "x\tO\ny\tB-\n": NO_TAG + "'B-'",
    "x\tO\n#y\tfoo\n": NO_TAG + "'foo'",
}


@pytest.mark.parametrize("text", FAULTS)
def test_fault_is_named_or_skipped(tmp_path: Path, text: str) -> None:
    path = write(tmp_path, text + "\nrest\tO\n" if "\t" in text else text + "\nrest O\n")
    with pytest.raises(DatasetError) as caught:
        read_conll(path)
    assert str(caught.value) == f"{path}:{FAULTS[text]}"
    with pytest.warns(DatasetWarning) as warned:
        examples = read_conll(path, on_error="skip")
    assert [e.words for e in examples] == [("rest",)]
    assert [str(w.message) for w in warned] == [
        f"{path}: left out 1 sentences with a malformed line; the first: line {FAULTS[text]}"
    ]


def test_two_schemes_in_one_file(tmp_path: Path) -> None:
    path = write(tmp_path, "x\tS-PER\n\ny\tO\nz\tL-PER\n")
    with pytest.raises(DatasetError) as caught:
        read_conll(path)
    assert str(caught.value) == (
        f"{path}:4: expected the tags of one scheme, got 'S-PER' (IOBES) and 'L-PER' (BILOU)"
    )


def test_liberal_reading_is_counted_and_said_once(tmp_path: Path) -> None:
    path = write(tmp_path, "a\tB-X,B-Y\nb\tI-Y,I-X\nc\tO\nd\tI-Y\ne\tB-Y\n")
    with pytest.warns(DatasetWarning) as warned:
        examples = read_conll(path)
    assert examples[0].tags == ("B-X", "I-X", "O", "B-Y", "B-Y")
    assert [str(w.message) for w in warned] == [
        f"{path}: read 2 tags of several labels as one; the first: line 1, 'B-X,B-Y' as 'B-X'. "
        "read 1 I- tags that continue no entity as B-; the first: line 4, 'I-Y'"
    ]


@pytest.mark.parametrize("text", ["\n \n", "# only a comment\n", "-DOCSTART- O\n"])
def test_no_sentences(tmp_path: Path, text: str) -> None:
    with pytest.raises(DatasetError, match=r"the file is empty|expected sentences of tagged words"):
        read_conll(write(tmp_path, text))


def test_nothing_left_after_skipping(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="got none; the first malformed line: line 1: expected"):
        read_conll(write(tmp_path, "x\n"), on_error="skip")


def test_to_bio_refuses_foreign_tags() -> None:
    with pytest.raises(DatasetError, match="tag 1: expected a tag of BIO, got 'E-PER'"):
        to_bio(["B-PER", "E-PER"], "BIO")
    with pytest.raises(OptionError, match="unknown tagging scheme 'BIOS': did you mean 'BIO'"):
        to_bio(["O"], "BIOS")


COUNTS = {"train": (3394, 62730, 1975), "dev": (1009, 15733, 836), "test": (1287, 23394, 990)}


@pytest.mark.parametrize("split", COUNTS)
def test_real_files(shared_data: Path, split: str) -> None:
    path = shared_data / "conll" / f"wnut17.{split}.conll"
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        examples = read_conll(path)
    messages = [str(w.message) for w in caught]
    if split == "test":
        assert len(messages) == 1
        assert "read 297 tags of several labels as one" in messages[0]
        assert "read 17 I- tags that continue no entity as B-" in messages[0]
    else:
        assert messages == []
    tags = [tag for e in examples for tag in e.tags]
    assert (len(examples), len(tags), sum(t[0] == "B" for t in tags)) == COUNTS[split]
    words = [word for e in examples for word in e.words]
    lines = [line for line in path.read_bytes().decode().split("\n") if line.strip()]
    assert words == [line.split("\t")[0] for line in lines]
    assert [tag == "O" for tag in tags] == [line.endswith("\tO") for line in lines]
