"""The tasks, and how an environment gets one."""

from __future__ import annotations

import importlib
import inspect
import json
import os
from collections.abc import Mapping
from operator import attrgetter
from typing import Any
from weakref import WeakValueDictionary

from textenvs.errors import OptionError, unknown
from textenvs.tasks.base import Episode, Episodes, Slots, Task

TASKS = {
    "qa": "textenvs.tasks.qa:QATask",
    "qa_span": "textenvs.tasks.qa_span:QASpanTask",
    "ner": "textenvs.tasks.ner:NERTask",
    "summarization": "textenvs.tasks.summarization:SummarizationTask",
    "dialogue": "textenvs.tasks.dialogue:dialogue_task",
}
"""The name of each task, and where its class is, or a function of the options that chooses it."""

_shared: WeakValueDictionary[str, Task] = WeakValueDictionary()


def build_task(name: str, **options: Any) -> Task:
    """A task. Tasks never change, so equal options give the same object in a process.

    Args:
        name: A name among `TASKS`, or ``"module:Class"``: one of your own.
        **options: The keyword arguments of its class.

    Raises:
        OptionError: There is no such task, or it has no such option.
    """
    cls = _task_class(name, options)
    known = _options_of(cls)
    for option in options:
        if option not in known:
            raise unknown(f"option of task {name!r}", option, known)
    try:
        key = json.dumps([name, options, os.getcwd()], sort_keys=True)
    except TypeError:  # an option that is an object, such as a tokenizer
        return _build(cls, name, options)
    task = _shared.get(key)
    if task is None:
        task = _shared[key] = _build(cls, name, options)
    return task


def _task_class(name: str, options: Mapping[str, Any]) -> type[Task]:
    if name not in TASKS and ":" not in name:
        raise unknown("task", name, [*TASKS, "module:Class"])
    module, _, attribute = TASKS.get(name, name).partition(":")
    try:
        found = attrgetter(attribute)(importlib.import_module(module))
    except (ImportError, AttributeError) as error:
        raise OptionError(
            f"task {name!r}: expected 'module:Class', an importable subclass of textenvs.Task: "
            f"{error}"
        ) from error
    if name in TASKS and not isinstance(found, type):
        found = found(options)
    if not (isinstance(found, type) and issubclass(found, Task)):
        raise OptionError(f"task {name!r}: expected a subclass of textenvs.Task, got {found!r}")
    return found


def _build(cls: type[Task], name: str, options: dict[str, Any]) -> Task:
    task = cls(**options)
    task.name, task.options = name, options
    return task


def _options_of(cls: type[Task]) -> list[str]:
    """The keyword arguments of a class's constructor and of those that it hands the rest to."""
    return [
        parameter.name
        for base in cls.__mro__
        if "__init__" in vars(base) and issubclass(base, Task)
        for parameter in inspect.signature(base.__init__).parameters.values()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY
    ]


__all__ = ["TASKS", "Episode", "Episodes", "Slots", "Task", "build_task"]
