"""A log that is read in batches is estimated on in bounded memory, and comes to what the whole log does."""

from dataclasses import replace

import numpy as np
import pytest

from bandits import IPS, SNIPS, DoublyRobust, EpsilonGreedy, LinUCB, LoggedData, estimate
from bandits.data import batches
from bandits.off_policy import Bounds, ConstantReward
from bandits.off_policy.estimators import AdditiveSlate, MultiLogger, RejectionReplay, Slope


def _log(n, seed=0, **columns):
    rng = np.random.default_rng(seed)
    contexts = rng.normal(size=(n, 3)).astype(np.float32)
    probabilities = rng.dirichlet((2.0, 2.0, 2.0), size=n)
    actions = (probabilities.cumsum(axis=1) < rng.random((n, 1))).sum(axis=1)
    rewards = contexts[np.arange(n), actions] + rng.normal(size=n)
    taken = probabilities[np.arange(n), actions]
    return LoggedData(contexts, actions, rewards, taken, ("a", "b", "c"), **columns)


@pytest.fixture
def policy():
    return EpsilonGreedy(LinUCB()).fit(_log(500, seed=1))


def _stream(log, folder, batch_rows=700):
    for part, rows in enumerate(np.array_split(np.arange(len(log)), 3)):
        log.subset(rows).write_part(folder, part)
    LoggedData.close_folder(folder)
    return LoggedData.stream(folder, batch_rows)


@pytest.fixture
def small_batches(monkeypatch):
    monkeypatch.setattr(batches.full_batches, "__defaults__", (500,))


@pytest.mark.parametrize("estimator", [IPS(), SNIPS(), DoublyRobust(ConstantReward(0.3)), "clipped_ips(max_weight=2)"])
def test_a_stream_gives_what_the_whole_log_gives(tmp_path, policy, small_batches, estimator):
    log = _log(3000, weights=np.tile([1.0, 2.0, 0.0], 1000))
    whole = estimate(policy, log, estimators=[estimator], intervals=["delta", "bootstrap(n_resamples=50)"])
    streamed = estimate(
        policy, _stream(log, tmp_path), estimators=[estimator], intervals=["delta", "bootstrap(n_resamples=50)"]
    )
    (one,), (other,) = whole.rows, streamed.rows
    assert other.value == pytest.approx(one.value, rel=1e-9)
    for own, of_all in zip(other.intervals, one.intervals, strict=True):
        assert own.refused == of_all.refused
        if own.refused is None:
            assert (own.low, own.high) == pytest.approx((of_all.low, of_all.high), rel=1e-9)
    for name in ("n_rows", "n_queries", "effective_sample_size", "overlap", "mean_weight", "worst_weight", "worst_row"):
        assert getattr(other.diagnostics, name) == pytest.approx(getattr(one.diagnostics, name), rel=1e-9)
    assert other.diagnostics.calibration == pytest.approx(one.diagnostics.calibration, rel=1e-6)
    assert other.diagnostics.problems == one.diagnostics.problems


def test_groups_of_queries_have_the_width_that_queries_have(tmp_path, policy, small_batches, monkeypatch):
    monkeypatch.setattr(batches, "N_GROUPS", 1000)
    monkeypatch.setattr("bandits.off_policy.streamed.N_GROUPS", 1000)
    ids = [f"q{row // 2}" for row in range(12_000)]
    log = _log(12_000, query_ids=ids)
    whole = estimate(policy, log, estimators=[SNIPS(), DoublyRobust()])
    streamed = estimate(policy, _stream(log, tmp_path), estimators=[SNIPS(), DoublyRobust()])
    assert streamed["SNIPS"].value == pytest.approx(whole["SNIPS"].value, rel=1e-9)
    assert streamed["DoublyRobust"].value == pytest.approx(whole["DoublyRobust"].value, abs=0.01)
    for one, other in zip(whole.rows, streamed.rows, strict=True):
        assert other.high - other.low == pytest.approx(one.high - one.low, rel=0.08)


