"""A value with its interval."""

import pytest

from bandits.statistics.estimate import Estimate


@pytest.mark.parametrize(
    ("low", "high", "expected"), [(-0.2, 0.4, (0.0, 0.4)), (0.1, 1.3, (0.1, 1.0)), (0.1, 0.4, (0.1, 0.4))]
)
def test_an_interval_ends_where_no_value_can_be(low, high, expected):
    estimate = Estimate(0.2, low, high).within(0.0, 1.0)
    assert (estimate.value, estimate.interval) == (0.2, expected)
