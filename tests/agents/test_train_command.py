"""The command line trains, reports, and goes on after an interruption."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import gymnasium
import one_skill  # noqa: F401  registers its id
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from agents import DQN, PPO, AgentError, BCConfig, BehaviourCloning, PPOConfig
from agents.algorithms import load_agent
from agents.checkpoint import INDEX, load_checkpoint, save_checkpoint
from agents.errors import CheckpointError, ModelError
from agents.ladder import Ladder
from agents.models.building import prepare_again
from agents.models.model_config import ModelConfig
from agents.run_settings import ModelOptions, RLSettings, Settings, begin
from agents.train import RL, TrainBC, algorithm_of, main, settings_of
from agents.training_run import train

OPTIONS = '{"answers": 2, "noise": 2, "words": 5, "examples": 40}'


def ppo_run(out: Path, **changes: object) -> RLSettings:
    settings = {
        "env": "OneSkill-v0",
        "env_kwargs": OPTIONS,
        "total_timesteps": 200,
        "clone_episodes": 20,
        "clone_epochs": 1,
        "validate_every": 1,
        "out": out,
        "config": PPOConfig(num_envs=4, steps=64, checkpoint_every=2),
    }
    return settings_of("ppo")(**(settings | changes))  # type: ignore[arg-type]


def untimed(curve: list[dict[str, float]]) -> list[dict[str, float]]:
    seconds = [point["seconds"] for point in curve]
    assert seconds == sorted(seconds)
    return [{name: value for name, value in p.items() if name != "seconds"} for p in curve]


def train_ppo(settings: RLSettings) -> None:
    train(PPO, settings)


def test_ppo_reports_the_ladder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train_ppo(ppo_run(tmp_path))
    printed = capsys.readouterr().out
    table = printed[printed.index("95 % intervals") :].splitlines()
    assert [line.split()[0] for line in table[3:8]] == [
        "random",
        "majority",
        "cloned",
        "PPO",
        "expert",
    ]
    results = json.loads((tmp_path / "results.json").read_text())
    assert results["scores"]["expert"]["share"] == {"value": 1.0, "low": 1.0, "high": 1.0}
    steps = [point["timesteps"] for point in results["curve"]]
    assert steps[0] == 0
    assert steps == sorted(steps)
    assert len(steps) >= 4
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "checkpoint" / "checkpoint.json").exists()


def test_an_environment_without_splits_is_refused(tmp_path: Path) -> None:
    gymnasium.register("NoSplit-v0", entry_point=lambda: gymnasium.make("OneSkill-v0"))
    try:
        with pytest.raises(AgentError, match="needs an environment that takes `split`"):
            Ladder(ppo_run(tmp_path, env="NoSplit-v0", env_kwargs="{}"))
    finally:
        del gymnasium.registry["NoSplit-v0"]


def test_a_run_starts_from_another_runs_agent(tmp_path: Path) -> None:
    clone = TrainBC(
        env="OneSkill-v0",
        env_kwargs=OPTIONS,
        out=tmp_path / "bc",
        config=BCConfig(episodes=20, epochs=1, num_envs=4),
    )
    train(BehaviourCloning, clone)
    first = ppo_run(tmp_path / "first", start=tmp_path / "bc" / "best")
    train_ppo(first)
    assert not (tmp_path / "first" / "clone").exists()
    train_ppo(ppo_run(tmp_path / "second", start=tmp_path / "first" / "checkpoint"))
    scores = {
        run: json.loads((tmp_path / run / "results.json").read_text())["scores"]
        for run in ("bc", "first", "second")
    }
    assert scores["first"]["cloned"] == scores["bc"]["cloned"]
    assert "start" in scores["second"]
    train_ppo(dataclasses.replace(first, resume=True))
    assert "model" not in json.loads((tmp_path / "first" / "settings.json").read_text())
    with pytest.raises(CheckpointError, match="no checkpoint in"):
        train_ppo(ppo_run(tmp_path / "third", start=tmp_path / "missing"))
    with pytest.raises(AgentError, match="--start brings its own model"):
        train_ppo(dataclasses.replace(first, model="gru", out=tmp_path / "third"))
    with pytest.raises(AgentError, match="which the run writes over"):
        train_ppo(ppo_run(tmp_path / "bc", start=tmp_path / "bc" / "best"))
    assert (tmp_path / "bc" / "best" / INDEX).exists()


def test_an_adapter_is_put_on_the_start(tmp_path: Path) -> None:
    """The start's weights stay as they are; the adapter and the heads learn."""
    before = PPO("OneSkill-v0", env_kwargs=json.loads(OPTIONS))
    before.save(tmp_path / "start")
    lora = ModelOptions(adapter="lora", adapter_rank=2)
    run = ppo_run(tmp_path / "run", start=tmp_path / "start", model_options=lora)
    train_ppo(run)
    after = load_agent(tmp_path / "run" / "checkpoint").model
    assert (after.config.adapter, after.config.adapter_rank) == ("lora", 2)
    weights = after.state_dict()
    for name, weight in before.model.backbone.state_dict().items():
        where = f"backbone.{name}"
        if where not in weights:
            module, _, parameter = where.rpartition(".")
            where = f"{module}.base_layer.{parameter}"
        assert torch.equal(weights[where], weight), name
    added = [weight for name, weight in weights.items() if "lora_B" in name]
    assert any(weight.any() for weight in added)
    train_ppo(dataclasses.replace(run, resume=True))
    other = dataclasses.replace(run, resume=True, model_options=ModelOptions(adapter="ia3"))
    with pytest.raises(AgentError, match="adapter was lora and is ia3"):
        train_ppo(other)
    again = ppo_run(tmp_path / "again", start=tmp_path / "run" / "checkpoint", model_options=lora)
    with pytest.raises(ModelError, match="has an adapter already"):
        train_ppo(again)


