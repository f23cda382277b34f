"""What the examples of each task are made of, when they come as records with named columns."""

from __future__ import annotations

import warnings
from collections.abc import Mapping

from textenvs.data.conll import TAG, TAG_EXAMPLE, as_bio
from textenvs.data.examples import DialogueExample, NERExample, QAExample, SummaryExample
from textenvs.data.faults import checked_text, fault, kind, short
from textenvs.data.schema import ID, Cells, Field, Schema
from textenvs.data.sgd import pair_turns
from textenvs.data.squad import checked_start
from textenvs.errors import DatasetError, DatasetWarning

__all__ = [
    "ASKED_DIALOGUE",
    "ASKED_NER",
    "ASKED_QA",
    "ASKED_SUMMARY",
    "DIALOGUE_SCHEMA",
    "NER_SCHEMA",
    "QA_SCHEMA",
    "SUMMARY_SCHEMA",
]


def _question(cells: Cells) -> QAExample:
    passage = cells.text("passage")
    answers = _answers(cells, passage)
    return QAExample(
        id=cells.id,
        passage=passage,
        question=cells.text("question"),
        answers=tuple(text for text, _ in answers),
        answer_starts=tuple(start for _, start in answers),
    )


def _answers(cells: Cells, passage: str) -> list[tuple[str, int]]:
    """The answers and where they stand in the passage: where it is said, else where they first do.

    A cell holds a text, a list of them, a list of ``{"text", "answer_start"}``, or one of these
    whose values are lists, as SQuAD has them on the Hub.
    """
    answers = cells.value("answers")
    if isinstance(answers, Mapping):
        texts, starts = _both_lists(cells, answers)
    else:
        texts, starts = cells.items("answers"), cells.items("answer_starts")
        if any(isinstance(text, Mapping) for text in texts):
            records = [_mapping(cells, "answers", text) for text in texts]
            starts = [record.get("answer_start") for record in records]
            texts = [record.get("text") for record in records]
    if starts and len(starts) != len(texts):
        raise fault(
            cells.place("answer_starts" if not isinstance(answers, Mapping) else "answers"),
            f"an offset for each of {len(texts)} answers",
            f"{len(starts)}",
        )
    place = cells.place("answers")
    located = []
    for text, start in zip(texts, starts or [None] * len(texts), strict=True):
        answer = checked_text(text, place)
        if isinstance(start, str) and start.isdecimal():  # all that a cell of a CSV file can hold
            start = int(start)
        if start is None:
            start = passage.find(answer)
            if start < 0:
                raise fault(place, "a text that stands in the passage", short(answer))
        located.append((answer, checked_start(passage, answer, start, place)))
    return located


def _both_lists(cells: Cells, answers: Mapping[str, object]) -> tuple[list[object], list[object]]:
    texts, starts = answers.get("text"), answers.get("answer_start")
    if isinstance(texts, str):
        texts = [texts]
    if not isinstance(texts, (list, tuple)):
        raise cells.fault("answers", "a list under 'text'", answers)
    if isinstance(starts, int):
        starts = [starts]
    if not isinstance(starts, (list, tuple)):
        if starts is not None:
            raise cells.fault("answers", "a list under 'answer_start'", answers)
        starts = []
    return list(texts), list(starts)


def _mapping(cells: Cells, name: str, value: object) -> Mapping[str, object]:
    if not isinstance(value, Mapping):
        raise cells.fault(name, kind(dict), value)
    return value


QA_SCHEMA = Schema(
    fields={
        "id": ID,
        "passage": Field(("passage", "context")),
        "question": Field(("question",)),
        "answers": Field(("answers", "answer"), several=True),
        "answer_starts": Field(("answer_starts", "answer_start"), required=False, several=True),
    },
    build=_question,
)
"""Questions: the ``answers`` are text that stands in the ``passage``; none, an empty list or an
empty cell say that it does not answer the question."""

ASKED_QA = Schema(
    fields={name: QA_SCHEMA.fields[name] for name in ("id", "passage", "question")},
    build=lambda cells: QAExample(
        cells.id, cells.text("passage"), cells.text("question"), answers=(), answer_starts=()
    ),
)
"""Questions without answers."""


def _sentence(cells: Cells) -> NERExample:
    words, tags = _separated(cells, "words"), _separated(cells, "tags")
    if not words:
        raise fault(cells.place("words"), "words", "none")
    if len(tags) != len(words):
        raise fault(cells.place("tags"), f"a tag for each of {len(words)} words", f"{len(tags)}")
    return NERExample(
        id=cells.id,
        words=tuple(checked_text(word, cells.place("words")) for word in words),
        tags=tuple(_tag(cells, tag) for tag in tags),
    )


def _separated(cells: Cells, name: str) -> list[object]:
    """A list; a text is divided at its spaces."""
    value = cells.value(name)
    if isinstance(value, str):
        return [part for part in value.split(" ") if part]
    if not isinstance(value, (list, tuple)):
        raise cells.fault(name, "a list, or text with spaces between", value)
    return list(value)


def _tag(cells: Cells, tag: object) -> str:
    if isinstance(tag, int) and not isinstance(tag, bool):
        names = cells.classes("tags")
        if not names:
            expected = f"{TAG_EXAMPLE}; a number is one only where the data set names its classes"
            raise cells.fault("tags", expected, tag)
        if not 0 <= tag < len(names):
            raise fault(cells.place("tags"), f"a class from 0 to {len(names) - 1}", tag)
        tag = names[tag]
    if not isinstance(tag, str) or not TAG.fullmatch(tag):
        raise cells.fault("tags", TAG_EXAMPLE, tag)
    return tag


