"""Simulated environments and the regret of policies that learn in them."""

import numpy as np
import pytest

from bandits import (
    BestFixedArm,
    EpsilonGreedy,
    FullInformationData,
    LinTS,
    LinUCB,
    Policy,
    SeedTree,
    Uniform,
    simulate,
)
from bandits.policies import PolicyState, greedy
from bandits.simulation import Simulation
from bandits.simulation.environments import (
    DriftingEnvironment,
    Environment,
    EnvironmentBatch,
    FullInformationEnvironment,
    LinearEnvironment,
    NonLinearEnvironment,
    SupervisedEnvironment,
)
from bandits.testing import example_data


def classes():
    rng = np.random.default_rng(0)
    labels = rng.integers(3, size=90)
    return np.eye(3)[labels] + 0.1 * rng.normal(size=(90, 3)), labels


def one_arm_seen():
    return FullInformationData(np.eye(2), np.eye(2), ("a", "b"), observed=[[True, False]] * 2)


ENVIRONMENTS = [
    LinearEnvironment(3, n_features=4),
    NonLinearEnvironment(3, n_features=4),
    DriftingEnvironment(3, n_features=4),
    DriftingEnvironment(3, n_features=4, gradual=True),
    FullInformationEnvironment(example_data()),
    SupervisedEnvironment(classes()[0], classes=classes()[1]),
]


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_environments_are_fixed_by_the_generator(environment):
    first, second, other = (environment.draw(150, np.random.default_rng(seed)) for seed in (0, 0, 1))
    for name in ("contexts", "rewards", "means"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))
        assert not np.array_equal(getattr(first, name), getattr(other, name))
    assert first.contexts.shape[0] == 150
    assert first.rewards.shape == first.means.shape == (150, len(environment.arm_names))


@pytest.mark.parametrize("environment", ENVIRONMENTS[:4])
def test_noise_averages_out(environment):
    batch = environment.draw(20_000, np.random.default_rng(0))
    noise = batch.rewards - batch.means
    assert np.abs(noise.mean(axis=0)).max() < 0.02
    assert noise.std() == pytest.approx(0.5, abs=0.02)


def test_linear_rewards_are_linear_and_others_are_not():
    def unexplained(environment):
        batch = environment.draw(2000, np.random.default_rng(0))
        rows = np.c_[batch.contexts.astype(float), np.ones(2000)]
        residual = batch.means - rows @ np.linalg.lstsq(rows, batch.means, rcond=None)[0]
        return residual.var() / batch.means.var()

    assert unexplained(LinearEnvironment(3, n_features=4)) < 1e-9
    assert unexplained(NonLinearEnvironment(3, n_features=4)) > 0.3


def test_drift_changes_the_best_arm_and_gradually_where_asked():
    jumps = DriftingEnvironment(3, n_features=4, n_changes=2)
    contexts_of = jumps.draw(300, np.random.default_rng(0))
    pieces = []
    for part in np.split(np.arange(300), 3):
        rows = contexts_of.contexts[part].astype(float)
        fit, residual, *_ = np.linalg.lstsq(rows, contexts_of.means[part], rcond=None)
        assert residual.max() < 1e-9
        pieces.append(fit)
    assert np.abs(pieces[0] - pieces[1]).max() > 0.5
    smooth = DriftingEnvironment(3, n_features=1, n_changes=2, gradual=True).draw(300, np.random.default_rng(0))
    slopes = smooth.means / smooth.contexts
    assert np.abs(np.diff(slopes, axis=0)).max() < 0.1


def test_data_are_shown_once_before_any_is_shown_again():
    data = example_data()
    shown = FullInformationEnvironment(data).draw(150, np.random.default_rng(0))
    for part in (slice(0, 60), slice(60, 120)):
        assert sorted(shown.contexts[part, 0].tolist()) == sorted(data.contexts[:, 0].tolist())


def test_supervised_rewards_name_the_class():
    contexts, labels = classes()
    environment = SupervisedEnvironment(contexts, classes=labels)
    assert environment.arm_names == ("0", "1", "2")
    assert (environment.data.rewards.argmax(axis=1) == labels).all()
    assert (environment.data.rewards.sum(axis=1) == 1).all()


class Oracle(Policy):
    """Knows the true coefficients."""

    def __init__(self, coefficients=None):
        super().__init__()
        self.coefficients = coefficients

    def _initial_state(self, arm_names, n_features):
        return PolicyState(arm_names, n_features)

    def _update(self, state, data):
        return state

    def _probabilities(self, state, contexts, available):
        return greedy(contexts @ np.asarray(self.coefficients), available)


