"""A log of several logging policies, each weighed by what it knows."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import ClassVar

import numpy as np

from bandits.off_policy.estimators.estimator import OffPolicyEstimator
from bandits.off_policy.estimators.ips import IPS
from bandits.off_policy.problem import OffPolicyProblem
from bandits.off_policy.terms import Terms


@dataclass(frozen=True)
class MultiLogger(OffPolicyEstimator):
    """Sum over logging policies of lambda times the estimate on their own rows, lambda in proportion to what they know.

        lambda_j ~ (sum of w)^2 / sum of w^2 over the rows of policy j: its decisions of the evaluated policy

    The log's `domains` say which policy wrote a row; a log without any has one. All must have met contexts of one
    distribution. Where every policy's probabilities are still known, `mixture_log` is better: it needs no such lambda.

    Args:
        estimator: of a mean, such as `IPS()` or `DoublyRobust()`.

    Source: Agarwal, Basu, Schnabel and Joachims 2017, Effective Evaluation using Logged Bandit Feedback from Multiple
        Loggers (arXiv:1703.06180), weighted estimator. There lambda is in proportion to the inverse
        variance of w r, which has no measure where few rows of a policy happen to agree; that of the weights has.
    """

    by_batch: ClassVar[bool] = False

    estimator: OffPolicyEstimator = field(default_factory=IPS)

    def __post_init__(self) -> None:
        if not isinstance(self.estimator, OffPolicyEstimator):
            raise TypeError(f"estimator must be an OffPolicyEstimator, such as IPS(), got {self.estimator!r}")

    @property
    def name(self) -> str:
        """Return the name with the inner estimator's."""
        return f"MultiLogger({self.estimator.name})"

    def terms(self, problem: OffPolicyProblem) -> Terms:
        """Return the inner terms, each as far from the estimate as its logging policy counts.

        Raises:
            ValueError: if the inner estimate is no mean over all rows, or no logging policy did what this one does.
        """
        inner = self.estimator.terms(problem)
        if inner.is_ratio or len(inner.numerator) != len(problem.log):
            raise ValueError(f"MultiLogger needs the mean of a term a row, and {self.estimator.name} is none")
        labels = problem.log.domains or ("",) * len(problem.log)
        _, loggers = np.unique([str(label) for label in labels], return_inverse=True)
        known = _effective_sizes(problem, loggers)
        own = inner.by_row()
        counts = np.bincount(loggers, own.weight)
        means = np.divide(np.bincount(loggers, own.numerator + own.offset), counts, where=counts > 0, out=0 * counts)
        value = float(known @ means / known.sum())
        factors = np.divide(known / known.sum() * counts.sum(), counts, out=np.zeros_like(counts), where=counts > 0)
        values = inner.numerator if inner.offset is None else inner.numerator + inner.offset
        return replace(
            inner,
            numerator=factors[loggers] * (values - value),
            offset=np.full(len(values), value),
            weights=None,
            range="each logging policy's share depends on the log",
            refits=None,
        )


def _effective_sizes(problem: OffPolicyProblem, loggers: np.ndarray) -> np.ndarray:
    weights = problem.relative_weights
    total = np.bincount(loggers, problem.row_weights * weights)
    squares = np.bincount(loggers, problem.row_weights * np.square(weights))
    sizes = np.divide(np.square(total), squares, out=np.zeros_like(total), where=squares > 0)
    if sizes.sum() == 0:
        raise ValueError("no logging policy took an action that the evaluated policy takes: the log cannot answer")
    return np.asarray(sizes)