def _in_bio(examples: list[NERExample], source: str) -> list[NERExample]:
    """Rewrite tags of any scheme, which only the whole data set shows, in BIO."""
    try:
        sequences, repaired = as_bio([example.tags for example in examples])
    except DatasetError as error:
        raise DatasetError(f"{source}: {error}") from error
    if repaired:
        sentence, word = repaired[0]
        first = examples[sentence]
        warnings.warn(
            f"{source}: read {len(repaired)} I- tags that continue no entity as B-; the first: "
            f"{first.tags[word]!r} of {first.words[word]!r} in {first.id!r}",
            DatasetWarning,
            stacklevel=2,
        )
    return [
        NERExample(example.id, example.words, tuple(tags))
        for example, tags in zip(examples, sequences, strict=True)
    ]


NER_SCHEMA = Schema(
    fields={
        "id": ID,
        "words": Field(("words", "tokens")),
        "tags": Field(("tags", "ner_tags", "labels")),
    },
    build=_sentence,
    finish=_in_bio,
)
"""Tagged sentences: ``words`` and ``tags`` are lists, or text with spaces between; tags of the
schemes that `read_conll` reads, or classes of a Hugging Face data set that are such tags."""


def _untagged(cells: Cells) -> NERExample:
    words = tuple(checked_text(word, cells.place("words")) for word in _separated(cells, "words"))
    if not words:
        raise fault(cells.place("words"), "words", "none")
    return NERExample(cells.id, words, tags=("O",) * len(words))


ASKED_NER = Schema(
    fields={
        "id": ID,
        "words": Field((*NER_SCHEMA.fields["words"].columns, "text", "sentence")),
    },
    build=_untagged,
)
"""Sentences without tags."""


def _summary(cells: Cells) -> SummaryExample:
    place = cells.place("summaries")
    summaries = tuple(checked_text(text, place) for text in cells.items("summaries"))
    if not summaries:
        raise fault(place, "a summary", "none")
    return SummaryExample(id=cells.id, document=cells.text("document"), summaries=summaries)


SUMMARY_SCHEMA = Schema(
    fields={
        "id": ID,
        "document": Field(("document", "dialogue", "article", "text")),
        "summaries": Field(("summaries", "summary", "highlights"), several=True),
    },
    build=_summary,
)
"""Documents: the ``summaries`` are text, a list of texts, or several columns."""

ASKED_SUMMARY = Schema(
    fields={name: SUMMARY_SCHEMA.fields[name] for name in ("id", "document")},
    build=lambda cells: SummaryExample(cells.id, cells.text("document"), summaries=("",)),
)
"""Documents without summaries."""

_USER = {"user", "human", "customer"}
_SYSTEM = {"system", "assistant", "agent", "bot", "gpt"}
_SPEAKER_KEYS = ("speaker", "role", "from")
_TEXT_KEYS = ("utterance", "text", "content", "value")


def _dialogue(cells: Cells) -> DialogueExample:
    user, system = pair_turns(_turns(cells))
    if not system:
        raise fault(cells.place("turns"), "a turn of the user and one of the system", "none")
    return DialogueExample(cells.id, user, system)


def _turns(cells: Cells) -> list[tuple[bool, str]]:
    """Each turn: whether the user speaks, and what is said."""
    turns, place = cells.value("turns"), cells.place("turns")
    if not isinstance(turns, (list, tuple)):
        raise cells.fault("turns", "a list of turns", turns)
    if not any(isinstance(turn, Mapping) for turn in turns):
        return [(i % 2 == 0, checked_text(turn, f"{place}[{i}]")) for i, turn in enumerate(turns)]
    spoken = []
    for i, turn in enumerate(turns):
        record = _mapping(cells, "turns", turn)
        speaker = _either(record, _SPEAKER_KEYS, f"{place}[{i}]").strip().lower()
        if speaker not in _USER | _SYSTEM:
            known = ", ".join(sorted(_USER | _SYSTEM))
            raise fault(f"{place}[{i}]", f"a speaker among {known}", repr(speaker))
        spoken.append((speaker, _either(record, _TEXT_KEYS, f"{place}[{i}]")))
    # Where an assistant answers, what the system says is an instruction, given with the request.
    instructed = any(speaker == "assistant" for speaker, _ in spoken)
    return [
        (speaker in _USER or (instructed and speaker == "system"), text) for speaker, text in spoken
    ]


def _either(turn: Mapping[str, object], keys: tuple[str, ...], place: str) -> str:
    for key in keys:
        if key in turn:
            return checked_text(turn[key], f"{place}.{key}")
    known = ", ".join(map(repr, turn)) or "none"
    raise fault(place, f"a field {' or '.join(map(repr, keys))}", known)


DIALOGUE_SCHEMA = Schema(
    fields={
        "id": Field(("id", "dialogue_id"), required=False),
        "turns": Field(("turns", "dialogue", "messages", "conversations"), several=True),
    },
    build=_dialogue,
)
"""Dialogues: the ``turns`` are texts, the user's and the system's in turn, or objects with a
speaker and a text, such as ``{"role": "user", "content": "Hello"}``; they are put in pairs by
`pair_turns`."""


def _asked_turns(cells: Cells) -> DialogueExample:
    place = cells.place("turns")
    user = tuple(checked_text(turn, place) for turn in cells.items("turns"))
    if not user:
        raise fault(place, "a turn of the user", "none")
    return DialogueExample(cells.id, user, system=("",) * len(user))


ASKED_DIALOGUE = Schema(
    fields={
        "id": DIALOGUE_SCHEMA.fields["id"],
        "turns": Field(("turns", "user", "text"), several=True),
    },
    build=_asked_turns,
)
"""What users say, one turn or a list of them, without what a system answered."""
