"""Two collected folders, one to learn from and one held out, as a bench needs them."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from bandits import FullInformationData
from bandits.checks import Float32
from bandits.data.closed_folder import MANIFEST
from rewards import TimeSaved
from speculative.collection.arm_plan import ArmPlan, plan_of_facts
from speculative.collection.priced_folder import made_of
from speculative.targets.text_features import TEXT_FEATURES

NO_DRAFT = "no_draft"
FEATURES_OF = "hidden_state:"  # how the encoder's name begins whose columns are known


@dataclass(frozen=True, slots=True)
class Sides:
    """Training and held-out data of one pool, priced alike.

    Attributes:
        train: to learn from; rewards are seconds saved.
        test: held out.
        plans: what each arm does, by its name.
        test_folder: which the held-out data are in, with their traces.
        facts: what the folders were made of, for the JSON.
        threads: with which the costs were measured; None where that is unknown.
    """

    train: FullInformationData
    test: FullInformationData
    plans: Mapping[str, ArmPlan]
    test_folder: Path
    facts: Mapping[str, object]
    threads: int | None

    @property
    def encoder(self) -> str | None:
        """Return the encoder's name; a model in a file or folder is named without where it lay."""
        if self.test.encoder is None:
            return None
        kind, colon, model = self.test.encoder.partition(":")
        return f"{kind}{colon}{Path(model).name if Path(model).is_absolute() else model}"

    @property
    def rules(self) -> tuple[str, ...]:
        """Return the names of the arms that are rules."""
        return tuple(name for name in self.test.arm_names if self.plans[name].min_match_lengths)

    @property
    def fixed_arms(self) -> tuple[str, ...]:
        """Return the names of the arms that are no rules."""
        return tuple(name for name in self.test.arm_names if name not in self.rules)

    @property
    def groups(self) -> dict[str, list[int]]:
        """Return the columns of each part of the contexts; none where the encoder is not the target's own."""
        if not (self.train.encoder or "").startswith(FEATURES_OF):
            return {}
        n_features = self.train.contexts.shape[1]
        size = (n_features - len(TEXT_FEATURES)) // 2
        ends = {"mean state": (0, size), "last state": (size, 2 * size), "text features": (2 * size, n_features)}
        return {name: list(range(*span)) for name, span in ends.items()}

    def with_arms(self, names: tuple[str, ...]) -> "Sides":
        """Return the sides with some of the arms."""
        return replace(self, train=self.train.select_arms(names), test=self.test.select_arms(names))

    def with_columns(self, columns: list[int]) -> "Sides":
        """Return the sides with some columns of the contexts."""
        return self._with_contexts(lambda contexts: contexts[:, columns])

    def standardised(self) -> "Sides":
        """Return the sides with every column at mean 0 and standard deviation 1 over the training contexts."""
        mean, spread = self.train.contexts.mean(axis=0), self.train.contexts.std(axis=0)
        scale = np.where(spread > 0, spread, 1)
        return self._with_contexts(lambda contexts: ((contexts - mean) / scale).astype(np.float32))

    def _with_contexts(self, changed: Callable[[Float32], Float32]) -> "Sides":
        train, test = (replace(side, contexts=changed(side.contexts)) for side in (self.train, self.test))
        return replace(self, train=train, test=test)


def read_sides(train: Path, test: Path) -> Sides:
    """Read two folders that `draftpick collect` wrote with one pool.

    Raises:
        ValueError: if one is not closed, they differ in arms, encoder, target or cost profile, or share a prompt.
    """
    sides = [FullInformationData.load(folder).with_reward(TimeSaved()).complete_rows() for folder in (train, test)]
    _check(sides[0], sides[1], train, test)
    facts, other = made_of(train), made_of(test)
    for what in ("target", "encoder"):
        if facts.get(what) != other.get(what):
            raise ValueError(f"{test} was collected with another {what} than {train}: collect both with one pool")
    plans = {name: plan_of_facts(facts.get(f"arm {name}")) for name in sides[0].arm_names}
    known = {name: plan for name, plan in plans.items() if plan is not None}
    if len(known) < len(plans):
        raise ValueError(f"{train} was not written by collect: its manifest does not say what its arms were")
    threads = facts.get("threads")
    told = {"train": _told(train), "test": _told(test), "priced": {key: facts.get(key) for key in _PRICED}}
    return Sides(
        sides[0],
        sides[1].select_arms(sides[0].arm_names),
        known,
        test,
        told,
        threads if isinstance(threads, int) else None,
    )


_PRICED = ("machine", "threads", "noise", "cost_profile")


def _check(train: FullInformationData, test: FullInformationData, train_folder: Path, test_folder: Path) -> None:
    if set(train.arm_names) != set(test.arm_names) or NO_DRAFT not in train.arm_names:
        raise ValueError(
            f"{train_folder} and {test_folder} must hold the same arms and {NO_DRAFT}, got "
            f"{', '.join(train.arm_names)} and {', '.join(test.arm_names)}"
        )
    if train.cost_profiles != test.cost_profiles:
        raise ValueError(
            f"{train_folder} and {test_folder} must be priced by one cost profile: "
            "speculative.collection.recost.recost(TEST_FOLDER, stored_costs(TRAIN_FOLDER))"
        )
    same = set(map(np.ndarray.tobytes, train.contexts)) & set(map(np.ndarray.tobytes, test.contexts))
    if same:
        raise ValueError(f"{test_folder} must share no prompt with {train_folder}, got {len(same)} of equal contexts")


def _told(folder: Path) -> dict[str, object]:
    manifest = (folder / MANIFEST).read_bytes()
    return {"manifest": hashlib.sha256(manifest).hexdigest(), "queries": made_of(folder).get("queries")}
