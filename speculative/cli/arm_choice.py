"""What picks the arms while a command generates: a saved policy, one arm, or a selector."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from speculative.cli.plugins import load_one_policy, settings_of, users_fault
from speculative.cli.rounds import round_selector

if TYPE_CHECKING:
    from bandits import DecisionLog
    from bandits.online import TimeBudget
    from speculative.pools.pool import Pool
    from speculative.protocols.selector import Selector
    from speculative.selectors.policy_selector import PolicyChoice


@dataclass(frozen=True, slots=True)
class ArmChoice:
    """Exactly one of a policy's file, an arm's name, a selector's name and the file of a choice per round.

    Attributes:
        policy: saved policy that chooses once a query.
        arm: the arm of every query.
        selector: a name of `SELECTORS`, or "package.module:Class", asked at every round.
        settings: NAME=VALUE each, of the selector.
        policy_classes: "package.module:Class" each, which the policy's file may hold.
        seed: of the policy's draws.
        rounds: what `draftpick train --rounds` saved.
        cache: folder of measured cost profiles, which `rounds` needs.
        budget: of the seconds that drafts may lose against no draft; None for no limit.
    """

    policy: Path | None
    arm: str | None
    selector: str | None
    settings: Sequence[str] = ()
    policy_classes: Sequence[str] = ()
    seed: int = 0
    rounds: Path | None = None
    cache: Path | None = None
    budget: "TimeBudget | None" = None

    def __post_init__(self) -> None:
        given = [value for value in (self.policy, self.arm, self.selector, self.rounds) if value is not None]
        if len(given) != 1:
            raise ValueError(f"give exactly one of --policy, --arm, --selector and --rounds, got {len(given)} of them")
        if self.settings and self.selector is None:
            raise ValueError("--set is for a --selector: leave it out")
        if self.policy_classes and self.policy is None:
            raise ValueError("--policy-class is for a --policy: leave it out")

    def selector_of(
        self, pool: "Pool", on_finish: "Callable[[PolicyChoice], None]", log: "DecisionLog | None" = None
    ) -> "Selector":
        """Make what the engine asks.

        Args:
            pool: whose arms are chosen.
            on_finish: takes a policy's choice when its request ends.
            log: a policy's choices are written there before they are followed.

        Raises:
            ValueError: if a file, a name or a setting is wrong, or a budget is given and no arm is without a draft.
        """
        from speculative.selectors.conservative import Conservative

        chosen = self._chooser(pool, on_finish, log)
        return (
            chosen if self.budget is None else Conservative.over(chosen, self.budget, list(pool.arms), seed=self.seed)
        )

    def _chooser(
        self, pool: "Pool", on_finish: "Callable[[PolicyChoice], None]", log: "DecisionLog | None"
    ) -> "Selector":
        import numpy as np

        from speculative.selectors import read_selector_spec
        from speculative.selectors.fixed import FixedSelector
        from speculative.selectors.policy_selector import PolicySelector

        if self.arm is not None:
            return FixedSelector(pool.arms.index(self.arm))
        if self.policy is not None:
            policy, rng = load_one_policy(self.policy, self.policy_classes), np.random.default_rng(self.seed)
            return PolicySelector(policy, pool.encoder, pool.arms.names, rng, on_finish=on_finish, log=log)
        if self.rounds is not None:
            return round_selector(self.rounds, pool, self.cache)
        with users_fault("--selector"):
            return read_selector_spec({"kind": self.selector, **settings_of(self.settings)}).build(list(pool.arms))
