"""Random play, for tests; light to import, as other processes do."""

import numpy as np

import textenvs  # noqa: F401  # registers the ids


def legal_action(mask, rng):
    return int(rng.choice(np.flatnonzero(mask)))


def play(env, seed, episodes, legal=True):
    """Every observation, reward and info of some random episodes, as bytes and numbers."""
    rng = np.random.default_rng(seed)
    trace = []
    for episode in range(episodes):
        observation, info = env.reset(seed=seed if episode == 0 else None)
        done = False
        trace.append((observation.tobytes(), info["action_mask"].tobytes()))
        while not done:
            action = (
                legal_action(info["action_mask"], rng)
                if legal
                else int(rng.integers(env.action_space.n))
            )
            observation, reward, terminated, truncated, info = env.step(action)
            done = terminated or truncated
            trace.append((observation.tobytes(), reward, done, info["action_mask"].tobytes()))
        trace.append((info["text"], tuple(info["metrics"].items())))
    return trace
