"""SQuAD exact match and F1 as an `evaluate` module: ``textenvs.metrics.load("squad_f1")``."""

from __future__ import annotations

from typing import Any

import datasets
import evaluate

from textenvs.metrics.squad import squad_scores

_CITATION = """\
@inproceedings{rajpurkar-etal-2018-know,
  title = "Know What You Don't Know: Unanswerable Questions for {SQ}u{AD}",
  author = "Rajpurkar, Pranav and Jia, Robin and Liang, Percy",
  booktitle = "Proceedings of ACL (Short Papers)",
  year = "2018",
}
"""

_INPUTS = """
Args:
    predictions: An answer for each question, "" where the passage has none.
    references: For each question the list of its reference answers, empty where there is none.
Returns:
    exact_match, f1: Means over the questions, in [0, 1]. If some questions have no reference, also
    HasAns_exact_match, HasAns_f1, NoAns_exact_match, NoAns_f1.
"""


class SquadF1(evaluate.Metric):  # type: ignore[misc]  # evaluate has no types
    """Exact match and F1 by the rules of SQuAD 1.1 and 2.0, as fractions."""

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description="Exact match and F1 of answers, by the rules of SQuAD 1.1 and 2.0.",
            citation=_CITATION,
            inputs_description=_INPUTS,
            features=datasets.Features(
                {
                    "predictions": datasets.Value("string"),
                    "references": datasets.Sequence(datasets.Value("string")),
                }
            ),
        )

    def _compute(self, predictions: Any, references: Any) -> dict[str, float]:
        return squad_scores(predictions, references)
