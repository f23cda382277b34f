"""What takes minutes to learn."""

from __future__ import annotations

import pytest

from agents import PPO, BCConfig, BehaviourCloning, evaluate


@pytest.mark.slow
def test_ppo_improves_on_a_short_clone_on_held_out_sentences() -> None:
    clone = BehaviourCloning("TextNER-v0", BCConfig(episodes=300))
    clone.learn(progress_bar=False)
    start = evaluate(clone, "TextNER-v0", split="test").score
    agent = PPO("TextNER-v0", model=clone.model)
    agent.learn(120_000, progress_bar=False)
    end = evaluate(agent, "TextNER-v0", split="test").score
    assert end.low > start.high
