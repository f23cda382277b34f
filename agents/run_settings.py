"""What a run of the training command is told, and the file in its folder that keeps it."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from agents.behaviour_cloning import BCConfig
from agents.checkpoint import write_atomically
from agents.environment import registered
from agents.errors import AgentError
from agents.models.loading import check_not_misspelt
from agents.models.model_config import ModelConfig, chosen
from agents.models.presets import PRESETS
from agents.progress import Show
from agents.provenance import PROVENANCE, environment_spec, provenance
from agents.run_files import clear
from agents.seeds import Seeds
from agents.settings import RolloutConfig, TrainingConfig

SETTINGS = "settings.json"
NOT_OPTIONS = {
    "split": "a run trains on train, validates on validation and tests on test",
    "seed": "use --seed",
    "num_envs": "use --num-envs",
    "episodes": "use --validation-episodes and --test-episodes",
    "deterministic": "scores are of the likeliest actions",
    "predictions": "they are in the run's folder",
    "autoreset_mode": "each algorithm sets its own",
}
"""What is no option of an environment here -> why not."""
GROUPS = ("config", "model_options", "seed_options")
"""The settings that are groups of settings."""
MAY_CHANGE = ("resume", "out", "device", "wandb", "progress")
"""Settings that a resumed run may have otherwise."""


@dataclass(frozen=True, kw_only=True)
class ModelOptions(ModelConfig):
    """The settings of a model but its name, which the command line calls the model."""

    name: tyro.conf.Suppress[str] = "tiny"


@dataclass(frozen=True, kw_only=True)
class SeedOptions:
    """Seeds of single sources of chance, where they are not to be the run's."""

    weights_seed: int | None = None
    """Of new weights; by default that of the run, as of all below."""
    actions_seed: int | None = None
    """Of what is explored and sampled."""
    batches_seed: int | None = None
    """Of the order in which data is learnt from."""
    envs_seed: int | None = None
    """Of the examples that come up, in demonstrations too, and of what tasks draw."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What every run needs."""

    config: TrainingConfig
    env: tyro.conf.Positional[Annotated[str, tyro.conf.arg(metavar="ENV")]] = "TextQA-v0"
    """The environment's id, such as TextNER-v0; MODULE:ID imports the module that registers it."""
    dataset: str | None = None
    """A data file (SQuAD JSON, CoNLL columns, ...); by default the environment's built-in data."""
    reward: str | None = None
    """The environment's reward, such as terminal or dense; by default its own."""
    tokenizer: str | None = None
    """The environment's tokenizer; by default its own, or the model's if that is pretrained."""
    env_kwargs: str = "{}"
    """More options of the environment, as a JSON object."""
    model: str = "tiny"
    """A preset (such as tiny or small), or a folder or Hub id of a language model."""
    model_options: ModelOptions = dataclasses.field(default_factory=ModelOptions)
    seed: int = 0
    """Of new weights and of all that training draws."""
    seed_options: SeedOptions = dataclasses.field(default_factory=SeedOptions)
    device: str = "auto"
    """cpu, cuda, or auto."""
    out: Path = Path("runs/latest")
    """The run's folder: checkpoint, best, metrics.jsonl, curve.png, results.json."""
    resume: bool = False
    """Go on with the interrupted run in the folder: after a crash exactly as it would have gone;
    after Ctrl-C from where it stopped, where episodes that were running begin anew."""
    validate_every: int = 5
    """Iterations between the points of the learning curve."""
    validation_episodes: int = 200
    """Examples of the validation split to score at each point of the learning curve."""
    patience: int | None = None
    """End the training after so many points in a row without a better one; None for never."""
    test_episodes: int | None = None
    """Examples of the test split to score at the end; None for all."""
    progress: Show = "auto"
    """What is shown of the training: the learning curve live, a bar, lines now and then, or none;
    auto takes live on a terminal that is tall enough, a bar while cloning, and lines in a log."""
    wandb: str | None = None
    """A project of Weights & Biases to log to as well."""

    @property
    def model_config(self) -> ModelConfig:
        """The model's settings."""
        options = dataclasses.asdict(self.model_options)
        return ModelConfig(**(options | {"name": self.model}))

    @property
    def seeds(self) -> Seeds:
        """The seeds of all sources.

        Raises:
            AgentError: one is below 0.
        """
        own = dataclasses.asdict(self.seed_options)
        named = {name.removesuffix("_seed"): seed for name, seed in own.items() if seed is not None}
        return dataclasses.replace(Seeds.same(self.seed), **named)

    @property
    def env_id(self) -> str:
        """The environment's id, which is registered from then on.

        Raises:
            AgentError: there is no such module.
        """
        return registered(self.env)

    def facts(self) -> dict[str, Any]:
        """All settings, as JSON can hold them."""
        facts = dataclasses.asdict(self)
        del facts["model_options"]["name"]
        return {name: str(fact) if isinstance(fact, Path) else fact for name, fact in facts.items()}

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
class RLSettings(Settings):
    """What a run needs that learns from its own episodes."""

    config: RolloutConfig
    total_timesteps: int = 100_000
    """Actions to train on."""
    start: Path | None = None
    """A checkpoint to start from, of any algorithm, such as RUN/best; nothing is cloned then.
    Options of the model that are given replace its own: an adapter may be put in, say."""
    clone_episodes: int = 2000
    """Expert episodes to clone the start from; 0 starts from scratch."""
    clone_epochs: int = 4
    """Passes over them."""
    clone_learning_rate: float = BCConfig.learning_rate
    """Of the cloning."""

    def facts(self) -> dict[str, Any]:
        """All settings; of the model of a start, those that are chosen anew."""
        facts = super().facts()
        if self.start is not None:
            del facts["model"]
            facts["model_options"] = chosen(self.model_config)
        return facts


