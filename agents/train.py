"""Train an agent, and report how it does on examples that it has not seen.

python -m agents.train ppo --env TextQA-v0 --total-timesteps 100000 --out runs/qa
python -m agents.train bc --env TextNER-v0 --dataset train.conll --out runs/ner
"""

from __future__ import annotations

import dataclasses
import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gymnasium
import tyro
from gymnasium.vector import AutoresetMode

from agents.agent import LanguageAgent
from agents.baselines import RandomAgent, ReferenceAgent
from agents.behaviour_cloning import BCConfig, BehaviourCloning
from agents.checkpoint import INDEX, write_atomically
from agents.environment import Contract, make_env, proposes
from agents.errors import AgentError, TrainingDiverged
from agents.evaluation import Interval, Predictor, Result, evaluate
from agents.models.loading import PRESETS, check_not_misspelt
from agents.models.model import AgentModel
from agents.ppo import PPO, PPOConfig
from agents.report import Point, save_curve, save_results, table
from agents.run_log import keep_lines

CURVE = "curve.jsonl"
SETTINGS = "settings.json"
NOT_OPTIONS = {
    "split": "a run trains on train, validates on validation and tests on test",
    "seed": "use --seed",
    "num_envs": "use --num-envs",
    "episodes": "use --validation-episodes and --test-episodes",
    "deterministic": "scores are of the likeliest actions",
    "autoreset_mode": "each algorithm sets its own",
}
"""What is no option of an environment here -> why not."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What every run needs."""

    env: str = "TextQA-v0"
    """The environment's id."""
    dataset: str | None = None
    """A data file (SQuAD JSON, CoNLL columns, ...); by default the environment's built-in data."""
    reward: str | None = None
    """The environment's reward, such as terminal or dense; by default its own."""
    tokenizer: str | None = None
    """The environment's tokenizer; by default its own, or the model's if that is pretrained."""
    env_kwargs: str = "{}"
    """More options of the environment, as a JSON object."""
    model: str = "tiny"
    """A preset (tiny, small), or a folder or Hub id of a causal language model."""
    seed: int = 0
    """Of new weights and of all that training draws."""
    device: str = "auto"
    """cpu, cuda, or auto."""
    out: Path = Path("runs/latest")
    """The run's folder: checkpoint, metrics.jsonl, TensorBoard events, curve.png, results.json."""
    validation_episodes: int = 200
    """Examples of the validation split to score at each point of the learning curve."""
    test_episodes: int | None = None
    """Examples of the test split to score at the end; None for all."""

    def environment_options(self) -> dict[str, Any]:
        """The keyword arguments for `gymnasium.make`.

        Raises:
            AgentError: `env_kwargs` is not a JSON object, or holds what is set elsewhere.
        """
        try:
            options = json.loads(self.env_kwargs)
        except json.JSONDecodeError as error:
            raise AgentError(f"--env-kwargs is not JSON: {error}") from error
        if not isinstance(options, dict):
            raise AgentError(f"--env-kwargs is {self.env_kwargs}; expected a JSON object")
        for name in options.keys() & NOT_OPTIONS.keys():
            raise AgentError(f"--env-kwargs cannot have {name!r}: {NOT_OPTIONS[name]}")
        tokenizer = self.tokenizer
        check_not_misspelt(self.model)
        if tokenizer is None and self.model not in PRESETS and "tokenizer" not in options:
            tokenizer = self.model
        named = {"dataset": self.dataset, "reward": self.reward, "tokenizer": tokenizer}
        return options | {name: value for name, value in named.items() if value is not None}


@dataclass(frozen=True, kw_only=True)
class TrainBC(Settings):
    """Behaviour cloning of the environment's expert."""

    config: BCConfig = dataclasses.field(default_factory=BCConfig)


@dataclass(frozen=True, kw_only=True)
class TrainPPO(Settings):
    """PPO, from a start that was cloned from the expert."""

    total_timesteps: int = 100_000
    """Actions to train on."""
    clone_episodes: int = 2000
    """Expert episodes to clone the start from; 0 starts from scratch."""
    clone_epochs: int = 4
    """Passes over them."""
    validate_every: int = 5
    """Iterations between the points of the learning curve."""
    resume: bool = False
    """Go on with the interrupted run in the folder, exactly as it would have gone."""
    config: PPOConfig = dataclasses.field(default_factory=PPOConfig)


