"""From a pool file's arms to loaded ones: each draft once, then the rules over them."""

from speculative.drafts import DraftSpec
from speculative.drafts.draft_model import VocabularyMismatchError
from speculative.pools.arm_specs import ArmSpec, RuleSpec
from speculative.pools.spec import PoolSpec
from speculative.protocols.draft import Draft
from speculative.targets.rule_arm import PoolArm, RuleArm
from speculative.targets.speculative_arm import SpeculativeArm
from speculative.targets.target import Target


def build_arms(spec: PoolSpec, target: Target) -> list[PoolArm]:
    """Load every draft that a specification names, each model once, and make its arms in their order.

    Raises:
        ValueError: if a model is missing, a draft speaks other tokens, two arms or drafts share a name, or a rule names
            an arm that the pool lacks, that is a rule itself, or that cannot have so long a match.
    """
    drafts: dict[tuple[type[DraftSpec], str], Draft] = {}
    fixed: dict[int, SpeculativeArm] = {}
    for i, arm in enumerate(spec.arms):
        if not isinstance(arm, ArmSpec):
            continue
        where, key = f"{spec.origin}, arms.{i}", (type(arm.draft), arm.draft.model_dump_json())
        if key not in drafts:
            drafts[key] = _build(arm.draft, target, where)
            if any(drafts[key].name == other.draft.name for other in fixed.values()):
                raise ValueError(
                    f"{where}: an arm before it has another draft named {drafts[key].name!r}; rename one (a draft "
                    "model has the name of its folder or file)"
                )
        fixed[i] = SpeculativeArm(target, drafts[key], arm.draft_length, name=arm.name)
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
