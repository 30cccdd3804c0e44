"""Rows of one data set that stand in another, by content."""

from dataclasses import replace

import numpy as np

from bandits.data.overlap import shared_rows
from tests.support.uneven_speeds import uneven_speeds


def test_rows_are_shared_by_content_whatever_their_ids():
    data = uneven_speeds(10)
    other = replace(data.subset([3, 7]), query_ids=("a", "b"))
    assert np.flatnonzero(shared_rows(data, other)).tolist() == [3, 7]
    assert shared_rows(other, data).all()
    assert not shared_rows(data, uneven_speeds(10, first=50)).any()


def test_another_text_or_reward_in_the_same_context_is_another_query():
    data = uneven_speeds(4)
    answers = replace(uneven_speeds(4, first=20), contexts=data.contexts)
    assert not shared_rows(data, answers).any()
    plain = replace(data, observations=None)
    assert shared_rows(plain, data).all()
    assert not shared_rows(plain, replace(plain, rewards=plain.rewards + 1)).any()


def test_data_of_other_arms_or_of_another_encoder_share_no_row():
    data = uneven_speeds(4)
    assert not shared_rows(data, replace(data, encoder="another")).any()
    assert not shared_rows(data, data.select_arms(data.arm_names[:2])).any()
