import dataclasses
import json
import math
import pickle
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arms import Observation, Reference

BASE = Observation(
    arm="draft_3", query_id="q", text="a b c", n_tokens=8, seconds=2.0, proposed=(3, 3, 0), accepted=(3, 1, 0)
)
EMPTY = Observation(arm="a", query_id="q", text="", n_tokens=0, seconds=0.0)
AMOUNTS = st.floats(min_value=0, allow_nan=False, allow_infinity=False)
COUNTS = st.integers(min_value=0, max_value=2**40)


@st.composite
def observations(draw):
    if draw(st.booleans()):
        return Observation.failed(
            draw(st.text(min_size=1).filter(str.strip)), "q", draw(st.text(min_size=1).filter(str.strip)), draw(AMOUNTS)
        )
    proposed = draw(st.lists(st.integers(0, 9), max_size=5))
    return Observation(
        arm=draw(st.text(min_size=1).filter(str.strip)),
        query_id=draw(st.text(min_size=1).filter(str.strip)),
        text=draw(st.text()),
        n_tokens=draw(COUNTS),
        seconds=draw(AMOUNTS),
        proposed=tuple(proposed),
        accepted=tuple(draw(st.integers(0, n)) for n in proposed),
        own_text=draw(st.none() | st.text()),
        cost=draw(st.none() | AMOUNTS),
        reference=draw(st.none() | st.builds(Reference, text=st.text(), seconds=AMOUNTS, n_tokens=COUNTS)),
        overlaps=tuple(draw(st.lists(st.floats(0, 1), max_size=3))),
    )


def test_derived_facts_by_hand():
    assert (BASE.n_rounds, BASE.n_proposed, BASE.n_accepted) == (3, 6, 4)
    assert BASE.acceptance_rate == 4 / 6
    assert BASE.acceptance_length == 1 + 4 / 3
    assert BASE.tokens_per_second == 4.0


def test_acceptance_is_none_where_it_is_undefined():
    assert (EMPTY.acceptance_rate, EMPTY.acceptance_length) == (None, None)
    undrafted = dataclasses.replace(BASE, proposed=(0, 0), accepted=(0, 0))
    assert (undrafted.acceptance_rate, undrafted.acceptance_length) == (None, 1.0)


def test_a_speed_without_seconds_is_refused_by_name():
    named = "observation of arm 'a' on query 'q': "
    with pytest.raises(ValueError, match=f"{named}tokens_per_second needs seconds > 0, got 0.0"):
        _ = EMPTY.tokens_per_second


@settings(deadline=None)
@given(observations())
def test_acceptance_stays_in_its_range(observation):
    if observation.n_rounds:
        assert 1 <= observation.acceptance_length <= max(observation.proposed) + 1
    if observation.n_proposed:
        assert 0 <= observation.acceptance_rate <= 1


@settings(deadline=None)
@given(observations())
def test_records_survive_dict_json_and_pickle(observation):
    assert Observation.from_dict(observation.to_dict()) == observation
    assert Observation.from_dict(json.loads(json.dumps(observation.to_dict()))) == observation
    assert pickle.loads(pickle.dumps(observation)) == observation
    assert hash(pickle.loads(pickle.dumps(observation))) == hash(observation)


def test_a_failed_pull_says_what_went_wrong_and_how_long_it_took():
    for error, failure in ((TimeoutError("no answer"), "TimeoutError: no answer"), (KeyError(), "KeyError")):
        failed = Observation.failed("a", "q", error, 1.5)
        assert (failed.failure, failed.text, failed.n_tokens, failed.seconds) == (failure, "", 0, 1.5)
    assert dataclasses.replace(failed, cost=0.1).cost == 0.1
    assert EMPTY.failure is None


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"failure": " "}, "failure must say what went wrong, or be None, got ' '"),
        ({"failure": TimeoutError()}, "failure must be a string, got TimeoutError()"),
        ({"text": "half"}, "a failed pull must have text '', got 'half'"),
        ({"n_tokens": 3}, "a failed pull must have n_tokens 0, got 3"),
        ({"proposed": (3,), "accepted": (0,)}, "a failed pull must have proposed (), got (3,)"),
        ({"own_text": ""}, "a failed pull must have own_text None, got ''"),
        ({"overlaps": (0.5,)}, "a failed pull must have overlaps (), got (0.5,)"),
    ],
)
def test_a_failed_pull_holds_no_answer(changes, rule):
    failed = Observation.failed("a", "q", "no answer", 1.5)
    with pytest.raises(ValueError, match=re.escape(f"observation of arm 'a' on query 'q': {rule}")):
        dataclasses.replace(failed, **changes)


