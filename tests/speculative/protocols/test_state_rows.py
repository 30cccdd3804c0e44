from dataclasses import replace

import pytest
import torch

from speculative.protocols.causal_lm import ForwardOutput
from speculative.protocols.state_rows import LAST, StateRows


def output(first, n):
    rows = torch.arange(first, first + n).float()[:, None].expand(n, 2)
    return ForwardOutput(rows, rows, (rows + 100, rows + 200))


def test_rows_are_held_by_position_and_layer():
    states = StateRows((4, LAST, 1))
    assert states.layers == (LAST, 1, 4)
    states.put(0, output(0, 3))
    states.put(3, output(3, 100))
    assert states.n_held == 103
    assert states.since(101, (LAST, 1, 4)).tolist() == [[101, 101, 201, 201, 301, 301], [102, 102, 202, 202, 302, 302]]
    assert states.since(102, (4, LAST)).tolist() == [[302, 302, 102, 102]]


def test_rows_that_are_read_again_take_the_place_of_earlier_ones():
    states = StateRows((LAST,))
    states.put(0, ForwardOutput(torch.zeros(4, 1), torch.zeros(4, 2)))
    states.put(2, ForwardOutput(torch.ones(3, 1), torch.ones(3, 2)), 1, 2)
    assert states.n_held == 3
    assert states.since(0, (LAST,)).tolist() == [[0, 0], [0, 0], [1, 1]]


def test_there_are_none_before_the_first_pass():
    with pytest.raises(ValueError, match="no states are held yet"):
        StateRows((LAST,)).since(0, (LAST,))
    with pytest.raises(ValueError, match="no states are held yet"):
        StateRows((LAST,)).first(1)


def test_they_may_begin_with_the_rows_of_another_request():
    one, other = StateRows((LAST,)), StateRows((LAST,))
    one.put(0, replace(output(0, 5), tapped=()))
    other.begin_with(one.first(3))
    one.put(0, replace(output(50, 5), tapped=()))
    other.put(3, replace(output(7, 1), tapped=()))
    assert other.n_held == 4
    assert other.since(0, (LAST,)).tolist() == [[0, 0], [1, 1], [2, 2], [7, 7]]
