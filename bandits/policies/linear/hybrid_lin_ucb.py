"""LinUCB whose arms share what their features have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike
from scipy import linalg

from bandits.checks import Float32, Float64, within
from bandits.policies.linear.lin_ucb import LinUCB
from bandits.policies.linear.ridge import Ridge
from bandits.policies.state import PolicyState


class HybridLinUCB(LinUCB):
    """LinUCB with a shared part, so that what is learned of one arm helps those with similar features.

        reward(x, a) = x . (sum_j f_aj beta_j + theta_a) + noise,   beta_j ~ N(0, S^-1), theta_a ~ N(0, P0^-1),

    x with the intercept, f_a the features of arm a, S = shared_precision / prior_precision * P0. It is the
    paper's hybrid model with shared features z = the outer product of f_a and x. Such z make its statistics sums of
    the disjoint model's, so fitting, merging and files are those of `LinUCB`; with A_a the precision of arm a,

        H = kron(I, S) + sum_a kron(f_a f_a', P0 - P0 A_a^-1 P0),   beta = H^-1 sum_a kron(f_a, P0 A_a^-1 m_a),
        coefficients_a = A_a^-1 (m_a + P0 sum_j f_aj beta_j),
        covariance_a = A_a^-1 + A_a^-1 P0 F_a' H^-1 F_a P0 A_a^-1,   F_a = kron(f_a, I).

    A decision after an update costs a factorisation of H, of size (number of arm features) * (d + 1): meant
    for batches of feedback. Other policies' rank-one updates are far cheaper.

    Args:
        arm_features: for each arm its features, all of one length; about unit size. None gives every arm the
            feature 1: a model common to all arms, and each arm's difference from it.
        shared_precision: precision of the shared coefficients' prior; the smaller against `prior_precision`,
            the more is shared.
        ucb_width: see `LinUCB`.
        prior_precision: see `LinUCB`; one number.
        intercept_precision: of each arm's difference from the shared intercept, about 0; None leaves it out.
        arm_names: see `LinUCB`.

    Source: Li et al. 2010, Algorithm 2 (arXiv:1003.0146), where H is A_0 and z_a is any joint feature.
    """

    shrinks_parts = False

    def __init__(
        self,
        arm_features: Mapping[str, Sequence[float]] | None = None,
        *,
        ucb_width: float = 2.0,
        prior_precision: float = 1.0,
        shared_precision: float = 1.0,
        intercept_precision: float | None = 0.01,
        arm_names: Sequence[str] | None = None,
    ) -> None:
        super().__init__(
            ucb_width,
            prior_precision=_precision(prior_precision, "prior_precision"),
            intercept_precision=None
            if intercept_precision is None
            else _precision(intercept_precision, "intercept_precision"),
            arm_names=arm_names,
        )
        self.shared_precision = _precision(shared_precision, "shared_precision")
        self.arm_features = None if arm_features is None else _checked(arm_features)

    def _initial_state(self, arm_names: tuple[str, ...], n_features: int) -> PolicyState:
        """Return the disjoint model's prior.

        Raises:
            ValueError: if an arm has no features.
        """
        for name in arm_names:
            self._features_of(name)
        return super()._initial_state(arm_names, n_features)

    def add_arm(self, name: str, like: str | Sequence[str] | None = None, *, rows: float | None = None) -> None:
        """Add an arm; without features of its own in `arm_features` it takes those of the arm `like`."""
        if self.arm_features is not None and name not in self.arm_features and isinstance(like, str):
            self.arm_features = {**self.arm_features, name: list(self._features_of(like))}
        self._features_of(name)
        super().add_arm(name, like, rows=rows)

    def posterior(self) -> tuple[Float64, Float64]:
        """Return each arm's coefficients (k, D) and covariance (k, D, D), both float64."""
        return self._posterior(self.learned)

    @property
    def _centred(self) -> float:
        """Return 0: the shared coefficients hold the common intercept."""
        return 0.0

    def _posterior(self, state: PolicyState) -> tuple[Float64, Float64]:
        return state.derive(("joint", self.shared_precision), lambda: self._joint(state))

    def _joint(self, state: PolicyState) -> tuple[Float64, Float64]:
        features = np.array([self._features_of(name) for name in state.arm_names])
        prior = self._prior_diagonal(state.n_features)
        return joint_posterior(self._ridge(state), features, prior, prior * (self.shared_precision / prior[0]))

    def predict(self, contexts: ArrayLike) -> tuple[Float64, Float64]:
        """Return each arm's predicted mean reward and its leverage, both (n, k) float64."""
        return self._scores(*self._asked(contexts))

    def _predict_rewards(self, state: PolicyState, contexts: Float32) -> Float64:
        """Return each arm's predicted mean reward."""
        predicted: Float64 = self._rows(contexts) @ self._posterior(state)[0].T
        return predicted

    def _scores(self, state: PolicyState, contexts: Float32) -> tuple[Float64, Float64]:
        """Return what `predict` does."""
        rows = self._rows(contexts)
        coefficients, covariances = self._posterior(state)
        leverages = np.empty((len(rows), len(coefficients)))
        for arm, covariance in enumerate(covariances):
            leverages[:, arm] = np.einsum("nd,nd->n", rows @ covariance, rows)
        return rows @ coefficients.T, np.maximum(leverages, 0.0, out=leverages)

    def _features_of(self, name: str) -> Sequence[float]:
        if self.arm_features is None:
            return (1.0,)
        if name not in self.arm_features:
            raise ValueError(f"arm_features must hold every arm, but not {name!r}: pass them, or add it with like=")
        return self.arm_features[name]


def _precision(value: float, what: str) -> float:
    return within(value, 1e-12, 1e12, what)  # beyond, the joint system is singular to float64


def joint_posterior(ridge: Ridge, features: Float64, prior: Float64, shared: Float64) -> tuple[Float64, Float64]:
    """Return coefficients (k, D) and covariances (k, D, D) under the model of `HybridLinUCB`.

    Args:
        ridge: the disjoint posteriors.
        features: (k, f) float64.
        prior: (D,) float64, diagonal of P0.
        shared: (D,) float64, diagonal of S.
    """
    (n_arms, n_shared), size = features.shape, len(prior)
    lower = ridge.covariance
    inverses = np.tril(lower) + np.tril(lower, -1).transpose(0, 2, 1)
    scaled = prior[:, None] * inverses  # P0 A_a^-1
    joint = np.zeros((n_shared, size, n_shared, size))
    for j in range(n_shared):
        joint[j, np.arange(size), j, np.arange(size)] = shared
    for arm in range(n_arms):
        left = np.diag(prior) - scaled[arm] * prior
        joint += np.einsum("i,j,de->idje", features[arm], features[arm], left)
    pull = features.T @ (prior * ridge.coefficients)  # (f, D): sum_a kron(f_a, P0 A_a^-1 m_a)
    inverse = linalg.inv(joint.reshape(n_shared * size, -1), check_finite=False)
    beta = (inverse @ pull.reshape(-1)).reshape(n_shared, size)
    coefficients, covariances = np.empty((n_arms, size)), np.empty((n_arms, size, size))
    blocks = inverse.reshape(n_shared, size, n_shared, size)
    for arm in range(n_arms):
        coefficients[arm] = ridge.coefficients[arm] + scaled[arm].T @ (features[arm] @ beta)
        spread = np.einsum("i,idje,j->de", features[arm], blocks, features[arm])
        covariances[arm] = inverses[arm] + scaled[arm].T @ spread @ scaled[arm]
    return coefficients, covariances


def _checked(arm_features: Mapping[str, Sequence[float]]) -> dict[str, list[float]]:
    if not isinstance(arm_features, Mapping):
        raise TypeError(f"arm_features must map each arm's name to its numbers, got {arm_features!r}")
    result = {name: [float(value) for value in values] for name, values in arm_features.items()}
    lengths = {name: len(values) for name, values in result.items()}
    if len(set(lengths.values())) != 1 or 0 in lengths.values():
        raise ValueError(f"arm_features must give every arm equally many, at least one; got lengths {lengths}")
    for name, values in result.items():
        if not np.isfinite(values).all():
            raise ValueError(f"arm_features must be finite, {name!r} has {values}")
    return result
