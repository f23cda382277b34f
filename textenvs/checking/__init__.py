"""The checks of `textenvs.check`: whether an environment is a token MDP that can be relied on.

Each check is a function of a `Subject`: its name is the check's, the first line of its docstring
says what it asks. It raises `CheckFailed`, or `NotOffered` where the environment has not what it is
about; any other exception is a failure, too.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import gymnasium
from gymnasium.envs.registration import EnvSpec

from textenvs.checking import contract, probes, reproducibility, rewards, vector
from textenvs.checking.report import CheckFailed, NotOffered, Report, Result, Returns
from textenvs.checking.subject import Subject
from textenvs.errors import check_positive, unknown

CHECKS: dict[str, Callable[[Subject], None]] = {
    function.__name__: function
    for module in (contract, rewards, reproducibility, vector, probes)
    for function in module.CHECKS
}
"""Every check by name."""


def check(
    env: str | EnvSpec | gymnasium.Env[Any, Any],
    *,
    checks: Sequence[str] | None = None,
    episodes: int = 50,
    **kwargs: Any,
) -> Report:
    """Check an environment against the contract of the token MDP, and probe its reward.

    >>> report = check("TextNER-v0", checks=["masks", "dense_reward"], episodes=5)
    >>> report.ok, report.failed
    (True, ())

    Args:
        env: An id, a spec, or an environment. One that has a spec is checked through it; of one
            without, or with wrappers that do not record how they were made (see
            `gymnasium.utils.RecordConstructorArgs`), what can be checked on a single instance.
        checks: The names of the checks to make, or of one; default: all of `CHECKS`.
        episodes: How many episodes a check plays.
        **kwargs: Options of `gymnasium.make`, for an id or a spec.

    Returns:
        The findings; ``report.ok`` says whether no check failed.

    Raises:
        OptionError: A check that does not exist, or no episodes.
        TypeError: `env` is a vector environment, or one that is made already has `kwargs`.
        gymnasium.error.Error: The environment cannot be made.
    """
    check_positive("episodes", episodes)
    names = [checks] if isinstance(checks, str) else list(CHECKS if checks is None else checks)
    for name in names:
        if name not in CHECKS:
            raise unknown("check", name, CHECKS)
    subject = Subject(env, episodes=episodes, kwargs=kwargs)
    try:
        subject.make().reset(seed=0)
        results = tuple(_run(name, subject) for name in names)
    finally:
        subject.close()
    return Report(subject.name, results, episodes, subject.returns)


def _run(name: str, subject: Subject) -> Result:
    function = CHECKS[name]
    description = (function.__doc__ or "").partition("\n")[0].rstrip(".")
    try:
        function(subject)
    except NotOffered as reason:
        return Result(name, description, "skipped", f"not offered: {reason}")
    except CheckFailed as failure:
        return Result(name, description, "failed", str(failure))
    except Exception as error:  # noqa: BLE001  # whatever it raises is the finding
        place = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{Path(place.filename).name}, line {place.lineno}"
        message = f"{type(error).__name__}: {error} ({where})"
        return Result(name, description, "failed", message)
    return Result(name, description, "passed")


__all__ = ["CHECKS", "CheckFailed", "NotOffered", "Report", "Result", "Returns", "check"]
