"""The conclusion: by total seconds where a mean of ratios misleads, held out, and what it advises."""

import numpy as np
import pytest

from arms import Observation, Reference
from bandits import (
    KNN,
    ComparisonSettings,
    Estimate,
    FullInformationData,
    LinUCB,
    Uniform,
    compare,
    cross_validated,
    evaluate,
)
from bandits.evaluation import Conclusion, best_fixed_arm
from bandits.testing import example_data
from rewards import Speedup, TimeSaved

ARMS = ("no_draft", "long", "short")
PLAIN, LONG, SHORT = (1.0, 1.0), (0.2, 1.05), (0.75, 0.75)  # seconds on a looping prompt, and on another


def looping(n_rows=60):
    """One prompt in eight loops: `long` is 5 times as fast there and slower elsewhere, `short` is 4/3 everywhere."""
    loops = np.arange(n_rows) % 8 == 0
    seconds = np.stack([np.where(loops, *pair) for pair in (PLAIN, LONG, SHORT)], axis=1)
    reference = Reference(text="", n_tokens=48, seconds=1.0)
    observations = [
        [
            Observation(query_id=f"q{row}", arm=arm, text="", n_tokens=48, seconds=second, reference=reference)
            for arm, second in zip(ARMS, line, strict=True)
        ]
        for row, line in enumerate(seconds.tolist())
    ]
    contexts = np.ones((n_rows, 1))  # which tell nothing: a policy can only settle on an arm
    return FullInformationData(contexts, seconds, ARMS, costs=seconds, observations=observations)


def test_mean_speedup_prefers_the_slower_arm_and_the_conclusion_does_not():
    data = looping()
    by_ratio, by_time = data.with_reward(Speedup()), data.with_reward(TimeSaved())
    assert best_fixed_arm(by_ratio, "reward") == "long"
    assert best_fixed_arm(by_ratio) == best_fixed_arm(by_time) == "short"
    misled, right = KNN(60).fit(by_ratio), KNN(60).fit(by_time)
    assert (misled.predict_rewards([[1.0]]).argmax(), right.predict_rewards([[1.0]]).argmax()) == (1, 2)
    result = evaluate({"misled": misled}, by_ratio, training_data=by_ratio)
    assert result["misled"].difference.value > 0  # by mean speedup it looks like a gain
    assert result.conclusion.fixed_arms == ("short",)
    assert str(result.conclusion).endswith("times as fast as always short by total seconds: use the fixed arm.")
    assert evaluate({"right": right}, by_time, training_data=by_time).conclusion.estimate.value == pytest.approx(1)


def test_compare_values_observations_by_another_reward_and_fits_its_winner():
    data = looping().with_reward(Speedup())
    policies = {"knn": KNN(60), "uniform": Uniform()}
    settings = ComparisonSettings(train_shares=(1.0,), n_bootstrap=50)
    result = compare(policies, data, (0, 1), reward=TimeSaved(), settings=settings)
    assert result["short"].value == pytest.approx(0.25)
    assert result.best == "knn"
    assert result.to_text(200).endswith(str(result.conclusion))
    winner = result.fit_best(policies, data, TimeSaved())
    assert winner.arm_names[int(winner.predict_rewards([[1.0]]).argmax())] == "short"
    assert policies["knn"].state is None
    with pytest.raises(ValueError, match="a log holds none"):
        compare(policies, data.log_with(Uniform(), np.random.default_rng(0)), reward=TimeSaved())


@pytest.mark.parametrize("n_folds", [4, 1000])
def test_cross_validated_scores_are_held_out(n_folds):
    rng = np.random.default_rng(0)
    noise = FullInformationData(rng.normal(size=(60, 3)), rng.normal(size=(60, 2)), ("a", "b"))
    fitted = KNN(1).fit(noise)
    assert noise.value(fitted) > 0.4  # it has learned the noise by heart
    score = cross_validated(KNN(1), noise, n_folds=n_folds)
    assert score.low < 0 < score.high
    assert not score.conclusion.gains
    assert score.n_folds == min(n_folds, 60)
    log = example_data(600).log_with(Uniform(), rng)
    assert cross_validated(LinUCB(), log, n_folds=3).conclusion.gains
    with pytest.raises(ValueError, match="n_folds must be an integer >= 2, got 1"):
        cross_validated(LinUCB(), log, n_folds=1)


@pytest.mark.parametrize(
    ("objective", "numbers", "supported", "text"),
    [
        ("seconds", (1.05, 1.02, 1.08), True, "1.05 [1.02, 1.08] times as fast as X by total seconds: use the policy."),
        ("seconds", (0.9, 0.8, 0.95), True, "[0.80, 0.95] times as fast as X by total seconds: use the fixed arm."),
        ("reward", (0.5, 0.25, 0.75), True, "p: mean reward 0.5 [0.25, 0.75] above that of X: use the policy."),
        ("reward", (-0.5, -0.75, -0.25), True, "mean reward 0.5 [0.25, 0.75] below that of X: use the fixed arm."),
        ("reward", (0.5, -0.25, 0.75), True, "X: no difference can be told: use the fixed arm, which is simpler."),
        ("reward", (0.5, 0.25, 0.75), False, "the log cannot support this, so use the fixed arm and log more."),
    ],
)  # fmt: skip
def test_the_sentence_says_what_to_use(objective, numbers, supported, text):
    conclusion = Conclusion("p", 1, ("a",), objective, Estimate(*numbers), supported)
    assert str(conclusion).endswith(text.replace("X", "always a"))
    assert conclusion.gains == str(conclusion).endswith("use the policy.")
