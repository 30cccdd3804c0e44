"""Segments: the look-up of the best arm in each, and what policies earn there."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import t as student

from bandits import (
    BestFixedArm,
    Bootstrap,
    ComparisonSettings,
    FullInformationData,
    LinUCB,
    Uniform,
    compare,
    evaluate,
)
from bandits.evaluation import trade_off
from bandits.evaluation.segments import arms_by_segment
from bandits.off_policy.estimators import SNIPS

QUICK = ComparisonSettings(train_shares=(1.0,), n_bootstrap=100, by_segment=True)


def two_segments(n_rows=120):
    """Arm a is right in segment x, arm b in y; arm a is the better one over all."""
    rng = np.random.default_rng(0)
    in_y = np.arange(n_rows) % 3 == 0
    rewards = np.stack([np.where(in_y, 0.0, 1.0), np.where(in_y, 0.8, 0.3)], axis=1)
    contexts = rng.normal(size=(n_rows, 2))
    noisy = rewards + 0.01 * rng.normal(size=rewards.shape)
    return FullInformationData(contexts, noisy, ("a", "b"), domains=np.where(in_y, "y", "x").tolist())


def test_the_look_up_takes_the_best_arm_of_each_segment():
    data = two_segments()
    result = compare({"uniform": Uniform()}, data, (0, 1), settings=QUICK)
    assert result["best arm by segment"].kind == "segment"
    assert result["best arm by segment"].value == pytest.approx(result["oracle"].value)
    assert result["best arm by segment"].value > result["best fixed arm"].value + 0.2
    assert result.names.index("best arm by segment") == result.names.index("best fixed arm") + 1


def test_the_look_up_is_learned_on_training_rows_and_falls_back_where_a_label_is_new():
    data = two_segments(30)
    train = replace(data, rewards=data.rewards[:, ::-1])
    test = replace(data, domains=("new",) * len(data))
    assert (arms_by_segment(train, data, "reward").argmax(axis=1) == data.rewards.argmin(axis=1)).all()
    best = train.rewards.mean(axis=0).argmax()
    assert (arms_by_segment(train, test, "reward").argmax(axis=1) == best).all()


def test_a_log_shows_the_look_up_too():
    log = two_segments(400).log_with(Uniform(), np.random.default_rng(0))
    settings = replace(QUICK, estimators=(SNIPS(),), baseline="best arm by segment")
    result = compare({"linear": LinUCB()}, log, (0, 1), settings=settings)
    assert result["best arm by segment"].value == pytest.approx(0.93, abs=0.03)
    assert {row.segment for row in result.segments} == {"x", "y"}


def test_where_the_best_arm_is_not_available_the_next_best_one_is_taken():
    data = two_segments(400)
    log = data.log_with(Uniform(), np.random.default_rng(0))
    available = np.ones((len(log), 2), np.bool_)
    available[::5, 0] = False
    available[log.actions == 0] = True
    log = replace(log, available=available, action_probabilities=None, costs=np.ones(len(log)))
    chosen = arms_by_segment(log, log, "reward")
    best = np.where(np.array(data.domains) == "x", 0, 1)
    assert (chosen.argmax(axis=1) == np.where(available[:, 0], best, 1)).all()
    only_a = log.subset((log.actions == 0) & (np.array(log.domains) == "x"))
    assert arms_by_segment(only_a, log, "reward")[available[:, 0] == 0].argmax(axis=1).all()
    settings = replace(QUICK, estimators=(SNIPS(),))
    assert "best arm by segment" in compare({"linear": LinUCB()}, log, (0,), settings=settings)
    assert trade_off({"linear": LinUCB()}, log, (0.0,), (0,), settings=settings).arms[0].value > 0


def test_values_by_segment_are_means_over_its_queries_and_intervals_are_bonferronis():
    data = two_segments()
    fixed = BestFixedArm().fit(data)
    result = evaluate({"uniform": Uniform(data.arm_names), "fixed": fixed}, data, bootstrap=Bootstrap(n_resamples=200))
    rows = {(row.name, row.segment): row for row in result.segments}
    assert [row.segment for row in result.segments] == ["x", "x", "y", "y"]  # the largest first
    for label in "xy":
        own = data.subset(np.array(data.domains) == label)
        assert rows["uniform", label].value == pytest.approx(own.rewards.mean())
        assert rows["fixed", label].difference.interval == (0.0, 0.0)
    row, own = rows["uniform", "y"], data.rewards[np.array(data.domains) == "y"].mean(axis=1)
    exact = student.ppf(1 - 0.05 / (2 * 4), len(own) - 1) * own.std(ddof=1) / np.sqrt(len(own))
    assert (row.high - row.low) / 2 == pytest.approx(exact, rel=0.2)


def test_a_segments_intervals_rest_on_its_own_queries_alone():
    data, other = two_segments(), two_segments(600)
    both = FullInformationData(
        np.vstack([data.contexts, other.contexts]),
        np.vstack([data.rewards, other.rewards]),
        data.arm_names,
        domains=[*data.domains, *(f"far {label}" for label in other.domains)],
    )
    policies = {"uniform": Uniform(data.arm_names)}
    widths = {}
    for rows in (data, both):
        for row in evaluate(policies, rows, bootstrap=Bootstrap(n_resamples=200)).segments:
            if row.segment == "y":
                assert row.value == pytest.approx(data.rewards[::3].mean())
                widths[len(rows)] = row.high - row.low
    student_again = student.ppf(1 - 0.05 / 8, 39) / student.ppf(1 - 0.05 / 4, 39)
    assert widths[720] / widths[120] == pytest.approx(student_again)  # the same draws, at a higher confidence


def test_queries_without_a_label_are_a_segment_called_none():
    data = two_segments()
    data = replace(data, domains=[label if label == "x" else None for label in data.domains])
    result = evaluate({"uniform": Uniform(data.arm_names)}, data, bootstrap=Bootstrap(n_resamples=20))
    assert [row.segment for row in result.segments] == ["x", "(none)"]


def test_the_table_names_the_correction_and_is_saved():
    result = compare({"uniform": Uniform()}, two_segments(), (0, 1), settings=QUICK)
    text = result.segment_table().to_text(200)
    assert "Bonferroni" in text
    assert "*" in text
    assert type(result).from_json(result.to_json()) == result


def test_a_segment_of_one_row_has_no_line_and_no_label_is_refused():
    data = two_segments()
    labels = ("rare", *data.domains[1:])
    result = compare({"uniform": Uniform()}, replace(data, domains=labels), (0, 1), settings=QUICK)
    assert {row.segment for row in result.segments} == {"x", "y"}
    assert "fewer than 10" in result.segment_table().to_text()
    with pytest.raises(ValueError, match="two different domains"):
        compare({"uniform": Uniform()}, replace(data, domains=None), settings=QUICK)
    with pytest.raises(ValueError, match="needs two domains"):
        evaluate({"uniform": Uniform(data.arm_names)}, replace(data, domains=None)).segment_table()
