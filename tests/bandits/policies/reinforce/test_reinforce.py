"""REINFORCE: its gradients are the right ones, and it learns."""

import numpy as np
import pytest
import torch

from bandits import BestFixedArm, FullInformationData, LoggedData, Reinforce, Uniform
from bandits.policies import AdamWSettings, ObjectiveSettings
from bandits.policies.reinforce.training import FullInformationObjective, LoggedObjective, network_of, split_queries
from bandits.testing import example_data, example_log


def clusters(n=600, seed=0):
    """Return queries of three kinds, each with its best arm; rewards differ between queries too."""
    rng = np.random.default_rng(seed)
    kind = rng.integers(3, size=n)
    contexts = 5.0 + 10.0 * np.eye(3)[kind] + rng.normal(size=(n, 3))
    rewards = np.eye(3)[kind] + rng.normal(size=(n, 1)) + 0.1 * rng.normal(size=(n, 3))
    return FullInformationData(contexts, rewards, ("a", "b", "c"))


@pytest.mark.parametrize("gradient", ["sampled", "exact"])
def test_learns_on_full_information(gradient):
    train, test = clusters(), clusters(seed=1)
    policy = Reinforce({"gradient": gradient}, hidden_size=16, seed=1).fit(train)
    best, oracle = test.value(BestFixedArm().fit(train)), test.rewards.max(axis=1).mean()
    assert test.value(policy) > best + 0.85 * (oracle - best)


def test_learns_from_bandit_feedback():
    train, test = clusters(), clusters(seed=1)
    log = train.log_with(Uniform(), np.random.default_rng(0))
    policy = Reinforce(hidden_size=16, seed=1).fit(log)
    best, oracle = test.value(BestFixedArm().fit(train)), test.rewards.max(axis=1).mean()
    assert test.value(policy) > best + 0.6 * (oracle - best)


def gradient_of(objective, logits, rows):
    logits = logits.clone().requires_grad_()
    objective.loss(logits, rows).backward()
    return logits.grad


def repeated(data, times):
    return FullInformationData(
        np.repeat(data.contexts, times, axis=0), np.repeat(data.rewards, times, axis=0), data.arm_names
    )


def test_sampled_gradient_averages_to_the_exact_one():
    data = repeated(example_data(n_rows=20).subset([3]), 40_000)
    logits, rows = torch.tensor([[0.3, -0.5, 0.1]]).expand(40_000, 3), torch.arange(40_000)
    order = np.arange(3)
    grads = {}
    for gradient in ("sampled", "exact"):
        aim = ObjectiveSettings(gradient, entropy_weight=0.1)
        objective = FullInformationObjective(aim, data.feedback(), order, torch.Generator().manual_seed(0))
        grads[gradient] = gradient_of(objective, logits, rows).sum(dim=0)
    torch.testing.assert_close(grads["sampled"], grads["exact"], atol=0.01, rtol=0)


def test_logged_gradient_averages_to_the_exact_one():
    full = repeated(example_data(n_rows=20).subset([3]), 60_000)
    log = full.log_with(Uniform(), np.random.default_rng(0))
    logits, rows = torch.tensor([[0.3, -0.5, 0.1]]).expand(60_000, 3), torch.arange(60_000)
    order = np.arange(3)
    exact = FullInformationObjective(
        ObjectiveSettings("exact", entropy_weight=0.0), full.feedback(), order, torch.Generator()
    )
    baselines = np.tile([0.1, 0.9, -0.4], (60_000, 1))  # wrong ones cost variance only
    logged = LoggedObjective(ObjectiveSettings(entropy_weight=0.0), log.feedback(), order, baselines)
    expected = gradient_of(exact, logits, rows).sum(dim=0)
    found = gradient_of(logged, logits, rows).sum(dim=0)
    scale_exact = (full.rewards - full.rewards.mean(axis=1, keepdims=True)).std()
    torch.testing.assert_close(found * log.rewards.std(), expected * scale_exact, atol=0.01, rtol=0)
    value = logged.value(logits, rows) * log.rewards.std()
    assert value == pytest.approx(exact.value(logits, rows), abs=0.01)


