"""Figures of the studies: ablations, and what chance does."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import mean, stdev

from matplotlib.figure import Figure

from benchmarks.ablations import LABELS, Ablation, runs_of
from benchmarks.figures import GREY, MARKERS, legend, look, new_figure, shades, variant_looks
from benchmarks.learning_figures import draw_scores, mean_curve
from benchmarks.randomness import (
    ALL,
    ANSWER_TEMPERATURES,
    SOURCE_TRAININGS,
    SWEEPS,
    Answers,
    deviation,
    scores_of,
    variant_runs,
)
from benchmarks.records import Record


def ablation_figure(ablation: Ablation, records: Sequence[Record]) -> Figure:
    """Learning curves of variants, and what they score on the test split."""
    found = [
        (name, runs) for name in ablation.variants if (runs := runs_of(ablation, name, records))
    ]
    figure, (curves, scores) = new_figure(3.4, columns=2, width_ratios=(3, 2))
    looks = variant_looks([name for name, _ in found])
    for row, ((name, runs), drawn) in enumerate(zip(found, looks, strict=True)):
        curve = mean_curve(runs, "timesteps")
        x = curve.x / 1e3
        curves.plot(
            x, curve.middle, color=drawn.colour, marker=drawn.marker, markevery=8, markersize=5,
            label=LABELS[ablation.env, name],
        )  # fmt: skip
        curves.fill_between(x, curve.low, curve.high, color=drawn.colour, alpha=0.15, lw=0)
        draw_scores(scores, row, [run.score() for run in runs], drawn)
    score_name = found[0][1][0].score_name
    curves.set_xlabel("actions (thousands)")
    curves.set_ylabel(f"{score_name}, validation split")
    scores.set_xlabel(f"{score_name}, test split")
    scores.set_yticks([])
    scores.set_ylim(len(found) - 0.4, -0.6)
    legend(figure, 2)
    return figure


def sources_figure(records: Sequence[Record]) -> Figure:
    """Scores by what is drawn anew, and their deviation with its interval."""
    variants = [
        (name, variant.label, scores)
        for name, variant in SOURCE_TRAININGS.variants.items()
        if len(scores := scores_of(records, name)) > 1
    ]
    figure, (left, right) = new_figure(2.6, columns=2, sharey=True, width_ratios=(3, 2))
    one_source, all_sources = shades(look("ppo").colour, 2)
    for row, (name, _, scores) in enumerate(variants):
        colour = all_sources if name.endswith(ALL) else one_source
        left.plot(scores, [row] * len(scores), "o", color=colour, alpha=0.55, markeredgewidth=0)
        left.plot(mean(scores), row, "|", color=colour, markersize=20, markeredgewidth=2)
        value, low, high = deviation(scores)
        right.plot([low, high], [row, row], color=colour, linewidth=2)
        right.plot(value, row, "o", color=colour)
    left.set_yticks(range(len(variants)), [label for _, label, _ in variants])
    left.set_ylim(len(variants) - 0.5, -0.5)
    left.set_xlabel("F1 on the test split, one dot a training")
    right.set_xlabel("standard deviation of F1")
    right.set_xlim(left=0)
    for axes in (left, right):
        axes.grid(axis="y", visible=False)
    return figure


def sweeps_figure(records: Sequence[Record]) -> Figure:
    """Scores over the settings of exploration, a thin line a seed, and their means."""
    figure, panels = new_figure(5.4, columns=2, rows=2, sharey=True)
    for axes, sweep in zip(panels, SWEEPS, strict=True):
        runs = {v: own for v in sweep.values if (own := variant_runs(records, sweep.variant(v)))}
        colour = look(sweep.algorithm).colour
        for seed in sorted({run.seed for own in runs.values() for run in own}):
            scores = {
                place: run.score()
                for place, own in enumerate(runs.values())
                for run in own
                if run.seed == seed
            }
            axes.plot(
                list(scores), list(scores.values()), "o-", color=colour, alpha=0.4, linewidth=0.8,
                markeredgewidth=0, markersize=4,
            )  # fmt: skip
        means = [mean(run.score() for run in own) for own in runs.values()]
        axes.plot(means, color=colour, marker="_", markersize=16, markeredgewidth=2, linestyle="")
        axes.set_xticks(range(len(runs)), [str(v).replace("-", "-\n") for v in runs], fontsize=8)
        axes.set_title(sweep.title, fontsize=9)
        axes.grid(axis="x", visible=False)
    for axes in panels[::2]:
        axes.set_ylabel("F1, test split")
    return figure


def answers_figure(answers: Sequence[Answers]) -> Figure:
    """Each trained agent's scores, greedy and sampled."""
    figure, (axes,) = new_figure(2.8)
    seeds = sorted({each.seed for each in answers})
    temperatures = (0.0, *ANSWER_TEMPERATURES)
    colours = shades(look("ppo").colour, len(temperatures))
    for number, (temperature, colour) in enumerate(zip(temperatures, colours, strict=True)):
        own = {each.seed: each.scores for each in answers if each.temperature == temperature}
        label = f"sampled, temperature {temperature}" if temperature else "the likeliest actions"
        places = [place + 0.2 * (number - 1) for place, seed in enumerate(seeds) if seed in own]
        means = [mean(own[seed]) for seed in seeds if seed in own]
        errors = [stdev(own[s]) if len(own[s]) > 1 else 0.0 for s in seeds if s in own]
        axes.errorbar(
            places, means, errors, fmt=MARKERS[number], color=colour, label=label, capsize=3
        )
    axes.set_xticks(range(len(seeds)), [str(seed) for seed in seeds])
    axes.set_xlabel("training (seed)")
    axes.set_ylabel("F1, test split")
    axes.axhline(1, color=GREY, linewidth=0.8, linestyle="--")
    legend(figure, 3)
    return figure
