"""From a pool file's arms to loaded ones: each draft once, then the rules over them."""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from speculative.drafts import DraftSpec
from speculative.drafts.draft_model import VocabularyMismatchError
from speculative.drafts.stopping import AUTO, StoppingDraft, StoppingSpec
from speculative.measuring.cost_profile import CostProfile
from speculative.pools.arm_specs import ArmSpec, RuleSpec
from speculative.pools.spec import PoolSpec
from speculative.protocols.draft import Draft
from speculative.targets.rule_arm import PoolArm, RuleArm
from speculative.targets.speculative_arm import SpeculativeArm
from speculative.targets.target import Target

Measure = Callable[[Sequence[Draft]], CostProfile]
DraftKey = tuple[type[DraftSpec], str]
"""What tells a draft's settings from any other's, see `key_of`."""


def key_of(draft: DraftSpec) -> DraftKey:
    """Return what tells a draft's settings from any other's."""
    return type(draft), draft.model_dump_json()


def build_arms(
    spec: PoolSpec, target: Target, measure: Measure, loaded: Mapping[DraftKey, Draft] = MappingProxyType({})
) -> list[PoolArm]:
    """Load every draft that a specification names, each model once, and make its arms in their order.

    Args:
        spec: of the pool.
        target: its loaded target.
        measure: gives this machine's costs of some drafts; asked where one stops by what it costs.
        loaded: drafts that are there already, which are used as they are.

    Raises:
        ValueError: if a model is missing, a draft speaks other tokens, two arms or drafts share a name, or a rule names
            an arm that the pool lacks, that is a rule itself, or that cannot have so long a match.
    """
    drafts, fixed = _drafts(spec, target, measure, loaded), dict[int, SpeculativeArm]()
    for i, arm in enumerate(spec.arms):
        if isinstance(arm, ArmSpec):
            fixed[i] = SpeculativeArm(target, drafts[key_of(arm.draft)], arm.draft_length, name=arm.name)
    by_name = {arm.name: arm for arm in fixed.values()}
    rules = {arm.name for arm in spec.arms if isinstance(arm, RuleSpec)}
    made: dict[str, PoolArm] = {}
    for i, arm in enumerate(spec.arms):
        where = f"{spec.origin}, arms.{i}"
        one = fixed[i] if isinstance(arm, ArmSpec) else _rule(arm, by_name, rules, where)
        if one.name in made:
            raise ValueError(f"{where}: an arm before it is named {one.name!r}; give one another name")
        made[one.name] = one
    return list(made.values())


def _drafts(
    spec: PoolSpec, target: Target, measure: Measure, loaded: Mapping[DraftKey, Draft]
) -> dict[DraftKey, Draft]:
    """Return the drafts by their settings; those that differ only in where they stop share a model."""
    whole: dict[DraftKey, Draft] = {}
    found: dict[DraftKey, Draft] = {}
    draft: Draft
    by_cost: list[tuple[DraftKey, StoppingDraft]] = []
    for i, arm in enumerate(spec.arms):
        if not isinstance(arm, ArmSpec) or key_of(arm.draft) in found:
            continue
        where, key, settings = f"{spec.origin}, arms.{i}", key_of(arm.draft), arm.draft
        if key in loaded:
            draft = loaded[key]
        elif isinstance(settings, StoppingSpec):
            unstopped = settings.unstopped()
            if key_of(unstopped) not in whole:
                whole[key_of(unstopped)] = _build(unstopped, target, where)
            draft = stopping = _stopping(settings, whole[key_of(unstopped)], where)
            if settings.min_confidence == AUTO:
                by_cost.append((key, stopping))
        else:
            draft = _build(settings, target, where)
        if any(draft.name == other.name for other in found.values()):
            raise ValueError(
                f"{where}: an arm before it has another draft named {draft.name!r}; rename one (a draft model has the "
                "name of its folder or file)"
            )
        found[key] = draft
    if by_cost:
        costs = measure(list(found.values()))
        found |= {key: draft.stopping_below(costs.least_confidence(draft.name)) for key, draft in by_cost}
    return found


def _stopping(spec: StoppingSpec, draft: Draft, where: str) -> StoppingDraft:
    if not isinstance(draft, StoppingDraft):
        raise TypeError(f"{where}: a StoppingSpec must build a StoppingDraft, got {type(draft).__name__}")
    return spec.stopping(draft, 0.0)


def _build(spec: DraftSpec, target: Target, where: str) -> Draft:
    """Make a draft; what is wrong with it is said with the place in the pool file."""
    try:
        return spec.build(target)
    except VocabularyMismatchError as error:
        raise VocabularyMismatchError(f"{where}: {error}") from error
    except (TypeError, ValueError) as error:
        raise ValueError(f"{where}: {error}") from error


def _rule(spec: RuleSpec, arms: dict[str, SpeculativeArm], rules: set[str], where: str) -> RuleArm:
    for name in (*(clause.arm for clause in spec.clauses), spec.fallback):
        if name in rules:
            raise ValueError(f"{where}: rule {spec.name!r} must choose among fixed arms, but {name!r} is a rule")
        if name not in arms:
            raise ValueError(f"{where}: rule {spec.name!r} names arm {name!r}; the pool has {', '.join(arms)}")
    clauses = [(arms[clause.arm], clause.min_match_length) for clause in spec.clauses]
    try:
        return RuleArm(clauses, arms[spec.fallback], name=spec.name)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error