class Identity(Environment):
    """Arm i is worth feature i."""

    @property
    def arm_names(self):
        return ("a", "b")

    def draw(self, n_decisions, rng):
        contexts = rng.normal(size=(n_decisions, 2))
        return EnvironmentBatch(contexts, contexts.astype(np.float32) + rng.normal(size=(n_decisions, 2)), contexts)


def test_regret_is_counted_against_the_best_mean():
    assert simulate({"o": Oracle([[1.0, 0], [0, 1]])}, Identity(), 100, (0, 1))["o"].cumulative_regret[0][
        -1
    ] == pytest.approx(0)
    worst = simulate({"worst": Oracle([[-1.0, 0], [0, -1]])}, Identity(), 100, (0,), update_every=10)
    batch = Identity().draw(100, SeedTree(0).rng("environment"))
    gaps = np.abs(np.diff(batch.means, axis=1))[:, 0]
    np.testing.assert_allclose(worst["worst"].cumulative_regret[0], np.cumsum(gaps)[np.array(worst.decisions) - 1])


def test_learning_beats_not_learning():
    environment = LinearEnvironment(3, n_features=4)
    result = simulate({"Uniform": Uniform(), "LinUCB": LinUCB(), "LinTS": LinTS()}, environment, 300, (0, 1))
    for name in ("LinUCB", "LinTS"):
        assert result[name].regret.value < result["Uniform"].regret.value / 2
        assert result[name].value > result["Uniform"].value
        assert result[name].regret == result[name].regret_curve()[-1]


def test_policies_meet_the_same_environment_and_share_no_stream_with_it():
    environment = LinearEnvironment(2, n_features=2, noise=0.0)
    first, second = simulate({"a": Uniform(), "b": EpsilonGreedy(LinUCB(), epsilon=1.0)}, environment, 50, (7,))
    assert first.cumulative_regret == second.cumulative_regret  # both draw uniformly, from one stream


@pytest.mark.parametrize("update_every", [1, 7, 300])
def test_batches_of_decisions(update_every):
    result = simulate({"l": LinUCB()}, LinearEnvironment(3, n_features=4), 100, (0,), update_every=update_every)
    assert sum(result["l"].arm_shares.values()) == pytest.approx(1)
    assert result.decisions[-1] == 100


def test_arms_are_matched_by_name():
    environment = LinearEnvironment(3, n_features=4)
    turned = LinUCB(arm_names=("arm_2", "arm_0", "arm_1"))
    assert simulate({"turned": turned}, environment, 200, (0,))["turned"].regret.value < 100
    with pytest.raises(ValueError, match="arms of policy 'l' are x, y"):
        simulate({"l": LinUCB(arm_names=("x", "y"))}, environment, 10)


def test_simulations_come_back_from_disk_and_are_drawn(tmp_path):
    result = simulate({"fixed": BestFixedArm()}, LinearEnvironment(3, n_features=4), 250, (0, 1))
    assert len(result.decisions) == 200
    result.save(tmp_path / "s.json")
    assert Simulation.load(tmp_path / "s.json") == result
    (tmp_path / "s.json").write_text(result.to_json()[:50])
    with pytest.raises(ValueError, match="not a saved simulation"):
        Simulation.load(tmp_path / "s.json")
    assert "fixed has the least regret" in result.to_text()
    pytest.importorskip("matplotlib")
    from bandits.evaluation.plots import plot_regret

    plot_regret(result, tmp_path / "regret.png")
    assert (tmp_path / "regret.png").exists()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: LinearEnvironment(1), "n_arms"),
        (lambda: LinearEnvironment(2, n_features=0), "n_features"),
        (lambda: LinearEnvironment(noise=-1), "noise"),
        (lambda: NonLinearEnvironment(width=0), "width"),
        (lambda: DriftingEnvironment(n_changes=0), "n_changes"),
        (lambda: SupervisedEnvironment(np.eye(3), classes=[1, 2]), "one a context"),
        (lambda: SupervisedEnvironment(np.eye(3), classes=[1, 1, 1]), "at least two kinds"),
        (lambda: SupervisedEnvironment(np.full((2, 1), np.nan), classes=[1, 2]), "row 0, column 0 is nan"),
        (lambda: EnvironmentBatch(np.eye(2), [[np.nan, 1], [1, 1]]), "row 0, column 0 is nan"),
        (lambda: FullInformationEnvironment(one_arm_seen()), "there is none"),
        (lambda: simulate({"u": Uniform()}, LinearEnvironment(), 0), "n_decisions"),
        (lambda: simulate({"u": Uniform()}, LinearEnvironment(), 5, update_every=0), "update_every"),
        (lambda: simulate({"u": Uniform()}, LinearEnvironment(), 5, (1, 1)), "seeds must be"),
    ],
)  # fmt: skip
def test_bad_input_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
