"""The parts of a report: Markdown, and the figures in it."""

from __future__ import annotations

import html
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from matplotlib.figure import Figure

from agents.provenance import commit_of
from benchmarks.ablations import ABLATIONS, ablation_table, runs_of
from benchmarks.figures import as_svg
from benchmarks.learning_figures import (
    aggregate_figure,
    curves_figure,
    profiles_figure,
    scores_figure,
)
from benchmarks.learning_table import aggregate, aggregated, section
from benchmarks.measurement_table import markdown_table
from benchmarks.randomness import (
    ENV,
    SOURCE_TRAININGS,
    SWEEPS,
    SWEPT_TRAININGS,
    Answers,
    answers_table,
    sources_table,
    sweep_table,
)
from benchmarks.records import Record
from benchmarks.scaling import growth_table
from benchmarks.speed_figures import growths_figure, ratios_figure
from benchmarks.speed_results import read_speed
from benchmarks.study_figures import (
    ablation_figure,
    answers_figure,
    sources_figure,
    sweeps_figure,
)
from benchmarks.suites import CLONE, SuiteName

FIGURES = "figures"
"""The folder of the images, beside the Markdown."""


class Part(NamedTuple):
    """A piece of the report."""

    text: str
    """Markdown."""
    images: dict[str, str]
    """The address of an image in the text -> its SVG."""


def joined(parts: Sequence[Part]) -> Part:
    """Pieces one after the other."""
    images: dict[str, str] = {}
    for part in parts:
        if again := images.keys() & part.images.keys():
            raise ValueError(f"two figures have one address: {', '.join(sorted(again))}")
        images |= part.images
    return Part("\n".join(part.text.rstrip() + "\n" for part in parts), images)


def shown(name: str, alternative: str, figure: Figure) -> Part:
    """A figure by itself.

    Args:
        name: of its file.
        alternative: what it shows, for those who cannot see it.
        figure: is drawn.
    """
    address = f"{FIGURES}/{name}.svg"
    return Part(f"![{alternative}]({address})\n", {address: as_svg(figure)})


def learning_part(records: Sequence[Record], suite: SuiteName = "core") -> Part:
    """Scores, statistics over environments, learning curves.

    Args:
        records: of the trainings.
        suite: that they are of.
    """
    prefix, data = ("real-", " on published data") if suite == "real" else ("", "")
    envs = list(dict.fromkeys(record.env for record in records))
    seeds = len({record.seed for record in records})
    options = f"--suite {suite}" + " --data FOLDER" * (suite == "real")
    parts = [
        Part(
            f"## Learning{data}\n\n{len(records)} trainings of "
            f"`python -m benchmarks.learning {options}`, {seeds} seed{'s' * (seeds > 1)}. "
            "All algorithms of a seed go on from one clone of the expert (`cloned`). Scores are "
            "of the whole test split, by the likeliest actions of the checkpoint that was best on "
            "the validation split, among which is the start. Tables have means over seeds with "
            "95 % intervals of Student's t; curves have means over seeds, and the lowest and "
            "highest seed.\n",
            {},
        )
    ]
    found = aggregated(records)
    if found is not None:
        parts += [
            Part(f"### Over environments{data}\n\n{aggregate(records)}\n", {}),
            shown(f"{prefix}aggregate", "Interquartile mean and optimality gap of agents",
                  aggregate_figure(found)),
            shown(f"{prefix}profiles", "Share of runs above each score", profiles_figure(found)),
            Part(
                "Intervals are of the stratified bootstrap over seeds, 95 % "
                "(Agarwal et al. 2021).\n",
                {},
            ),
        ]  # fmt: skip
    for env in envs:
        own = [record for record in records if record.env == env]
        parts.append(Part(f"### {env}{data}\n\n{section(own)}\n", {}))
        if any(record.agent != CLONE for record in own):
            parts += [
                shown(f"{prefix}{env}-scores", f"Scores of agents on {env}", scores_figure(own)),
                shown(f"{prefix}{env}-curves", f"Learning curves on {env}", curves_figure(own)),
            ]
    return joined(parts)


def ablations_part(records: Sequence[Record]) -> Part:
    """What single things bring."""
    parts = [
        Part(
            "## Ablations\n\n`python -m benchmarks.ablations`. Variants that differ in what their "
            "labels say, with equal numbers of actions. Differences are from the last line above "
            "that has none, which is the usual way. Curves and points as above.\n",
            {},
        )
    ]
    for ablation in ABLATIONS:
        if not any(runs_of(ablation, name, records) for name in ablation.variants):
            continue
        text = f"### {ablation.title}: {ablation.env}\n\n{ablation_table(ablation, records)}\n"
        figure = ablation_figure(ablation, records)
        parts += [
            Part(text, {}),
            shown(f"ablation-{ablation.name}", f"{ablation.title}: curves and scores", figure),
        ]
    return joined(parts)


