"""Another policy, to which a row counts the less, the older it is."""

from __future__ import annotations

import numpy as np

from bandits import checks
from bandits.data.policy_data import PolicyData
from bandits.policies.forgetting import Forgetting, known_rewards
from bandits.policies.policy import Policy
from bandits.policies.state import PolicyState


class Discounted(Forgetting):
    """Learns as another policy does from rows of weight discount ** (rows that came after), of whichever arm.

    Sums S over rows, such as those of a ridge regression or the counts of an arm, follow

        S_t = S_0 + discount * (S_(t-1) - S_0) + s_t,   s_t the row's own part,

    so the prior S_0 is never forgotten, and after n rows about 1 / (1 - discount) of them count. It is exact: any
    batches in the order of the rows give what one fit to the weighted rows gives. Every arm ages with every decision,
    so that one not chosen for long becomes uncertain, and is tried again by policies that explore by uncertainty.

    `Discounted(UCB1())` is discounted UCB; `Discounted(LinUCB())` is D-LinUCB with arms of their own, whose width is
    taken from the discounted precision alone. An update costs a pass over all sums, and for a linear policy a
    factorisation of each arm: meant for batches.

    Args:
        policy: an `AdditivePolicy` (linear, `UCB1`, `BestFixedArm`), or one that explores around it; None takes
            `LinUCB()`.
        discount: in (0, 1); 0.999 remembers about a thousand decisions.

    Source: Garivier and Moulines 2008, On Upper-Confidence Bound Policies for Non-Stationary Bandit Problems, section 3
    (arXiv:0805.3415); Russac, Vernade and Cappé 2019, Weighted Linear Bandits, Algorithm 1 (arXiv:1909.09146), whose
    width is x' V^-1 W V^-1 x with W the sum of squared weights.
    """

    def __init__(self, policy: Policy | None = None, *, discount: float = 0.999) -> None:
        super().__init__(policy)
        self.discount = checks.share(discount, "discount")

    def _update(self, state: PolicyState, data: PolicyData) -> PolicyState:
        """Let all sums age by the rows, then add the rows with the weights that their ages leave them."""
        n_rows = len(data)
        factor = self.discount**n_rows
        prior = self._initial_state(state.arm_names, state.n_features).per_arm
        aged = state.updated({name: sums + factor * (state.per_arm[name] - sums) for name, sums in prior.items()})
        rows = known_rewards(data, self.discount ** np.arange(n_rows - 1.0, -1.0, -1.0))
        return self.policy._update(aged, rows)
