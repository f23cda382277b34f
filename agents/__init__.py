"""Agents whose policy or action values are a language model's, for token MDPs.

They learn in the environments of textenvs and in any that meets the same contract.
"""

from agents.a2c import A2C, A2CConfig
from agents.agent import LanguageAgent
from agents.algorithms import load_agent
from agents.baselines import MajorityAgent, RandomAgent, ReferenceAgent
from agents.behaviour_cloning import BCConfig, BehaviourCloning
from agents.dqn import DQN, DQNConfig
from agents.early_stopping import EarlyStopping
from agents.epsilon_greedy import EpsilonGreedy, EpsilonGreedyConfig
from agents.errors import (
    AgentError,
    CheckpointError,
    ContractError,
    EndpointError,
    ModelError,
    RecordingError,
    TrainingDiverged,
)
from agents.evaluation import Result, evaluate, paired_difference
from agents.models.backbone import Backbone
from agents.models.model_config import ModelConfig
from agents.models.recurrent import RecurrentBackbone
from agents.ppo import PPO, PPOConfig
from agents.q_learning import QLearning, QLearningConfig
from agents.recorded import load_episodes, record, save_episodes
from agents.reinforce import REINFORCE, REINFORCEConfig
from agents.sarsa import SARSA, SARSAConfig
from agents.seeds import Seeds

__all__ = [
    "A2C",
    "DQN",
    "PPO",
    "REINFORCE",
    "SARSA",
    "A2CConfig",
    "AgentError",
    "BCConfig",
    "Backbone",
    "BehaviourCloning",
    "CheckpointError",
    "ContractError",
    "DQNConfig",
    "EarlyStopping",
    "EndpointError",
    "EpsilonGreedy",
    "EpsilonGreedyConfig",
    "LanguageAgent",
    "MajorityAgent",
    "ModelConfig",
    "ModelError",
    "PPOConfig",
    "QLearning",
    "QLearningConfig",
    "REINFORCEConfig",
    "RandomAgent",
    "RecordingError",
    "RecurrentBackbone",
    "ReferenceAgent",
    "Result",
    "SARSAConfig",
    "Seeds",
    "TrainingDiverged",
    "evaluate",
    "load_agent",
    "load_episodes",
    "paired_difference",
    "record",
    "save_episodes",
]
