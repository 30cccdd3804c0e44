"""Evaluation: exact figures, paired intervals, and the trip through JSON."""

from dataclasses import replace

import numpy as np
import pytest

from bandits import BestFixedArm, Bootstrap, FullInformationData, LinUCB, Uniform, evaluate
from bandits.evaluation import Evaluation, best_fixed_arm
from bandits.testing import example_data

ARMS = ("no_draft", "draft", "lookup")


def timed(n=200, seed=0):
    rng = np.random.default_rng(seed)
    contexts = rng.normal(size=(n, 2))
    seconds = np.exp(0.5 * contexts @ rng.normal(size=(2, 3)) + 0.2 * rng.normal(size=(n, 3)))
    return FullInformationData(contexts, 1 / seconds, ARMS, costs=seconds, query_ids=[f"q{i}" for i in range(n)])


def test_figures_are_the_plain_ones():
    train, test = timed(), timed(seed=1)
    policy = LinUCB().fit(train)
    result = evaluate({"linucb": policy, "uniform": Uniform().fit(train)}, test, training_data=train)
    picks = policy.probabilities(test.contexts).argmax(axis=1)
    rows = np.arange(200)
    rewards, seconds = test.rewards[rows, picks], test.costs[rows, picks]
    best = best_fixed_arm(train)
    row = result["linucb"]
    assert row.value == pytest.approx(rewards.mean())
    assert row.regret.value == pytest.approx((test.rewards.max(axis=1) - rewards).mean())
    assert row.speedup.value == pytest.approx(test.costs[:, 0].sum() / seconds.sum())
    assert row.slower_share.value == pytest.approx((seconds > test.costs[:, 0]).mean())
    expected = rewards.mean() - test.rewards[:, ARMS.index(best)].mean()
    assert row.difference.value == pytest.approx(expected)
    assert row.arm_shares == pytest.approx(dict(zip(ARMS, np.bincount(picks, minlength=3) / 200, strict=True)))
    uniform = result["uniform"]
    assert uniform.speedup.value == pytest.approx(test.costs[:, 0].sum() / test.costs.mean(axis=1).sum())
    slower = (test.costs > test.costs[:, :1]).mean()
    assert uniform.slower_share.value == pytest.approx(slower)


def test_rows_of_arms_and_oracles():
    test = timed()
    result = evaluate({}, test, training_data=test)
    assert [row.name for row in result.rows] == [*ARMS, "oracle", "fastest"]
    assert result["no_draft"].speedup.low == result["no_draft"].speedup.high == 1.0
    assert result["no_draft"].slower_share.value == 0.0
    assert result["oracle"].regret.high == 0.0
    assert result["fastest"].speedup.value == pytest.approx(test.costs[:, 0].sum() / test.costs.min(axis=1).sum())
    best = result[result.best_fixed_arm]
    assert (best.difference.low, best.difference.high) == (0.0, 0.0)
    assert result["oracle"].difference.low > 0
    with pytest.raises(KeyError, match="no row 'nobody'"):
        result["nobody"]


def test_interval_of_a_mean_has_the_width_of_theory():
    rng = np.random.default_rng(0)
    data = FullInformationData(np.zeros((400, 1)), rng.normal(size=(400, 2)), ("a", "b"))
    estimate = evaluate({}, data, bootstrap=Bootstrap(n_resamples=4000))["a"]
    error = data.rewards[:, 0].std() / 20
    assert estimate.high - estimate.low == pytest.approx(2 * 1.96 * error, rel=0.08)
    narrow = evaluate({}, data, bootstrap=Bootstrap(n_resamples=4000, confidence=0.5))["a"]
    assert narrow.high - narrow.low == pytest.approx(2 * 0.6745 * error, rel=0.08)


def test_interval_of_few_queries_has_students_width_and_a_share_stays_one():
    rng = np.random.default_rng(0)
    costs = rng.uniform(1, 2, size=(6, 2))
    data = FullInformationData(np.zeros((6, 1)), rng.normal(size=(6, 2)), ("no_draft", "draft"), costs=costs)
    row = evaluate({}, data, bootstrap=Bootstrap(n_resamples=4000))["draft"]
    error = data.rewards[:, 1].std(ddof=1) / np.sqrt(6)
    assert row.high - row.low == pytest.approx(2 * 2.571 * error, rel=0.1)  # t with 5 degrees of freedom
    assert row.slower_share.low >= 0
    assert row.slower_share.high <= 1


def test_interval_of_a_ratio_resamples_both_sums():
    test = timed()
    rng = np.random.default_rng(5)
    draws = rng.integers(200, size=(4000, 200))
    ratios = test.costs[draws, 0].sum(axis=1) / test.costs[draws, 1].sum(axis=1)
    low, high = np.quantile(ratios, [0.025, 0.975])
    estimate = evaluate({}, test, bootstrap=Bootstrap(n_resamples=4000))["draft"].speedup
    assert estimate.low == pytest.approx(low, rel=0.03)
    assert estimate.high == pytest.approx(high, rel=0.03)


