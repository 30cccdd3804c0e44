"""NeuralLinearTS: LinTS on its features, what training gains, and when it happens."""

import numpy as np
import pytest

from bandits import FullInformationData, LinTS
from bandits.policies import AdamWSettings, NeuralLinearTS, SlidingWindow
from bandits.testing import example_log

SHORT = AdamWSettings(max_epochs=3, batch_size=16)


def features(policy, contexts):
    shared = policy.learned.shared
    hidden = (contexts - shared["mean"]) / shared["scale"]
    hidden = np.maximum(hidden @ shared["weight_1"].T + shared["bias_1"], 0)
    return np.maximum(hidden @ shared["weight_2"].T + shared["bias_2"], 0)


def test_it_chooses_as_lin_ts_does_on_the_features():
    log = example_log()
    policy = NeuralLinearTS(hidden_size=6, posterior_scale=0.7, training=SHORT).fit(log)
    rows = features(policy, log.contexts)
    plain = LinTS(prior_precision=None, intercept_precision=3.0, sampled_share=1.0, posterior_scale=0.7)
    plain.fit(rows, log.actions, log.rewards, arm_names=log.arm_names)
    np.testing.assert_allclose(policy.probabilities(log.contexts), plain.probabilities(rows), atol=1e-4)


def test_learned_features_explain_what_is_not_linear():
    rng = np.random.default_rng(0)
    contexts = rng.uniform(-1, 1, (300, 2)).astype(np.float32)
    rewards = np.stack([np.abs(contexts[:, 0]), 0.5 - np.abs(contexts[:, 1])], axis=1)
    data = FullInformationData(contexts, rewards, ("a", "b"))
    policy = NeuralLinearTS(hidden_size=16, training=AdamWSettings(max_epochs=60, batch_size=32)).fit(data)
    error = ((policy.predict_rewards(contexts) - rewards) ** 2).mean()
    linear = ((LinTS().fit(data).predict_rewards(contexts) - rewards) ** 2).mean()
    assert error < 0.1 * linear


def test_it_trains_at_32_rows_and_again_when_these_have_grown():
    log = example_log()
    policy = NeuralLinearTS(hidden_size=4, growth=1.5, training=SHORT)
    policy.start(log.arm_names, log.n_features)
    trained = []
    for start in range(0, 60, 4):
        policy.update(log.subset(np.arange(start, start + 4)))
        trained.append(int(policy.learned.shared["trained_rows"][0]))
    assert sorted(set(trained)) == [0, 32, 48]


def test_in_a_window_it_is_trained_again_too():
    log = example_log()
    policy = SlidingWindow(NeuralLinearTS(hidden_size=4, growth=1.5, training=SHORT), n_rows=36)
    policy.start(log.arm_names, log.n_features)
    layers = []
    for start in range(0, 60, 4):
        policy.update(log.subset(np.arange(start, start + 4)))
        layers.append(policy.learned.shared["weight_1"].tobytes())
    assert len(set(layers)) == 3  # as drawn, at 32 rows, and 16 rows later


@pytest.mark.parametrize("growth", [1.0, 0.5, float("nan")])
def test_a_growth_that_is_none_is_refused(growth):
    with pytest.raises(ValueError, match="growth must be a finite number > 1"):
        NeuralLinearTS(growth=growth)
