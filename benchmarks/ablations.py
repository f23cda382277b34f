"""What single things bring: a clone to start from, a copying head, dense rewards, masks, KL, LoRA.

Trainings that are finished are not run again.

python -m benchmarks.ablations --jobs 2
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import tyro

from benchmarks.learning_table import seed_by_seed, spread
from benchmarks.recipes import RECIPES
from benchmarks.records import CLONED, Record
from benchmarks.trained import exit_status
from benchmarks.variants import StudySettings, Trainings, Variant, train_study

NER, QA, SUMMARIZATION = "TextNER-v0", "TextQA-v0", "TextSummarization-v0"
UNMASKED = """--env-kwargs '{"constrain": false}'"""
NEW_READER = "--model reader --head copy --clone-episodes 0"
PPO = partial(Variant, algorithm="ppo", start="bc")
VALUE_BASED = partial(Variant, algorithm="epsilon-greedy", start="bc")
TRAININGS = (
    Trainings(
        env=NER,
        timesteps=200_000,
        seeds=range(3),
        clones={
            "bc": RECIPES[NER].clone,
            **{f"bc+{few}": f"{RECIPES[NER].clone} --episodes {few}" for few in (100, 1000)},
            "bc+unmasked": f"{RECIPES[NER].clone} {UNMASKED}",
        },
        variants={
            "ppo": PPO(label="PPO"),
            **{
                f"ppo+clone-{few}": PPO(label=f"PPO, clone of {few:,} episodes", start=f"bc+{few}")
                for few in (100, 1000)
            },
            "ppo+scratch": PPO(label="PPO, no clone", start=None, options="--clone-episodes 0"),
            "ppo+imitation": PPO(
                label="PPO, cloning on (weight 0.5)",
                options="--imitation-weight 0.5 --imitation-episodes 300",
            ),
            "ppo+dense": PPO(label="PPO, dense", options="--reward dense"),
            "epsilon-greedy": VALUE_BASED(label="EpsilonGreedy"),
            "epsilon-greedy+dense": VALUE_BASED(
                label="EpsilonGreedy, dense, discount 0.8", options="--reward dense --gamma 0.8"
            ),
            "epsilon-greedy+dense-undiscounted": VALUE_BASED(
                label="EpsilonGreedy, dense", options="--reward dense"
            ),
            "ppo+unmasked": PPO(label="PPO, no masks", start="bc+unmasked", options=UNMASKED),
            "ppo+scratch+unmasked": PPO(
                label="PPO, no clone, no masks",
                start=None,
                options=f"--clone-episodes 0 {UNMASKED}",
            ),
            "ppo+lora": PPO(label="PPO, LoRA of rank 8", options="--adapter lora"),
            "ppo+heads": PPO(label="PPO, heads and embeddings", options="--frozen-layers all"),
        },
    ),
    Trainings(
        env=QA,
        timesteps=60_000,
        seeds=range(3),
        shared=f"--validate-every 10 {RECIPES[QA].algorithms['ppo']}",
        clones={
            "bc": f"{RECIPES[QA].clone} --episodes 20000",
            "bc+lm": f"{RECIPES[QA].clone} --episodes 20000 --head lm",
            "bc+unmasked": f"{RECIPES[QA].clone} --episodes 20000 {UNMASKED}",
        },
        variants={
            "ppo": PPO(label="PPO, copying head"),
            "ppo+lm": PPO(label="PPO, language-model head", start="bc+lm"),
            "ppo+unmasked": PPO(
                label="PPO, copying head, no masks", start="bc+unmasked", options=UNMASKED
            ),
            "ppo+scratch": PPO(label="PPO, copying head, no clone", start=None, options=NEW_READER),
            "ppo+scratch+unmasked": PPO(
                label="PPO, copying head, no clone, no masks",
                start=None,
                options=f"{NEW_READER} {UNMASKED}",
            ),
        },
    ),
    Trainings(
        env=SUMMARIZATION,
        timesteps=200_000,
        seeds=range(3),
        shared=(
            "--validate-every 10 --lam 1 --temperature 0.5 --entropy-coefficient 0 "
            "--learning-rate 3e-4 --warmup 0.02 --steps 4096 --minibatch-tokens 4096"
        ),
        clones={
            "bc": RECIPES[SUMMARIZATION].clone,
            "bc+lm": f"{RECIPES[SUMMARIZATION].clone} --head lm",
        },
        variants={
            "ppo": PPO(label="PPO, dense", options="--reward dense"),
            "ppo+lm": PPO(
                label="PPO, dense, language-model head", start="bc+lm", options="--reward dense"
            ),
            "ppo+terminal": PPO(label="PPO, terminal"),
            **{
                f"ppo+kl-{weight}": PPO(
                    label=f"PPO, dense, KL {weight}",
                    options=f"--reward dense --kl-penalty reward --kl-coefficient {weight}",
                )
                for weight in (0.01, 0.1)
            },
        },
    ),
)


@dataclass(frozen=True, kw_only=True)
class Ablation:
    """Variants side by side.

    Attributes:
        name: of its figure.
        title: what is taken away or added.
        env: where.
        groups: names of variants that differ in that alone, in each group the usual way first.
    """

    name: str
    title: str
    env: str
    groups: tuple[tuple[str, ...], ...]

    @property
    def variants(self) -> tuple[str, ...]:
        """Of all groups."""
        return sum(self.groups, ())


ABLATIONS = (
    Ablation(
        name="cloning",
        title="A clone to start from: 16 passes over 300 episodes, or as many as are named",
        env=NER,
        groups=(("ppo", "ppo+clone-1000", "ppo+clone-100", "ppo+scratch", "ppo+imitation"),),
    ),
    Ablation(
        name="head-qa",
        title="A head that copies from the prompt, answers",
        env=QA,
        groups=(("ppo", "ppo+lm"),),
    ),
    Ablation(
        name="head-summarization",
        title="A head that copies from the prompt, summaries",
        env=SUMMARIZATION,
        groups=(("ppo", "ppo+lm"),),
    ),
    Ablation(
        name="dense-ner",
        title="Dense rewards, tagging",
        env=NER,
        groups=(
            ("ppo", "ppo+dense"),
            ("epsilon-greedy", "epsilon-greedy+dense-undiscounted", "epsilon-greedy+dense"),
        ),
    ),
    Ablation(
        name="dense-summarization",
        title="Dense rewards, summarization",
        env=SUMMARIZATION,
        groups=(("ppo", "ppo+terminal"),),
    ),
    Ablation(
        name="masks",
        title="Masks of illegal actions, tagging",
        env=NER,
        groups=(("ppo", "ppo+unmasked"), ("ppo+scratch", "ppo+scratch+unmasked")),
    ),
    Ablation(
        name="masks-qa",
        title="Masks of illegal actions, answers",
        env=QA,
        groups=(("ppo", "ppo+unmasked"), ("ppo+scratch", "ppo+scratch+unmasked")),
    ),
    Ablation(
        name="kl",
        title="KL to the start, as a cost in the reward",
        env=SUMMARIZATION,
        groups=(("ppo", "ppo+kl-0.01", "ppo+kl-0.1"),),
    ),
    Ablation(
        name="lora",
        title="What trains: all weights, LoRA, the heads and the embeddings tied to them",
        env=NER,
        groups=(("ppo", "ppo+lora", "ppo+heads"),),
    ),
)
LABELS = {
    (trainings.env, name): variant.label
    for trainings in TRAININGS
    for name, variant in trainings.variants.items()
}
"""Environment and variant -> its label."""


def ablation_table(ablation: Ablation, records: Sequence[Record]) -> str:
    """Markdown: a line a variant; means over seeds with 95 % t intervals.

    Differences are from the first of the group with the same seed.
    """
    lines = [
        "| variant | score on the test split [95 %] | its start | "
        "difference from the usual way, seed by seed [95 %] | minutes | seeds |",
        "|---|---|---|---|---|---|",
    ]
    for usual, name in ((group[0], name) for group in ablation.groups for name in group):
        own = runs_of(ablation, name, records)
        if own:
            starts = [run.score(CLONED) for run in own if CLONED in run.scores]
            start = str(spread(starts, 0, 1)) if starts else "random weights"
            difference = seed_by_seed(own, runs_of(ablation, usual, records))
            minutes = spread([run.training_seconds / 60 for run in own]).mean
            lines.append(
                f"| {LABELS[ablation.env, name]} | {spread([run.score() for run in own], 0, 1)} | "
                f"{start} | {difference} | {minutes:.1f} | {len(own)} |"
            )
    return "\n".join(lines)


def runs_of(ablation: Ablation, name: str, records: Sequence[Record]) -> list[Record]:
    """The trainings of a variant."""
    return [run for run in records if (run.env, run.agent) == (ablation.env, name)]


@dataclass(frozen=True, kw_only=True)
class Settings(StudySettings):
    """Train variants that differ in one thing, and compare them on the test split."""

    out: Path = Path("runs/ablations")


def run(settings: Settings) -> int:
    """Train, write the records, print the tables; the exit status."""
    records, failed = train_study(TRAININGS, settings)
    for ablation in ABLATIONS:
        print(f"**{ablation.title}** ({ablation.env})\n\n{ablation_table(ablation, records)}\n")
    return exit_status(failed)


if __name__ == "__main__":
    sys.exit(run(tyro.cli(Settings, prog="python -m benchmarks.ablations", description=__doc__)))
