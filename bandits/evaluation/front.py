"""Points of cost and quality, and the numbers that routing papers compute from them."""

from __future__ import annotations

import numpy as np

from bandits.checks import Float64


class Front:
    """One router's points beside those of the arms.

    Args:
        arms: (k, 2) float64, mean cost and mean reward of each arm.
        points: (w, 2) float64, those of the router at each weight.
        everyone: (m, 2) float64, the points that the Pareto front is made of.
        weak: the arm of the least cost.
        strong: the arm of the highest reward.
    """

    def __init__(self, arms: Float64, points: Float64, everyone: Float64, weak: int, strong: int) -> None:
        self._arms, self._points, self._everyone = arms, points, everyone
        self._weak, self._strong = arms[weak], arms[strong]
        self._low, self._high = float(arms[:, 0].min()), float(arms[:, 0].max())

    def numbers(self) -> dict[str, float]:
        """Return what `RoutingNumbers` defines; NaN where it is not defined."""
        own = hull(np.vstack([self._points, self._weak]))
        aiq = _mean(own, self._low, self._high)
        return {
            "aiq": aiq,
            "aiq_over_arms": aiq - _mean(hull(self._arms), self._low, self._high),
            "apgr": self._recovered(own),
            "cpt_50": self._threshold(own, 0.5),
            "cpt_80": self._threshold(own, 0.8),
            "perf_gain": self._gain(),
            "cost_save": self._saving(),
            "pareto_dist": self._distance(),
        }

    @property
    def _gaps(self) -> tuple[float, float]:
        """Return how much more the strong arm costs and brings than the weak one."""
        return float(self._strong[0] - self._weak[0]), float(self._strong[1] - self._weak[1])

    def _recovered(self, front: Float64) -> float:
        dearer, better = self._gaps
        if not (dearer > 0 and better > 0):
            return float("nan")
        return float((_mean(front, self._weak[0], self._strong[0]) - self._weak[1]) / better)

    def _threshold(self, front: Float64, share: float) -> float:
        dearer, better = self._gaps
        wanted = self._weak[1] + share * better
        if not (dearer > 0 and better > 0) or wanted > front[-1, 1]:
            return float("nan")
        cost = np.interp(wanted, front[:, 1], front[:, 0])
        return float(max(cost - self._weak[0], 0.0) / dearer)

    def _gain(self) -> float:
        return float(self._points[:, 1].max() / self._strong[1] - 1) if self._strong[1] > 0 else float("nan")

    def _saving(self) -> float:
        if not self._strong[0] > 0:
            return float("nan")
        as_good = self._points[self._points[:, 1] >= self._strong[1], 0]
        return float(1 - min(as_good.min(initial=np.inf), self._strong[0]) / self._strong[0])

    def _distance(self) -> float:
        """Return the mean over points of the least distance to a step or corner of the front, axes scaled."""
        scale = np.ptp(self._arms, axis=0)
        scale = np.where(scale > 0, scale, 1.0)
        best = undominated(self._everyone) / scale
        return float(np.mean([_to_staircase(point, best) for point in self._points / scale]))


def undominated(points: Float64) -> Float64:
    """Return the points that no other beats in both cost and quality, cheapest first, (p, 2) float64."""
    order = points[np.lexsort((-points[:, 1], points[:, 0]))]
    before = np.concatenate([[-np.inf], np.maximum.accumulate(order[:, 1])[:-1]])
    return np.asarray(order[order[:, 1] > before])


def hull(points: Float64) -> Float64:
    """Return the corners of the non-decreasing concave hull, cheapest first, (p, 2) float64.

    Every point of it is reached by mixing two points; a dearer one is never worse, because money can be left.
    """
    corners: list[Float64] = []
    for point in undominated(points):
        while len(corners) > 1 and _turns_up(corners[-2], corners[-1], point):
            corners.pop()
        corners.append(point)
    return np.array(corners)


def _mean(front: Float64, low: float, high: float) -> float:
    """Return the mean height of a hull over costs from low to high; beyond its corners it is level."""
    if not high > low:
        return float(np.interp(low, front[:, 0], front[:, 1]))
    inside = front[(front[:, 0] > low) & (front[:, 0] < high), 0]
    places = np.array([low, *inside, high])
    return float(np.trapezoid(np.interp(places, front[:, 0], front[:, 1]), places) / (high - low))


def _turns_up(a: Float64, b: Float64, c: Float64) -> bool:
    return bool((b[0] - a[0]) * (c[1] - a[1]) >= (c[0] - a[0]) * (b[1] - a[1]))


def _to_staircase(point: Float64, best: Float64) -> float:
    """Return the distance from a point on or below the front to the front, a step function of the cost."""
    right = np.append(best[1:, 0], np.inf)
    across = np.maximum(np.maximum(best[:, 0] - point[0], point[0] - right), 0.0)
    levels = np.hypot(across, best[:, 1] - point[1])
    lower = np.append(-np.inf, best[:-1, 1])
    along = np.maximum(np.maximum(lower - point[1], point[1] - best[:, 1]), 0.0)
    return float(min(levels.min(), np.hypot(along, best[:, 0] - point[0]).min()))
