"""Which trainings a learning benchmark is made of."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, TypeAlias

from agents.errors import nearest_first
from benchmarks.cells import Cell
from benchmarks.recipes import REAL_RECIPES, RECIPES, Recipe

SuiteName: TypeAlias = Literal["smoke", "core", "full", "real"]
CLONE = "bc"
"""The algorithm that all others start from."""
SB3 = "sb3-"
"""How the names of stable-baselines3's algorithms begin."""


@dataclass(frozen=True, kw_only=True)
class Suite:
    """A selection of the recipes' trainings.

    Attributes:
        seeds: 0, 1, ... of every algorithm.
        algorithms: some of the recipes'; all for an empty tuple.
        clone: more options of the clones.
        ours: more options of our algorithms.
        sb3: more options of stable-baselines3's.
    """

    seeds: int
    algorithms: tuple[str, ...] = ()
    clone: str = ""
    ours: str = ""
    sb3: str = ""

    def more(self, algorithm: str) -> str:
        """The options that it adds to an algorithm's recipe."""
        if algorithm == CLONE:
            return self.clone
        return self.sb3 if algorithm.startswith(SB3) else self.ours


FEW = "--validation-episodes 16 --test-episodes 32"
SUITES: dict[SuiteName, Suite] = {
    "smoke": Suite(
        seeds=1,
        algorithms=("dqn", "ppo", "sb3-ppo"),
        clone=f"--episodes 64 --epochs 1 {FEW}",
        ours=f"--total-timesteps 1024 --steps 512 --validate-every 1 {FEW}",
        sb3=f"--total-timesteps 1024 --n-steps 16 --validate-every 512 {FEW}",
    ),
    "core": Suite(seeds=3),
    "full": Suite(seeds=10),
    "real": Suite(seeds=3),
}
"""What each suite selects; the numbers of `smoke` mean nothing, it shows that everything runs."""


def recipes_of(name: SuiteName, data: Path | None) -> dict[str, Recipe]:
    """The recipes of a suite.

    Args:
        name: of the suite.
        data: the folder of published data, which `real` needs.

    Raises:
        ValueError: it needs a folder, or has no use for one.
    """
    if name != "real":
        if data is not None:
            raise ValueError(f"the suite {name} is of built-in data: leave out --data, or use real")
        return RECIPES
    if data is None or not data.is_dir():
        raise ValueError(
            f"the suite real needs --data, a folder with conll, dialogue, squad and summarization; "
            f"got {data}"
        )
    place = os.path.relpath(data)  # however it was spelled: another word is another command
    return {
        env: replace(recipe, data=recipe.data.format(data=place))
        for env, recipe in REAL_RECIPES.items()
    }


def cells(
    suite: Suite,
    folder: Path,
    only: tuple[str, ...] = (),
    seeds: int | None = None,
    options: str = "",
    recipes: dict[str, Recipe] | None = None,
) -> Iterator[Cell]:
    """The trainings that report something, clones among them, seed by seed.

    Args:
        suite: which of them.
        folder: of the suite; each has one in it, ENV/ALGORITHM/SEED.
        only: environments, or ENV/ALGORITHM; all for an empty tuple.
        seeds: how many; the suite's by default.
        options: more for every algorithm.
        recipes: environment -> recipe; `RECIPES` by default.

    Raises:
        ValueError: a name in `only` is no environment or algorithm of the suite.
    """
    recipes = RECIPES if recipes is None else recipes
    names = {
        f"{env}/{algorithm}": (env, algorithm)
        for env, recipe in recipes.items()
        for algorithm in (CLONE, *recipe.algorithms)
        if algorithm == CLONE or not suite.algorithms or algorithm in suite.algorithms
    }
    for wanted in only:
        if wanted not in recipes and wanted not in names:
            known = nearest_first(wanted, [*recipes, *names])
            raise ValueError(f"no cell {wanted!r}; there are {known}")
    for seed in range(suite.seeds if seeds is None else seeds):
        for name, (env, algorithm) in names.items():
            if not only or name in only or env in only:
                yield cell(suite, folder, recipes[env], env, algorithm, seed, options)


def cell(
    suite: Suite, folder: Path, recipe: Recipe, env: str, algorithm: str, seed: int, options: str
) -> Cell:
    """One training, with the clone that it starts from."""
    own = suite.more(algorithm)
    place = folder / env / algorithm / str(seed)
    if algorithm == CLONE:
        command = f"-m agents.train bc {env} --seed {seed} {recipe.data} {recipe.clone} {own}"
        words = tuple(shlex.split(command))
        return Cell(folder=place, env=env, agent=algorithm, seed=seed, command=words)
    if algorithm.startswith(SB3):
        program = f"benchmarks.train_sb3 {algorithm.removeprefix(SB3)}"
        shared = recipe.shared_sb3
    else:
        program, shared = f"agents.train {algorithm}", recipe.shared
    command = (
        f"-m {program} {env} --seed {seed} --total-timesteps {recipe.timesteps} "
        f"{recipe.data} {shared} "
        f"{recipe.algorithms[algorithm]} {own} {options}"
    )
    return Cell(
        folder=place,
        env=env,
        agent=algorithm,
        seed=seed,
        command=tuple(shlex.split(command)),
        start=cell(suite, folder, recipe, env, CLONE, seed, ""),
    )
