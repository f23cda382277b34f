"""The examples that tasks are made of: plain, frozen, independent of any tokenizer."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class QAExample:
    """A question about a passage.

    Attributes:
        id: Unique within its data set.
        passage: The text to read.
        question: What is asked of it.
        answers: The reference answers; none means that the passage does not answer the question.
        answer_starts: For each answer, the offset in characters at which it stands in the passage.
    """

    id: str
    passage: str
    question: str
    answers: tuple[str, ...]
    answer_starts: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class NERExample:
    """A sentence of words, each with its BIO tag (``"O"``, ``"B-PER"``, ``"I-PER"``, ...).

    Attributes:
        id: Unique within its data set.
        words: The words, as the data set separates them.
        tags: One BIO tag a word; an entity begins with ``B-``.
    """

    id: str
    words: tuple[str, ...]
    tags: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SummaryExample:
    """A document and what it says in short.

    Attributes:
        id: Unique within its data set.
        document: The text to summarise.
        summaries: The reference summaries, at least one.
    """

    id: str
    document: str
    summaries: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class DialogueExample:
    """A recorded dialogue between a user, who speaks first, and a system.

    Attributes:
        id: Unique within its data set.
        user: What the user says before each of the system's turns; at least one turn.
        system: What the system answers, one turn for each of the user's.
    """

    id: str
    user: tuple[str, ...]
    system: tuple[str, ...]