class Ladder:
    """Scores agents on the same examples of the validation and the test split.

    It holds an environment of each split, so that what environments share (the encoded examples)
    is made once in a run, and a split that is missing is known before training.

    Args:
        settings: of the run.
    """

    def __init__(self, settings: Settings) -> None:
        """Nothing is scored yet."""
        self.settings = settings
        self.options = settings.environment_options()
        self._kept = [
            make_env(settings.env, 1, AutoresetMode.DISABLED, **split, **self.options)
            for split in ({}, {"split": "validation"}, {"split": "test"})
        ]
        self.test: dict[str, Result] = {}
        self.validation: dict[str, Result] = {}
        self.points: list[Point] = []

    def validate(self, agent: Predictor) -> Result:
        """Score on the validation split."""
        return evaluate(
            agent,
            self.settings.env,
            split="validation",
            episodes=self.settings.validation_episodes,
            **self.options,
        )

    def score(self, label: str, agent: Predictor) -> Result:
        """Score on the test split and keep the result under a label."""
        self.test[label] = evaluate(
            agent,
            self.settings.env,
            split="test",
            episodes=self.settings.test_episodes,
            **self.options,
        )
        result = self.test[label]
        print(
            f"{label}: {result.score_name} {result.score} on {len(result.examples)} test examples"
        )
        return result

    def score_both(self, label: str, agent: Predictor) -> None:
        """Score on the validation split too, for a line across the learning curve."""
        self.validation[label] = self.validate(agent)
        self.score(label, agent)

    def baselines(self, contract: Contract) -> None:
        """Score random actions, the simple rule if the environment has one, and the expert."""
        self.score_both("random", RandomAgent(contract.n_actions, self.settings.seed))
        if proposes(self._kept[0], "heuristic"):
            self.score_both("heuristic", ReferenceAgent("heuristic"))
        self.score_both("expert", ReferenceAgent("expert"))

    def add_point(self, agent: LanguageAgent) -> None:
        """Add the agent's validation score to the learning curve, and to curve.jsonl."""
        point = Point(agent.num_timesteps, self.validate(agent).score)
        self.points.append(point)
        line = {"timesteps": point.timesteps, **point.score._asdict()}
        with open(self.settings.out / CURVE, "a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")

    def recall_points(self, agent: LanguageAgent) -> None:
        """Take up the learning curve of an interrupted run where the agent's checkpoint is."""
        for line in keep_lines(self.settings.out / CURVE, "timesteps", agent.num_timesteps):
            steps = line.pop("timesteps")
            self.points.append(Point(steps, Interval(**line)))

    def report(self, agent: LanguageAgent, seconds: float) -> None:
        """Print the table; write curve.png and results.json."""
        out, settings = self.settings.out, self.settings
        ladder = ("random", "heuristic", "cloned", "PPO", "expert")
        order: list[str] = [name for name in ladder if name in self.test]
        rows = {label: self.test[label] for label in order}
        score_name = rows["expert"].score_name
        episodes = len(rows["expert"].examples)
        print()
        print(table(rows, f"{settings.env}, test split, {episodes} episodes, 95 % intervals"))
        drawn = [label for label in order if label in self.validation]
        lines = {label: self.validation[label].score for label in drawn}
        title = f"{type(agent).__name__} on {settings.env}, validation split"
        save_curve(out / "curve.png", self.points, lines, title, score_name)
        facts = {
            "algorithm": type(agent).__name__,
            "parameters": sum(p.numel() for p in agent.model.parameters()),
            "timesteps": agent.num_timesteps,
            "training_seconds": round(seconds, 1),
        }
        save_results(out / "results.json", dataclasses.asdict(settings), rows, self.points, facts)
        print(f"\nin {out}: checkpoint, curve.png, results.json, metrics.jsonl, tensorboard")