def test_layers_of_the_start_are_frozen_and_thawed(tmp_path: Path) -> None:
    agent = PPO("OneSkill-v0", env_kwargs=json.loads(OPTIONS))

    def trained() -> set[str]:
        return {name for name, p in agent.model.named_parameters() if p.requires_grad}

    everything = trained()
    prepare_again(agent.model, {"frozen_layers": 1})
    left = trained()
    assert 0 < len(left) < len(everything)
    prepare_again(agent.model, {"precision": "bfloat16"})
    assert trained() == left
    assert agent.model.config == ModelConfig(precision="bfloat16", frozen_layers=1)
    prepare_again(agent.model, {"frozen_layers": 0})
    assert trained() == everything


def test_a_start_without_room_for_virtual_tokens(tmp_path: Path) -> None:
    PPO("OneSkill-v0", env_kwargs=json.loads(OPTIONS)).save(tmp_path / "start")
    prefix = ModelOptions(adapter="prefix")
    with pytest.raises(AgentError, match="no room for 16 virtual tokens"):
        train_ppo(ppo_run(tmp_path / "run", start=tmp_path / "start", model_options=prefix))


def test_a_policy_does_not_start_from_action_values(tmp_path: Path) -> None:
    agent = DQN("OneSkill-v0", env_kwargs=json.loads(OPTIONS))
    agent.save(tmp_path / "dqn")
    with pytest.raises(AgentError, match="holds a DQN agent, whose policy head never learnt"):
        train_ppo(ppo_run(tmp_path / "ppo", start=tmp_path / "dqn"))


def test_an_interrupted_run_resumes_to_the_same_scores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train_ppo(ppo_run(tmp_path / "whole"))
    with monkeypatch.context() as patch:
        interrupt_at(3, patch)
        with pytest.raises(KeyboardInterrupt):
            train_ppo(ppo_run(tmp_path / "part"))
    train_ppo(ppo_run(tmp_path / "part", resume=True))
    whole, part = (
        json.loads((tmp_path / run / "results.json").read_text()) for run in ("whole", "part")
    )
    assert whole["scores"] == part["scores"]
    assert untimed(whole["curve"]) == untimed(part["curve"])
    steps = [
        [
            json.loads(line)["step"]
            for line in (tmp_path / run / "metrics.jsonl").read_text().splitlines()
        ]
        for run in ("whole", "part")
    ]
    assert steps[0] == steps[1]
    events = EventAccumulator(str(tmp_path / "part" / "tensorboard")).Reload()
    assert [event.step for event in events.Scalars("rollout/reward")] == steps[0]


