"""A checkpoint is whole at every moment, and loading it runs no code."""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import pickle
from pathlib import Path
from typing import IO

import one_skill  # noqa: F401  registers its id
import pytest
import torch
from backbone_zoo import make_lm

from agents import PPO, AgentError, BehaviourCloning, CheckpointError, ModelError, PPOConfig
from agents.checkpoint import INDEX, load_checkpoint, save_checkpoint
from agents.models.loading import _without_foreign
from agents.state import FACTS, weights

OPTIONS = {"answers": 2}
CONFIG = PPOConfig(steps=16, num_envs=2, epochs=1)


def trained(steps: int = 16) -> PPO:
    agent = PPO("OneSkill-v0", CONFIG, env_kwargs=OPTIONS)
    return agent.learn(steps, progress_bar=False)


def test_a_loaded_agent_is_the_saved_one(tmp_path: Path) -> None:
    agent = trained()
    agent.save(tmp_path)
    loaded = PPO.load(tmp_path)
    assert loaded.config == agent.config
    assert loaded.contract == agent.contract
    assert (loaded.env_id, loaded.env_kwargs) == ("OneSkill-v0", OPTIONS)
    for name, tensor in weights(agent.model).items():
        assert torch.equal(tensor, weights(loaded.model)[name])
    observations, _ = agent.env.reset(seed=5)
    assert loaded.predict(observations)[0].tolist() == agent.predict(observations)[0].tolist()
    for both in (agent, loaded):
        both.learn(32, progress_bar=False)
    for name, tensor in weights(agent.model).items():
        assert torch.equal(tensor, weights(loaded.model)[name])


class PowerCut(BaseException):
    pass


