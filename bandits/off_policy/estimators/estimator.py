"""The interface that every off-policy estimator has: terms, one a row."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from bandits.off_policy.problem import OffPolicyProblem
from bandits.off_policy.terms import Terms


class OffPolicyEstimator(ABC):
    """Estimates a policy's mean reward from the decisions of another.

    A subclass writes `terms`: what each row adds to a mean, or to the numerator and denominator of a ratio, and
    the bounds that these terms keep for certain. Value, intervals and diagnostics are derived from the terms.
    `bandits.testing.policies.check_estimator` tests the result.

    Attributes:
        by_batch: whether a log may be asked about batch by batch, as a stream is: not where what is done to a row
            depends on the rows of the whole log, or rows are left out.
    """

    by_batch: ClassVar[bool] = True

    @property
    def name(self) -> str:
        """Return the name in tables; estimators that differ in a parameter should differ in it."""
        return type(self).__name__

    @abstractmethod
    def terms(self, problem: OffPolicyProblem) -> Terms:
        """Return the terms, usually by `problem.terms(numerator, denominator, range=...)`.

        Raises:
            ValueError: if the estimator is not defined on this log.
        """

    def value(self, problem: OffPolicyProblem) -> float:
        """Return the estimate of the policy's mean reward."""
        return self.terms(problem).value
