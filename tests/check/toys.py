"""A small token environment that owes nothing to textenvs, and broken ones made from it."""

import random

import gymnasium
import numpy as np
from gymnasium.error import InvalidAction
from gymnasium.vector import SyncVectorEnv

PAD, EOS = 0, 1
DIGITS = 4  # of a prompt, all different; digit d is the token 2 + d, and the action 1 + d


class Reversing(gymnasium.Env):
    """Say the digits of the prompt in reverse; no digit twice in a row; EOS after at least one."""

    metadata = {"render_modes": []}  # noqa: RUF012

    pad_token_id = PAD
    eos_token_id = EOS
    num_examples = 200
    score_name = "accuracy"

    def __init__(self, reward="terminal", illegal_action="allow", render_mode=None, extra=None):
        self.reward, self.illegal_action, self.render_mode = reward, illegal_action, render_mode
        self.extra = extra
        self.action_tokens = np.arange(1, 12)
        self.observation_space = gymnasium.spaces.Box(0, 11, (2 * DIGITS + 1,), np.int32)
        self.action_space = gymnasium.spaces.Discrete(len(self.action_tokens))

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        index = (options or {}).get("index", int(self.np_random.integers(self.num_examples)))
        if not 0 <= index < self.num_examples:
            raise IndexError(index)
        self.begin(index)
        return self.observation(), {"action_mask": self.mask()}

    def begin(self, index):
        rng = np.random.default_rng([5, index])
        self.digits = rng.permutation(10)[:DIGITS].tolist()
        self.prefix = [2 + digit for digit in self.digits]
        self.said = []

    def observation(self):
        return np.array(self.prefix + [PAD] * (2 * DIGITS + 1 - len(self.prefix)), np.int32)

    def mask(self):
        mask = np.ones(len(self.action_tokens), np.int8)
        if self.said:
            mask[self.said[-1]] = 0
        else:
            mask[0] = 0
        return mask

    def action_masks(self):
        return self.mask().astype(bool)

    def score(self):
        wanted = self.digits[::-1]
        return sum(1 + w == s for w, s in zip(wanted, self.said, strict=False)) / DIGITS

    def potential(self):
        return self.score()

    def step(self, action):
        if self.illegal_action == "raise" and not self.mask()[action]:
            raise InvalidAction(f"action {action} is illegal")
        before = self.potential()
        self.append(int(action))
        done = bool(action == 0 or len(self.said) == DIGITS + 1)
        info = {"action_mask": self.mask()}
        if done:
            info["metrics"] = {"accuracy": self.score()}
            info["text"] = " ".join(str(action - 1) for action in self.said if action)
        if self.reward == "dense":
            return self.observation(), self.potential() - before, done, False, info
        return self.observation(), self.score() if done else 0.0, done, False, info

    def append(self, action):
        self.said.append(action)
        self.prefix.append(int(self.action_tokens[action]))

    def expert_action(self):
        said = len(self.said)
        if said < DIGITS:
            best = 1 + self.digits[-1 - said]
            return best if self.said[-1:] != [best] else best % 10 + 1
        return 0


def looped(num_envs, autoreset_mode="NextStep", **kwargs):
    """The vector entry point of the honest environment."""
    return SyncVectorEnv([lambda: Reversing(**kwargs)] * num_envs, autoreset_mode=autoreset_mode)


class NoRenderFps(Reversing):
    metadata = {"render_modes": ["ansi"]}  # noqa: RUF012

    def render(self):
        return str(self.prefix)


class TwoActionsOneToken(Reversing):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.action_tokens = np.append(self.action_tokens, 2)
        self.action_space = gymnasium.spaces.Discrete(12)


class Rewriting(Reversing):
    def append(self, action):
        super().append(action)
        self.prefix[0] = 2 + (self.prefix[0] - 1) % 10


class NeverLegal(Reversing):
    def mask(self):
        return super().mask() * np.int8(len(self.said) != 2)


class WideMask(Reversing):
    def mask(self):
        return super().mask().astype(np.int64)


class OtherMask(Reversing):
    def action_masks(self):
        return np.ones(11, bool)


class HarmfulError(Reversing):
    def step(self, action):
        if self.illegal_action == "raise" and not self.mask()[action]:
            self.said.append(action)
        return super().step(action)


