"""Episodes as data sets that other libraries read: Minari's, and those of Hugging Face.

Minari's are what offline reinforcement learning in d3rlpy, TorchRL, AgileRL and others begins with.
An observation there is the whole padded prefix, as the environment gives it.
"""

from __future__ import annotations

import copy
import dataclasses
import json
import warnings
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Any

import gymnasium
import numpy as np
import numpy.typing as npt
from gymnasium.envs.registration import EnvSpec
from gymnasium.vector import AutoresetMode

from agents.checkpoint import from_json
from agents.environment import (
    Contract,
    check_same_contract,
    make_env,
    prefix_lengths,
    read_contract,
)
from agents.episodes import STEP_FIELDS, Cut, Episode, pack, unpack
from agents.errors import AgentError, RecordingError, nearest_first
from agents.recorded import check_episodes, load_episodes

if TYPE_CHECKING:
    import datasets
    import minari

MINARI = "minari:"
"""What stands before the id of a Minari data set where a file could be named, too."""
CONTRACT, EXTRAS = "textenvs_contract", "textenvs_extras"
"""Our entries in the metadata of a data set and of its episodes, both JSON."""


def load_recorded(source: str, contract: Contract) -> list[Episode]:
    """The episodes of a file, or of a Minari data set if the source is ``"minari:ID"``.

    Raises:
        RecordingError: they are missing, damaged, or of another environment.
    """
    if source.startswith(MINARI):
        return from_minari(source.removeprefix(MINARI), contract)
    return load_episodes(source, contract)


def to_minari(
    episodes: Sequence[Episode],
    dataset_id: str,
    env_id: str,
    split: str | None = "train",
    about: Mapping[str, Any] | None = None,
    **env_kwargs: Any,
) -> minari.MinariDataset:
    """Write episodes as a new Minari data set, into the folder MINARI_DATASETS_PATH or ~/.minari.

    Its infos hold `action_mask`, where some actions are illegal, `log_prob` and `value`; Minari's
    `recover_environment` makes the environment again, if its options are data. The last observation
    of an episode is the prefix with the last action's token; what the task may append after that is
    not recorded.

    Args:
        episodes: such as `agents.record` returns.
        dataset_id: its name, such as ``"TextNER/expert-v0"``.
        env_id: the environment in which they were played.
        split: of its examples; None for an environment without this option.
        about: more for Minari, such as ``{"author": "...", "description": "..."}``.
        env_kwargs: the environment's other options.

    Raises:
        RecordingError: the episodes are not of this environment, the id is taken or none, or
            Minari is not installed.
    """
    library = _minari()
    options = env_kwargs if split is None else {"split": split, **env_kwargs}
    env = make_env(env_id, 1, AutoresetMode.DISABLED, **options)
    contract = read_contract(env)
    env.close()
    check_episodes(episodes, contract, "cannot export")
    buffers = [_buffer(library, episode, contract) for episode in episodes]
    told = {
        "env": _spec(env_id, options),
        "observation_space": env.single_observation_space,
        "action_space": env.single_action_space,
        **(about or {}),
    }
    with warnings.catch_warnings():  # of what is not told, such as the author
        warnings.filterwarnings("ignore", message=".* (is set to|is) None", category=UserWarning)
        try:
            library.dataset.minari_dataset.parse_dataset_id(dataset_id)  # before a folder is made
            dataset = library.create_dataset_from_buffers(dataset_id, buffers, **told)
        except (TypeError, ValueError) as error:
            raise RecordingError(
                f"Minari cannot write the data set {dataset_id!r}; expected a new name that ends "
                f"with a version, such as 'TextNER/expert-v0': {error}"
            ) from error
    dataset.storage.update_metadata({CONTRACT: json.dumps(dataclasses.asdict(contract))})
    extras = [{"bootstrap": e.bootstrap, "metrics": e.metrics} for e in episodes]
    dataset.storage.update_episode_metadata([{EXTRAS: json.dumps(each)} for each in extras])
    return dataset


