"""How many threads of the CPU a model computes with."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

SMALL = 10_000_000
"""Parameters of a model whose matrices are too small to be shared out."""
CHOSEN = "OMP_NUM_THREADS"
"""The environment variable by which people choose a number of threads, which is kept."""


@contextmanager
def threads_for(model: object) -> Iterator[None]:
    """One thread while a small module works on the CPU; before and after, and else, torch's own.

    Threads that share a small matrix wait for one another longer than they compute, and many times
    as long where other programs have the cores.
    """
    threads = torch.get_num_threads()
    if CHOSEN in os.environ or not _is_small(model):
        yield
        return
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _is_small(model: object) -> bool:
    weights = list(model.parameters()) if isinstance(model, nn.Module) else []
    on_cpu = bool(weights) and all(weight.device.type == "cpu" for weight in weights)
    return on_cpu and sum(weight.numel() for weight in weights) < SMALL
