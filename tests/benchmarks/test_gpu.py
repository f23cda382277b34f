"""The program runs where there is no GPU; how fast anything is, no test may ask."""

from __future__ import annotations

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode
from transformers import GPT2Config, GPT2LMHeadModel

from benchmarks.gpu import Operations, Settings, make_agent, run

SMALL = Settings(
    device="cpu",
    layers=1,
    width=16,
    vocabulary=2_010,
    slots=2,
    answer_tokens=12,
    epochs=1,
    rounds=1,
    peak_tflops=1.0,
)


@pytest.fixture(autouse=True)
def restore_precision() -> None:
    torch.set_float32_matmul_precision("highest")


def test_it_says_that_there_is_no_gpu(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert run(Settings()) == []
    assert capsys.readouterr().out.startswith("no GPU")


def test_a_small_model_is_measured_on_the_cpu(capsys: pytest.CaptureFixture[str]) -> None:
    acting, training = run(SMALL)
    for m in (acting, training):
        assert m.notes is not None
        assert m.notes["share"] == pytest.approx(m.notes["flops"] / 1e12)
        assert m.rate > 0 < m.against_rate
    assert training.notes is not None
    assert acting.notes is not None
    ratio = training.notes["flops"] / training.rate / (acting.notes["flops"] / acting.rate)
    assert ratio == pytest.approx(4), "one pass to act, and three times as much an epoch"
    assert capsys.readouterr().out.count("share of the peak") == 2


def test_every_token_of_the_model_but_the_padding_is_an_action() -> None:
    agent, model = make_agent(SMALL)
    assert len(agent.contract.action_tokens) == SMALL.vocabulary - 1
    assert model.get_output_embeddings().weight.shape == (SMALL.vocabulary, SMALL.width)


def test_operations_are_those_that_torch_counts() -> None:
    s = Settings(layers=2, width=64, vocabulary=100, prompt_tokens=4, answer_tokens=5)
    no_ends = {"bos_token_id": None, "eos_token_id": None}
    shape = {"n_positions": 8, "n_embd": 64, "n_layer": 2, "n_head": 1}
    lm = GPT2LMHeadModel(GPT2Config(vocab_size=100, **shape, **no_ends)).eval()
    lm.set_attn_implementation("eager")  # what torch counts
    tokens = s.prompt_tokens + s.answer_tokens - 1
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        lm(torch.zeros(1, tokens, dtype=torch.long), logits_to_keep=s.answer_tokens)
    # torch counts the whole square of the attention's scores; half of it, and the diagonal, counts.
    square = 4 * s.layers * s.width * (tokens**2 - tokens * (tokens + 1) / 2)
    assert Operations(s).trunk + Operations(s).head == pytest.approx(
        counter.get_total_flops() - square
    )
