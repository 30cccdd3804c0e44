"""Where data are at hand, linear policies left at their default shrink as leave-one-out error asks for."""

import numpy as np
import pytest

from bandits import KNN, EpsilonGreedy, FullInformationData, LinTS, LinUCB, SquareCB, compare, cross_validated
from bandits.policies.linear.prior_precision import choose_prior_precision
from bandits.policies.shrunk import shrunk
from bandits.testing import example_data


def noise(n_rows=150, n_features=60):
    rng = np.random.default_rng(0)
    contexts = rng.normal(size=(n_rows, n_features)) / np.sqrt(n_features)
    return FullInformationData(contexts, rng.normal([0.3, 0.0], size=(n_rows, 2)), ("a", "b"))


@pytest.mark.parametrize("policy", [LinUCB(0.5), LinTS(), SquareCB(), EpsilonGreedy(LinUCB(), epsilon=0.2)])
def test_the_default_is_replaced_and_all_else_stays(policy):
    data = noise()
    found = shrunk(policy, data)
    inner, params = getattr(found, "policy", found), found.get_params(deep=True)
    assert inner.prior_precision == choose_prior_precision(data, intercept_precision=inner.intercept_precision)
    kept = {name: value for name, value in policy.get_params(deep=True).items() if "prior_precision" not in name}
    assert all(params[name] == value for name, value in kept.items() if name != "policy")
    assert found.state is None


def test_another_value_is_kept_and_other_policies_are_copied():
    assert shrunk(LinUCB(prior_precision=3.0), noise()).prior_precision == 3.0
    assert shrunk(EpsilonGreedy(LinTS(prior_precision=2.0)), noise()).policy.prior_precision == 2.0
    assert shrunk(KNN(3), noise()).n_neighbors == 3


def test_comparing_and_cross_validating_shrink_where_fit_does_not():
    data = noise()
    policies = {"default": LinUCB(0.0), "unit prior": LinUCB(0.0, prior_precision=1.0 + 1e-12)}
    result = compare(policies, data, seeds=range(4))
    assert result["default"].value > result["unit prior"].value
    assert cross_validated(policies["default"], data).value > cross_validated(policies["unit prior"], data).value
    best = result.fit_best({result.best: LinUCB(0.0)}, data)
    assert best.prior_precision == choose_prior_precision(data) > 1.0
    assert LinUCB().fit(example_data()).prior_precision == 1.0
