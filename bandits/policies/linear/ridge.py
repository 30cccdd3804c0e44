"""Bayesian ridge regression, one posterior an arm: the numbers behind every linear policy.

For each arm, with rows x (D,), rewards r and weights w:

    precision P = P0 + sum w x x',   moment m = sum w r x,   coefficients = P^-1 m,   leverage(x) = x' P^-1 x.

Source: Bishop 2006, Pattern Recognition and Machine Learning, section 3.3.1 (with the noise variance taken
out). P and m are sums, so batches in any order give what one fit gives, and shards merge by adding.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import cast

import numpy as np

from bandits.checks import Float32, Float64
from bandits.policies.linear.arm_posterior import ArmPosterior
from bandits.policies.linear.arm_sums import WIDE, ArmSums, gram
from bandits.policies.linear.learned_precision import learned_prior_precision
from bandits.policies.linear.stacked_triangles import StackedTriangles

# A row costs two passes over a triangle, a batch a rank-n product and a factorisation.
_ROWS_PER_FACTORISATION = 16
_COMMON_PRECISION = 0.01  # of the prior of what all arms' intercepts share
_CHUNK = 2048  # rows scored at once, so that temporaries stay near 6 MB at D = 385


class Ridge:
    """The posteriors of all arms; never changed, further rows make another one that shares the other arms.

    What follows from the sums (posteriors, a learned prior precision) is computed on first use and kept: asking twice,
    or from two threads, gives the same. Arms that were seen on the same rows share one precision and one inverse.

    Args:
        sums: of each arm.
        learns_precision: whether the coefficients' prior precision is learned from the sums, which then begin at 0.
        centred: the intercept's prior precision, if its prior mean is the arms' common one (see `common_intercept`); 0
            leaves every prior mean at 0.
    """

    def __init__(self, sums: Sequence[ArmSums], *, learns_precision: bool = False, centred: float = 0.0) -> None:
        self.sums = tuple(sums)
        self._learns, self._centred = learns_precision, centred
        self._shifted: tuple[float, Float64] | None = None
        # Posteriors known from before some rows, for the prior precision that was learned then; None: to be factorised.
        self._known: tuple[ArmPosterior | None, ...] = (None,) * len(self.sums)
        self._known_for: float | None = None
        self._carried: Float64 | None = None  # their coefficients, where all are known
        self._solved: tuple[tuple[ArmPosterior, ...], Float64] | None = None
        self._factorised: tuple[ArmPosterior, ...] | None = None
        self._stack: StackedTriangles | None = None
        self._token = object()  # as which it owns the stack
        self._scored: tuple[Float64, dict[int, Float64]] | None = None

    @classmethod
    def of(cls, arrays: Mapping[str, np.ndarray], *, learns_precision: bool = False, centred: float = 0.0) -> Ridge:
        """Return the posteriors over arrays as `arrays` gives them; the rest as in the class."""
        precisions = list(arrays["precision"])
        for arm in range(1, len(precisions)):
            if np.array_equal(precisions[arm], precisions[arm - 1]):
                precisions[arm] = precisions[arm - 1]
        columns = (arrays["moment"], arrays["row_weight"].tolist(), arrays["squared_rewards"].tolist())
        sums = [ArmSums(*arm) for arm in zip(precisions, *columns, strict=True)]
        return cls(sums, learns_precision=learns_precision, centred=centred)

    def arrays(self) -> RidgeArrays:
        """Return the sums as arrays, for `PolicyState`."""
        return RidgeArrays(self)

    @property
    def learned_precision(self) -> float:
        """Return the prior precision of the coefficients that the rows ask for; 0 where it is not learned."""
        return learned_prior_precision(self.sums) if self._learns else 0.0

    @property
    def coefficients(self) -> Float64:
        """Return (k, D) float64, the posterior means."""
        return self._about_the_common_intercept()[1]

    @property
    def common_intercept(self) -> float:
        """Return the prior mean of the intercepts: the one of greatest likelihood, given what each arm's rows say.

        With precision q of the intercepts about it, a prior of precision 0.01 of its own, and for each arm the
        intercept c and its variance v as they are about 0,

            common = sum q c / (0.01 + sum q (1 - q v)).

        Source: Lindley and Smith 1972, Bayes Estimates for the Linear Model, the mean of exchangeable coefficients.
        """
        return self._about_the_common_intercept()[0]

    @property
    def covariance(self) -> Float64:
        """Return (k, D, D) float64, the inverses of the precisions; lower triangles only."""
        return np.stack([posterior.covariance for posterior in self._solution()[0]])

    def takes_rows(self, arm: int, n_rows: int) -> bool:
        """Return whether so few rows are learned faster one by one."""
        known = self._known if self._solved is None else self._solved[0]
        return known[arm] is not None and n_rows * _ROWS_PER_FACTORISATION <= len(self.sums[arm].moment)

    def with_rows(self, arm: int, rows: Float64, rewards: Float64, weights: Float64 | None = None) -> Ridge:
        """Return the posteriors after rows of one arm: a few by rank-one updates, many by one product.

        Args:
            arm: index of the arm.
            rows: (n, D) float64, C order.
            rewards: (n,) float64.
            weights: (n,) float64 >= 0, or None for 1.
        """
        result = self
        if self.takes_rows(arm, len(rows)):
            for index, row in enumerate(rows):
                result = result.with_row(
                    arm, row, float(rewards[index]), 1.0 if weights is None else float(weights[index])
                )
            return result
        weighted = rewards if weights is None else rewards * weights
        squares = gram(rows if weights is None else rows * np.sqrt(weights)[:, None])
        total = float(len(rows) if weights is None else weights.sum())
        return self.with_sums((arm,), squares, (rows.T @ weighted)[None], total, np.array([weighted.dot(rewards)]))

    def with_sums(
        self, arms: Sequence[int], gram_matrix: Float64, moments: Float64, row_weight: float, squared_rewards: Float64
    ) -> Ridge:
        """Return the posteriors with sums over further rows, on each of which the same arms were seen.

        Args:
            arms: indices of a arms.
            gram_matrix: (D, D) float64, as `gram` gives it.
            moments: (a, D) float64.
            row_weight: sum of the rows' weights.
            squared_rewards: (a,) float64.
        """
        result, old, new = self, None, None
        for arm, moment, squares in zip(arms, moments, squared_rewards.tolist(), strict=True):
            sums = self.sums[arm]
            if old is None or new is None or not sums.shares_precision(old):  # arms that had one have one again
                old, new = sums, sums.precision + gram_matrix
            result = result._replaced(arm, sums.with_sums(new, moment, row_weight, squares), None)
        return result

    def with_row(self, arm: int, row: Float64, reward: float, weight: float = 1.0) -> Ridge:
        """Return the posteriors after one row of one arm, kept up by a rank-one update where they are known."""
        sums, known = self.sums[arm], (self._known if self._solved is None else self._solved[0])[arm]
        posterior = None
        if known is not None:
            added = self._known_for or 0.0
            posterior = known.with_row(row, self._product(arm, known, row), reward, weight, sums, added)
        return self._replaced(arm, sums.with_row(row, reward, weight), posterior)

    def score(self, row: Float64) -> tuple[Float64, Float64]:
        """Return predicted means and leverages of one row (D,), both (1, k) float64.

        Wide arms that no row was added to since they were factorised are scored as by `fast_leverages`, which reads
        half as much memory.
        """
        posteriors, coefficients = self._solution()[0], self.coefficients
        by_arm = len(row) >= WIDE
        leverages = self._leverages_by_arm(posteriors, row) if by_arm else self._leverages_at_once(posteriors, row)
        return coefficients.dot(row)[None], leverages[None]

    def mean_and_leverage(self, rows: Float64) -> tuple[Float64, Float64]:
        """Return predicted means and leverages x' P^-1 x, both (n, k) float64, for rows (n, D)."""
        posteriors, coefficients = self._solution()[0], self.coefficients
        leverages = np.empty((len(rows), len(posteriors)))
        for start in range(0, len(rows), _CHUNK):
            part = slice(start, start + _CHUNK)
            for arm, posterior in enumerate(posteriors):
                if arm and posterior.is_alike(posteriors[arm - 1]):
                    leverages[part, arm] = leverages[part, arm - 1]
                else:
                    leverages[part, arm] = posterior.leverages(rows[part])
        return rows @ coefficients.T, leverages

    def fast_leverages(self, rows: Float32) -> Float64:
        """Return leverages (n, k) float64 by float32 products: |(U^-1)' x|^2 with P = U'U, half a full product.

        A sum of squares cannot cancel, so the relative error is about 1e-7 sqrt(cond P), where x' P^-1 x in
        float32 would lose 1e-7 cond P. Where float32 would not do, rows are computed in float64.
        """
        leverages = np.empty((len(rows), len(self.sums)))
        posteriors = self._with_roots()
        for arm, posterior in enumerate(posteriors):
            if arm and posterior.is_alike(posteriors[arm - 1]):
                leverages[:, arm] = leverages[:, arm - 1]
                continue
            fast = posterior.fast_leverages(rows)
            leverages[:, arm] = posterior.leverages(rows.astype(np.float64)) if fast is None else fast
        return leverages

    def _leverages_by_arm(self, posteriors: Sequence[ArmPosterior], row: Float64) -> Float64:
        """Return the leverages of one wide row, (k,), and keep its products for the update that often follows."""
        products: dict[int, Float64] = {}
        leverages: list[float] = []
        short = row.astype(np.float32)
        for arm, posterior in enumerate(posteriors):
            if arm and posterior.is_alike(posteriors[arm - 1]):
                leverages.append(leverages[-1])
                continue
            leverage = posterior.fast_leverage(short)
            if leverage is None:
                leverage, products[arm] = posterior.leverage(row)
            leverages.append(leverage)
        self._scored = row, products
        return np.array(leverages)

    def _leverages_at_once(self, posteriors: Sequence[ArmPosterior], row: Float64) -> Float64:
        """Return the leverages of one small row, (k,) float64."""
        leverages = None if self._stack is None else self._stack.leverages(self._token, row)
        while leverages is None:  # the stack is not made yet, or an update has just taken it over
            self._stack = StackedTriangles(np.stack([posterior.covariance for posterior in posteriors]), self._token)
            leverages = self._stack.leverages(self._token, row)
        return leverages

    def _product(self, arm: int, posterior: ArmPosterior, row: Float64) -> Float64:
        """Return `posterior.product(row)`, from the row scored last if that is the same one."""
        if len(row) >= WIDE and self._scored is not None and self._scored[0].tobytes() == row.tobytes():
            known = self._scored[1].get(arm)
            if known is not None:
                return posterior.product_from(known, row)
        return posterior.product(row)

    def _about_the_common_intercept(self) -> tuple[float, Float64]:
        """Return the intercepts' prior mean, and the coefficients (k, D) that it leads to: c + mean * q P^-1 e."""
        if self._shifted is None:
            posteriors, coefficients = self._solution()
            mean = 0.0
            if self._centred:
                columns = self._centred * np.array([posterior.last_column for posterior in posteriors])
                informed = float(np.maximum(1.0 - columns[:, -1], 0.0).sum())
                mean = float(coefficients[:, -1].sum()) / (_COMMON_PRECISION / self._centred + informed)
                coefficients = coefficients + mean * columns
            self._shifted = mean, coefficients
        return self._shifted

    def _solution(self) -> tuple[tuple[ArmPosterior, ...], Float64]:
        """Return every arm's posterior and the coefficients (k, D), computed on first use."""
        if self._solved is None:
            added = self.learned_precision
            kept = self._known if self._known_for == added else (None,) * len(self.sums)
            posteriors = self._completed(kept, added)
            coefficients = self._carried
            if coefficients is None or None in kept:
                coefficients = np.array([posterior.coefficients for posterior in posteriors])
                self._stack = None
            self._known_for = added
            self._solved = posteriors, coefficients
        return self._solved

    def _completed(self, kept: Sequence[ArmPosterior | None], added: float) -> tuple[ArmPosterior, ...]:
        """Return the posteriors that are kept and, where there is none, one made from the sums."""
        result: list[ArmPosterior] = []
        for arm, (posterior, sums) in enumerate(zip(kept, self.sums, strict=True)):
            if posterior is not None:
                result.append(posterior)
            elif arm and kept[arm - 1] is None and sums.shares_precision(self.sums[arm - 1]):
                result.append(result[-1].with_moment(sums.moment))
            else:
                result.append(ArmPosterior.of(sums, added, arm))
        return tuple(result)

    def _with_roots(self) -> tuple[ArmPosterior, ...]:
        """Return every arm's posterior with its root, which rank-one updates do not keep up."""
        if self._factorised is None:
            kept = [None if posterior.root is None else posterior for posterior in self._solution()[0]]
            self._factorised = self._completed(kept, self._known_for or 0.0)
        return self._factorised

    def _replaced(self, arm: int, sums: ArmSums, posterior: ArmPosterior | None) -> Ridge:
        """Return these posteriors with another one of one arm."""
        known = self._known if self._solved is None else self._solved[0]
        result = Ridge(
            (*self.sums[:arm], sums, *self.sums[arm + 1 :]), learns_precision=self._learns, centred=self._centred
        )
        result._known, result._known_for = (*known[:arm], posterior, *known[arm + 1 :]), self._known_for
        carried = self._carried if self._solved is None else self._solved[1]
        if carried is not None and posterior is not None:
            result._carried = carried.copy()
            result._carried[arm] = posterior.coefficients
            if not self._learns and None not in result._known:
                result._solved = cast("tuple[ArmPosterior, ...]", result._known), result._carried
            stack = self._stack
            if stack is not None and stack.handed_over(self._token, result._token, arm, posterior.covariance):
                result._stack = stack
        return result


class RidgeArrays(Mapping[str, np.ndarray]):
    """A ridge's sums by name, each array put together when it is asked for.

    Args:
        ridge: whose sums.
    """

    _NAMES = ("precision", "moment", "row_weight", "squared_rewards")

    def __init__(self, ridge: Ridge) -> None:
        self._ridge = ridge

    def __getitem__(self, name: str) -> np.ndarray:
        """Return one value an arm, stacked."""
        if name not in self._NAMES:
            raise KeyError(name)
        return np.array([getattr(sums, name) for sums in self._ridge.sums])

    def __iter__(self) -> Iterator[str]:
        """Return the names."""
        return iter(self._NAMES)

    def __len__(self) -> int:
        """Return how many arrays there are."""
        return len(self._NAMES)
