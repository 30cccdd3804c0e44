"""A policy whose state is a sum over rows, so that shards merge by adding."""

from __future__ import annotations

from abc import ABC
from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar, Self

from bandits import checks
from bandits.policies.policy import Policy
from bandits.policies.state import Arrays, PolicyState


class AdditivePolicy(Policy, ABC):
    """Learns sums over rows, on top of the prior's: any batches in any order give what one fit gives."""

    exact_updates = True
    counted_in: ClassVar[str | None] = None
    """Name of the array that holds the weight of each arm's rows, without which no arm can start as several do."""

    def merge(self, other: Self, *, since: Self | None = None) -> None:
        """Add what `other`, a policy of the same class and settings, learned from other rows.

        Args:
            other: stays as it is.
            since: the policy that both began with, whose rows are counted once then; None if they began with none.

        Raises:
            ValueError: if they differ in parameters, arms, context size or encoder.
        """
        self.check_alike(other)
        mine, theirs = self.learned, other.learned
        if since is None:
            common = self._initial_state(mine.arm_names, mine.n_features)
        else:
            self.check_alike(since)
            common = since.learned
        theirs_in_order, common_in_order = (
            {
                name: array[[state.arm_names.index(arm) for arm in mine.arm_names]]
                for name, array in state.per_arm.items()
            }
            for state in (theirs, common)
        )
        sums = {name: array + (theirs_in_order[name] - common_in_order[name]) for name, array in mine.per_arm.items()}
        n_rows = mine.n_rows + theirs.n_rows - common.n_rows
        self.state = replace(mine, per_arm=sums, encoder=mine.encoder or theirs.encoder, n_rows=n_rows, derived={})

    def check_alike(self, other: Policy) -> None:
        """Reject a policy whose sums cannot be added to these.

        Raises:
            ValueError: if the two differ in class, parameters, arms, context size or encoder.
        """
        mine, theirs = self.learned, other.learned
        same = (set(mine.arm_names), mine.n_features) == (set(theirs.arm_names), theirs.n_features)
        own, others = self.get_params(), other.get_params()
        if type(self) is not type(other) or not same or any(own[n] != others[n] for n in own if n != "arm_names"):
            raise ValueError("merge needs two policies of one class with the same parameters, arms and context size")
        if mine.encoder is not None and theirs.encoder is not None and mine.encoder != theirs.encoder:
            raise ValueError(f"merge needs one encoder, got {mine.encoder!r} and {theirs.encoder!r}")

    def _pooled(self, state: PolicyState, places: Sequence[int], prior: Arrays, rows: float | None) -> Arrays:
        """Return prior + rows / n * (the arms' sums without their priors), n = the weight of all their rows."""
        if self.counted_in is None:
            return super()._pooled(state, places, prior, rows)
        seen = {name: (state.per_arm[name][list(places)] - begin).sum(axis=0) for name, begin in prior.items()}
        weight = float(seen[self.counted_in])
        wanted = weight / len(places) if rows is None else checks.not_negative(rows, "rows")
        share = min(1.0, wanted / weight) if weight > 0 else 0.0
        return {name: begin + share * seen[name] for name, begin in prior.items()}
