"""A setting of another type, or beyond all measure, is refused by name: for every plug-in, wherever it is written."""

import inspect
import math
import re
from contextlib import suppress

import numpy as np
import pytest

from bandits import HashingEncoder
from bandits.off_policy import ConstantReward, CrossFittedRegression, CrossFittedRidge
from bandits.off_policy.estimators import ESTIMATORS, make_estimator
from bandits.policies import POLICIES, AdamWSettings, NoisePrior, ObjectiveSettings, make_policy
from bandits.testing import example_data
from rewards import REWARDS, OnFailure, RougeL
from rewards.named import make_reward
from speculative.cli.plugins import estimators_of, policies_of, policy_of
from speculative.pools.spec import PoolSpec

NO_NUMBERS = ("1", True, np.True_, 1j, [1], math.nan, math.inf, -math.inf)
SIGNED = {"value", "quality"}
BOUNDS = {"budget", "quality"}  # in the units of the data, which say whether one can be met
WITHIN = {
    cls.__name__: cls
    for cls in (NoisePrior, AdamWSettings, ObjectiveSettings, CrossFittedRidge, CrossFittedRegression, ConstantReward)
}
CLASSES = {**POLICIES, **REWARDS, **ESTIMATORS, **WITHIN, "hashing": HashingEncoder}


def numbers_of(cls):
    """The constructor's arguments that are numbers, each with whether it is a whole one."""
    for name, parameter in inspect.signature(cls).parameters.items():
        words = re.findall(r"\w+", getattr(parameter.annotation, "__name__", str(parameter.annotation)))
        if {"int", "float"} & set(words) and "Mapping" not in words:
            yield name, "int" in words


TRAINED = {"reinforce", "neural_linear_ts"}
NUMBERS = [(kind, *number) for kind, cls in CLASSES.items() for number in numbers_of(cls)]


def pool_with(**changes):
    return PoolSpec.model_validate({"target": "x", "arms": [{"kind": "no_draft"}], **changes})


@pytest.mark.parametrize(("kind", "name", "is_whole"), NUMBERS)
def test_a_setting_that_is_no_number_is_refused_by_its_name(kind, name, is_whole):
    wrong = (*NO_NUMBERS, *((1.5,) if is_whole else (10**400,)), *(() if name in SIGNED else (-1,)))
    for value in wrong:
        with pytest.raises((ValueError, TypeError), match=rf"\b{name}\b"):
            CLASSES[kind](**{name: value})


def test_every_plug_in_is_among_them_that_has_numbers():
    assert {kind for kind in CLASSES if not list(numbers_of(CLASSES[kind]))} == {
        *("uniform", "best_fixed_arm", "time_saved", "speedup", "tokens_per_second", "acceptance_length"),
        *("ips", "snips"),
        *("doubly_robust", "self_normalised_dr", "more_robust_dr"),
        *("marginalised_ips", "multi_logger", "additive_slate"),
    }


@pytest.mark.parametrize(
    ("kind", "name", "is_whole"),
    [n for n in NUMBERS if n[0] in set(POLICIES) - TRAINED and n[1] not in BOUNDS],
)
def test_an_extreme_setting_is_refused_or_still_gives_distributions(kind, name, is_whole):
    data, accepted = example_data(reward_kind=POLICIES[kind].reward_kind), []
    for value in (10**400,) if is_whole else (1e308, 5e-324):
        with suppress(ValueError):  # which names it, as seen above
            accepted.append(POLICIES[kind](**{name: value}))
    for policy in accepted:
        assert policy.fit(data).probabilities(data.contexts[:5]).sum(axis=1) == pytest.approx(1)


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind, name, _ in NUMBERS if kind in POLICIES])
def test_the_command_line_refuses_it_too(kind, name):
    for text in ("true", "NaN", "-Infinity", "much", "[1]", "9" * 5000):
        with pytest.raises(ValueError, match=rf"\b{name}\b"):
            policy_of(kind, [f"{name}={text}"], seed=0)
        with pytest.raises(ValueError, match=name):
            policies_of(f"{kind}({name}='1')", seed=0)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: make_policy("epsilon_greedy", {"policy": 3}), "policy must be"),
        (lambda: make_policy("lin_ts", {"noise__rate": "1"}), "rate must be"),
        (lambda: make_policy("reinforce", {"training": {"device": 3}}), "device must name"),
        (lambda: make_estimator("doubly_robust", {"reward_model": CrossFittedRidge}), "reward_model must be"),
        (lambda: estimators_of("rejection_replay(seed=1.5)"), "seed must be an integer"),
        (lambda: estimators_of("direct_method(reward_model=3)"), "--estimators: reward_model must be"),
        (lambda: make_reward("rouge_l(missing='1')"), "missing must be"),
        (lambda: make_reward("seconds_per_token(slowest=-1)"), "slowest must be"),
        (lambda: OnFailure(RougeL(), True), "value must be"),
        (lambda: pool_with(max_batch=True), r"max_batch\n  Input should be a valid integer"),
        (
            lambda: pool_with(arms=[{"kind": "suffix", "draft_length": "3"}]),
            "draft_length\n  Input should be a valid integer",
        ),
        (lambda: pool_with(arms=[{"kind": "suffix", "offset": math.nan}]), "finite number"),
    ],
)
def test_one_error_says_what_it_must_be(make, message):
    with pytest.raises((ValueError, TypeError), match=message):
        make()
