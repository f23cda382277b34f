"""The environment under test, and how to get another of its kind."""

from __future__ import annotations

import copy
import importlib
from collections.abc import Callable, Mapping
from typing import Any

import gymnasium
from gymnasium.envs.registration import EnvSpec
from gymnasium.error import Error as GymnasiumError
from gymnasium.vector import AutoresetMode, SyncVectorEnv, VectorEnv

from textenvs.checking.report import NotOffered, Returns

AnyEnv = gymnasium.Env[Any, Any]
AnyVectorEnv = VectorEnv[Any, Any, Any]


class Subject:
    """An environment by id, by spec, or one instance.

    Args:
        env: An id, a spec, or an environment. One that has a spec is checked through it, so that
            a check gets a new one; of one without, or with wrappers that do not record how they
            were made, what can be checked on it alone.
        episodes: How many episodes a check plays.
        kwargs: Options of `gymnasium.make`, for an id or a spec.

    Raises:
        TypeError: Options for an environment that is made already, or a vector environment.

    Attributes:
        name: What it is called in the report.
        spec: How it is made; None for an instance without a spec.
        episodes: How many episodes a check plays.
        returns: The mean returns of policies, where a check has measured them.
    """

    def __init__(
        self, env: str | EnvSpec | AnyEnv, *, episodes: int, kwargs: Mapping[str, Any]
    ) -> None:
        self.episodes = episodes
        self.returns: dict[str, Returns] = {}
        self._made: list[AnyEnv | AnyVectorEnv] = []
        self._instance: AnyEnv | None = None
        if isinstance(env, gymnasium.Env):
            if kwargs:
                raise TypeError(f"{sorted(kwargs)} are for an id or a spec; {env} is made already")
            self.spec = env.spec
            if self.spec is None or not _can_be_remade(self.spec):
                self.spec, self._instance = None, env
        elif isinstance(env, VectorEnv):
            raise TypeError(
                f"expected an id, a spec or a single environment, got {env}: a vector environment "
                "is checked beside single ones, by the id of both"
            )
        else:
            self.spec = copy.copy(_spec(env) if isinstance(env, str) else env)
            self.spec.kwargs = {**self.spec.kwargs, **kwargs}
        self.name = str(env) if self.spec is None else _name(self.spec)

    def make(self, **changes: Any) -> AnyEnv:
        """A new environment; the instance, if there is no spec to make one from.

        Raises:
            NotOffered: It does not take ``changes``.
        """
        if self.spec is None:
            assert self._instance is not None
            if changes:
                raise NotOffered(f"without a spec it cannot be made with {_options(changes)}")
            return self._instance
        spec = self.spec
        env: AnyEnv = self._keep(lambda: _make(spec, changes), changes)
        return env

    def make_vector(self, num_envs: int, mode: AutoresetMode, **changes: Any) -> AnyVectorEnv:
        """Its vector environment.

        Raises:
            NotOffered: It has none, or none that takes the mode and ``changes``.
        """
        if self.spec is None or self.spec.vector_entry_point is None:
            raise NotOffered("no spec with a vector_entry_point")
        spec = self.spec
        options = {**changes, "autoreset_mode": mode.value}
        envs: AnyVectorEnv = self._keep(
            lambda: gymnasium.make_vec(
                spec, num_envs, vectorization_mode="vector_entry_point", **options
            ),
            options,
        )
        return envs

    def make_loop(self, num_envs: int, mode: AutoresetMode, **changes: Any) -> AnyVectorEnv:
        """Single environments in Gymnasium's loop."""
        assert self.spec is not None
        spec = self.spec
        env: AnyVectorEnv = SyncVectorEnv(
            [lambda: _make(spec, changes)] * num_envs, autoreset_mode=mode
        )
        self._made.append(env)
        return env

    def _keep(self, make: Callable[[], Any], changes: Mapping[str, Any]) -> Any:
        try:
            env = make()
        except (TypeError, GymnasiumError) as error:
            if not changes:
                raise
            reason = str(error).strip().partition("\n")[0]
            raise NotOffered(f"it cannot be made with {_options(changes)}: {reason}") from error
        self._made.append(env)
        return env

    def close(self) -> None:
        """Close what was made."""
        for env in self._made:
            env.close()
        self._made.clear()


def attribute(env: AnyEnv | AnyVectorEnv, name: str) -> Any:
    """``env.unwrapped``'s attribute.

    Raises:
        NotOffered: There is none.
    """
    if not hasattr(env.unwrapped, name):
        raise NotOffered(f"env.unwrapped has no {name}")
    return getattr(env.unwrapped, name)


def _spec(env_id: str) -> EnvSpec:
    module, _, name = env_id.rpartition(":")
    if module:
        importlib.import_module(module)
    return gymnasium.spec(name)


def _can_be_remade(spec: EnvSpec) -> bool:
    """Whether it says how the environment was made, and with what each wrapper on it was."""
    return spec.entry_point is not None and all(
        wrapper.kwargs is not None for wrapper in spec.additional_wrappers
    )


def _make(spec: EnvSpec, changes: Mapping[str, Any]) -> AnyEnv:
    """Without Gymnasium's checks in passing, whose findings are those of its check_env."""
    return gymnasium.make(spec, disable_env_checker=True, **changes)


def _name(spec: EnvSpec) -> str:
    """The id, and the options that are not those it is registered with."""
    registered = gymnasium.registry.get(spec.id)
    usual = {} if registered is None else registered.kwargs
    own = {name: value for name, value in spec.kwargs.items() if usual.get(name) is not value}
    return f"{spec.id} {_options(own)}".strip()


def _options(options: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in options.items())
