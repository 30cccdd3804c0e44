"""Which arithmetic of target and drafts makes a pool fastest here, by a short measurement of each."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from speculative.collection.arm_plan import NO_DRAFT, ArmPlan
from speculative.drafts import DraftModel, NoDraft
from speculative.models.kernels.choose import fastest
from speculative.pools.arithmetic import (
    Arithmetic,
    MeasuredTarget,
    arithmetics_of,
    draft_specs,
    drafted_as,
    held_as,
    measure_target,
)
from speculative.pools.arm_specs import ArmSpec
from speculative.pools.building import DraftKey, key_of
from speculative.pools.expected_speed import ExpectedSpeed
from speculative.pools.spec import PoolSpec

SHOWN_WIDTHS = (1, 4, 9, 17)
"""Tokens of the passes that a comparison shows: a plain step, the rows that a 4-bit kernel takes at once, and more."""


@dataclass(frozen=True, slots=True)
class PricedTarget:
    """What is to be expected of a pool with its target in one arithmetic and each draft in its fastest one.

    Attributes:
        measured: what it rests on.
        drafts: the fastest arithmetic of each draft, by `key_of` its settings in the pool.
        tokens_per_s: of each fixed arm, by its name in the pool as it is.
    """

    measured: MeasuredTarget
    drafts: Mapping[DraftKey, Arithmetic]
    tokens_per_s: Mapping[str, float]

    @property
    def best_arm(self) -> str:
        """Name of the fastest arm."""
        return max(self.tokens_per_s, key=lambda name: self.tokens_per_s[name])

    @property
    def pass_s(self) -> dict[int, float]:
        """Seconds of a target pass over each of `SHOWN_WIDTHS`, against the shortest cache that was measured."""
        costs = self.measured.costs
        return {width: costs.verify_s(width, costs.cache_lengths[0]) for width in SHOWN_WIDTHS}


@dataclass(frozen=True, slots=True)
class ArithmeticChoice:
    """A pool's arithmetics compared.

    Attributes:
        spec: the pool.
        expected: what is expected of the arms.
        targets: one a target's arithmetic that can be had.
        refused: what cannot be had, a line each.
        chosen: the fastest; the pool's own unless another is faster by more than noise.
    """

    spec: PoolSpec
    expected: ExpectedSpeed
    targets: Sequence[PricedTarget]
    refused: Sequence[str]
    chosen: PricedTarget

    @property
    def plain_arm(self) -> str:
        """Name of the pool's first arm without a draft."""
        arms = [arm for arm in self.spec.arms if isinstance(arm, ArmSpec) and isinstance(arm.draft, NoDraft.Spec)]
        return self.chosen.measured.name_of(arms[0])

    def suggested(self) -> PoolSpec:
        """Return the pool in the chosen arithmetic; rules still name their arms as before."""
        arms = tuple(self._arm(arm) if isinstance(arm, ArmSpec) else arm for arm in self.spec.arms)
        return held_as(self.spec, self.chosen.measured.arithmetic).model_copy(update={"arms": arms})

    def _arm(self, arm: ArmSpec) -> ArmSpec:
        """Say a draft model's arithmetic, unless it stays what it is."""
        draft = arm.draft
        if not isinstance(draft, DraftModel.Spec):
            return arm
        chosen = self.chosen.drafts[key_of(draft)]
        stays = (draft.dtype or self.spec.dtype, draft.weights) == (chosen.dtype, chosen.weights)
        if stays and (draft.dtype is not None or self.spec.dtype == self.chosen.measured.arithmetic.dtype):
            return arm
        return arm.model_copy(update={"draft": drafted_as(draft, chosen)})


def compare_arithmetics(
    spec: PoolSpec,
    expected: ExpectedSpeed,
    allowed: Callable[[Arithmetic], bool],
    cache: Path,
    on_progress: Callable[[str], None] = lambda line: None,
) -> ArithmeticChoice:
    """Measure a pool in every arithmetic that its device has, and choose the fastest.

    A target's text depends on its arithmetic; a draft's does not change the text, so that drafts are tried in all.

    Args:
        spec: the pool.
        expected: what arithmetics are compared by.
        allowed: whether the target's text may be written in an arithmetic.
        cache: where converted weights are kept.
        on_progress: told what is about to be measured.

    Raises:
        ValueError: if the target can be had in no arithmetic that is allowed, or a draft in none.
    """
    here, refused = arithmetics_of(spec.device), list[str]()
    priced = []
    for arithmetic in filter(allowed, here):
        on_progress(f"measuring the target in {arithmetic}")
        measured = measure_target(spec, arithmetic, here, cache, refused.append)
        if measured is not None:
            priced.append(price(spec, measured, expected))
    if not priced:
        reasons = "; ".join(refused) or "none that is allowed is among those of this device"
        raise ValueError(f"{spec.origin}: the target can be had in no arithmetic: {reasons}")
    seconds = {one.measured.arithmetic: 1 / one.tokens_per_s[one.best_arm] for one in priced}
    chosen = _fastest(seconds, spec.dtype, spec.weights)
    [best] = [one for one in priced if one.measured.arithmetic == chosen]
    return ArithmeticChoice(spec, expected, priced, list(dict.fromkeys(refused)), best)


def price(spec: PoolSpec, measured: MeasuredTarget, expected: ExpectedSpeed) -> PricedTarget:
    """Choose the fastest arithmetic of each draft, by the fastest of its arms, and price every fixed arm."""
    arms = [arm for arm in spec.arms if isinstance(arm, ArmSpec)]
    drafts: dict[DraftKey, Arithmetic] = {}
    for key, draft in draft_specs(spec).items():
        own = [arm for arm in arms if key_of(arm.draft) == key]
        seconds = {
            arithmetic: min(1 / _tokens_per_s(arm, measured, arithmetic, expected) for arm in own)
            for arithmetic in measured.drafts[key]
        }
        dtype, weights = spec.dtype, spec.weights
        if isinstance(draft, DraftModel.Spec):
            dtype, weights = draft.dtype or spec.dtype, draft.weights
        drafts[key] = _fastest(seconds, dtype, weights)
    speeds = {}
    for arm in arms:
        arithmetic = drafts.get(key_of(arm.draft), measured.arithmetic)
        speeds[measured.name_of(arm)] = _tokens_per_s(arm, measured, arithmetic, expected)
    return PricedTarget(measured, drafts, speeds)


def _tokens_per_s(arm: ArmSpec, measured: MeasuredTarget, arithmetic: Arithmetic, expected: ExpectedSpeed) -> float:
    """Price an arm whose draft is computed in an arithmetic."""
    if isinstance(arm.draft, NoDraft.Spec):
        return expected.tokens_per_s(NO_DRAFT, measured.costs)
    key = key_of(arm.draft)
    name = measured.names[key]
    costs = replace(measured.costs, drafts={name: measured.drafts[key][arithmetic]})
    return expected.tokens_per_s(ArmPlan.fixed(name, arm.draft_length), costs)


def _fastest(seconds: Mapping[Arithmetic, float], dtype: str, weights: str) -> Arithmetic:
    """Return the arithmetic of least seconds; the one in use unless another is faster by more than noise."""
    in_use = next((one for one in seconds if (one.dtype, one.weights) == (dtype, weights)), None)
    return min(seconds, key=lambda one: seconds[one]) if in_use is None else fastest(seconds, in_use)