def test_a_right_baseline_of_every_arm_leaves_no_noise():
    full = example_data(n_rows=40)
    rows = torch.arange(40)
    logits = torch.randn(40, 3, generator=torch.Generator().manual_seed(0))
    found = []
    for seed in range(3):
        log = full.log_with(Uniform(), np.random.default_rng(seed))
        objective = LoggedObjective(ObjectiveSettings(entropy_weight=0.0), log.feedback(), np.arange(3), full.rewards)
        scale = np.std(log.rewards - full.rewards.mean(axis=1))
        found.append((objective.value(logits, rows) * scale, gradient_of(objective, logits, rows) * scale))
    exact = FullInformationObjective(
        ObjectiveSettings("exact"), full.feedback(), np.arange(3), torch.Generator()
    ).value(logits, rows)
    for value, gradient in found:
        assert value == pytest.approx(exact, rel=1e-5)
        torch.testing.assert_close(gradient, found[0][1])


def test_rare_features_are_divided_by_the_median_spread():
    data = example_data()
    contexts = data.contexts.copy()
    contexts[:, 0] = np.arange(len(data)) == 3
    contexts[:, 1] = 7.0
    data = FullInformationData(contexts, data.rewards, data.arm_names)
    training = AdamWSettings(max_epochs=1, held_out_share=0.0)
    scale = Reinforce(hidden_size=4, training=training).fit(data).state.shared["scale"]
    spread = contexts.std(axis=0)
    median = np.median(spread[[0, 2, 3, 4]])
    np.testing.assert_allclose(scale, [median, 1.0, *np.maximum(spread[2:], median)], rtol=1e-6)


def test_weights_are_clipped_and_rows_without_weight_do_not_count():
    log = example_log()
    tiny = LoggedData(log.contexts, log.actions, log.rewards, np.full(60, 1e-6), log.arm_names)
    objective = LoggedObjective(ObjectiveSettings(weight_clip=5.0), tiny.feedback(), np.arange(3), np.zeros((60, 3)))
    assert objective.importance_weights(torch.zeros(60), torch.arange(60)).tolist() == [5.0] * 60
    unclipped = LoggedObjective(ObjectiveSettings(weight_clip=None), tiny.feedback(), np.arange(3), np.zeros((60, 3)))
    assert unclipped.importance_weights(torch.zeros(1), torch.arange(1)).item() == pytest.approx(1e6)
    weighted = LoggedData(log.contexts, log.actions, log.rewards, log.propensities, log.arm_names, weights=np.zeros(60))
    policy = Reinforce({"entropy_weight": 0.0}, training={"max_epochs": 1, "weight_decay": 0.0, "held_out_share": 0.0})
    np.testing.assert_allclose(policy.fit(weighted).probabilities(log.contexts), 1 / 3)


def test_numpy_forward_pass_equals_torch():
    data = example_data()
    policy = Reinforce(training={"max_epochs": 2}).fit(data)
    order = np.arange(3)
    shared = policy.state.shared
    contexts = torch.from_numpy((data.contexts - shared["mean"]) / shared["scale"])
    with torch.no_grad():
        expected = torch.softmax(network_of(policy.learned, order, "cpu")(contexts).double(), dim=1)
    np.testing.assert_allclose(policy.probabilities(data.contexts), expected.numpy(), atol=1e-6)


def test_torchs_global_generator_is_left_alone():
    before = torch.get_rng_state()
    Reinforce(training={"max_epochs": 1}).fit(example_data())
    assert torch.equal(before, torch.get_rng_state())


def test_queries_are_not_split_between_training_and_held_out():
    data = example_data()
    ids = tuple(f"q{i // 4}" for i in range(60))
    data = FullInformationData(data.contexts, data.rewards, data.arm_names, query_ids=ids)
    training, held_out = split_queries(data, 0.3, np.random.default_rng(0))
    assert len(training) + len(held_out) == 60
    assert len(held_out) == 16
    assert not {ids[row] for row in training} & {ids[row] for row in held_out}


