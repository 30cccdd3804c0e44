import re

import pytest

from arms import Observation, Query, RecordedArm


def observation(query_id: str, arm: str = "old") -> Observation:
    return Observation(arm=arm, query_id=query_id, text=f"answer to {query_id}", n_tokens=3, seconds=1.5)


def test_every_seed_replays_the_stored_observation():
    stored = {"a": observation("a"), "b": observation("b")}
    arm = RecordedArm("old", stored)
    stored.clear()
    assert arm.name == "old"
    assert [arm.pull(Query(id="b", prompt="p"), seed) for seed in (0, 1)] == [observation("b")] * 2


def test_unknown_query_is_refused():
    rule = "recorded arm 'old' has no observation of query 'c' (it holds 1); record it first"
    with pytest.raises(ValueError, match=re.escape(rule)):
        RecordedArm("old", {"a": observation("a")}).pull(Query(id="c", prompt="p"), 0)


@pytest.mark.parametrize("stored", [{"a": observation("b")}, {"b": observation("b", arm="new")}])
def test_misfiled_observations_are_refused(stored):
    with pytest.raises(ValueError, match=r"recorded arm 'old': got an observation of arm '\w+' on query 'b' filed"):
        RecordedArm("old", stored)
