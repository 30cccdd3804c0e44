"""The gate shuts where too little was accepted over its window, and stays shut."""

import pytest

from speculative.protocols.selector import RoundContext, RoundObservation
from speculative.selectors import AcceptanceGate

ROUND = RoundContext("q", 1, 1, (True, True))


def _step(gate, *outcomes):
    gate.observe([RoundObservation("q", 1, proposed, accepted, accepted + 1, 0.1) for proposed, accepted in outcomes])
    return gate.select([ROUND, ROUND])


def test_it_shuts_for_good_once_the_mean_over_the_window_is_too_low():
    gate = AcceptanceGate(1, 0, window_size=2, threshold=0.5)
    assert gate.select([ROUND]) == [1]
    assert _step(gate, (4, 0)) == [1, 1]  # the window is not full
    assert _step(gate, (0, 0)) == [1, 1]  # nothing was drafted: no sample
    assert _step(gate, (4, 4)) == [1, 1]  # a mean of one half is enough
    assert _step(gate, (4, 1), (4, 2)) == [1, 1]  # 1 and 3/8
    assert _step(gate, (4, 2)) == [0, 0]  # 3/8 and 1/2
    assert _step(gate, (4, 4)) == _step(gate, (4, 4)) == [0, 0]


@pytest.mark.parametrize(("window_size", "threshold"), [(0, 0.5), (2, 1.5), (2, -0.1)])
def test_numbers_out_of_range_are_refused(window_size, threshold):
    with pytest.raises(ValueError, match=r"window_size|threshold"):
        AcceptanceGate(1, 0, window_size=window_size, threshold=threshold)