class NoIndex(Reversing):
    def begin(self, index):
        super().begin(int(self.np_random.integers(self.num_examples)))


class Truncating(Reversing):
    def step(self, action):
        observation, reward, done, _, info = super().step(action)
        return observation, reward, bool(done and action == 0), bool(done and action != 0), info


class CountingMetrics(Reversing):
    def step(self, action):
        *rest, info = super().step(action)
        if "metrics" in info:
            info["metrics"]["length"] = len(self.said)
        return *rest, info


class Overpaying(Reversing):
    def score(self):
        return 2 * super().score()


class NotTelescoping(Reversing):
    def potential(self):
        return super().potential() + 0.5 * (not self.said)


class PoorExpert(Reversing):
    def expert_action(self):
        return int(np.flatnonzero(self.mask())[0])


class IllegalExpert(Reversing):
    def expert_action(self):
        wrong = self.said and self.said[-1] != 1 + self.digits[-len(self.said)]
        return self.said[-1] if wrong else super().expert_action()


class SeedIgnoring(Reversing):
    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        if seed is not None or not hasattr(self, "stream"):
            self.stream = np.random.default_rng(0)
        index = (options or {}).get("index", int(self.stream.integers(self.num_examples)))
        return super().reset(options={"index": index})


class Hashing(Reversing):
    def begin(self, index):
        super().begin(index)
        self.prefix = [2 + digit for digit in sorted(self.digits, key=lambda d: hash(str(d)))]


class Unpicklable(Reversing):
    def begin(self, index):
        super().begin(index)
        self.say = lambda action: None


class Forgetful(Reversing):
    def __getstate__(self):
        return self.__dict__ | {"said": []}


class TupleWanting(Reversing):
    def begin(self, index):
        super().begin(index + isinstance(self.extra, tuple))


class GlobalRandom(Reversing):
    def step(self, action):
        random.random()
        return super().step(action)


class GlobalNumpy(Reversing):
    def begin(self, index):
        np.random.seed(0)  # noqa: NPY002
        super().begin(index)


class AnyOrder(Reversing):
    """Pays for the digits wherever they stand: the prompt, copied, has them all."""

    def score(self):
        return sum(1 + digit in self.said for digit in self.digits) / DIGITS


class Refusing(Reversing):
    def append(self, action):
        if action == 0 and not self.said:
            raise RuntimeError("an empty answer")
        super().append(action)


class Endless(Reversing):
    def step(self, action):
        observation, _, _, _, info = super().step(action)
        self.prefix, self.said = self.prefix[: DIGITS + 1], self.said[:1]
        return observation, 0.0, False, False, info


class Rounding(SyncVectorEnv):
    """Rewards that are off by a hair."""

    def step(self, actions):
        observations, rewards, *rest = super().step(actions)
        return observations, rewards + 1e-12, *rest

    @classmethod
    def of(cls, num_envs, autoreset_mode="NextStep", **kwargs):
        return cls([lambda: Reversing(**kwargs)] * num_envs, autoreset_mode=autoreset_mode)


def rounding(num_envs, autoreset_mode="NextStep", **kwargs):
    return Rounding.of(num_envs, autoreset_mode, **kwargs)


class Confused(SyncVectorEnv):
    """Tells slot 0's expert action for all slots."""

    def expert_actions(self):
        return np.full(self.num_envs, self.envs[0].unwrapped.expert_action())


def confused(num_envs, autoreset_mode="NextStep", **kwargs):
    return Confused([lambda: Reversing(**kwargs)] * num_envs, autoreset_mode=autoreset_mode)


class Bare(gymnasium.Env):
    """The least that the contract asks for: no mask, expert, metrics or options."""

    metadata = {"render_modes": []}  # noqa: RUF012

    action_tokens = np.array([1, 2])
    pad_token_id = PAD
    observation_space = gymnasium.spaces.Box(0, 2, (3,), np.int32)
    action_space = gymnasium.spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.bit = int(self.np_random.integers(2))
        return np.array([1 + self.bit, PAD, PAD], np.int32), {}

    def step(self, action):
        observation = np.array([1 + self.bit, 1 + action, PAD], np.int32)
        return observation, float(action == self.bit), True, False, {}
