import re
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arms import Observation, Reference
from rewards import ExpectedAcceptanceLength, Gleu, OnFailure, RelativeSpeed, Reward, RougeL, Speedup, TimeSaved
from rewards.named import MAX_LENGTH, make_reward

GOOD = Observation("a", "q", "t", n_tokens=4, seconds=1.0, own_text="t", reference=Reference("t", 2.0, 4))
SPEED = RelativeSpeed(4.0)
OWN = """
from rewards import Reward

class Money(Reward):
    bounds = (-1.0, 0.0)

    def __init__(self, price=0.1, unit="euro"):
        self.price, self.unit = price, unit

    def _value(self, observation):
        return -self.price

class NoReward:
    pass
"""


@pytest.mark.parametrize(
    ("formula", "expected"),
    [
        ("speedup", Speedup()),
        (" rouge_l(missing=1) ", RougeL(missing=1)),
        ("rouge_l(None)", RougeL()),
        ("relative_speed", SPEED),
        ("relative_speed(60)", RelativeSpeed(60)),
        ("expected_acceptance_length(5, missing=1)", ExpectedAcceptanceLength(5, missing=1)),
    ],
)
def test_a_name_with_or_without_settings_is_a_reward(formula, expected):
    assert make_reward(formula, [GOOD]) == expected


@pytest.mark.parametrize(
    ("formula", "expected"),
    [
        ("0.5 * rouge_l + 0.5 * relative_speed", 0.5 * RougeL() + 0.5 * SPEED),
        ("paper(0.25)", 0.25 * RougeL() + 0.75 * SPEED),
        ("paper(0.5, missing=1)", 0.5 * RougeL(1) + 0.5 * SPEED),
        ("paper(0.5, agreement=gleu(missing=1))", 0.5 * Gleu(1) + 0.5 * SPEED),
        ("-(speedup - time_saved / 4) * (1 - 0.5)", -(Speedup() - TimeSaved() / 4) * 0.5),
        ("speedup*1e-3+2*-time_saved", Speedup() * 1e-3 + 2 * -TimeSaved()),
    ],
)
def test_a_formula_is_the_sum_that_python_would_build(formula, expected):
    made = make_reward(formula, [GOOD])
    assert made.terms == expected.terms
    assert made(GOOD) == expected(GOOD)


def test_what_a_failure_is_worth_may_stand_in_a_formula():
    reward = make_reward("on_failure(2 * speedup, -1)")
    assert isinstance(reward, OnFailure)
    assert reward(Observation.failed("a", "q", "down", 1.0)) == -1.0


@pytest.fixture
def own(tmp_path, monkeypatch):
    (tmp_path / "own_money.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    yield "own_money"
    sys.modules.pop("own_money", None)


def test_ones_own_reward_is_named_by_its_path(own):
    assert make_reward(f"{own}:Money")(GOOD) == -0.1
    reward = make_reward(f"speedup + 2 * {own}:Money(price=0.25, unit='dollar')")
    assert reward(GOOD) == 1.5
    assert reward.terms[1][1].unit == "dollar"
    with pytest.raises(TypeError, match="reward 'own_money:NoReward' must be a subclass of"):
        make_reward(f"{own}:NoReward")


def test_a_name_without_a_colon_imports_nothing(own):
    with pytest.raises(ValueError, match="unknown reward 'own_money'; there are"):
        make_reward(own)
    assert own not in sys.modules


@pytest.mark.parametrize(
    ("formula", "rule"),
    [
        ("", "reward '' cannot be read"),
        ("0.5 *", "cannot be read"),
        ("beauty", "unknown reward 'beauty'; there are time_saved, speedup,"),
        ("0.5 + 0.25", "must name a reward"),
        ("'speedup'", "must name a reward"),
        ("speedup + 1", "a number may multiply or divide a reward, not be added to one"),
        ("1 - rouge_l", "a number may multiply or divide a reward, not be added to one"),
        ("speedup * rouge_l", "a reward may be multiplied and divided by numbers only"),
        ("1 / speedup", "a reward may be multiplied and divided by numbers only"),
        ("speedup / (1 - 1)", "a divisor must not be 0"),
        ("speedup * None", "* takes rewards and numbers"),
        ("speedup * True", "'True' is no number, reward, or sum"),
        ("1e999 * speedup", "a number must be finite"),
        ("9e307 * 9e307 * speedup", "a number must be finite"),
        ("speedup ** 2", "'speedup ** 2' is no number, reward, or sum, difference, product or quotient of them"),
        ("speedup.name", "'speedup.name' is no number"),
        ("__import__('os')", "unknown reward '__import__'"),
        ("(lambda: 1)()", "is no number"),
        ("speedup(fast=1)", "speedup does not take these settings"),
        ("speedup(*[1])", "is no number"),
        ("speedup(**{})", "is no number"),
        ("expected_acceptance_length(2.5)", "draft_length must be an integer >= 1, got 2.5"),
        ("rouge_l(missing=2)", "missing must be a finite number in [0, 1], got 2"),
        ("paper(2)", "paper(A) needs A in [0, 1], got 2"),
        ("paper(0.5, 1, gleu)", "paper(A) takes missing or an agreement"),
        ("paper(0.5, agreement=2)", "a WeightedSum adds instances of Reward, got 2"),
        ("semantic_similarity('bandits:LinUCB')", "encoder 'bandits:LinUCB' must be a subclass of"),
        ("paper()", "paper does not take these settings"),
        ("on_failure(speedup)", "on_failure does not take these settings"),
        ("relative_speed(0)", "fastest must be a finite number > 0"),
        ("os:system", "reward 'os:system' must be a class"),
        ("no.such.module:Class", "module no.such.module does not import"),
        ("-" * 200 + "speedup", "it must be nested at most 100 deep"),
        ("(" * 240 + "speedup" + ")" * 240, "cannot be read"),
        ("speedup" + " + speedup" * 100, "at most 500 characters"),
    ],
)
def test_what_is_no_formula_of_rewards_is_rejected(formula, rule):
    with pytest.raises((ValueError, TypeError), match=re.escape(rule)) as caught:
        make_reward(formula, [GOOD])
    assert "--" not in str(caught.value).replace(formula, "")


@pytest.mark.parametrize("formula", ["relative_speed", "paper(0.5)"])
def test_a_fitted_reward_needs_training_observations(formula):
    with pytest.raises(ValueError, match="relative_speed is fitted on training observations: give some"):
        make_reward(formula)


@settings(deadline=None)
@given(st.text(alphabet="speedup0.5*+-/() :_1e", max_size=MAX_LENGTH))
def test_any_text_gives_a_reward_or_one_clear_error(formula):
    try:
        made = make_reward(formula)
    except (ValueError, TypeError) as error:
        made = error
    assert isinstance(made, Reward) or "reward" in str(made)
