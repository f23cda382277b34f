"""The tasks, and how an environment gets one."""

from __future__ import annotations

import importlib
import inspect
import json
import os
from typing import Any
from weakref import WeakValueDictionary

from textenvs.errors import unknown
from textenvs.tasks.base import Episode, Episodes, Slots, Task

TASKS = {
    "qa": "textenvs.tasks.qa:QATask",
    "qa_span": "textenvs.tasks.qa_span:QASpanTask",
    "ner": "textenvs.tasks.ner:NERTask",
}
"""The name of each task, and where its class is."""

_shared: WeakValueDictionary[str, Task] = WeakValueDictionary()


def build_task(name: str, **options: Any) -> Task:
    """A task by name. Tasks never change, so equal options give the same object in a process.

    Raises:
        OptionError: There is no such task, or it has no such option.
    """
    if name not in TASKS:
        raise unknown("task", name, TASKS)
    module, _, attribute = TASKS[name].partition(":")
    cls: type[Task] = getattr(importlib.import_module(module), attribute)
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