def test_numpy_numbers_become_json_numbers():
    observation = dataclasses.replace(
        BASE, n_tokens=np.int64(8), seconds=np.float32(2), cost=np.float64(1), proposed=(np.int64(3), 3, 0)
    )
    assert json.loads(json.dumps(observation.to_dict())) == dataclasses.replace(BASE, cost=1.0).to_dict()


@pytest.mark.parametrize(
    ("field", "value", "rule"),
    [
        ("text", None, "text must be a string, got None"),
        ("n_tokens", -1, "n_tokens must be an integer >= 0, got -1"),
        ("n_tokens", 1.0, "n_tokens must be an integer >= 0, got 1.0"),
        ("n_tokens", True, "n_tokens must be an integer >= 0, got True"),
        ("seconds", -0.5, "seconds must be a finite number >= 0, got -0.5"),
        ("seconds", math.nan, "seconds must be a finite number >= 0, got nan"),
        ("seconds", math.inf, "seconds must be a finite number >= 0, got inf"),
        ("seconds", "1", "seconds must be a finite number >= 0, got '1'"),
        ("seconds", True, "seconds must be a finite number >= 0, got True"),
        ("cost", math.nan, "cost must be a finite number >= 0, got nan"),
        ("own_text", 3, "own_text must be a string, got 3"),
        ("overlaps", [0.5], "overlaps must be a tuple with one share a token, got [0.5]"),
        ("overlaps", (0.5, 1.5), "overlaps[1] must be a finite number in [0, 1], got 1.5"),
        ("reference", "text", "reference must be a Reference or None, got 'text'"),
        ("proposed", [3, 3, 0], "proposed must be a tuple with one count a round, got [3, 3, 0]"),
        ("proposed", (3, 3), "proposed and accepted must have one entry for each round, got 2 and 3 entries"),
        ("proposed", (3, -3, 0), "proposed[1] must be an integer >= 0, got -3"),
        ("accepted", (3, 1, 1), "accepted[2] must be <= proposed[2] = 0, got 1"),
        ("accepted", (3, 0.5, 0), "accepted[1] must be an integer >= 0, got 0.5"),
    ],
)
def test_observation_refuses_bad_fields(field, value, rule):
    with pytest.raises(ValueError, match=re.escape(f"observation of arm 'draft_3' on query 'q': {rule}")):
        dataclasses.replace(BASE, **{field: value})


@pytest.mark.parametrize("field", ["arm", "query_id"])
def test_observation_needs_its_names(field):
    with pytest.raises(ValueError, match=f"observation: {field} must not be blank, got ' '"):
        dataclasses.replace(BASE, **{field: " "})
    with pytest.raises(ValueError, match=f"observation: {field} must be a string, got 4"):
        dataclasses.replace(BASE, **{field: 4})


@pytest.mark.parametrize(
    ("fields", "rule"),
    [
        ({"text": 1}, "reference: text must be a string, got 1"),
        ({"seconds": math.inf}, "reference: seconds must be a finite number >= 0, got inf"),
        ({"n_tokens": -1}, "reference: n_tokens must be an integer >= 0, got -1"),
    ],
)
def test_reference_refuses_bad_fields(fields, rule):
    with pytest.raises(ValueError, match=rule):
        Reference(**({"text": "t", "seconds": 1.0, "n_tokens": 1} | fields))


def test_records_are_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        BASE.seconds = 0.0


def test_stored_records_with_wrong_fields_are_refused():
    record = BASE.to_dict()
    del record["seconds"]
    with pytest.raises(ValueError, match=re.escape("missing: ['seconds'], unknown: ['secs']")):
        Observation.from_dict(record | {"secs": 2.0})
    with pytest.raises(ValueError, match="a stored reference must have the fields of Reference; missing"):
        Observation.from_dict(BASE.to_dict() | {"reference": {}})
    with pytest.raises(ValueError, match="a stored observation must be a mapping of its fields, got 3"):
        Observation.from_dict(3)
    with pytest.raises(ValueError, match="proposed must be a tuple with one count a round, got None"):
        Observation.from_dict(BASE.to_dict() | {"proposed": None})
    with pytest.raises(ValueError, match="reference must be a Reference or None, got 5"):
        Observation.from_dict(BASE.to_dict() | {"reference": 5})


def test_stored_record_needs_only_the_required_fields():
    record = {"arm": "a", "query_id": "q", "text": "t", "n_tokens": 1, "seconds": 0.5}
    assert Observation.from_dict(record) == Observation(**record)
