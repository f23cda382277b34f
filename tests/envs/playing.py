"""Random play, for tests."""

import numpy as np


def legal_action(mask, rng):
    return int(rng.choice(np.flatnonzero(mask)))
