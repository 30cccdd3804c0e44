"""Cost against quality: points, the hull, and the numbers of routing papers against figures worked out by hand."""

from dataclasses import dataclass, field, replace

import numpy as np
import pytest

from bandits import ComparisonSettings, FullInformationData, LinUCB, Reinforce, Uniform, compare
from bandits.evaluation import TradeOff, trade_off
from bandits.evaluation.front import Front, hull, undominated
from bandits.evaluation.plots import plot_pareto, plot_trade_off
from bandits.off_policy.estimators import SNIPS, DoublyRobust
from bandits.off_policy.reward_model import RewardModel

QUICK = ComparisonSettings(n_bootstrap=50, test_share=0.4)
ARMS = np.array([[0.0, 0.2], [1.0, 0.6]])


def priced(n_rows=300, seed=0):
    rng = np.random.default_rng(seed)
    contexts = rng.normal(size=(n_rows, 2))
    rewards = np.stack([0.5 + 0 * contexts[:, 0], 0.8 + contexts[:, 0]], axis=1)
    return FullInformationData(contexts, rewards, ("small", "large"), costs=np.tile([1.0, 4.0], (n_rows, 1)))


def test_the_hull_is_concave_and_never_falls():
    points = np.array([[0.0, 0.1], [1.0, 0.2], [2.0, 0.5], [3.0, 0.4], [4.0, 0.6], [0.5, 0.05]])
    assert undominated(points).tolist() == [[0.0, 0.1], [1.0, 0.2], [2.0, 0.5], [4.0, 0.6]]
    assert hull(points).tolist() == [[0.0, 0.1], [2.0, 0.5], [4.0, 0.6]]


def test_numbers_are_those_worked_out_by_hand():
    """A router reaches the strong arm's 0.6 at half its cost, and no more: q(c) = 0.2 + 0.8 c, then 0.6."""
    points = np.array([[0.0, 0.2], [0.5, 0.6]])
    found = Front(ARMS, points, np.vstack([ARMS, points]), weak=0, strong=1).numbers()
    assert found["aiq"] == pytest.approx(0.5)  # 0.5 * 0.4 + 0.5 * 0.6
    assert found["aiq_over_arms"] == pytest.approx(0.1)
    assert found["apgr"] == pytest.approx(0.75)
    assert found["cpt_50"] == pytest.approx(0.25)
    assert found["cpt_80"] == pytest.approx(0.4)
    assert found["perf_gain"] == pytest.approx(0.0)
    assert found["cost_save"] == pytest.approx(0.5)
    assert found["pareto_dist"] == 0.0


def test_a_router_that_mixes_arms_by_lot_recovers_half():
    shares = np.linspace(0, 1, 11)[:, None]
    found = Front(ARMS, (1 - shares) * ARMS[0] + shares * ARMS[1], ARMS, weak=0, strong=1).numbers()
    assert found["apgr"] == pytest.approx(0.5)
    assert found["aiq_over_arms"] == pytest.approx(0.0)
    assert found["cost_save"] == pytest.approx(0.0)


def test_the_distance_to_the_front_is_in_ranges_of_the_arms():
    points = np.array([[0.5, 0.4]])
    everyone = np.vstack([ARMS, points, [[0.4, 0.5]]])
    found = Front(ARMS, points, everyone, weak=0, strong=1).numbers()
    assert found["pareto_dist"] == pytest.approx(0.1)  # in cost; 0.1 / 0.4 in reward is farther


def test_numbers_that_are_not_defined_are_none():
    free = np.array([[0.0, 0.6], [1.0, 0.2]])  # the cheapest is the best: there is no gap to recover
    found = Front(free, free, free, weak=0, strong=0).numbers()
    assert np.isnan([found["apgr"], found["cpt_50"], found["cost_save"]]).all()
    data = replace(priced(), rewards=priced().rewards[:, ::-1])
    data = replace(data, rewards=np.stack([data.rewards[:, 0] + 9, data.rewards[:, 1]], axis=1))
    row = trade_off({"linear": LinUCB(0.0)}, data, (0.0, 0.1), (0, 1), settings=QUICK)["linear"]
    assert row.apgr is None
    assert row.aiq_over_arms is not None


def test_points_are_exact_and_fall_in_cost_with_the_weight(tmp_path):
    data = priced()
    result = trade_off({"linear": LinUCB(0.0)}, data, (0.0, 0.1, 0.3, 9.0), (0, 1), settings=QUICK)
    costs = [point.cost.value for point in result.points]
    assert costs == sorted(costs, reverse=True)
    assert result.points[-1].value == pytest.approx(result.arms[0].value)
    always = compare({"uniform": Uniform()}, data, (0, 1), settings=replace(QUICK, train_shares=(1.0,)))
    assert [arm.value for arm in result.arms] == pytest.approx([always["small"].value, always["large"].value])
    assert result["linear"].aiq_over_arms.low > 0
    assert result["linear"].cost_save.value > 0.2
    assert TradeOff.from_json(result.to_json()) == result
    assert "CostSave" in result.to_text(200)
    assert "0.3" in result.points_table().to_text()
    plot_trade_off(result, tmp_path / "trade_off.png", cost_unit="cents")
    plot_pareto(always, tmp_path / "pareto.png", cost_unit="cents")
    assert (tmp_path / "trade_off.png").stat().st_size > 5_000


