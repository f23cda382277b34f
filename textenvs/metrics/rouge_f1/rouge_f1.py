"""ROUGE F1 of summaries as an `evaluate` module: ``textenvs.metrics.load("rouge_f1")``."""

from __future__ import annotations

from typing import Any

import datasets
import evaluate

from textenvs.metrics.rouge import rouge_scores

_CITATION = """\
@inproceedings{lin-2004-rouge,
  title = "{ROUGE}: A Package for Automatic Evaluation of Summaries",
  author = "Lin, Chin-Yew",
  booktitle = "Text Summarization Branches Out",
  year = "2004",
}
"""

_INPUTS = """
Args:
    predictions: A summary of each document; ROUGE-Lsum takes its lines for sentences.
    references: For each document the list of its reference summaries, at least one.
Returns:
    rouge1, rouge2, rougeL, rougeLsum: Means of the F1 with the best reference, in [0, 1].
    rouge: The mean of rouge1, rouge2 and rougeL.
"""


class RougeF1(evaluate.Metric):  # type: ignore[misc]  # evaluate has no types
    """ROUGE F1 by the rules of the `rouge_score` package without stemming, as fractions."""

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description="F1 of ROUGE-1, -2, -L and -Lsum with the best of several references.",
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
        return rouge_scores(predictions, references)
