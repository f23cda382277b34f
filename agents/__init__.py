"""Agents whose policy is a language model, for the token MDPs of textenvs and any like them."""

from agents.agent import LanguageAgent
from agents.baselines import RandomAgent, ReferenceAgent
from agents.behaviour_cloning import BCConfig, BehaviourCloning
from agents.errors import (
    AgentError,
    CheckpointError,
    ContractError,
    ModelError,
    TrainingDiverged,
)
from agents.evaluation import Result, evaluate
from agents.ppo import PPO, PPOConfig

__all__ = [
    "PPO",
    "AgentError",
    "BCConfig",
    "BehaviourCloning",
    "CheckpointError",
    "ContractError",
    "LanguageAgent",
    "ModelError",
    "PPOConfig",
    "RandomAgent",
    "ReferenceAgent",
    "Result",
    "TrainingDiverged",
    "evaluate",
]
