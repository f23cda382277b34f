import numpy as np
import pytest
from gymnasium.vector.utils import batch_space

from textenvs import OptionError
from textenvs.wrappers import Unicode


def test_what_it_contains():
    assert "" in Unicode()
    assert "Où est-ce? 東京 🚕\n" in Unicode()
    assert "abc" in Unicode(3)
    assert "abcd" not in Unicode(3)
    assert 3 not in Unicode()
    assert b"abc" not in Unicode()
    assert "half a pair: \ud83d" not in Unicode()


@pytest.mark.parametrize("space", [Unicode(), Unicode(5), Unicode(1)])
def test_samples(space):
    space.seed(0)
    samples = [space.sample() for _ in range(300)]
    assert all(sample in space for sample in samples)
    assert all(sample.encode().decode() == sample for sample in samples)  # no half surrogates
    text = "".join(samples)
    assert any(sample.isascii() and sample.isprintable() for sample in text)
    assert any(ord(sample) > 0xFFFF for sample in text)
    assert {len(sample) for sample in samples} >= {0, 1}
    space.seed(0)
    assert [space.sample() for _ in range(300)] == samples


def test_equality():
    assert Unicode() == Unicode(seed=3)
    assert Unicode(3) == Unicode(3)
    assert Unicode(3) != Unicode()
    assert Unicode() != "Unicode()"
    assert repr(Unicode(3)) == "Unicode(3)"


def test_a_batch_is_a_tuple():
    batch = batch_space(Unicode(), 2)
    assert ("a", "東京") in batch
    assert batch.sample() in batch


def test_impossible_arguments():
    with pytest.raises(OptionError, match="max_length must be an integer of at least 1, got 0"):
        Unicode(0)
    with pytest.raises(ValueError, match="without a mask"):
        Unicode().sample(mask=np.ones(3))