def test_groups_of_queries_lack_the_weight_that_queries_lack(tmp_path, policy, small_batches, monkeypatch):
    monkeypatch.setattr(batches, "N_GROUPS", 50)
    monkeypatch.setattr("bandits.off_policy.streamed.N_GROUPS", 50)
    log = _log(12_000, seed=2)
    log = replace(log, rewards=1 - (np.arange(12_000) % 10 == 0), propensities=np.minimum(1.05 * log.propensities, 1.0))
    asked, known = ["delta", "anytime"], Bounds(reward_range=(0.0, 1.0), max_weight=1e6)
    whole, streamed = (
        estimate(policy, one, estimators=[IPS()], intervals=asked, bounds=known)["IPS"]
        for one in (log, _stream(log, tmp_path))
    )
    assert whole.diagnostics.mean_weight < 0.97
    assert streamed.intervals[0].width == pytest.approx(whole.intervals[0].width, rel=0.3)
    assert whole.intervals[1].refused is None
    assert "groups of unlike size: load the log" in str(streamed.intervals[1].refused)


def test_a_query_keeps_its_group_and_its_side_in_every_batch():
    keys = batches.query_keys(_log(6, query_ids=["a", "b", None, "a", "b", None]), 10)
    assert keys[0] == keys[3]
    assert keys[1] == keys[4]
    assert keys[[2, 5]].tolist() == [12, 15]


def test_places_of_queries_are_uniform_and_differ_by_seed():
    keys = np.arange(20_000, dtype=np.uint64)
    first, second = (batches.split_places(keys, seed) for seed in (0, 1))
    assert np.histogram(first, 10, (0, 1))[0] == pytest.approx(np.full(10, 2000), abs=180)
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.03


@pytest.mark.parametrize("estimator", [Slope(), RejectionReplay(), MultiLogger(), AdditiveSlate()])
def test_an_estimator_that_needs_the_whole_log_is_refused_by_name(tmp_path, policy, estimator):
    found = estimate(policy, _stream(_log(1000), tmp_path), estimators=[IPS(), estimator])
    assert found["IPS"].value is not None
    assert "batch by batch: load the log" in str(found[estimator.name].refused)


def test_a_fault_says_after_which_row(tmp_path, policy, small_batches):
    log = _log(1200)
    stream = _stream(log, tmp_path)
    with pytest.raises(ValueError, match=r"rows from 0 on: rewards must be in reward_range"):
        estimate(policy, stream, bounds=Bounds(reward_range=(0.0, 1.0)))


def test_bounds_of_rewards_and_weights_give_intervals_that_hold_at_any_time(policy):
    log = _log(2000)
    span = (float(log.rewards.min()) - 1, float(log.rewards.max()) + 1)
    bounds = Bounds(reward_range=span, max_weight=float(1 / log.propensities.min()))
    found = estimate(policy, log, estimators=[IPS()], intervals=["anytime", "delta"], bounds=bounds)["IPS"]
    anytime, delta = found.intervals
    assert anytime.refused is None
    assert anytime.low <= delta.low < found.value < delta.high <= anytime.high
    without = estimate(policy, log, estimators=[IPS()], intervals=["anytime"])["IPS"].intervals[0]
    assert "reward_range was not stated" in str(without.refused)


def test_a_bootstrap_of_a_precision_draws_as_many_resamples_as_that_takes(policy):
    log = _log(2500)
    asked = ["bootstrap(precision=0.05)"], ["bootstrap(n_resamples=186)"]
    by_precision, by_number = (estimate(policy, log, estimators=[SNIPS()], intervals=one)["SNIPS"] for one in asked)
    assert by_precision.interval == by_number.interval


def test_costs_in_some_parts_only_are_refused(tmp_path, policy, small_batches):
    log = _log(1400)
    log.subset(range(700)).write_part(tmp_path, 0)
    _log(700, costs=np.ones(700)).write_part(tmp_path, 1)
    LoggedData.close_folder(tmp_path)
    with pytest.raises(ValueError, match="parts must all have costs or none of them"):
        estimate(policy, LoggedData.stream(tmp_path))
