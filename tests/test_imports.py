"""Imports point one way, and `import textenvs` is light."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

import textenvs

ROOT = Path(__file__).resolve().parents[1]

LAYERS: tuple[set[str], ...] = (
    {"errors", "terminal", "views"},
    {"tokenization"},
    {"data", "metrics"},
    {"tasks"},
    {"rewards", "rendering"},
    {"env"},
    {"vector_env"},
    {"wrappers"},
    {"registration"},
    {"checking"},
    {"cli"},
)
"""The parts of textenvs: each may import itself and those of the layers above it in this list."""

LIGHT = {"textenvs", "numpy", "gymnasium"} | sys.stdlib_module_names
"""What textenvs may import when it is imported; all else, where it is used."""

HEAVY = (
    "torch",
    "transformers",
    "datasets",
    "tokenizers",
    "evaluate",
    "stable_baselines3",
    "agents",
    "benchmarks",
)


class Import(NamedTuple):
    """One imported module."""

    path: Path
    line: int
    module: str
    statement: str  # "import" or "from"
    when_used: bool  # inside a function, or for the type checker alone

    def __str__(self) -> str:
        return f"{self.path.relative_to(ROOT)}:{self.line} imports {self.module}"


def sources(package: str) -> list[Path]:
    found = sorted((ROOT / package).rglob("*.py"))
    assert found, f"no sources of {package}"
    return found


def imports(path: Path) -> Iterator[Import]:
    """All imports of a file, relative ones made absolute."""
    yield from _imports(path, ast.parse(path.read_text("utf-8")), when_used=False)


def _imports(path: Path, node: ast.AST, when_used: bool) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            for name in child.names:
                yield Import(path, child.lineno, name.name, "import", when_used)
        elif isinstance(child, ast.ImportFrom):
            base = _absolute(path, child)
            yield Import(path, child.lineno, base, "from", when_used)
            for name in child.names:  # a module, perhaps: `from textenvs import env`
                yield Import(path, child.lineno, f"{base}.{name.name}", "from", when_used)
        else:
            inside = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            for_types = isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test)
            yield from _imports(path, child, when_used or inside or for_types)


def _absolute(path: Path, node: ast.ImportFrom) -> str:
    package = path.relative_to(ROOT).parent.parts
    ancestors = package[: len(package) - node.level + 1] if node.level else ()
    return ".".join([*ancestors, *([node.module] if node.module else [])])


def top(module: str) -> str:
    return module.partition(".")[0]


def part(module: str) -> str | None:
    """Which part of textenvs a module belongs to; None for another package and for its root."""
    names = module.split(".")
    return names[1] if names[0] == "textenvs" and len(names) > 1 else None


@pytest.mark.parametrize(
    ("package", "others"),
    [("textenvs", {"agents", "benchmarks", "tests"}), ("agents", {"benchmarks", "tests"})],
)
def test_packages_import_one_way(package: str, others: set[str]) -> None:
    wrong = [
        found for path in sources(package) for found in imports(path) if top(found.module) in others
    ]
    assert not wrong, "\n".join(map(str, wrong))


def test_agents_know_textenvs_through_gymnasium_alone() -> None:
    """`import textenvs` registers the ids; nothing of it is used, but by the command line."""
    wrong = []
    for path in sources("agents"):
        if path.is_relative_to(ROOT / "agents/cli"):
            continue
        for found in imports(path):
            plain = found.statement == "import" and found.module == "textenvs"
            if top(found.module) == "textenvs" and not plain:
                wrong.append(str(found))
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Name) and node.id == "textenvs":
                wrong.append(f"{path.relative_to(ROOT)}:{node.lineno} uses a name of textenvs")
    assert not wrong, "\n".join(wrong)


def test_parts_of_textenvs_import_one_way() -> None:
    level = {name: height for height, layer in enumerate(LAYERS) for name in layer}
    wrong = []
    for path in sources("textenvs"):
        own = path.relative_to(ROOT / "textenvs").with_suffix("").parts[0]
        if own == "__init__":
            continue
        assert own in level, f"textenvs/{own} is new: give it its place in LAYERS"
        for found in imports(path):
            other = part(found.module)
            if top(found.module) == "textenvs" and (
                other not in level or (other != own and level[other] >= level[own])
            ):
                wrong.append(str(found))
    assert not wrong, "\n".join(wrong)


def test_what_textenvs_imports_at_once_is_light() -> None:
    modules_of_evaluate = set((ROOT / "textenvs/metrics").glob("*/*.py"))  # that library loads them
    wrong = [
        found
        for path in sources("textenvs")
        if path not in modules_of_evaluate and not path.is_relative_to(ROOT / "textenvs/cli")
        for found in imports(path)
        if not found.when_used and top(found.module) not in LIGHT
    ]
    assert not wrong, "\n".join(map(str, wrong))


PLAY = """
import json, sys
import gymnasium, textenvs
played = {played}
for env_id in played:
    env = gymnasium.make(env_id)
    env.reset(seed=0)
    ended = False
    while not ended:
        _, _, ended, _, _ = env.step(env.unwrapped.expert_action())
    gymnasium.make_vec(env_id, num_envs=2).reset(seed=0)
print(json.dumps([name for name in {heavy} if name in sys.modules]))
"""


@pytest.mark.parametrize("played", [(), tuple(textenvs.IDS)], ids=["imported", "played"])
def test_a_fresh_interpreter_loads_nothing_heavy(played: tuple[str, ...]) -> None:
    program = PLAY.format(played=played, heavy=HEAVY)
    run = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout) == []
