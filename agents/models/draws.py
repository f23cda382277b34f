"""Random numbers for the slots of a vector environment, one a slot.

Where several processes play the slots of one run, each draws the numbers of all slots and takes
those of its own: the run is then the same, however many processes play it.
"""

from __future__ import annotations

import torch
from torch import Tensor


class SlotGenerator(torch.Generator):
    """A generator for a process that plays only some of a run's slots.

    Attributes:
        first: the run's number of the process's first slot.
        total: the run's slots.
    """

    first: int
    total: int

    @classmethod
    def of(cls, device: torch.device, first: int, total: int) -> SlotGenerator:
        """One for the slots from `first` on, of `total`."""
        generator = cls(device)
        generator.first, generator.total = first, total
        return generator


def uniform(slots: int, generator: torch.Generator) -> Tensor:
    """A number from [0, 1) for each slot, (S,) float64, on the generator's device.

    Args:
        slots: how many are played here.
        generator: where the numbers come from.
    """
    if isinstance(generator, SlotGenerator):
        every = _drawn(generator.total, generator)
        return every[generator.first : generator.first + slots]
    return _drawn(slots, generator)


def _drawn(count: int, generator: torch.Generator) -> Tensor:
    device = generator.device
    return torch.rand(count, dtype=torch.float64, device=device, generator=generator)
