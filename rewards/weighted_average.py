"""Two rewards weighed against each other by one number."""

from arms.checks import within
from rewards.reward import Reward, WeightedSum


class WeightedAverage(WeightedSum):
    """weight * first + (1 - weight) * second.

    With an agreement of texts first and a speed second it is the reward of Huang et al. 2024 (arXiv:2408.08470), as
    reviews of the paper print it, there alpha = `weight`; how the paper scales speed is not known to us, and
    `RelativeSpeed` puts it in [0, 1] beside the agreement.

    Args:
        weight: in [0, 1].
        first: counts `weight`.
        second: counts the rest.

    Raises:
        ValueError: if `weight` is outside [0, 1].
        TypeError: if `first` or `second` is not a `Reward`, or lacks bounds.
    """

    def __init__(self, weight: float, first: Reward, second: Reward) -> None:
        weight = within(weight, 0.0, 1.0, "weight")
        super().__init__([(weight, first), (1.0 - weight, second)])
