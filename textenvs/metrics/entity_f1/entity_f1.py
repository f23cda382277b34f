"""CoNLL entity F1 as an `evaluate` module: ``textenvs.metrics.load("entity_f1")``."""

from __future__ import annotations

from typing import Any

import datasets
import evaluate

from textenvs.metrics.entities import entity_scores

_CITATION = """\
@inproceedings{tjong-kim-sang-de-meulder-2003-introduction,
  title = "Introduction to the {C}o{NLL}-2003 Shared Task: Language-Independent Named Entity
           Recognition",
  author = "Tjong Kim Sang, Erik F. and De Meulder, Fien",
  booktitle = "Proceedings of CoNLL at HLT-NAACL",
  year = "2003",
}
"""

_INPUTS = """
Args:
    predictions: For each sentence the list of its BIO tags.
    references: The same for the truth.
Returns:
    precision, recall, f1: Micro-averaged over entities, in [0, 1]. And for each type a dict of
    these and of support, the number of reference entities.
"""


class EntityF1(evaluate.Metric):  # type: ignore[misc]  # evaluate has no types
    """Micro-averaged precision, recall and F1 of entities by the CoNLL rules."""

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description="Precision, recall and F1 of named entities, by the CoNLL rules.",
            citation=_CITATION,
            inputs_description=_INPUTS,
            features=datasets.Features(
                {
                    "predictions": datasets.Sequence(datasets.Value("string")),
                    "references": datasets.Sequence(datasets.Value("string")),
                }
            ),
        )

    def _compute(self, predictions: Any, references: Any) -> dict[str, float | dict[str, float]]:
        return entity_scores(predictions, references)
