from __future__ import annotations

import os
from pathlib import Path

import evaluate
import pytest

import textenvs.metrics
from textenvs.errors import OptionError
from textenvs.metrics.entities import entity_scores
from textenvs.metrics.squad import squad_scores

PACKAGE = Path(textenvs.metrics.__file__).parent


@pytest.fixture(autouse=True)
def _offline() -> None:
    assert os.environ["HF_HUB_OFFLINE"] == "1"


@pytest.mark.parametrize("how", ["name", "folder", "file"])
def test_squad_f1(how: str) -> None:
    metric = load("squad_f1", how)
    predictions, references = ["the cat", "", "x"], [["cat", "dog"], [], ["y z"]]
    scores = metric.compute(predictions=predictions, references=references)
    assert scores == squad_scores(predictions, references)


@pytest.mark.parametrize("how", ["name", "folder", "file"])
def test_entity_f1(how: str) -> None:
    metric = load("entity_f1", how)
    predictions = [["B-PER", "I-PER", "O"], ["O"]]
    references = [["B-PER", "O", "O"], ["B-LOC"]]
    for guess, truth in zip(predictions, references, strict=True):
        metric.add(prediction=guess, reference=truth)
    assert metric.compute() == entity_scores(predictions, references)


def load(name: str, how: str) -> evaluate.Metric:
    if how == "name":
        return textenvs.metrics.load(name)
    path = PACKAGE / name
    return evaluate.load(str(path if how == "folder" else path / f"{name}.py"))


def test_unknown_metric() -> None:
    with pytest.raises(OptionError, match="unknown metric 'squad': did you mean 'squad_f1'"):
        textenvs.metrics.load("squad")
