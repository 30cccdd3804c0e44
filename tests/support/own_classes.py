"""A policy, a reward and an estimator of a user's own, to be named by their paths; a class of none of these kinds."""

from arms import Observation
from bandits import IPS, KNN
from rewards import Reward


class Nearest(KNN):
    """KNN of one neighbour or more, under a name of its own."""

    def __init__(self, *, n_neighbors: int = 1) -> None:
        super().__init__(n_neighbors=n_neighbors)


class Brevity(Reward):
    """Fewer seconds, more reward."""

    bounds = (float("-inf"), 0.0)

    def _value(self, observation: Observation) -> float:
        return -observation.seconds


class MyIPS(IPS):
    """IPS under a name of its own."""


class Picky:
    """Neither policy nor anything else that an option names."""


class NeedsMore(KNN):
    """A policy that cannot be made without a setting."""

    def __init__(self, *, secret: int) -> None:
        super().__init__(n_neighbors=secret)
        self.secret = secret
