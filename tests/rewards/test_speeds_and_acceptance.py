import dataclasses
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arms import Observation, Reference
from rewards import (
    AcceptanceLength,
    AcceptanceRate,
    DistributionOverlap,
    ExpectedAcceptanceLength,
    Price,
    RelativeSpeed,
    SecondsPerToken,
    Speedup,
    TimeSaved,
    TokensPerSecond,
)

BASE = Observation(
    arm="a",
    query_id="q",
    text="t",
    n_tokens=10,
    seconds=2.0,
    proposed=(4, 4, 4),
    accepted=(4, 0, 2),
    reference=Reference(text="t", seconds=5.0, n_tokens=10),
)
NAMED = "cannot value the observation of arm 'a' on query 'q': "


def test_acceptance_length_counts_the_targets_token():
    assert AcceptanceLength()(BASE) == 1 + 6 / 3
    assert AcceptanceLength()(dataclasses.replace(BASE, proposed=(0,) * 9, accepted=(0,) * 9)) == 1.0


def test_acceptance_length_needs_rounds():
    with pytest.raises(ValueError, match=f"AcceptanceLength {NAMED}proposed and accepted are missing"):
        AcceptanceLength()(dataclasses.replace(BASE, proposed=(), accepted=()))


def test_relative_speed_is_a_share_of_the_fastest():
    assert RelativeSpeed(20.0)(BASE) == 0.25
    assert RelativeSpeed(5.0)(BASE) == 1.0
    assert RelativeSpeed(4.0)(BASE) == 1.0
    assert RelativeSpeed(20.0)(dataclasses.replace(BASE, n_tokens=0)) == 0.0


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(1, 500), st.floats(0.001, 100.0)), min_size=1, max_size=8))
def test_fitted_gives_the_fastest_training_observation_exactly_1(pulls):
    observations = [dataclasses.replace(BASE, n_tokens=n, seconds=seconds) for n, seconds in pulls]
    reward = RelativeSpeed.fitted(iter(observations))
    values = [reward(observation) for observation in observations]
    assert max(values) == 1.0
    assert min(values) > 0.0
    assert values == pytest.approx([observation.tokens_per_second / reward.fastest for observation in observations])


def test_fitted_needs_observations_with_tokens_and_time():
    with pytest.raises(ValueError, match=r"RelativeSpeed\.fitted needs at least one observation of a pull"):
        RelativeSpeed.fitted([])
    with pytest.raises(ValueError, match=r"fastest must be a finite number > 0, got 0\.0"):
        RelativeSpeed.fitted([dataclasses.replace(BASE, n_tokens=0)])
    with pytest.raises(ValueError, match="observation of arm 'a' on query 'q': tokens_per_second needs seconds > 0"):
        RelativeSpeed.fitted([BASE, dataclasses.replace(BASE, seconds=0.0)])


@pytest.mark.parametrize("fastest", [0.0, -1.0, float("inf"), float("nan")])
def test_fastest_must_be_a_speed(fastest):
    with pytest.raises(ValueError, match=f"fastest must be a finite number > 0, got {fastest}"):
        RelativeSpeed(fastest)


def test_relative_speed_needs_time():
    with pytest.raises(ValueError, match=f"RelativeSpeed {NAMED}seconds must be > 0 to give a speed, got 0"):
        RelativeSpeed(1.0)(dataclasses.replace(BASE, seconds=0.0))


def test_speedup_compares_seconds_a_token():
    assert Speedup()(BASE) == 2.5
    assert Speedup()(dataclasses.replace(BASE, n_tokens=5)) == pytest.approx((5.0 / 10) / (2.0 / 5))
    assert Speedup()(dataclasses.replace(BASE, n_tokens=0)) == 0.0


def test_speedup_of_two_empty_generations_compares_their_times():
    empty = Reference(text="", seconds=5.0, n_tokens=0)
    assert Speedup()(dataclasses.replace(BASE, n_tokens=0, reference=empty)) == 2.5


@pytest.mark.parametrize(
    ("fields", "rule"),
    [
        ({"reference": None}, "reference (the target's text and its no-draft seconds) is missing"),
        ({"seconds": 0.0}, "seconds must be > 0, got 0.0 and 5.0 for its reference"),
        ({"reference": Reference("t", 0.0, 10)}, "seconds must be > 0, got 2.0 and 0.0 for its reference"),
        ({"reference": Reference("t", 5.0, 0)}, "reference.n_tokens must be >= 1, got 0 for 10"),
        ({"seconds": 1e-320}, "seconds must be finite, got inf"),
    ],
)
def test_speedup_refuses_undefined_ratios(fields, rule):
    with pytest.raises(ValueError, match=f"Speedup {NAMED}.*{re.escape(rule)}"):
        Speedup()(dataclasses.replace(BASE, **fields))


def test_time_saved_is_the_seconds_that_no_draft_would_have_taken_longer():
    assert TimeSaved()(BASE) == 5.0 - 2.0
    assert TimeSaved()(dataclasses.replace(BASE, n_tokens=20)) == 2 * 5.0 - 2.0
    assert TimeSaved()(dataclasses.replace(BASE, seconds=7.0)) == -2.0


