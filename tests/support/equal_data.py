"""Two data sets that hold the same."""

import numpy as np


def assert_equal_data(left, right):
    assert left.arm_names == right.arm_names
    assert left.query_ids == right.query_ids
    assert left.domains == right.domains
    assert left.encoder == right.encoder
    assert left.observations == right.observations
    for name in ("contexts", "rewards", "costs"):
        np.testing.assert_array_equal(getattr(left, name), getattr(right, name))
