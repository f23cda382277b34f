"""Anything with `predict` plays: stable-baselines3's models, one's own, by object or by place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import one_skill
import pytest

from agents import AgentError, RandomAgent, evaluate, record
from agents.environment import Contract
from agents.predictor import TextPredictor, as_predictor, takes_masks

OPTIONS: dict[str, Any] = {"answers": 3, "fewest": 1, "examples": 20, "masked": True}

MODULE = """
import numpy as np

class Always:
    def __init__(self, action=0):
        self.action = action

    def predict(self, observation, state=None, episode_start=None, deterministic=True):
        return np.full(len(observation), self.action), state

class Needy(Always):
    def __init__(self, action):
        super().__init__(action)

agent = Always(2)

def third():
    return Always(3)

number = 7
"""


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "places_of_agents.py").write_text(MODULE)
    (tmp_path / "broken_place.py").write_text("import no_such_library")
    monkeypatch.syspath_prepend(tmp_path)


@pytest.mark.parametrize(("name", "action"), [("Always", 0), ("agent", 2), ("third", 3)])
def test_an_agent_is_found_by_its_place(places: None, name: str, action: int) -> None:
    agent = as_predictor(f"places_of_agents:{name}")
    assert agent.predict(np.zeros((2, 3)))[0].tolist() == [action] * 2


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("places_of_agents", "expected the place of one as 'module:attribute'"),
        (":agent", "expected the place of one"),
        ("places_of_agents:agent.x", "expected the place of one"),
        ("runs/ner:best", r"agents\.load_agent loads a checkpoint's"),
        ("no_such_place:agent", "there is no module 'no_such_place': start Python in the folder"),
        ("places_of_agents.deeper:agent", "no module 'places_of_agents.deeper'"),
        ("places_of_agents:agnet", "has no 'agnet'. It has: 'agent', 'Always', 'Needy', 'third'"),
        ("places_of_agents:Needy", "called without arguments .* missing a required .*'action'"),
        ("places_of_agents:number", "places_of_agents:number gives int, which has none"),
    ],
)
def test_what_is_wrong_with_a_place_is_said(places: None, place: str, message: str) -> None:
    with pytest.raises(AgentError, match=message):
        evaluate(place, "OneSkill-v0", **OPTIONS)


def test_what_a_module_lacks_itself_is_its_own_error(places: None) -> None:
    with pytest.raises(ModuleNotFoundError, match="no_such_library"):
        as_predictor("broken_place:agent")


def test_what_is_no_agent_is_refused() -> None:
    with pytest.raises(AgentError, match="this is the class RandomAgent; expected an agent"):
        evaluate(RandomAgent, "OneSkill-v0", **OPTIONS)  # type: ignore[arg-type]
    with pytest.raises(AgentError, match=r"has a method predict.* this is object, which has none"):
        evaluate(object(), "OneSkill-v0", **OPTIONS)  # type: ignore[arg-type]


def test_actions_without_a_state_are_refused() -> None:
    class Forgetful:
        def predict(self, observation: Any, **rest: Any) -> Any:
            return np.zeros(len(observation), int)

    with pytest.raises(AgentError, match=r"Forgetful.predict returned ndarray; expected a pair"):
        evaluate(Forgetful(), "OneSkill-v0", **OPTIONS)


class Counting:
    """Says the next marked word, which it knows from nothing but its state."""

    def __init__(self) -> None:
        self.starts: list[np.ndarray] = []

    def predict(
        self,
        observation: np.ndarray,
        state: np.ndarray | None = None,
        episode_start: np.ndarray | None = None,
        deterministic: bool = True,
    ) -> tuple[np.ndarray, np.ndarray]:
        assert episode_start is not None
        self.starts.append(episode_start.copy())
        said = np.zeros(len(observation), int) if state is None else state
        said = np.where(episode_start, 0, said)
        actions = []
        for prefix, number in zip(observation, said, strict=True):
            marked = prefix[1:][prefix[:-1] == one_skill.MARK]
            actions.append(one_skill.FIRST_WORD + 7 - marked[number])  # its words in reverse order
        return np.array(actions), said + 1


@pytest.mark.parametrize("num_envs", [1, 3, 64])
def test_the_state_is_handed_on_and_starts_are_told(num_envs: int) -> None:
    agent = Counting()
    result = evaluate(agent, "OneSkill-v0", num_envs=num_envs, **OPTIONS)
    assert result.score == (1, 1, 1)
    assert agent.starts[0].all()


def test_an_agent_of_another_environment_is_not_recorded(tmp_path: Path) -> None:
    agent = RandomAgent(8)
    agent.contract = Contract(  # type: ignore[attr-defined]
        action_tokens=(1,), pad_token_id=0, vocab_size=2, max_tokens=3
    )
    with pytest.raises(AgentError, match="the agent was made for 2"):
        record(agent, "OneSkill-v0", tmp_path / "a", **OPTIONS)


def test_agents_of_tokens_are_none_of_text() -> None:
    assert not isinstance(RandomAgent(8), TextPredictor)


# stable-baselines3


def sb3_model(name: str) -> Any:
    library = pytest.importorskip("sb3_contrib" if name in CONTRIB else "stable_baselines3")
    policy = "MlpLstmPolicy" if name == "RecurrentPPO" else "MlpPolicy"
    env = one_skill.OneSkillEnv(**OPTIONS)
    settings = {"buffer_size": 100} if name == "DQN" else {"n_steps": 8}
    return getattr(library, name)(policy, env, seed=0, device="cpu", **settings)


CONTRIB = {"MaskablePPO", "RecurrentPPO"}


@pytest.mark.parametrize("name", ["A2C", "DQN", "MaskablePPO", "RecurrentPPO"])
def test_a_model_of_stable_baselines3_plays_as_it_does_alone(name: str) -> None:
    model = sb3_model(name)
    masked = takes_masks(model)
    assert masked == (name == "MaskablePPO")
    result = evaluate(model, "OneSkill-v0", num_envs=3, **OPTIONS)
    env = one_skill.OneSkillEnv(split="test", **OPTIONS)
    for index in range(OPTIONS["examples"]):
        observation, _ = env.reset(options={"index": index})
        state, started, done = None, True, False
        while not done:
            masks = {"action_masks": env.action_masks()} if masked else {}
            action, state = model.predict(
                observation, state, np.array([started]), deterministic=True, **masks
            )
            observation, _, done, _, info = env.step(action)
            started = False
        assert result.texts[index] == info["text"]
    if masked:
        assert result.score.value > 0.3  # of words that the prompt marks, chance alone says some