def check_start(settings: Settings) -> None:
    """Check that the start, if one is given, stays as it is and is the run's model.

    Raises:
        AgentError: it is in the run's own folder, or another model or head is named beside it.
    """
    if not isinstance(settings, RLSettings) or settings.start is None:
        return
    if settings.out.resolve() in settings.start.resolve().parents:
        raise AgentError(
            f"--start {settings.start} is in --out {settings.out}, which the run writes over: "
            "choose another folder, or go on with that run by --resume"
        )
    named = settings.model_config
    if (named.name, named.head) != (ModelConfig.name, ModelConfig.head):
        raise AgentError(
            "--start brings its own model and heads: leave out --model and --head (but give "
            "--tokenizer, if the start's is not the environment's own)"
        )


def begin(settings: Settings) -> None:
    """Record a new run in its folder, or check that a resumed run has the same settings.

    A new run takes the folder over: an older run's checkpoints there are no longer to be resumed.

    Raises:
        AgentError: there is no run to resume, or it had other settings; says which.
    """
    path = settings.out / SETTINGS
    text = json.dumps(settings.facts(), indent=2) + "\n"
    env = environment_spec(settings.env_id, settings.environment_options())
    line = json.dumps({**provenance(), "env": env}) + "\n"
    if not settings.resume:
        settings.out.mkdir(parents=True, exist_ok=True)
        clear(settings.out)
        write_atomically(path, text.encode())
        write_atomically(settings.out / PROVENANCE, line.encode())
        return
    try:
        before = _flat(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise AgentError(f"no run to resume in {settings.out}: it has no {SETTINGS}") from None
    now = _flat(json.loads(text))
    changes = [
        f"{name} was {before.get(name)} and is {now.get(name)}"
        for name in sorted(before.keys() | now.keys())
        if name not in MAY_CHANGE and before.get(name) != now.get(name)
    ]
    if changes:
        raise AgentError(f"cannot resume {settings.out} with other settings: {'; '.join(changes)}")
    with open(settings.out / PROVENANCE, "a", encoding="utf-8") as file:
        file.write(line)


def _flat(settings: dict[str, Any]) -> dict[str, Any]:
    """The settings with the algorithm's and the model's among them."""
    groups = {name: settings[name] for name in GROUPS if name in settings}
    flat = {name: value for name, value in settings.items() if name not in groups}
    for group in groups.values():
        flat |= group
    return flat
