"""A run of the training command: clone a start, train, and compare on examples not seen."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

from agents.action_values import ActionValueAgent
from agents.agent import LanguageAgent
from agents.algorithms import load_agent
from agents.behaviour_cloning import BCConfig, BehaviourCloning
from agents.checkpoint import CHECKPOINT, INDEX
from agents.errors import AgentError, ModelError
from agents.ladder import CLONED, START, Ladder
from agents.models.building import choose_device, prepare_again
from agents.models.loading import check_positions
from agents.models.model import AgentModel
from agents.models.model_config import ModelConfig, chosen
from agents.processes import launched
from agents.run_files import CLONE
from agents.run_settings import RLSettings, Settings, begin, check_start
from agents.settings import PolicyConfig, TrainingConfig

Agent = TypeVar("Agent", bound=LanguageAgent)


@dataclass
class Interruption:
    """Whether somebody asked for a training to end.

    Attributes:
        asked: it ends after the iteration that is running, and can be resumed.
    """

    asked: bool = False

    def goes_on(self, agent: LanguageAgent) -> bool:
        """A callback of `learn`."""
        return not self.asked


def train(
    algorithm: type[LanguageAgent], settings: Settings, interruption: Interruption | None = None
) -> bool:
    """Train an agent and report how it does.

    Of several processes all train, and the main one scores, writes and prints.

    Args:
        algorithm: of the agent.
        settings: of the run.
        interruption: asks for an end; nothing is reported then.

    Returns:
        Whether the training came to its end.

    Raises:
        AgentError: the settings do not fit the environment, the start, or the run that is to be
            resumed.
        TrainingDiverged: a loss, gradient or reward is not finite.
    """
    check_start(settings)
    interruption = interruption or Interruption()
    processes = launched(choose_device(settings.device))
    ladder = Ladder(settings) if processes.main else None
    if ladder is not None:
        begin(settings)
    processes.wait()
    began = time.perf_counter()
    start = start_of(settings, interruption)
    if processes.agreed(interruption.asked):
        return False
    seconds = time.perf_counter() - began
    if ladder is not None and start is not None:
        ladder.score_both(CLONED if isinstance(start, BehaviourCloning) else START, start)

    resumed = settings.resume and is_checkpoint(settings.out)
    if resumed:
        agent = algorithm.load(settings.out / CHECKPOINT, device=settings.device)
    else:
        model = settings.model_config if start is None else model_of(start, settings)
        agent = new_agent(algorithm, settings, settings.config, model)
    del start
    goes_on = True
    if ladder is not None:
        ladder.baselines(agent.contract)
        ladder.start(agent, resumed)
        goes_on = not ladder.stopping.exhausted
    if processes.agreed(interruption.asked):
        return False

    began = time.perf_counter()
    if processes.agreed(goes_on) and not (resumed and agent.num_timesteps >= agent.leg_end):
        total = settings.total_timesteps if isinstance(settings, RLSettings) else None
        agent.learn(
            None if resumed else total,
            callback=None if ladder is None else partial(watched, ladder, interruption),
            progress_bar=settings.progress,
            run_dir=settings.out,
            wandb=settings.wandb,
        )
    agent.save(settings.out / CHECKPOINT)
    if processes.agreed(interruption.asked and agent.num_timesteps < agent.leg_end):
        return False
    if ladder is not None:
        ladder.finish(agent, seconds + time.perf_counter() - began)
    return True


def watched(ladder: Ladder, interruption: Interruption, agent: LanguageAgent) -> bool:
    """Add to the learning curve; whether to go on."""
    return ladder.watch(agent) and interruption.goes_on(agent)


def start_of(settings: Settings, interruption: Interruption) -> LanguageAgent | None:
    """The agent to start from: a given one, or a clone of the expert; None for from scratch."""
    if not isinstance(settings, RLSettings):
        return None
    if settings.start is not None:
        start = load_agent(settings.start, device=settings.device)
        if isinstance(start, ActionValueAgent) and isinstance(settings.config, PolicyConfig):
            raise AgentError(
                f"{settings.start} holds a {type(start).__name__} agent, whose policy head never "
                "learnt: start from one that learns a policy (bc, ppo, a2c, reinforce)"
            )
        if virtual := settings.model_config.virtual_tokens:
            check_room(start, virtual)
        return start
    return cloned_start(settings, interruption) if settings.clone_episodes else None


def check_room(start: LanguageAgent, virtual_tokens: int) -> None:
    """Check that prefix-tuning fits a start.

    Raises:
        AgentError: its model has no positions for the virtual tokens.
    """
    try:
        check_positions(start.model.backbone, start.contract.max_tokens + virtual_tokens)
    except ModelError as error:
        raise AgentError(
            f"--start has no room for {virtual_tokens} virtual tokens: a preset has no positions "
            "beyond the environment's. Use another adapter, such as lora, or a start whose model "
            "has a longer context"
        ) from error


def model_of(start: LanguageAgent, settings: Settings) -> AgentModel:
    """The start's model; prepared anew where it was trained by itself and settings ask for it."""
    asked = chosen(settings.model_config)
    if isinstance(settings, RLSettings) and settings.start is not None and asked:
        prepare_again(start.model, asked, settings.seeds.weights)
    return start.model


def cloned_start(settings: RLSettings, interruption: Interruption) -> BehaviourCloning:
    """An agent that imitates the expert; where an interrupted run left off if it is resumed."""
    folder = settings.out / CLONE
    if settings.resume and is_checkpoint(folder):
        start = BehaviourCloning.load(folder / CHECKPOINT, device=settings.device)
        if start.num_timesteps < start.leg_end:
            start.learn(
                progress_bar=settings.progress, callback=interruption.goes_on, run_dir=folder
            )
        return start
    config = BCConfig(
        episodes=settings.clone_episodes,
        epochs=settings.clone_epochs,
        learning_rate=settings.clone_learning_rate,
    )
    start = new_agent(BehaviourCloning, settings, config, settings.model_config)
    return start.learn(
        progress_bar=settings.progress, callback=interruption.goes_on, run_dir=folder
    )


def new_agent(
    algorithm: type[Agent],
    settings: Settings,
    config: TrainingConfig,
    model: ModelConfig | AgentModel,
) -> Agent:
    """An agent that has not learnt yet."""
    return algorithm(
        settings.env_id,
        config,
        model=model,
        seed=settings.seeds,
        device=settings.device,
        env_kwargs=settings.environment_options(),
    )


def is_checkpoint(folder: Path) -> bool:
    """Whether a run's folder has a checkpoint."""
    return (folder / CHECKPOINT / INDEX).exists()
