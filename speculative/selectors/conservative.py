"""Another selector's choices, as long as the time lost against no draft stays within a budget."""

from collections.abc import Sequence
from typing import Self

import numpy as np

from bandits.checks import at_least, within
from bandits.online import TimeBudget
from speculative.protocols.drafting_rule import EngineArm
from speculative.protocols.selector import QueryState, RoundContext, RoundObservation, Selector


class Conservative(Selector):
    """Follows a selector; a round is not drafted where the budget does not allow for the arm chosen.

    The time lost is the seconds of the rounds of drafted steps, the choosing of arms included, less what no draft takes
    at least for as many tokens, summed over all requests: never more than the budget allows and one round (see
    `TimeBudget`, whose pulls are rounds and whose groups the numbers of running requests). So the answers together take
    no longer than without drafts by more than that, apart from what the selector itself takes elsewhere, which no
    budget can withhold: to begin a request, to choose in a step that then drafts nothing, and to learn after a round.

    What no draft takes is measured, without the choosing, in steps that draft nothing at all: some are drawn at random,
    whatever the selector chose, and the first at each number of running requests, until four rounds are seen, are such.
    Which rounds are withheld depends on past seconds, never on a token of a draft to come.

    Args:
        selector: chooses; it is told what was run, also where that is not what it chose.
        budget: kept by the caller, to go on with it for other requests; or seconds, see `TimeBudget`.
        plain: index of an arm without a draft.
        audit_share: of the steps that draft nothing, in [0, 1].
        seed: of the draws.

    Raises:
        ValueError: if a number is out of range.
    """

    def __init__(
        self,
        selector: Selector,
        budget: TimeBudget | float,
        *,
        plain: int,
        audit_share: float = 0.02,
        seed: int = 0,
    ) -> None:
        self.selector = selector
        self.budget = budget if isinstance(budget, TimeBudget) else TimeBudget(budget)
        self.plain = at_least(plain, 0, "plain")
        self.audit_share = within(audit_share, 0.0, 1.0, "audit_share")
        self._rng = np.random.default_rng(at_least(seed, 0, "seed"))
        self._n_running, self._drafts = 0, False  # of the step under way

    @classmethod
    def over(cls, selector: Selector, budget: TimeBudget | float, arms: Sequence[EngineArm], *, seed: int = 0) -> Self:
        """Make one for an engine's arms.

        Raises:
            ValueError: if none of them drafts nothing.
        """
        plain = [i for i, arm in enumerate(arms) if arm.draft_length == 0]
        if not plain:
            names = ", ".join(arm.name for arm in arms)
            raise ValueError(f"a budget needs an arm without a draft to fall back on, got {names}: add one (NoDraft)")
        return cls(selector, budget, plain=plain[0], seed=seed)

    def start(self, query: QueryState) -> None:
        """Begin a request."""
        self.selector.start(query)

    def select(self, rounds: Sequence[RoundContext]) -> Sequence[int]:
        """Let the selector choose, and withhold what the budget does not allow."""
        actions = list(self.selector.select(rounds))
        self._n_running = len(rounds)
        if self._is_audit():
            actions = [self.plain] * len(actions)
        chosen = [
            action if action == self.plain or self._begins(round_, action) else self.plain
            for round_, action in zip(rounds, actions, strict=True)
        ]
        self._drafts = any(action != self.plain for action in chosen)
        return chosen

    def observe(self, observations: Sequence[RoundObservation]) -> None:
        """Count what the step took, and tell the selector."""
        for one in observations:
            if self._drafts:  # beside a drafted round, which may have raised, a plain one may take longer too
                self.budget.end(one.request_id, one.seconds, one.n_new, self._n_running)
            else:
                self.budget.ran_safe(one.seconds - one.select_s, one.n_new, self._n_running)
        self.selector.observe(observations)

    def finish(self, request_id: str) -> None:
        """Forget a request."""
        self.budget.drop(request_id)
        self.selector.finish(request_id)

    def _is_audit(self) -> bool:
        drawn = self._rng.random() < self.audit_share
        return self.budget.pace(self._n_running) is None or (drawn and self.budget.pace_s is None)

    def _begins(self, round_: RoundContext, action: int) -> bool:
        self.budget.drop(round_.request_id)  # of a round that raised
        return self.budget.begin(round_.request_id, action, self._n_running)
