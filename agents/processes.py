"""One training in several processes: each plays its own slots, all keep the same model.

    accelerate launch --multi_gpu --num_processes 2 -m agents.train ppo TextQA-v0
    torchrun --nproc_per_node 2 -m agents.train ppo TextQA-v0 --device cpu

(Either of them serves GPUs and CPUs. Without ``--multi_gpu`` accelerate starts a single process
where there are not several GPUs.)

It is data parallel: the slots of the vector environment and the episodes of each minibatch are
divided among the processes. All of them hold all collected episodes, form the same minibatches and
sum their gradients, so that the run is that of one process, up to the rounding of sums.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta

import numpy as np
import torch
from safetensors.torch import load, save
from torch import nn

from agents.batching import Places
from agents.episodes import Episode, episodes_to_tensors, tensors_to_episodes
from agents.errors import AgentError
from agents.models.draws import SlotGenerator
from agents.returns import Floats

PATIENCE = timedelta(hours=6)
"""How long a process waits for the others, which evaluate or save meanwhile."""


class Processes:
    """The only process of a training: nothing is divided, nobody is asked.

    Attributes:
        rank: the number of this process.
        count: how many there are.
    """

    rank = 0
    count = 1

    @property
    def main(self) -> bool:
        """Whether this is the process that logs, saves and evaluates."""
        return self.rank == 0

    def slots(self, total: int) -> range:
        """Which of a run's slots this process plays.

        Raises:
            AgentError: there are fewer slots than processes.
        """
        if total < self.count:
            raise AgentError(
                f"num_envs is {total}, but there are {self.count} processes; expected at least one "
                "slot for each"
            )
        return range(self.rank * total // self.count, (self.rank + 1) * total // self.count)

    def place(self, device: torch.device) -> torch.device:
        """The device of this process, where `device` was asked for."""
        return device

    def generator(self, device: torch.device, slots: int) -> torch.Generator:
        """A generator of random numbers for the run's slots."""
        return torch.Generator(device)

    def share(self, places: Places) -> Places:
        """The part of a minibatch that this process learns from; none may be left for it."""
        return places[self.rank :: self.count]

    def total(self, count: int) -> int:
        """The sum of all processes' counts."""
        return count

    def agreed(self, decision: bool) -> bool:
        """What the main process decided."""
        return decision

    def wait(self) -> None:
        """Go on when all processes are here."""

    def gather_episodes(self, episodes: Sequence[Episode], ended_E: Sequence[int]) -> list[Episode]:
        """The episodes of all processes, by the step at which they ended, then by slot.

        Args:
            episodes: of this process, in this order.
            ended_E: the step at which each ended.
        """
        return list(episodes)

    def sum_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Let every process have the sum of all gradients."""

    def sum_numbers(self, numbers: Mapping[str, float]) -> dict[str, float]:
        """The sums of all processes' numbers, by name; a missing one counts as 0."""
        return dict(numbers)

    def sum_arrays(self, arrays: Sequence[Floats]) -> list[Floats]:
        """The sums of all processes' arrays, which have the same shapes in each."""
        return list(arrays)