def test_a_log_gives_off_policy_points_of_the_same_front():
    data = priced(1500)
    log = data.log_with(Uniform(), np.random.default_rng(0))
    settings = replace(QUICK, estimators=(SNIPS(),))
    told = trade_off({"linear": LinUCB(0.0)}, log, (0.0, 0.3), (0,), settings=settings)
    exact = trade_off({"linear": LinUCB(0.0)}, data, (0.0, 0.3), (0,), settings=settings)
    assert told.estimator == "SNIPS"
    for estimated, known in zip(told.points, exact.points, strict=True):
        assert estimated.value == pytest.approx(known.value, abs=0.12)
        assert estimated.cost.value == pytest.approx(known.cost.value, abs=0.3)


@dataclass(frozen=True)
class CountedModel(RewardModel):
    """Predicts 0.5, and counts how often it was fitted."""

    fits: list = field(default_factory=list, compare=False)

    def predict(self, log):
        self.fits.append(len(log))
        return np.full((len(log), log.n_arms), 0.5)


def test_reward_models_are_fitted_once_a_seed_however_many_weights_and_arms_there_are():
    log = priced().log_with(Uniform(), np.random.default_rng(0))
    model = CountedModel()
    settings = replace(QUICK, estimators=(DoublyRobust(model),))
    trade_off({"a": LinUCB(0.0), "b": LinUCB()}, log, (0.0, 0.3, 1.0), (0, 1), settings=settings)
    assert len(model.fits) == 2 * 2  # rewards and costs of each seed
    model.fits.clear()
    compare({"a": LinUCB(0.0)}, log, (0,), settings=replace(settings, train_shares=(0.5, 1.0)))
    assert len(model.fits) == 2 * 2  # of the policy's task, and of the references'


def test_a_policy_may_have_any_name():
    data = priced(100)
    results = [trade_off({name: LinUCB(0.0)}, data, (0.0, 9.0), (0,), settings=QUICK) for name in ("arm", "x")]
    assert [point.value for point in results[0].points] == [point.value for point in results[1].points]


def test_what_a_log_cannot_support_is_told():
    log = priced(300).log_with(Uniform(), np.random.default_rng(0))
    log = replace(log, propensities_estimated=True).subset(range(120))
    notes = trade_off({"linear": LinUCB(0.0)}, log, (0.0, 9.0), (0,), settings=QUICK).notes
    assert any("propensities were estimated" in note for note in notes)
    assert any(note.startswith("linear, weight 0: the log cannot support") for note in notes)
    assert any(note.startswith("small: the log cannot support") for note in notes)


def test_a_weight_of_the_cost_changes_what_compare_ranks_by():
    data = priced()
    plain = replace(QUICK, train_shares=(1.0,))
    result = compare({"linear": LinUCB(0.0)}, data, (0, 1), settings=replace(plain, cost_weight=0.5))
    assert result["small"].value == pytest.approx(0.5 - 0.5)
    assert result["best fixed arm"].value == pytest.approx(result["small"].value)
    assert "reward - 0.5 * cost" in result.to_text()
    best = result.fit_best({"linear": LinUCB(0.0)}, data)
    at_zero = np.zeros((1, 2), np.float32)
    assert best.predict_rewards(at_zero)[0] == pytest.approx([0.5 - 0.5, 0.8 - 4 * 0.5], abs=0.1)


def test_a_weight_of_the_cost_ranks_by_the_reward_where_costs_are_seconds():
    data = replace(priced(), arm_names=("no_draft", "draft"))
    settings = replace(QUICK, train_shares=(1.0,), cost_weight=0.5)
    assert compare({"linear": LinUCB(0.0)}, data, (0,), settings=settings).conclusion.objective == "reward"
    with pytest.raises(ValueError, match="takes no cost_weight"):
        replace(settings, objective="seconds")


def test_what_cannot_be_asked_is_refused():
    data = priced(60)
    with pytest.raises(ValueError, match="data hold no costs"):
        trade_off(LinUCB(), replace(data, costs=None))
    with pytest.raises(ValueError, match="cost_weight 1 needs costs"):
        compare(LinUCB(), replace(data, costs=None), settings=replace(QUICK, cost_weight=1.0))
    for weights in ((), (1.0, 0.5), (-1.0,)):
        with pytest.raises(ValueError, match="cost_weights"):
            trade_off(LinUCB(), data, weights)
    with pytest.raises(ValueError, match="different integers"):
        trade_off(LinUCB(), data, (1.0,), (1, 1))
    with pytest.raises(TypeError, match="must predict rewards"):
        trade_off(Reinforce(), data, (1.0,), (0,))
