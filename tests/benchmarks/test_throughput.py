"""The benchmark measures what it says; how fast anything is, no test may ask."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import gymnasium
import numpy as np
import pytest
import torch

from benchmarks.acting import Scene, acting_beside_generate, environments_share
from benchmarks.answers import answers_beside_gem
from benchmarks.environments import TRIVIAL_ID, FixedLengthQA
from benchmarks.measurement_table import facts, table
from benchmarks.measuring import Measurement, in_turn
from benchmarks.passages import TOKENS, write_joined_passages, write_long_passages
from benchmarks.scaling import scaling
from benchmarks.stepping import NER_DENSE, all_legal, one_legal, single_steps, vector_steps
from benchmarks.throughput import Part, Settings, measurements, run
from benchmarks.updating import TOLERANCE, largest_difference, update_beside_prefixes
from textenvs.data.squad import read_squad
from textenvs.vector_env import TextVectorEnv


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def measurement(**changes: object) -> Measurement:
    fields = {
        "what": "ours",
        "unit": "steps/s",
        "rates": (10.0, 40.0, 20.0),
        "against": "theirs",
        "against_rates": (10.0, 10.0, 5.0),
        "required": 2.0,
    }
    return Measurement(**(fields | changes))  # type: ignore[arg-type]


def test_a_ratio_is_that_of_the_medians() -> None:
    m = measurement()
    assert (m.rate, m.against_rate, m.ratio) == (20.0, 10.0, 2.0)
    assert m.round_ratios == (1.0, 4.0, 4.0)


@pytest.mark.parametrize(
    ("required", "of", "met"),
    [
        (2.0, "ratio", True),
        (2.1, "ratio", False),
        (20.0, "rate", True),
        (21.0, "rate", False),
        (None, "ratio", None),
    ],
)
def test_a_requirement_is_met_or_missed(required: float, of: str, met: bool | None) -> None:
    m = measurement(required=required, required_of=of)
    assert m.met is met
    line = table([m]).splitlines()[-1]
    assert line.endswith({True: "yes", False: "NO, MISSED", None: "-"}[met])
    assert facts([m])[0]["met"] is met


def test_two_things_are_measured_in_turn_after_a_round_that_does_not_count() -> None:
    calls: list[str] = []

    def rate_of(name: str) -> float:
        calls.append(name)
        return float(len(calls))

    rates = in_turn(lambda: rate_of("a"), lambda: rate_of("b"), rounds=2)
    assert "".join(calls) == "ababab"
    assert rates == ((3.0, 5.0), (4.0, 6.0))


def test_actions_are_drawn_from_the_legal_ones_alike() -> None:
    rng = np.random.default_rng(0)
    masks = (rng.random((50, 7)) < 0.3).astype(np.int8)
    masks[np.arange(50), rng.integers(7, size=50)] = 1
    for levels in (np.zeros(50), rng.random(50), np.full(50, np.nextafter(1, 0))):
        actions = all_legal(masks, levels)
        assert actions.tolist() == [one_legal(m, u) for m, u in zip(masks, levels, strict=True)]
        assert masks[np.arange(50), actions].all()


def test_environments_are_stepped() -> None:
    assert single_steps(gymnasium.make(TRIVIAL_ID), 70) > 0
    assert single_steps(gymnasium.make(**NER_DENSE, size=5), 70) > 0
    assert vector_steps(gymnasium.make_vec(**NER_DENSE, size=5, num_envs=3), 30) > 0


def test_answers_of_fixed_length_end_there_alone() -> None:
    envs = TextVectorEnv(FixedLengthQA(prompt_tokens=50, answer_tokens=5, count=2), num_envs=2)
    observations, info = envs.reset(seed=0)
    eos = int(np.flatnonzero(envs.action_tokens == envs.task.tokenizer.eos_token_id)[0])
    assert ((observations != envs.pad_token_id).sum(axis=1) == 50).all()
    assert "action_mask" not in info
    for step in range(1, 6):
        _, _, terminated, _, info = envs.step(np.full(2, eos))
        assert (terminated == (step == 5)).all()
    assert [int((o != envs.pad_token_id).sum()) for o in info["final_obs"]] == [55, 55]


@pytest.mark.parametrize(
    "scene",
    [
        Scene(slots=2, answer_tokens=12),
        Scene(slots=2, answer_tokens=12, ragged=True),
        Scene(slots=2, answer_tokens=12, ragged=True, shared=True),
    ],
)
def test_acting_and_generate_do_the_same_work(scene: Scene) -> None:
    # It checks the lengths of both itself.
    m = acting_beside_generate(scene, batches=2, rounds=1, required=1.6)
    assert (m.required, len(m.rates), len(m.against_rates)) == (1.6, 1, 1)


def test_measured_questions_have_the_lengths_that_were_asked_for() -> None:
    scene = Scene(slots=3, answer_tokens=12, ragged=True)
    envs = TextVectorEnv(scene.task(), num_envs=3)
    observations, info = envs.reset(seed=0)
    assert "action_mask" not in info
    assert ((observations != envs.pad_token_id).sum(axis=1) == 64).all()
    answers = []
    for _ in range(200):
        _, _, _, _, info = envs.step(np.ones(3, int))
        ended = [o for o in info.get("final_obs", ()) if o is not None]
        answers += [int((o != envs.pad_token_id).sum()) - 64 for o in ended]
    assert set(answers) <= set(range(1, 13))
    assert len(set(answers)) > 5
    assert 5 < np.mean(answers) < 10  # of a geometric distribution, cut at 12


def test_the_environments_share_is_a_part() -> None:
    m = environments_share(Scene(slots=2, answer_tokens=12), batches=1, rounds=2)
    assert all(0 < share < 100 for share in m.rates)


def test_both_updates_have_the_same_gradients() -> None:
    m = update_beside_prefixes(answer_tokens=12, updates=1, rounds=1)
    assert m.notes is not None
    assert 0 < m.notes["gradients_differ_by"] <= TOLERANCE


def test_different_gradients_are_told_apart() -> None:
    one = [torch.tensor([1.0, -4.0]), torch.tensor([2.0])]
    other = [torch.tensor([1.0, -4.0]), torch.tensor([2.5])]
    assert largest_difference(one, one) == 0
    assert largest_difference(one, other) == 0.125


def test_all_is_measured_with_its_requirement() -> None:
    parts: tuple[Part, ...] = ("environments", "agents")  # for training, see test_training.py
    measured = list(measurements(Settings(quick=True, parts=parts)))
    required = {(m.what, m.required) for m in measured if m.required is not None}
    steps = [m.required for m in measured if m.unit == "steps/s" and m.required_of == "rate"]
    assert steps == [60_000, 300_000, 100_000, 100_000, 100_000]
    assert {m.required for m in measured if m.unit == "ms"} == {None, 300}
    assert ("its memory at the peak", 3) in required
    assert [m.required for m in measured[-6:]] == [1.6, 3.5, 8, None, 10, 10]
    assert len({m.what for m in measured}) == len(measured)
    for m in measured:
        assert len(m.rates) == len(m.against_rates) > 0
        assert min(m.rates + m.against_rates) > 0


def test_long_passages_are_so_long(tmp_path: Path) -> None:
    joined, long = tmp_path / "joined.json", tmp_path / "long.json"
    write_joined_passages(joined)
    write_long_passages(joined, long)
    env = gymnasium.make("TextQA-v0", dataset=str(joined), split="all").unwrapped
    tokenizer = env.task.tokenizer  # type: ignore[attr-defined]
    examples = read_squad(long)
    assert examples
    for example in examples:
        assert len(tokenizer.encode(example.passage).ids) in TOKENS


MADE_UP = [measurement(), measurement(what="slow", required=3.0), measurement(required=None)]


@pytest.mark.parametrize("quick", [False, True])
def test_a_run_prints_a_table_and_writes_a_file(
    quick: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["throughput.py", "--out", "a b.json"])
    monkeypatch.setattr("benchmarks.throughput.measurements", lambda *_: iter(MADE_UP))
    out = tmp_path / "new" / "a b.json"
    run(Settings(quick=quick, parts=("agents",), out=out))
    printed = capsys.readouterr().out
    command = "python -m benchmarks.throughput --out 'a b.json'"
    assert printed.splitlines()[0] == command
    assert "examples are encoded beforehand" in printed
    assert ("These numbers mean nothing" in printed) == quick
    ends = [line.split()[-1] for line in printed.splitlines()[-3:]]
    assert ends == (["-", "-", "-"] if quick else ["yes", "MISSED", "-"])
    record = json.loads(out.read_text())
    assert (record["command"], record["threads"], record["quick"]) == (command, 1, quick)
    assert record["commit"]
    assert {"python", "torch", "transformers", "numpy"} <= record["versions"].keys()
    assert [m["what"] for m in record["measurements"]] == ["ours", "slow", "ours"]
    first = record["measurements"][0]
    assert (first["rates"], first["ratio"]) == ([10.0, 40.0, 20.0], 2.0)
    assert first["round_ratios"] == [1.0, 4.0, 4.0]


def test_costs_grow() -> None:
    found = list(scaling(1, {"prefix": (64, 72, 80)}))
    assert [each.what.partition(",")[0] for each in found] == ["environment", "acting", "update"]
    assert all(each.low <= each.exponent <= each.high for each in found)


def test_gem_that_is_not_there() -> None:
    with pytest.raises(ChildProcessError, match="No module named 'gem'"):
        answers_beside_gem(Path(sys.executable), 2_000, 4, 1)