def randomness_part(records: Sequence[Record], answers: Sequence[Answers]) -> Part:
    """What chance does."""
    introduction = (
        "## Randomness\n\n"
        f"`python -m benchmarks.randomness`. PPO on {ENV}, {SOURCE_TRAININGS.timesteps:,} actions "
        "from a clone that is made in the same run. In each line one source of chance is drawn "
        "anew in every training and the others stay as they are; in the last, all are. Intervals "
        "of deviations and of correlations are those of normal scores.\n"
    )
    parts = [
        Part(f"{introduction}\n{sources_table(records)}\n", {}),
        shown("sources", "Scores of the same training by what is drawn anew",
              sources_figure(records)),
        *([answers_part(answers)] if answers else []),
    ]  # fmt: skip
    if any(record.agent in SWEPT_TRAININGS.variants for record in records):
        parts.append(sweeps_part(records))
    return joined(parts)


def sweeps_part(records: Sequence[Record]) -> Part:
    """Settings of exploration, value by value."""
    alternative = "Scores over epsilon, temperature, top-p and strategies"
    parts = [
        Part("### Settings of exploration\n", {}),
        shown("sweeps", alternative, sweeps_figure(records)),
        *(Part(sweep_table(sweep, records) + "\n", {}) for sweep in SWEEPS),
    ]
    return joined(parts)


def answers_part(answers: Sequence[Answers]) -> Part:
    """Greedy and sampled answers of trained agents."""
    commits = {commit_of(each.origin) if each.origin else "unknown" for each in answers}
    text = (
        "### Greedy and sampled answers\n\nBy the agents of the last line above, at commit "
        f"{', '.join(map(_short, sorted(commits)))}.\n\n{answers_table(answers)}\n"
    )
    figure = answers_figure(answers)
    return joined(
        [Part(text, {}), shown("answers", "Scores of agents, greedy and sampled", figure)]
    )


def speed_part(path: Path) -> Part:
    """The measurements of a file.

    Raises:
        ValueError: it has none.
    """
    measured, growths, origin = read_speed(path)
    name = path.stem.removeprefix("speed-").removeprefix("speed") or "all"
    parts = [Part(f"## Speed: {name}\n\n{origin}\n", {})]
    text = (
        f"{markdown_table(measured)}\n\n"
        "Each thing is measured in turn with what it is compared with; the points are ratios of "
        "medians, the lines reach from the lowest to the highest round, and a bar is what was "
        "asked for.\n"
    )
    if measured:
        figure = shown(f"speed-{name}", f"Ratios of speed: {name}", ratios_figure(measured))
        parts += [Part(text, {}), figure]
    if growths:
        text = (
            f"### How costs grow\n\n{growth_table(growths)}\n\nThe exponent is that of the power "
            "law that fits best; the last doubling is the slope between the two largest sizes. "
            "Dotted: in proportion to the size.\n"
        )
        parts += [
            Part(text, {}),
            shown(f"growth-{name}", "Costs over sizes", growths_figure(growths)),
        ]
    return joined(parts)


def origins_part(records: Sequence[Record]) -> Part:
    """Where each training comes from."""
    kinds = list(dict.fromkeys(map(_software, records)))
    rows = [
        f"| {kinds.index(_software(record)) + 1} | {record.env} | {record.agent} | {record.seed} "
        f"| {record.score():.3f} | `{_short(record.commit())}` | {_code(record.commands)} |"
        for record in records
    ]
    return Part(
        "## Where the learning results come from\n\n"
        f"{_numbered(kinds)}\n\n"
        '<details markdown="1">\n'
        "<summary>Each training: its score, its commit, and the commands of that commit</summary>"
        "\n\n"
        "| made with | environment | agent | seed | score | commit | commands |\n"
        "|---|---|---|---|---|---|---|\n" + "\n".join(rows) + "\n\n</details>\n",
        {},
    )


def _short(commit: str) -> str:
    """Twelve digits of it, and what was said of it."""
    digits, _, said = commit.partition("-")
    return "-".join(filter(None, (digits[:12], said)))


def _code(commands: Sequence[str]) -> str:
    """Commands as HTML, one after the other."""
    return "<br>".join(f"<code>{html.escape(command)}</code>" for command in commands)


def _software(record: Record) -> str:
    """Versions and machine of a training."""
    origin = record.provenance
    versions = ", ".join(f"{name} {version}" for name, version in origin["versions"].items())
    machine = origin["machine"]
    return (
        f"{versions}; {machine['platform']}, {machine['processor']}, {machine['cores']} cores, "
        f"threads: {machine.get('chosen_threads') or machine['threads']}"
    )


def _numbered(lines: Sequence[str]) -> str:
    """A Markdown list."""
    return "\n".join(f"{number}. {line}" for number, line in enumerate(lines, start=1))