@pytest.mark.parametrize("moment", ["clone", "cloned", "scoring"])
def test_a_run_that_was_killed_elsewhere_resumes_to_the_same_scores(
    moment: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, part = tmp_path / "whole", tmp_path / "part"
    train_ppo(ppo_run(whole, clone_epochs=2))
    with monkeypatch.context() as patch:
        if moment == "clone":
            killed_before(patch, BehaviourCloning, "iterate", call=2)
        elif moment == "cloned":
            killed_before(patch, PPO, "learn", call=1)
        else:
            killed_before(patch, Ladder, "score", call=5)
        with pytest.raises(KeyboardInterrupt):
            train_ppo(ppo_run(part, clone_epochs=2))
    train_ppo(ppo_run(part, clone_epochs=2, resume=True))
    results = [json.loads((run / "results.json").read_text()) for run in (whole, part)]
    assert results[0]["scores"] == results[1]["scores"]
    assert untimed(results[0]["curve"]) == untimed(results[1]["curve"])


def killed_before(patch: pytest.MonkeyPatch, owner: type, name: str, call: int) -> None:
    method, calls = getattr(owner, name), []

    def killed(*args: object, **kwargs: object) -> object:
        calls.append(name)
        if len(calls) == call:
            raise KeyboardInterrupt
        return method(*args, **kwargs)

    patch.setattr(owner, name, killed)


def test_a_run_is_resumed_with_its_own_settings_only(tmp_path: Path) -> None:
    with pytest.raises(AgentError, match=r"no run to resume in .*: it has no settings\.json"):
        train_ppo(ppo_run(tmp_path, resume=True))
    begin(ppo_run(tmp_path))
    begin(ppo_run(tmp_path, device="cpu", resume=True))
    config = PPOConfig(num_envs=4, steps=32, checkpoint_every=2)
    with pytest.raises(AgentError, match="other settings: seed was 0 and is 1; steps was 64 and"):
        train_ppo(ppo_run(tmp_path, resume=True, seed=1, config=config))


def test_a_new_run_does_not_leave_an_older_ones_checkpoint_to_resume(tmp_path: Path) -> None:
    for folder in ("checkpoint", "clone/checkpoint"):
        save_checkpoint(tmp_path / folder, {}, {})
    begin(ppo_run(tmp_path))
    assert not list(tmp_path.rglob(INDEX))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("OneSkull-v0", "OneSkull"),
        ("nowhere:Env-v0", "cannot import the module of nowhere:Env-v0"),
        ("TextQA-v0 --dataset /nowhere.json", "nowhere.json"),
        ('OneSkill-v0 --env-kwargs {"seed":1}', "use --seed"),
        ("TextQA-v0 --reward nonesuch", "nonesuch"),
    ],
)
def test_mistakes_on_the_command_line_are_told_without_a_traceback(
    arguments: str,
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    command = f"train ppo --clone-episodes 0 --out {tmp_path} {arguments}"
    monkeypatch.setattr("sys.argv", command.split())
    with pytest.raises(SystemExit) as caught:
        main()
    assert caught.value.code == 1
    told = capsys.readouterr().err
    assert told.startswith("error: ")
    assert message in told


def interrupt_at(iteration: int, patch: pytest.MonkeyPatch) -> None:
    from agents.ppo import PPO

    update = PPO.update

    def interrupted(self: PPO, *args: object) -> dict[str, float]:
        if self.iteration == iteration:
            raise KeyboardInterrupt
        return update(self, *args)  # type: ignore[arg-type]

    patch.setattr(PPO, "update", interrupted)


def test_cloning_reports_too(tmp_path: Path) -> None:
    train(
        BehaviourCloning,
        TrainBC(
            env="OneSkill-v0",
            env_kwargs=OPTIONS,
            out=tmp_path,
            config=BCConfig(num_envs=4, episodes=20, epochs=2),
        ),
    )
    results = json.loads((tmp_path / "results.json").read_text())
    assert {"random", "majority", "cloned", "expert"} == results["scores"].keys()
    assert len(results["curve"]) == 3


@pytest.mark.parametrize("name", sorted(RL.keys() - {"ppo"}))
def test_every_algorithm_has_its_command(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    arguments = f"train {name} OneSkill-v0 --clone-episodes 0 --total-timesteps 32 --steps 32"
    arguments += f" --num-envs 4 --validation-episodes 4 --test-episodes 4 --out {tmp_path}"
    monkeypatch.setattr("sys.argv", [*arguments.split(), "--env-kwargs", OPTIONS])
    main()
    results = json.loads((tmp_path / "results.json").read_text())
    algorithm = RL[name]
    assert results["algorithm"] == algorithm.__name__
    assert algorithm.__name__ in results["scores"]
    assert algorithm_of(settings_of(name)()) is algorithm


def test_the_best_weights_are_kept_and_scored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of scores that rise and fall, the highest one's checkpoint; patience ends the training."""
    scripted = iter([0.2, 0.5, 0.4, 0.5, 0.1])
    validate = Ladder.validate

    def scored(self: Ladder, agent: object) -> object:
        result = validate(self, agent)  # type: ignore[arg-type]
        if not isinstance(agent, PPO):
            return result
        value = next(scripted)
        score = result.scores[result.score_name]._replace(value=value)
        return dataclasses.replace(result, scores=result.scores | {result.score_name: score})

    monkeypatch.setattr(Ladder, "validate", scored)
    train_ppo(ppo_run(tmp_path, clone_episodes=0, total_timesteps=10_000, patience=2))
    results = json.loads((tmp_path / "results.json").read_text())
    assert [point["value"] for point in results["curve"]] == [0.2, 0.5, 0.4, 0.5]
    assert results["best_timesteps"] == results["curve"][1]["timesteps"]
    assert load_checkpoint(tmp_path / "best")[0]["num_timesteps"] == results["best_timesteps"]
    assert load_checkpoint(tmp_path / "checkpoint")[0]["num_timesteps"] == results["timesteps"]
    train_ppo(ppo_run(tmp_path, clone_episodes=0, total_timesteps=10_000, patience=2, resume=True))
    assert json.loads((tmp_path / "results.json").read_text())["timesteps"] == results["timesteps"]


def test_the_command_line_reads_the_config(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    arguments = "train ppo OneSkill-v0 --clone-episodes 0 --total-timesteps 64 --steps 64"
    arguments += f" --num-envs 4 --seed 3 --out {tmp_path} --frozen-layers 1"
    monkeypatch.setattr("sys.argv", [*arguments.split(), "--env-kwargs", OPTIONS])
    main()
    settings = json.loads((tmp_path / "results.json").read_text())["settings"]
    assert (settings["seed"], settings["config"]["steps"]) == (3, 64)
    assert settings["model_options"]["frozen_layers"] == 1
    kept = (tmp_path / "predictions.jsonl").read_text().splitlines()
    assert len(kept) == json.loads(OPTIONS)["examples"]


def test_environment_options_are_read_and_checked() -> None:
    settings = Settings(
        config=BCConfig(),
        dataset="x.json",
        reward="dense",
        env_kwargs='{"size": 3}',
        model="org/lm",
    )
    assert settings.environment_options() == {
        "size": 3,
        "dataset": "x.json",
        "reward": "dense",
        "tokenizer": "org/lm",
    }
    with pytest.raises(AgentError, match="not JSON"):
        Settings(config=BCConfig(), env_kwargs="{").environment_options()
    with pytest.raises(AgentError, match="expected a JSON object"):
        Settings(config=BCConfig(), env_kwargs="[]").environment_options()
    with pytest.raises(AgentError, match="cannot have 'seed': use --seed"):
        Settings(config=BCConfig(), env_kwargs='{"seed": 1}').environment_options()


def test_a_misspelt_preset_is_named_before_anything_is_looked_up() -> None:
    with pytest.raises(
        ModelError, match=r"no model 'tinny': expected a preset .*did you mean 'tiny'\?"
    ):
        Settings(config=BCConfig(), model="tinny").environment_options()