def test_constant_features_and_rewards_are_harmless():
    data = FullInformationData(np.ones((30, 2)), np.ones((30, 2)), ("a", "b"))
    probabilities = Reinforce(training={"max_epochs": 2}).fit(data).probabilities(data.contexts)
    np.testing.assert_allclose(probabilities, 0.5, atol=1e-3)


def test_exact_gradient_refuses_bandit_feedback():
    with pytest.raises(ValueError, match="needs FullInformationData"):
        Reinforce({"gradient": "exact"}).fit(example_log())


def test_rows_of_one_arm_without_propensities_are_refused():
    log = example_log()
    with pytest.raises(ValueError, match="pass propensities="):
        Reinforce(training={"max_epochs": 1}).fit(log.contexts, log.actions, log.rewards)


def test_divergence_is_an_error():
    with pytest.raises(RuntimeError, match="lower learning_rate"):
        Reinforce(training=AdamWSettings(learning_rate=1e38, max_epochs=5, held_out_share=0.0)).fit(example_data())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"objective": {"gradient": "reparameterised"}}, "gradient must be"),
        ({"hidden_size": 0}, r"hidden_size must be an integer in \[1, 65,536\], got 0"),
        ({"objective": {"entropy_weight": -1.0}}, "entropy_weight"),
        ({"objective": {"weight_clip": 0.0}}, "weight_clip"),
        ({"seed": -1}, "seed"),
        ({"training": {"batch_size": 0}}, "batch_size must be an integer >= 1, got 0"),
        ({"training": {"learning_rate": float("nan")}}, "learning_rate"),
        ({"training": {"held_out_share": 1.0}}, "held_out_share"),
    ],
)
def test_bad_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        Reinforce(**settings)


def test_weights_are_self_normalised_only_when_asked():
    log = example_log()
    logits, rows = torch.randn(60, 3, generator=torch.Generator().manual_seed(0)), torch.arange(60)
    losses, values = {}, {}
    for option in (True, False):
        aim = ObjectiveSettings(entropy_weight=0.0, weight_clip=1.2, self_normalise=option)
        objective = LoggedObjective(aim, log.feedback(), np.arange(3), np.zeros((60, 3)))
        losses[option], values[option] = objective.loss(logits, rows).item(), objective.value(logits, rows)
    log_taken = torch.log_softmax(logits, 1)[rows, torch.tensor(log.actions)]
    weights = objective.importance_weights(log_taken, rows)
    assert weights.max() == pytest.approx(1.2)
    assert losses[True] == pytest.approx(losses[False] / weights.mean().item(), rel=1e-5)
    assert values[True] == pytest.approx(values[False] / weights.mean().item(), rel=1e-5)
    with pytest.raises(TypeError, match="self_normalise must be True or False, got 1"):
        ObjectiveSettings(self_normalise=1)


def test_plain_clipped_weights_learn_too():
    train, test = clusters(), clusters(seed=1)
    log = train.log_with(Uniform(), np.random.default_rng(0))
    policy = Reinforce({"self_normalise": False}, hidden_size=16, seed=1).fit(log)
    best, oracle = test.value(BestFixedArm().fit(train)), test.rewards.max(axis=1).mean()
    assert test.value(policy) > best + 0.6 * (oracle - best)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_training_on_cuda_learns_as_on_the_cpu():
    train, test = clusters(), clusters(seed=1)
    values = [
        test.value(Reinforce(hidden_size=16, seed=1, training=AdamWSettings(device=device)).fit(train))
        for device in ("cpu", "cuda")
    ]
    assert values[0] == pytest.approx(values[1], abs=0.05)


def test_a_device_that_is_not_there_is_an_error():
    with pytest.raises((RuntimeError, AssertionError)):
        Reinforce(training=AdamWSettings(device="nowhere", max_epochs=1)).fit(example_data())
