"""Any bandit policy at every round: the same records, the same hook, no model of seconds."""

import numpy as np
from threadpoolctl import ThreadpoolController

from bandits import ContextEncoder, Policy
from speculative.protocols.selector import RoundContext
from speculative.rounds.record import RecordLayout, RoundRecord
from speculative.rounds.round_selector import RoundSelector


class RoundPolicySelector(RoundSelector):
    """Lets a policy choose the arm of each round from its record.

    Args:
        policy: fitted on `round_data` of the same arms.
        layout: of the engine's arms.
        rng: the policy draws from it.
        encoder: of the prompts; see `RoundSelector`.

    Raises:
        ValueError: if the policy learned from other records or arms.
    """

    def __init__(
        self,
        policy: Policy,
        layout: RecordLayout,
        rng: np.random.Generator,
        encoder: ContextEncoder | None = None,
    ) -> None:
        super().__init__(layout, encoder)
        if policy.learned.n_features != len(layout.names) or set(policy.arm_names) != set(layout.arms):
            raise ValueError(
                f"the policy chooses among {', '.join(policy.arm_names)} from {policy.learned.n_features} numbers, "
                f"the rounds have the arms {', '.join(layout.arms)} and {len(layout.names)} numbers: fit it on theirs"
            )
        if policy.learned.encoder not in (None, layout.mark):
            raise ValueError(
                f"the policy was fitted on contexts of {policy.learned.encoder}, the rounds' records are "
                f"{layout.mark}: fit it on round_data of the same layout"
            )
        self._policy, self._rng, self._blas = policy, rng, ThreadpoolController()
        names = list(layout.arms)
        self._action_of = [names.index(name) for name in policy.arm_names]

    def choose(self, round_: RoundContext, record: RoundRecord) -> int:
        """Draw from the policy's probabilities among the arms that are available."""
        available = np.array([round_.available[action] for action in self._action_of])
        if not available.any():
            return 0
        with self._blas.limit(limits=1, user_api="blas"):
            decision = self._policy.choose(record.values, self._rng, available)
        return self._action_of[decision.action]
