"""A policy whose state is a sum over rows, so that shards merge by adding."""

from __future__ import annotations

from abc import ABC
from dataclasses import replace
from typing import Self

from bandits.policies.policy import Policy


class AdditivePolicy(Policy, ABC):
    """Learns sums over rows, on top of the prior's: any batches in any order give what one fit gives."""

    exact_updates = True

    def merge(self, other: Self) -> None:
        """Add what `other`, a policy of the same class and settings, learned from other rows.

        Raises:
            ValueError: if the two differ in parameters, arms, context size or encoder.
        """
        mine, theirs = self.learned, other.learned
        same = (set(mine.arm_names), mine.n_features) == (set(theirs.arm_names), theirs.n_features)
        own, others = self.get_params(), other.get_params()
        if type(self) is not type(other) or not same or any(own[n] != others[n] for n in own if n != "arm_names"):
            raise ValueError("merge needs two policies of one class with the same parameters, arms and context size")
        if mine.encoder is not None and theirs.encoder is not None and mine.encoder != theirs.encoder:
            raise ValueError(f"merge needs one encoder, got {mine.encoder!r} and {theirs.encoder!r}")
        order = [theirs.arm_names.index(name) for name in mine.arm_names]
        prior = self._initial_state(mine.arm_names, mine.n_features)
        sums = {name: array + theirs.per_arm[name][order] - prior.per_arm[name] for name, array in mine.per_arm.items()}
        n_rows = mine.n_rows + theirs.n_rows
        self.state = replace(mine, per_arm=sums, encoder=mine.encoder or theirs.encoder, n_rows=n_rows, derived={})
