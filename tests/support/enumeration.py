"""A random source that tries every outcome, so that the distribution of a random function is computed and not
estimated."""

from collections.abc import Callable
from typing import Any

import torch


class EnumeratingSource:
    """Plays one path through all choices; `next_path` gives the one after it."""

    def __init__(self, path: list[int]) -> None:
        self._path, self._turn = path, 0
        self.widths: list[int] = []
        self.probability = 1.0

    def _choose(self, probabilities: list[float]) -> int:
        if self._turn == len(self._path):
            self._path.append(0)
        choice = self._path[self._turn]
        self.widths.append(len(probabilities))
        self._turn += 1
        self.probability *= probabilities[choice]
        return choice

    def at(self, position: int) -> "EnumeratingSource":
        return self

    def accept(self, probability: float) -> bool:
        assert 0.0 <= probability <= 1.0
        if probability in (0.0, 1.0):
            return probability == 1.0
        return self._choose([probability, 1.0 - probability]) == 0

    def draw(self, weights: torch.Tensor) -> int:
        possible = weights.nonzero()[:, 0].tolist()
        total = float(weights.sum())
        return int(possible[self._choose([float(weights[i]) / total for i in possible])])

    def next_path(self) -> list[int] | None:
        path = self._path[: self._turn]
        while path and path[-1] + 1 == self.widths[len(path) - 1]:
            path.pop()
        if not path:
            return None
        return [*path[:-1], path[-1] + 1]


def every_outcome(play: Callable[[EnumeratingSource], Any]) -> list[tuple[Any, float]]:
    """All results of `play(source)` with the probability of each path; the probabilities sum to 1."""
    outcomes = []
    path: list[int] | None = []
    while path is not None:
        source = EnumeratingSource(path)
        outcomes.append((play(source), source.probability))
        path = source.next_path()
    assert abs(sum(probability for _, probability in outcomes) - 1.0) < 1e-9
    return outcomes


def distributions_over(n: int) -> list[tuple[list[float], list[float]]]:
    """Pairs of distributions over n tokens: equal, disjoint, near, with zeros."""
    generator = torch.Generator().manual_seed(3)
    first = [[1.0] + [0.0] * (n - 1), [1.0 / n] * n]
    drawn = [torch.rand(n, generator=generator).softmax(0).double() for _ in range(3)]
    distributions = first + [(one / one.sum()).tolist() for one in drawn] + [[0.0] + [1.0 / (n - 1)] * (n - 1)]
    return [(p, q) for p in distributions for q in distributions]
