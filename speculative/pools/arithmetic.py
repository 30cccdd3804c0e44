"""The arithmetics that a machine has, and what a pool's models cost in each of them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch

from speculative.drafts import DraftModel, DraftSpec, NoDraft, StoppingDraft, StoppingSpec
from speculative.measuring.cost_measurement import QUICK, Effort, measure_costs
from speculative.measuring.cost_profile import CostProfile, DraftCost
from speculative.models.linear import WideInt4Linear, can_pack
from speculative.models.settings import ModelSettings, has_kernel
from speculative.pools.arm_specs import ArmSpec
from speculative.pools.building import DraftKey, key_of
from speculative.pools.pool import load_target
from speculative.pools.spec import PoolSpec
from speculative.protocols.draft import Draft
from speculative.targets.target import Target

_DRAFT_ALONE = Effort((1,), QUICK.cache_lengths, QUICK.prefill_widths[:1], QUICK.n_repeats)


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """How a model is held and computed.

    Attributes:
        dtype: of activations, KV cache and dense weights.
        weights: as in `ModelSettings`; a draft's `int4` rounds the head to 4 bits too.
    """

    dtype: Literal["float32", "bfloat16", "float16"]
    weights: Literal["dense", "int4", "int4_fast", "fp8"]

    def __str__(self) -> str:
        return f"{self.dtype} {self.weights}"


@dataclass(frozen=True, slots=True)
class MeasuredTarget:
    """What a pool costs while its target is computed in one arithmetic.

    Attributes:
        arithmetic: the target's.
        costs: of the target's passes.
        drafts: of each draft, by `key_of` its settings in the pool: seconds in each arithmetic. A draft that is no
            model of its own has the target's only.
        names: of each draft as the pool has it, by the same key.
    """

    arithmetic: Arithmetic
    costs: CostProfile
    drafts: Mapping[DraftKey, Mapping[Arithmetic, DraftCost]]
    names: Mapping[DraftKey, str]

    def name_of(self, arm: ArmSpec) -> str:
        """Return the name that an arm has in the pool."""
        return arm.name_with(NoDraft.name if isinstance(arm.draft, NoDraft.Spec) else self.names[key_of(arm.draft)])


def arithmetics_of(device: str) -> list[Arithmetic]:
    """Return the arithmetics that a device has in hardware, the usual one first.

    Raises:
        ValueError: if the device is not there.
    """
    ModelSettings(device=device)  # refuses one that is not there, of which torch would tell nothing
    if torch.device(device).type != "cpu":
        rounded = [Arithmetic("bfloat16", weights) for weights in ("int4", "fp8") if has_kernel(weights, device)]
        return [*(Arithmetic(dtype, "dense") for dtype in ("float32", "bfloat16", "float16")), *rounded]
    found = [Arithmetic("float32", "dense")]
    if can_pack(torch.empty(0, dtype=torch.bfloat16)):
        found.append(Arithmetic("bfloat16", "dense"))
    found.append(Arithmetic("float32", "int4"))
    return [*found, Arithmetic("float32", "int4_fast")] if WideInt4Linear.supported() else found


def draft_specs(spec: PoolSpec) -> dict[DraftKey, DraftSpec]:
    """Return the settings of each draft of a pool once, no draft left out."""
    arms = [arm for arm in spec.arms if isinstance(arm, ArmSpec)]
    return {key_of(arm.draft): arm.draft for arm in arms if not isinstance(arm.draft, NoDraft.Spec)}


def measure_target(
    spec: PoolSpec,
    arithmetic: Arithmetic,
    choices: Sequence[Arithmetic],
    cache: Path,
    refuse: Callable[[str], None],
) -> MeasuredTarget | None:
    """Load a pool's target in one arithmetic and its drafts in each, one draft model at a time, and time them.

    Args:
        spec: the pool.
        arithmetic: the target's.
        choices: those that draft models are tried in.
        cache: where converted weights are kept.
        refuse: told in one line what cannot be had, such as what the memory does not hold.

    Returns:
        What was measured; None where the target cannot be had.

    Raises:
        ValueError: if a draft can be had in no arithmetic at all.
    """
    try:
        target = load_target(held_as(spec, arithmetic), cache)
    except ValueError as error:
        refuse(f"target, {arithmetic}: {error}")
        return None
    specs = draft_specs(spec)
    others = {key: _built(draft, target) for key, draft in specs.items() if not isinstance(draft, DraftModel.Spec)}
    costs = measure_costs(target.model, list(others.values()), effort=QUICK)
    drafts: dict[DraftKey, Mapping[Arithmetic, DraftCost]] = {}
    names = {key: draft.name for key, draft in others.items()}
    for key, name in names.items():
        drafts[key] = {arithmetic: costs.drafts[name]}
    for key, draft in specs.items():
        if isinstance(draft, DraftModel.Spec):
            drafts[key], names[key] = _draft_costs(target, draft, choices, refuse), draft.draft_name
    return MeasuredTarget(arithmetic, costs, drafts, names)


def held_as(spec: PoolSpec, arithmetic: Arithmetic) -> PoolSpec:
    """Return a pool whose target is computed in an arithmetic."""
    return spec.model_copy(update={"dtype": arithmetic.dtype, "weights": arithmetic.weights})


def drafted_as(draft: DraftModel.Spec, arithmetic: Arithmetic) -> DraftModel.Spec:
    """Return the settings of a draft model that is computed in an arithmetic."""
    return draft.model_copy(update={"dtype": arithmetic.dtype, "weights": arithmetic.weights})


def _built(spec: DraftSpec, target: Target) -> Draft:
    """Load a draft; where it stops does not matter to what its passes take."""
    whole = spec.unstopped().build(target) if isinstance(spec, StoppingSpec) else spec.build(target)
    return spec.stopping(whole, 0.0) if isinstance(spec, StoppingSpec) and isinstance(whole, StoppingDraft) else whole


def _draft_costs(
    target: Target, draft: DraftModel.Spec, choices: Sequence[Arithmetic], refuse: Callable[[str], None]
) -> dict[Arithmetic, DraftCost]:
    """Time one draft model in each arithmetic beside a target."""
    found: dict[Arithmetic, DraftCost] = {}
    reason = ""
    for choice in choices:
        try:
            built = _built(drafted_as(draft, choice), target)
            found[choice] = measure_costs(target.model, [built], effort=_DRAFT_ALONE).drafts[built.name]
        except ValueError as error:
            reason = str(error)
            refuse(f"draft {draft.model}, {choice}: {reason}")
    if not found:
        raise ValueError(f"draft {draft.model!r} can be had in no arithmetic that was tried: {reason}")
    return found