class LaunchedProcesses(Processes):
    """One of the processes that `accelerate launch` or `torchrun` started.

    Args:
        on_cpu: whether models are on the CPU though there may be GPUs.
    """

    def __init__(self, on_cpu: bool) -> None:
        """Meet the others."""
        from accelerate import PartialState

        state = PartialState(cpu=on_cpu, timeout=PATIENCE)
        self.rank, self.count = state.process_index, state.num_processes
        self._device = state.device

    def place(self, device: torch.device) -> torch.device:
        """A GPU of its own, where a GPU was asked for."""
        return self._device if device.type == "cuda" and device.index is None else device

    def generator(self, device: torch.device, slots: int) -> torch.Generator:
        """Draws the numbers of all slots, and gives this process those of its own."""
        return SlotGenerator.of(device, self.slots(slots).start, slots)

    def total(self, count: int) -> int:
        """The sum of all processes' counts."""
        sum_1 = torch.tensor([count], device=self._device)
        torch.distributed.all_reduce(sum_1)
        return int(sum_1)

    def agreed(self, decision: bool) -> bool:
        """What the main process decided."""
        return bool(self.total(self.main and decision))

    def wait(self) -> None:
        """Go on when all processes are here."""
        self.total(0)

    def gather_episodes(self, episodes: Sequence[Episode], ended_E: Sequence[int]) -> list[Episode]:
        """The episodes of all processes; see `Processes`."""
        tensors = episodes_to_tensors(episodes) | {"ended": torch.tensor(ended_E)}
        gathered: list[tuple[int, Episode]] = []
        for content in self._gather(save(tensors)):
            theirs = load(content)
            ended = theirs.pop("ended").tolist()
            gathered += zip(ended, tensors_to_episodes(theirs), strict=True)
        # Sorting keeps the order of the processes, and so of the slots, among equals.
        return [episode for _, episode in sorted(gathered, key=lambda each: each[0])]

    def sum_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Let every process have the sum of all gradients; none stays none where all have none."""
        trained = [parameter for parameter in parameters if parameter.requires_grad]
        has_P = torch.tensor([p.grad is not None for p in trained], device=self._device)
        pieces = [torch.zeros_like(p) if p.grad is None else p.grad for p in trained]
        flat = torch.cat([piece.flatten().float() for piece in pieces] + [has_P.float()])
        torch.distributed.all_reduce(flat)
        *sums, counts_P = torch.split(flat, [piece.numel() for piece in pieces] + [len(trained)])
        for parameter, total, count in zip(trained, sums, counts_P.tolist(), strict=True):
            if count:
                parameter.grad = total.view_as(parameter).to(parameter.dtype)

    def sum_numbers(self, numbers: Mapping[str, float]) -> dict[str, float]:
        """The sums of all processes' numbers, by name; a missing one counts as 0."""
        sums: dict[str, float] = {}
        for content in self._gather(json.dumps(numbers).encode()):
            for name, value in json.loads(content).items():
                sums[name] = sums.get(name, 0.0) + value
        return sums

    def sum_arrays(self, arrays: Sequence[Floats]) -> list[Floats]:
        """The sums of all processes' arrays, which have the same shapes in each."""
        flat = torch.from_numpy(np.concatenate([array.ravel() for array in arrays]))
        summed = flat.to(self._device)
        torch.distributed.all_reduce(summed)
        ends = np.cumsum([array.size for array in arrays])[:-1]
        pieces = np.split(summed.cpu().numpy(), ends)
        return [piece.reshape(a.shape) for piece, a in zip(pieces, arrays, strict=True)]

    def _gather(self, content: bytes) -> list[bytes]:
        """What each process has to say, in the order of their numbers."""
        lengths_W = torch.zeros(self.count, dtype=torch.long, device=self._device)
        lengths_W[self.rank] = len(content)
        torch.distributed.all_reduce(lengths_W)
        longest = int(lengths_W.max())
        padded = torch.zeros(longest, dtype=torch.uint8)
        padded[: len(content)] = torch.frombuffer(bytearray(content), dtype=torch.uint8)
        padded = padded.to(self._device)
        rows = [torch.zeros_like(padded) for _ in range(self.count)]
        torch.distributed.all_gather(rows, padded)
        return [
            bytes(row[:length].cpu().numpy())
            for row, length in zip(rows, lengths_W.tolist(), strict=True)
        ]


def launched(device: torch.device) -> Processes:
    """The processes of this training, as the environment variables of launchers tell.

    Args:
        device: where the model is to be.

    Raises:
        AgentError: several were started, but accelerate is not installed.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return Processes()
    try:
        return LaunchedProcesses(on_cpu=device.type == "cpu")
    except ImportError as error:
        raise AgentError(
            "several processes were started, which needs accelerate: pip install accelerate"
        ) from error