def begin(settings: Settings, resume: bool = False) -> None:
    """Record a new run's settings in its folder, or check that a resumed run has the same.

    A new run takes the folder over: an older run's checkpoints there are no longer to be resumed.

    Raises:
        AgentError: there is no run to resume, or it had other settings; says which.
    """
    path = settings.out / SETTINGS
    text = json.dumps(dataclasses.asdict(settings), indent=2, default=str) + "\n"
    if not resume:
        settings.out.mkdir(parents=True, exist_ok=True)
        for folder in (settings.out / "checkpoint", settings.out / "clone" / "checkpoint"):
            (folder / INDEX).unlink(missing_ok=True)
        write_atomically(path, text.encode())
        return
    try:
        before = _flat(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise AgentError(f"no run to resume in {settings.out}: it has no {SETTINGS}") from None
    now = _flat(json.loads(text))
    changes = [
        f"{name} was {before.get(name)} and is {now.get(name)}"
        for name in sorted(before.keys() | now.keys())
        if name not in ("resume", "out", "device") and before.get(name) != now.get(name)
    ]
    if changes:
        raise AgentError(f"cannot resume {settings.out} with other settings: {'; '.join(changes)}")


def _flat(settings: dict[str, Any]) -> dict[str, Any]:
    """The settings with the algorithm's among them."""
    return {**settings, **settings.get("config", {}), "config": None}


def clone(settings: Settings, config: BCConfig, folder: Path, ladder: Ladder) -> BehaviourCloning:
    """An agent that imitates the expert."""
    agent = BehaviourCloning(
        settings.env,
        config,
        model=settings.model,
        seed=settings.seed,
        device=settings.device,
        env_kwargs=ladder.options,
    )
    print(f"cloning the expert from {len(agent.expert_episodes()):,} episodes")
    agent.learn(run_dir=folder)
    return agent


def train_bc(settings: TrainBC) -> None:
    """Clone the expert and report."""
    began = time.perf_counter()
    ladder = Ladder(settings)
    begin(settings)
    agent = clone(settings, settings.config, settings.out, ladder)
    seconds = time.perf_counter() - began
    (settings.out / CURVE).unlink(missing_ok=True)
    ladder.add_point(agent)
    ladder.baselines(agent.contract)
    ladder.score_both("cloned", agent)
    ladder.report(agent, seconds)


def train_ppo(settings: TrainPPO) -> None:
    """Clone a start, improve it by PPO, and report."""
    ladder = Ladder(settings)
    begin(settings, settings.resume)
    began = time.perf_counter()
    model: str | AgentModel = settings.model
    cloned = 0.0
    if settings.clone_episodes:
        folder = settings.out / "clone"
        if settings.resume and (folder / "checkpoint" / INDEX).exists():
            start = BehaviourCloning.load(folder / "checkpoint", device=settings.device)
            if start.num_timesteps < start.leg_end:
                start.learn(run_dir=folder)
        else:
            config = BCConfig(episodes=settings.clone_episodes, epochs=settings.clone_epochs)
            start = clone(settings, config, folder, ladder)
        cloned = time.perf_counter() - began
        ladder.score_both("cloned", start)
        model = start.model
        del start

    total: int | None = settings.total_timesteps
    if settings.resume and (settings.out / "checkpoint" / INDEX).exists():
        agent = PPO.load(settings.out / "checkpoint", device=settings.device)
        ladder.recall_points(agent)
        total = None
    else:
        agent = PPO(
            settings.env,
            settings.config,
            model=model,
            seed=settings.seed,
            device=settings.device,
            env_kwargs=ladder.options,
        )
        (settings.out / CURVE).unlink(missing_ok=True)
        ladder.add_point(agent)
    ladder.baselines(agent.contract)

    def validate(current: PPO) -> None:
        if current.iteration % settings.validate_every == 0:
            ladder.add_point(current)

    began = time.perf_counter()
    if total is not None or agent.num_timesteps < agent.leg_end:
        agent.learn(total, callback=validate, run_dir=settings.out)
    seconds = cloned + time.perf_counter() - began
    agent.save(settings.out / "checkpoint")
    if ladder.points[-1].timesteps != agent.num_timesteps:
        ladder.add_point(agent)
    ladder.score("PPO", agent)
    ladder.report(agent, seconds)


def main() -> None:
    """Read the command line and train."""
    settings = tyro.extras.subcommand_cli_from_dict(
        {"bc": TrainBC, "ppo": TrainPPO},
        prog="python -m agents.train",
        description=__doc__,
        config=(tyro.conf.OmitArgPrefixes,),
    )
    try:
        if isinstance(settings, TrainPPO):
            train_ppo(settings)
        else:
            train_bc(settings)
    except (AgentError, TrainingDiverged, gymnasium.error.Error) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