def test_rows_of_one_query_are_drawn_together():
    rng = np.random.default_rng(0)
    base = rng.normal(size=(100, 2))
    rewards = np.repeat(base, 4, axis=0)
    contexts = np.zeros((400, 1))
    ids = [f"q{i // 4}" for i in range(400)]
    grouped = evaluate({}, FullInformationData(contexts, rewards, ("a", "b"), query_ids=ids))["a"]
    apart = evaluate({}, FullInformationData(contexts, rewards, ("a", "b")))["a"]
    assert (grouped.high - grouped.low) / (apart.high - apart.low) == pytest.approx(2.0, rel=0.15)


def test_one_seed_gives_one_result_and_json_brings_it_back(tmp_path):
    train, test = timed(), timed(seed=1)
    policies = {"linucb": LinUCB().fit(train)}
    result = evaluate(policies, test, training_data=train, bootstrap=Bootstrap(n_resamples=50))
    assert result == evaluate(policies, test, training_data=train, bootstrap=Bootstrap(n_resamples=50))
    assert result != evaluate(policies, test, training_data=train, bootstrap=Bootstrap(n_resamples=50, seed=1))
    assert Evaluation.from_json(result.to_json()) == result
    result.save(tmp_path / "report" / "evaluation.json")
    assert Evaluation.load(tmp_path / "report" / "evaluation.json") == result
    (tmp_path / "broken.json").write_text("{}")
    with pytest.raises(ValueError, match=r"broken.json is not a saved evaluation"):
        Evaluation.load(tmp_path / "broken.json")
    newer = result.to_json().replace('"format_version": 1', '"format_version": 9')
    with pytest.raises(ValueError, match="newer than 1"):
        Evaluation.from_json(newer)


def test_text_names_every_row_and_what_it_is_against():
    test = timed()
    text = evaluate(
        {"uniform": Uniform().fit(test)}, test, training_data=test, bootstrap=Bootstrap(n_resamples=20)
    ).to_text()
    for word in ("uniform", *ARMS, "oracle", "speedup", "slower share", "against no_draft", "200 queries"):
        assert word in text
    plain = evaluate({}, example_data(), bootstrap=Bootstrap(n_resamples=20)).to_text()
    assert "speedup" not in plain
    assert "difference" not in plain


def test_incomplete_rows_are_left_out_and_counted():
    full = example_data()
    observed = np.ones(full.rewards.shape, bool)
    observed[:10, 0] = False
    ragged = FullInformationData(full.contexts, full.rewards, full.arm_names, observed=observed)
    result = evaluate({"uniform": Uniform().fit(full)}, ragged, bootstrap=Bootstrap(n_resamples=20))
    assert (result.n_rows, result.n_left_out) == (50, 10)
    assert "10 rows without every arm's reward were left out" in result.to_text()


def test_arms_are_matched_by_name():
    test = timed()
    policy = BestFixedArm(arm_names=ARMS[::-1]).fit(test)
    result = evaluate({"best": policy}, test, bootstrap=Bootstrap(n_resamples=20))
    assert result["best"].value == result[best_fixed_arm(test, "reward")].value


def test_bad_questions_are_refused():
    test = timed()
    with pytest.raises(ValueError, match=r"baseline_arm 'none' is not among the arms no_draft"):
        evaluate({}, test, baseline_arm="none")
    assert evaluate({}, test, objective="reward", bootstrap=Bootstrap(n_resamples=5))["draft"].speedup is None
    with pytest.raises(ValueError, match="objective 'reward' leaves out"):
        evaluate({}, test, objective="reward", baseline_arm="draft")
    with pytest.raises(ValueError, match="must be 'seconds' or 'reward', got 'speed'"):
        evaluate({}, test, objective="speed")
    with pytest.raises(ValueError, match="needs data that hold costs"):
        evaluate({}, replace(example_data(), costs=None), baseline_arm="arm_a")
    with pytest.raises(ValueError, match="name 'draft' is that of an arm"):
        evaluate({"draft": Uniform().fit(test)}, test)
    with pytest.raises(ValueError, match="confidence must be in"):
        evaluate({}, test, bootstrap=Bootstrap(confidence=95))
    stranger = Uniform(arm_names=("other",))
    with pytest.raises(ValueError, match="may choose 'other'"):
        evaluate({"stranger": stranger}, test)
    free = FullInformationData(test.contexts, test.rewards, ARMS, costs=np.zeros((200, 3)))
    with pytest.raises(ValueError, match="costs above 0"):
        evaluate({}, free)
