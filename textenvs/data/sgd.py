"""Recorded dialogues in the JSON format of the Schema-Guided Dialogue data."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from textenvs.data.examples import DialogueExample
from textenvs.data.faults import Faults, checked, checked_text, fault, short
from textenvs.data.files import OnError, read_text
from textenvs.errors import DatasetError

_SPEAKERS = {"USER": True, "SYSTEM": False}


def read_sgd(path: str | Path, *, on_error: OnError = "raise") -> list[DialogueExample]:
    """Read a file of dialogues of the Schema-Guided Dialogue data.

    Who speaks and what is said is read, the annotation is not. Turns are put in pairs by
    `pair_turns`.

    Args:
        path: A JSON file, ``[{"dialogue_id", "turns": [{"speaker", "utterance"}]}]``.
        on_error: ``"raise"``, or ``"skip"`` to leave out each dialogue that breaks the format and
            say how many, once, with a `DatasetWarning`.

    Returns:
        The dialogues in the order of the file.

    Raises:
        DatasetError: The file breaks the format (with file, dialogue, turn, field, what was
            expected and what came), or has no dialogues.
        OptionError: An unknown `on_error`.

    Source: Rastogi et al. 2020.
    """
    path = Path(path)
    faults = Faults(str(path), on_error)
    examples: dict[str, DialogueExample] = {}
    for number, record in enumerate(_load(path)):
        try:
            example = _dialogue(record, f"{path}: [{number}]")
            if example.id in examples:
                expected = "an id that no other dialogue has"
                raise fault(f"{path}: [{number}].dialogue_id", expected, repr(example.id))
        except DatasetError as error:
            faults.add(error)
        else:
            examples[example.id] = example
    faults.report(len(examples), "a list of dialogues")
    return list(examples.values())


def pair_turns(turns: Iterable[tuple[bool, str]]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The user's turns, and the system's answer to each.

    Consecutive turns of one speaker become one. Left out is what cannot be scored as an answer:
    what the system says before the user has spoken, and a last turn of the user's without answer.

    >>> pair_turns([(True, "Hi."), (True, "A table?"), (False, "For when?"), (True, "Oh.")])
    (('Hi. A table?',), ('For when?',))

    Args:
        turns: For each turn whether the user speaks, and what is said.
    """
    joined: list[list[str]] = []  # the user's and the system's turns alternate
    user_spoke = False
    for by_user, text in turns:
        if joined and by_user == user_spoke:
            joined[-1].append(text)
        elif by_user or joined:
            joined.append([text])
            user_spoke = by_user
    texts = list(map(" ".join, joined))
    system = tuple(texts[1::2])
    return tuple(texts[::2][: len(system)]), system


def _load(path: Path) -> list[object]:
    text = read_text(path)
    try:
        root = json.loads(text)
    except json.JSONDecodeError as error:
        place = f"{path}:{error.lineno}:{error.colno}"
        raise DatasetError(f"{place}: expected JSON: {error.msg}") from error
    except (RecursionError, ValueError) as error:
        raise DatasetError(f"{path}: expected JSON of dialogues: {error}") from error
    return checked(root, list, f"{path}: the file")


def _dialogue(record: object, where: str) -> DialogueExample:
    fields = checked(record, dict, where)
    if "service_name" in fields and "turns" not in fields:
        got = "a service of a schema; the dialogues are in files of their own (dialogues_001.json)"
        raise fault(where, "a dialogue", got)
    name = checked_text(_field(fields, "dialogue_id", where), f"{where}.dialogue_id")
    where = f"{where} (dialogue {name!r})"
    turns = checked(_field(fields, "turns", where), list, f"{where}: turns")
    spoken = [_turn(turn, f"{where}: turns[{number}]") for number, turn in enumerate(turns)]
    user, system = pair_turns(spoken)
    if not system:
        got = ", ".join("USER" if by_user else "SYSTEM" for by_user, _ in spoken) or "none"
        raise fault(f"{where}: turns", "a turn of the user's that the system answers", got)
    return DialogueExample(id=name, user=user, system=system)


def _turn(record: object, where: str) -> tuple[bool, str]:
    fields = checked(record, dict, where)
    speaker = _field(fields, "speaker", where)
    if not isinstance(speaker, str) or speaker not in _SPEAKERS:
        raise fault(f"{where}.speaker", "'USER' or 'SYSTEM'", short(speaker))
    utterance = _field(fields, "utterance", where)
    return _SPEAKERS[speaker], checked_text(utterance, f"{where}.utterance")


def _field(fields: dict[str, object], name: str, where: str) -> object:
    if name not in fields:
        known = ", ".join(map(repr, fields)) or "no fields"
        raise fault(where, f"a field {name!r}", known)
    return fields[name]