def from_minari(dataset_id: str, contract: Contract) -> list[Episode]:
    """The episodes of a Minari data set, checked against the environment that is to be learnt.

    It need not be written by `to_minari`: observations are prefixes that only grow, padded on the
    right, and actions are of the contract's; `action_mask` is read from the infos.

    Raises:
        RecordingError: it is not there, damaged, or of another environment, or Minari is not
            installed.
    """
    library = _minari()
    try:
        dataset = library.load_dataset(dataset_id)
        told = dataset.storage.metadata.get(CONTRACT)
        played_in = contract if told is None else from_json(Contract, dict(json.loads(told)))
    except FileNotFoundError:
        local = nearest_first(dataset_id, library.list_local_datasets())
        raise RecordingError(
            f"there is no Minari data set {dataset_id!r} in the folder MINARI_DATASETS_PATH or "
            f"~/.minari; there {f'are: {local}' if local else 'is none at all'}. "
            "`minari download` fetches published ones"
        ) from None
    except (LookupError, TypeError, ValueError) as error:
        raise RecordingError(f"cannot read the Minari data set {dataset_id!r}: {error}") from error
    _check_spaces(dataset, contract)
    try:
        check_same_contract(contract, played_in)
    except AgentError as error:
        raise RecordingError(
            f"the episodes of {dataset_id!r} were played in another environment: {error}"
        ) from error
    metadata = dataset.storage.get_episode_metadata(dataset.episode_indices)
    try:
        episodes = [
            _episode(data, json.loads(entry.get(EXTRAS, "{}")), contract)
            for data, entry in zip(dataset.iterate_episodes(), metadata, strict=True)
        ]
    except (LookupError, TypeError, ValueError) as error:
        raise RecordingError(f"{dataset_id} is damaged, or no token MDP's: {error}") from error
    check_episodes(episodes, contract, f"{dataset_id} is damaged")
    return episodes


def to_dataset(episodes: Sequence[Episode]) -> datasets.Dataset:
    """Episodes as a data set of Hugging Face, a row each, to be saved, shared or looked through.

    Its columns are the attributes of `Episode`, with the return; masks stay packed (eight actions
    a byte). `dataset.to_json("episodes.jsonl")` writes JSON Lines.

    Raises:
        RecordingError: there are no episodes, or the datasets library is not installed.
    """
    try:
        import datasets
    except ImportError as error:
        raise RecordingError('this needs datasets: pip install "textenvs[offline]"') from error
    if not episodes:
        raise RecordingError("cannot export: there are no episodes")
    rows = []
    for episode in episodes:
        fields = {field: getattr(episode, field) for field in ("tokens_L", *STEP_FIELDS)}
        row: dict[str, Any] = {field.rpartition("_")[0]: each for field, each in fields.items()}
        row["legal"] = episode.legal_TA8
        row |= {"bootstrap": episode.bootstrap, "truncated": episode.cut is not None}
        row["return"] = episode.episode_return
        rows.append(row | {"metrics": episode.metrics})
    return datasets.Dataset.from_list(rows)


def _minari() -> ModuleType:
    try:
        import minari
    except ImportError as error:
        raise RecordingError(
            "this needs Minari, which needs Python 3.11 or later: "
            f'pip install "textenvs[offline]" ({error})'
        ) from error
    module: ModuleType = minari
    return module


def _spec(env_id: str, options: Mapping[str, Any]) -> EnvSpec | None:
    """What makes the environment again; None, with a warning, if it is no data."""
    spec = copy.deepcopy(gymnasium.spec(env_id))
    spec.kwargs |= options
    try:
        json.loads(spec.to_json())
    except (TypeError, ValueError) as error:
        warnings.warn(
            f"the data set cannot tell how {env_id} is made, which Minari's recover_environment "
            f"needs: {error}",
            stacklevel=3,
        )
        return None
    return spec