@pytest.mark.parametrize("moment", range(30))
def test_a_save_that_dies_leaves_the_previous_checkpoint(
    moment: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every write, sync, replace and delete of a second save dies in turn."""
    parts = ("model", "optimizer")
    save_checkpoint(tmp_path, {"n": 1}, {part: {"x": torch.tensor([1.0])} for part in parts})
    calls = 0

    def dies(function):  # type: ignore[no-untyped-def]
        def wrapper(*args, **kwargs):  # type: ignore[no-untyped-def]
            nonlocal calls
            calls += 1
            if calls > moment:
                raise PowerCut
            return function(*args, **kwargs)

        return wrapper

    with monkeypatch.context() as patch:
        for name in ("fsync", "replace", "unlink", "fdopen"):
            patch.setattr(os, name, dies(getattr(os, name)))
        patch.setattr(Path, "unlink", dies(Path.unlink))
        try:
            save_checkpoint(
                tmp_path, {"n": 2}, {part: {"x": torch.tensor([2.0])} for part in parts}
            )
            finished = True
        except PowerCut:
            finished = False
    facts, tensors = load_checkpoint(tmp_path)
    assert {float(tensors[part]["x"]) for part in parts} == {float(facts["n"])}
    assert facts["n"] == 2 or not finished
    save_checkpoint(tmp_path, {"n": 3}, {part: {"x": torch.tensor([3.0])} for part in parts})
    facts, tensors = load_checkpoint(tmp_path)
    assert {float(tensors[part]["x"]) for part in parts} == {float(facts["n"])} == {3.0}


@pytest.mark.parametrize("writes", range(3))
def test_a_full_disk_leaves_the_previous_checkpoint(
    writes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = {"model": {"x": torch.tensor([1.0])}, "optimizer": {"x": torch.tensor([1.0])}}
    save_checkpoint(tmp_path, {"n": 1}, parts)
    fdopen, opened = os.fdopen, []

    def full(descriptor: int, mode: str) -> object:
        file = fdopen(descriptor, mode)
        opened.append(file)
        if len(opened) <= writes:
            return file
        return FullDisk(file)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fdopen", full)
        with pytest.raises(OSError, match="No space left"):
            save_checkpoint(tmp_path, {"n": 2}, parts)
    assert load_checkpoint(tmp_path)[0]["n"] == 1
    assert not list(tmp_path.glob(".*"))


class FullDisk:
    def __init__(self, file: IO[bytes]) -> None:
        self.file = file

    def __enter__(self) -> FullDisk:
        return self

    def __exit__(self, *error: object) -> None:
        self.file.close()

    def write(self, content: bytes) -> None:
        self.file.write(content[:10])
        raise OSError(errno.ENOSPC, "No space left on device")


def test_a_save_clears_up_after_one_that_was_killed(tmp_path: Path) -> None:
    (tmp_path / ".model-1.safetensors.abc.tmp").write_bytes(b"half")
    save_checkpoint(tmp_path, {}, {})
    assert [path.name for path in tmp_path.iterdir()] == [INDEX]


def test_files_have_the_usual_permissions(tmp_path: Path) -> None:
    (tmp_path / "usual").touch()
    save_checkpoint(tmp_path, {}, {})
    assert (tmp_path / INDEX).stat().st_mode == (tmp_path / "usual").stat().st_mode


def test_a_save_leaves_no_old_files(tmp_path: Path) -> None:
    agent = trained()
    for _ in range(3):
        agent.save(tmp_path)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == [INDEX, "model-3.safetensors", "optimizer-3.safetensors"]


def test_a_save_removes_no_files_but_its_own(tmp_path: Path) -> None:
    shards = [tmp_path / f"model-0000{number}-of-00002.safetensors" for number in (1, 2)]
    for shard in shards:
        shard.write_bytes(b"of a language model in the same folder")
    agent = trained()
    for _ in range(2):
        agent.save(tmp_path)
    assert all(shard.exists() for shard in shards)
    assert PPO.load(tmp_path).num_timesteps == agent.num_timesteps


@pytest.mark.parametrize("iterations", [2, 4])
def test_the_last_checkpoint_is_the_agent_that_has_learnt(iterations: int, tmp_path: Path) -> None:
    config = PPOConfig(steps=16, num_envs=2, epochs=1, checkpoint_every=3)
    agent = PPO("OneSkill-v0", config, env_kwargs=OPTIONS)
    agent.learn(16 * iterations, progress_bar=False, run_dir=tmp_path)
    assert agent.num_timesteps >= agent.leg_end
    assert not agent.at_rest()
    loaded = PPO.load(tmp_path / "checkpoint")
    assert loaded.num_timesteps == agent.num_timesteps
    for each in (agent, loaded):
        each.learn(32, progress_bar=False)
    mine, other = weights(agent.model), weights(loaded.model)
    assert all(torch.equal(mine[name], other[name]) for name in mine)


def test_a_missing_checkpoint_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"no checkpoint in .*nowhere"):
        PPO.load(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("content", "message"),
    [("{", "is not JSON"), ("[]", "has no format 1"), ('{"format": 7}', "has no format 1")],
)
def test_a_damaged_index_is_named(content: str, message: str, tmp_path: Path) -> None:
    (tmp_path / INDEX).write_text(content)
    with pytest.raises(CheckpointError, match=message):
        PPO.load(tmp_path)


def test_another_algorithms_checkpoint_is_refused(tmp_path: Path) -> None:
    trained().save(tmp_path)
    with pytest.raises(CheckpointError, match=r"holds a PPO agent: load it with load_agent"):
        BehaviourCloning.load(tmp_path)


def test_tensors_that_are_a_pickle_are_not_run(tmp_path: Path) -> None:
    trained().save(tmp_path)
    (tmp_path / "model-1.safetensors").write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(CheckpointError, match="cannot read"):
        PPO.load(tmp_path)


class Bomb:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os._exit, ("a pickle was run",)


def edit(folder: Path, **changes: object) -> None:
    index = json.loads((folder / INDEX).read_text())
    (folder / INDEX).write_text(json.dumps(index | changes))


def test_files_outside_the_folder_and_module_ids_are_refused(tmp_path: Path) -> None:
    trained().save(tmp_path)
    edit(tmp_path, env_id="antigravity:Evil-v0")
    with pytest.raises(AgentError, match="no environment"):
        PPO.load(tmp_path).learn(16, progress_bar=False)
    edit(tmp_path, files={"model": "../model-1.safetensors"})
    with pytest.raises(CheckpointError, match="outside its folder"):
        PPO.load(tmp_path)


def test_remote_code_in_a_backbone_config_is_ignored(tmp_path: Path) -> None:
    trained().save(tmp_path)
    backbone = json.loads((tmp_path / INDEX).read_text())["backbone"]
    foreign = {
        "auto_map": {"AutoModelForCausalLM": "evil.Evil"},
        "attn_implementation": "evil/kernel",
        "_attn_implementation": "evil/kernel",
        "_attn_implementation_internal": "evil/kernel",
        "experts_implementation": "evil/kernel",
        "quantization_config": {"quant_method": "evil"},
    }
    edit(tmp_path, backbone=backbone | foreign)
    loaded = PPO.load(tmp_path).model.backbone.lm
    assert type(loaded).__name__ == "LlamaForCausalLM"
    assert "evil" not in str(loaded.config)
    nested = [{"text_config": foreign | {"layers": 2}}]
    assert _without_foreign(nested) == [{"text_config": {"layers": 2}}]


@pytest.mark.parametrize("without", [True, False])
@pytest.mark.parametrize("fact", [*FACTS, "files"])
def test_damaged_facts_are_named(fact: str, without: bool, tmp_path: Path) -> None:
    trained().save(tmp_path)
    index = json.loads((tmp_path / INDEX).read_text())
    index[fact] = 1.5
    if without:
        del index[fact]
    (tmp_path / INDEX).write_text(json.dumps(index))
    with pytest.raises(CheckpointError, match=fact):
        PPO.load(tmp_path)


@pytest.mark.parametrize(
    "backbone",
    [
        {},
        {"model_type": 3},
        {"model_type": ["llama"]},
        {"model_type": "nonesuch"},
        {"model_type": "llama", "hidden_size": "wide"},
        {"model_type": "llama", "num_attention_heads": 0},
        {"model_type": "llama", "hidden_act": "nonesuch"},
        {"model_type": "llama", "vocab_size": -1},
    ],
)
def test_a_damaged_backbone_is_named(backbone: dict[str, object], tmp_path: Path) -> None:
    trained().save(tmp_path)
    edit(tmp_path, backbone=backbone)
    with pytest.raises(ModelError, match="cannot build a causal LM from the config"):
        PPO.load(tmp_path)


@pytest.mark.parametrize(
    "changes", [{"action_tokens": []}, {"action_tokens": ["a"]}, {"vocab_size": "many"}]
)
def test_a_damaged_contract_is_named(changes: dict[str, object], tmp_path: Path) -> None:
    trained().save(tmp_path)
    contract = json.loads((tmp_path / INDEX).read_text())["contract"]
    edit(tmp_path, contract=contract | changes)
    with pytest.raises(CheckpointError, match="another version"):
        PPO.load(tmp_path)


def test_a_missing_part_is_named(tmp_path: Path) -> None:
    trained().save(tmp_path)
    files = json.loads((tmp_path / INDEX).read_text())["files"]
    edit(tmp_path, files={"model": files["model"]})
    with pytest.raises(CheckpointError, match="no fitting training state"):
        PPO.load(tmp_path)
    edit(tmp_path, files={"optimizer": files["optimizer"]})
    with pytest.raises(CheckpointError, match="do not fit the model"):
        PPO.load(tmp_path)


def rewritten(folder: Path, changes: dict[str, torch.Tensor | None], **facts: object) -> None:
    """Save a checkpoint again with other tensors of the optimizer, and other facts."""
    found, parts = load_checkpoint(folder)
    kept = {name: found[name] for name in found if name not in ("format", "generation", "files")}
    optimizer = parts["optimizer"] | {k: v for k, v in changes.items() if v is not None}
    optimizer = {k: v for k, v in optimizer.items() if changes.get(k, v) is not None}
    save_checkpoint(folder, kept | facts, parts | {"optimizer": optimizer})


WEIGHT = "value_head.0.weight"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({f"exp_avg/{WEIGHT}": torch.zeros(1)}, "has shape \\(1,\\); expected"),
        ({f"step/{WEIGHT}": torch.zeros(2)}, "has shape \\(2,\\); expected"),
        ({f"exp_avg_sq/{WEIGHT}": None}, "the optimizer's state of value_head.0.weight is"),
        ({"exp_avg/stranger": torch.zeros(1)}, "the optimizer has no exp_avg/stranger"),
        ({f"evil/{WEIGHT}": torch.zeros(1)}, "the optimizer has no evil/value_head"),
    ],
)
def test_an_optimizer_that_does_not_fit_is_named(
    changes: dict[str, torch.Tensor | None], message: str, tmp_path: Path
) -> None:
    """A fused optimizer would not look at shapes, and write beyond the state's end."""
    trained().save(tmp_path)
    rewritten(tmp_path, changes)
    with pytest.raises(CheckpointError, match=f"no fitting training state: .*{message}"):
        PPO.load(tmp_path)


def test_weights_that_are_to_train_and_are_not_there_are_named(tmp_path: Path) -> None:
    trained().save(tmp_path)
    rewritten(tmp_path, {}, trained=["stranger"])
    with pytest.raises(CheckpointError, match=r"\['stranger'\] are to train"):
        PPO.load(tmp_path)


def test_weights_that_were_frozen_by_hand_stay_so(tmp_path: Path) -> None:
    lm = make_lm("gpt2")
    lm.transformer.wpe.requires_grad_(False)
    lm.transformer.h[0].requires_grad_(False)
    agent = PPO("OneSkill-v0", CONFIG, lm, env_kwargs=OPTIONS).learn(16, progress_bar=False)
    agent.save(tmp_path)
    loaded = PPO.load(tmp_path)
    trains = {name for name, p in agent.model.named_parameters() if p.requires_grad}
    assert trains == {name for name, p in loaded.model.named_parameters() if p.requires_grad}
    assert "backbone.lm.transformer.wpe.weight" not in trains
    for both in (agent, loaded):
        both.learn(32, progress_bar=False)
    for name, tensor in weights(agent.model).items():
        assert torch.equal(tensor, weights(loaded.model)[name])


def test_precision_and_attention_of_a_model_object_are_kept(tmp_path: Path) -> None:
    lm = make_lm("llama").to(torch.bfloat16)
    lm.set_attn_implementation("eager")
    PPO("OneSkill-v0", CONFIG, lm, env_kwargs=OPTIONS).save(tmp_path)
    loaded = PPO.load(tmp_path).model.backbone.lm
    assert (loaded.dtype, loaded.config._attn_implementation) == (torch.bfloat16, "eager")
    backbone = json.loads((tmp_path / INDEX).read_text())["backbone"]
    edit(tmp_path, backbone=backbone | {"attn_implementation": "somebody/kernels"})
    assert PPO.load(tmp_path).model.backbone.lm.config._attn_implementation == "sdpa"


def test_a_training_that_a_callback_ends_is_saved(tmp_path: Path) -> None:
    config = dataclasses.replace(CONFIG, checkpoint_every=10)
    agent = PPO("OneSkill-v0", config, env_kwargs=OPTIONS)
    agent.learn(
        160, progress_bar=False, callback=lambda agent: agent.iteration < 4, run_dir=tmp_path
    )
    assert agent.iteration == 4
    loaded = PPO.load(tmp_path / "checkpoint")
    assert (loaded.iteration, loaded.num_timesteps) == (4, agent.num_timesteps)
    loaded.learn(progress_bar=False)
    assert loaded.num_timesteps >= 160


def test_weights_that_do_not_fit_are_named(tmp_path: Path) -> None:
    agent = trained()
    agent.save(tmp_path)
    backbone = json.loads((tmp_path / INDEX).read_text())["backbone"]
    edit(tmp_path, backbone=backbone | {"num_hidden_layers": 3})
    with pytest.raises(CheckpointError, match="do not fit the model"):
        PPO.load(tmp_path)


def test_another_environment_is_refused(tmp_path: Path) -> None:
    trained().save(tmp_path)
    import gymnasium

    with pytest.raises(AgentError, match="action_tokens"):
        PPO.load(tmp_path, env=gymnasium.make("OneSkill-v0", words=5, **OPTIONS))