def test_total_time_saved_ranks_arms_by_total_seconds_where_mean_speedup_does_not():
    plain = [0.1, 4.0, 4.0]  # no draft's seconds; the first text loops
    arms = {"copies": [0.02, 4.4, 4.4], "steady": [0.1, 3.0, 3.0]}
    rows = {
        name: [
            dataclasses.replace(BASE, seconds=taken, reference=Reference(text="t", seconds=alone, n_tokens=10))
            for taken, alone in zip(seconds, plain, strict=True)
        ]
        for name, seconds in arms.items()
    }
    saved = {name: sum(map(TimeSaved(), row)) for name, row in rows.items()}
    ratios = {name: sum(map(Speedup(), row)) for name, row in rows.items()}
    assert saved["steady"] == pytest.approx(sum(plain) - sum(arms["steady"]))
    assert max(saved, key=saved.__getitem__) == "steady"
    assert max(ratios, key=ratios.__getitem__) == "copies"


def test_time_saved_against_a_reference_without_tokens_is_rejected():
    empty = dataclasses.replace(BASE, reference=Reference(text="", seconds=1.0, n_tokens=0))
    with pytest.raises(ValueError, match=r"reference\.n_tokens must be >= 1, got 0 for 10"):
        TimeSaved()(empty)


def test_seconds_per_token_are_a_share_of_the_slowest_and_a_failure_is_the_slowest():
    assert SecondsPerToken(0.4)(BASE) == -0.5
    assert SecondsPerToken(0.1)(BASE) == -1.0
    assert SecondsPerToken(0.4)(dataclasses.replace(BASE, n_tokens=0)) == -1.0
    assert SecondsPerToken(0.4)(Observation.failed("a", "q", "no answer", 0.1)) == -1.0
    with pytest.raises(ValueError, match=r"slowest must be a finite number > 0, got 0"):
        SecondsPerToken(0)


def test_acceptance_rate_is_accepted_over_proposed_and_needs_proposals():
    assert AcceptanceRate()(BASE) == 6 / 12
    drafted_nothing = dataclasses.replace(BASE, proposed=(0, 0), accepted=(0, 0))
    with pytest.raises(ValueError, match=rf"AcceptanceRate {NAMED}nothing was proposed.*acceptance_rate\(missing=0\)"):
        AcceptanceRate()(drafted_nothing)
    assert AcceptanceRate(missing=0.25)(drafted_nothing) == 0.25
    with pytest.raises(ValueError, match=r"missing must be a finite number in \[0, 1\], got 2"):
        AcceptanceRate(missing=2)


def test_tokens_per_second_need_time():
    assert TokensPerSecond()(BASE) == 5.0
    with pytest.raises(ValueError, match=f"TokensPerSecond {NAMED}seconds must be > 0"):
        TokensPerSecond()(dataclasses.replace(BASE, seconds=0.0))


def test_the_price_is_the_pulls_own_cost_and_the_machines_time():
    bought = dataclasses.replace(BASE, cost=0.5)
    assert Price()(bought) == -0.5
    assert str(Price()(dataclasses.replace(BASE, cost=0.0))) == "0.0"
    assert Price(per_hour=3600.0)(bought) == -2.5
    assert Price(per_hour=3600.0)(BASE) == -2.0
    with pytest.raises(ValueError, match=rf"Price {NAMED}cost is missing; .*price\(per_hour=2\.5\)"):
        Price()(BASE)
    with pytest.raises(ValueError, match="per_hour must be a finite number >= 0, got -1"):
        Price(per_hour=-1)


def test_overlaps_give_the_share_and_the_length_that_sampling_would_accept():
    sampled = dataclasses.replace(BASE, overlaps=(0.5, 1.0, 0.25))
    assert DistributionOverlap()(sampled) == pytest.approx(1.75 / 3)
    assert ExpectedAcceptanceLength(1)(sampled) == pytest.approx(1 + 1.75 / 3)
    # From each position: 0.5 + 0.5 * 1, 1 + 1 * 0.25, 0.25.
    assert ExpectedAcceptanceLength(2)(sampled) == pytest.approx(1 + (1.0 + 1.25 + 0.25) / 3)
    steady = dataclasses.replace(BASE, overlaps=(0.8,) * 5000)
    assert ExpectedAcceptanceLength(4)(steady) == pytest.approx((1 - 0.8**5) / (1 - 0.8), abs=2e-3)
    assert ExpectedAcceptanceLength(9)(sampled) == ExpectedAcceptanceLength(3)(sampled)


@pytest.mark.parametrize("reward", [DistributionOverlap(), ExpectedAcceptanceLength(4)])
def test_overlaps_that_are_missing_are_told_with_what_to_say_instead(reward):
    with pytest.raises(ValueError, match=rf"{reward.name} {NAMED}overlaps .* are missing; .*missing="):
        reward(BASE)
    assert dataclasses.replace(reward, missing=1)(BASE) == 1.0
    with pytest.raises(ValueError, match="missing must be a finite number in"):
        dataclasses.replace(reward, missing=-1)
