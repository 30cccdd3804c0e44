"""The direct method: trust a model of the reward."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from bandits.checks import Float64, at_least
from bandits.off_policy.estimators.estimator import OffPolicyEstimator
from bandits.off_policy.problem import OffPolicyProblem
from bandits.off_policy.reward_model import CrossFittedRidge, RewardModel, check_reward_model, predicted
from bandits.off_policy.standard_error import standard_error
from bandits.off_policy.terms import LARGEST, Terms

_SURE = 3.0  # standard errors; under the null hypothesis 1 in 370
_NOISE_ONLY = "an interval of refits holds the noise of the reward model, not its bias, which may be larger"
_BIASED = "none shows how wrong the reward model may be; DoublyRobust corrects the same model, and has one"


@dataclass(frozen=True)
class DirectMethod(OffPolicyEstimator):
    """Mean of sum_a pi_e(a given x) q(x, a), with q a model of the reward.

    Little noise, and the model's bias in full, which is why it has no interval: no resampling shows how far a model
    that is wrong in every resample is off. `RefittedBootstrap` gives one on request, which holds the model's noise,
    where weighted residuals do not speak against the model.

    Args:
        reward_model: q.
        n_refits: how many times the model is fitted again on redrawn queries for `RefittedBootstrap`; 0 for none.
        seed: of these draws.

    Source: Dudik, Langford and Li 2011, Doubly Robust Policy Evaluation and Learning, section 2.1 (arXiv:1103.4601).
    """

    reward_model: RewardModel = field(default_factory=CrossFittedRidge)
    n_refits: int = field(default=0, kw_only=True)
    seed: int = field(default=0, kw_only=True)

    def __post_init__(self) -> None:
        check_reward_model(self.reward_model)
        at_least(self.n_refits, 0, "n_refits")
        at_least(self.seed, 0, "seed")

    def terms(self, problem: OffPolicyProblem) -> Terms:
        """Return the policy's expected predictions."""
        expected = problem.expected(problem.predictions(self.reward_model))
        notes = self._visible_bias(problem)
        terms = problem.terms(expected, range=self.reward_model.range, notes=notes)
        refits = None if notes or self.n_refits == 0 else self._refits(problem)
        return replace(terms, biased=_BIASED, refits=refits, notes=notes if refits is None else (_NOISE_ONLY,))

    def _refits(self, problem: OffPolicyProblem) -> Float64:
        """Return (B,) float64, the value on redrawn queries, the model fitted to what was drawn."""
        rng, n_queries = np.random.default_rng(self.seed), int(problem.queries.max()) + 1
        units = np.unique(problem.queries[problem.row_weights > 0])
        values = np.empty(self.n_refits)
        for place in range(self.n_refits):
            drawn = np.bincount(units[rng.integers(len(units), size=len(units))], minlength=n_queries)
            weights = problem.row_weights * drawn[problem.queries]
            predictions = predicted(self.reward_model, replace(problem.log, weights=weights))
            values[place] = weights @ problem.expected(predictions) / weights.sum()
        return values

    def _visible_bias(self, problem: OffPolicyProblem) -> tuple[str, ...]:
        """Return a sentence where weighted residuals, whose mean is minus the model's bias, say that it is off."""
        predictions = problem.predictions(self.reward_model)
        if int(problem.queries.max()) == 0 or problem.weights.max() > LARGEST:
            return ()
        residuals = problem.terms(problem.weights * (problem.log.rewards - predictions[problem.taken]))
        error = standard_error(residuals)
        if abs(residuals.value) <= _SURE * error or error == 0:
            return ()
        return (
            f"the reward model is off by about {-residuals.value:+.3g} for this policy "
            f"({abs(residuals.value) / error:.1f} standard errors of its weighted residuals): prefer a doubly robust "
            "estimate",
        )