def _buffer(library: ModuleType, episode: Episode, contract: Contract) -> Any:
    """An episode of T actions as Minari has it: T + 1 observations and infos."""
    steps, cut = episode.steps, episode.cut
    if cut is None:
        last = np.int32(contract.action_tokens[episode.actions_T[-1]])
        cut = Cut(np.append(episode.tokens_L, last)[: contract.max_tokens], None)
    lengths_O = np.append(episode.positions_T + 1, len(cut.tokens_L))
    final_L = np.full(contract.max_tokens, contract.pad_token_id, np.int32)
    final_L[: len(cut.tokens_L)] = cut.tokens_L
    within_OL = np.arange(contract.max_tokens) < lengths_O[:, None]
    infos = {
        "log_prob": np.append(episode.log_probs_T, np.float32(0)),
        "value": np.append(episode.values_T, np.float32(episode.bootstrap)),
    }
    if episode.legal_TA8 is not None:
        legal_TA = unpack(episode.legal_TA8, contract.n_actions).astype(np.int8)
        final_1A = np.ones_like(legal_TA[:1])
        if cut.legal_A8 is not None:
            final_1A = unpack(cut.legal_A8[None], contract.n_actions).astype(np.int8)
        infos["action_mask"] = np.vstack([legal_TA, final_1A])
    last_T = np.arange(steps) == steps - 1
    truncated = episode.cut is not None
    return library.data_collector.EpisodeBuffer(
        observations=np.where(within_OL, final_L, np.int32(contract.pad_token_id)),
        actions=episode.actions_T.astype(np.int64),
        rewards=episode.rewards_T,
        terminations=last_T & (not truncated),
        truncations=last_T & truncated,
        infos=infos,
    )


def _episode(data: Any, extras: Mapping[str, Any], contract: Contract) -> Episode:
    """An episode of a Minari data set.

    Raises:
        ValueError: it is no episode of growing prefixes.
    """
    steps = len(data.actions)
    if not steps == len(data.rewards) == len(data.observations) - 1 > 0:
        raise ValueError(f"episode {data.id} has {steps} actions; expected one more observation")
    observations_TL = np.asarray(data.observations)[:-1]
    lengths_T = prefix_lengths(observations_TL, contract.pad_token_id)
    tokens_L = observations_TL[-1, : lengths_T[-1]]
    beyond_TL = np.arange(len(tokens_L)) >= lengths_T[:, None]
    if not ((observations_TL[:, : len(tokens_L)] == tokens_L) | beyond_TL).all():
        raise ValueError(f"an observation of episode {data.id} is no prefix of the last one")
    infos = data.infos or {}
    mask = infos.get("action_mask")
    legal = None if mask is None else pack(np.asarray(mask).astype(np.bool_))
    cut = None
    if data.truncations[-1] and not data.terminations[-1]:
        final_L = np.asarray(data.observations)[-1]
        length = prefix_lengths(final_L[None], contract.pad_token_id)[0]
        final_A8 = legal[-1] if legal is not None and len(legal) > steps else None
        cut = Cut(final_L[:length].astype(np.int32), final_A8)
    return Episode(
        tokens_L=tokens_L.astype(np.int32),
        positions_T=(lengths_T - 1).astype(np.int32),
        actions_T=np.asarray(data.actions).astype(np.int32),
        rewards_T=np.asarray(data.rewards).astype(np.float64),
        log_probs_T=_of_steps(infos.get("log_prob"), steps),
        values_T=_of_steps(infos.get("value"), steps),
        legal_TA8=None if legal is None else legal[:steps],
        bootstrap=float(extras.get("bootstrap", 0.0)),
        metrics={str(name): float(value) for name, value in extras.get("metrics", {}).items()},
        cut=cut,
    )


def _of_steps(column: Any, steps: int) -> npt.NDArray[np.float32]:
    values = np.zeros(steps) if column is None else np.asarray(column)[:steps]
    return values.astype(np.float32)


def _check_spaces(dataset: Any, contract: Contract) -> None:
    space, actions = dataset.observation_space, dataset.action_space
    if space.shape != (contract.max_tokens,) or getattr(actions, "n", 0) != contract.n_actions:
        raise RecordingError(
            f"the Minari data set {dataset.id!r} has observations {space} and actions {actions}; "
            f"expected {contract.max_tokens} token ids and Discrete({contract.n_actions})"
        )
